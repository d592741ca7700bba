"""What a Shapefile cannot hold: brought to what it can, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from rosgeo.errors import OutputError

__all__ = ["PARTS", "fit_columns", "parts_of", "require_small"]

PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
"""The files that one Shapefile is made of."""

_FURTHER_PARTS = (".qix", ".sbn", ".sbx", ".qpj", ".qmd", ".idm", ".ind")
_NAME_BYTES = 10
_TEXT_BYTES = 254
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


def fit_columns(frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, list[str]]:
    """A layer as a Shapefile can hold it.

    Parameters
    ----------
    frame : GeoDataFrame
        Columns as GDAL takes them: text names, no lists.

    Returns
    -------
    frame : GeoDataFrame
        All rows. Names of at most 10 bytes, unlike each other in any case of letters; times and numbers that DBF lacks as text; text of
        at most 254 bytes.
    lost : list of str
        What is not as it was, a clause each.
    """
    fitted = frame.copy()
    active = frame.geometry.name
    columns = [c for c in frame.columns if c != active]
    as_text, cut = [], []
    for column in columns:
        values = fitted[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            fitted[column] = values.map(lambda v: None if pd.isna(v) else v.isoformat()).astype(object)
            as_text.append(column)
        text = fitted[column].map(_short_text)
        changed = int((text.notna() & (text != fitted[column])).sum()) if _is_text(values) else 0
        if changed:
            fitted[column] = text
            cut.append(f"{column} ({changed} row{'s' * (changed > 1)})")
    names = _short_names(columns)
    fitted = fitted.rename(columns=names)
    renamed = [f"{old} to {new}" for old, new in names.items() if old != new]
    clauses = (("renamed ", renamed), ("times as text: ", as_text), (f"text cut at {_TEXT_BYTES} bytes: ", cut))
    return fitted, [head + ", ".join(items) for head, items in clauses if items]


def _is_text(values: Any) -> bool:
    return bool(values.dtype == object or pd.api.types.is_string_dtype(values))


def _short_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    raw = value.encode()
    return value if len(raw) <= _TEXT_BYTES else raw[:_TEXT_BYTES].decode(errors="ignore")


def _short_names(columns: list[str]) -> dict[str, str]:
    """New names by old ones, in the order of the columns."""
    names: dict[str, str] = {}
    # Names that fit, and rosgeo's own, come first: no other takes theirs.
    for column in sorted(columns, key=lambda c: len(c.encode()) > _NAME_BYTES and c not in _SHORT):
        wanted = _SHORT.get(column, column)
        taken = {n.lower() for n in names.values()}
        short = _cut(wanted, _NAME_BYTES)
        number = 1
        while short.lower() in taken:
            number += 1
            short = _cut(wanted, _NAME_BYTES - len(f"_{number}")) + f"_{number}"
        names[column] = short
    return {column: names[column] for column in columns}


def _cut(text: str, count: int) -> str:
    return text.encode()[:count].decode(errors="ignore")


def require_small(partial: Path, target: Path) -> None:
    """Raise OutputError where a part is larger than the format's 2 GB."""
    large = [p for p in parts_of(partial) if p.stat().st_size > _MOST_BYTES]
    if large:
        raise OutputError(f"{target}: the Shapefile's {large[0].suffix} would pass the format's limit of 2 GB; write .gpkg instead")
