"""Layers through Arrow: each attribute in the type that its file gives it, beside NULLs too."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyogrio
import pyogrio.raw
import shapely

from rosgeo.vector.layers.columns import FIELDS, ROW_IDS, unique_names, with_index
from rosgeo.vector.layers.domains import DOMAIN, DOMAIN_NAME, read_domain
from rosgeo.vector.layers.geojson import read_properties
from rosgeo.vector.layers.times import date_or_time, parse_times
from rosgeo.vector.layers.values import Column, column_of

__all__ = ["layer_fids", "read_layer", "read_parquet", "series_of"]

_NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def read_layer(
    path: str | Path, layer: str | None = None, where: str | None = None, *, ids: bool = True
) -> gpd.GeoDataFrame | pd.DataFrame:
    """Read a layer of any format of GDAL.

    Parameters
    ----------
    path : path
    layer : str, optional
    where : str, optional
        See `read_boxes`.
    ids : bool
        With the ids of its rows as a column, where its file holds any: `ROW_IDS`.

    Returns
    -------
    GeoDataFrame, or DataFrame for a table without geometries
        Rows in the order of the layer; the index is 0..N-1, with `where` the rows' numbers in the layer. Whole numbers and booleans are
        NumPy's, or pandas' nullable ones where there is a NULL; dates, bytes, times of day and decimals are Arrow's; JSON is objects.
    """
    meta, table = _read(path, layer, where)
    fids = table.column(0).to_numpy()
    attributes, told = _attributes(table, meta)
    for said in told.values():
        domain = read_domain(path, said[DOMAIN_NAME]) if DOMAIN_NAME in said else None
        said.update({} if domain is None else {DOMAIN: domain})
    document = read_properties(path)
    every = fids if where is None else layer_fids(path, layer)
    rows = np.arange(len(fids)) if where is None else pd.Index(every).get_indexer(fids)
    found: list[Any] | None = None
    if document is not None and len(document[0]) == len(every):
        attributes, found = _of_json(document[0], rows), [document[1][i] for i in rows]
    elif _are_real(path, layer, every):
        found = fids.tolist()
    frame = pd.DataFrame(dict(enumerate(attributes.values())), index=pd.RangeIndex(len(fids))).set_axis(list(attributes), axis=1)
    if ids and found is not None and any(i is not None for i in found):
        frame[unique_names([*frame.columns, ROW_IDS])[-1]] = _series(_typed(found))
    frame.index = pd.RangeIndex(len(frame)) if where is None else pd.Index(rows)
    place = _geometry(table, meta)
    if place is None:
        return frame
    shapes = _shapes(table.column(place).to_numpy(), path, layer, where)
    name = unique_names([*frame.columns, "geometry"])[-1]
    result = gpd.GeoDataFrame(frame.assign(**{name: shapes}), geometry=name, crs=meta["crs"])
    result.attrs = {FIELDS: told} if told else {}
    return result


def _shapes(wkb: npt.NDArray[Any], path: str | Path, layer: str | None, where: str | None) -> npt.NDArray[Any]:
    """Geometries from a layer's WKB (N,); None for what is none."""
    try:
        shapes: npt.NDArray[Any] = shapely.from_wkb(wkb, on_invalid="ignore")
    except NotImplementedError:
        # Curves, which shapely does not have, and pyogrio makes lines of where it does not read through Arrow.
        with _every_row_once():
            linear = pyogrio.raw.read(path, layer=layer, where=where, columns=[])[2]
        shapes = shapely.from_wkb(linear, on_invalid="ignore")
    return shapes


def _read(path: str | Path, layer: str | None, where: str | None) -> tuple[dict[str, Any], pa.Table]:
    how: dict[str, Any] = {"layer": layer, "where": where, "return_fids": True, "datetime_as_string": True}
    # A condition takes GDAL's right way by itself, and that one tells where it is not understood.
    with nullcontext() if where is not None else _every_row_once():
        try:
            meta, table = pyogrio.read_arrow(path, **how)
            table.validate(full=True)
        except (UnicodeDecodeError, pa.ArrowInvalid):
            # A Shapefile that does not say how its text is written: as GDAL reads it without Arrow.
            meta, table = pyogrio.read_arrow(path, encoding="ISO-8859-1", **how)
            table.validate(full=True)
    return meta, table.combine_chunks()


def layer_fids(path: str | Path, layer: str | None) -> npt.NDArray[np.int64]:
    """The ids of a layer's rows (N,), as GDAL counts them."""
    with _every_row_once():
        table = pyogrio.read_arrow(path, layer=layer, columns=[], read_geometry=False, return_fids=True)[1]
    fids: npt.NDArray[np.int64] = table.column(0).to_numpy()
    return fids


