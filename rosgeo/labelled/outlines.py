"""Outlines from masks and from polygons with holes, as the closed paths that `coverage` fills by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from rosgeo.types import BoolArray, FloatArray

__all__ = [
    "area_of",
    "clip_rings",
    "envelope_of",
    "geometry_of",
    "join_holes",
    "join_loops",
    "loops_of",
    "mask_outline",
    "mask_path",
    "parts_of",
    "rings_of",
]


def mask_outline(mask: BoolArray) -> FloatArray:
    """The outline of one object's mask on its picture, as `mask_path` gives it, which here walks no more than the object's box.

    Parameters
    ----------
    mask : bool array (height, width)
        Of the whole picture, with at least one pixel.

    Returns
    -------
    float64 array (n, 2)
        One closed path in the pixel frame. Its envelope is the tight box of the mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outline: FloatArray = mask_path(part) + np.array([columns[0], rows[0]])
    return outline


def mask_path(mask: BoolArray) -> FloatArray:
    """The outline of a mask along its pixel edges, parts and holes included.

    Parameters
    ----------
    mask : bool array (h, w)
        With at least one pixel.

    Returns
    -------
    float64 array (n, 2)
        One closed path (x, y), origin at the corner of the first pixel. Filled by the even-odd rule it is the mask again.
    """
    padded = np.pad(mask, 1)
    # Directed edges of one pixel, the object on their right hand; +1 in y is down.
    above, here = padded[:-1, 1:-1], padded[1:, 1:-1]
    left, right = padded[1:-1, :-1], padded[1:-1, 1:]
    edges = np.concatenate(
        [
            _edges(here & ~above, (0, 0), (1, 0)),
            _edges(above & ~here, (1, 0), (0, 0)),
            _edges(left & ~right, (0, 0), (0, 1)),
            _edges(right & ~left, (0, 1), (0, 0)),
        ]
    )
    return join_loops(_chain(edges))


