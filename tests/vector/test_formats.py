"""Formats of the result, several at once, and the STAC item beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import Result
from pycocotools import mask as coco_mask
from pyproj import CRS
from rosgeo.errors import FormatLossWarning, OptionError, OutputError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.outputs.stac import scene_times
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.types import RasterGrid
from rosgeo.vector.layers import shapefile
from rosgeo.vector.layers.coco import Picture, coco_dataset, ring_of
from rosgeo.vector.layers.geojson import on_the_globe, tail_member
from rosgeo.vector.layers.write import check_outputs, read_record, write_results
from rosgeo.vector.result import ObjectResult, assemble_result
from shapely import MultiPolygon, Polygon

from tests.cli_site import Site
from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

UTM33 = CRS.from_epsg(32633)
GRID = RasterGrid(120, 160, AffineMapping(NORTH_UP), UTM33)
RECORD: dict[str, Any] = {"finished": "2026-01-02T03:04:05Z", "options": {"näme": [1, None]}}
HOLED = Polygon(shapely.box(20, 20, 60, 50).exterior, [shapely.box(30, 30, 40, 40).exterior, shapely.box(45, 25, 50, 30).exterior])
ROW_SHAPES = [shapely.box(1, 2, 9, 12), None, HOLED, MultiPolygon([shapely.box(70, 70, 80, 80), shapely.box(82, 70, 90, 75)]),
              shapely.box(150, 110, 170, 130)]  # fmt: skip


def result_of(**columns: Any) -> gpd.GeoDataFrame:
    """Five rows in pixels of GRID: a box, none, one with two holes, two parts, and one over the raster's corner."""
    on_map = [None if s is None else shapely.orient_polygons(shapely.transform(s, GRID.mapping.to_map)) for s in ROW_SHAPES]
    objects = [ObjectResult(i, "empty" if s is None else "ok", s, 0.5 + i / 10, 0.9) for i, s in enumerate(on_map)]
    boxes = px_boxes([(0, 0, 10, 10)] * 5, NORTH_UP, "EPSG:32633", **columns)
    return assemble_result(boxes, objects, UTM33, "model-x")


# -- COCO


def test_coco_tells_every_row() -> None:
    data = coco_dataset(result_of(kind=["roof", "tree", None, "tree", "roof"], n=range(5)), Picture("s.tif", GRID, "kind"), RECORD)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["images"] == [{"id": 1, "file_name": "s.tif", "width": 160, "height": 120}]
    assert [c["name"] for c in data["categories"]] == ["roof", "tree", "object"]
    assert [a["rosgeo_id"] for a in data["annotations"]] == [0, 2, 3, 4]
    assert [a["category_id"] for a in data["annotations"]] == [1, 3, 2, 1]
    assert [a["id"] for a in data["annotations"]] == [1, 2, 3, 4]
    first = data["annotations"][0]
    assert first["bbox"] == pytest.approx([1, 2, 8, 10])
    assert first["area"] == pytest.approx(80)
    assert sorted(np.reshape(first["segmentation"][0], (-1, 2)).tolist()) == [[1, 2], [1, 12], [9, 2], [9, 12]]
    assert (first["score"], first["iscrowd"], first["attributes"]) == (0.5, 0, {"kind": "roof", "n": 0})
    # Cut off at the raster's edge.
    assert data["annotations"][3]["bbox"] == pytest.approx([150, 110, 10, 10])
    assert data["rosgeo_rows"] == [
        {"rosgeo_id": 1, "category_id": 2, "attributes": {"kind": "tree", "n": 1}, "rosgeo_status": "empty"}
    ]
    assert data["info"]["rosgeo"] == RECORD


def test_coco_polygons_are_what_pycocotools_makes_of_them() -> None:
    data = coco_dataset(result_of(), Picture("s.tif", GRID), RECORD)
    assert [c["name"] for c in data["categories"]] == ["object"]
    for annotation in data["annotations"]:
        pixels = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(annotation["segmentation"], 120, 160)))
        expected = shapely.intersection(ROW_SHAPES[annotation["rosgeo_id"]], shapely.box(0, 0, 160, 120))
        v, u = np.mgrid[:120, :160] + 0.5
        inside = shapely.contains_xy(expected, u, v)
        assert annotation["area"] == pytest.approx(expected.area)
        # pycocotools rounds vertices in a way of its own.
        assert (pixels & inside).sum() / (pixels | inside).sum() > 0.9
        if annotation["rosgeo_id"] == 2:
            assert pixels[35, 35] == pixels[27, 47] == 0


