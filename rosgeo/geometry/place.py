"""What the coordinates of a layer are on a raster: of a CRS, of the raster's own map frame, or pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from rosgeo.errors import CRSMismatchError, PixelFrameWarning
from rosgeo.geometry.boxes import flip_y, geometries_on, points_up
from rosgeo.geometry.crs import crs_label, is_local, known_crs, parse_crs, same_crs
from rosgeo.types import RasterGrid, YAxis

__all__ = ["PIXEL_CRS", "RASTER_CRS", "Coordinates", "Placed", "centres_on", "check_frames", "place_geometries"]

PIXEL_CRS = "pixel"
"""Value of ``boxes_crs`` for coordinates in pixels of the raster."""

RASTER_CRS = "raster"
"""Value of ``boxes_crs`` for coordinates of the raster's own map frame, whether its CRS has a code, no code, or there is none."""

Coordinates = Literal["layer", "pixel", "either"]
"""What a format tells of its coordinates: nothing (a CRS does, or the user); that they are pixels with y downwards (COCO, YOLO); or that
they may be pixels with y downwards as well as those of the raster's map frame (a table, an array)."""


def check_frames(
    crs: Any, boxes_crs: str | CRS | None, raster_crs: CRS | None, raster_name: str, boxes_name: str
) -> tuple[CRS | None, bool]:
    """Which CRS the boxes are in, and whether they are in pixels.

    Parameters
    ----------
    crs : CRS or None
        That the layer of boxes has; see `known_crs`.
    boxes_crs : str or CRS, optional
        The user's word on a layer without CRS; ``"pixel"`` for pixel coordinates, ``"raster"`` for those of the raster's own map frame.
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
        Only one of raster and boxes has a CRS, or one that leads to the globe, or `boxes_crs` contradicts the layer.
    """
    said = None if boxes_crs is None else str(boxes_crs).lower()
    if said == PIXEL_CRS:
        return None, True
    own, local = known_crs(crs), raster_crs is None or is_local(raster_crs)
    if said == RASTER_CRS or (raster_crs is not None and local and said == raster_crs.name.lower()):
        if own is not None and raster_crs is not None and not local and not is_local(own) and not same_crs(own, raster_crs):
            raise _contradiction(boxes_name, own, f"the raster's, {crs_label(raster_crs)}")
        return None, False
    if boxes_crs is not None:
        given = parse_crs(boxes_crs, "--boxes-crs")
        if own is not None and not is_local(own) and not same_crs(own, given):
            raise _contradiction(boxes_name, own, crs_label(given))
        own = given
    if own is not None and raster_crs is not None and same_crs(own, raster_crs):
        return (None, False) if local else (own, False)
    _require_related(own, raster_crs, raster_name, boxes_name)
    return own, own is None


def _contradiction(boxes_name: str, own: CRS, said: str) -> CRSMismatchError:
    return CRSMismatchError(
        f"{boxes_name} is in {crs_label(own)}, but --boxes-crs says {said}. Leave --boxes-crs out, or mend the file."
    )


