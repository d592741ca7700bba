"""What each format can hold of a table's columns: brought to what it can, and named where it is not as it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rosgeo.vector.layers.domains import DOMAIN, DOMAIN_NAME
from rosgeo.vector.layers.shapefile import shapefile_column, short_names
from rosgeo.vector.layers.times import GDAL_TIME, date_or_time, iso_text
from rosgeo.vector.layers.values import Column, column_of, json_values, names_a_zone, python_values, text_of

__all__ = ["FIELDS", "Fitted", "fit_for_gdal", "fit_for_json", "fit_for_parquet", "unique_names", "with_index"]

FIELDS = "rosgeo_fields"
"""In `attrs` of a frame that was read: what its layer says of a column beside its type (alias, comment, width), as Arrow's metadata."""

ROW_IDS = "boxes_fid"
"""Column of the ids that the rows of the boxes have in their file: a layer's FID, or an index without a name."""

RENAMED = "renamed"
"""How a clause begins that tells of new names."""

_LARGEST = 2**63 - 1
_UNREAD = range(2**63, 10**19)
"""Whole numbers of 19 digits that GDAL's reader of JSON refuses (3.12), and with them the file; larger ones it takes."""

_JSON = {"ARROW:extension:name": "arrow.json", "ARROW:extension:metadata": ""}
_TIME = {"GDAL:OGR:type": "DateTime"}
_KEPT_FIELDS = ("GDAL:OGR:alternative_name", "GDAL:OGR:comment", "GDAL:OGR:width", DOMAIN, DOMAIN_NAME)


@dataclass(frozen=True)
class Fitted:
    """The columns of a table, without its active geometry, as a format holds them.

    Attributes
    ----------
    names : list of str
    columns : list
        Arrow arrays for GDAL, lists of plain values for JSON, Series for GeoParquet.
    fields : list of dict
        Arrow's metadata of each.
    lost : list of str
        What is not as it was, a clause each.
    """

    names: list[str]
    columns: list[Any]
    fields: list[dict[str, str]]
    lost: list[str]

    def by_name(self) -> dict[str, tuple[Any, dict[str, str]]]:
        """Values and metadata of each column."""
        return {n: (c, f) for n, c, f in zip(self.names, self.columns, self.fields, strict=True)}


class _Losses:
    """What columns lost, gathered by what it is."""

    def __init__(self) -> None:
        self._columns: dict[str, list[str]] = {}

    def add(self, what: str | tuple[str, int] | None, column: str) -> None:
        text, rows = what if isinstance(what, tuple) else (what, 0)
        if text:
            count = f" ({rows} row{'s' * (rows > 1)})" if rows else ""
            self._columns.setdefault(text, []).append(column + count)

    def clauses(self) -> list[str]:
        # Names first, so that what follows is understood.
        ordered = sorted(self._columns.items(), key=lambda item: item[0] != RENAMED)
        return [f"{what}{' ' if what == RENAMED else ': '}{', '.join(columns)}" for what, columns in ordered]


def with_index(frame: gpd.GeoDataFrame, rows: Iterable[int] | None = None) -> gpd.GeoDataFrame:
    """A frame whose index is in its columns: first under its names, or last as `ROW_IDS` where it has none and is not 0, 1, 2...

    Parameters
    ----------
    frame : GeoDataFrame (N rows)
    rows : iterable of N int, optional
        Numbers of the rows, which are no index of their own. Default: `rosgeo_id`, where there is one.
    """
    index = frame.index
    unnamed = index.nlevels == 1 and index.name is None
    if rows is None and "rosgeo_id" in frame.columns:
        rows = frame["rosgeo_id"]
    if unnamed and (_counts(index, range(len(frame))) or (rows is not None and _counts(index, rows))):
        return frame.reset_index(drop=True)
    flat = frame.reset_index(drop=True)
    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    wanted = [(ROW_IDS if level.name is None else str(level.name), level) for level in levels]
    # A column of the same name holds the same, as after set_index(..., drop=False), or comes first.
    for name, level in reversed(wanted):
        if name not in flat.columns:
            flat.insert(len(flat.columns) if name == ROW_IDS else 0, name, pd.Series(level, index=flat.index))
    return flat


