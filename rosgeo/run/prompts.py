"""A layer of boxes on a raster: prompts in pixels, along the axes that suit them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import shapely

from rosgeo.errors import CRSMismatchError, GeometryWarning, NoOverlapWarning, OptionError
from rosgeo.geometry.accuracy import warn_of_coarse_operation
from rosgeo.geometry.boxes import boxes_to_px, on_raster, transform_points, usable_geometries
from rosgeo.geometry.crs import crs_label
from rosgeo.geometry.longitudes import in_one_piece, x_period, x_span
from rosgeo.geometry.mapping import pixel_size_map
from rosgeo.geometry.place import Coordinates, Placed, centres_on, place_geometries
from rosgeo.raster.source import RasterSource
from rosgeo.raster.upright import UprightSource, upright_source
from rosgeo.types import BoolArray, Boxes, FloatArray, RasterGrid, YAxis

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["Axes", "Prompts", "place_boxes", "prompts_of", "require_reachable"]

Axes = Literal["auto", "map", "raster"]

_LOOSER = 1.1
"""Prompts whose envelopes are larger by this factor along the map's axes were drawn along the raster's."""


@dataclass(frozen=True)
class Prompts:
    """Boxes on the raster that they are segmented on.

    Attributes
    ----------
    source : RasterSource
        The scene, seen along the axes of `boxes_px`.
    boxes_px : Boxes
        N boxes in that source's pixel frame.
    usable : bool array (N,)
        False for geometries that are no prompt.
    axes : {"map", "raster"}
        Of the boxes and crops. The same thing on a raster that is upright.
    """

    source: RasterSource
    boxes_px: Boxes
    usable: BoolArray
    axes: Literal["map", "raster"]

    def of(self, chosen: BoolArray) -> Prompts:
        """Those of some rows (N,), numbered anew."""
        xyxy = self.boxes_px.xyxy[chosen]
        return replace(self, boxes_px=replace(self.boxes_px, xyxy=xyxy, ids=np.arange(len(xyxy))), usable=self.usable[chosen])


def place_boxes(
    source: RasterSource,
    geometries: npt.NDArray[Any],
    crs: Any,
    *,
    boxes_name: str,
    boxes_crs: str | CRS | None = None,
    y_axis: YAxis = "auto",
    coordinates: Coordinates = "layer",
    axes: Axes = "auto",
    resample: bool = True,
) -> Prompts:
    """Bring a layer's boxes to pixels: `place_geometries` and then `prompts_of`; see there."""
    placed = place_geometries(
        geometries,
        crs,
        source.grid,
        georeferenced=source.georeferenced,
        raster_name=source.name,
        boxes_name=boxes_name,
        boxes_crs=boxes_crs,
        y_axis=y_axis,
        coordinates=coordinates,
    )
    return prompts_of(source, placed, boxes_name=boxes_name, axes=axes, resample=resample)


def prompts_of(source: RasterSource, placed: Placed, *, boxes_name: str, axes: Axes = "auto", resample: bool = True) -> Prompts:
    """Bring boxes to pixels, along the axes that suit them.

    Parameters
    ----------
    source : RasterSource
        The scene.
    placed : Placed
        N polygons.
    boxes_name : str
        For messages.
    axes : {"auto", "map", "raster"}
        Along which axes prompts and crops lie on a raster that is turned against the map. ``auto``: the map's, unless the boxes are
        given in pixels, or fit the raster's axes clearly better (a detector's boxes on the raster as it is stored).
    resample : bool
        Under ``auto``, whether a raster may be resampled to stand upright, and not only mirrored or turned by right angles.

    Returns
    -------
    Prompts

    Warns
    -----
    NoOverlapWarning
        Not one usable box touches the raster.
    PlacementWarning
        The boxes' CRS is brought to the raster's by a worse operation than is known.
    """
    geometries, crs, in_pixels = placed.geometries, placed.crs, placed.in_pixels
    usable = usable_geometries(geometries)
    warn_of_coarse_operation(crs, source.grid, boxes_name, source.name)
    stored = Prompts(source, boxes_to_px(geometries, crs, source.grid, in_pixels=in_pixels), usable, "raster")
    if usable.any() and not (on_raster(stored.boxes_px, source.grid.shape) & usable).any():
        warnings.warn(_no_overlap(source, placed, usable, boxes_name), NoOverlapWarning, stacklevel=6)
    if axes == "raster" or (axes == "auto" and in_pixels):
        return stored
    _warn_of_seam(placed, source, boxes_name)
    turned = upright_source(source)
    if not isinstance(turned, UprightSource) or (axes == "auto" and not (turned.exact or resample)):
        return stored
    if in_pixels:
        geometries = placed.to_map(source.grid)
    upright = Prompts(turned, boxes_to_px(geometries, crs, turned.grid), usable, "map")
    return stored if axes == "auto" and _fits_raster_better(stored, upright) else upright