def _require_related(own: CRS | None, raster_crs: CRS | None, raster_name: str, boxes_name: str) -> None:
    """Raise CRSMismatchError where nothing leads from the boxes' coordinates to the raster's."""
    raster = "" if raster_crs is None else crs_label(raster_crs)
    if own is None and raster_crs is not None and not is_local(raster_crs):
        code = f"--boxes-crs {raster}" if raster_crs.to_authority() else "--boxes-crs raster for the raster's own coordinates"
        raise CRSMismatchError(
            f"{boxes_name} has no CRS, but {raster_name} is in {raster}. Set it in the file, or pass {code} (or --boxes-crs pixel for "
            "pixel coordinates)."
        )
    if own is not None and raster_crs is None:
        raise CRSMismatchError(
            f"{raster_name} has no CRS, but {boxes_name} is in {crs_label(own)}. Georeference the raster (gdal_edit.py -a_srs), or pass "
            "--boxes-crs raster if the boxes are in its own coordinates, or --boxes-crs pixel if they are in pixels."
        )
    if own is not None and raster_crs is not None and is_local(raster_crs):
        raise CRSMismatchError(
            f"{raster_name} is in the local coordinates {raster!r}, which no transformation relates to {crs_label(own)}, the CRS of "
            f"{boxes_name}. Pass --boxes-crs raster if the boxes are in the raster's own coordinates, or give the raster its true CRS "
            "(gdal_edit.py -a_srs, or QGIS's georeferencer)."
        )
    if own is not None and is_local(own):
        raise CRSMismatchError(
            f"{boxes_name} is in the local coordinates {crs_label(own)!r}, which no transformation relates to {raster}, the CRS of "
            f"{raster_name}. Pass --boxes-crs with the CRS that they are in (raster for the raster's own)."
        )


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
    coordinates: Coordinates = "layer",
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
    coordinates : {"layer", "pixel", "either"}
        What the format tells of them; see `Coordinates`.

    Returns
    -------
    Placed
        Where neither raster nor layer has a CRS that leads to the globe, the coordinates are pixels, or those of the raster's own map
        frame, which is where QGIS shows it. Without a transform the sign of y tells one from the other. With one, they are those of the
        transform where the centres of more geometries lie on the raster so than as pixels.

    Raises
    ------
    CRSMismatchError, BoxesError
        See `check_frames` and `points_up`.

    Warns
    -----
    PixelFrameWarning
        What the coordinates are was told by where they lie; see also `points_up`.
    """
    if coordinates == "pixel" and boxes_crs is not None and str(boxes_crs).lower() != PIXEL_CRS:
        raise CRSMismatchError(
            f"{boxes_name} is in pixels by its format, but --boxes-crs says {_said(boxes_crs)}. Leave --boxes-crs out."
        )
    if coordinates != "layer" and y_axis == "auto":
        y_axis = "down"
    if coordinates == "pixel":
        boxes_crs = PIXEL_CRS
    elif coordinates == "either" and boxes_crs is None:
        return _of_either(geometries, grid, georeferenced, raster_name, boxes_name, y_axis)
    own, in_pixels = check_frames(crs, boxes_crs, grid.crs, raster_name, boxes_name)
    if not in_pixels:
        return Placed(geometries, own, False)
    if georeferenced and boxes_crs is None:
        on_map = y_axis == "auto" and _more_on_map(geometries, grid)
        kind = "has a transform but no CRS" if grid.crs is None else f"is in the local coordinates {grid.crs.name!r}"
        warnings.warn(
            f"{raster_name} {kind}: the boxes are taken as {'coordinates of that transform' if on_map else 'pixels'}. "
            "Pass --boxes-crs pixel to say that they are pixels, --boxes-crs raster to say that they are the raster's own coordinates, or "
            "give both a CRS.",
            PixelFrameWarning,
            stacklevel=6,
        )
        if on_map:
            return Placed(geometries, None, False)
    if not points_up(geometries, y_axis, boxes_name):
        return Placed(geometries, None, True)
    return Placed(shapely.transform(geometries, flip_y), None, True) if georeferenced else Placed(geometries, None, False)


def _said(boxes_crs: str | CRS) -> str:
    return boxes_crs if isinstance(boxes_crs, str) else crs_label(boxes_crs)


def _of_either(
    geometries: npt.NDArray[Any], grid: RasterGrid, georeferenced: bool, raster_name: str, boxes_name: str, y_axis: YAxis
) -> Placed:
    """Coordinates that are pixels or the raster's own, told by where they lie; pixels where nothing speaks for the map."""
    if georeferenced and y_axis == "down" and _more_on_map(geometries, grid):
        warnings.warn(
            f"{boxes_name} does not say what its numbers are: they are taken as coordinates of {raster_name}, where they lie, and not as "
            "pixels. Say so with --boxes-crs raster, or --boxes-crs pixel.",
            PixelFrameWarning,
            stacklevel=7,
        )
        return Placed(geometries, None, False)
    up = points_up(geometries, y_axis, boxes_name)
    return Placed(shapely.transform(geometries, flip_y) if up else geometries, None, True)


def _more_on_map(geometries: npt.NDArray[Any], grid: RasterGrid) -> bool:
    """Whether the centres of more geometries lie on the raster in its map frame than as pixels."""
    on_map, as_pixels = centres_on(geometries, grid)
    return on_map > as_pixels


def centres_on(geometries: npt.NDArray[Any], grid: RasterGrid) -> tuple[int, int]:
    """The centres of how many geometries lie on a raster as coordinates of its map frame, and as pixels with y downwards."""
    bounds = shapely.bounds(geometries)
    centres = (bounds[:, :2] + bounds[:, 2:]) / 2
    centres = centres[np.isfinite(centres).all(axis=1)]
    if not len(centres):
        return 0, 0
    points = shapely.get_coordinates(geometries_on(shapely.points(centres), None, grid))
    with np.errstate(invalid="ignore"):
        on_map, as_pixels = (
            int(((px >= 0) & (px <= (grid.width, grid.height))).all(axis=1).sum()) for px in (grid.mapping.to_px(points), centres)
        )
    return on_map, as_pixels
