"""A column of a table as values of one kind, whatever pandas holds them in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

from rosgeo.errors import OutputError
from rosgeo.vector.layers.times import iso_text

__all__ = ["Column", "class_names", "column_of", "json_text", "json_values", "names_a_zone", "python_values", "text_of"]


@dataclass(frozen=True)
class Column:
    """N values.

    Attributes
    ----------
    values : Array (N,)
        Of one type. Of the other forms: text, see `form`.
    form : {"typed", "times", "nested", "mixed"}
        ``times``: dates with times of several offsets, in ISO 8601. ``nested``: lists and objects, as JSON. ``mixed``: values of several
        types, each as text.
    python : list of N, or None
        What ``nested`` and ``mixed`` values are.
    lost : str or None
        What the values are no longer, in words.
    """

    values: pa.Array
    form: Literal["typed", "times", "nested", "mixed"] = "typed"
    python: list[Any] | None = None
    lost: str | None = None


def column_of(series: pd.Series, name: str) -> Column:
    """The values of a column; its missing ones, NaN among them, are null.

    Raises
    ------
    OutputError
        It holds an object, or text, that no file can hold.
    """
    try:
        return _column_of(series)
    except _UnheldError as error:
        raise OutputError(f"column {name!r}, row {error.row}: {error}") from None


class _UnheldError(Exception):
    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def _column_of(series: pd.Series) -> Column:
    dtype = series.dtype
    if isinstance(series, gpd.GeoSeries) or str(dtype) == "geometry":
        return Column(_text([None if g is None else g.wkt for g in series]), lost="geometries as WKT")
    if isinstance(dtype, pd.CategoricalDtype):
        values = [None if c < 0 else v for c, v in zip(series.cat.codes, series.astype(object), strict=True)]
        return replace(_of_objects(values), lost="categories as their values")
    if isinstance(dtype, pd.SparseDtype):
        return _column_of(series.sparse.to_dense())
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype) or dtype.kind == "c":
        return Column(_text([None if pd.isna(v) else str(v) for v in series]), lost="values as text")
    if pd.api.types.is_object_dtype(dtype):
        return _of_objects(list(series))
    return _of_arrow(_arrow(series))


def _arrow(series: pd.Series) -> pa.Array:
    if isinstance(series.dtype, pd.StringDtype):
        return _text([None if pd.isna(v) else v for v in series.astype(object)])
    values = pa.array(series, from_pandas=True)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _of_arrow(values: pa.Array) -> Column:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    kind = values.type
    if pa.types.is_dictionary(kind):
        return replace(_of_arrow(values.dictionary_decode()), lost="categories as their values")
    if pa.types.is_nested(kind):
        rows = values.to_pylist()
        return _nested([None if v is None else dict(v) for v in rows] if pa.types.is_map(kind) else rows)
    if pa.types.is_null(kind):
        return Column(values.cast(pa.string()))
    return Column(values)


def _text(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        row = next(i for i, v in enumerate(values) if v is not None and not _is_whole(v))
        raise _UnheldError(
            row, f"text that is no Unicode ({values[row]!a}), which no file can hold; repair or drop it in the input"
        ) from None


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    (str, "text"),
    (int, "int"),
    (float, "float"),
    (Decimal, "decimal"),
    (bytes, "bytes"),
    (datetime, "datetime"),
    (date, "date"),
    (time, "time"),
    (timedelta, "duration"),
    ((list, dict), "nested"),
)


_PLAIN_TYPES: dict[type, str] = {t: kind for types, kind in _KINDS[:-2] for t in (types if isinstance(types, tuple) else (types,))}
"""Types, and no subclasses, that need no making plain."""


def _of_objects(values: list[Any]) -> Column:
    lost: set[str] = set()
    types = set(map(type, values)) - {type(None)}
    if types <= _PLAIN_TYPES.keys():  # nearly always, and much quicker
        plain = [None if v != v else v for v in values] if float in types else values
        return _of_kinds(plain, {_PLAIN_TYPES[t] for t in types if t is not float or any(isinstance(v, float) for v in plain)})
    plain = [_plain(v, row, lost) for row, v in enumerate(values)]
    kinds = {_kind(v) for v in plain if v is not None}
    column = _of_kinds(plain, kinds)
    return replace(column, lost=sorted(lost)[0]) if lost else column


def _kind(value: Any) -> str:
    return next(kind for types, kind in _KINDS if isinstance(value, types))


def _of_kinds(values: list[Any], kinds: set[str]) -> Column:
    if not kinds or kinds == {"text"}:
        return Column(_text(values))
    if "nested" in kinds:
        return _nested(values)
    if kinds == {"datetime"} and len({v.utcoffset() for v in values if v is not None}) > 1:
        return Column(_text([None if v is None else iso_text(v) for v in values]), "times")
    if len(kinds) == 1 or kinds == {"int", "float"}:
        try:
            # NumPy's own reading of a column of dates and the like is by its first value; Arrow's is by all.
            return Column(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError, OverflowError):  # TypeError: of an infinite Decimal
            pass
    texts = [None if v is None else text_of(v) for v in values]
    return Column(_text(texts), "mixed", values, "numbers that are too large as text" if len(kinds) == 1 else None)


def _nested(values: list[Any]) -> Column:
    texts = [None if v is None else json_text(v) for v in values]
    return Column(_text(texts), "nested", values)


def _plain(value: Any, row: int, lost: set[str]) -> Any:
    """A value as one of `_KINDS`; None for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(v, row, lost) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v, row, lost) for k, v in value.items()}
    if isinstance(value, np.datetime64 | np.timedelta64):
        return _plain((pd.Timestamp if isinstance(value, np.datetime64) else pd.Timedelta)(value), row, lost)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, UUID | PurePath | complex):
        lost.add("values as text")
        return str(value)
    if isinstance(value, shapely.Geometry):
        lost.add("geometries as WKT")
        return value.wkt
    if not any(isinstance(value, types) for types, _ in _KINDS):
        raise _UnheldError(
            row, f"a Python object of type {type(value).__name__}, which no file can hold; make text of it, or drop it"
        )
    return value