def _counts(index: pd.Index, numbers: Iterable[int]) -> bool:
    return bool(pd.api.types.is_integer_dtype(index.dtype)) and index.tolist() == list(numbers)


def unique_names(names: Sequence[Any], *, by_case: bool = True, taken: Iterable[str] = ()) -> list[str]:
    """Names as text, each once; the later one of two gets a number.

    Parameters
    ----------
    names : sequence
    by_case : bool
        Names that differ by the case of letters alone are two.
    taken : iterable of str
        Names that none may have, letter for letter.
    """
    fold = str if by_case else str.lower
    own = [str(n) for n in names]
    used: set[str] = set()
    refused = frozenset(taken)
    given = {fold(n) for n in own}
    unique: list[str] = []
    for name in own:
        new, number = name, 1
        while new in refused or fold(new) in used or (number > 1 and fold(new) in given):
            number += 1
            new = f"{name}_{number}"
        used.add(fold(new))
        unique.append(new)
    return unique


def _renamed(losses: _Losses, columns: Sequence[Any], names: Sequence[str]) -> None:
    for old, new in zip(columns, names, strict=True):
        if str(old) != new:
            losses.add(RENAMED, f"{old} to {new}")


def _columns(frame: gpd.GeoDataFrame) -> list[tuple[Any, pd.Series]]:
    """Name and values of each column but the active geometry, by place: names may be doubled."""
    active = frame.geometry.name
    return [(name, frame.iloc[:, i]) for i, name in enumerate(frame.columns) if name != active]


def fit_for_gdal(frame: gpd.GeoDataFrame, driver: str) -> Fitted:
    """Columns for a driver of GDAL that Arrow's tables are written with: GPKG, FlatGeobuf, ESRI Shapefile.

    Raises
    ------
    OutputError
        A column holds what no file can hold.
    """
    given = _columns(frame)
    # OGC_FID is what GDAL calls the row's number; letters' case is not told apart by GeoPackages, nor by GDAL's way from Arrow.
    names = unique_names([n for n, _ in given], by_case=False, taken=() if driver == "GPKG" else ("OGC_FID",))
    losses = _Losses()
    columns, fields = [], []
    told = frame.attrs.get(FIELDS, {})
    for (old, series), name in zip(given, names, strict=True):
        values, field, lost = _for_gdal(column_of(series, str(old)), driver)
        for what in lost:
            losses.add(what, name)
        columns.append(values)
        fields.append({**_field(told.get(str(old), {}), values), **field})
    if driver == "ESRI Shapefile":
        names = short_names(names)
    _renamed(losses, [n for n, _ in given], names)
    return Fitted(names, columns, fields, losses.clauses())


def _field(told: dict[str, str], values: pa.Array) -> dict[str, str]:
    field = {key: text for key, text in told.items() if key in _KEPT_FIELDS}
    width = field.get("GDAL:OGR:width")
    if width is not None and not (pa.types.is_string(values.type) and (pc.max(pc.utf8_length(values)).as_py() or 0) <= int(width)):
        # A width that other values would not fit into, as those of another layer that are added.
        del field["GDAL:OGR:width"]
    return field


def _for_gdal(column: Column, driver: str) -> tuple[pa.Array, dict[str, str], list[str | tuple[str, int]]]:
    """Values, Arrow's metadata, and what is lost, with the number of rows where that is known."""
    lost: list[str | tuple[str, int]] = [column.lost] if column.lost else []
    if column.form == "times":
        values, field, what = _gdal_times(column.values, driver)
    elif column.form == "nested":
        json_kept = driver == "GPKG"
        leaves = sorted(json_values(column)[1] - {column.lost})
        values, field, what = (
            column.values,
            _JSON if json_kept else {},
            [*leaves, *([] if json_kept else ["lists and objects as JSON"])],
        )
    elif column.form == "mixed":
        values, field, what = column.values, {}, [] if lost else ["values of several types as text"]
    else:
        values, field, what = _typed(column.values, driver)
    lost += what
    if pa.types.is_string(values.type):
        values, cut = _without_nul(values)
        lost += cut
    if driver == "ESRI Shapefile":
        values, more = shapefile_column(values)
        lost += more
    return values, field, list(dict.fromkeys(lost))


