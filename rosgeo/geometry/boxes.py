"""Polygons of any CRS to boxes in pixels, in floating point to the end."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from rosgeo.errors import BoxesError, CRSMismatchError, PixelFrameWarning
from rosgeo.types import BoolArray, Boxes, FloatArray, RasterGrid, YAxis

__all__ = ["BOX_GRID_PX", "boxes_to_px", "flip_y", "on_raster", "points_up", "transform_points", "usable_geometries"]

BOX_GRID_PX = 1 / 1024
"""Boxes are rounded to this in pixels: far below what a mask can show, and it takes away the last digits of the map
coordinates, which differ between a scene and a clip of it."""

_SEGMENTS_A_SIDE = 16

_ROWS_AT_ONCE = 8192
"""Densified outlines are some hundred times as large as boxes: so many are held at a time, that memory does not grow with the layer."""


def usable_geometries(geometries: npt.NDArray[Any]) -> BoolArray:
    """Which geometries are prompts: not null, not empty, finite, with an area.

    Parameters
    ----------
    geometries : object array (N,) of shapely geometries or None

    Returns
    -------
    bool array (N,)
    """
    geoms = np.asarray(geometries, dtype=object)
    there = ~(shapely.is_missing(geoms) | shapely.is_empty(geoms))
    # Vertex by vertex: bounds pass over a vertex that is not a number, and GEOS raises on it.
    points, owner = shapely.get_coordinates(geoms, return_index=True)
    finite: BoolArray = there.copy()
    finite[owner[~np.isfinite(points).all(axis=1)]] = False
    usable: BoolArray = finite.copy()
    # The hull's area, since the signed area of a bow tie is zero.
    usable[finite] = shapely.area(shapely.convex_hull(geoms[finite])) > 0
    return usable


def points_up(geometries: npt.NDArray[Any], y_axis: YAxis, name: str) -> bool:
    """Whether pixel coordinates are drawn over a picture in QGIS, with y = -row, and not counted downwards, with y = row.

    Parameters
    ----------
    geometries : object array (N,) of shapely geometries or None
        In pixels.
    y_axis : {"auto", "down", "up"}
        ``down`` and ``up`` are taken at their word. ``auto``: the side of y = 0 on which the middles of the geometries lie says it (one
        that lies on neither says nothing), and y is the row where there is none.
    name : str
        Of the layer, for messages.

    Raises
    ------
    BoxesError
        There are middles on both sides.

    Warns
    -----
    PixelFrameWarning
        Not one geometry lies wholly on that side.
    """
    if y_axis != "auto":
        return y_axis == "up"
    low, high = shapely.bounds(geometries)[:, [1, 3]].T
    with np.errstate(invalid="ignore"):
        telling = np.isfinite(low) & np.isfinite(high) & (low + high != 0)
    low, high = low[telling], high[telling]
    up = int((low + high < 0).sum())
    if 0 < up < len(low):
        raise BoxesError(
            f"{name}: {up} of {len(low)} boxes have their centre at y < 0 and the rest above, so that it is not clear which way y "
            "points. Pass --y-axis down (y is the row) or --y-axis up (y is minus the row)."
        )
    if len(low) and not (high <= 0 if up else low >= 0).any():
        warnings.warn(
            f"{name}: every box reaches over y = 0; y is taken as {'minus ' if up else ''}the row, since their centres lie at "
            f"y {'<' if up else '>'} 0. Pass --y-axis {'down' if up else 'up'} if that is wrong.",
            PixelFrameWarning,
            stacklevel=2,
        )
    return up > 0


def flip_y(points: FloatArray) -> FloatArray:
    """Points (N, 2) with y = row as points with y = -row, and the other way round."""
    return points * (1.0, -1.0)


def boxes_to_px(geometries: npt.NDArray[Any], crs: CRS | None, grid: RasterGrid, *, in_pixels: bool = False) -> Boxes:
    """Envelopes of geometries in the pixel frame of a raster.

    The outline is densified, transformed to the raster's CRS and to pixels, and only then its envelope is taken, so that a box of
    another CRS or on a rotated raster covers what it covers on the map.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons, multipolygons or None
        Unusable ones (see `usable_geometries`) give a row of NaN.
    crs : pyproj.CRS or None
        Of the geometries; None where they are in the raster's own frame.
    grid : RasterGrid
        The raster.
    in_pixels : bool
        The geometries are in the pixel frame already; `crs` and the raster's mapping are not used.

    Returns
    -------
    Boxes
        In the pixel frame, ids 0..N-1, rounded to `BOX_GRID_PX`. NaN too where a geometry cannot be transformed to the raster's CRS.

    Raises
    ------
    CRSMismatchError
        No transformation between the two CRS is known.
    """
    geoms = np.asarray(geometries, dtype=object)
    xyxy = np.full((len(geoms), 4), np.nan)
    usable = np.flatnonzero(usable_geometries(geoms))
    for start in range(0, len(usable), _ROWS_AT_ONCE):
        rows = usable[start : start + _ROWS_AT_ONCE]
        points, owner = _outline_points(geoms[rows])
        if not in_pixels:
            points = grid.mapping.to_px(transform_points(points, crs, grid.crs))
        xyxy[rows] = _envelopes(points, owner, len(rows))
    snapped = np.round(xyxy / BOX_GRID_PX) * BOX_GRID_PX
    return Boxes(snapped, np.arange(len(geoms)), "pixel")


def on_raster(boxes: Boxes, shape: tuple[int, int]) -> BoolArray:
    """Which boxes of the pixel frame overlap a raster of `shape` (height, width) with an area; False for NaN."""
    x_min, y_min, x_max, y_max = boxes.xyxy.T
    with np.errstate(invalid="ignore"):
        overlap: BoolArray = (x_max > 0) & (y_max > 0) & (x_min < shape[1]) & (y_min < shape[0])
    return overlap


def _outline_points(geoms: npt.NDArray[Any]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    bounds = shapely.bounds(geoms)
    longer = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    dense = shapely.segmentize(shapely.boundary(geoms), longer / _SEGMENTS_A_SIDE)
    points, owner = shapely.get_coordinates(dense, return_index=True)
    return points, owner


def transform_points(points: FloatArray, source: CRS | None, target: CRS | None) -> FloatArray:
    """Map points (N, 2) to another CRS, always as (x, y); NaN where they have no coordinates there.

    Unchanged where either CRS is None or both are the same. Raises CRSMismatchError where no transformation is known.
    """
    if source is None or target is None or source.equals(target, ignore_axis_order=True):
        return points
    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
        moved = np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1)
    except ProjError as error:
        raise CRSMismatchError(
            f"no transformation is known from the boxes' CRS ({source.name}) to the raster's ({target.name}): {error}"
        ) from error
    return np.where(np.isfinite(moved), moved, np.nan)


def _envelopes(points: FloatArray, owner: npt.NDArray[np.int64], count: int) -> FloatArray:
    starts = np.searchsorted(owner, np.arange(count))
    # minimum and maximum hand on NaN, so a geometry with a single point off its map projection has no box.
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    return np.concatenate([low, high], axis=1)