@contextmanager
def _every_row_once() -> Iterator[None]:
    """GDAL's plain way through a GeoPackage.

    Its fast one goes by ``gpkg_ogr_contents``, and where rows were deleted without that being told, it gives the last ones twice (GDAL
    3.12); without Arrow, a count that is too small there loses rows.
    """
    option = "OGR_GPKG_STREAM_BASE_IMPL"
    before = pyogrio.get_gdal_config_option(option)
    pyogrio.set_gdal_config_options({option: True})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({option: before})


def _are_real(path: str | Path, layer: str | None, fids: Any) -> bool:
    """Whether ids of rows are in the file, or have gaps, and so are more than the rows' numbers."""
    info = pyogrio.read_info(path, layer=layer)
    stored = info["driver"] != "GeoJSON" and bool(info["fid_column"])
    return len(fids) > 0 and (stored or not np.array_equal(fids, np.arange(fids[0], fids[0] + len(fids))) or fids[0] > 1)


def _geometry(table: pa.Table, meta: dict[str, Any]) -> int | None:
    """Which column of a table is the geometry; the last of its name, which a field may have too."""
    wanted = meta["geometry_name"] or "wkb_geometry"
    places = [i for i, name in enumerate(table.schema.names) if i and name == wanted]
    return places[-1] if places and meta["geometry_type"] is not None else None


def _attributes(table: pa.Table, meta: dict[str, Any]) -> tuple[dict[str, pd.Series], dict[str, dict[str, str]]]:
    """The fields of a layer by name, and what their metadata tell."""
    series: dict[str, pd.Series] = {}
    told: dict[str, dict[str, str]] = {}
    place = _geometry(table, meta)
    fields = [i for i in range(1, table.num_columns) if i != place]
    for i, name, subtype in zip(fields, meta["fields"], meta["ogr_subtypes"], strict=True):
        field = table.schema.field(i)
        said = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        series[name] = series_of(
            _storage(table.column(i)), json=subtype == "OFSTJSON", times=said.get("GDAL:OGR:type") == "DateTime"
        )
        kept = {k: v for k, v in said.items() if k.startswith("GDAL:OGR:") and k not in ("GDAL:OGR:type", "GDAL:OGR:subtype")}
        if kept:
            told[name] = kept
    return series, told


def series_of(values: pa.Array, *, json: bool = False, times: bool = False) -> pd.Series:
    """Values as `read_layer` gives them; `json` and `times` say what text is."""
    if json:
        return pd.Series([_json(t) for t in values.to_pylist()], dtype=object)
    return parse_times(values.to_pylist()) if times else _series(values)


def _storage(values: Any) -> pa.Array:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json_format.loads(text)
    except ValueError:
        # GDAL gives the strings of a column of several types without their quotes.
        return text


def _of_json(features: list[dict[str, Any]], rows: Any) -> dict[str, pd.Series]:
    """The attributes of GeoJSON as they stand there, for GDAL makes one type of each column."""
    names = dict.fromkeys(name for feature in features for name in feature)
    chosen = [features[i] for i in rows.tolist()]
    return {name: _of_python([feature.get(name) for feature in chosen], name) for name in names}


def _of_python(values: list[Any], name: str) -> pd.Series:
    objects = pd.Series(values, dtype=object)
    column = column_of(objects, name)
    if column.python is not None:
        return objects
    if pa.types.is_string(column.values.type):
        dates = date_or_time(column.values.to_pylist())
        if dates is not None:
            return dates if isinstance(dates, pd.Series) else _series(pa.array(dates))
    return _series(column.values) if column.values.null_count < len(values) else objects


def _typed(values: list[Any]) -> pa.Array:
    column: Column = column_of(pd.Series(values, dtype=object), ROW_IDS)
    return column.values


def _series(values: pa.Array) -> pd.Series:
    return _without_needless_nulls(pa.table({"values": values}).to_pandas(types_mapper=_pandas_type))["values"]


def _pandas_type(kind: pa.DataType) -> Any:
    """The type of pandas for one of Arrow's, so that no NULL changes it; None for pandas' own choice."""
    of = pa.types
    if kind in _NULLABLE:
        return _NULLABLE[kind]
    kept = (of.is_date, of.is_time, of.is_decimal, of.is_binary, of.is_large_binary, of.is_fixed_size_binary, of.is_nested)
    return pd.ArrowDtype(kind) if any(test(kind) for test in kept) else None


def _without_needless_nulls(frame: pd.DataFrame) -> pd.DataFrame:
    """Nullable whole numbers and booleans as NumPy's where no value is missing."""
    plain = {
        name: values.dtype.numpy_dtype
        for name, values in frame.items()
        if values.dtype in _NULLABLE.values() and not values.isna().any()
    }
    return frame.astype(plain)


def read_parquet(path: str) -> gpd.GeoDataFrame:
    """Read GeoParquet; like `read_layer`, the index that pandas may have kept in it among the columns."""
    frame = gpd.read_parquet(path, to_pandas_kwargs={"types_mapper": _pandas_type})
    frame = with_index(frame)
    frame.attrs = {}
    return _without_needless_nulls(frame)
