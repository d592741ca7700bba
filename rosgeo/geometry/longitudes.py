"""x that comes back to where it was: longitudes, and the x of cylindrical projections, are the same a turn further.

A box may be written in any turn (179 to 181, -181 to -179, 359 to 361), with vertices on both sides of the antimeridian (179, -179), or cut
along it in two (RFC 7946, 3.1.9), and a raster may be stored from 0 to 360 or past 180. Here outlines are brought into one piece, and
then to the turn in which the raster is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from rosgeo.types import BoolArray, FloatArray, IntArray, RasterGrid

__all__ = ["in_one_piece", "joined", "lines_of", "next_to", "x_period", "x_span"]

_WHOLE = 1 - 1e-9
"""Steps of this share of a turn and more go round the globe and do not cross the antimeridian."""


@lru_cache(maxsize=64)
def x_period(crs: CRS | None) -> float | None:
    """The length of a turn in the unit of a CRS; None where x does not come back (no CRS, a projection that is not cylindrical)."""
    if crs is None:
        return None
    if crs.is_geographic:
        unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 0.0
        return float(2 * np.pi / unit) if unit else 360.0
    return _cylindrical_period(crs) if crs.is_projected else None


def _cylindrical_period(crs: CRS) -> float | None:
    """Found by trying: x grows by the same for every 30 degrees, at two latitudes alike."""
    longitudes = np.arange(-180.0, 180.0, 30.0)
    try:
        transformer = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
        rows = [np.asarray(transformer.transform(longitudes, np.full(12, latitude))) for latitude in (5.0, 40.0)]
    except ProjError:
        return None
    if not np.isfinite(rows).all():
        return None
    (x, y), (x_north, y_north) = rows
    steps = np.diff(x)
    period = 12 * float(np.median(steps))
    flat = np.ptp(y) + np.ptp(y_north) + np.abs(x - x_north).max()
    even = np.abs((steps - period / 12 + period / 2) % period - period / 2).max() if period > 0 else np.inf
    return period if flat + even <= 1e-6 * period else None


def x_span(grid: RasterGrid) -> tuple[float, float]:
    """The x between which a raster lies in its map frame; those of its edge, where they are finite."""
    along = np.linspace(0, 1, 17)
    edges = np.concatenate([np.stack([along, np.full(17, side)], axis=1) for side in (0.0, 1.0)])
    x = grid.mapping.to_map(np.concatenate([edges, edges[:, ::-1]]) * (grid.width, grid.height))[:, 0]
    x = x[np.isfinite(x)]
    return (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)


def lines_of(geometries: npt.NDArray[np.object_]) -> tuple[FloatArray, IntArray, IntArray]:
    """The vertices (P, 2) of geometries in shapely's order, and of each the number of its line (ring, part) and of its geometry."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    areal = shapely.get_type_id(parts) == 3
    pieces: list[tuple[npt.NDArray[np.object_], IntArray]] = [(parts[~areal], np.flatnonzero(~areal))]
    pieces.append(shapely.get_rings(parts[areal], return_index=True))
    if areal.any():
        pieces[1] = (pieces[1][0], np.flatnonzero(areal)[pieces[1][1]])
    lines = np.concatenate([p[0] for p in pieces])
    part_of = np.concatenate([np.asarray(p[1], dtype=np.int64) for p in pieces])
    order = np.argsort(part_of, kind="stable")
    points, line = shapely.get_coordinates(lines[order], return_index=True)
    return points, line, owner[part_of[order]][line]


def joined(x: FloatArray, line: IntArray, owner: IntArray, period: float) -> FloatArray:
    """X of outlines in one piece.

    Parameters
    ----------
    x : float64 array (P,)
        Of vertices.
    line, owner : int64 arrays (P,)
        Ascending numbers of their line and geometry.
    period : float
        Of `x_period`.

    Returns
    -------
    float64 array (P,)
        Moved by whole turns: a step along a line of more than half a turn, and less than one, goes the short way round; then the lines of a
        geometry stand in the smallest arc that holds them. What is no wider than half a turn stays as it is, and so does a ring around a
        pole.
    """
    unwrapped = _unwrapped(x, line, period)
    starts = np.flatnonzero(np.diff(line, prepend=-1))
    low, high = np.minimum.reduceat(unwrapped, starts), np.maximum.reduceat(unwrapped, starts)
    of = owner[starts]
    moves = np.zeros(len(starts))
    for rows in np.split(np.arange(len(of)), np.flatnonzero(np.diff(of)) + 1):
        if len(rows) > 1 and high[rows].max() - low[rows].min() > period / 2:
            moves[rows] = _to_smallest_arc(low[rows], high[rows], period)
    moved: FloatArray = unwrapped + np.repeat(moves, np.diff(np.append(starts, len(x))))
    return moved


