"""Boxes as Python objects: whatever has one plain meaning becomes a GeoDataFrame, all else an error that says what to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from rosgeo.errors import BoxesError

__all__ = ["frame_of"]

_WAYS = (
    "a path, a GeoDataFrame, a GeoSeries, polygons, GeoJSON, an array of x_min, y_min, x_max, y_max, or detections with such an array "
    "as their xyxy"
)


def frame_of(boxes: Any) -> gpd.GeoDataFrame:
    """Boxes as a GeoDataFrame.

    Parameters
    ----------
    boxes : object
        A GeoDataFrame or GeoSeries; polygons of shapely, one or a sequence; GeoJSON as a mapping, or what has a ``__geo_interface__``;
        numbers (N, 4) or (4,): x_min, y_min, x_max, y_max; an object with such an array as ``xyxy``, as supervision's Detections and
        ultralytics' Boxes have (their scores and classes become the columns ``score``, ``class`` and ``label``).

    Returns
    -------
    GeoDataFrame
        A row for each; of what has no CRS, without one. GeoJSON is in degrees (RFC 7946).

    Raises
    ------
    BoxesError
        Something else, or numbers that are no boxes.
    """
    if isinstance(boxes, gpd.GeoDataFrame):
        return boxes.copy()
    if isinstance(boxes, gpd.GeoSeries):
        return gpd.GeoDataFrame(index=boxes.index, geometry=boxes)
    if isinstance(boxes, pd.DataFrame):
        raise BoxesError(
            f"a DataFrame was given, whose columns ({', '.join(map(str, boxes.columns)) or 'none'}) do not say what a box is: "
            "geopandas.GeoDataFrame(frame, geometry=shapely.box(frame.xmin, frame.ymin, frame.xmax, frame.ymax), crs=...)"
        )
    if isinstance(boxes, shapely.Geometry):
        return _of_shapes([boxes])
    if hasattr(boxes, "xyxy"):
        return _of_detections(boxes)
    interface = boxes if isinstance(boxes, Mapping) else getattr(boxes, "__geo_interface__", None)
    if isinstance(interface, Mapping):
        return _of_geojson(interface)
    return _of_sequence(boxes)


def _of_sequence(boxes: Any) -> gpd.GeoDataFrame:
    if isinstance(boxes, list | tuple) or getattr(getattr(boxes, "dtype", None), "kind", "") == "O":
        shapes = list(boxes)
        if shapes and all(shape is None or isinstance(shape, shapely.Geometry) for shape in shapes):
            return _of_shapes(shapes)
    try:
        numbers = _numbers(boxes)
    except (TypeError, ValueError):
        raise BoxesError(f"boxes are {_WAYS}; got {_told(boxes)}") from None
    return _of_numbers(numbers, _told(boxes))


def _of_shapes(shapes: list[Any]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=gpd.GeoSeries(shapes))


def _of_numbers(xyxy: np.ndarray, told: str) -> gpd.GeoDataFrame:
    """Boxes of an array (N, 4) or (4,)."""
    if xyxy.size == 0:
        return _of_shapes([])
    rows = np.atleast_2d(xyxy)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise BoxesError(f"boxes are {told}; expected four numbers a box: x_min, y_min, x_max, y_max")
    finite = np.isfinite(rows).all(axis=1)
    wrong = np.flatnonzero(finite & ((rows[:, 2] < rows[:, 0]) | (rows[:, 3] < rows[:, 1])))
    if len(wrong):
        raise BoxesError(
            f"{len(wrong)} of {len(rows)} boxes have a maximum below their minimum, first row {wrong[0]} ({rows[wrong[0]].tolist()}); "
            "expected x_min, y_min, x_max, y_max. Of x, y, width, height: numpy.hstack([xy, xy + wh])"
        )
    shapes: list[Any] = [shapely.box(*row) if good else None for row, good in zip(rows.tolist(), finite, strict=True)]
    return _of_shapes(shapes)


def _of_detections(detections: Any) -> gpd.GeoDataFrame:
    """Of an object whose `xyxy` are boxes (N, 4)."""
    frame = _of_numbers(_numbers(detections.xyxy), f"the xyxy of {type(detections).__name__}")
    data = getattr(detections, "data", None)
    names = data.get("class_name") if isinstance(data, Mapping) else None
    found = {
        "score": getattr(detections, "confidence", getattr(detections, "conf", None)),
        "class": getattr(detections, "class_id", getattr(detections, "cls", None)),
        "label": names,
    }
    for column, values in found.items():
        if values is None:
            continue
        listed = np.asarray(values) if column == "label" else _numbers(values)
        if listed.shape == (len(frame),):
            frame[column] = listed
    return frame


def _of_geojson(content: Mapping[str, Any]) -> gpd.GeoDataFrame:
    kind = content.get("type")
    crs = "OGC:CRS84"
    named = content.get("crs")
    if isinstance(named, Mapping):
        crs = str(named.get("properties", {}).get("name", crs))
    try:
        if kind == "FeatureCollection":
            return gpd.GeoDataFrame.from_features(content["features"], crs=crs)
        if kind == "Feature":
            return gpd.GeoDataFrame.from_features([content], crs=crs)
        return gpd.GeoDataFrame(geometry=[shapely.geometry.shape(content)], crs=crs)
    except Exception as error:  # whatever shapely and pyproj say of a mapping that is something else
        raise BoxesError(
            f"the mapping of type {kind!r} is no GeoJSON ({' '.join(str(error).split())[:120]}); boxes are {_WAYS}"
        ) from error


def _numbers(values: Any) -> np.ndarray:
    """Numbers of whatever array it is; of PyTorch, from its device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" and array.size:
        raise TypeError(array.dtype)
    return array.astype(np.float64)


def _told(boxes: Any) -> str:
    """What it is, in a few words."""
    shape = getattr(boxes, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(boxes).__name__} {tuple(int(n) for n in shape)}"
    if isinstance(boxes, list | tuple):
        kinds = ", ".join(sorted({type(b).__name__ for b in boxes})) or "nothing"
        return f"a {type(boxes).__name__} of {len(boxes)} ({kinds})"
    return f"{type(boxes).__name__}"