def _warn_of_seam(placed: Placed, source: RasterSource, boxes_name: str) -> None:
    """Say which boxes were read as across the antimeridian, where the raster is so wide that they might mean the other way round."""
    crs, grid = placed.crs or source.grid.crs, source.grid
    period = None if placed.in_pixels else x_period(grid.crs)
    if period is None or np.ptp(x_span(grid)) < period / 2:
        return
    count = int(in_one_piece(placed.geometries, crs)[1].sum())
    if count:
        warnings.warn(
            f"{boxes_name}: {count} boxes have edges or gaps of more than half the globe; they are taken as across the antimeridian. Give "
            "longer edges more vertices where the way through the middle of the map is meant.",
            GeometryWarning,
            stacklevel=7,
        )


def _fits_raster_better(stored: Prompts, upright: Prompts) -> bool:
    with np.errstate(invalid="ignore"):
        ratio = _areas(upright) / _areas(stored)
    ratio = ratio[np.isfinite(ratio)]
    return bool(len(ratio)) and bool(np.median(ratio) > _LOOSER)


def _areas(prompts: Prompts) -> FloatArray:
    grid = prompts.source.grid
    x_min, y_min, x_max, y_max = prompts.boxes_px.xyxy.T
    areas: FloatArray = (x_max - x_min) * (y_max - y_min) * pixel_size_map(grid.mapping, grid.shape) ** 2
    return areas


def require_reachable(source: RasterSource, crs: CRS) -> None:
    """Raise where the raster's ground has no coordinates in the CRS of the result.

    Raises
    ------
    CRSMismatchError
        The raster has no CRS.
    OptionError
        It does not reach that ground.
    """
    if source.grid.crs is None:
        raise CRSMismatchError(
            f"{source.name} has no CRS, so its outlines cannot be brought to --crs {crs_label(crs)}. Leave --crs out."
        )
    height, width = source.grid.shape
    x, y = np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9))
    points = transform_points(source.grid.mapping.to_map(np.stack([x.ravel(), y.ravel()], axis=1)), source.grid.crs, crs)
    if not np.isfinite(points).all():
        raise OptionError(f"--crs {crs_label(crs)} does not reach the ground that {source.name} shows; name another CRS")


def _no_overlap(source: RasterSource, placed: Placed, usable: BoolArray, boxes_name: str) -> str:
    crs, in_pixels = placed.crs, placed.in_pixels
    raster = _extent(_bounds(source.grid, in_pixels))
    boxes = _extent(shapely.total_bounds(placed.geometries[usable]))
    raster_crs = "pixels" if in_pixels or source.grid.crs is None else _full_label(source.grid.crs)
    own_crs = source.grid.crs if crs is None else crs
    boxes_crs = "pixels" if in_pixels or own_crs is None else _full_label(own_crs)
    return (
        f"not one box touches the raster: {source.name} spans {raster} ({raster_crs}), {boxes_name} spans {boxes} ({boxes_crs}). "
        f"{_remedy(source, placed, usable)}"
    )


def _remedy(source: RasterSource, placed: Placed, usable: BoolArray) -> str:
    """What would bring the boxes onto the raster, as far as that can be found by trying."""
    geometries, grid = placed.geometries[usable], source.grid
    on_map, as_pixels = centres_on(geometries, grid)
    if not placed.in_pixels:
        swapped = shapely.transform(geometries, lambda points: points[:, ::-1])
        if on_raster(boxes_to_px(swapped, placed.crs, grid), grid.shape).any():
            return "With x and y exchanged they would lie on it: mend their order in the boxes (longitude or easting comes first)."
    if placed.crs is not None and on_map:
        return f"As coordinates of the raster's CRS, {on_map} of them would lie on it: mend the CRS of the boxes (QGIS: Assign projection)."
    if placed.in_pixels and on_map and source.georeferenced:
        return f"As coordinates of the raster, {on_map} of them would lie on it: pass --boxes-crs raster."
    if not placed.in_pixels and as_pixels and source.georeferenced:
        return f"As pixels, {as_pixels} of them would lie on it: pass --boxes-crs pixel."
    return "Check the CRS of both."


def _bounds(grid: RasterGrid, in_pixels: bool) -> FloatArray:
    corners = np.array([[0, 0], [grid.width, 0], [grid.width, grid.height], [0, grid.height]], dtype=np.float64)
    if not in_pixels:
        corners = grid.mapping.to_map(corners)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _full_label(crs: CRS) -> str:
    label = crs_label(crs)
    return label if label == crs.name else f"{label}, {crs.name}"


def _extent(bounds: npt.NDArray[Any]) -> str:
    return f"x {bounds[0]:.10g} to {bounds[2]:.10g}, y {bounds[1]:.10g} to {bounds[3]:.10g}"
