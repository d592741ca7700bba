"""The output of the command line: where it cannot go, and that nothing there is harmed."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
import torch
from PIL import Image

from tests.cli_site import Site


@pytest.mark.parametrize("option", ["-o", "--preview"])
@pytest.mark.parametrize("place", ["missing/new", "scene.tif/new", "/proc/new"])
def test_output_folder_is_missing_or_takes_no_files(site: Site, option: str, place: str) -> None:
    ending = ".gpkg" if option == "-o" else ".png"
    site.refuse("scene.tif", "boxes.gpkg", option, place + ending, words=("new" + ending,))


def test_output_folder_is_read_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, mode, **k: not mode & os.W_OK and real(p, mode, **k))
    site.refuse("scene.tif", "boxes.gpkg", "-o", "new.gpkg", words=("new.gpkg",))


def test_output_exists(site: Site) -> None:
    site.refuse("scene.tif", "boxes.gpkg", "-o", "out.gpkg", words=("out.gpkg", "--overwrite"))
    shutil.copy("out.gpkg", "scene_masks.gpkg")
    before = site.files()
    assert site.run("scene.tif", "boxes.gpkg").exit_code == 2
    assert site.files() == before


def test_output_is_a_folder(site: Site) -> None:
    (site.folder / "folder.gpkg").mkdir()
    site.refuse("scene.tif", "boxes.gpkg", "-o", "folder.gpkg", "--overwrite", words=("folder.gpkg",))


@pytest.mark.parametrize("name", ["new.kml", "new.tif", "new", "new.gpkg.zip", ".gpkg", ""])
def test_output_extension_is_unknown(site: Site, name: str) -> None:
    site.refuse("scene.tif", "boxes.gpkg", "-o", name)


def test_output_extension_names_the_known_ones(site: Site) -> None:
    site.refuse(
        "scene.tif", "boxes.gpkg", "-o", "new.kml", words=(".kml", ".gpkg", ".parquet", ".geojson", ".fgb", ".shp", ".json")
    )
    site.refuse("scene.tif", "boxes.gpkg", "--preview", "new.xyz", words=("new.xyz", ".png"))


@pytest.mark.parametrize("spelling", ["boxes.gpkg", "./boxes.gpkg", "link.gpkg", "hard.gpkg"])
def test_output_is_the_input(site: Site, spelling: str) -> None:
    (site.folder / "link.gpkg").symlink_to("boxes.gpkg")
    (site.folder / "hard.gpkg").hardlink_to(site.folder / "boxes.gpkg")
    site.refuse("scene.tif", "boxes.gpkg", "-o", spelling, "--overwrite", words=("input",))


@pytest.mark.parametrize("place", [0, 1])
def test_preview_is_an_input(site: Site, place: int) -> None:
    names = ["scene.tif", "boxes.gpkg"]
    shutil.copy(names[place], "input.png")  # GDAL looks at the content
    names[place] = "input.png"
    site.refuse(*names, "--preview", "input.png", words=("input.png", "input"))
    site.refuse(*names, "--preview", "./input.png", "-o", "new.gpkg", "--overwrite", words=("input.png",))


def test_preview_exists(site: Site) -> None:
    (site.folder / "old.png").write_bytes(b"old")
    site.refuse("scene.tif", "boxes.gpkg", "-o", "new.gpkg", "--preview", "old.png", words=("old.png", "--overwrite"))


def test_anything_else_ends_with_1_and_harms_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the dog ate it")

    monkeypatch.setattr(torch.nn.Module, "__call__", fail)
    before = site.files()
    result = site.run("scene.tif", "boxes.gpkg", "-o", "out.gpkg", "--overwrite")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.stderr
    assert "the dog ate it" in result.stderr
    assert "Traceback" not in result.output
    assert site.files() == before


def test_a_picture_on_a_full_disk_is_one_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "old.png").write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    result = site.run("scene.tif", "boxes.gpkg", "--preview", "old.png", "--overwrite")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: old.png cannot be written: No space left on device")
    assert (site.folder / "old.png").read_bytes() == b"old"