def _edges(where: BoolArray, start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """Edges (n, 2, 2) from and to a corner (x, y) of each cell of `where`."""
    row, column = np.nonzero(where)
    corner = np.stack([column, row], axis=1)
    return np.stack([corner + start, corner + end], axis=1)


def _chain(edges: np.ndarray) -> list[FloatArray]:
    """Closed loops of directed edges, without the vertices on their straight parts."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (x0, y0), (x1, y1) in edges.tolist():
        following.setdefault((x0, y0), []).append((x1, y1))
    loops = []
    while following:
        start = next(iter(following))
        loop, point = [start], start
        while True:
            ends = following[point]
            nearest = ends.pop()
            if not ends:
                del following[point]
            point = nearest
            if point == start:
                break
            loop.append(point)
        loops.append(_corners_of(np.array(loop, dtype=np.float64)))
    return loops


def _corners_of(loop: FloatArray) -> FloatArray:
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    corners: FloatArray = loop[(before != after).any(axis=1)]
    return corners


def join_loops(loops: Sequence[FloatArray]) -> FloatArray:
    """Several closed loops (n, 2) as one closed path, by bridges that are walked there and back and so enclose nothing."""
    if len(loops) == 1:
        return loops[0]
    out = [np.concatenate([loop, loop[:1]]) for loop in loops]
    back = [loop[:1] for loop in loops[-2::-1]]
    return np.concatenate([*out, *back])


def loops_of(path: FloatArray) -> list[FloatArray]:
    """The closed loops that `join_loops` made a path of; the path itself where it is one loop."""
    loops, start = [], 0
    while start < len(path):
        again = np.flatnonzero((path[start + 1 :] == path[start]).all(axis=1))
        if not len(again):
            break
        end = start + 1 + int(again[0])
        loops.append(path[start:end])
        start = end + 1
    # What is left of a joined path are the bridges back.
    return [loop for loop in loops if len(loop) >= 3] or [path]


def area_of(loop: FloatArray) -> float:
    """The signed area of a closed loop (n, 2); positive where it runs clockwise as seen with y downwards."""
    x, y = loop.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def envelope_of(rings: Sequence[FloatArray]) -> FloatArray:
    """xyxy, float64 (4,), of outlines."""
    points = np.concatenate(rings)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def clip_rings(rings: Sequence[FloatArray], shape: tuple[int, int]) -> tuple[FloatArray, ...]:
    """The part of outlines on a picture of `shape` (height, width); no ring where nothing of them is."""
    import shapely

    height, width = shape
    return rings_of(shapely.intersection(geometry_of(rings), shapely.box(0, 0, width, height)))


def geometry_of(rings: Sequence[FloatArray]) -> Any:
    """The union of closed paths, each filled by the even-odd rule."""
    import shapely

    return shapely.union_all([_filled(ring) for ring in rings if len(ring) >= 3])


def _filled(ring: FloatArray) -> Any:
    """The polygons of a closed path by the even-odd rule, loop by loop: bridges between loops would close faces of their own."""
    import shapely

    loops = [shapely.make_valid(shapely.Polygon(loop)) for loop in loops_of(ring)]
    return reduce(shapely.symmetric_difference, loops)


def rings_of(geometry: Any) -> tuple[FloatArray, ...]:
    """One closed path for each polygon of a shapely geometry, its holes included."""
    import shapely

    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if p.geom_type == "Polygon" and p.area > 0]
    loops = ([ring.coords for ring in (part.exterior, *part.interiors)] for part in parts)
    return tuple(join_loops([np.array(ring, dtype=np.float64)[:-1, :2] for ring in part]) for part in loops)


def parts_of(rings: Sequence[FloatArray]) -> list[tuple[FloatArray, ...]]:
    """The outlines of each part of an object; parts that touch or overlap are one."""
    import shapely

    if len(rings) == 1 and len(loops_of(rings[0])) == 1:
        return [tuple(rings)]
    geometry = geometry_of(rings)
    polygons = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if p.geom_type == "Polygon" and p.area > 0]
    groups: list[list[Any]] = []
    for polygon in polygons:
        near = [g for g in groups if any(shapely.intersects(polygon, other) for other in g)]
        groups = [g for g in groups if g not in near] + [[polygon, *(p for g in near for p in g)]]
    return [rings_of(shapely.MultiPolygon(group)) for group in groups]


def join_holes(rings: Sequence[FloatArray], area: float | None = None) -> tuple[tuple[FloatArray, ...], int, int]:
    """Outlines of which some lie wholly in another one, as people write courtyards in formats that know no holes.

    Parameters
    ----------
    rings : sequence of float64 arrays (n, 2)
        Two and more.
    area : float or None
        What the file says of the object's area.

    Returns
    -------
    rings : tuple of float64 arrays (n, 2)
        An inner ring is a hole of the outer one where it runs the other way, unless `area` is that of the outer one alone; and where
        `area` is that with holes.
    holes, filled : int
        How many inner rings are holes, and how many are taken as part of the outer one, to which they add nothing.
    """
    areas = np.array([abs(area_of(ring)) for ring in rings])
    order = np.argsort(-areas, kind="stable")
    outer: dict[int, list[int]] = {}
    for i in order.tolist():
        home = next((j for j in outer if _lies_in(rings[i], rings[j]) and areas[i] < areas[j]), None)
        outer.setdefault(i, []) if home is None else outer[home].append(i)
    inner = [i for found in outer.values() for i in found]
    if not inner:
        return tuple(rings), 0, 0
    whole = float(areas[list(outer)].sum())
    told = _says_holes(area, whole, whole - float(areas[inner].sum()))
    holes = 0
    joined = []
    for j, found in outer.items():
        mine = [i for i in found if (area_of(rings[i]) * area_of(rings[j]) < 0 if told is None else told)]
        holes += len(mine)
        joined.append(join_loops([rings[j], *(rings[i] for i in mine)]))
    return tuple(joined), holes, len(inner) - holes


def _says_holes(area: float | None, whole: float, holed: float) -> bool | None:
    """Whether an area that a file gives is that with holes; None where it tells nothing."""
    if area is None or area <= 0 or min(abs(area - holed), abs(area - whole)) > 0.05 * whole:
        return None
    return abs(area - holed) < abs(area - whole)


def _lies_in(inner: FloatArray, outer: FloatArray) -> bool:
    """Whether a ring lies wholly in another one."""
    low, high = outer.min(axis=0), outer.max(axis=0)
    if (inner.min(axis=0) < low).any() or (inner.max(axis=0) > high).any():
        return False
    import shapely

    first, second = (shapely.make_valid(shapely.Polygon(ring)) for ring in (inner, outer))
    return bool(shapely.covers(second, first))
