"""Columns of a layer as GDAL's formats can hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from rosgeo.errors import OutputError

__all__ = ["plain_columns"]


def plain_columns(result: gpd.GeoDataFrame, driver: str, path: Path) -> gpd.GeoDataFrame:
    """Columns as GDAL's formats can hold them: names as text, lists and mappings as JSON, further geometries as WKT."""
    frame = result.copy()
    active = frame.geometry.name
    frame.columns = [str(c) for c in frame.columns]
    lower = [c.lower() for c in frame.columns if c != active]
    doubled = [c for c in frame.columns if c != active and lower.count(c.lower()) > 1]
    if doubled and driver == "GPKG":
        raise OutputError(
            f"{path}: a GeoPackage cannot tell the input's columns {' and '.join(doubled)} apart by case; write .parquet"
        )
    for column in frame.columns:
        if column == active:
            continue
        if isinstance(frame[column], gpd.GeoSeries):
            frame[column] = frame[column].to_wkt()
        elif frame[column].dtype == object:
            frame[column] = [_plain(v) for v in frame[column]]
        elif str(frame[column].dtype).startswith("timedelta"):
            frame[column] = frame[column].astype(str)
        elif str(frame[column].dtype) == "category":
            frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist(), default=str)
    return value
