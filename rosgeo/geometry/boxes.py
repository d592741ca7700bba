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
from rosgeo.geometry.longitudes import in_one_piece, joined, lines_of, next_to, x_period, x_span
from rosgeo.types import BoolArray, Boxes, FloatArray, IntArray, RasterGrid, YAxis

__all__ = [
    "BOX_GRID_PX",
    "boxes_to_px",
    "flip_y",
    "geometries_on",
    "on_raster",
    "points_up",
    "transform_geometries",
    "transform_points",
    "usable_geometries",
]

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
    another CRS or on a rotated raster covers what it covers on the map. Longitudes are circular: in which turn they are written, and
    whether the outline is cut at the antimeridian, makes no difference; see `rosgeo.geometry.longitudes`.

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
        whole = geoms[rows] if in_pixels else in_one_piece(geoms[rows], crs or grid.crs)[0]
        points, line, owner = _outline_points(whole)
        if not in_pixels:
            points = grid.mapping.to_px(_next_to_grid(transform_points(points, crs, grid.crs), line, owner, grid))
        xyxy[rows] = _envelopes(points, owner, len(rows))
    snapped = np.round(xyxy / BOX_GRID_PX) * BOX_GRID_PX
    return Boxes(snapped, np.arange(len(geoms)), "pixel")


def on_raster(boxes: Boxes, shape: tuple[int, int]) -> BoolArray:
    """Which boxes of the pixel frame overlap a raster of `shape` (height, width) with an area; False for NaN."""
    x_min, y_min, x_max, y_max = boxes.xyxy.T
    with np.errstate(invalid="ignore"):
        overlap: BoolArray = (x_max > 0) & (y_max > 0) & (x_min < shape[1]) & (y_min < shape[0])
    return overlap


def _outline_points(geoms: npt.NDArray[Any]) -> tuple[FloatArray, IntArray, IntArray]:
    """Points along the outlines, and of each the number of its line and of its geometry."""
    bounds = shapely.bounds(geoms)
    longer = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    return lines_of(shapely.segmentize(shapely.boundary(geoms), longer / _SEGMENTS_A_SIDE))


def _next_to_grid(points: FloatArray, line: IntArray, owner: IntArray, grid: RasterGrid) -> FloatArray:
    """Points of the CRS of a raster, moved by whole turns to where the raster is."""
    period = x_period(grid.crs)
    if period is None or not len(points):
        return points
    x = next_to(joined(points[:, 0], line, owner, period), owner, x_span(grid), period)
    return np.stack([x, points[:, 1]], axis=1)


def geometries_on(geometries: npt.NDArray[Any], crs: CRS | None, grid: RasterGrid) -> npt.NDArray[Any]:
    """Geometries of any kind in the map frame of a raster: transformed vertex by vertex, in one piece, in the turn of the raster.

    Parameters
    ----------
    geometries : object array (N,) of shapely geometries or None
    crs : pyproj.CRS or None
        See `boxes_to_px`.
    grid : RasterGrid

    Returns
    -------
    object array (N,)
        In two dimensions. Coordinates are NaN where a vertex cannot be transformed.

    Raises
    ------
    CRSMismatchError
        No transformation between the two CRS is known.
    """
    return _moved(geometries, crs, grid.crs, grid)


def transform_geometries(geometries: npt.NDArray[Any], source: CRS | None, target: CRS | None) -> npt.NDArray[Any]:
    """Geometries (N,) in another CRS, each in one piece where that is circular: past 180 degrees, and not from one end to the other.

    Raises CRSMismatchError where no transformation is known.
    """
    return _moved(geometries, source, target, None)


def _moved(geometries: npt.NDArray[Any], source: CRS | None, target: CRS | None, grid: RasterGrid | None) -> npt.NDArray[Any]:
    flat: npt.NDArray[Any] = shapely.force_2d(in_one_piece(np.asarray(geometries, dtype=object), source or target)[0])
    points, line, owner = lines_of(flat)
    if not len(points):
        return flat
    points = transform_points(points, source, target)
    period = x_period(target)
    if grid is not None:
        points = _next_to_grid(points, line, owner, grid)
    elif period is not None:
        points = np.stack([joined(points[:, 0], line, owner, period), points[:, 1]], axis=1)
    moved: npt.NDArray[Any] = shapely.set_coordinates(flat.copy(), points)
    return moved


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


def _envelopes(points: FloatArray, owner: IntArray, count: int) -> FloatArray:
    starts = np.searchsorted(owner, np.arange(count))
    # minimum and maximum hand on NaN, so a geometry with a single point off its map projection has no box.
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    return np.concatenate([low, high], axis=1)
