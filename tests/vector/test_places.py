"""Where outputs come to lie: links, modes, owners, names, and two runs that want one place."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from rosgeo.errors import FormatLossWarning, OutputError
from rosgeo.files.locks import written_alone
from rosgeo.files.names import hidden_beside, legal_name, stem_of
from rosgeo.files.places import whole_file
from rosgeo.vector.layers.place import check_output, replacing, replacing_all, writing
from rosgeo.vector.layers.shapefile import parts_of
from rosgeo.vector.layers.write import check_outputs, write_result, write_results

from tests.cli_site import Site
from tests.conftest import NORTH_UP, px_boxes

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, modes and owners are POSIX's")


def frame(count: int = 2) -> gpd.GeoDataFrame:
    return px_boxes([(10 * n, 10, 10 * n + 5, 20) for n in range(count)], NORTH_UP, "EPSG:32633", name=["x"] * count)


def rewrite(path: Path, text: str = "new", *, meddle: Callable[[], object] = lambda: None) -> None:
    check_output(path, overwrite=True)
    with writing(path) as partial:
        partial.write_text(text, encoding="utf-8")
        meddle()


def rewrite_all(paths: list[Path]) -> None:
    with replacing_all(paths) as partials:
        for partial in partials:
            partial.write_text("new", encoding="utf-8")


def fail(partial: Path) -> None:
    partial.write_bytes(b"half")
    raise KeyError


# -- links


@POSIX
def test_a_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, first, second = tmp_path / "elsewhere" / "real.gpkg", tmp_path / "first.gpkg", tmp_path / "second.gpkg"
    write_result(frame(1), target, {})
    first.symlink_to(Path("elsewhere") / "real.gpkg")
    second.symlink_to(first)
    write_result(frame(2), check_output(second, overwrite=True), {})
    assert (os.readlink(second), os.readlink(first)) == (str(first), os.path.join("elsewhere", "real.gpkg"))
    assert not target.is_symlink()
    assert len(gpd.read_file(target, layer="masks")) == 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["elsewhere", "first.gpkg", "real.gpkg", "second.gpkg"]


@POSIX
def test_a_link_to_what_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "out.txt").symlink_to(tmp_path / "new.txt")
    rewrite(tmp_path / "out.txt")
    assert (tmp_path / "out.txt").is_symlink()
    assert (tmp_path / "new.txt").read_text(encoding="utf-8") == "new"
    (tmp_path / "far.txt").symlink_to(tmp_path / "no" / "folder" / "new.txt")
    with pytest.raises(OutputError, match="does not exist; make it first"):
        check_output(tmp_path / "far.txt", overwrite=True)


@POSIX
def test_a_link_to_an_input_or_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "boxes.gpkg").write_text("boxes", encoding="utf-8")
    (tmp_path / "out.gpkg").symlink_to(tmp_path / "boxes.gpkg")
    with pytest.raises(OutputError, match="is an input"):
        check_output(tmp_path / "out.gpkg", overwrite=True, inputs=(str(tmp_path / "boxes.gpkg"),))
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OutputError, match="leads in a circle"):
        check_output(tmp_path / "a", overwrite=True)


@POSIX
@pytest.mark.filterwarnings(f"ignore::{FormatLossWarning.__module__}.FormatLossWarning")
def test_parts_of_a_shapefile_that_are_links(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    write_result(frame(1), far / "roofs.shp", {})
    for part in parts_of(far / "roofs.shp"):
        (tmp_path / part.name).symlink_to(part)
    write_result(frame(3), check_output(tmp_path / "roofs.shp", overwrite=True), {})
    assert all((tmp_path / f"roofs.{end}").is_symlink() for end in ("shp", "shx", "dbf"))
    assert len(gpd.read_file(far / "roofs.shp")) == len(gpd.read_file(tmp_path / "roofs.shp")) == 3


# -- modes and owners


@POSIX
@pytest.mark.parametrize("ending", ["gpkg", "parquet", "geojson", "fgb"])
def test_mode_and_owner_of_what_is_replaced_stay(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    write_result(frame(1), path, {})
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 12345, 23456)
    write_result(frame(2), path, {})
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert os.getuid() != 0 or (found.st_uid, found.st_gid) == (12345, 23456)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes are Linux's")
def test_what_was_noted_of_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old", encoding="utf-8")
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    rewrite(path)
    assert os.getxattr(path, "user.note") == b"mine"


@POSIX
@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_new_files_have_the_mode_that_programs_give_here(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_results(frame(1), [tmp_path / f"out.{e}" for e in ("gpkg", "parquet", "fgb")], {})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o666 & ~mask}


@POSIX
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o444)
    with pytest.raises(OutputError, match=r"out\.txt is read-only; allow"):
        check_output(path, overwrite=True)
    path.chmod(0o644)
    check_output(path, overwrite=True)
    # Half-way, too.
    with pytest.raises(OutputError, match="is read-only"):
        rewrite(path, meddle=lambda: path.chmod(0o444))
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


@POSIX
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(OutputError, match="is no regular file"):
        check_output(tmp_path / "pipe.parquet", overwrite=True)


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "out.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OutputError) as caught:
        rewrite(path, meddle=lambda: (tmp_path / "run").rename(tmp_path / "moved"))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "moved" / "out.txt").read_text(encoding="utf-8") == "old"


def test_an_old_file_that_cannot_be_brought_back_is_kept_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text("old", encoding="utf-8")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        # The second file cannot be put in place, and the first not be taken back.
        if target.name == "b.txt" or self.parent.name == "old":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="cannot be put in place") as caught:
        rewrite_all(paths)
    found = re.search(r"a\.txt could not be brought back; it is kept in (.*)$", str(caught.value))
    assert found is not None
    assert Path(found[1]).read_text(encoding="utf-8") == "old"
    assert paths[1].read_text(encoding="utf-8") == "old"


# -- two runs


PROGRAM = """
import sys
from rosgeo.files.locks import written_alone
with written_alone(sys.argv[1:]):
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(*paths: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate("")


def test_the_second_of_two_runs_is_told_who_writes(site: Site) -> None:
    with another_run(site.folder / "out.gpkg") as process:
        message = site.refuse("scene.tif", "boxes.gpkg", words=("out.gpkg is being written by another run of rosgeo",))
        assert f"(process {process.pid} on " in message
        # Nor is it written to by another way.
        with pytest.raises(OutputError, match="is being written"):
            write_result(frame(), site.folder / "out.gpkg", {})
    assert site.statuses("scene.tif", "boxes.gpkg") == ["ok"]
    assert not [name for name in site.files() if "lock" in name]


def test_every_output_of_a_run_is_its_own_at_once(site: Site) -> None:
    for name in ("mask.tif", "picture.png"):
        with another_run(site.folder / name):
            more = ("--mask-raster", "mask.tif", "--preview", "picture.png")
            site.refuse("scene.tif", "boxes.gpkg", *more, words=(f"{name} is being written by",))


def test_a_run_that_was_killed_bars_nobody(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with another_run(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [p.name for p in tmp_path.iterdir()] == [".out.txt.rosgeo-lock"]
    rewrite(path)
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


@POSIX
def test_one_place_by_two_names(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with another_run(tmp_path / "link.txt"), pytest.raises(OutputError, match="is being written"):
        rewrite(tmp_path / "real.txt")


def test_threads_of_one_program_are_two_runs(tmp_path: Path) -> None:
    said: list[str] = []

    def second() -> None:
        try:
            rewrite(tmp_path / "out.txt")
        except OutputError as error:
            said.append(str(error))

    with written_alone([tmp_path / "out.txt"]):
        rewrite(tmp_path / "out.txt")  # who holds it writes
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert f"process {os.getpid()}" in said[0]


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from filelock import FileLock

    def unsupported(*_: Any, **__: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(FileLock, "acquire", unsupported)
    rewrite(tmp_path / "out.txt")
    assert "cannot be locked" in caplog.text


# -- what killed runs left


def test_folders_of_killed_runs_go_with_the_next(tmp_path: Path) -> None:
    stale, other, mine = ".out.txt.rosgeo-abc_1234", ".other.txt.rosgeo-abcd1234", ".out.txt.rosgeo-notmine"
    for name in (stale, other, mine):
        (tmp_path / name).mkdir()
        (tmp_path / name / "out.txt").write_text("half", encoding="utf-8")
    rewrite(tmp_path / "out.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([other, mine, "out.txt"])


@pytest.mark.filterwarnings(f"ignore::{FormatLossWarning.__module__}.FormatLossWarning")
def test_a_shapefile_that_was_replaced_in_part_gets_its_old_parts_back(tmp_path: Path) -> None:
    """A kill between two of its renames."""
    path = tmp_path / "out.shp"
    write_result(frame(1), path, {})
    before = {p.name: p.read_bytes() for p in parts_of(path)}
    kept = tmp_path / ".out.shp.rosgeo-abcd1234" / "old"
    kept.mkdir(parents=True)
    os.link(path, kept / path.name)
    write_result(frame(2), tmp_path / "new.shp", {})
    (tmp_path / "new.shp").replace(path)
    (tmp_path / "new.dbf").replace(kept.parent / "out.dbf")
    with pytest.raises(KeyError), replacing(path) as partial:
        fail(partial)
    assert {p.name: p.read_bytes() for p in parts_of(path)} == before
    assert not kept.exists()


def test_a_whole_file_or_none(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_file(tmp_path / "x") as partial:
        fail(partial)
    assert not list(tmp_path.iterdir())
    with whole_file(tmp_path / "x") as partial:
        partial.write_bytes(b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


# -- names


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a/scene.tif", "scene"),
        ('NETCDF:"scene.nc":Band1', "scene_Band1"),
        ("netcdf:a/scene.nc:Band2", "scene_Band2"),
        ('HDF5:"f.h5"://group/data', "f_group_data"),
        ('NETCDF:"data/my scene.nc":Band2', "my scene_Band2"),
        (r"netcdf:C:\data\scene.nc:v", "scene_v"),
        ('HDF4_EOS:EOS_GRID:"m.hdf":g:ndvi', "m_EOS_GRID_g_ndvi"),
        ("NETCDF:/d/scene.2020.01.nc:t2m", "scene.2020.01_t2m"),
        ("NETCDF:https://host/a.nc?sig=x:v", "a_v"),
        ('NETCDF:"/vsicurl/https://host/a.nc?sig=abc":v', "a_v"),
        ("GTIFF_DIR:2:/d/scene.tif", "scene_2"),
        ("DERIVED_SUBDATASET:LOGAMPLITUDE:a.tif", "a_LOGAMPLITUDE"),
        ("GPKG:file.gpkg:table", "file_table"),
        ("s3://bucket/key/scene.tif", "scene"),
        ("https://host/My%20scene.tif", "My scene"),
        ("https://host/" + "a" * 300 + ".tif", "a" * 100),
        (r"C:\data\scene.tif", "scene"),
        ("Снимок № 1.tif", "Снимок № 1"),
        ("/vsizip/a.zip/***.tif", "_"),
        ("SENTINEL2_L1C:/a/MTD.xml:10m:EPSG_32633", "MTD_10m_EPSG_32633"),
        ("https://host/a/scene.tif?token=secret&x=:", "scene"),
        ("/vsicurl/https://host/scene.tif?token=secret", "scene"),
        ("zip://a.zip!scene.tif", "scene"),
        ("/vsicurl?header.Authorization=Bearer%20secret&url=https%3A%2F%2Fhost%2Fscene.tif%3Fsig%3Dsecret", "scene"),
        ("wss://me:secret@host", "host"),
        ("/vsizip/a.zip/scene.tif", "scene"),
        ('what "is": this?.tif', "what _is_ this"),
        ("", "_"),
    ],
)
def test_names_that_we_make_up_are_names_on_every_system(name: str, stem: str) -> None:
    assert stem_of(name) == stem
    assert legal_name(stem) == stem


def test_a_name_that_is_there_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("GTIFF_DIR_2.scene.tif").touch()
    assert stem_of("GTIFF_DIR_2.scene.tif") == "GTIFF_DIR_2.scene"


def test_outputs_that_differ_by_case_are_one(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"OUT\.gpkg is named twice"):
        check_outputs([tmp_path / "out.gpkg", tmp_path / "OUT.gpkg"], overwrite=False)


def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120 + ".txt")
    rewrite(path)
    rewrite(path, "newer")
    assert [p.read_text(encoding="utf-8") for p in tmp_path.iterdir()] == ["newer"]
    near = path.with_name("ä" * 119 + "b.txt")
    assert hidden_beside(path, "rosgeo-lock") != hidden_beside(near, "rosgeo-lock")
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        check_output(tmp_path / ("x" * 300 + ".txt"), overwrite=False)


@pytest.mark.parametrize("name", ["a;b.gpkg", "a!b.fgb", "a;b.shp", "f!older/a.geojson"])
def test_names_that_pyogrio_takes_apart_are_found_before_any_work(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(OutputError, match=r"has [;!] in its name"):
        check_output(target, overwrite=True)
    assert check_output(target.with_suffix(".parquet"), overwrite=True) == target.with_suffix(".parquet")