def _typed(values: pa.Array, driver: str) -> tuple[pa.Array, dict[str, str], list[str]]:
    kind, of = values.type, pa.types
    if of.is_timestamp(kind):
        texts = pa.array([None if v is None else iso_text(v) for v in python_values(values)], pa.string())
        result, field, lost = _gdal_times(texts, driver)
        return result, field, [*lost, *(["zones as offsets"] if names_a_zone(kind) else [])]
    if of.is_uint64(kind) and len(values) - values.null_count and pc.max(values).as_py() > _LARGEST:
        return _as_text(values), {}, ["numbers that are too large as text"]
    plain = _plain_type(kind, driver)
    if plain is not None:
        return values.cast(plain), {}, []
    named = next((what for test, what in _TEXTS if test(kind)), "values as text")
    return _as_text(values), {}, [named]


_TEXTS = (
    (pa.types.is_date, "dates as text"),
    (pa.types.is_time, "times of day as text"),
    (pa.types.is_decimal, "decimal numbers as text"),
    (pa.types.is_duration, "durations as text"),
    (
        lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t),
        "bytes as hexadecimal text",
    ),
)


def _plain_type(kind: pa.DataType, driver: str) -> pa.DataType | None:
    """The type of Arrow in which GDAL takes values as they are; None where the format has none."""
    of = pa.types
    if of.is_boolean(kind) or of.is_signed_integer(kind) or of.is_float32(kind) or of.is_float64(kind):
        return kind
    if of.is_unsigned_integer(kind):
        return pa.int64()
    if of.is_float16(kind):
        return pa.float32()
    if of.is_string(kind) or of.is_large_string(kind) or str(kind) == "string_view":
        return pa.string()
    if of.is_date(kind) and driver != "FlatGeobuf":
        return pa.date32()
    bytes_kind = of.is_binary(kind) or of.is_large_binary(kind) or of.is_fixed_size_binary(kind)
    return pa.binary() if bytes_kind and driver != "ESRI Shapefile" else None


def _as_text(values: pa.Array) -> pa.Array:
    return pa.array([None if v is None else text_of(v) for v in python_values(values)], pa.string())


def _gdal_times(texts: pa.Array, driver: str) -> tuple[pa.Array, dict[str, str], list[str]]:
    """Times by their text, which GDAL takes with its offset; by Arrow's type it would drop that."""
    held = driver != "ESRI Shapefile" and all(t is None or GDAL_TIME.fullmatch(t) for t in texts.to_pylist())
    return (texts, _TIME, []) if held else (texts, {}, ["times as text"])


def _without_nul(texts: pa.Array) -> tuple[pa.Array, list[str]]:
    """Text as C can hold it, for whom a NUL is the end."""
    if not pc.any(pc.match_substring(texts, "\0")).as_py():
        return texts, []
    return pc.replace_substring(texts, "\0", ""), ["text without its NUL characters"]


