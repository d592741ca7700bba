"""Outlines that share edges, simplified together, so that no gap opens between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from rosgeo.types import RasterGrid
from rosgeo.vector.polygonize import AnyPolygon, OutlineOptions, map_precision, polygon_to_map
from rosgeo.vector.result import ObjectResult

__all__ = ["LEAST_TOLERANCE_PX", "simplify_neighbours", "simplify_together"]

LEAST_TOLERANCE_PX = 0.7
"""Below it no step of a pixel outline gives way: the triangle at the corner of a step of one pixel has an area of 0.5 px²."""

_GRID_PX = 1 / 64
"""Pixel outlines come back from the map frame with its rounding, 1/200 px at most; this takes it off again."""


def simplify_together(objects: Sequence[ObjectResult], grid: RasterGrid, options: OutlineOptions) -> list[ObjectResult]:
    """Simplify the pixel outlines of a run, all of them together.

    Parameters
    ----------
    objects : sequence of ObjectResult
        Of a whole run, in any order.
    grid : RasterGrid
        The raster along whose pixels they lie.
    options : OutlineOptions
        Their `simplify` counts here for pixel outlines; the rest is given back as it is. Smooth outlines were simplified one by one:
        each is the contour of its own mask, so that neighbours touch or overlap but share no edge.

    Returns
    -------
    list of ObjectResult
        In the same order.

    Notes
    -----
    This is a function of the finished outlines, after tiles, workers and the journal: it gives the same however they came about.
    """
    if options.outline != "pixel" or options.orthogonal or options.simplify < LEAST_TOLERANCE_PX:
        return list(objects)
    # By row, since the order of results is that in which tiles were done.
    order = sorted((i for i, o in enumerate(objects) if o.polygon_map is not None), key=lambda i: objects[i].id)
    on_map = np.array([objects[i].polygon_map for i in order], dtype=object)
    px = shapely.set_precision(shapely.transform(on_map, grid.mapping.to_px), _GRID_PX)
    simplified = list(objects)
    for i, polygon in zip(order, simplify_neighbours(px, options.simplify), strict=True):
        moved = polygon_to_map(polygon, grid, map_precision(grid))
        if moved is not None:
            simplified[i] = replace(objects[i], polygon_map=moved)
    return simplified


def simplify_neighbours(polygons: npt.NDArray[Any], tolerance: float) -> list[AnyPolygon]:
    """Simplify polygons so that those which share an edge go on sharing it.

    Parameters
    ----------
    polygons : object array (N,) of Polygon or MultiPolygon
        Valid, none empty.
    tolerance : float
        About the root of the area of the triangles that are cut off or filled, in the polygons' unit (Visvalingam and Whyatt).

    Returns
    -------
    list of Polygon or MultiPolygon
        N, valid. None is lost.

    Notes
    -----
    Polygons with a common stretch of outline, directly or through others, are brought to the faces into which all their outlines cut the
    plane, gaps and overlaps among them; the faces are a coverage by construction, are simplified as one, and put together again. So a
    neighbour's corner on a straight edge, or a neighbour that overlaps elsewhere, does no harm. Polygons that merely overlap, or touch
    in points, share nothing, and are simplified each on its own.
    """
    result: list[Any] = [None] * len(polygons)
    for group in _groups(polygons):
        for i, simplified in zip(group, _simplify_group(polygons[group], tolerance), strict=True):
            result[i] = simplified if simplified is not None else polygons[i]
    return result


def _groups(polygons: npt.NDArray[Any]) -> list[list[int]]:
    """Which polygons hang together by shared stretches of outline; every index once."""
    tree = shapely.STRtree(polygons)
    a, b = tree.query(polygons, predicate="intersects")
    a, b = a[a < b], b[a < b]
    shared = shapely.length(shapely.intersection(shapely.boundary(polygons[a]), shapely.boundary(polygons[b]))) > 0
    root = list(range(len(polygons)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in zip(a[shared].tolist(), b[shared].tolist(), strict=True):
        low, high = sorted((find(i), find(j)))
        root[high] = low
    groups: dict[int, list[int]] = {}
    for i in range(len(polygons)):
        groups.setdefault(find(i), []).append(i)
    return list(groups.values())


def _simplify_group(polygons: npt.NDArray[Any], tolerance: float) -> list[AnyPolygon | None]:
    lines = shapely.union_all(shapely.boundary(polygons))
    faces = np.array(shapely.get_parts(shapely.polygonize(shapely.get_parts(lines))), dtype=object)
    within, owners = shapely.STRtree(polygons).query(shapely.point_on_surface(faces), predicate="within")
    simplified = shapely.coverage_simplify(faces, tolerance)
    return [_whole(simplified[within[owners == i]]) for i in range(len(polygons))]


def _whole(faces: npt.NDArray[Any]) -> AnyPolygon | None:
    """The faces of one polygon as one; None where there are none."""
    parts = [p for p in shapely.get_parts(shapely.make_valid(shapely.union_all(faces))) if isinstance(p, Polygon) and p.area > 0]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)