def text_of(value: Any) -> str:
    """A plain value as text: JSON's for numbers and what is true, ISO 8601 for dates, hexadecimal for bytes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, date | time):
        return iso_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def json_text(value: Any) -> str:
    """Plain values, nested, as JSON's text."""
    return json.dumps(_jsonable(value, set()), ensure_ascii=False)


def _jsonable(value: Any, lost: set[str]) -> Any:
    if isinstance(value, list):
        return [_jsonable(v, lost) for v in value]
    if isinstance(value, dict):
        return {str(k): _jsonable(v, lost) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        if value == value:
            lost.add("infinite numbers as null")
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    lost.add(_AS_TEXT.get(_kind(value), "values as text"))
    return text_of(value)


_AS_TEXT = {
    "bytes": "bytes as hexadecimal text",
    "decimal": "decimal numbers as text",
    "date": "dates as text",
    "datetime": "times as text",
    "time": "times of day as text",
    "duration": "durations as text",
}


def json_values(column: Column) -> tuple[list[Any], set[str]]:
    """Values as JSON has them (N), and what they are no longer, in words."""
    lost = {column.lost} if column.lost else set()
    if column.form == "times":
        return column.values.to_pylist(), lost | {"times as text"}
    if column.python is not None:
        return [_jsonable(v, lost) for v in column.python], lost
    kind = column.values.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # The shortest number that gives the same float again.
        shortest: Callable[[Any], float] = lambda v: float(str(np.float32(v)))  # noqa: E731
        return [None if v is None else _jsonable(shortest(v), lost) for v in column.values.to_pylist()], lost
    if pa.types.is_timestamp(kind) and names_a_zone(kind):
        lost.add("zones as offsets")
    return [_jsonable(v, lost) for v in python_values(column.values)], lost


def names_a_zone(kind: pa.DataType) -> bool:
    """Whether a type of times names a zone, such as Europe/Berlin, and no mere offset."""
    return kind.tz is not None and kind.tz not in ("UTC", "Z") and kind.tz[0] not in "+-"


def python_values(values: pa.Array) -> list[Any]:
    """Values of Arrow as Python has them; times as pandas has them, which knows nanoseconds."""
    if pa.types.is_timestamp(values.type) or pa.types.is_duration(values.type):
        return [None if v is pd.NaT or v is None else v for v in values.to_pandas().astype(object)]
    plain: list[Any] = values.to_pylist()
    return plain


def class_names(series: pd.Series, missing: str = "object") -> list[str]:
    """The class of each row by its column: whole numbers without decimals, `missing` for null and empty text."""

    def name(value: Any) -> str:
        if value is None or value == "":
            return missing
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return [name(v) for v in python_values(column_of(series, str(series.name)).values)]