def _unwrapped(x: FloatArray, line: IntArray, period: float) -> FloatArray:
    first = np.diff(line, prepend=-1) != 0
    step = np.diff(x, prepend=0.0)
    with np.errstate(invalid="ignore"):
        crossing = (np.abs(step) > period / 2) & (np.abs(step) < period * _WHOLE) & ~first
    if not crossing.any():
        return x
    turns = np.cumsum(np.where(crossing, -np.sign(step), 0.0))
    number = np.cumsum(first) - 1
    turns -= turns[first][number]
    # Closed, and yet a turn further: a ring around a pole, which has no other place.
    last = np.flatnonzero(np.append(first[1:], True))
    polar: BoolArray = (turns[last] != 0) & (x[last] == x[first])
    turns[polar[number]] = 0.0
    unwrapped: FloatArray = x + turns * period
    return unwrapped


def _to_smallest_arc(low: FloatArray, high: FloatArray, period: float) -> FloatArray:
    """How far each of some intervals is moved, by whole turns, so that they lie in the smallest arc; 0 where they leave no gap."""
    length = high - low
    if not np.isfinite(length).all() or (length >= period * _WHOLE).any():
        return np.zeros(len(low))
    start = low % period
    order = np.argsort(start)
    reach = np.maximum.accumulate((start + length)[order])
    reach = np.maximum(reach, reach[-1] - period)
    gaps = np.append(start[order][1:], start[order][0] + period) - reach
    if gaps.max() <= 0:
        return np.zeros(len(low))
    arc = start[order][(int(gaps.argmax()) + 1) % len(low)]
    moves: FloatArray = np.round((arc + (start - arc) % period - low) / period) * period
    return moves


def in_one_piece(geometries: npt.NDArray[np.object_], crs: CRS | None) -> tuple[npt.NDArray[np.object_], BoolArray]:
    """Geometries (N,) of a CRS with x as `joined` has it, and which of them (N,) were moved for that.

    Those that are null or no wider than half a turn are the same objects.
    """
    period = x_period(crs)
    moved = np.zeros(len(geometries), dtype=bool)
    if period is None:
        return geometries, moved
    low, _, high, _ = shapely.bounds(geometries).T
    with np.errstate(invalid="ignore"):
        wide = np.flatnonzero(high - low > period / 2)
    if not len(wide):
        return geometries, moved
    flat = shapely.force_2d(geometries[wide])
    points, line, owner = lines_of(flat)
    x = joined(points[:, 0], line, owner, period)
    moved[wide[np.unique(owner[x != points[:, 0]])]] = True
    whole = geometries.copy()
    whole[wide] = shapely.set_coordinates(flat, np.stack([x, points[:, 1]], axis=1))
    return whole, moved


def next_to(x: FloatArray, owner: IntArray, span: tuple[float, float], period: float) -> FloatArray:
    """X (P,) of geometries in one piece, each moved by whole turns to where most of it lies between the two of `span`.

    What lies on it in no turn comes as near to it as it can.
    """
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    low, high = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
    middle = (low + high) / 2
    with np.errstate(invalid="ignore"):
        nearest = np.round((sum(span) / 2 - middle) / period)
        turns = nearest[:, None] + np.array([0.0, -1.0, 1.0])
        shared = np.minimum(high[:, None] + turns * period, span[1]) - np.maximum(low[:, None] + turns * period, span[0])
    # The first of equals, which is the nearest.
    best = np.take_along_axis(turns, np.argmax(np.round(shared / period, 12), axis=1)[:, None], axis=1)[:, 0]
    moved: FloatArray = x + np.repeat(best * period, np.diff(np.append(starts, len(x))))
    return moved
