"""IoU and Boundary IoU of polygons, pair by pair."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from rosgeo.types import FloatArray

__all__ = ["Geometries", "intersection_areas", "outline_boundary_iou", "outline_iou"]

Geometries = npt.NDArray[Any]
"""Object array of shapely geometries."""

_PAIRS_AT_ONCE = 4096
_QUARTER_CIRCLE = 8
"""Segments of a quarter circle where the band turns round a corner: the arc lies within 0.5 % of the width."""


def outline_iou(a: Geometries, b: Geometries) -> FloatArray:
    """IoU of polygons, pair by pair.

    Parameters
    ----------
    a, b : object arrays (P,) of valid polygons or multipolygons
        In one frame. All parts of a multipolygon are one outline; holes are outside of it.

    Returns
    -------
    float64 array (P,)
        Area of the intersection over that of the union; 0 where neither has an area.
    """
    common = intersection_areas(a, b)
    return _ratio(common, shapely.area(a) + shapely.area(b) - common)


def outline_boundary_iou(
    a: Geometries, b: Geometries, width: float, *, scale: FloatArray | None = None, clip: Geometries | None = None
) -> FloatArray:
    """Boundary IoU of polygons, pair by pair.

    Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021, equation 2: the IoU of the two bands
    that lie within the outlines, up to `width` from them. There, the bands are of pixels, and `width` is 2 % of the picture's diagonal;
    here, they are exact, and `width` is a distance in the plane. The edges of holes and of all parts belong to the outline.

    Parameters
    ----------
    a, b : object arrays (P,) of valid polygons or multipolygons
        In one frame.
    width : float
        Of the bands, above 0. A polygon that is nowhere wider than twice that is all band.
    scale : float64 array (P, 2), optional
        Units of `width` in a step of 1 along x and along y, a pair each; see `rosgeo.geometry.crs.metres_per_unit`. Default: 1.
    clip : object array (P,) of polygons or None, optional
        What is compared of a pair: the bands are made of the whole outlines, so that the edge of `clip` is no outline, and then cut. None:
        all of it.

    Returns
    -------
    float64 array (P,)
        0 to 1; 0 where neither band has an area.
    """
    steps = np.ones((len(a), 2)) if scale is None else scale
    cut = np.full(len(a), None, dtype=object) if clip is None else clip
    parts = _in_threads(lambda rows: _boundary_iou(a[rows], b[rows], width, steps[rows], cut[rows]), len(a))
    return np.concatenate(parts) if parts else np.zeros(0)


def _boundary_iou(a: Geometries, b: Geometries, width: float, scale: FloatArray, clip: Geometries) -> FloatArray:
    a_core, b_core = _clipped(_core(a, width, scale), clip), _clipped(_core(b, width, scale), clip)
    a, b = _clipped(a, clip), _clipped(b, clip)
    # A band is a polygon less its core. As a core lies in its polygon, three intersections give that of the two bands, and no ring is made.
    common = _common(a, b) - _common(a_core, b) - _common(a, b_core) + _common(a_core, b_core)
    bands = shapely.area(a) - shapely.area(a_core) + shapely.area(b) - shapely.area(b_core)
    return np.clip(_ratio(common, bands - common), 0.0, 1.0)


def _core(polygons: Geometries, width: float, scale: FloatArray) -> Geometries:
    """What lies further than `width` within polygons."""
    inner: Geometries = shapely.buffer(_stretched(polygons, scale), -width, quad_segs=_QUARTER_CIRCLE)
    return _stretched(inner, 1 / scale)


def _stretched(polygons: Geometries, scale: FloatArray) -> Geometries:
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    moved: Geometries = shapely.set_coordinates(polygons.copy(), points * scale[owner])
    return moved


def _clipped(polygons: Geometries, clip: Geometries) -> Geometries:
    there = ~shapely.is_missing(clip)
    if not there.any():
        return polygons
    out: Geometries = polygons.copy()
    out[there] = shapely.intersection(polygons[there], clip[there])
    return out


def intersection_areas(a: Geometries, b: Geometries) -> FloatArray:
    """Areas of the intersections of polygons (P,), pair by pair, in as many threads as there are cores."""
    parts = _in_threads(lambda rows: _common(a[rows], b[rows]), len(a))
    return np.concatenate(parts) if parts else np.zeros(0)


def _common(a: Geometries, b: Geometries) -> FloatArray:
    areas: FloatArray = shapely.area(shapely.intersection(a, b))
    return areas


def _in_threads(work: Callable[[slice], FloatArray], count: int) -> list[FloatArray]:
    """`work` on slices of `count` rows, in their order. GEOS lets go of Python's lock while it computes."""
    slices = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, count, _PAIRS_AT_ONCE)]
    if len(slices) < 2:
        return [work(rows) for rows in slices]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, slices))


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
