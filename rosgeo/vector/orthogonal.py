"""Outlines with right angles, for buildings: every edge along one of two directions that are square on the ground."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import shapely
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from shapely import MultiPolygon, Polygon

from rosgeo.types import FloatArray, RasterGrid

__all__ = ["ground_matrix", "ground_scale_m", "orthogonal"]

AnyPolygon: TypeAlias = Polygon | MultiPolygon

_LEAST_IOU = 0.75
_SHORTEST_EDGE = 2.0
_STEP_PX = 8.0


class _Run(NamedTuple):
    """Successive edges along one direction, as one straight edge to be.

    Attributes
    ----------
    across : int
        0 for an upright edge (a fixed x), 1 for a level one (a fixed y).
    values, weights : float64 arrays
        Coordinate across the edge of each piece of the outline, and the piece's length along it.
    """

    across: int
    values: FloatArray
    weights: FloatArray

    @property
    def place(self) -> float:
        """The weighted median: rounded corners at its ends do not pull the edge inwards, as they would a mean."""
        order = np.argsort(self.values, kind="stable")
        total = np.cumsum(self.weights[order])
        return float(self.values[order][np.searchsorted(total, total[-1] / 2)])

    def joined(self, *others: _Run) -> _Run:
        runs = (self, *others)
        return _Run(self.across, np.concatenate([r.values for r in runs]), np.concatenate([r.weights for r in runs]))


def ground_matrix(grid: RasterGrid, point_px: FloatArray) -> FloatArray:
    """How a step in pixels lies on the ground round a point, without its size.

    Parameters
    ----------
    grid : RasterGrid
        The raster.
    point_px : float64 array (2,)
        In the pixel frame.

    Returns
    -------
    float64 array (2, 2)
        Times a step (x, y) in pixels: the same step to the east and north, in a unit that keeps areas (determinant 1 or -1). Of the map
        frame where there is no CRS, or none that leads to WGS 84.
    """
    steps, _ = _steps(grid, point_px)
    size = abs(np.linalg.det(steps))
    if not np.isfinite(steps).all() or size == 0:
        return np.eye(2)
    matrix: FloatArray = steps.T / math.sqrt(size)
    return matrix


def ground_scale_m(grid: RasterGrid) -> float | None:
    """Side of a pixel on the ground in the raster's middle, in metres; None where no CRS leads to WGS 84."""
    steps, in_metres = _steps(grid, np.array([grid.width / 2, grid.height / 2]))
    size = float(abs(np.linalg.det(steps)))
    return math.sqrt(size) / _STEP_PX if in_metres and math.isfinite(size) else None


def _steps(grid: RasterGrid, point_px: FloatArray) -> tuple[FloatArray, bool]:
    """Where `_STEP_PX` pixels to the right and down lead, a row each: to the east and north in metres, or in the map's units."""
    ends = grid.mapping.to_map(point_px + np.array([[0, 0], [_STEP_PX, 0], [0, _STEP_PX]]))
    to_degrees = None if grid.crs is None else _to_degrees(grid.crs)
    if to_degrees is None:
        return ends[1:] - ends[0], False
    x, y = to_degrees.transform(*ends.T)
    azimuth, _, distance = Geod(ellps="WGS84").inv(x[[0, 0]], y[[0, 0]], x[1:], y[1:])
    return np.stack([distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))], axis=1), True


@lru_cache(maxsize=8)
def _to_degrees(crs: CRS) -> Transformer | None:
    try:
        return Transformer.from_crs(crs, 4326, always_xy=True)
    except ProjError:
        return None


def orthogonal(polygon: AnyPolygon, to_ground: FloatArray, tolerance: float) -> AnyPolygon:
    """A polygon whose angles are right ones on the ground.

    Parameters
    ----------
    polygon : Polygon or MultiPolygon
        In the pixel frame.
    to_ground : float64 array (2, 2)
        See `ground_matrix`.
    tolerance : float
        In pixels: what departs less from a straight edge is none of its own. Steps are at least twice as long.

    Returns
    -------
    Polygon or MultiPolygon
        Valid. A part that right angles do not suit (IoU below 0.75 with what they make of it) is given back as it is; such a hole
        becomes its envelope along the part's main direction, and one smaller than the shortest step squared is filled.

    Notes
    -----
    Three directions are tried, and that is taken which changes the part least: the mean of four times the angle of the simplified
    outline's edges, by the square of their length; the longest edge; the tightest rectangle. Each edge becomes level or upright
    along it; successive ones of one kind become one, at the weighted median of what they stand for; steps
    shorter than twice the tolerance are taken into their neighbours, shortest first.
    """
    parts = [_part(part, to_ground, tolerance) for part in shapely.get_parts(polygon)]
    joined = shapely.union_all(parts)
    kept = [p for p in shapely.get_parts(joined) if isinstance(p, Polygon) and p.area > 0]
    if not kept:
        return polygon
    return kept[0] if len(kept) == 1 else MultiPolygon(kept)


