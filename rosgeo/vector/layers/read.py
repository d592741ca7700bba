"""Boxes from any layer that pyogrio reads, or from a GeoDataFrame."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import CRSError

from rosgeo.errors import BoxesError, CRSMismatchError, InputFileNotFoundError, OptionError, PixelFrameWarning
from rosgeo.geometry.boxes import flip_y, points_up, transform_points
from rosgeo.types import FloatArray, RasterGrid, YAxis
from rosgeo.vector.layers.gpkg import outlines_layer

__all__ = ["PIXEL_CRS", "Placed", "check_frames", "crs_label", "known_crs", "parse_crs", "place_layer", "read_boxes"]

PIXEL_CRS = "pixel"
"""Value of ``boxes_crs`` for coordinates in pixels of the raster."""

_PARQUET = (".parquet", ".geoparquet", ".pq")


def parse_crs(text: str | CRS, option: str) -> CRS:
    """A CRS from anything that pyproj takes; raises OptionError naming `option`."""
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise OptionError(f"{option} {str(text)!r} is no CRS that PROJ knows; expected something like EPSG:32650") from error
    if not (crs.is_projected or crs.is_geographic):
        raise OptionError(f"{option} {str(text)!r} ({crs.name}) is no CRS of a map; expected a projected or a geographic one")
    return crs


def read_boxes(boxes: str | Path | gpd.GeoDataFrame, *, layer: str | None = None, where: str | None = None) -> gpd.GeoDataFrame:
    """Read boxes (or any polygons) with all their attributes.

    Parameters
    ----------
    boxes : path or GeoDataFrame
        GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet or whatever else GDAL reads. A GeoDataFrame is copied.
    layer : str, optional
        Needed where the file has more than one layer with geometries; of a result of rosgeo, the outlines are taken without it.
    where : str, optional
        An SQL condition on the attributes; rows that do not meet it are no part of the input.

    Returns
    -------
    GeoDataFrame
        Rows in the order of the layer; the index holds their numbers in it, from 0. A GeoDataFrame keeps its own index.

    Raises
    ------
    InputFileNotFoundError, BoxesError, OptionError
        No such file; not a vector file; no, or no such layer; no rows; points or lines.
    """
    if isinstance(boxes, gpd.GeoDataFrame):
        if layer is not None or where is not None:
            raise OptionError("layer and where select from a file; a GeoDataFrame was given")
        frame, name = boxes.copy(), "the GeoDataFrame"
        if frame.active_geometry_name is None:
            raise BoxesError(f"{name} has no active geometry column; set one with set_geometry")
    else:
        frame, name = _read_file(str(boxes), layer, where)
    if len(frame) == 0:
        raise BoxesError(f"{name} holds no boxes" + (f" where {where}" if where else "") + "; expected at least one polygon")
    _require_polygons(frame, name)
    return frame


def _read_file(path: str, layer: str | None, where: str | None) -> tuple[gpd.GeoDataFrame, str]:
    if not path.strip():
        raise InputFileNotFoundError("the name of the boxes' file is empty; expected a layer of boxes")
    if where is not None and not where.strip():
        raise OptionError("--where is empty; expected a condition such as: class = 'ship'")
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise InputFileNotFoundError(f"{path}: no such file; expected a layer of boxes")
    if Path(path).suffix.lower() in _PARQUET:
        return _read_parquet(path, layer, where), path
    layer = _choose_layer(path, layer)
    name = f'{path} (layer "{layer}")'
    try:
        frame = pyogrio.read_dataframe(path, layer=layer, where=where, fid_as_index=where is not None, on_invalid="ignore")
    except (DataSourceError, DataLayerError, RuntimeError, ValueError) as error:
        if where is not None:
            columns = ", ".join(pyogrio.read_info(path, layer=layer)["fields"])
            raise OptionError(f"--where {where!r} is not understood by {name}, whose columns are: {columns}") from error
        raise BoxesError(f"{name} cannot be read: {_short(error)}") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise BoxesError(f"{name} is a table without geometries; expected polygons")
    if where is not None:
        every = pyogrio.read_dataframe(path, layer=layer, columns=[], read_geometry=False, fid_as_index=True).index
        frame.index = every.get_indexer(frame.index)
        frame.index.name = None
        return frame, name
    return frame.reset_index(drop=True), name


def _read_parquet(path: str, layer: str | None, where: str | None) -> gpd.GeoDataFrame:
    if layer is not None:
        raise OptionError(f"{path}: a GeoParquet file has no layers; leave --layer out")
    if where is not None:
        raise OptionError(f"{path}: --where works on layers that GDAL reads, not on GeoParquet; filter it in Python, or convert it")
    try:
        return gpd.read_parquet(path).reset_index(drop=True)
    except (ValueError, OSError, shapely.errors.ShapelyError) as error:
        raise BoxesError(f"{path} is not a GeoParquet file: {_short(error)}") from error


def _choose_layer(path: str, layer: str | None) -> str:
    try:
        layers = pyogrio.list_layers(path)
    except (DataSourceError, RuntimeError) as error:
        raise BoxesError(f"{path} is not a vector file that GDAL can open: {_short(error)}") from error
    names = [str(name) for name, _ in layers]
    if layer is not None:
        if layer not in names:
            raise OptionError(f"{path} has no layer {layer!r}; it has: {', '.join(names) or 'none'}")
        return layer
    with_geometry = [str(name) for name, kind in layers if kind is not None]
    if not with_geometry:
        raise BoxesError(f"{path} has no layer with geometries; expected polygons")
    if len(with_geometry) > 1:
        # A result holds its prompts too; what it is about are the outlines.
        outlines = outlines_layer(path, with_geometry)
        if outlines is not None:
            return outlines
        raise OptionError(f"{path} has {len(with_geometry)} layers ({', '.join(with_geometry)}); choose one with --layer")
    return with_geometry[0]


def _require_polygons(frame: gpd.GeoDataFrame, name: str) -> None:
    kinds = shapely.get_type_id(frame.geometry.to_numpy())
    wrong = np.flatnonzero(~np.isin(kinds, (-1, 3, 6)) & ~shapely.is_empty(frame.geometry.to_numpy()))
    if len(wrong):
        found = sorted({frame.geometry.iloc[i].geom_type for i in wrong})
        raise BoxesError(
            f"{name} holds {' and '.join(found)} geometries ({len(wrong)} of {len(frame)} rows, first in row {wrong[0]}); "
            "expected polygons. Buffer points or lines to polygons first."
        )


def known_crs(crs: Any) -> CRS | None:
    """A layer's CRS; None where it has none, or one of those that a GeoPackage calls undefined."""
    known = None if crs is None else CRS.from_user_input(crs)
    return None if known is None or known.name.lower().startswith("undefined ") else known


