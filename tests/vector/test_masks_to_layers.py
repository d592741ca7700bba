"""Masks to polygons, and layers in and out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import CropWindow, FloatArray, ObjectMask, RasterGrid
from rosgeo.vector.polygonize import OutlineOptions, geodesic_area_m2, map_precision, mask_to_polygon, polygon_to_map
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


@pytest.mark.filterwarnings("error")
def test_tracing_in_several_threads_warns_of_nothing() -> None:
    """In the corner of a raster, whose cells rasterio takes for a raster without georeferencing."""
    mask = mask_of(rectangle(11, 7, 23, 31), window=CropWindow(0, 0, 40))
    with ThreadPoolExecutor(4) as pool:
        polygons = list(pool.map(lambda _: outline(mask, outline="pixel"), range(200)))
    assert all(polygon.equals(shapely.box(11, 7, 23, 31)) for polygon in polygons)


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
