"""Masks to polygons, and layers in and out."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyogrio.errors import DataSourceError
from pyproj import CRS
from rosgeo.errors import BoxesError, CRSMismatchError, InputFileNotFoundError, OptionError, OutputError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import CropWindow, FloatArray, ObjectMask, RasterGrid
from rosgeo.vector.polygonize import OutlineOptions, geodesic_area_m2, map_precision, mask_to_polygon, polygon_to_map
from rosgeo.vector.read import check_frames, read_boxes
from rosgeo.vector.result import RESULT_COLUMNS, ObjectResult, assemble_result, refuse_clashing_columns
from rosgeo.vector.write import LAYER, check_output, output_driver, read_record, write_result
from shapely import MultiPolygon, Point, Polygon

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

UTM33, WGS84 = CRS.from_epsg(32633), CRS.from_epsg(4326)
WINDOW = CropWindow(-7, 1003, 40)


def mask_of(logit: Callable[[FloatArray, FloatArray], Any], cells: int = 1, window: CropWindow = WINDOW) -> ObjectMask:
    """Logits of a function of (x, y) in the crop frame, sampled at the centres of cells."""
    centres = (np.arange(window.size * cells) + 0.5) / cells
    logits = np.broadcast_to(logit(centres[None, :], centres[:, None]), (len(centres),) * 2)
    return ObjectMask(3, window, logits.astype(np.float32), 0.9, 0.8)


def disc(x: float, y: float, radius: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda u, v: radius - np.hypot(u - x, v - y)


def rectangle(*box: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda u, v: np.minimum(np.minimum(u - box[0], box[2] - u), np.minimum(v - box[1], box[3] - v))


def outline(mask: ObjectMask, box_crop: tuple[float, ...] | None = None, **options: Any) -> Any:
    """The polygon in the crop frame."""
    window = mask.window
    box = window.crop_to_px(np.array(box_crop or (0, 0, window.size, window.size), dtype=np.float64))
    polygon = mask_to_polygon(mask, box, OutlineOptions(**options))
    return None if polygon is None else shapely.transform(polygon, window.px_to_crop)


def two_discs(u: FloatArray, v: FloatArray) -> FloatArray:
    return np.maximum(disc(10, 10, 4)(u, v), disc(30, 28, 6)(u, v))


def annulus(u: FloatArray, v: FloatArray) -> FloatArray:
    return np.minimum(disc(20, 20, 12)(u, v), -disc(20, 20, 5)(u, v))


# -- outlines


DISC_LIMITS = [
    # Every vertex kept. What is missing is between chord and arc: at 2 px and off the grid's symmetry a little more than centred.
    (0.0, 2, (0.0, 0.0), 0.95),
    (0.0, 2, (0.3, -0.2), 0.94),
    *[
        (0.0, r, shift, least)
        for r, least in ((4, 0.98), (8, 0.99), (16, 0.995))
        for shift in ((0.0, 0.0), (0.3, -0.2), (0.5, 0.5))
    ],
    # The default tolerance of 0.1 px takes away up to that much of an arc.
    *[(0.1, r, (0.3, -0.2), least) for r, least in ((2, 0.93), (4, 0.98), (8, 0.99), (16, 0.993))],
]


@pytest.mark.parametrize(("simplify", "radius", "shift", "least"), DISC_LIMITS)
def test_a_disc_is_round_and_in_its_place(simplify: float, radius: float, shift: tuple[float, float], least: float) -> None:
    x, y = 20 + shift[0], 20 + shift[1]
    polygon = outline(mask_of(disc(x, y, radius)), simplify=simplify)
    truth = Point(x, y).buffer(radius, quad_segs=256)
    assert polygon.intersection(truth).area / polygon.union(truth).area >= least
    atol = 0.01 if not simplify else 0.02
    np.testing.assert_allclose([polygon.centroid.x, polygon.centroid.y], [x, y], rtol=0, atol=atol)


@pytest.mark.parametrize("cells", [1, 4])
def test_pixel_outline_of_a_square_is_exact(cells: int) -> None:
    polygon = outline(mask_of(rectangle(11, 7, 23, 31), cells), outline="pixel")
    assert polygon.equals(shapely.box(11, 7, 23, 31))
    assert shapely.get_num_coordinates(polygon) == 5


def test_cells_finer_or_coarser_than_pixels() -> None:
    for window, cells in ((WINDOW, 4), (CropWindow(-7, 1003, 80), 0.5)):
        polygon = outline(mask_of(disc(20.3, 19.8, 8), cells, window))  # type: ignore[arg-type]
        assert polygon.centroid.distance(Point(20.3, 19.8)) < 0.1
        assert polygon.area == pytest.approx(64 * np.pi, rel=0.02)
    coarse = outline(mask_of(rectangle(12, 8, 24, 32), 0.5, CropWindow(5, 6, 80)), outline="pixel")  # type: ignore[arg-type]
    assert coarse.equals(shapely.box(12, 8, 24, 32))


@pytest.mark.parametrize("kind", ["smooth", "pixel"])
def test_holes_are_kept(kind: str) -> None:
    polygon = outline(mask_of(annulus, 4), outline=kind)
    assert len(polygon.interiors) == 1
    assert polygon.area == pytest.approx(np.pi * (144 - 25), rel=0.02)
    assert outline(mask_of(annulus, 4), outline=kind, min_area=70).interiors[:]
    assert not outline(mask_of(annulus, 4), outline=kind, min_area=90).interiors[:]


@pytest.mark.parametrize("kind", ["smooth", "pixel"])
def test_parts(kind: str) -> None:
    mask = mask_of(two_discs, 4)
    both = outline(mask, outline=kind)
    assert isinstance(both, MultiPolygon)
    assert len(both.geoms) == 2
    assert outline(mask, outline=kind, parts="largest").centroid.distance(Point(30, 28)) < 0.1
    assert outline(mask, outline=kind, min_area=60).centroid.distance(Point(30, 28)) < 0.1
    small = outline(mask, (5, 5, 15, 15), outline=kind, parts="largest")
    assert small.centroid.distance(Point(10, 10)) < 0.1
    assert outline(mask, (0, 30, 5, 39), outline=kind) is None
    assert outline(mask, outline=kind, min_area=1000) is None
    assert outline(mask_of(lambda u, v: -1.0 + 0 * u * v), outline=kind) is None


def test_simplify() -> None:
    mask = mask_of(disc(20, 20, 12), 4)
    every, some, few = (outline(mask, simplify=tolerance) for tolerance in (0.0, 0.1, 1.0))
    counts = [shapely.get_num_coordinates(p) for p in (every, some, few)]
    assert counts[0] > 2 * counts[1] > 2 * counts[2]
    assert shapely.hausdorff_distance(some, every, densify=0.1) <= 0.11
    assert outline(mask, outline="pixel", simplify=1.0).equals(outline(mask, outline="pixel", simplify=0.0))


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 12),
    cells=st.integers(1, 3),
    whole=st.booleans(),
    kind=st.sampled_from(["smooth", "pixel"]),
    simplify=st.sampled_from([0.0, 0.1, 1.0]),
    min_area=st.sampled_from([0.0, 2.0]),
)
@settings(max_examples=300)
def test_polygons_are_valid_and_stay_in_the_crop(
    seed: int, size: int, cells: int, whole: bool, kind: Literal["smooth", "pixel"], simplify: float, min_area: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = (size * cells, size * cells)
    logits = rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)  # whole numbers: many ties at zero
    mask = ObjectMask(0, CropWindow(-5, 900, size), logits.astype(np.float32), 0.5, 0.5)
    polygon = outline(mask, outline=kind, simplify=simplify, min_area=min_area)
    if polygon is None:
        assert min_area > 0 or kind == "pixel" or not (logits > 0).any()
        return
    assert polygon.is_valid
    assert polygon.geom_type in ("Polygon", "MultiPolygon")
    assert min(polygon.bounds) >= -1e-9
    assert max(polygon.bounds) <= size + 1e-9


def test_a_full_mask_is_the_whole_crop() -> None:
    for kind in ("smooth", "pixel"):
        polygon = outline(mask_of(lambda u, v: 3.0 + 0 * u * v), outline=kind)
        assert polygon.symmetric_difference(shapely.box(0, 0, 40, 40)).area < 0.6  # a smooth outline cuts the corners


# -- to the map

TRANSFORMS = {
    "north-up": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),
    "south-up": Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000),
    "rotated": Affine.translation(500_000, 4_000_000) * Affine.rotation(25) * Affine.scale(0.5, -0.5),
    "degrees": Affine(4e-6, 0, 15.1, 0, -4e-6, 36.2),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_polygon_to_map(name: str) -> None:
    grid = RasterGrid(300, 400, AffineMapping(TRANSFORMS[name]), UTM33)
    precision = map_precision(grid)
    pixel = abs(TRANSFORMS[name].determinant) ** 0.5
    assert pixel / 1001 <= precision <= pixel / 99
    donut = Polygon(Point(100.3, 80.7).buffer(30).exterior, [Point(100.3, 80.7).buffer(10).exterior])
    moved = polygon_to_map(donut, grid, precision)
    assert isinstance(moved, Polygon)
    assert moved.is_valid
    assert moved.exterior.is_ccw
    assert len(moved.interiors) == 1
    assert not moved.interiors[0].is_ccw
    steps = shapely.get_coordinates(moved) / precision
    assert np.abs(steps - np.round(steps)).max() < 1e-4
    back = shapely.transform(moved, grid.mapping.to_px)
    assert shapely.hausdorff_distance(back, donut) < 0.02
    assert polygon_to_map(shapely.box(5, 5, 5.0001, 5.0001), grid, precision) is None


@pytest.mark.parametrize("pixel", [0.01, 0.1, 0.5, 1.0, 10.0, 1e-4, 1e-5])
def test_a_clip_is_rounded_like_its_scene(pixel: float) -> None:
    origin = (500_000.3, 4_000_000.7) if pixel >= 0.01 else (12.3, 45.7)
    scene = Affine(pixel, 0, origin[0], 0, -pixel, origin[1])
    clips = [(0, 0, 3000, 4000), (17, 3, 200, 300), (1001, 857, 64, 65), (2900, 1234, 101, 99), (11, 77, 512, 512)]
    grids = [RasterGrid(h, w, AffineMapping(scene * Affine.translation(x, y))) for x, y, h, w in clips]
    assert len({map_precision(grid) for grid in grids}) == 1


def test_geodesic_area() -> None:
    square = shapely.box(500_000, 4_000_000, 501_000, 4_001_000)
    hole = shapely.box(500_200, 4_000_200, 500_700, 4_000_700)
    two = MultiPolygon([square, shapely.box(502_000, 4_000_000, 503_000, 4_001_000)])
    areas = geodesic_area_m2([square, None, square.difference(hole), two], UTM33)
    np.testing.assert_allclose(areas, [1e6, np.nan, 0.75e6, 2e6], rtol=0.002)
    degrees = gpd.GeoSeries([shapely.segmentize(square, 10)], crs=UTM33).to_crs(WGS84).to_list()
    np.testing.assert_allclose(geodesic_area_m2(degrees, WGS84), areas[:1], rtol=1e-6)
    assert np.isnan(geodesic_area_m2([square, None], None)).all()
    assert geodesic_area_m2([], UTM33).shape == (0,)


def test_geodesic_area_whichever_way_the_rings_turn() -> None:
    shell, hole = shapely.box(5e5, 4e6, 501_000, 4_001_000), shapely.box(500_200, 4_000_200, 500_700, 4_000_700)
    same_turn = Polygon(shell.exterior, [hole.exterior])
    np.testing.assert_allclose(geodesic_area_m2([same_turn], UTM33), [0.75e6], rtol=0.002)


# -- boxes in


def layer_of(count: int = 5, crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    geometry = [shapely.box(i, 10 * i, i + 4, 10 * i + 5) for i in range(count)]
    return gpd.GeoDataFrame({"kind": [f"k{i}" for i in range(count)], "n": np.arange(count), **columns}, geometry=geometry, crs=crs)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb", "parquet"])
def test_read_boxes(tmp_path: Path, suffix: str) -> None:
    frame, path = layer_of(), tmp_path / f"boxes.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        pyogrio.write_dataframe(frame, path, **({"SPATIAL_INDEX": "NO"} if suffix == "fgb" else {}))
    read = read_boxes(path)
    assert read["kind"].tolist() == frame["kind"].tolist()
    assert read["n"].tolist() == [0, 1, 2, 3, 4]
    assert read.index.tolist() == [0, 1, 2, 3, 4]
    assert shapely.equals(read.geometry.to_numpy(), frame.geometry.to_numpy()).all()
    assert read.crs == UTM33
    assert read_boxes(str(path)).equals(read)
    if suffix != "parquet":
        some = read_boxes(path, where="n >= 3")
        assert some["n"].tolist() == [3, 4]
        assert some.index.tolist() == [3, 4]  # rows of the layer


def test_read_boxes_of_a_frame_copies_it() -> None:
    frame = layer_of().set_index(pd.Index(list("abcde")))
    read = read_boxes(frame)
    assert read.equals(frame)
    read["n"] = -1
    assert frame["n"].tolist() == [0, 1, 2, 3, 4]
    for selection in ({"layer": "x"}, {"where": "n = 1"}):
        with pytest.raises(OptionError, match="select from a file"):
            read_boxes(frame, **selection)


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    for name, count in (("ships", 3), ("planes", 2)):
        pyogrio.write_dataframe(layer_of(count), path, layer=name)
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), path, layer="notes")
    assert len(read_boxes(path, layer="ships")) == 3
    assert len(read_boxes(path, layer="planes", where="n = 1")) == 1
    with pytest.raises(OptionError, match=r"2 layers \(ships, planes\).*--layer"):
        read_boxes(path)
    with pytest.raises(OptionError, match="no layer 'cars'; it has: ships, planes, notes"):
        read_boxes(path, layer="cars")
    with pytest.raises(BoxesError, match="without geometries"):
        read_boxes(path, layer="notes")
    with pytest.raises(BoxesError, match="holds no boxes where n > 99"):
        read_boxes(path, layer="ships", where="n > 99")


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
@pytest.mark.parametrize("where", ["nonsense ((", "no_such_column = 1"])
def test_a_condition_that_is_not_understood(tmp_path: Path, suffix: str, where: str) -> None:
    pyogrio.write_dataframe(layer_of(), tmp_path / f"boxes.{suffix}")
    with pytest.raises(OptionError, match=r"--where .* is not understood"):
        read_boxes(tmp_path / f"boxes.{suffix}", where=where)


def test_files_that_are_no_boxes(tmp_path: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match="no such file"):
        read_boxes(tmp_path / "none.gpkg")
    for suffix in ("gpkg", "geojson", "parquet", "txt"):
        path = tmp_path / f"text.{suffix}"
        path.write_text("This is no layer.")
        with pytest.raises(BoxesError, match=re.escape(path.name)):
            read_boxes(path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BoxesError, match="no layer with geometries"):
        read_boxes(tmp_path / "table.csv")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(BoxesError, match="not a GeoParquet"):
        read_boxes(tmp_path / "table.parquet")
    layer_of().to_parquet(tmp_path / "good.parquet")
    for selection in ({"layer": "x"}, {"where": "n = 1"}):
        with pytest.raises(OptionError, match="GeoParquet"):
            read_boxes(tmp_path / "good.parquet", **selection)
    pyogrio.write_dataframe(layer_of(0), tmp_path / "empty.gpkg", geometry_type="Polygon")
    with pytest.raises(BoxesError, match="holds no boxes"):
        read_boxes(tmp_path / "empty.gpkg")


@pytest.mark.parametrize(
    "wrong", [Point(1, 2), shapely.LineString([(0, 0), (1, 1)]), shapely.GeometryCollection([shapely.box(0, 0, 1, 1)])]
)
def test_points_and_lines_are_no_boxes(wrong: shapely.Geometry) -> None:
    frame = gpd.GeoDataFrame(geometry=[None, shapely.box(0, 0, 1, 1), wrong])
    with pytest.raises(BoxesError, match=rf"{wrong.geom_type} geometries \(1 of 3 rows, first in row 2\)"):
        read_boxes(frame)
    assert len(read_boxes(frame.iloc[:2])) == 2


def test_a_frame_without_geometries() -> None:
    with pytest.raises(BoxesError, match="geometr"):
        read_boxes(gpd.GeoDataFrame({"a": [1]}))


@pytest.mark.parametrize(
    ("own", "said", "raster", "expected"),
    [
        (UTM33, None, WGS84, (UTM33, False)),
        (UTM33, "EPSG:32633", WGS84, (UTM33, False)),
        (None, "EPSG:32633", WGS84, (UTM33, False)),
        (None, UTM33, UTM33, (UTM33, False)),
        (None, None, None, (None, True)),
        (None, "pixel", UTM33, (None, True)),
        (UTM33, "Pixel", None, (None, True)),
    ],
)
def test_check_frames(own: CRS | None, said: str | CRS | None, raster: CRS | None, expected: tuple[CRS | None, bool]) -> None:
    assert check_frames(layer_of(crs=own), said, raster, "scene.tif", "boxes.gpkg") == expected


@pytest.mark.parametrize(
    ("own", "said", "raster", "error", "message"),
    [
        (None, None, UTM33, CRSMismatchError, "boxes.gpkg has no CRS.*--boxes-crs EPSG:32633"),
        (UTM33, None, None, CRSMismatchError, "scene.tif has no CRS.*--boxes-crs pixel"),
        (None, "EPSG:4326", None, CRSMismatchError, "scene.tif has no CRS"),
        (UTM33, "EPSG:4326", UTM33, CRSMismatchError, "EPSG:32633, but --boxes-crs says EPSG:4326"),
        (None, "EPSG:nonsense", UTM33, OptionError, "--boxes-crs 'EPSG:nonsense'"),
    ],
)
def test_check_frames_refuses(own: Any, said: Any, raster: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_frames(layer_of(crs=own), said, raster, "scene.tif", "boxes.gpkg")


# -- results: assembled without losing a row, and written to every format

RECORD: dict[str, Any] = {"rosgeo": "0.1", "options": {"outline": "smooth", "näme": [1, 2.5, None]}}
FORMATS = ["gpkg", "parquet", "geojson", "fgb"]


def square(i: float) -> Polygon:
    return shapely.box(500_000 + 10 * i, 4_000_000, 500_005 + 10 * i, 4_000_005)


def squares(count: int = 6, crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"n": np.arange(count), **columns}, geometry=[square(i) for i in range(count)], crs=crs)


def result_of(crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    """Six rows: polygons, a multipolygon and two without geometry."""
    polygons = [square(0), None, square(2), MultiPolygon([square(3), square(3.7)]), None, square(5)]
    objects = [ObjectResult(i, "ok" if p is not None else "empty", p, 0.5 + i / 10, 0.9) for i, p in enumerate(polygons)]
    return assemble_result(squares(crs=crs, **columns), objects[::-1], crs, "model-x")


def read_back(path: Path) -> gpd.GeoDataFrame:
    return (
        gpd.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path, layer=pyogrio.list_layers(path)[0][0])
    )


def sql(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


@given(st.permutations(range(6)), st.sampled_from([list(range(6)), [3, 3, 3, 1, 1, 9], list("abcabc")]))
def test_assemble_keeps_rows_order_and_index(order: list[int], index: list[Any]) -> None:
    frame = squares().set_index(pd.Index(index, name="key")).rename_geometry("shape")
    objects = [ObjectResult(i, "ok", square(i + 100), i / 10, i / 20) if i % 2 else ObjectResult(i, "outside") for i in range(6)]
    result = assemble_result(frame, [objects[i] for i in order], UTM33, "model-x")
    assert result.index.equals(frame.index)
    assert list(result.columns) == [*frame.columns, *RESULT_COLUMNS]
    assert result.geometry.name == "shape"
    assert result.crs == UTM33
    assert result["n"].tolist() == result["rosgeo_id"].tolist() == list(range(6))
    assert result["rosgeo_status"].tolist() == ["outside", "ok"] * 3
    assert [g is None or g.equals(square(i + 100)) for i, g in enumerate(result.geometry)] == [True] * 6
    assert result.geometry.isna().tolist() == result["rosgeo_area_m2"].isna().tolist() == [True, False] * 3
    np.testing.assert_array_equal(result["rosgeo_score"], [np.nan, 0.1, np.nan, 0.3, np.nan, 0.5])
    np.testing.assert_array_equal(result["rosgeo_stability"], [np.nan, 0.05, np.nan, 0.15, np.nan, 0.25])
    np.testing.assert_allclose(result["rosgeo_area_m2"][1::2], 25, rtol=0.002)
    assert result["rosgeo_model"].tolist() == ["model-x"] * 6
    assert frame.geometry.iloc[1].equals(square(1))


@pytest.mark.parametrize("ids", [[0, 1], [0, 1, 1], [0, 1, 2, 3], [1, 2, 3], []])
def test_a_lost_or_doubled_row_is_noticed(ids: list[int]) -> None:
    with pytest.raises(AssertionError, match="3 input rows"):
        assemble_result(squares(3), [ObjectResult(i, "empty") for i in ids], UTM33, "m")


def test_assemble_in_another_crs() -> None:
    objects = [ObjectResult(0, "ok", square(0)), ObjectResult(1, "invalid"), ObjectResult(2, "ok", square(2))]
    frame = squares(3).to_crs(3857)
    there = assemble_result(frame, objects, UTM33, "m", out_crs=WGS84)
    here = assemble_result(frame, objects, UTM33, "m")
    assert (here.crs, there.crs) == (UTM33, WGS84)
    assert there.geometry.isna().tolist() == [False, True, False]
    assert there.to_crs(UTM33).geometry.iloc[2].hausdorff_distance(square(2)) < 1e-3
    pd.testing.assert_series_equal(here["rosgeo_area_m2"], there["rosgeo_area_m2"])


def test_pixel_results_do_not_keep_the_boxes_crs() -> None:
    """GeoJSON is always in some CRS, also where its numbers are pixels (--boxes-crs pixel) of a raster without one."""
    result = assemble_result(squares(2, crs=WGS84), [ObjectResult(i, "ok", square(i)) for i in (0, 1)], None, "m")
    assert result.crs is None


@pytest.mark.parametrize("column", ["rosgeo_id", "ROSGEO_Score", "rosgeo_model"])
def test_clashing_columns(column: str) -> None:
    refuse_clashing_columns(squares(rosgeo_other=1, id=2), "boxes.gpkg")
    with pytest.raises(BoxesError, match=f"boxes.gpkg has the column {column}"):
        refuse_clashing_columns(squares(**{column: 1}), "boxes.gpkg")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("crs", [UTM33, WGS84], ids=["utm", "degrees"])
def test_written_results_read_back(tmp_path: Path, suffix: str, crs: CRS) -> None:
    result = result_of(
        UTM33,
        größe=np.linspace(0, 1, 6),
        名前=["ä", "β", "字", None, "", "x"],
        flag=[True, False] * 3,
        big=np.arange(6) + 2**40,
        when=pd.to_datetime(["2024-01-02 03:04:05"] * 6),
        fid=[7, 7, 1, 1, 1, 0],
        geom=["not", "a", "geometry", "at", "all", "!"],
    ).to_crs(crs)
    path = tmp_path / f"masks.{suffix}"
    write_result(result, path, RECORD)
    back = read_back(path)
    assert back.crs == crs
    assert set(back.columns) == set(result.columns)
    assert back["rosgeo_id"].tolist() == list(range(6))
    assert back.geometry.isna().tolist() == [False, True, False, False, True, False]
    there = back.geometry.notna().to_numpy()
    for found, written in zip(back.geometry[there], result.geometry[there], strict=True):
        assert len(shapely.get_parts(found)) == len(shapely.get_parts(written))
        assert shapely.hausdorff_distance(found, written) < 1e-9
    for column in ("n", "fid", "geom", "flag", "big", "rosgeo_status", "rosgeo_model"):
        assert back[column].tolist() == result[column].tolist(), column
        assert back[column].dtype.kind == result[column].dtype.kind, column
    for column in ("größe", "rosgeo_score", "rosgeo_stability", "rosgeo_area_m2"):
        assert back[column].dtype == np.float64
        # GeoJSON is text of 15 digits and more.
        np.testing.assert_allclose(back[column], result[column], rtol=1e-14 if suffix == "geojson" else 0)
    assert back["名前"].fillna("?").tolist() == ["ä", "β", "字", "?", "", "x"]
    assert pd.to_datetime(back["when"]).dt.second.tolist() == [5] * 6
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_geometry_at_all(tmp_path: Path, suffix: str) -> None:
    result = assemble_result(squares(3), [ObjectResult(i, "outside") for i in range(3)], UTM33, "m")
    write_result(result, tmp_path / f"masks.{suffix}", RECORD)
    back = read_back(tmp_path / f"masks.{suffix}")
    assert back["rosgeo_status"].tolist() == ["outside"] * 3
    assert back.geometry.isna().all()


@pytest.mark.parametrize("suffix", FORMATS)
def test_lists_and_further_geometries(tmp_path: Path, suffix: str) -> None:
    result = result_of(tags=[[1, 2], [], ["a", "ü"], [3], [4], [5]], seen=pd.Categorical(list("abcabc")))
    result["centre"] = gpd.GeoSeries(shapely.points(np.arange(6), 1), index=result.index, crs=UTM33)
    if suffix == "parquet":
        result["tags"] = [[str(t) for t in tags] for tags in result["tags"]]
    before = result.copy()
    write_result(result, tmp_path / f"masks.{suffix}", RECORD)
    assert list(result.columns) == list(before.columns)
    assert result["tags"].tolist() == before["tags"].tolist()
    back = read_back(tmp_path / f"masks.{suffix}")
    assert back["seen"].tolist() == list("abcabc")
    if suffix == "parquet":
        assert [list(t) for t in back["tags"]] == result["tags"].tolist()
        assert back["centre"].geom_equals(result["centre"]).all()
    else:
        assert back["centre"].iloc[3] == "POINT (3 1)"
    if suffix == "geojson":  # the file holds lists; what a reader makes of lists of many types is its own affair
        features = json.loads((tmp_path / "masks.geojson").read_text(encoding="utf-8"))["features"]
        assert [f["properties"]["tags"] for f in features] == result["tags"].tolist()
    elif suffix != "parquet":
        assert [json.loads(t) for t in back["tags"]] == result["tags"].tolist()


def test_style_and_record_in_the_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    write_result(result_of(geom="taken"), path, RECORD)
    assert read_record(path) == RECORD
    ((column, srs),) = sql(path, f"SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = '{LAYER}'")
    assert srs == 32633
    ((table, style_column, default, qml),) = sql(
        path, "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
    )
    assert (table, style_column, default) == (LAYER, column, 1)
    assert "rosgeo_score" in qml
    assert sql(path, "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'") == [("attributes",)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    assert pyogrio.list_layers(path)[:, 0].tolist() == [LAYER, "layer_styles"]
    pyogrio.write_dataframe(squares(), tmp_path / "other.gpkg", layer=LAYER)
    with pytest.raises(OutputError, match="no record"):
        read_record(tmp_path / "other.gpkg")


def test_a_result_can_be_the_next_input(tmp_path: Path) -> None:
    write_result(result_of(), tmp_path / "masks.gpkg", RECORD)
    again = read_boxes(tmp_path / "masks.gpkg")
    assert again["rosgeo_id"].tolist() == list(range(6))


def test_no_crs_in_a_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    write_result(result_of(None), path, RECORD)
    assert sql(path, f"SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = '{LAYER}'") == [(-1,)]
    assert sql(path, f"SELECT srs_id FROM gpkg_contents WHERE table_name = '{LAYER}'") == [(-1,)]
    assert len(read_back(path)) == 6


@pytest.mark.parametrize("suffix", ["parquet", "fgb"])
def test_no_crs_elsewhere(tmp_path: Path, suffix: str) -> None:
    write_result(result_of(None), tmp_path / f"masks.{suffix}", RECORD)
    assert read_back(tmp_path / f"masks.{suffix}").crs is None


def test_columns_that_differ_by_case(tmp_path: Path) -> None:
    result = result_of(name=1, Name=2)
    with pytest.raises(OutputError, match="apart by case"):
        write_result(result, tmp_path / "masks.gpkg", RECORD)
    write_result(result, tmp_path / "masks.parquet", RECORD)
    assert read_back(tmp_path / "masks.parquet")["Name"].tolist() == [2] * 6
    assert [p.name for p in tmp_path.iterdir()] == ["masks.parquet"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("error", [DataSourceError("disk full"), OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, error: BaseException
) -> None:
    path = tmp_path / f"masks.{suffix}"
    write_result(result_of(), path, RECORD)
    before = path.read_bytes()

    def fail(*arguments: Any, **_options: Any) -> None:
        partial = next(a for a in arguments if isinstance(a, Path))
        partial.write_bytes(b"half a file")
        partial.with_name(partial.name + "-journal").write_bytes(b"")
        raise error

    monkeypatch.setattr(pyogrio, "write_dataframe", fail)
    monkeypatch.setattr(gpd.GeoDataFrame, "to_parquet", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        write_result(result_of(), path, RECORD)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    path.write_text("old")
    write_result(result_of(), path, RECORD)
    write_result(result_of().iloc[:2], path, RECORD)
    assert len(read_back(path)) == 2


@pytest.mark.parametrize("name", ["masks", "masks.shp", "masks.tiff", "masks.gpkg.zip"])
def test_unknown_extension(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected one of \.gpkg"):
        output_driver(tmp_path / name)
    assert output_driver("MASKS.GPKG") == "GPKG"


def test_check_output(tmp_path: Path) -> None:
    there, new = tmp_path / "boxes.gpkg", tmp_path / "masks.gpkg"
    there.write_text("boxes")
    assert check_output(new, overwrite=False, inputs=(str(there), "/no/such/file")) == new
    assert check_output(there, overwrite=True) == there
    for path, overwrite, inputs, message in (
        (there, False, (), "--overwrite"),
        (there, True, (str(there),), "is an input"),
        (tmp_path / "none" / "masks.gpkg", True, (), "does not exist"),
        (tmp_path, True, (), "is a folder"),
    ):
        with pytest.raises(OutputError, match=message):
            check_output(path, overwrite=overwrite, inputs=inputs)