def check_frames(
    frame: gpd.GeoDataFrame, boxes_crs: str | CRS | None, raster_crs: CRS | None, raster_name: str, boxes_name: str
) -> tuple[CRS | None, bool]:
    """Which CRS the boxes are in, and whether they are in pixels.

    Parameters
    ----------
    frame : GeoDataFrame
        The boxes.
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
    own = known_crs(frame.crs)
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
        """The geometries (N,) in the raster's map frame."""

        def move(points: FloatArray) -> FloatArray:
            return grid.mapping.to_map(points) if self.in_pixels else transform_points(points, self.crs, grid.crs)

        moved: npt.NDArray[Any] = shapely.transform(self.geometries, move)
        return moved


def place_layer(
    frame: gpd.GeoDataFrame,
    grid: RasterGrid,
    *,
    georeferenced: bool,
    raster_name: str,
    boxes_name: str,
    boxes_crs: str | CRS | None = None,
    y_axis: YAxis = "auto",
) -> Placed:
    """Find out what a layer's coordinates are on a raster.

    Parameters
    ----------
    frame : GeoDataFrame (N rows)
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
    crs, in_pixels = check_frames(frame, boxes_crs, grid.crs, raster_name, boxes_name)
    geometries = frame.geometry.to_numpy()
    if not in_pixels:
        return Placed(geometries, crs, False)
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


def crs_label(crs: CRS) -> str:
    """The code of a CRS, or its name where it has none."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name


def _short(error: Any) -> str:
    return " ".join(str(error).split()).partition("; It might help")[0][:300]
