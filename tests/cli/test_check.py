"""``rosgeo check``, and what ``train`` and ``evaluate`` say of their labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from click.testing import Result
from PIL import Image

from tests.label_site import LAYOUTS, coco, on_map, rings, save_picture, write_json, write_layer, write_scene
from tests.training_site import HEIGHT, WIDTH, write_coco

Cli = Callable[..., Result]

pytestmark = pytest.mark.filterwarnings("default::rosgeo.errors.LabelsWarning")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_checked(name: str, cli: Cli, tmp_path: Path) -> None:
    source = LAYOUTS[name].write(tmp_path / "set")
    where = [source.raster, "--labels", source.labels] if source.raster else [source.path]
    run = cli("check", *where, "--picture", tmp_path / "sheet.png", "--json", tmp_path / "report.json")
    assert run.exit_code == 0, run.output
    assert "2 objects in 1 pictures" in run.output
    assert Image.open(tmp_path / "sheet.png").size == (2 * 224, 224 + 16)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [s["objects"] for s in report["sources"]] == [2]
    assert report["refused"] == []


def test_what_looks_wrong_comes_first_on_the_sheet(cli: Cli, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set", pictures=6)
    content = json.loads((root / "instances.json").read_text())
    content["annotations"][1]["segmentation"] = [n for a in content["annotations"][:2] for n in a["segmentation"]]
    write_json(root / "instances.json", content)
    run = cli("check", root, "--picture", tmp_path / "sheet.png", "--tiles", 4)
    assert run.exit_code == 0, run.output
    assert "look at: 1 of 12 labels have parts that lie far apart" in run.output
    assert "(first: annotation 1)" in run.output
    first = np.asarray(Image.open(tmp_path / "sheet.png"))[16:, :224]
    green = (first == (0, 255, 80)).all(axis=2)
    # The outlines of both objects: two patches of green, far from each other.
    columns = np.flatnonzero(green.any(axis=0))
    assert np.diff(columns).max() > 40


def test_what_would_be_refused_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set")
    (root / "images" / "1.png").write_text("no picture")
    run = cli("check", root)
    assert run.exit_code == 1
    assert run.output.startswith("Refused: ")
    assert "1.png cannot be read as a picture" in run.output
    assert "Traceback" not in run.output
    assert cli("check", tmp_path / "nowhere").exit_code == 1
    assert cli("check", root, "--labels-crs", "EPSG:4326").exit_code == 2


@pytest.mark.parametrize("command", ["check", "evaluate"])
@pytest.mark.parametrize("option", [("--dem", "d.tif"), ("--height", "3"), ("--y-axis", "up"), ("--area", "a.gpkg")], ids=str)
def test_an_option_of_rasters_is_refused_beside_a_folder(command: str, option: tuple[str, str], cli: Cli, tmp_path: Path) -> None:
    run = cli(command, write_coco(tmp_path / "set"), *option)
    assert run.exit_code == 2
    assert f"{option[0]} goes with --labels on a raster" in run.output


def test_what_a_folder_does_not_have_is_refused(cli: Cli, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set")
    run = cli("check", root, "--images", "nowhere")
    assert run.exit_code == 1
    assert "nowhere: no such folder, nor in" in run.output
    run = cli("check", root, "--subset", "train")
    assert run.exit_code == 1
    assert "has no subset 'train', which only sets of YOLO have (its kind is coco)" in run.output
    assert "choose a file with --annotations" in run.output


@pytest.mark.parametrize("option", ["--json", "--picture"])
def test_an_output_that_cannot_be_written_is_said_before_the_labels_are_read(option: str, cli: Cli, tmp_path: Path) -> None:
    run = cli("check", write_coco(tmp_path / "set"), option, tmp_path / "nowhere" / "o.png")
    assert run.exit_code != 0
    assert "objects in" not in run.output
    assert "nowhere" in run.output
    assert "rosgeo --debug" not in run.output


def test_what_is_wrong_with_a_raster_is_said_in_the_words_of_labels(cli: Cli, tmp_path: Path) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif"), write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(rings()[0]))])
    run = cli("check", scene, "--labels", layer, "--where", "fid > 5")
    assert "holds no labels where fid > 5; expected at least one polygon" in run.output
    assert "no such file; expected a layer of labels" in cli("check", scene, "--labels", tmp_path / "no.gpkg").output
    text = f"data:\n  train: [{{kind: raster, raster: {scene}, labels: {layer}, height: 3}}]\ninit: {{model: rosgeo-small}}\n"
    (tmp_path / "run.yaml").write_text(text)
    assert "leave the key dem and the key height out" in cli("check", tmp_path / "run.yaml").output
    run = cli("check", tmp_path / "run.yaml", "--class-column", "c")
    assert run.exit_code == 2
    assert "as in --set data.train.0.class_column=VALUE" in run.output
    assert "has no column 'C'; it has: n, boxes_fid\n" in cli("check", scene, "--labels", layer, "--class-column", "C").output


def test_all_that_a_folder_holds_is_checked(cli: Cli, tmp_path: Path) -> None:
    for subset in ("train", "valid"):
        save_picture(tmp_path / subset / f"{subset}.png")
        write_json(tmp_path / subset / "_annotations.coco.json", coco(f"{subset}.png"))
    write_json(tmp_path / "valid" / "_annotations.coco.json", coco("missing.png"))
    run = cli("check", tmp_path)
    assert run.exit_code == 1
    assert f"{tmp_path / 'train' / '_annotations.coco.json'}: 2 objects in 1 pictures" in run.output
    assert "missing.png" in run.output


def test_a_configuration_is_checked_with_its_split(cli: Cli, tmp_path: Path) -> None:
    shapes = [on_map(shapely.Polygon(r)) for r in rings()]
    scene, layer = write_scene(tmp_path / "scene.tif"), write_layer(tmp_path / "l.gpkg", shapes, part=["train", "valid"])
    text = f"data:\n  train: [{{kind: raster, raster: {scene}, labels: {layer}}}]\n  split: {{by: column, column: part}}\n"
    (tmp_path / "run.yaml").write_text(text + "init: {model: rosgeo-small}\n")
    run = cli("check", tmp_path / "run.yaml", "--picture", tmp_path / "s.png")
    assert run.exit_code == 0, run.output
    assert "split by column: 1 objects for training (object 1), 1 for validation (object 1)" in run.output
    assert "values of 'part': training: train 1; validation: valid 1" in run.output
    write_layer(tmp_path / "l.gpkg", shapes, part=["train", "north"])
    run = cli("check", tmp_path / "run.yaml")
    assert run.exit_code == 1
    assert "Refused: split by column 'part': 'north' beside 'train'" in run.output
    run = cli("check", tmp_path / "run.yaml", "--set", "data.split=null", "--set", "data.train.0.stretch=strong")
    assert run.exit_code == 1
    assert "stretch" in run.output


def test_evaluate_says_what_it_left_out(cli: Cli, tmp_path: Path, tiny_model: Path) -> None:
    far = [shapely.box(600_000 + 10 * i, 4_000_000, 600_005 + 10 * i, 4_000_005) for i in range(8)]
    scene = write_scene(tmp_path / "scene.tif")
    labels = write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(rings()[0])), *far, None])
    options = ("--model", tiny_model, "--device", "cpu", "--no-baselines", "--json", tmp_path / "e.json")
    run = cli("evaluate", scene, "--labels", labels, *options)
    assert run.exit_code == 0, run.output
    assert "left out: 8 outside the raster (first: row 1), 1 without a usable polygon (first: row 9)" in run.output
    assert "Warning: " in run.output
    assert "9 of 10 labels are left out" in run.output
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["labels"]["left_out"]["outside the raster"] == {"count": 8, "first": "row 1"}
    # What train can, evaluate can too.
    run = cli("evaluate", scene, "--labels", labels, "--where", "n = 0", "--bands", "3,2,1", "--stretch", "none", *options)
    assert run.exit_code == 0, run.output
    assert "1 objects in 1 pictures (object 1); left out: none" in run.output


MESSAGES = [
    (["scene.tif"], "scene.tif is a raster, whose labels are missing"),
    (["scene.tif", "--labels", "nocrs.gpkg"], "pass --labels-crs EPSG:32633"),
    (["labels.gpkg", "--labels", "labels.gpkg"], "labels.gpkg is a layer of polygons and not a raster"),
    (["labels.gpkg"], "labels.gpkg is a layer of polygons"),
    (["scene.tif", "--labels", "two.gpkg"], "choose one with --layer"),
    (["coco", "--where", "a = 1"], "--where goes with --labels on a raster"),
    (["scene.tif", "--labels", "labels.gpkg", "--subset", "val"], "--subset goes with a folder of pictures"),
    (["scene.tif", "--labels", "labels.gpkg", "--frame-masks", "m"], "expected one of them"),
]


@pytest.mark.parametrize(("arguments", "message"), MESSAGES, ids=[m[1] for m in MESSAGES])
def test_messages_name_options_of_the_command(
    arguments: list[str], message: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import geopandas as gpd

    monkeypatch.chdir(tmp_path)
    write_scene(Path("scene.tif"))
    shapes = [on_map(shapely.Polygon(r)) for r in rings()]
    write_layer(Path("labels.gpkg"), shapes)
    gpd.GeoDataFrame({"n": [0, 1]}, geometry=shapes).to_file("nocrs.gpkg")
    for layer in ("roofs", "tanks"):
        gpd.GeoDataFrame({"n": [0, 1]}, geometry=shapes, crs="EPSG:32633").to_file("two.gpkg", layer=layer)
    write_coco(Path("coco"))
    run = cli("evaluate", *arguments, "--device", "cpu")
    assert run.exit_code == 2
    assert message in run.output
    assert "--boxes-crs" not in run.output
    text = "data: {train: [{kind: raster, raster: scene.tif, labels: %s}]}\ninit: {model: rosgeo-small}\n"
    for labels, words in (("nocrs.gpkg", "pass labels_crs: EPSG:32633"), ("two.gpkg", "choose one with the key layer")):
        Path("c.yaml").write_text(text % labels)
        trained = cli("train", "c.yaml")
        assert (trained.exit_code, words in trained.output, "--" in trained.output) == (2, True, False), trained.output


def test_a_run_keeps_the_report(cli: Cli, tmp_path: Path, tiny_model: Path) -> None:
    from rosgeo.model.checkpoint import load_model

    root = write_coco(tmp_path / "set")
    (tmp_path / "c.yaml").write_text(
        f"train: {root}\ninit: {{model: {tiny_model}}}\noutput: {tmp_path / 'run'}\ndevice: cpu\n"
        "model: {name: mine}\nstages: {live: {samples: 1, batch_size: 1, rank: 1, workers: 0}}\n"
    )
    run = cli("train", tmp_path / "c.yaml")
    assert run.exit_code == 0, run.output
    assert f"{root}: 6 objects in 3 pictures (a 4, b 2); left out: none" in run.output
    kept = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert kept["sources"][0]["classes"] == {"a": 4, "b": 2}
    (card,) = load_model(tmp_path / "run" / "mine.safetensors").card["labels"]
    assert card["objects"] == 6
    assert (HEIGHT, WIDTH) == (90, 120)
