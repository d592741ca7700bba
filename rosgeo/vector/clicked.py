"""The polygon of a mask that was corrected by clicks: what was clicked is in it or out of it, however small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from shapely import MultiPolygon, Point, Polygon

from rosgeo.types import BoolArray, FloatArray, ObjectMask
from rosgeo.vector.polygonize import AnyPolygon, OutlineOptions, mask_to_polygon

__all__ = ["clicked_polygon"]


def clicked_polygon(
    mask: ObjectMask, box_px: FloatArray, points_px: FloatArray, positive: BoolArray, options: OutlineOptions
) -> AnyPolygon | None:
    """`mask_to_polygon` for a mask with clicks.

    Parameters
    ----------
    mask : ObjectMask
        See `click_mask`.
    box_px : float64 array (4,)
        The box in the pixel frame.
    points_px : float64 array (K, 2)
        Clicks in the pixel frame, in order; without any the polygon is that of `mask_to_polygon`.
    positive : bool array (K,)
        True where the object is.
    options : OutlineOptions

    Returns
    -------
    Polygon, MultiPolygon or None
        In the pixel frame. The part that holds a positive click and the hole that holds a negative one are kept, whatever their size and
        wherever they are; the pixel of each click is wholly in or wholly out.
    """
    polygon = mask_to_polygon(mask, box_px, options)
    if not len(points_px):
        return polygon
    window = mask.window
    whole = np.array([window.col_off, window.row_off, window.col_off + window.size, window.row_off + window.size], dtype=np.float64)
    every = mask_to_polygon(mask, whole, replace(options, min_area=0.0, parts="all"))
    parts = [] if every is None else [part for part in shapely.get_parts(every) if isinstance(part, Polygon)]
    shape = polygon if polygon is not None else Polygon()
    for (x, y), inside in zip(points_px, positive, strict=True):
        at = Point(x, y)
        around = parts if inside else [Polygon(hole) for part in parts for hole in part.interiors]
        for patch in (patch for patch in around if patch.covers(at)):
            shape = shape.union(patch) if inside else shape.difference(patch)
    # Then the pixels, which those patches may have cut; of several clicks on a pixel the last counts.
    for (x, y), inside in zip(np.floor(points_px), positive, strict=True):
        pixel = shapely.box(x, y, x + 1, y + 1)
        shape = shape.union(pixel) if inside else shape.difference(pixel)
    return _as_polygon(shape)


def _as_polygon(shape: shapely.Geometry) -> AnyPolygon | None:
    polygons = [part for part in shapely.get_parts(shape) if isinstance(part, Polygon) and part.area > 0]
    if not polygons:
        return None
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
