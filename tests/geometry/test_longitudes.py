"""Longitudes are circular: whatever turn a box is written in, and however it is cut, it is the same box."""

from __future__ import annotations

import antimeridian
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rosgeo.geometry.boxes import boxes_to_px, geometries_on, transform_geometries
from rosgeo.geometry.longitudes import in_one_piece, x_period
from rosgeo.geometry.mapping import AffineMapping, mapping_from_gcps
from rosgeo.geometry.place import Placed
from rosgeo.types import RasterGrid

WGS84, NAD83, MERCATOR, UTM1, POLAR = (CRS.from_epsg(code) for code in (4326, 4269, 3857, 32601, 3031))


def degree_grid(west: float, crs: CRS = WGS84, side: float = 2.0) -> RasterGrid:
    """A raster of 1000 x 1000 px whose north-west corner is at (west, 11)."""
    return RasterGrid(1000, 1000, AffineMapping(Affine(side / 1000, 0, west, 0, -side / 1000, 11.0)), crs)


def pixels(shape: shapely.Geometry, grid: RasterGrid, crs: CRS = WGS84) -> list[float]:
    xyxy: list[float] = boxes_to_px(np.array([shape], dtype=object), crs, grid).xyxy[0].tolist()
    return xyxy


def written(box: tuple[float, float, float, float], way: str, turn: int) -> shapely.Geometry:
    """A box in degrees as somebody may write it."""
    plain = shapely.box(*box)
    if way == "turned":
        return shapely.affinity.translate(plain, xoff=360.0 * turn)
    if way == "cut":
        return shapely.geometry.shape(antimeridian.fix_shape(shapely.geometry.mapping(plain), great_circle=False))
    wrapped = np.asarray(plain.exterior.coords)
    wrapped[:, 0] = (wrapped[:, 0] + 180) % 360 - 180
    return shapely.Polygon(wrapped)


places = st.tuples(st.floats(-181, 180), st.floats(9.1, 10.0), st.floats(0.01, 0.9), st.floats(0.01, 0.9))


@pytest.mark.filterwarnings("ignore::antimeridian.FixWindingWarning")
@given(
    places, st.sampled_from(["turned", "cut", "wrapped"]), st.integers(-2, 2), st.integers(-1, 1), st.sampled_from([WGS84, NAD83])
)
def test_a_box_is_the_same_however_it_is_written(
    place: tuple[float, float, float, float], way: str, turn: int, raster_turn: int, crs: CRS
) -> None:
    west, south, width, height = place
    # Digits that survive a turn.
    west, south, width, height = (round(v * 4096) / 4096 for v in (west, south, width, height))
    box = (west, south, west + max(width, 1 / 64), south + max(height, 1 / 64))
    grid = degree_grid(np.floor(west) + 360.0 * raster_turn, crs)
    expected = pixels(shapely.affinity.translate(shapely.box(*box), xoff=360.0 * raster_turn), grid, crs)
    assert 0 <= expected[0] < expected[2] <= 1000
    np.testing.assert_allclose(pixels(written(box, way, turn), grid), expected, atol=0.01)


@given(st.floats(177.6, 179.6), st.floats(0.05, 0.8), st.sampled_from([UTM1, MERCATOR, CRS.from_epsg(3832), CRS.from_epsg(32660)]))
def test_projected_rasters_at_the_antimeridian(west: float, width: float, crs: CRS) -> None:
    box = (west, 9.5, west + width, 9.8)
    middle = transform_geometries(np.array([shapely.Point(west, 9.6)]), WGS84, crs)[0]
    grid = RasterGrid(2000, 2000, AffineMapping(Affine(100, 0, middle.x - 50_000, 0, -100, middle.y + 100_000)), crs)
    expected = np.array(pixels(shapely.box(*box), grid))
    assert np.isfinite(expected).all()
    assert expected[2] - expected[0] < 1100
    for way, turn in (("turned", 1), ("turned", -1), ("cut", 0), ("wrapped", 0)):
        np.testing.assert_allclose(pixels(written(box, way, turn), grid), expected, atol=0.5)


def test_a_box_at_the_pole_s_side_of_the_date_line() -> None:
    grid = RasterGrid(1000, 1000, AffineMapping(Affine(1000, 0, -500_000, 0, -1000, -2_000_000)), POLAR)
    box = (179.0, -72.0, 181.0, -71.0)
    expected = pixels(shapely.box(*box), grid)
    assert expected[2] - expected[0] < 100
    for way in ("cut", "wrapped"):
        np.testing.assert_allclose(pixels(written(box, way, 0), grid), expected, atol=1.0)


def test_boxes_of_a_projection_on_a_raster_past_180() -> None:
    shape = shapely.box(179.9, 10.0, 180.1, 10.1)
    in_utm = transform_geometries(np.array([shapely.segmentize(shape, 0.01)]), WGS84, UTM1)[0]
    np.testing.assert_allclose(pixels(in_utm, degree_grid(179.0), UTM1), pixels(shape, degree_grid(179.0)), atol=1.0)


