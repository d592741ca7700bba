"""What the coordinates of a layer are on a raster: of a CRS, of the raster's own map frame, or pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from rosgeo.errors import CRSMismatchError, PixelFrameWarning
from rosgeo.geometry.boxes import flip_y, geometries_on, points_up
from rosgeo.geometry.crs import crs_label, known_crs, parse_crs
from rosgeo.types import RasterGrid, YAxis

__all__ = ["PIXEL_CRS", "Placed", "check_frames", "place_geometries"]

PIXEL_CRS = "pixel"
"""Value of ``boxes_crs`` for coordinates in pixels of the raster."""


def check_frames(
    crs: Any, boxes_crs: str | CRS | None, raster_crs: CRS | None, raster_name: str, boxes_name: str
) -> tuple[CRS | None, bool]:
    """Which CRS the boxes are in, and whether they are in pixels.

    Parameters
    ----------
    crs : CRS or None
        That the layer of boxes has; see `known_crs`.
    boxes_crs : str or CRS, optional
        The user's word on a layer without CRS; ``"pixel"`` for pixel coordinates.
    raster_crs : CRS or None
        Of the raster.
    raster_name, boxes_name : str
        For messages.

    Returns
    -------
    crs : CRS or None
        Of the boxes; None where they are in the raster's own frame.
    in_pixels : bool
        True where box coordinates are pixels.

    Raises
    ------
    CRSMismatchError
        Only one of raster and boxes has a CRS, or `boxes_crs` contradicts the layer.
    """
    if boxes_crs is not None and str(boxes_crs).lower() == PIXEL_CRS:
        return None, True
    own = known_crs(crs)
    if boxes_crs is not None:
        given = parse_crs(boxes_crs, "--boxes-crs")
        if own is not None and not own.equals(given, ignore_axis_order=True):
            raise CRSMismatchError(
                f"{boxes_name} is in {crs_label(own)}, but --boxes-crs says {crs_label(given)}. Leave --boxes-crs out, or mend the file."
            )
        own = given
    if own is None and raster_crs is not None:
        raise CRSMismatchError(
            f"{boxes_name} has no CRS, but {raster_name} is in {crs_label(raster_crs)}. Set it in the file, or pass "
            f"--boxes-crs {crs_label(raster_crs)} (or --boxes-crs pixel for pixel coordinates)."
        )
    if own is not None and raster_crs is None:
        raise CRSMismatchError(
            f"{raster_name} has no CRS, but {boxes_name} is in {crs_label(own)}. Georeference the raster (gdal_edit.py -a_srs), or "
            "pass --boxes-crs pixel if the boxes are in pixels."
        )
    return own, own is None


@dataclass(frozen=True)
class Placed:
    """Polygons, and what their coordinates are on a raster.

    Attributes
    ----------
    geometries : object array (N,) of shapely polygons, multipolygons or None
    crs : CRS or None
        Of the geometries; None where they are in pixels, or in the raster's own frame.
    in_pixels : bool
        They are in the raster's pixel frame, with y downwards.
    """

    geometries: npt.NDArray[Any]
    crs: CRS | None
    in_pixels: bool

    def to_map(self, grid: RasterGrid) -> npt.NDArray[Any]:
        """The geometries (N,) in the raster's map frame; see `geometries_on`."""
        if not self.in_pixels:
            return geometries_on(self.geometries, self.crs, grid)
        moved: npt.NDArray[Any] = shapely.transform(self.geometries, grid.mapping.to_map)
        return moved


def place_geometries(
    geometries: npt.NDArray[Any],
    crs: Any,
    grid: RasterGrid,
    *,
    georeferenced: bool,
    raster_name: str,
    boxes_name: str,
    boxes_crs: str | CRS | None = None,
    y_axis: YAxis = "auto",
) -> Placed:
    """Find out what the coordinates of a layer are on a raster.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons, multipolygons or None
    crs : CRS or None
        That the layer has; see `known_crs`.
    grid : RasterGrid
        Of the raster as it is stored.
    georeferenced : bool
        See `RasterSource`.
    raster_name, boxes_name, boxes_crs
        See `check_frames`.
    y_axis : {"auto", "down", "up"}
        Of coordinates in pixels; see `points_up`.

    Returns
    -------
    Placed
        Where neither raster nor layer has a CRS, the coordinates are pixels, or those of the raster's own map frame, which is where QGIS
        shows it. Without a transform the sign of y tells one from the other. With one, they are those of the transform where the centres of
        more geometries lie on the raster so than as pixels.

    Raises
    ------
    CRSMismatchError, BoxesError
        See `check_frames` and `points_up`.

    Warns
    -----
    PixelFrameWarning
        The raster has a transform but no CRS; see also `points_up`.
    """
    own, in_pixels = check_frames(crs, boxes_crs, grid.crs, raster_name, boxes_name)
    if not in_pixels:
        return Placed(geometries, own, False)
    if georeferenced and boxes_crs is None:
        on_map = y_axis == "auto" and _lie_on_map(geometries, grid)
        warnings.warn(
            f"{raster_name} has a transform but no CRS: the boxes are taken as {'coordinates of that transform' if on_map else 'pixels'}. "
            "Pass --boxes-crs pixel to say that they are pixels, or give both a CRS.",
            PixelFrameWarning,
            stacklevel=6,
        )
        if on_map:
            return Placed(geometries, None, False)
    if not points_up(geometries, y_axis, boxes_name):
        return Placed(geometries, None, True)
    return Placed(shapely.transform(geometries, flip_y), None, True) if georeferenced else Placed(geometries, None, False)


def _lie_on_map(geometries: npt.NDArray[Any], grid: RasterGrid) -> bool:
    """Whether the centres of more geometries lie on the raster in its map frame than as pixels."""
    bounds = shapely.bounds(geometries)
    centres = (bounds[:, :2] + bounds[:, 2:]) / 2
    centres = centres[np.isfinite(centres).all(axis=1)]
    with np.errstate(invalid="ignore"):
        on_map, as_pixels = (
            int(((px >= 0) & (px <= (grid.width, grid.height))).all(axis=1).sum()) for px in (grid.mapping.to_px(centres), centres)
        )
    return on_map > as_pixels
