"""What a Shapefile cannot hold: brought to what it can, and named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rosgeo.errors import OutputError

__all__ = ["PARTS", "parts_of", "require_small", "shapefile_column", "short_names"]

PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
"""The files that one Shapefile is made of."""

_FURTHER_PARTS = (".qix", ".sbn", ".sbx", ".qpj", ".qmd", ".idm", ".ind")
_NAME_BYTES = 10
_TEXT_BYTES = 254
_WHOLE_DIGITS = 18
"""Characters of a whole number, its sign among them, that readers take for one; a longer one they take for a floating number."""
_NUMBER_CHARACTERS, _DECIMALS = 24, 15
"""As GDAL writes floating numbers: cut, not rounded, where they are longer."""
_RELATIVE = 1e-9
_MOST_BYTES = 2**31 - 1
_SHORT = {
    "rosgeo_status": "ros_status",
    "rosgeo_score": "ros_score",
    "rosgeo_stability": "ros_stable",
    "rosgeo_area_m2": "ros_areaM2",
    "rosgeo_model": "ros_model",
}


def parts_of(path: Path) -> list[Path]:
    """The files of a Shapefile that are there, indexes that other programs put beside it among them."""
    names = {path.with_suffix(s).name.lower() for s in (*PARTS, *_FURTHER_PARTS)}
    return sorted(p for p in path.parent.glob("*") if p.name.lower() in names and p.stem == path.stem)


def shapefile_column(values: pa.Array) -> tuple[pa.Array, list[tuple[str, int]]]:
    """A column as DBF can hold it.

    Parameters
    ----------
    values : Array (N,)
        As GDAL takes it from Arrow: bool, whole or floating numbers, dates, text.

    Returns
    -------
    values : Array (N,)
        Numbers that DBF has no room for as text; text of at most 254 bytes.
    lost : list of (str, int)
        What is not as it was, and in how many rows; 0 for all.
    """
    if pa.types.is_integer(values.type):
        return _whole_numbers(values)
    if pa.types.is_floating(values.type):
        return _numbers(values)
    if not pa.types.is_string(values.type):
        return values, []
    texts = values.to_pylist()
    short = [None if t is None else _cut(t, _TEXT_BYTES) for t in texts]
    cut = sum(t != s for t, s in zip(texts, short, strict=True))
    empty = sum(t == "" for t in texts)
    lost = [(f"text cut at {_TEXT_BYTES} bytes", cut), ("empty text as null", empty)]
    return pa.array(short, pa.string()), [(what, rows) for what, rows in lost if rows]


def _whole_numbers(values: pa.Array) -> tuple[pa.Array, list[tuple[str, int]]]:
    texts = [None if v is None else str(v) for v in values.to_pylist()]
    if all(t is None or len(t) <= _WHOLE_DIGITS for t in texts):
        return values, []
    return pa.array(texts, pa.string()), [("numbers that are too large as text", 0)]


def _numbers(values: pa.Array) -> tuple[pa.Array, list[tuple[str, int]]]:
    """Floating numbers; as text where the 24 characters of DBF would lose more than their last digits."""
    numbers = values.to_pylist()
    if pa.types.is_float32(values.type):
        numbers = [None if v is None else float(str(np.float32(v))) for v in numbers]
    changed = 0
    for number in numbers:
        if number is None or number != number:
            continue
        held = float(f"{number:.{_DECIMALS}f}"[:_NUMBER_CHARACTERS])
        if not math.isclose(held, number, rel_tol=_RELATIVE, abs_tol=0):
            return pa.array([None if v is None else repr(v) for v in numbers], pa.string()), [("numbers as text", 0)]
        changed += held != number
    return pa.array(numbers, pa.float64()), [("last digits of numbers", changed)] if changed else []


def short_names(columns: Sequence[str]) -> list[str]:
    """Names of at most 10 bytes, unlike each other in any case of letters; for each of `columns`, which are unlike each other."""
    names: dict[str, str] = {}
    # Names that fit, and rosgeo's own, come first: no other takes theirs.
    for column in sorted(columns, key=lambda c: len(c.encode()) > _NAME_BYTES and c not in _SHORT):
        # Spaces at the end fill a name in DBF.
        wanted = _SHORT.get(column, column).rstrip(" ")
        taken = {n.lower() for n in names.values()}
        short = _cut(wanted, _NAME_BYTES).rstrip(" ")
        number = 1
        while short.lower() in taken:
            number += 1
            short = _cut(wanted, _NAME_BYTES - len(f"_{number}")) + f"_{number}"
        names[column] = short
    return [names[column] for column in columns]


def _cut(text: str, count: int) -> str:
    return text.encode()[:count].decode(errors="ignore")


def require_small(partial: Path, target: Path) -> None:
    """Raise OutputError where a part is larger than the format's 2 GB."""
    large = [p for p in parts_of(partial) if p.stat().st_size > _MOST_BYTES]
    if large:
        raise OutputError(f"{target}: the Shapefile's {large[0].suffix} would pass the format's limit of 2 GB; write .gpkg instead")
