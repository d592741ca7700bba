"""Map <-> pixel, and boxes of any CRS in pixels."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rosgeo.errors import CRSMismatchError, RasterError
from rosgeo.geometry.boxes import BOX_GRID_PX, boxes_to_px, on_raster, usable_geometries
from rosgeo.geometry.mapping import AffineMapping, QuadraticMapping, mapping_from_gcps, pixel_size_map
from rosgeo.types import Boxes, FloatArray, PixelMapping, RasterGrid
from shapely import Polygon

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

UTM33 = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
POINTS_PX = np.array([[0, 0], [0.5, 0.5], [123.25, 4567.875], [20_000, 0], [-300.5, 30_000.25], [19_999.5, 29_999.5]])


def grid_of(transform: Affine | PixelMapping, crs: CRS | None = UTM33, height: int = 1000, width: int = 1200) -> RasterGrid:
    return RasterGrid(height, width, AffineMapping(transform) if isinstance(transform, Affine) else transform, crs)


def objects(*geometries: shapely.Geometry | None) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def box_on_map(box: tuple[float, float, float, float], transform: Affine = NORTH_UP) -> Polygon:
    mapping = AffineMapping(transform)
    return shapely.transform(shapely.box(*box), mapping.to_map)


def gcps(curve: float, side: float = 1000, steps: int = 4) -> tuple[FloatArray, FloatArray]:
    px = np.array([(x, y) for y in np.linspace(0, side, steps) for x in np.linspace(0, side, steps)])
    u, v = px.T / side
    return px, np.stack([500_000 + px[:, 0] * 2 + curve * u * v, 4_000_000 - px[:, 1] * 2 + curve * (u * u - v)], axis=1)


# -- mappings


@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000),
        Affine(-0.5, 0, 500_000, 0, -0.5, 4_000_000),
        Affine(0, 0.3, 500_000, 0.3, 0, 4_000_000),
        Affine.translation(500_000, 4_000_000) * Affine.rotation(37) * Affine.scale(0.25, -0.25),
        Affine.translation(500_000, 4_000_000) * Affine.shear(20, 5) * Affine.scale(0.3, -2.0),
        Affine(1e-6, 0, 179.9, 0, -2e-6, -89.9),
        Affine.identity(),
    ],
    ids=["north-up", "south-up", "west-up", "transposed", "rotated", "sheared", "degrees", "identity"],
)
def test_affine_round_trip(transform: Affine) -> None:
    mapping = AffineMapping(transform)
    assert mapping.is_affine
    on_map = mapping.to_map(POINTS_PX)
    np.testing.assert_allclose(on_map, [transform * tuple(p) for p in POINTS_PX], rtol=1e-14)
    np.testing.assert_allclose(mapping.to_px(on_map), POINTS_PX, rtol=0, atol=1e-6)
    assert mapping.to_px(np.empty((0, 2))).shape == (0, 2)


@given(
    angle=st.floats(0, 360),
    shear=st.floats(-60, 60),
    size=st.floats(1e-7, 1e3),
    ratio=st.floats(0.1, 10),
    flip=st.sampled_from([-1, 1]),
    origin=st.tuples(st.floats(-1e7, 1e7), st.floats(-1e7, 1e7)),
)
def test_any_affine_round_trips(
    angle: float, shear: float, size: float, ratio: float, flip: int, origin: tuple[float, float]
) -> None:
    if size < 0.01:  # degrees
        origin = (origin[0] * 1.8e-5, origin[1] * 0.9e-5)
    shape = Affine.rotation(angle) * Affine.shear(shear) * Affine.scale(size, flip * size * ratio)
    mapping = AffineMapping(Affine.translation(*origin) * shape)
    # What one rounding of the map coordinate makes in pixels, and a little for the arithmetic.
    smallest = np.linalg.svd(np.array([[shape.a, shape.b], [shape.d, shape.e]]), compute_uv=False)[-1]
    tolerance = 8 * np.finfo(float).eps * (np.abs(mapping.to_map(POINTS_PX)).max() / smallest + 1e6)
    np.testing.assert_allclose(mapping.to_px(mapping.to_map(POINTS_PX)), POINTS_PX, rtol=0, atol=tolerance)


@pytest.mark.parametrize("transform", [Affine(0, 0, 5, 0, 0, 5), Affine(1, 2, 0, 2, 4, 0), Affine(np.nan, 0, 0, 0, 1, 0)])
def test_degenerate_transform_is_refused(transform: Affine) -> None:
    with pytest.raises(RasterError, match="no inverse"):
        AffineMapping(transform)


@pytest.mark.parametrize("count", [3, 5, 16])
def test_affine_gcps_give_an_affine_mapping(count: int) -> None:
    px, target = gcps(curve=0.0)
    chosen = np.linspace(0, 15, count).astype(int) if count > 3 else [0, 3, 12]
    mapping = mapping_from_gcps(px[chosen], target[chosen])
    assert isinstance(mapping, AffineMapping)
    np.testing.assert_allclose(mapping.to_map(px), target, rtol=0, atol=1e-6)
    np.testing.assert_allclose(mapping.to_px(target), px, rtol=0, atol=1e-6)


@given(st.floats(5, 200), st.integers(0, 2**32 - 1))
def test_curved_gcps_give_a_quadratic_mapping(curve: float, seed: int) -> None:
    px, target = gcps(curve)
    mapping = mapping_from_gcps(px, target)
    assert isinstance(mapping, QuadraticMapping)
    assert not mapping.is_affine
    np.testing.assert_allclose(mapping.to_map(px), target, rtol=0, atol=1e-6)
    inside = np.random.default_rng(seed).uniform(0, 1000, (50, 2))
    np.testing.assert_allclose(mapping.to_px(mapping.to_map(inside)), inside, rtol=0, atol=1e-6)


def test_quadratic_mapping_knows_where_it_has_no_inverse() -> None:
    mapping = mapping_from_gcps(*gcps(2000))
    assert np.isnan(mapping.to_px(np.array([[-1e9, 1e9]]))).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_gcps(count: int) -> None:
    px, target = gcps(0.0)
    with pytest.raises(RasterError, match="at least 3"):
        mapping_from_gcps(px[:count], target[:count])


def test_gcps_on_one_line_of_the_raster() -> None:
    rng = np.random.default_rng(0)
    for count in (3, 4, 6, 11):
        for _ in range(200):
            px = rng.uniform(0, 1000, 2) + rng.uniform(0, 1000, (count, 1)) * rng.uniform(-1, 1, 2)
            with pytest.raises(RasterError, match="one line"):
                mapping_from_gcps(px, rng.uniform(0, 1e6, (count, 2)))


def test_gcps_on_one_line_of_the_map() -> None:
    px = np.array([[0, 0], [100, 0], [0, 100], [100, 100]], dtype=float)
    along = px.sum(axis=1, keepdims=True)
    with pytest.raises(RasterError):
        mapping_from_gcps(px, [500_000, 4_000_000] + along * [0.1, 0.3])


def test_pixel_size() -> None:
    rotated = Affine.rotation(30) * Affine.scale(0.25, -1.0)
    assert pixel_size_map(AffineMapping(rotated), (100, 100)) == pytest.approx(0.5)


# -- boxes


@pytest.mark.parametrize("epsg", [4326, 3857, 32632, 32634, 3035, 32733])
@pytest.mark.parametrize("transform", [NORTH_UP, NORTH_UP * Affine.rotation(33)], ids=["north-up", "rotated"])
def test_the_same_box_in_another_crs(epsg: int, transform: Affine) -> None:
    given_px = np.array([(10.3, 20.7, 70.1, 45.9), (300, 200, 303, 204), (500.25, 900.5, 700, 1000)])
    frame = gpd.GeoSeries([box_on_map(tuple(b), transform) for b in given_px], crs=UTM33)
    boxes = boxes_to_px(frame.to_crs(epsg).to_numpy(), CRS.from_epsg(epsg), grid_of(transform))
    assert boxes.frame == "pixel"
    np.testing.assert_array_equal(boxes.ids, [0, 1, 2])
    np.testing.assert_allclose(boxes.xyxy, given_px, rtol=0, atol=0.02)


def test_rows_are_transformed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are, and in order, whatever number is held at once; unusable ones among them."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 500, (20, 2))
    shapes = [box_on_map((*a, *(a + 9)), NORTH_UP) if i % 6 else None for i, a in enumerate(low)]
    frame = gpd.GeoSeries(shapes, crs=UTM33).to_crs(4326)
    at_once = boxes_to_px(frame.to_numpy(), CRS.from_epsg(4326), grid_of(NORTH_UP)).xyxy
    monkeypatch.setattr("rosgeo.geometry.boxes._ROWS_AT_ONCE", 3)
    in_parts = boxes_to_px(frame.to_numpy(), CRS.from_epsg(4326), grid_of(NORTH_UP)).xyxy
    np.testing.assert_array_equal(in_parts, at_once)
    assert np.isnan(at_once).all(axis=1).sum() == 4


def test_the_envelope_is_taken_in_pixels() -> None:
    transform = Affine.translation(500_000, 4_000_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5)
    grid = grid_of(transform)
    centre = grid.mapping.to_map(np.array([[400.0, 300.0]]))[0]
    square = shapely.box(*(centre - 10), *(centre + 10))  # 40 px a side, turned by 30 degrees in pixels
    half = 20 * (np.cos(np.pi / 6) + np.sin(np.pi / 6))
    boxes = boxes_to_px(objects(square), UTM33, grid)
    np.testing.assert_allclose(boxes.xyxy[0], [400 - half, 300 - half, 400 + half, 300 + half], rtol=0, atol=BOX_GRID_PX)


def test_sides_between_corners_count() -> None:
    """The southern side of a box in degrees is an arc in a polar projection, lowest at its middle."""
    polar = CRS.from_epsg(3413)
    grid = grid_of(Affine(1000, 0, -2_000_000, 0, -1000, 0), polar, 4000, 4000)
    south = gpd.GeoSeries(gpd.points_from_xy([-60, -45, -30], [70, 70, 70]), crs=4326).to_crs(polar)
    corners, middle = south.y.iloc[[0, 2]].min(), south.y.iloc[1]
    assert (corners - middle) / 1000 > 50  # pixels that corners alone would lose
    (box,) = boxes_to_px(objects(shapely.box(-60, 70, -30, 80)), CRS.from_epsg(4326), grid).xyxy
    assert box[3] == pytest.approx(-middle / 1000, abs=0.5)


def test_curved_mapping_counts_between_corners() -> None:
    grid = grid_of(mapping_from_gcps(*gcps(400)))
    outline = shapely.segmentize(shapely.box(500_200, 3_998_600, 501_400, 3_999_800), 1.0)
    dense = grid.mapping.to_px(shapely.get_coordinates(outline))
    (box,) = boxes_to_px(objects(shapely.envelope(outline)), UTM33, grid).xyxy
    np.testing.assert_allclose(box, [*dense.min(axis=0), *dense.max(axis=0)], rtol=0, atol=0.3)


def test_unusable_geometries() -> None:
    bow_tie = Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    geometries = objects(
        None,
        Polygon(),
        shapely.box(0, 0, np.inf, 1),
        shapely.box(3, 3, 3, 9),
        shapely.box(3, 3, 3, 3),
        bow_tie,
        shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 7)]),
        shapely.force_3d(shapely.box(1, 2, 3, 4), 100.0),
    )
    np.testing.assert_array_equal(usable_geometries(geometries), [False] * 5 + [True] * 3)
    boxes = boxes_to_px(geometries, None, grid_of(Affine.identity(), None))
    assert np.isnan(boxes.xyxy[:5]).all()
    np.testing.assert_array_equal(boxes.xyxy[5:], [[0, 0, 10, 10], [0, 0, 6, 7], [1, 2, 3, 4]])
    np.testing.assert_array_equal(boxes.ids, np.arange(8))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_single_vertex_that_is_not_a_number() -> None:
    geometries = objects(Polygon([(0, 0), (5, 0), (np.nan, 5), (0, 5)]), shapely.box(1, 2, 3, 4))
    np.testing.assert_array_equal(usable_geometries(geometries), [False, True])
    boxes = boxes_to_px(geometries, None, grid_of(Affine.identity(), None))
    np.testing.assert_array_equal(boxes.xyxy, [[np.nan] * 4, [1, 2, 3, 4]])


@pytest.mark.parametrize("geometries", [(), (None,), (None, Polygon())])
def test_no_boxes_at_all(geometries: tuple[Polygon | None, ...]) -> None:
    boxes = boxes_to_px(objects(*geometries), UTM33, grid_of(NORTH_UP))
    assert boxes.xyxy.shape == (len(geometries), 4)
    assert np.isnan(boxes.xyxy).all()
    assert not on_raster(boxes, (1000, 1200)).any()


def test_what_cannot_be_transformed_has_no_box() -> None:
    geometries = objects(shapely.box(15, 36, 15.01, 36.01), shapely.box(15, 89, 15.1, 95))
    boxes = boxes_to_px(geometries, CRS.from_epsg(4326), grid_of(NORTH_UP))
    np.testing.assert_array_equal(np.isnan(boxes.xyxy).all(axis=1), [False, True])
    np.testing.assert_array_equal(usable_geometries(geometries), [True, True])


def test_no_way_between_two_crs() -> None:
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]')
    with pytest.raises(CRSMismatchError, match="site"):
        boxes_to_px(objects(shapely.box(0, 0, 1, 1)), local, grid_of(NORTH_UP))


millimetres = st.integers(0, 400_000)


@given(
    corner=st.tuples(millimetres, millimetres),
    size=st.tuples(st.integers(1_000, 100_000), st.integers(1_000, 100_000)),
    offset=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    pixel=st.sampled_from([0.3, 0.5, 0.07, 10.0]),
    angle=st.sampled_from([0, 0, 17]),
)
def test_a_clip_gives_the_same_boxes(
    corner: tuple[int, int], size: tuple[int, int], offset: tuple[int, int], pixel: float, angle: int
) -> None:
    scene = Affine.translation(500_000.1, 4_000_000.7) * Affine.rotation(angle) * Affine.scale(pixel, -pixel)
    low = np.array([500_000, 3_999_000]) + np.array(corner) / 1000
    geometry = objects(shapely.box(*low, *(low + np.array(size) / 1000)))
    whole = boxes_to_px(geometry, UTM33, grid_of(scene)).xyxy
    clipped = boxes_to_px(geometry, UTM33, grid_of(scene * Affine.translation(*offset))).xyxy
    np.testing.assert_array_equal(clipped + np.tile(offset, 2), whole)
    np.testing.assert_array_equal(whole, np.round(whole / BOX_GRID_PX) * BOX_GRID_PX)


def test_boxes_in_pixels_are_taken_as_they_are() -> None:
    boxes = boxes_to_px(objects(shapely.box(1.5, 2.25, 30, 40)), None, grid_of(NORTH_UP), in_pixels=True)
    np.testing.assert_array_equal(boxes.xyxy, [[1.5, 2.25, 30, 40]])


def test_on_raster() -> None:
    xyxy = [[0, 0, 1, 1], [-5, -5, 0, 5], [-5, -5, 0.1, 0.1], [20, 0, 25, 5], [19.9, 9.9, 25, 15], [0, 10, 5, 12], [np.nan] * 4]
    boxes = Boxes(np.array(xyxy), np.arange(7), "pixel")
    np.testing.assert_array_equal(on_raster(boxes, (10, 20)), [True, False, True, False, True, False, False])