def test_a_ring_with_its_holes_has_their_area() -> None:
    x, y = ring_of(HOLED).T
    assert abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2 == pytest.approx(HOLED.area)


def test_coco_of_other_crs_times_and_no_rows_with_outline() -> None:
    frame = result_of(when=pd.to_datetime(["2024-01-02"] * 5), tags=[[1, 2]] * 5).to_crs(4326)
    data = coco_dataset(frame, Picture("s.tif", GRID), RECORD)
    assert data["annotations"][0]["bbox"] == pytest.approx([1, 2, 8, 10], abs=2e-3)
    assert data["annotations"][0]["attributes"] == {"when": "2024-01-02T00:00:00", "tags": [1, 2]}
    empty = coco_dataset(result_of().iloc[[1]], Picture("s.tif", GRID), RECORD)
    assert (empty["annotations"], len(empty["rosgeo_rows"])) == ([], 1)


# -- Shapefile


def test_a_shapefile_keeps_every_row_and_names_what_it_cannot_hold(tmp_path: Path) -> None:
    result = result_of(
        a_long_name_of_a_column=range(5),
        a_long_name_too=[1.5] * 5,
        A_Long_Nam=["x"] * 5,
        größenordnung=["ä"] * 5,
        text=["é" * 200, "short", None, "x", "y"],
        when=pd.to_datetime(["2024-01-02T03:04:05", None, "2024-01-02", "2024-01-02", "2024-01-02"], format="ISO8601"),
        big=[2**40] * 5,
    )
    with pytest.warns(FormatLossWarning) as caught:
        write_results(result, [tmp_path / "r.shp"], RECORD)
    (message,) = (str(w.message) for w in caught)
    assert "\n" not in message
    for told in ("a_long_name_of_a_column to a_long_n_2", "rosgeo_status to ros_status", "times as text: when", "text (1 row)"):
        assert told in message
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".cpg", ".dbf", ".prj", ".shp", ".shx"]
    back = pyogrio.read_dataframe(tmp_path / "r.shp")
    assert back.crs == UTM33
    assert len(set(back.columns)) == len(result.columns)
    assert all(len(c.encode()) <= 10 for c in back.columns if c != "geometry")
    assert back["rosgeo_id"].tolist() == list(range(5))
    assert back.geometry.isna().tolist() == [False, True, False, False, False]
    assert back["ros_status"].tolist() == result["rosgeo_status"].tolist()
    assert back["a_long_n_2"].tolist() == list(range(5))
    assert back["big"].tolist() == [2**40] * 5
    assert back["text"].iloc[0] == "é" * 127
    assert back["when"].iloc[0] == "2024-01-02T03:04:05"
    np.testing.assert_allclose(back["ros_score"], result["rosgeo_score"])
    for found, written in zip(back.geometry, result.geometry, strict=True):
        assert found is None or found.equals(written)


def test_a_shapefile_is_replaced_with_all_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "r.shp"
    for extra in (".shp", ".dbf", ".qix", ".prj"):
        path.with_suffix(extra).write_text("old")
    (tmp_path / "r.txt").write_text("another's")
    with pytest.raises(OutputError, match=r"r\.dbf exists"):
        check_outputs([path], overwrite=False)
    with pytest.raises(OutputError, match=r"r\.dbf is an input"):
        check_outputs([path], overwrite=True, inputs=(str(tmp_path / "r.dbf"),))
    with pytest.warns(FormatLossWarning):
        write_results(result_of().set_crs(None, allow_override=True), [path], RECORD)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.cpg", "r.dbf", "r.shp", "r.shx", "r.txt"]
    assert len(pyogrio.read_dataframe(path)) == 5


def test_a_shapefile_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapefile, "_MOST_BYTES", 500)
    with pytest.raises(OutputError, match="limit of 2 GB"):
        write_results(result_of(), [tmp_path / "r.shp"], RECORD)
    assert list(tmp_path.iterdir()) == []


# -- GeoJSON, GeoParquet, records


