"""-q: nothing on standard output but what --json prints, no progress; the work is done all the same."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click
import pytest
import yaml
from click.testing import Result
from rosgeo.cli.main import main
from rosgeo.model import registry
from rosgeo.model.network import ModelConfig

from tests.cli_site import BOX, Site
from tests.clip_site import write_frames
from tests.training_site import tiny_run, write_coco

Names = tuple[str, ...]

MADE: dict[Names, list[tuple[str, str | None]]] = {
    ("segment",): [
        ("scene.tif boxes.gpkg -o o.gpkg --preview p.png --stac --datetime 2024-05-01", "p.png"),
        ("scene.tif boxes.gpkg -o boxes.geojson --mask-raster m.tif", "m.tif"),
        ("scene.tif boxes.gpkg --dry-run", None),
    ],
    ("video",): [("img1 tracks.txt --fps 10 --coco c.json --preview p.gif", "p.gif")],
    ("train",): [("run.yaml --set stages.cached.samples=8 --set stages.live=null", "by_command/tiny.safetensors")],
    ("evaluate",): [
        ("coco --every 3", None),
        ("coco --json e.json --picture p.png", "e.json"),
        ("coco --every 3 --ablate training --run MODEL --json e.json", "e.json"),
    ],
    ("check",): [("coco --json k.json --picture k.png", "k.json")],
    ("compare",): [("boxes.gpkg boxes.gpkg -o pairs.gpkg --json c.json", "c.json"), ("boxes.gpkg boxes.gpkg", None)],
    ("convert", "tracks"): [("tracks.txt t.csv --to csv", "t.csv")],
    ("models", "convert"): [("MODEL m.safetensors", "m.safetensors")],
    ("models", "download"): [("rosgeo-small", None)],
    ("qgis", "install"): [("--folder .", "rosgeo_processing.py"), ("--folder . --remove", None)],
    ("demo",): [("there", "there/rio_masks.gpkg")],
}
"""Arguments of the commands that have -q, and a file that they make."""
CASES = [(path, given, made) for path, cases in MADE.items() for given, made in cases]


def with_quiet(group: click.Group = main, path: Names = ()) -> Iterator[Names]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_quiet(command, (*path, name))
        elif any("--quiet" in p.opts for p in command.params):
            yield (*path, name)


def test_all_commands_are_here() -> None:
    assert set(with_quiet()) == set(MADE)


@pytest.fixture
def run(site: Site, tiny_model: Path, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a folder with all that the commands take; every step of its progress is told at once."""
    monkeypatch.setenv("ROSGEO_PROGRESS_S", "0")
    monkeypatch.setitem(registry.EMBEDDED, registry.DEFAULT_MODEL, tiny_model)
    monkeypatch.delitem(registry.SERVED_AT, registry.DEFAULT_MODEL)

    def prepared(path: Names, given: str, *more: str) -> Result:
        if path == ("segment",):
            site.boxes([BOX, (40, 40, 60, 60), (70, 20, 90, 30)], name=["a", "b", "c"])
        elif "tracks.txt" in given:
            write_frames(site.folder / "img1", 4, first=1)
            rows = [f"{frame},{track},{4 + 20 * track},5,14,12,1,1,1.0\n" for frame in range(1, 5) for track in (1, 2)]
            (site.folder / "tracks.txt").write_text("".join(rows))
        elif path in (("train",), ("evaluate",), ("check",)):
            write_coco(site.folder / "coco")
        if path == ("train",):
            config = replace(tiny_run(site.folder, site.folder / "coco", tiny_config), output="by_command")
            values = {**json.loads(json.dumps(asdict(config))), "init": {"backbone": config.init.backbone}}
            values["data"] = {"train": "coco", "val": "coco", "same_ground": True}
            (site.folder / "run.yaml").write_text(yaml.safe_dump(values))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return site.cli(*path, *given.replace("MODEL", str(tiny_model)).split(), *more)

    return prepared


@pytest.mark.parametrize(("path", "given", "made"), CASES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else value)
def test_quiet_prints_nothing(path: Names, given: str, made: str | None, run: Callable[..., Result]) -> None:
    said = run(path, given, "-q")
    assert said.exit_code == 0, said.output
    assert (said.stdout, said.stderr) == ("", "")
    assert made is None or Path(made).exists()


@pytest.mark.parametrize(("path", "given"), [(path, cases[0][0]) for path, cases in MADE.items()], ids=str)
def test_without_it_something_is_printed(path: Names, given: str, run: Callable[..., Result]) -> None:
    assert run(path, given).stdout != ""


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (("segment",), "scene.tif boxes.gpkg"),
        (("segment",), "scene.tif boxes.gpkg --dry-run"),
        (("video",), "img1 tracks.txt"),
    ],
)
def test_json_is_printed_all_the_same(path: Names, given: str, run: Callable[..., Result]) -> None:
    said = run(path, given, "--json", "-q")
    assert isinstance(json.loads(said.stdout), dict)
    assert said.stderr == ""


@pytest.mark.parametrize("path", MADE, ids=" ".join)
def test_errors_are_printed_all_the_same(path: Names, run: Callable[..., Result]) -> None:
    wrong = {
        ("segment",): "scene.tif nowhere.gpkg",
        ("video",): "nowhere nowhere.txt",
        ("train",): "nowhere.yaml",
        ("evaluate",): "nowhere",
        ("check",): "nowhere",
        ("compare",): "nowhere.gpkg boxes.gpkg",
        ("convert", "tracks"): "nowhere.txt t.csv --to csv",
        ("models", "convert"): "nowhere.pth m.safetensors",
        ("models", "download"): "nobody",
        ("qgis", "install"): "--profile nowhere",
        ("demo",): "scene.tif",
    }
    # What check is asked is whether something would be refused.
    code, word = (1, "Refused: ") if path == ("check",) else (2, "Error: ")
    said = run(path, wrong[path], "-q")
    assert said.exit_code == code, said.output
    assert said.stdout == ""
    assert said.stderr.startswith(word)
