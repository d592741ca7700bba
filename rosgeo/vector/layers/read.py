"""Boxes from any layer that pyogrio reads, or from a GeoDataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from rosgeo.addresses.secrets import without_secrets
from rosgeo.errors import BoxesError, CRSMismatchError, InputFileNotFoundError, OptionError
from rosgeo.geometry.crs import parse_crs
from rosgeo.geometry.place import PIXEL_CRS, RASTER_CRS
from rosgeo.vector.layers.arrow import read_layer, read_parquet
from rosgeo.vector.layers.database import require_log
from rosgeo.vector.layers.geojson import names_no_crs
from rosgeo.vector.layers.gpkg import outlines_layer
from rosgeo.vector.layers.names import require_there, split_name
from rosgeo.vector.layers.objects import box_frame, is_geojson_without_crs
from rosgeo.vector.layers.polygons import only_polygons

__all__ = ["read_boxes", "read_polygons"]

_PARQUET = (".parquet", ".geoparquet", ".pq")
_DEGREES_X, _DEGREES_Y = 720.0, 90.0
"""Beyond these no coordinate is in degrees, in whatever turn it is written."""


def read_boxes(
    boxes: Any, *, layer: str | None = None, where: str | None = None, boxes_crs: str | CRS | None = None
) -> gpd.GeoDataFrame:
    """Read boxes (or any polygons) with all their attributes.

    Parameters
    ----------
    boxes : path, GeoDataFrame or object
        GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet or whatever else GDAL reads, also as QGIS names it
        (``boxes.gpkg|layername=ships``). A GeoDataFrame is copied. For other objects see `box_frame`.
    layer : str, optional
        Needed where the file has more than one layer with geometries; of a result of rosgeo, the outlines are taken without it.
    where : str, optional
        An SQL condition on the attributes; rows that do not meet it are no part of the input.
    boxes_crs : str or CRS, optional
        The user's word on a layer that names no CRS. GeoJSON without ``crs`` is one, whatever GDAL says of it.

    Returns
    -------
    GeoDataFrame
        Rows in the order of the layer; the index holds their numbers in it, from 0. The ids that they have in their file (FID, an index of
        pandas) are a column: ``boxes_fid``, or the index's name. A GeoDataFrame keeps its own index and types. Geometries are polygons,
        multipolygons or null; see `only_polygons`.

    Raises
    ------
    InputFileNotFoundError, BoxesError, OptionError, CRSMismatchError
        No such file; not a vector file; no, or no such layer; no rows; nothing but points or lines; GeoJSON that names no CRS and whose
        coordinates are no degrees.
    """
    frame, name = read_polygons(boxes, layer=layer, where=where, crs=boxes_crs)
    if len(frame) == 0:
        raise BoxesError(f"{name} holds no boxes" + (f" where {where}" if where else "") + "; expected at least one polygon")
    return frame


def read_polygons(
    polygons: Any,
    *,
    layer: str | None = None,
    where: str | None = None,
    crs: str | CRS | None = None,
    what: str = "boxes",
    option: str = "--",
) -> tuple[gpd.GeoDataFrame, str]:
    """`read_boxes` for polygons of any use; no rows are no error.

    Parameters
    ----------
    polygons, layer, where, crs
        See `read_boxes`, of whose `boxes_crs` the last is.
    what : str
        What they are, for messages.
    option : str
        How the options of layer and condition begin, for messages: ``--truth-`` of ``--truth-layer``.

    Returns
    -------
    frame : GeoDataFrame
        See `read_boxes`.
    name : str
        Of the file and its layer.
    """
    if not isinstance(polygons, str | Path):
        unnamed = is_geojson_without_crs(polygons)
        polygons = box_frame(polygons).frame
        if unnamed and str(crs).lower() != PIXEL_CRS:
            polygons = _as_said(polygons, "the GeoJSON", crs)
    if isinstance(polygons, gpd.GeoDataFrame):
        if layer is not None or where is not None:
            raise OptionError("layer and where select from a file; a GeoDataFrame was given")
        frame, name = polygons.copy(), "the GeoDataFrame"
        if frame.active_geometry_name is None:
            raise BoxesError(f"{name} has no active geometry column; set one with set_geometry")
        if list(frame.columns).count(frame.active_geometry_name) > 1:
            raise BoxesError(
                f"{name} has more than one column called {frame.active_geometry_name}, as its geometry is; rename the other"
            )
    else:
        path, layer, where = split_name(str(polygons), layer, where)
        frame, name = _read_file(path, layer, where, what, option)
        frame = _with_own_crs(frame, path, crs)
    return (only_polygons(frame, name) if len(frame) else frame), name


def _with_own_crs(frame: gpd.GeoDataFrame, path: str, boxes_crs: str | CRS | None) -> gpd.GeoDataFrame:
    """A layer of GeoJSON that names no CRS in the CRS that the user says; others as they are."""
    said = "" if boxes_crs is None else str(boxes_crs).lower()
    # In pixels, whatever it names; and what is not GDAL's default was named.
    default = frame.crs is not None and frame.crs.is_geographic and frame.crs.name.startswith("WGS 84")
    if said == PIXEL_CRS or not default or not _is_geojson(path) or not names_no_crs(path):
        return frame
    return _as_said(frame, path, boxes_crs)


def _as_said(frame: gpd.GeoDataFrame, name: str, boxes_crs: str | CRS | None) -> gpd.GeoDataFrame:
    """GeoJSON that names no CRS in that which the user says, else in degrees, if they are such."""
    if boxes_crs is not None:
        crs = None if str(boxes_crs).lower() == RASTER_CRS else parse_crs(boxes_crs, "--boxes-crs")
        return frame.set_crs(crs, allow_override=True)
    low_x, low_y, high_x, high_y = shapely.bounds(np.asarray(frame.geometry.to_numpy(), dtype=object)).T
    with np.errstate(invalid="ignore"):
        beyond = (low_x < -_DEGREES_X) | (high_x > _DEGREES_X) | (low_y < -_DEGREES_Y) | (high_y > _DEGREES_Y)
    if 2 * beyond.sum() > np.isfinite(low_x).sum():
        extent = f"x {np.nanmin(low_x):.10g} to {np.nanmax(high_x):.10g}, y {np.nanmin(low_y):.10g} to {np.nanmax(high_y):.10g}"
        raise CRSMismatchError(
            f"{name} names no CRS, and its coordinates ({extent}) are not the degrees that GeoJSON has then. Pass --boxes-crs EPSG:... "
            "with the CRS that they are in, --boxes-crs raster for the raster's own, or --boxes-crs pixel"
        )
    return frame


def _is_geojson(path: str) -> bool:
    return Path(path.partition("?")[0]).suffix.lower() in (".geojson", ".json", ".geojsonl", ".geojsons")


def _read_file(path: str, layer: str | None, where: str | None, what: str, option: str) -> tuple[gpd.GeoDataFrame, str]:
    if not path.strip():
        raise InputFileNotFoundError(f"the name of the {what}' file is empty; expected a layer of {what}")
    if where is not None and not where.strip():
        raise OptionError(f"{option}where is empty; expected a condition such as: class = 'ship'")
    require_there(path, what)
    if Path(path).suffix.lower() in _PARQUET:
        return _read_parquet(path, layer, where, option), path
    require_log(path)
    layer = _choose_layer(path, layer, option)
    name = f'{path} (layer "{layer}")'
    try:
        frame = read_layer(path, layer, where)
    except (DataSourceError, DataLayerError, RuntimeError, ValueError, OSError) as error:
        if where is not None:
            columns = ", ".join(pyogrio.read_info(path, layer=layer)["fields"])
            raise OptionError(f"{option}where {where!r} is not understood by {name}, whose columns are: {columns}") from error
        raise BoxesError(f"{name} cannot be read: {_short(error)}") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise BoxesError(f"{name} is a table without geometries; expected polygons")
    return frame, name


def _read_parquet(path: str, layer: str | None, where: str | None, option: str) -> gpd.GeoDataFrame:
    if layer is not None:
        raise OptionError(f"{path}: a GeoParquet file has no layers; leave {option}layer out")
    if where is not None:
        raise OptionError(
            f"{path}: {option}where works on layers that GDAL reads, not on GeoParquet; filter it in Python, or convert it"
        )
    try:
        return read_parquet(path)
    except (ValueError, OSError, shapely.errors.ShapelyError) as error:
        raise BoxesError(f"{path} is not a GeoParquet file: {_short(error)}") from error


def _choose_layer(path: str, layer: str | None, option: str) -> str:
    try:
        layers = pyogrio.list_layers(path)
    except (DataSourceError, RuntimeError) as error:
        raise BoxesError(
            f"{path} is not a vector file that GDAL can open, nor boxes of a detector (COCO, YOLO, a table): {_short(error)}"
        ) from error
    names = [str(name) for name, _ in layers]
    if layer is not None:
        if layer not in names:
            raise OptionError(f"{path} has no layer {layer!r}; it has: {', '.join(names) or 'none'}")
        return layer
    with_geometry = [str(name) for name, kind in layers if kind is not None]
    if not with_geometry:
        raise BoxesError(
            f"{path} has no layer with geometries; expected polygons, or a table with columns such as xmin, ymin, xmax, ymax"
        )
    if len(with_geometry) > 1:
        # A result holds its prompts too; what it is about are the outlines.
        outlines = outlines_layer(path, with_geometry)
        if outlines is not None:
            return outlines
        raise OptionError(f"{path} has {len(with_geometry)} layers ({', '.join(with_geometry)}); choose one with {option}layer")
    return with_geometry[0]


def _short(error: Any) -> str:
    return without_secrets(" ".join(str(error).split())).partition("; It might help")[0][:300]