def test_geojson_is_as_the_rfc_has_it(tmp_path: Path) -> None:
    path = tmp_path / "r.geojson"
    write_results(result_of(), [path], RECORD)
    data = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in data
    assert data["rosgeo"] == tail_member(path, "rosgeo") == RECORD
    assert len(data["features"]) == 5
    for feature in data["features"]:
        if feature["geometry"] is None:
            continue
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        for part in shapely.get_parts(shape):
            assert shapely.is_ccw(part.exterior)
            assert not any(shapely.is_ccw(h) for h in part.interiors)
        assert max(len(str(v).partition(".")[2]) for v in shapely.get_coordinates(shape).ravel().tolist()) <= 8
    there = gpd.GeoSeries(gpd.read_file(path).geometry).to_crs(32633)
    assert there.dropna().hausdorff_distance(result_of().geometry.dropna()).max() < 0.002


@pytest.mark.parametrize("offset", [0, 360])
def test_outlines_over_the_antimeridian_are_cut(offset: float) -> None:
    across = shapely.box(179.9, -17, 180.1, -16) if offset else None
    polygons = [across or Polygon([(179.9, -17), (-179.9, -17), (-179.9, -16), (179.9, -16)]), shapely.box(1, 1, 2, 2), None]
    cut = on_the_globe(np.array(polygons, dtype=object))
    assert cut[2] is None
    assert cut[1].equals(polygons[1])
    np.testing.assert_allclose(sorted(p.bounds for p in cut[0].geoms), [(-180, -17, -179.9, -16), (179.9, -17, 180, -16)])
    assert shapely.is_valid(cut[:2]).all()


def test_geoparquet_has_a_covering_and_the_record(tmp_path: Path) -> None:
    write_results(result_of(), [tmp_path / "r.parquet"], RECORD)
    metadata = pyarrow.parquet.read_schema(tmp_path / "r.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    back = gpd.read_parquet(tmp_path / "r.parquet")
    assert list(back.columns) == list(result_of().columns)
    assert back.attrs == {"rosgeo": RECORD}
    assert len(gpd.read_parquet(tmp_path / "r.parquet", bbox=(500_000, 3_999_990, 500_006, 4_000_000))) == 1
    write_results(result_of(bbox=range(5)), [tmp_path / "s.parquet"], RECORD)
    assert gpd.read_parquet(tmp_path / "s.parquet")["bbox"].tolist() == list(range(5))


@pytest.mark.parametrize("suffix", ["gpkg", "fgb"])
def test_record_in_layers(tmp_path: Path, suffix: str) -> None:
    write_results(result_of(), [tmp_path / f"r.{suffix}"], RECORD)
    assert read_record(tmp_path / f"r.{suffix}") == RECORD


# -- several at once


ALL = ("r.gpkg", "r.parquet", "r.geojson", "r.fgb", "r.shp", "r.json", "b.coco.json")


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
def test_all_formats_at_once_hold_the_same_rows(tmp_path: Path) -> None:
    write_results(result_of(), [tmp_path / name for name in ALL], RECORD, picture=Picture("s.tif", GRID))
    for name in ALL[:5]:
        path = tmp_path / name
        frame = gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)
        assert frame["rosgeo_id"].tolist() == list(range(5))
    assert (tmp_path / "r.json").read_bytes() == (tmp_path / "b.coco.json").read_bytes()


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
@pytest.mark.parametrize("failing", ["write", "rename"])
def test_one_that_fails_leaves_all_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    paths = [tmp_path / name for name in ("r.gpkg", "r.shp", "r.geojson", "r.json")]
    write_results(result_of(), paths[:3], RECORD)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    if failing == "write":
        monkeypatch.setattr("rosgeo.vector.layers.write.write_coco", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    else:
        real = Path.replace

        def refuse(self: Path, target: Path) -> Path:
            if Path(target).name == "r.json":
                raise PermissionError(13, "Permission denied")
            return real(self, target)

        monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=r"r\.json"):
        write_results(result_of().iloc[:2], paths, RECORD, picture=Picture("s.tif", GRID))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_outputs_are_checked_together(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="named twice"):
        check_outputs([tmp_path / "a.gpkg", tmp_path / "." / "a.gpkg"], overwrite=True)
    with pytest.raises(OutputError, match="no output format"):
        check_outputs([tmp_path / "a.gpkg", tmp_path / "a.kml"], overwrite=True)
    assert check_outputs([], overwrite=False) == []


