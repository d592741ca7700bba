"""Results in a real QGIS: how they open, what is drawn, and what corrected outlines are good for."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from PIL import Image
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.labels import read_labels
from rosgeo.raster.source import open_source
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import SegmentRun, segment_run
from rosgeo.vector.layers.gpkg import prompts_frame
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.style import SCORE_CLASSES, TimeOfRows, result_qml
from rosgeo.vector.layers.write import read_record, write_result

from tests.cli_site import Cli
from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes
from tests.qgis_site import in_qgis, needs_qgis

SCORES = (0.3, 0.6, 0.8, 0.9, 1.0, 0.9)
BOXES = [(5 + 25 * i, 10, 25 + 25 * i, 40) for i in range(6)] + [(500, 500, 520, 530), (10, 60, 40, 90)]
"""In pixels: six objects, one box outside of the raster, and one that becomes an outline that a person drew."""


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster(array=np.full((3, 120, 160), 90, dtype=np.uint8))


@pytest.fixture
def run(scene: Path) -> SegmentRun:
    boxes = px_boxes(BOXES, NORTH_UP, "EPSG:32633", kind=list("abcdefgh"))
    found = segment_run(scene, boxes, SegmentOptions(), segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    found.result.loc[:5, "rosgeo_score"] = SCORES
    found.result.loc[7, "rosgeo_status"] = "corrected"
    return found


@pytest.fixture
def result(scene: Path, run: SegmentRun, tmp_path: Path) -> Path:
    path = tmp_path / "scene_masks.gpkg"
    with open_source(scene) as source:
        prompts = prompts_frame(run.boxes_px, source.grid, run.result.rosgeo_id, run.result.rosgeo_status)
    write_result(run.result, path, run.record, prompts)
    return path


def test_the_prompts_are_the_second_layer_and_break_no_reader(result: Path, run: SegmentRun, tmp_path: Path) -> None:
    assert pyogrio.list_layers(result)[:, 0].tolist() == ["masks", "prompts", "layer_styles"]
    with pytest.warns(UserWarning, match="More than one layer"):
        first = gpd.read_file(result)
    assert first["rosgeo_id"].tolist() == list(range(8))
    assert read_record(result) == json.loads(json.dumps(run.record))
    # What reads boxes or labels takes the outlines without being told, and the prompts where it is.
    assert read_boxes(result)["kind"].tolist() == list("abcdefgh")
    prompts = read_boxes(result, layer="prompts")
    assert prompts["prompt_row"].tolist() == list(range(8))
    assert prompts["prompt_status"].tolist() == ["ok"] * 6 + ["outside", "corrected"]
    expected = px_boxes(BOXES, NORTH_UP, "EPSG:32633")
    assert shapely.equals(prompts.geometry.to_numpy(), expected.geometry.to_numpy()).all()
    again = segment_run(
        tmp_path / "scene.tif", prompts, SegmentOptions(), output=tmp_path / "again.gpkg", segmenter=EllipseSegmenter()
    )  # type: ignore[arg-type]
    assert again.result["rosgeo_status"].tolist() == ["ok"] * 6 + ["outside", "ok"]


def test_prompts_of_turned_rasters_and_rows_without_a_box(write_raster: WriteRaster, tmp_path: Path) -> None:
    turned = NORTH_UP @ Affine.rotation(30)
    scene = write_raster(transform=turned)
    boxes = px_boxes([BOXES[0], BOXES[1]], turned, "EPSG:32633")
    boxes.loc[2] = [None]
    for axes, area in (("raster", 20 * 30 * 0.25), ("map", None)):
        path = tmp_path / f"{axes}.gpkg"
        segment_run(scene, boxes, SegmentOptions(axes=axes), output=path, segmenter=EllipseSegmenter())  # type: ignore[arg-type]
        prompts = gpd.read_file(path, layer="prompts")
        assert prompts.geometry.isna().tolist() == [False, False, True]
        first = prompts.geometry.iloc[0]
        if area is None:  # the envelope along the map's axes
            assert first.equals_exact(shapely.box(*first.bounds), 1e-6) or first.normalize().equals(shapely.box(*first.bounds))
            assert first.buffer(1e-3).contains(boxes.geometry.iloc[0])
        else:
            assert first.area == pytest.approx(area)
            assert shapely.hausdorff_distance(first, boxes.geometry.iloc[0]) < 1e-6


def test_a_geopackage_of_a_run_without_crs(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster(transform=None, crs=None)
    frame = gpd.GeoDataFrame(geometry=[shapely.box(*BOXES[0])])
    segment_run(scene, frame, SegmentOptions(), output=tmp_path / "out.gpkg", segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    with closing(sqlite3.connect(tmp_path / "out.gpkg")) as database:
        found = database.execute("SELECT table_name, srs_id FROM gpkg_geometry_columns ORDER BY table_name").fetchall()
        described = dict(database.execute("SELECT table_name, description FROM gpkg_contents").fetchall())
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert found == [("masks", -1), ("prompts", -1)]
    assert described["prompts"].startswith("Boxes as the model")


def test_it_opens_styled_named_and_described(result: Path, run: SegmentRun, tmp_path: Path) -> None:
    needs_qgis()
    layers = in_qgis(tmp_path, "look", path=str(result), layers=["masks", "prompts"])
    masks, prompts = layers["masks"], layers["prompts"]
    assert [label for label, _, _ in masks["classes"]] == [c[3] for c in SCORE_CLASSES] + ["drawn or corrected by hand"]
    class_of = {int(fid): keys[0] if keys else None for fid, keys in masks["drawn"].items()}
    # The fourth and the sixth object are of one class; the row outside is in the table alone.
    assert list(class_of.values()) == [f"{{rosgeo-{i}}}" for i in (0, 1, 2, 3, 4, 3)] + [None, "{rosgeo-5}"]
    assert (masks["rows"], prompts["rows"], masks["labels"], prompts["labels"]) == (8, 8, False, False)
    assert masks["crs"] == prompts["crs"] == "EPSG:32633"
    assert masks["aliases"]["rosgeo_score"] == "Score (predicted IoU, 0–1)"
    assert masks["aliases"]["rosgeo_area_m2"] == "Area (m², geodesic)"
    assert masks["aliases"]["kind"] == ""
    assert masks["widget"]["rosgeo_status"] == "ValueMap"
    assert [keys[0] if keys else None for keys in prompts["drawn"].values()] == ["{rosgeo-0}"] * 6 + ["{rosgeo-1}"] * 2
    assert masks["title"] == "Outlines of scene.tif"
    assert prompts["title"].startswith("Prompts")
    assert "Rows: 8 (7 ok, 1 outside)" in masks["abstract"]
    assert f"inputs.scene: {run.record['inputs']['scene']}" in masks["history"]
    assert f"model.sha256: {run.record['model']['sha256']}" in masks["history"]
    assert "options.crop.mode: auto" in masks["shown"]
    assert masks["temporal"][0] is False


def test_a_style_with_times(tmp_path: Path) -> None:
    needs_qgis()
    (tmp_path / "t.qml").write_text(result_qml(TimeOfRows(0.04, "seen")), encoding="utf-8")
    (tmp_path / "plain.qml").write_text(result_qml(), encoding="utf-8")
    with_times = in_qgis(tmp_path, "style", qml=str(tmp_path / "t.qml"))
    assert with_times["fine"], with_times["message"]
    assert with_times["temporal"] == [True, "seen", 39.0]
    assert len(with_times["classes"]) == len(SCORE_CLASSES) + 1


def near(pixels: np.ndarray, colour: str, tolerance: int = 40) -> np.ndarray:
    wanted = np.array([int(v) for v in colour.split(",")])
    return np.abs(pixels.astype(int) - wanted).max(axis=2) <= tolerance


def test_the_map_shows_each_class_on_its_object(result: Path, scene: Path, tmp_path: Path) -> None:
    needs_qgis()
    png = tmp_path / "map.png"
    shown = in_qgis(tmp_path, "render", path=str(result), raster=str(scene), layers=["prompts", "masks"], png=str(png), side=1280)
    pixels = np.array(Image.open(png).convert("RGB"))
    scale = 1280 / 160
    x_min, _, x_max, _ = shown["extent"]
    assert (x_max - x_min) == pytest.approx(80, rel=1e-3)
    colours = [c[2] for c in SCORE_CLASSES]
    for i, number in enumerate((0, 1, 2, 3, 4, 3)):
        x0, y0, x1, y1 = (round(v * scale) for v in BOXES[i])
        # A piece of the ellipse away from its box: its line is there, and of no other class.
        x, y = ((x0 + x1) - (x1 - x0) * 0.7071) / 2, ((y0 + y1) - (y1 - y0) * 0.7071) / 2
        part = pixels[round(y) - 8 : round(y) + 8, round(x) - 8 : round(x) + 8]
        assert near(part, colours[number]).sum() >= 16, i
        middle = pixels[round((y0 + y1) / 2), round((x0 + x1) / 2)]
        assert np.abs(middle.astype(int) - 90).max() < 45  # a faint fill: the ground shows through
        others = [c for k, c in enumerate(colours) if k != number]
        assert not any(near(part, c, 25).any() for c in others), i
    # The prompts are dashed: light and dark by turns along the upper edge of the first box.
    edge = pixels[round(BOXES[0][1] * scale) - 1 : round(BOXES[0][1] * scale) + 1, 60:180].astype(int).mean(axis=(0, 2))
    assert edge.max() > 180
    assert edge.min() < 110
    assert near(pixels[round(60 * scale) - 2 : round(60 * scale) + 2, 90:300], "255,60,200").any()


def test_labels_of_a_result_are_its_good_rows(run: SegmentRun, scene: Path, tmp_path: Path) -> None:
    """Whatever wrote the statuses; where a condition is given, it alone counts."""
    result = tmp_path / "labels.gpkg"
    run.result.loc[:2, "rosgeo_status"] = ["rejected", None, "empty"]
    write_result(run.result, result, {})
    objects, left_out = read_labels(DataSource(kind="raster", raster=str(scene), labels=str(result), class_column="kind"))
    assert [o.category for o in objects] == list("bdefh")
    assert left_out == {"with another rosgeo_status than ok or corrected": 3}  # with the row outside
    only = DataSource(kind="raster", raster=str(scene), labels=str(result), where="rosgeo_status = 'rejected'", class_column="kind")
    assert [o.category for o in read_labels(only)[0]] == ["a"]


def test_the_loop_correct_train_segment(result: Path, scene: Path, tmp_path: Path, tiny_model: Path, cli: Cli) -> None:
    """QGIS marks what a person changes; training takes that layer as it is; segment takes the model that comes out."""
    needs_qgis()
    moved, drawn = px_boxes([(30, 12, 48, 38), (60, 60, 80, 90)], NORTH_UP, "EPSG:32633").geometry
    edited = in_qgis(tmp_path, "edit", path=str(result), row=1, wkt=moved.wkt, new_wkt=drawn.wkt)
    assert edited["statuses"] == ["ok", "corrected", "rejected", "ok", "ok", "ok", "outside", "corrected", "corrected"]
    after = gpd.read_file(result, layer="masks")
    assert after.geometry.iloc[1].equals(moved)
    # QGIS without a project measures in no units: no area rather than a wrong or an old one.
    assert np.isnan(after["rosgeo_area_m2"].iloc[1])
    objects, left_out = read_labels(DataSource(kind="raster", raster=str(scene), labels=str(result)))
    assert len(objects) == 7
    assert left_out == {"with another rosgeo_status than ok or corrected": 2}
    only = DataSource(kind="raster", raster=str(scene), labels=str(result), where="rosgeo_status = 'corrected'")
    assert len(read_labels(only)[0]) == 3

    config = Path(__file__).parents[2] / "configs" / "train" / "fine-tune.yaml"
    sets: dict[str, Any] = {
        "data.train.0.raster": scene, "data.train.0.labels": result, "data.split": "null", "init.model": tiny_model,
        "output": tmp_path / "tuned", "model.input_size": 112, "stages.live.samples": 4, "stages.live.batch_size": 2,
        "stages.live.rank": 2, "stages.live.lora_blocks": "null", "stages.live.workers": 0, "validation.every": 0,
        "device": "cpu", "precision": "float32",
    }  # fmt: skip
    trained = cli("train", config, *(a for key, value in sets.items() for a in ("--set", f"{key}={value}")))
    assert trained.exit_code == 0, trained.output
    model = tmp_path / "tuned" / "my-objects.safetensors"
    segmented = cli("segment", scene, result, "--layer", "prompts", "--model", model, "-o", tmp_path / "next.gpkg")
    assert segmented.exit_code == 0, segmented.output
    assert set(gpd.read_file(tmp_path / "next.gpkg", layer="masks")["rosgeo_model"]) == {"my-objects"}
