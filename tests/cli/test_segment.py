"""What ``rosgeo segment`` writes, prints and leaves alone."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import rasterio
import rosgeo
import shapely
from click.testing import Result
from PIL import Image
from pyproj import CRS, Geod
from rosgeo.geometry.windows import CropPolicy
from rosgeo.types import Crop, ObjectMask

from tests.cli_site import BOX, TRANSFORM, UTM, Site
from tests.conftest import EllipseSegmenter, WriteRaster, px_boxes

OURS = ["rosgeo_id", "rosgeo_status", "rosgeo_score", "rosgeo_stability", "rosgeo_area_m2", "rosgeo_model"]
SCENE = shapely.box(500_000, 3_999_940, 500_080, 4_000_000)
BOXES = [(60.0, 60.0, 90.0, 100.0), (500.0, 500.0, 520.0, 520.0), (100.0, 5.0, 130.0, 30.0), (5.0, 80.0, 40.0, 110.0), BOX]


@pytest.fixture
def site(site: Site) -> Site:
    """The shared one, with five boxes."""
    site.boxes(BOXES, name=list("abcde"), number=range(5))
    return site


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def read(path: str) -> gpd.GeoDataFrame:
    if path.endswith(".parquet"):
        return gpd.read_parquet(path)
    return gpd.read_file(path, **({"layer": "masks"} if path.lower().endswith(".gpkg") else {}))


# ---------------------------------------------------------------- the result


@pytest.mark.parametrize("name", [None, "new.gpkg", "new.parquet", "new.geojson", "new.fgb", "NEW.GPKG"])
def test_a_row_for_every_row_in_order(site: Site, name: str | None) -> None:
    done(site.run("scene.tif", "boxes.gpkg", *(["-o", name] if name else [])))
    frame = read(name or "scene_masks.gpkg")
    assert [c for c in frame.columns if c != "geometry"] == ["name", "number", "boxes_fid", *OURS]
    assert list(frame.name) == list("abcde")
    assert list(frame.number) == list(range(5))
    assert list(frame.rosgeo_id) == list(range(5))
    assert set(frame.rosgeo_status[[0, 2, 3, 4]]) <= {"ok", "empty"}
    assert frame.rosgeo_status[1] == "outside"
    assert frame.geometry[1] is None
    assert set(frame.rosgeo_model.dropna()) == {"tiny"}

    found = frame[frame.rosgeo_status == "ok"]
    assert len(found) > 0
    assert found.geometry.is_valid.all()
    assert set(found.geom_type) <= {"Polygon", "MultiPolygon"}
    assert found.rosgeo_score.between(0, 1).all()
    assert found.rosgeo_stability.between(0, 1).all()
    # The outline lies near its own box, so rows and geometries belong together.
    for shape, box in zip(
        found.to_crs(UTM).geometry, px_boxes([BOXES[i] for i in found.rosgeo_id], TRANSFORM, UTM).geometry, strict=True
    ):
        assert shape.intersects(box)
        assert SCENE.buffer(1e-3).contains(shape)
    geod = Geod(ellps="WGS84")
    area = [abs(geod.geometry_area_perimeter(g)[0]) for g in found.to_crs(4326).geometry]
    assert found.rosgeo_area_m2.to_numpy() == pytest.approx(area, rel=1e-3)
    # GeoJSON is in WGS 84, whatever the raster's CRS.
    assert frame.crs.equals(CRS(4326 if name == "new.geojson" else UTM), ignore_axis_order=True)


def test_old_files_are_left_alone(site: Site) -> None:
    before = site.files()
    done(site.run("scene.tif", "boxes.gpkg"))
    after = site.files()
    assert set(after) - set(before) == {"scene_masks.gpkg"}
    assert all(after[name] == before[name] for name in before)


def test_default_output_is_in_the_current_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done(site.run("../scene.tif", "../boxes.gpkg"))
    assert [p.name for p in elsewhere.iterdir()] == ["scene_masks.gpkg"]


def test_the_geopackage_holds_a_style_and_the_record(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg"))
    with sqlite3.connect("scene_masks.gpkg") as db:
        styles = db.execute("SELECT f_table_name, useAsDefault, styleQML FROM layer_styles").fetchall()
        metadata = " ".join(row[0] for row in db.execute("SELECT metadata FROM gpkg_metadata"))
    assert [row[:2] for row in styles] == [("masks", 1), ("prompts", 1)]
    assert "<qgis" in styles[0][2]
    for word in ("versions", "sha256", "tiny", "scene.tif", "boxes.gpkg", "counts"):
        assert word in metadata


def test_another_crs(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg"))
    done(site.run("scene.tif", "boxes.gpkg", "--crs", "EPSG:3857", "-o", "web.gpkg"))
    plain, web = read("scene_masks.gpkg"), read("web.gpkg")
    assert (plain.crs.to_epsg(), web.crs.to_epsg()) == (32633, 3857)
    assert web.rosgeo_area_m2.to_numpy() == pytest.approx(plain.rosgeo_area_m2.to_numpy(), nan_ok=True)
    found = plain.geometry.notna()
    assert shapely.hausdorff_distance(web[found].to_crs(UTM).geometry, plain[found].geometry).max() < 0.01


def test_boxes_in_another_crs(site: Site) -> None:
    frame = gpd.read_file("boxes.gpkg")
    frame.to_crs(4326).to_file("degrees.geojson")
    done(site.run("scene.tif", "degrees.geojson"))
    result = read("scene_masks.gpkg")
    assert result.crs.to_epsg() == 32633
    assert list(result.rosgeo_status == "outside") == [False, True, False, False, False]


def test_all_kinds_of_columns_come_back(site: Site) -> None:
    frame = px_boxes([BOX, BOX], TRANSFORM, UTM)
    frame["text"], frame["whole"], frame["real"] = ["é", None], [2**40, -1], [0.1, np.nan]
    frame["truth"] = [True, False]
    frame["when"] = pd.to_datetime(["2024-02-29T12:00:00", None])
    frame.to_parquet("kinds.parquet")
    done(site.run("scene.tif", "kinds.parquet", "-o", "kinds_out.parquet"))
    result = gpd.read_parquet("kinds_out.parquet")
    pd.testing.assert_frame_equal(pd.DataFrame(result[list(frame.columns[1:])]), pd.DataFrame(frame.drop(columns="geometry")))
    done(site.run("scene.tif", "kinds.parquet", "-o", "kinds_out.gpkg"))
    result = read("kinds_out.gpkg")
    assert list(result.whole) == [2**40, -1]
    assert list(result.truth) == [True, False]
    assert result.text[0] == "é"
    assert pd.isna(result.text[1])


@pytest.mark.parametrize(
    "columns", [["fid", "geom", "ogc_fid", "shape", "select", "a b", "x'\"y"], ["FID", "GEOM", "id", "rowid", "class"]]
)
@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_awkward_column_names_come_back(site: Site, columns: list[str], ending: str) -> None:
    frame = px_boxes([BOX, BOXES[0]], TRANSFORM, UTM)
    for column in columns:
        frame[column] = [7, 7]
    frame.to_parquet("odd.parquet")
    done(site.run("scene.tif", "odd.parquet", "-o", f"odd_out{ending}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GeoJSON with the same id twice
        result = read(f"odd_out{ending}")
    for column in columns:
        assert list(result[column]) == [7, 7], column


def test_columns_that_differ_in_case_only(site: Site) -> None:
    """A GeoPackage cannot hold them as they are."""
    frame = px_boxes([BOX], TRANSFORM, UTM)
    frame["Name"], frame["name"] = ["A"], ["a"]
    frame.to_parquet("case.parquet")
    done(site.run("scene.tif", "case.parquet", "-o", "case_out.parquet"))
    assert list(read("case_out.parquet")[["Name", "name"]].iloc[0]) == ["A", "a"]
    run = site.run("scene.tif", "case.parquet", "-o", "case_out.gpkg")
    assert "a GeoPackage cannot hold all as it is: renamed name to name_2" in run.stderr
    assert list(read("case_out.gpkg")[["Name", "name_2"]].iloc[0]) == ["A", "a"]


def test_spaces_and_letters_of_other_scripts(site: Site, write_raster: WriteRaster) -> None:
    write_raster("Снимок № 1.tif")
    site.write(px_boxes([BOX], TRANSFORM, UTM, **{"größe (m²)": [3], "船": ["é"]}), "my böxes.gpkg", layer="bâtiments à voir")
    done(site.run("Снимок № 1.tif", "my böxes.gpkg", "--layer", "bâtiments à voir", "--where", '"größe (m²)" = 3'))
    frame = read("Снимок № 1_masks.gpkg")
    assert (frame["größe (m²)"][0], frame["船"][0]) == (3, "é")


def test_where_takes_rows_and_keeps_their_numbers(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg", "--where", "name IN ('c', 'e')"))
    frame = read("scene_masks.gpkg")
    assert list(frame.name) == ["c", "e"]
    assert list(frame.rosgeo_id) == [2, 4]  # the rows of the input


# ---------------------------------------------------------------- pixels, and layers without CRS


def test_scene_and_boxes_without_crs_are_in_pixels(site: Site, write_raster: WriteRaster) -> None:
    write_raster("bare.tif", crs=None, transform=None)
    site.write(gpd.GeoDataFrame(geometry=[shapely.box(*b) for b in BOXES], crs=None))
    for extra in ([], ["--boxes-crs", "pixel"]):
        result = done(site.run("bare.tif", "boxes.gpkg", "-o", "px.gpkg", "--overwrite", *extra))
        assert "arning" not in result.output
        frame = read("px.gpkg")
        assert frame.crs is None or "undefined" in frame.crs.name.lower()
        for shape, box in zip(frame.geometry, BOXES, strict=True):
            assert shape is None or shape.intersects(shapely.box(box[0], -box[3], box[2], -box[1]))
        assert list(frame.rosgeo_status == "outside") == [False, True, False, False, False]


def test_pixel_boxes_on_a_scene_with_crs(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg", "-o", "map.gpkg"))
    site.write(gpd.GeoDataFrame(geometry=[shapely.box(*b) for b in BOXES], crs=None), "px.shp")
    done(site.run("scene.tif", "px.shp", "--boxes-crs", "pixel", "-o", "px.gpkg"))
    a, b = read("map.gpkg"), read("px.gpkg")
    assert b.crs.to_epsg() == 32633
    assert a.geometry.geom_equals_exact(b.geometry, 1e-3)[a.geometry.notna()].all()


def test_crs_of_boxes_that_have_none(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg", "-o", "map.gpkg"))
    site.boxes(BOXES, crs=None)
    done(site.run("scene.tif", "boxes.gpkg", "--boxes-crs", UTM, "-o", "same.gpkg"))
    assert list(read("map.gpkg").rosgeo_area_m2.dropna()) == pytest.approx(list(read("same.gpkg").rosgeo_area_m2.dropna()))


# ---------------------------------------------------------------- what is printed


def test_json_is_all_there_is_on_standard_output(site: Site) -> None:
    result = done(site.run("scene.tif", "boxes.gpkg", "--json", "--preview", "out.png"))
    record = json.loads(result.stdout)
    assert sum(record["counts"].values()) == 5
    assert record["counts"]["outside"] == 1
    assert (record["output"], record["preview"]) == ("scene_masks.gpkg", "out.png")
    quiet = done(site.run("scene.tif", "boxes.gpkg", "--json", "--quiet", "--overwrite"))
    assert json.loads(quiet.stdout)["counts"] == record["counts"]
    assert quiet.stderr == ""


def test_json_where_all_boxes_are_outside(site: Site) -> None:
    site.boxes([(500, 500, 520, 520)])
    result = done(site.run("scene.tif", "boxes.gpkg", "--json"))
    assert json.loads(result.stdout)["counts"] == {"outside": 1}
    assert "Warning: " in result.stderr


def test_json_of_a_run_that_cannot_be(site: Site) -> None:
    site.refuse("scene.tif", "missing.gpkg", "--json")  # nothing on standard output


def test_summary_and_quiet(site: Site) -> None:
    result = done(site.run("scene.tif", "boxes.gpkg"))
    assert "scene_masks.gpkg" in result.output
    assert "1 outside" in result.output
    assert done(site.run("scene.tif", "boxes.gpkg", "--overwrite", "-q")).output == ""


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_preview(site: Site, write_raster: WriteRaster, dtype: str) -> None:
    write_raster("any.tif", np.random.default_rng(0).integers(1, 255, (1, 120, 160)).astype(dtype))
    done(site.run("any.tif", "boxes.gpkg", "--preview", "out.png"))
    with Image.open("out.png") as image:
        assert image.width >= 160
        assert image.height >= 120
        assert image.convert("RGB").getcolors(1) is None  # not blank


# ---------------------------------------------------------------- many, and half-way


def segment_run(scene: object, boxes: object, segmenter: Any, **options: Any) -> gpd.GeoDataFrame:
    return rosgeo.segment_run(
        scene, boxes, rosgeo.SegmentOptions(crop=CropPolicy(min_side=8)), segmenter=segmenter, **options
    ).result  # type: ignore[arg-type]


def test_ten_thousand_boxes(site: Site, write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    count = 10_000
    write_raster("wide.tif", np.full((1, 800, 800), 9, "uint8"))
    x, y = np.random.default_rng(0).uniform(20, 760, (2, count))
    layer = gpd.GeoDataFrame({"k": np.arange(count)}, geometry=shapely.box(x, y, x + 4, y + 3), crs=None)
    layer.geometry = layer.geometry.affine_transform(TRANSFORM.to_shapely())
    site.write(layer.set_crs(UTM), "many.gpkg")
    result = segment_run("wide.tif", "many.gpkg", ellipse_segmenter, output="many_out.gpkg")
    assert list(result.k) == list(result.rosgeo_id) == list(range(count))
    assert (result.rosgeo_status == "ok").all()
    assert shapely.distance(result.centroid, layer.centroid).max() < 0.05
    assert len(read("many_out.gpkg")) == count


class Breaks(EllipseSegmenter):
    def segment(self, crops: Iterator[Crop]) -> Iterator[ObjectMask]:  # type: ignore[override]
        for index, mask in enumerate(super().segment(crops)):
            if index == 2:
                raise KeyboardInterrupt
            yield mask


@pytest.mark.parametrize("name", ["out.gpkg", "new.gpkg", "new.parquet"])
def test_an_interrupted_run_leaves_nothing(site: Site, name: str) -> None:
    before = site.files()
    with pytest.raises(KeyboardInterrupt):
        segment_run("scene.tif", "boxes.gpkg", Breaks(), output=name, overwrite=True)
    assert site.files() == before


def test_overwrite_replaces_the_whole_file(site: Site) -> None:
    done(site.run("scene.tif", "boxes.gpkg", "-o", "out.gpkg", "--overwrite"))
    with sqlite3.connect("out.gpkg") as db:
        assert [r[0] for r in db.execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")] == [
            "masks",
            "prompts",
        ]


# ---------------------------------------------------------------- other ways in


def test_a_raster_and_boxes_from_elsewhere(site: Site, write_raster: WriteRaster) -> None:
    """A VRT, and the frame and data set that a notebook has open."""
    with rasterio.open("scene.tif") as scene:
        result = rosgeo.segment(scene, gpd.read_file("boxes.gpkg"), model=site.model)
    assert list(result.rosgeo_id) == list(range(5))
    from rasterio.shutil import copy

    copy("scene.tif", "scene.vrt", driver="VRT")
    done(site.run("scene.vrt", "boxes.gpkg"))
