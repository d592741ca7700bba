"""Every example of every command's help, run as it is printed."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import geopandas as gpd
import pytest
import rasterio
import rosgeo.demo
import yaml
from click.testing import Result
from PIL import Image
from rosgeo.cli.main import main
from rosgeo.model import registry
from rosgeo.training import loop
from rosgeo.training.loop import TrainResult

from tests.clip_site import picture, write_frames, write_video

DEMO = Path(rosgeo.demo.__file__).parent
ROOT = Path(__file__).parents[2]
TRACKS = Path(__file__).parents[1] / "data" / "tracks"
Cli = Callable[..., Result]

NEEDS_MORE = {
    "rosgeo demo": "the time of 19 objects; tests/test_regressions.py runs it",
    "rosgeo models download sam-hq-vit-b": "the network",
    "rosgeo models convert sam_hq_vit_b.pth hq-b.safetensors": "a checkpoint of 380 MB",
    "rosgeo evaluate data/val --model sam_vit_l_0b3195.pth --ablate pipeline": "a checkpoint of 1.2 GB",
    "rosgeo evaluate data/val --ablate training --run runs/joint --run runs/alternate": "two finished trainings",
}
"""Examples that are not run here, and what they would take. Their options are parsed all the same."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def examples_of(command: click.Command) -> list[str]:
    """The lines of a command's help, after click's mark for text that is not to be wrapped, that are commands."""
    text = (command.help or "").replace("\\\n", " ")
    lines = [" ".join(line.split()) for block in text.split("\b")[1:] for line in block.split("\n\n")[0].splitlines()]
    return [line for line in lines if line.startswith("rosgeo ")]


ALL = {path: examples_of(command) for path, command in commands(main)}
EXAMPLES = sorted({e for found in ALL.values() for e in found})


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    assert ALL[path], f"the help of rosgeo {' '.join(path)} has no example"
    own = "rosgeo " + " ".join(path)
    assert all(e.startswith(own.strip()) for e in ALL[path])


def test_what_is_left_out_is_there() -> None:
    assert set(NEEDS_MORE) <= set(EXAMPLES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the examples name, made of the bundled scene: two boxes of it, so that a run takes a second."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO / "rio.tif", "scene.tif")
    Path("scenes").mkdir()
    for name in ("scenes/june.tif", "scenes/july.tif"):
        shutil.copy("scene.tif", name)
    shutil.copytree(ROOT / "configs", "configs")
    gpd.read_file(DEMO / "rio_boxes.gpkg").iloc[2:4].to_file("boxes.gpkg")
    labels = gpd.read_file(DEMO / "rio_labels.gpkg").iloc[2:4]
    labels.to_file("fields.geojson")
    with rasterio.open("scene.tif") as dataset:
        values, profile = dataset.read(), dataset.profile
    with rasterio.open("s2.tif", "w", **{**profile, "count": 4, "dtype": "uint16", "photometric": "minisblack"}) as dataset:
        dataset.write(values[[0, 0, 1, 2]].astype("uint16") * 12)
    _coco_folder(Path("data/val"), values[:, :300, :300].transpose(1, 2, 0))
    _masked_frames(values[:, :200, :200].transpose(1, 2, 0))
    _clips()
    # What is installed for a user goes here.
    for variable in ("HOME", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for system in ("QGIS/QGIS3", "Library/Application Support/QGIS/QGIS3"):
        (tmp_path / "home" / system / "profiles" / "default").mkdir(parents=True)
    return tmp_path


def _coco_folder(folder: Path, pixels: object) -> None:
    (folder / "images").mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "images" / "a.png")  # type: ignore[arg-type]
    ring = [100, 100, 140, 100, 140, 130, 100, 130]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 300, "height": 300}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [ring], "bbox": [100, 100, 40, 30]}],
        "categories": [{"id": 1, "name": "building"}],
    }
    (folder / "instances.json").write_text(json.dumps(data))


def _masked_frames(pixels: object) -> None:
    for place, image, name in (
        ("JPEGImages", Image.fromarray(pixels), "00000.jpg"),  # type: ignore[arg-type]
        ("Annotations", Image.new("P", (200, 200)), "00000.png"),
    ):
        target = Path(place, "480p", "car")
        target.mkdir(parents=True)
        if image.mode == "P":
            image.putpalette([0, 0, 0, 200, 0, 0])
            image.paste(1, (60, 60, 100, 90))
        image.save(target / name)


def _clips() -> None:
    """Tracks of four frames, in the formats and places that the examples name."""
    rows = [(frame, track, 4 + 20 * track + frame, 5 + frame, 14, 12) for frame in range(1, 5) for track in (1, 2)]
    text = "".join(f"{','.join(map(str, row))},1,1,1.0\n" for row in rows)
    for file in ("MOT17-02/gt/gt.txt", "clip/gt/gt.txt"):
        Path(file).parent.mkdir(parents=True)
        Path(file).write_text(text)
    write_frames(Path("clip/img1"), 4, first=1)
    write_video(Path("clip.mp4"), [picture(i) for i in range(4)])
    lines = ["frame,track,x_min,y_min,x_max,y_max", *(f"{f - 1},{t},{x},{y},{x + w},{y + h}" for f, t, x, y, w, h in rows)]
    Path("tracks.csv").write_text("\n".join(lines) + "\n")
    homography = {"homography": [[0.5, 0, 500_000], [0, -0.5, 4_000_000], [0, 1e-6, 1]], "crs": "EPSG:32633"}
    Path("homography.json").write_text(json.dumps(homography))
    shutil.copytree(TRACKS / "satsot" / "car_01", "car_01")


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs_as_printed(example: str, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    arguments = shlex.split(example)[1:]
    if example in NEEDS_MORE:
        _parse(arguments)
        return
    if arguments[0] != "doctor":
        # A network of the same parts, so that all the examples together take seconds; doctor looks at what the real one gives.
        monkeypatch.setitem(registry.EMBEDDED, registry.DEFAULT_MODEL, tiny_model)
        monkeypatch.delitem(registry.SERVED_AT, registry.DEFAULT_MODEL)
    if arguments[0] == "train":
        # Up to where the configuration is read and checked; tests/training/test_run.py trains.
        monkeypatch.setattr(loop, "train", lambda *_, **__: TrainResult(weights=Path("w.safetensors"), final={}, steps=0))
    if arguments[0] in ("info", "compare") or "--overwrite" in arguments:
        assert cli("segment", "scene.tif", "boxes.gpkg", "-o", "roofs.gpkg", "-q").exit_code == 0
    elif arguments[0] == "evaluate":
        gpd.read_file("fields.geojson").to_file("roofs.gpkg")
    elif arguments[0] == "check":
        # All of them, so that there are some for each side.
        gpd.read_file(DEMO / "rio_labels.gpkg").to_file("roofs.gpkg")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    run = cli(*arguments)
    assert run.exit_code == 0, run.output
    assert "Traceback" not in run.output
    if arguments[0] == "segment":
        assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} != before


def _parse(arguments: list[str]) -> None:
    """Raise where click does not take the words."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        _, command, arguments = command.resolve_command(context, arguments)  # type: ignore[assignment]
    command.make_context(command.name, arguments)


def test_the_configurations_that_examples_name_are_there() -> None:
    named = {word for e in EXAMPLES for word in e.split() if word.endswith(".yaml")}
    assert named
    for name in named:
        assert yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