def _part(part: Polygon, to_ground: FloatArray, tolerance: float) -> Any:
    """A part with right angles along the direction that changes it least; the part itself where none does well."""
    exterior = shapely.transform(part.exterior, lambda points: points @ to_ground.T)
    squared = [_along(angle, part, to_ground, tolerance) for angle in _angles(exterior, tolerance)]
    ious = [_iou(shape, part) if shape is not None and shape.is_valid else 0.0 for shape in squared]
    best = int(np.argmax(ious))
    return squared[best] if ious[best] >= _LEAST_IOU else part


def _along(angle: float, part: Polygon, to_ground: FloatArray, tolerance: float) -> Any:
    """A part with right angles along a direction, in radians on the ground; None where it is no such shape."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    there = turn @ to_ground
    back = np.linalg.inv(there)
    rings = [np.asarray(ring.coords) @ there.T for ring in (part.exterior, *part.interiors)]
    squared = [_squared(ring, tolerance) for ring in rings]
    if squared[0] is None:
        return None
    holes = [
        shapely.box(*Polygon(ring).bounds) if square is None else square
        for ring, square in zip(rings[1:], squared[1:], strict=True)
        if Polygon(ring).area >= (_SHORTEST_EDGE * tolerance) ** 2
    ]
    # One that comes to cross the outline is cut off at it.
    straight = shapely.difference(squared[0], shapely.union_all(holes)) if holes else squared[0]
    return shapely.transform(straight, lambda points: points @ back.T)


def _angles(ring: Any, tolerance: float) -> list[float]:
    """Directions, in radians, along which a ring may have its right angles: of all its edges, the longest, its tightest rectangle."""
    edges = np.diff(shapely.get_coordinates(shapely.simplify(ring, tolerance)), axis=0)
    sides = np.diff(shapely.get_coordinates(shapely.minimum_rotated_rectangle(ring)), axis=0)
    length, angle = np.hypot(*edges.T), np.arctan2(edges[:, 1], edges[:, 0])
    mean = np.angle(np.sum(length**2 * np.exp(4j * angle))) / 4
    return [float(mean), float(angle[np.argmax(length)]), *np.arctan2(sides[:1, 1], sides[:1, 0]).tolist()]


def _squared(ring: FloatArray, tolerance: float) -> Polygon | None:
    """The ring (N, 2), closed, with level and upright edges; None where it is no such shape."""
    runs = _shortened(_runs(ring, tolerance), _SHORTEST_EDGE * tolerance)
    if len(runs) < 4:
        return None
    square = Polygon(_corners(runs))
    return square if square.is_valid and _iou(square, shapely.make_valid(Polygon(ring))) >= _LEAST_IOU else None


def _runs(ring: FloatArray, tolerance: float) -> list[_Run]:
    """Edges level and upright in turn, round a ring."""
    kept = shapely.get_coordinates(shapely.simplify(shapely.linearrings(ring), tolerance))[:-1]
    # Simplifying keeps some of the vertices, in order.
    number = {tuple(point): i for i, point in reversed(list(enumerate(ring[:-1].tolist())))}
    starts = [number[tuple(point)] for point in kept.tolist()]
    runs: list[_Run] = []
    for begin, end in zip(starts, starts[1:] + starts[:1], strict=True):
        piece = ring[begin : end + 1] if end > begin else np.concatenate([ring[begin:-1], ring[: end + 1]])
        run = _run(piece)
        if runs and runs[-1].across == run.across:
            runs[-1] = runs[-1].joined(run)
        else:
            runs.append(run)
    if len(runs) > 1 and runs[0].across == runs[-1].across:
        runs[0] = runs[0].joined(runs.pop())
    return runs


def _run(piece: FloatArray) -> _Run:
    whole = np.abs(piece[-1] - piece[0])
    across = 1 if whole[0] >= whole[1] else 0
    steps = np.diff(piece, axis=0)
    return _Run(across, (piece[:-1, across] + piece[1:, across]) / 2, np.abs(steps[:, 1 - across]) + 1e-12)


def _corners(runs: list[_Run]) -> FloatArray:
    """Where each run meets the one before it, (N, 2)."""
    places = np.array([run.place for run in runs])
    before = np.roll(places, 1)
    upright = np.array([run.across == 0 for run in runs])
    return np.stack([np.where(upright, places, before), np.where(upright, before, places)], axis=1)


def _shortened(runs: list[_Run], shortest: float) -> list[_Run]:
    """Runs without edges shorter than `shortest`, as long as four are left: the two beside such an edge become one."""
    while len(runs) > 4:
        corners = _corners(runs)
        lengths = np.abs(np.roll(corners, -1, axis=0) - corners).sum(axis=1)
        i = int(np.argmin(lengths))
        if lengths[i] >= shortest:
            break
        runs = runs[i:] + runs[:i]
        runs = [runs[1].joined(runs[-1]), *runs[2:-1]]
    return runs


def _iou(a: Any, b: Any) -> float:
    union = shapely.union(a, b).area
    return float(shapely.intersection(a, b).area / union) if union > 0 else 0.0