def fit_for_json(frame: gpd.GeoDataFrame, *, dates: bool) -> Fitted:
    """Columns for GeoJSON and COCO: lists of N plain values.

    Parameters
    ----------
    frame : GeoDataFrame
    dates : bool
        For GeoJSON: readers take text that looks like a date for one, so that dates are not lost; and GDAL reads the file.
    """
    given = _columns(frame)
    names = unique_names([n for n, _ in given])
    losses = _Losses()
    _renamed(losses, [n for n, _ in given], names)
    columns = []
    for (old, series), name in zip(given, names, strict=True):
        column = column_of(series, str(old))
        values, lost = json_values(column)
        if dates and _has_unread(values):
            whole = column.form == "typed"
            values = [None if v is None else str(v) for v in values] if whole else _without_unread(values)
            lost = lost | {"numbers that are too large as text"}
        if dates and column.form in ("typed", "times"):
            lost = lost - {"dates as text", "times as text"}
            if pa.types.is_string(column.values.type) and column.form == "typed" and date_or_time(values) is not None:
                lost.add("text that reads as dates")
        for what in sorted(lost):
            losses.add(what, name)
        columns.append(values)
    return Fitted(names, columns, [{}] * len(names), losses.clauses())


def _has_unread(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(map(_has_unread, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and value in _UNREAD


def _without_unread(value: Any) -> Any:
    """Values of JSON with those of `_UNREAD` as text."""
    if isinstance(value, list):
        return [_without_unread(v) for v in value]
    if isinstance(value, dict):
        return {key: _without_unread(v) for key, v in value.items()}
    return str(value) if isinstance(value, int) and value in _UNREAD else value


def fit_for_parquet(frame: gpd.GeoDataFrame) -> Fitted:
    """Columns for GeoParquet, which holds all types of Arrow; those of pandas stay pandas' own."""
    given = [(n, frame.iloc[:, i]) for i, n in enumerate(frame.columns)]
    names = unique_names([n for n, _ in given])
    losses = _Losses()
    _renamed(losses, [n for n, _ in given], names)
    columns = []
    for (old, series), name in zip(given, names, strict=True):
        values, lost = _for_parquet(series, str(old))
        losses.add(lost, name)
        columns.append(values)
    return Fitted(names, columns, [{}] * len(names), losses.clauses())


def _for_parquet(series: pd.Series, name: str) -> tuple[pd.Series, str | None]:
    if str(series.dtype) == "geometry":
        return series, None
    if not pd.api.types.is_object_dtype(series.dtype):
        return _holdable(series, name)
    column = column_of(series, name)
    if column.form == "nested":
        held = _as_arrow(column)
        if held is not None:
            return pd.Series(held.to_pylist(), index=series.index, dtype=pd.ArrowDtype(held.type)), None
        return _objects(column.values, series), "lists and objects as JSON"
    if column.form == "times":
        moments = pd.to_datetime(column.values.to_pandas(), format="ISO8601", utc=True, errors="coerce")
        if moments.notna().sum() == len(moments) - column.values.null_count and _all_aware(column.values):
            return moments.set_axis(series.index), "offsets as UTC"
        return _objects(column.values, series), "times as text"
    if column.form == "mixed":
        return _objects(column.values, series), column.lost or "values of several types as text"
    if column.lost:
        return _objects(column.values, series), column.lost
    return pd.Series(python_values(column.values), index=series.index, dtype=object), None


def _all_aware(texts: pa.Array) -> bool:
    return all(t is None or t[-1] == "Z" or t[-6] in "+-" for t in texts.to_pylist())


def _as_arrow(column: Column) -> pa.Array | None:
    """Nested values in a type of Arrow, where that adds and changes nothing."""
    try:
        held = pa.array(column.python)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None
    return held if held.to_pylist() == column.python and not _has_empty_struct(held.type) else None


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Whether there is an object without keys, which Parquet does not know."""
    if pa.types.is_struct(kind) and kind.num_fields == 0:
        return True
    return any(_has_empty_struct(kind.field(i).type) for i in range(kind.num_fields)) if pa.types.is_nested(kind) else False


def _objects(values: pa.Array, like: pd.Series) -> pd.Series:
    return pd.Series(values.to_pylist(), index=like.index, dtype=object)


def _holdable(series: pd.Series, name: str) -> tuple[pd.Series, str | None]:
    """A column of one of pandas' types; as text where Arrow has no such type."""
    try:
        pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError):
        column = column_of(series, name)
        return _objects(column.values, series), column.lost or "values as text"
    return series, None
