"""Rows of two layers as one: columns of the same names, each of one type that holds the values of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa

from rosgeo.errors import OptionError
from rosgeo.vector.layers.arrow import series_of
from rosgeo.vector.layers.columns import FIELDS, ROW_IDS, Fitted, fit_for_gdal

__all__ = ["column_texts", "joined_columns"]

_Columns = Mapping[str, tuple[pa.Array, dict[str, str]]]


def joined_columns(held: gpd.GeoDataFrame, new: gpd.GeoDataFrame, where: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The columns of a GeoPackage and of rows that are added to it, without the geometries.

    Parameters
    ----------
    held : GeoDataFrame (N rows)
        As `read_layer` gives the layer.
    new : GeoDataFrame (M rows)
        Its index in its columns, see `with_index`.
    where : str
        The file, for messages.

    Returns
    -------
    frame : DataFrame (N + M rows)
        In the order of `held`, as `read_layer` would give it.
    lost : list of str
        What the new rows' values are no longer, a clause each.
    missing : list of str
        Columns of `held` that the new rows lack, and are null in them.

    Raises
    ------
    OptionError
        The new rows have columns that the others lack (but for `ROW_IDS`, which are null then), or of another kind.
    """
    first, second = fit_for_gdal(held, "GPKG"), fit_for_gdal(new, "GPKG")
    there, here = _with_ids(first, second, len(held)), _with_ids(second, first, len(new))
    missing = [name for name in there if name not in here]
    more = [name for name in here if name not in there]
    if more:
        found = "; ".join(f"{what} {', '.join(names)}" for what, names in (("lack", missing), ("also have", more)) if names)
        raise OptionError(
            f"--append: the new boxes {found}, unlike those of {where}; give them the same columns, or name another output"
        )
    here |= {name: (pa.nulls(len(new), there[name][0].type), there[name][1]) for name in missing}
    as_text = [name for name in there if _becomes_text(there[name], here[name])]
    here |= {name: (here[name][0], {}) for name in as_text}
    columns = {name: _joined(there[name], here[name], name, where) for name in there}
    frame = pd.DataFrame(dict(enumerate(columns.values())), index=range(len(held) + len(new))).set_axis(list(columns), axis=1)
    told = held.attrs.get(FIELDS)
    frame.attrs = {FIELDS: told} if told else {}
    return frame, [*second.lost, *([f"times as text: {', '.join(as_text)}"] if as_text else [])], missing


def _becomes_text(held: tuple[pa.Array, dict[str, str]], new: tuple[pa.Array, dict[str, str]]) -> bool:
    """Whether new times, which come as text, are to be text as those that are held: such as are finer than a GeoPackage's are so."""
    kinds = [_kind(*held), _kind(*new)]
    return kinds == ["string", "times"] and all(len(v) > v.null_count for v, _ in (held, new))


def _with_ids(own: Fitted, other: Fitted, rows: int) -> dict[str, tuple[pa.Array, dict[str, str]]]:
    columns = own.by_name()
    if ROW_IDS in other.names and ROW_IDS not in columns:
        columns[ROW_IDS] = (pa.nulls(rows, other.by_name()[ROW_IDS][0].type), {})
    return columns


def _joined(first: tuple[pa.Array, dict[str, str]], second: tuple[pa.Array, dict[str, str]], name: str, where: str) -> pd.Series:
    (old, old_field), (new, new_field) = first, second
    kinds = [(_kind(values, field), values.null_count == len(values)) for values, field in (first, second)]
    (old_kind, old_empty), (new_kind, new_empty) = kinds
    if old_empty or new_empty:
        field = old_field if new_empty else new_field
        kind = old.type if new_empty else new.type
        values = pa.concat_arrays([pa.nulls(len(v), kind) if empty else v for v, (_, empty) in zip((old, new), kinds, strict=True)])
        return _series(values, field)
    try:
        if old_kind != new_kind:
            raise pa.ArrowInvalid("another kind")
        common = _common(old.type, new.type)
        return _series(pa.concat_arrays([old.cast(common), new.cast(common)]), old_field)
    except pa.ArrowInvalid:
        raise OptionError(
            f"--append: {name} holds {_words(old, old_kind)} in {where} and {_words(new, new_kind)} in the new boxes; "
            "give it the same type, or name another output"
        ) from None


def _common(old: pa.DataType, new: pa.DataType) -> pa.DataType:
    """The type of values of one kind; the cast to it raises ArrowInvalid for a whole number that a floating one cannot be."""
    if old == new:
        return old
    return pa.float64() if pa.types.is_floating(old) or pa.types.is_floating(new) else pa.int64()


def _series(values: pa.Array, field: dict[str, str]) -> pd.Series:
    return series_of(values, json="ARROW:extension:name" in field, times=field.get("GDAL:OGR:type") == "DateTime")


def _kind(values: pa.Array, field: dict[str, str]) -> str:
    if "ARROW:extension:name" in field:
        return "lists and objects"
    if field.get("GDAL:OGR:type") == "DateTime":
        return "times"
    kind = values.type
    return "numbers" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else str(kind)


def _words(values: pa.Array, kind: str) -> str:
    return {"string": "text", "bool": "booleans", "binary": "bytes", "date32[day]": "dates"}.get(kind, kind) + (
        f" ({values.type})" if kind == "numbers" else ""
    )


def column_texts(frame: gpd.GeoDataFrame, leave_out: tuple[str, ...]) -> dict[str, list[Any]]:
    """The values of each column as a GeoPackage holds them, plain, by name: what rows of two layers are compared by."""
    return {
        name: [float(v) if isinstance(v, int | float) else v for v in values.to_pylist()]
        for name, (values, _) in sorted(fit_for_gdal(frame, "GPKG").by_name().items())
        if name not in leave_out
    }