def test_python_takes_a_list(tmp_path: Path, write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    boxes = px_boxes([(10, 10, 40, 30), (500, 500, 510, 510)], NORTH_UP, "EPSG:32633", kind=["roof", "tree"])
    outputs = [tmp_path / "r.gpkg", tmp_path / "r.json"]
    segment_run(
        write_raster(), boxes, SegmentOptions(), output=outputs, class_column="kind", segmenter=ellipse_segmenter  # type: ignore[arg-type]
    )  # fmt: skip
    data = json.loads(outputs[1].read_text(encoding="utf-8"))
    assert data["images"][0] == {"id": 1, "file_name": "scene.tif", "width": 160, "height": 120}
    (annotation,) = data["annotations"]
    assert annotation["bbox"] == pytest.approx([10, 10, 30, 20], abs=0.3)
    assert [r["rosgeo_status"] for r in data["rosgeo_rows"]] == ["outside"]
    assert [c["name"] for c in data["categories"]] == ["roof", "tree"]
    assert len(gpd.read_file(outputs[0], layer="masks")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.gpkg", "r.json", "scene.tif"]


# -- the command line, and STAC


def item_problems(item: dict[str, Any]) -> list[str]:
    """What a STAC item breaks of the item spec 1.1.0 and of the projection extension 2.0.0, field by field."""
    required = ("type", "stac_version", "id", "geometry", "properties", "links", "assets")
    problems = [f"{key} is missing" for key in required if key not in item]
    if (item["type"], item["stac_version"]) != ("Feature", "1.1.0"):
        problems.append("type or version")
    if (item["geometry"] is None) == ("bbox" in item):
        problems.append("bbox is there where and only where there is a geometry")
    properties = item["properties"]
    if "datetime" not in properties or (
        properties["datetime"] is None and not (properties.get("start_datetime") and properties.get("end_datetime"))
    ):
        problems.append("datetime")
    for key in ("datetime", "start_datetime", "end_datetime", "created"):
        if properties.get(key) is not None and not str(properties[key]).endswith("Z"):
            problems.append(f"{key} is not in UTC")
    problems += [f"link {link} lacks rel or href" for link in item["links"] if not {"rel", "href"} <= set(link)]
    problems += [f"asset {key} lacks href" for key, asset in item["assets"].items() if "href" not in asset]
    problems += [f"{u} is no address" for u in item["stac_extensions"] if not u.startswith("https://")]
    if not any("/projection/v2" in u for u in item["stac_extensions"]):
        problems.append("proj: fields without their extension")
    if "proj:epsg" in properties or "proj:code" not in properties:
        problems.append("proj:code")
    if len(properties.get("proj:bbox", [0] * 4)) != 4 or len(properties.get("proj:transform", [0] * 6)) not in (6, 9):
        problems.append("proj:bbox or proj:transform")
    return problems


def test_the_command_line_writes_all_of_it(site: Site) -> None:
    (site.folder / "out").mkdir()
    run = site.run(
        "scene.tif", "boxes.gpkg", "-o", "out/r.gpkg", "-o", "out/r.json", "--class-column", "name", "--mask-raster", "m.tif",
        "--preview", "p.png", "--stac", "--datetime", "2024-05-01/2024-05-31", "--json", "-q",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["output"], told["outputs"], told["stac"]) == ("out/r.gpkg", ["out/r.gpkg", "out/r.json"], "out/r.stac.json")
    item = json.loads((site.folder / "out/r.stac.json").read_text(encoding="utf-8"))
    assert item_problems(item) == []
    assert item["id"] == "r"
    hrefs = {key: asset["href"] for key, asset in item["assets"].items()}
    assert hrefs == {"outlines": "./r.gpkg", "outlines_json": "./r.json", "mask": "../m.tif", "preview": "../p.png"}
    assert [link["href"] for link in item["links"]] == ["../scene.tif"]
    assert all((site.folder / "out" / href).is_file() for href in hrefs.values())
    properties = item["properties"]
    assert properties["datetime"] is None
    assert (properties["start_datetime"], properties["end_datetime"]) == ("2024-05-01T00:00:00Z", "2024-05-31T23:59:59Z")
    assert (properties["proj:code"], properties["proj:shape"]) == ("EPSG:32633", [120, 160])
    assert properties["proj:transform"] == [0.5, 0, 500_000, 0, -0.5, 4_000_000]
    assert properties["proj:bbox"] == [500_000, 3_999_940, 500_080, 4_000_000]
    footprint = shapely.geometry.shape(item["geometry"])
    np.testing.assert_allclose(footprint.bounds, item["bbox"], rtol=0, atol=1e-9)
    ground = gpd.GeoSeries([footprint], crs=4326).to_crs(32633).iloc[0]
    assert ground.hausdorff_distance(shapely.box(500_000, 3_999_940, 500_080, 4_000_000)) < 0.05


def test_an_item_of_a_scene_without_crs_has_no_place(site: Site, write_raster: WriteRaster) -> None:
    write_raster("plain.tif", transform=None, crs=None)
    run = site.run("plain.tif", "boxes.gpkg", "--boxes-crs", "pixel", "--stac", "--datetime", "2024-05-01T10:30:00+02:00")
    assert run.exit_code == 0, run.output
    item = json.loads((site.folder / "plain_masks.stac.json").read_text(encoding="utf-8"))
    assert item_problems(item) == []
    assert (item["geometry"], item["properties"]["datetime"]) == (None, "2024-05-01T08:30:00Z")


def test_what_the_scene_tells_of_its_time(write_raster: WriteRaster) -> None:
    path = write_raster()
    with pytest.raises(OptionError, match=r"--stac needs to know .* does not tell\. Pass --datetime"):
        scene_times(str(path), None)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2023:07:08 09:10:11")
    assert scene_times(str(path), None) == {"datetime": "2023-07-08T09:10:11Z"}
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2022-01-02 03:04:05")
    assert scene_times(str(path), None) == {"datetime": "2022-01-02T03:04:05Z"}
    for wrong in ("yesterday", "2024-13-01", "2024-05-02/2024-05-01", "", "2024-05-01/"):
        with pytest.raises(OptionError, match="--datetime"):
            scene_times(str(path), wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "n.gpkg", "--stac"), ("--stac", "--datetime")),
        (("-o", "n.gpkg", "--datetime", "2024-05-01"), ("--datetime", "--stac")),
        (("-o", "n.json", "--class-column", "nme"), ("nme", "name")),
        (("-o", "n.gpkg", "--class-column", "name"), ("--class-column", "COCO")),
        (("-o", "n.gpkg", "-o", "./n.gpkg"), ("twice",)),
        (("-o", "n.gpkg", "-o", "out.gpkg"), ("out.gpkg", "--overwrite")),
        (("-o", "n.gpkg", "--fill-holes", "some"), ("some",)),
        (("-o", "n.shp", "-o", "missing/n.json"), ("missing",)),
    ],
)
def test_what_is_wrong_is_said_before_any_work(site: Site, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    site.refuse("scene.tif", "boxes.gpkg", *arguments, words=words)


@pytest.mark.filterwarnings("default::rosgeo.errors.FormatLossWarning")
def test_a_shapefile_is_one_warning_on_the_command_line(site: Site, cli: Callable[..., Result]) -> None:
    run = cli("segment", "scene.tif", "boxes.gpkg", "-o", "n.shp", "--model", site.model, "-q")
    assert run.exit_code == 0, run.output
    assert run.stderr.startswith("Warning: n.shp: a Shapefile cannot hold all as it is: renamed rosgeo_status to ros_status")
    assert len(run.stderr.splitlines()) == 1
    assert not os.path.exists("n.gpkg")


def test_antimeridian_scene(write_raster: WriteRaster) -> None:
    from rosgeo.outputs.stac import stac_item

    grid = RasterGrid(100, 100, AffineMapping(Affine(0.002, 0, 179.9, 0, -0.002, -16)), CRS.from_epsg(4326))
    record = {"finished": "2026-01-02T03:04:05Z", "versions": {}, "model": {"name": "m", "sha256": "0"}, "counts": {}}
    item = stac_item("x", "scene.tif", grid, record, times={"datetime": "2026-01-02T03:04:05Z"}, folder=Path(), outlines=[])
    assert item_problems(item) == []
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"] == pytest.approx([179.9, -16.2, -179.9, -16])  # west is larger than east: RFC 7946, 5.2
