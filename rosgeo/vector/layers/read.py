"""Boxes from any layer that pyogrio reads, or from a GeoDataFrame."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from rosgeo.errors import BoxesError, InputFileNotFoundError, OptionError
from rosgeo.vector.layers.gpkg import outlines_layer
from rosgeo.vector.layers.objects import frame_of

__all__ = ["read_boxes"]

_PARQUET = (".parquet", ".geoparquet", ".pq")


def read_boxes(boxes: str | Path | gpd.GeoDataFrame, *, layer: str | None = None, where: str | None = None) -> gpd.GeoDataFrame:
    """Read boxes (or any polygons) with all their attributes.

    Parameters
    ----------
    boxes : path, GeoDataFrame or what `frame_of` takes
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
    if not isinstance(boxes, str | PathLike):
        if layer is not None or where is not None:
            raise OptionError("layer and where select from a file; no file was given")
        frame, name = frame_of(boxes), "the GeoDataFrame" if isinstance(boxes, gpd.GeoDataFrame) else "the boxes"
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


def _short(error: Any) -> str:
    return " ".join(str(error).split()).partition("; It might help")[0][:300]