@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_global_rasters(west: float) -> None:
    grid = RasterGrid(180, 360, AffineMapping(Affine(1, 0, west, 0, -1, 90)), WGS84)
    for box in ((20.0, -10.0, 60.0, 30.0), (-100.0, 0.0, -20.0, 5.0), (-179.0, 0.0, -170.0, 5.0)):
        x = (box[0] - west) % 360
        assert pixels(shapely.box(*box), grid) == [x, 90 - box[3], x + box[2] - box[0], 90 - box[1]]


def test_what_is_wide_for_good_stays_as_it_is() -> None:
    world = shapely.box(-180, -90, 180, 90)
    dense = shapely.segmentize(shapely.box(-170, -10, 170, 10), 10)
    antarctica = shapely.Polygon([(-180, -90), (-180, -70), (-60, -70), (60, -70), (180, -70), (180, -90)])
    round_the_pole = shapely.Polygon([(0, -70), (120, -70), (-120, -70), (0, -70)])
    given_ = np.array([world, dense, antarctica, round_the_pole, None, shapely.Polygon()], dtype=object)
    same, moved = in_one_piece(given_, WGS84)
    assert not moved.any()
    assert all(a is b or a.equals_exact(b, 0) for a, b in zip(same, given_, strict=True) if b is not None)


def test_holes_and_parts_come_along() -> None:
    ring = shapely.box(179.0, 0.0, 181.0, 2.0).difference(shapely.box(179.8, 0.5, 180.4, 1.0))
    cut = written_shape(ring)
    assert len(shapely.get_parts(cut)) == 2
    piece, moved = in_one_piece(np.array([cut], dtype=object), WGS84)
    assert moved.all()
    assert shapely.make_valid(piece[0]).symmetric_difference(ring).area < 1e-9
    far = shapely.MultiPolygon([shapely.box(170, 0, 171, 1), shapely.box(-171, 0, -170, 1), shapely.box(-178, 0, -177, 1)])
    assert in_one_piece(np.array([far], dtype=object), WGS84)[0][0].bounds == (170.0, 0.0, 190.0, 1.0)


def written_shape(shape: shapely.Geometry) -> shapely.Geometry:
    """A shape past 180 cut at the antimeridian."""
    west = shapely.intersection(shape, shapely.box(0, -90, 180, 90))
    east = shapely.affinity.translate(shapely.intersection(shape, shapely.box(180, -90, 360, 90)), xoff=-360)
    return shapely.MultiPolygon([*shapely.get_parts(west), *shapely.get_parts(east)])


@pytest.mark.parametrize(("x", "expected"), [(-179.9, 180.1), (180.1, 180.1), (179.5, 179.5), (540.25, 180.25)])
def test_points_and_labels(x: float, expected: float) -> None:
    grid = degree_grid(179.0)
    point = geometries_on(np.array([shapely.Point(x, 10)], dtype=object), WGS84, grid)[0]
    assert point.x == pytest.approx(expected, abs=1e-9)
    box = Placed(np.array([shapely.box(x - 0.01, 10, x + 0.01, 10.1)], dtype=object), None, False).to_map(grid)[0]
    assert box.centroid.x == pytest.approx(expected, abs=1e-9)


def test_ground_control_points_past_180() -> None:
    px = np.array([(0, 0), (1000, 0), (0, 1000), (1000, 1000)], dtype=np.float64)
    grid = RasterGrid(
        1000, 1000, mapping_from_gcps(px, np.array([(179, 11), (181, 11), (179, 9), (181, 9)], dtype=np.float64)), WGS84
    )
    assert pixels(shapely.box(-179.9, 10, -179.8, 10.1), grid) == pytest.approx([550, 450, 600, 500], abs=0.01)


def test_outlines_in_another_crs_stay_in_one_piece() -> None:
    utm = shapely.segmentize(transform_geometries(np.array([shapely.box(179.9, 10, 180.1, 10.1)]), WGS84, UTM1)[0], 1000)
    for crs in (WGS84, MERCATOR):
        moved = transform_geometries(np.array([utm, None], dtype=object), UTM1, crs)
        assert moved[1] is None
        assert moved[0].bounds[2] - moved[0].bounds[0] < x_period(crs) / 1000  # type: ignore[operator]
        assert moved[0].is_valid


@pytest.mark.parametrize(
    ("crs", "period"),
    [
        ("EPSG:4326", 360.0),
        ("EPSG:4807", 400.0),  # grads
        ("EPSG:3857", 2 * np.pi * 6378137),
        ("EPSG:3395", 2 * np.pi * 6378137),
        ("+proj=eqc +lon_0=170", 2 * np.pi * 6378137),
        ("EPSG:32601", None),
        ("EPSG:3031", None),
        ("ESRI:54030", None),  # Robinson: the length of a turn depends on the latitude
        ("EPSG:5773", None),  # heights
    ],
)
def test_the_length_of_a_turn(crs: str, period: float | None) -> None:
    assert x_period(CRS(crs)) == (None if period is None else pytest.approx(period))
    assert x_period(None) is None
