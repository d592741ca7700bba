"""Polygon options: right angles, holes, and shared edges that stay shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rosgeo
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod
from rosgeo.errors import OptionError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.types import CropWindow, FloatArray, ObjectMask, RasterGrid
from rosgeo.vector.neighbours import simplify_neighbours, simplify_together
from rosgeo.vector.orthogonal import ground_matrix, ground_scale_m, orthogonal
from rosgeo.vector.polygonize import OutlineOptions, mask_to_polygon
from rosgeo.vector.result import ObjectResult
from shapely import MultiPolygon, Polygon, affinity

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

FEW = settings(max_examples=25)
SHAPES = {
    "rectangle": shapely.box(0, 0, 30, 18),
    "L": Polygon([(0, 0), (30, 0), (30, 12), (14, 12), (14, 28), (0, 28)]),
    "U": Polygon([(0, 0), (40, 0), (40, 30), (28, 30), (28, 10), (12, 10), (12, 30), (0, 30)]),
    "courtyard": Polygon(shapely.box(0, 0, 40, 36).exterior, [shapely.box(12, 12, 26, 22).exterior]),
}


def iou(a: Any, b: Any) -> float:
    return float(a.intersection(b).area / a.union(b).area)


def wobbly(shape: Polygon, angle: float, seed: int) -> Polygon:
    """A building as a mask shows it: turned, with round corners and a trembling outline."""
    rng = np.random.default_rng(seed)
    turned = affinity.rotate(shape, angle, origin=(0, 0)).buffer(1.2).buffer(-2.4).buffer(1.2)

    def ring(line: Any) -> FloatArray:
        points = shapely.get_coordinates(shapely.segmentize(line, 1.0))
        points = points + rng.normal(0, 0.15, points.shape)
        return np.concatenate([points[:-1], points[:1]])

    parts = shapely.get_parts(shapely.make_valid(Polygon(ring(turned.exterior), [ring(h) for h in turned.interiors])))
    largest: Polygon = max(parts, key=lambda p: p.area)
    return largest


def right_angles(polygon: Any, matrix: FloatArray | None = None) -> float:
    """Largest departure from 90 degrees at any corner, in degrees."""
    worst = 0.0
    for ring in shapely.get_rings(shapely.get_parts(polygon)):
        steps = np.diff(shapely.get_coordinates(ring) @ (np.eye(2) if matrix is None else matrix).T, axis=0)
        angle = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
        turn = np.abs(np.diff(np.append(angle, angle[0]))) % 90
        worst = max(worst, float(np.minimum(turn, 90 - turn).max()))
    return worst


# -- right angles


@FEW
@given(st.sampled_from(sorted(SHAPES)), st.floats(0, 90), st.integers(0, 10**6))
def test_a_trembling_building_becomes_what_it_was(name: str, angle: float, seed: int) -> None:
    truth = affinity.rotate(SHAPES[name], angle, origin=(0, 0))
    seen = wobbly(SHAPES[name], angle, seed)
    found = orthogonal(seen, np.eye(2), 1.0)
    assert found.is_valid
    assert right_angles(found) < 1e-6
    assert shapely.get_num_coordinates(found) == shapely.get_num_coordinates(truth)
    assert iou(found, truth) > 0.95
    assert abs(found.area / truth.area - 1) < 0.04


@FEW
@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), min_size=4, max_size=14), st.floats(0.5, 3))
def test_whatever_the_shape_it_is_valid_and_near(points: list[tuple[float, float]], tolerance: float) -> None:
    parts = shapely.get_parts(shapely.make_valid(Polygon(points)))
    polygons = [p for p in parts if isinstance(p, Polygon) and p.area > 1]
    if not polygons:
        return
    shape = polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
    found = orthogonal(shape, np.eye(2), tolerance)
    assert found.is_valid
    assert not found.is_empty
    assert iou(found, shape) >= 0.7  # each part 0.75 at least, or as it was; parts may grow together
    assert abs(found.area / shape.area - 1) < 0.35


def test_a_shape_that_right_angles_do_not_suit_stays() -> None:
    thin = shapely.LineString([(0, 0), (20, 11), (40, 0)]).buffer(0.4)
    assert orthogonal(thin, np.eye(2), 1.0).equals(thin)


def test_right_angles_are_right_on_the_ground() -> None:
    """A square building at 60 degrees north, on a raster of square degrees: twice as wide in pixels as on the ground."""
    grid = RasterGrid(400, 400, AffineMapping(Affine(1e-5, 0, 10, 0, -1e-5, 60)), CRS.from_epsg(4326))
    matrix = ground_matrix(grid, np.array([200.0, 200.0]))
    assert abs(abs(np.linalg.det(matrix)) - 1) < 1e-9
    assert matrix[0, 0] / -matrix[1, 1] == pytest.approx(0.5, abs=0.01)
    inverse = np.linalg.inv(matrix)
    ground = affinity.translate(affinity.rotate(shapely.box(-12, -8, 12, 8), 30), 200, 200)
    px = shapely.transform(shapely.segmentize(ground, 1), lambda p: (p - 200) @ inverse.T + 200)
    found = orthogonal(px, matrix, 1.0)
    assert right_angles(found, matrix) < 1e-6
    assert right_angles(found) > 5
    assert iou(found, px) > 0.99
    corners = shapely.get_coordinates(shapely.transform(found, grid.mapping.to_map))
    azimuth, _, _ = Geod(ellps="WGS84").inv(*corners[:-1].T, *corners[1:].T)
    assert abs((azimuth[0] - azimuth[1]) % 90 - 90) % 90 < 0.05


def test_ground_scale() -> None:
    utm = RasterGrid(100, 100, AffineMapping(NORTH_UP), CRS.from_epsg(32633))
    assert ground_scale_m(utm) == pytest.approx(0.5, rel=1e-3)
    assert ground_scale_m(RasterGrid(10, 10, AffineMapping(Affine.identity()), None)) is None
    np.testing.assert_allclose(
        ground_matrix(RasterGrid(10, 10, AffineMapping(Affine.identity()), None), np.array([5.0, 5.0])), np.eye(2)
    )


# -- holes


WINDOW = CropWindow(0, 0, 40)


def ring_mask(u: FloatArray, v: FloatArray) -> FloatArray:
    """A ring of radii 5 and 15, and an island in it of radius 3."""
    r = np.hypot(u - 20, v - 20)
    return np.maximum(np.minimum(15 - r, r - 5), 2 - r)


@pytest.mark.parametrize(("fill", "holes", "parts"), [(None, 1, 2), (50.0, 1, 2), (80.0, 0, 1), ("all", 0, 1)])
@pytest.mark.parametrize("outline", ["smooth", "pixel"])
def test_holes_are_filled(fill: Any, holes: int, parts: int, outline: Any) -> None:
    centres = (np.arange(160) + 0.5) / 4
    mask = ObjectMask(0, WINDOW, ring_mask(centres[None], centres[:, None]).astype(np.float32), 0.9, 0.8)
    polygon = mask_to_polygon(mask, np.array([5.0, 5, 35, 35]), OutlineOptions(outline=outline, min_area=1, fill_holes=fill))
    found = shapely.get_parts(polygon)
    assert shapely.is_valid(polygon)
    assert sum(len(p.interiors) for p in found) == holes
    assert len(found) == parts
    disc = np.pi * 15**2
    assert shapely.area(polygon) == pytest.approx(disc if holes == 0 else disc - np.pi * (25 - 4), rel=0.02)


@pytest.mark.parametrize("wrong", [-1, float("nan"), "some"])
def test_fill_holes_is_all_or_a_number(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"fill_holes .*or all"):
        OutlineOptions(fill_holes=wrong)


# -- shared edges


def pixel_polygons(labels: np.ndarray) -> np.ndarray:
    """The region of each label, from 1, along pixel edges."""
    regions = []
    for value in np.unique(labels[labels > 0]):
        rows, cols = np.nonzero(labels == value)
        regions.append(shapely.union_all(shapely.box(cols, rows, cols + 1, rows + 1)))
    return np.array(regions, dtype=object)


@st.composite
def regions(draw: st.DrawFn) -> np.ndarray:
    """Pixels that belong to the nearest of a few seeds, some of them to none."""
    count = draw(st.integers(2, 6))
    seeds = draw(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=count, max_size=count, unique=True))
    v, u = np.mgrid[:24, :24]
    nearest = np.argmin([np.hypot(u - x, v - y) for x, y in seeds], axis=0) + 1
    nearest[nearest == draw(st.integers(1, count + 1))] = 0
    return nearest


@FEW
@given(regions(), st.floats(0.7, 2.5))
def test_neighbours_stay_a_coverage(labels: np.ndarray, tolerance: float) -> None:
    if not labels.any():
        return
    before = pixel_polygons(labels)
    after = np.array(simplify_neighbours(before, tolerance), dtype=object)
    assert len(after) == len(before)
    assert shapely.is_valid(after).all()
    assert shapely.area(after).sum() == pytest.approx(shapely.union_all(after).area)  # no overlap
    # No gap: where all of the ground was covered, it is, but for what was cut off at the outside.
    assert shapely.coverage_is_valid(after)
    for a, b in zip(before, after, strict=True):
        if a.area > 40:
            assert iou(a, b) > 0.7
        assert abs(a.area - b.area) <= 0.5 * tolerance**2 * shapely.get_num_coordinates(a)


def test_a_corner_on_a_neighbours_straight_edge_and_an_overlap_do_no_harm() -> None:
    """Row houses, one with a neighbour's corner in the middle of its wall, one that overlaps another elsewhere."""
    stairs = [(20 + i // 2, 10 + (i + 1) // 2) for i in range(8)]
    a = Polygon([(0, 0), (20, 0), (20, 10), *stairs[1:], (0, 14)])
    b = shapely.box(20, -6, 40, 10)
    c = shapely.box(10, -20, 22, 0)
    after = simplify_neighbours(np.array([a, b, c], dtype=object), 1.0)
    assert all(p.is_valid for p in after)
    assert after[0].boundary.intersection(after[1].boundary).length >= 9
    assert after[0].boundary.intersection(after[2].boundary).length >= 9
    assert after[1].intersection(after[2]).area == pytest.approx(b.intersection(c).area)
    assert shapely.get_num_coordinates(after[0]) < shapely.get_num_coordinates(a)


def test_outlines_that_only_touch_or_overlap_are_simplified_alone() -> None:
    stair = [(i // 2, (i + 1) // 2) for i in range(21)]
    a = Polygon([*stair, (0, 10)])
    b = affinity.translate(a, 3.5, 0.25)
    together = simplify_neighbours(np.array([a, b], dtype=object), 1.0)
    alone = [simplify_neighbours(np.array([p], dtype=object), 1.0)[0] for p in (a, b)]
    assert [p.equals_exact(q) for p, q in zip(together, alone, strict=True)] == [True, True]
    assert simplify_neighbours(np.array([], dtype=object), 1.0) == []


def grid_of(crs: int = 32633) -> RasterGrid:
    return RasterGrid(100, 100, AffineMapping(NORTH_UP), CRS.from_epsg(crs))


def results(polygons: np.ndarray) -> list[ObjectResult]:
    grid = grid_of()
    on_map = shapely.set_precision(shapely.transform(polygons, grid.mapping.to_map), 0.001)
    return [ObjectResult(i, "ok", p, 0.5, 0.5) for i, p in enumerate(on_map)] + [ObjectResult(len(polygons), "outside")]


def test_it_is_the_same_in_whatever_order_tiles_come() -> None:
    v, u = np.mgrid[:30, :30]
    objects = results(pixel_polygons(1 + (u + v > 29) + 2 * (v > u)))
    options = OutlineOptions(outline="pixel", simplify=1.5)
    there = simplify_together(objects, grid_of(), options)
    back = simplify_together(objects[::-1], grid_of(), options)[::-1]
    assert [o.id for o in there] == [o.id for o in objects]
    assert there[-1] == objects[-1]
    shapes = [np.array([o.polygon_map for o in run[:-1]], dtype=object) for run in (there, back, objects)]
    assert shapely.equals_exact(shapes[0], shapes[1]).all()
    assert shapely.coverage_is_valid(shapes[0])
    assert shapely.get_num_coordinates(shapes[0]).sum() < shapely.get_num_coordinates(shapes[2]).sum() / 2
    assert shapely.union_all(shapes[0]).area == pytest.approx(30 * 30 / 4, rel=0.02)


@pytest.mark.parametrize("options", [{"outline": "smooth"}, {"simplify": 0.5}, {"orthogonal": True}])
def test_where_it_does_not_apply_nothing_changes(options: dict[str, Any]) -> None:
    v, u = np.mgrid[:20, :20]
    objects = results(pixel_polygons(1 + (u + v > 19)))
    assert simplify_together(objects, grid_of(), OutlineOptions(**{"outline": "pixel", "simplify": 2.0, **options})) == objects


# -- the whole line


Segment = Callable[..., gpd.GeoDataFrame]


@pytest.fixture
def segment(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> Segment:
    scene = write_raster()

    def run(boxes: list[tuple[float, float, float, float]], **outline: Any) -> gpd.GeoDataFrame:
        options = SegmentOptions(outline=OutlineOptions(**outline))
        frame = px_boxes(boxes, NORTH_UP, "EPSG:32633")
        return segment_run(scene, frame, options, segmenter=ellipse_segmenter).result  # type: ignore[arg-type]

    return run


def test_the_line_simplifies_pixel_outlines_at_the_end(segment: Segment) -> None:
    boxes = [(10.0, 10.0, 50.0, 40.0), (70.0, 20.0, 110.0, 60.0)]
    plain, default, simple = (segment(boxes, outline="pixel", simplify=s) for s in (0.0, 0.05, 1.5))
    assert plain.geometry.geom_equals_exact(default.geometry, 0).all()
    assert (shapely.get_num_coordinates(simple.geometry) < shapely.get_num_coordinates(plain.geometry) / 2).all()
    assert min(iou(a, b) for a, b in zip(plain.geometry, simple.geometry, strict=True)) > 0.93
    assert (simple["rosgeo_area_m2"] != plain["rosgeo_area_m2"]).all()


def test_the_line_makes_right_angles(segment: Segment) -> None:
    (plain, square) = (segment([(20.0, 20.0, 80.0, 60.0)], orthogonal=o) for o in (False, True))
    assert square.geometry.is_valid.all()
    # Rounding to the map's precision of 1 mm turns an edge of a metre by up to 0.06 degrees.
    assert right_angles(square.geometry.iloc[0]) < 0.2
    assert right_angles(plain.geometry.iloc[0]) > 5
    assert iou(plain.geometry.iloc[0], square.geometry.iloc[0]) > 0.8


def test_python_takes_the_options() -> None:
    with pytest.raises(OptionError, match="fill_holes"):
        rosgeo.segment("scene.tif", "boxes.gpkg", fill_holes=-2.0)
