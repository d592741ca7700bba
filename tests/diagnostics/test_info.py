"""``rosgeo info``: what a file is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rosgeo.demo
from click.testing import Result
from PIL import Image
from rosgeo.errors import FormatLossWarning
from rosgeo.vector.layers.coco import Picture
from rosgeo.vector.layers.write import write_results

from tests.cli_site import Site
from tests.conftest import WriteRaster
from tests.vector.test_formats import GRID, RECORD, result_of

DEMO = Path(rosgeo.demo.__file__).parent
Cli = Callable[..., Result]


def told(cli: Cli, *files: object) -> list[dict[str, Any]]:
    run = cli("info", "--json", *files)
    assert run.exit_code == 0, run.output
    facts: list[dict[str, Any]] = json.loads(run.stdout)
    return facts


def test_scene(cli: Cli, write_raster: WriteRaster) -> None:
    values = np.random.default_rng(0).integers(100, 3000, (4, 60, 80)).astype(np.uint16)
    values[:, :15] = 0
    (facts,) = told(cli, write_raster(array=values, nodata=0, tiled=True, blockxsize=32, blockysize=16))
    assert (facts["kind"], facts["format"], facts["width"], facts["height"]) == ("scene", "GTiff", 80, 60)
    assert facts["file"].endswith("scene.tif")
    assert [b["type"] for b in facts["bands"]] == ["uint16"] * 4
    assert (facts["crs"], facts["georeferenced_by"]) == ("EPSG:32633", "transform")
    assert facts["pixel_size"] == pytest.approx(0.5)
    assert facts["gsd_m"] == pytest.approx(0.5, rel=1e-3)
    assert (facts["nodata"], facts["block"], facts["bands_used"]) == ([0] * 4, [16, 32], [1, 2, 3])
    assert facts["valid_share"] == 0.75
    assert 100 < facts["stretch"]["low"][0] < 300
    run = cli("info", DEMO / "rio.tif")
    assert run.exit_code == 0, run.output
    for line in ("width:            438", "crs:              EPSG:4326", "valid share:      100.0 % of the pixels"):
        assert line in run.stdout.splitlines()


def test_layers(cli: Cli, tmp_path: Path) -> None:
    boxes = gpd.read_file(DEMO / "rio_boxes.gpkg")
    boxes.to_parquet(tmp_path / "b.parquet")
    boxes.to_file(tmp_path / "b.geojson")
    facts = told(cli, DEMO / "rio_boxes.gpkg", tmp_path / "b.parquet", tmp_path / "b.geojson")
    assert [f["kind"] for f in facts] == ["layer"] * 3
    assert [f["rows"] for f in facts] == [19] * 3
    assert [f["crs"] for f in facts] == ["EPSG:4326"] * 3
    assert [f["columns"] for f in facts] == [list(boxes.columns[:-1])] * 3
    for f in facts:
        np.testing.assert_allclose(f["extent"], boxes.total_bounds)


@pytest.mark.parametrize("name", ["r.gpkg", "r.parquet", "r.geojson", "r.fgb", "r.json"])
def test_results_tell_their_record(cli: Cli, tmp_path: Path, name: str) -> None:
    write_results(result_of(), [tmp_path / name], RECORD, picture=Picture("s.tif", GRID))
    (facts,) = told(cli, tmp_path / name)
    assert (facts["kind"], facts["rows"], facts["record"]) == ("result", 5, RECORD)


def test_a_shapefile_is_known_by_its_columns(cli: Cli, tmp_path: Path) -> None:
    with pytest.warns(FormatLossWarning):
        write_results(result_of(), [tmp_path / "r.shp"], RECORD, picture=Picture("s.tif", GRID))
    (facts,) = told(cli, tmp_path / "r.shp")
    assert (facts["kind"], facts["format"], facts["rows"]) == ("result", "ESRI Shapefile", 5)
    assert "without the run's record" in facts["note"]


def test_a_mask_raster_tells_its_run(site: Site, cli: Cli) -> None:
    run = site.run("scene.tif", "boxes.gpkg", "-o", "r.gpkg", "--mask-raster", "m.tif", "--mask-values", "row")
    assert run.exit_code == 0, run.output
    result, mask = told(cli, "r.gpkg", "m.tif")
    assert (mask["kind"], mask["values"]) == ("mask raster", "rosgeo_id + 1")
    assert mask["record"] == result["record"]
    assert "kind:             mask raster" in cli("info", "m.tif").stdout


def test_a_picture_without_a_place_has_no_map_units(cli: Cli, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert "map units" not in cli("info", tmp_path / "a.png").stdout


def test_a_result_in_words(site: Site, cli: Cli) -> None:
    run = site.run("scene.tif", "boxes.gpkg", "-o", "r.gpkg", "--simplify", "0.3", "--stac", "--datetime", "2024-05-01")
    assert run.exit_code == 0, run.output
    shown = cli("info", "r.gpkg", "r.stac.json")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert "kind:             result" in lines
    assert "scene:            scene.tif" in lines
    assert any(line.startswith("counts:           1 ") for line in lines)
    assert any(line.startswith("model:            tiny (tiny.safetensors, SHA-256 ") for line in lines)
    assert any("outline.simplify 0.3" in line for line in lines if line.startswith("options:"))
    assert any("torch 2" in line for line in lines if line.startswith("versions:"))
    assert "kind:             stac item" in lines
    assert "start datetime:   2024-05-01T00:00:00Z" in lines


def test_models(cli: Cli, tiny_model: Path) -> None:
    small, tiny = told(cli, "rosgeo-small", tiny_model)
    assert (small["kind"], tiny["kind"], tiny["name"]) == ("model", "model", "tiny")
    assert len(tiny["sha256"]) == 64
    assert "parameters" in tiny["holds"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"hello"),
        ("a.json", b'{"a": 1}'),
        ("b.json", b"{broken"),
        ("a.tif", b"II*\x00 cut off"),
        ("a.parquet", b"PAR1 cut off"),
        ("a.gpkg", b"SQLite format 3\x00"),
        ("a.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{broken"),
        ("a.pth", b"PK\x03\x04 no zip at all, and it goes on"),
        ("a.bin", b""),
        ("folder", None),
        ("missing.tif", None),
    ],
)
def test_what_is_unknown_is_one_line(cli: Cli, tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif name == "folder":
        path.mkdir()
    run = cli("info", path)
    assert run.exit_code == 2, run.output
    assert isinstance(run.exception, SystemExit)
    assert (run.stdout, len(run.stderr.splitlines())) == ("", 1)
    assert run.stderr.startswith("Error: ")
    assert name in run.stderr


def test_what_a_run_takes_beside_rasters_and_layers(cli: Cli, tmp_path: Path, write_raster: WriteRaster) -> None:
    (tmp_path / "scenes").mkdir()
    for name in ("a.tif", "b.tif"):
        write_raster(f"scenes/{name}", np.ones((3, 8, 8), dtype=np.uint8))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n")
    (tmp_path / "yolo" / "classes.txt").write_text("ship\ncar\n")
    (tmp_path / "boxes.csv").write_text("xmin,ymin,xmax,ymax,image_path\n1,1,4,4,a.tif\n")
    (tmp_path / "found.json").write_text(json.dumps([{"image_id": 3, "bbox": [1, 1, 3, 3], "score": 0.5}]))
    assets = {"visual": {"href": "scenes/a.tif", "type": "image/tiff; application=geotiff"}}
    item = {"type": "Feature", "stac_version": "1.0.0", "geometry": None, "properties": {}, "assets": assets, "links": []}
    other = item | {"id": "b", "assets": {"visual": assets["visual"] | {"href": "scenes/b.tif"}}}
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [item | {"id": "a"}, other]}))
    names = ("scenes", "items.json", "yolo", "yolo/a.txt", "boxes.csv", "found.json")
    facts = told(cli, *(tmp_path / name for name in names))
    assert [f["kind"] for f in facts] == ["scenes", "scenes", "layer", "layer", "layer", "layer"]
    assert [Path(s).name for f in facts[:2] for s in f["scenes"]] == ["a.tif", "b.tif"] * 2
    assert [f["rows"] for f in facts[2:]] == [2, 2, 1, 1]
    assert [f["format"] for f in facts[2:]] == ["YOLO", "YOLO", "table of boxes", "COCO detections"]
    assert facts[4]["pictures"] == ["a.tif"]


def test_a_layer_as_qgis_names_it(cli: Cli, tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=gpd.points_from_xy([1], [2]), crs=4326)
    path = tmp_path / "b.gpkg"
    frame.to_file(path, layer="first", driver="GPKG")
    frame.rename(columns={"a": "b"}).to_file(path, layer="second", driver="GPKG")
    (facts,) = told(cli, f"{path}|layername=second")
    assert (facts["layer"], facts["columns"], facts["further_layers"]) == ("second", ["b"], ["first"])
    wrong = cli("info", f"{path}|layername=third")
    assert wrong.exit_code == 2
    assert "has no layer 'third'; it has: first, second" in wrong.stderr
