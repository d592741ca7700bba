"""Boxes as they lie in memory: arrays, lists, GeoSeries, tables, and what detectors return, told by their attributes.

No detector is imported. Numbers are pixels of the scene (x = column, y = row, from its top left corner) unless they lie on it as map
coordinates; see `rosgeo.geometry.place.Coordinates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from rosgeo.errors import BoxesError
from rosgeo.geometry.place import Coordinates
from rosgeo.types import IntArray
from rosgeo.vector.detections.coco import coco_boxes
from rosgeo.vector.detections.columns import BoxKind, boxes_of_kind
from rosgeo.vector.detections.pictures import rows_of_pictures
from rosgeo.vector.detections.tables import flat_record, table_boxes
from rosgeo.vector.detections.values import Found, PictureRef, polygons_from

__all__ = ["BoxObject", "box_frame", "is_geojson_without_crs"]

_EXPECTED = (
    "expected a path, a GeoDataFrame or GeoSeries, an array (N, 4) of x_min, y_min, x_max, y_max, a table with such columns, or detections "
    "with an attribute xyxy (supervision, ultralytics)"
)


class BoxObject(NamedTuple):
    """Boxes of an object.

    Attributes
    ----------
    frame : GeoDataFrame (N rows)
        Columns ``label``, ``class_id``, ``score``, ``track_id`` as far as the object has them, and those of a table.
    coordinates : {"layer", "pixel", "either"}
    picture : int64 array (N,) or None
        On which of the pictures each is; None where nothing tells.
    rows : int64 array (N,)
        Their numbers in the object, of which rows of other pictures are no part.
    """

    frame: gpd.GeoDataFrame
    coordinates: Coordinates
    picture: IntArray | None
    rows: IntArray


def box_frame(boxes: Any, kind: BoxKind | None = None, pictures: Sequence[PictureRef] = ()) -> BoxObject:
    """A layer of boxes from an object.

    Parameters
    ----------
    boxes : object
        GeoDataFrame (taken as it is); GeoSeries, GeometryArray, one or a list of shapely geometries; GeoJSON as a mapping, or what has a
        ``__geo_interface__``; array, tensor or list of N boxes of four
        numbers, or (N, 4, 2) corners; DataFrame as in `rosgeo.vector.detections.tables`; list of dictionaries (COCO's results, SAHI's,
        those of transformers); a dictionary with ``boxes``, ``scores``, ``labels`` (torchvision); objects with ``xyxy`` (supervision's
        Detections, ultralytics' Boxes), ``boxes`` or ``obb`` (ultralytics' Results), ``object_prediction_list`` (SAHI), ``pred_boxes``
        (detectron2).
    kind : str, optional
        What four numbers are, as the user says; xyxy where nothing else is told.
    pictures : sequence of PictureRef
        The scenes, to tell kinds by, and of which of them boxes are that name their picture.

    Returns
    -------
    BoxObject

    Raises
    ------
    BoxesError
        Anything else; boxes of other pictures alone.
    """
    found = _as_layer(boxes)
    if found is None:
        found = _found(boxes, kind, pictures)
    if isinstance(found, gpd.GeoDataFrame):
        return BoxObject(found, "layer", None, np.arange(len(found)))
    frame = _frame(found, boxes.index if isinstance(boxes, pd.DataFrame) else None)
    picture = rows_of_pictures(found, pictures, "the object of boxes")
    if picture is None:
        return BoxObject(frame, found.coordinates, None, np.arange(len(frame)))
    there = picture >= 0
    return BoxObject(frame[there], found.coordinates, picture[there], np.flatnonzero(there))


def _found(boxes: Any, kind: BoxKind | None, pictures: Sequence[PictureRef]) -> Found | gpd.GeoDataFrame:
    """What is no layer by its type."""
    if isinstance(boxes, pd.DataFrame):
        return table_boxes(boxes, kind, pictures, "the DataFrame")
    found = _of_detector(boxes)
    if found is None and isinstance(boxes, Mapping):
        found = _of_mapping(boxes, kind, pictures)
    if found is None and isinstance(boxes, Sequence) and not isinstance(boxes, str | bytes) and len(boxes):
        if all(isinstance(b, Mapping) for b in boxes):
            found = _of_records(boxes, kind, pictures)
        elif all(b is None or isinstance(b, shapely.Geometry) for b in boxes):
            return gpd.GeoDataFrame(geometry=gpd.GeoSeries(list(boxes)))
    if found is None:
        geometries = _geometry_array(boxes)
        if geometries is not None:
            return gpd.GeoDataFrame(geometry=geometries)
        found = _of_numbers(_as_numbers(boxes), {}, kind)
    return found


def _as_layer(boxes: Any) -> gpd.GeoDataFrame | None:
    """What is a layer already, a shape, or GeoJSON; None for all else."""
    if isinstance(boxes, gpd.GeoDataFrame):
        return boxes
    if isinstance(boxes, gpd.GeoSeries):
        return gpd.GeoDataFrame(geometry=boxes)
    if isinstance(boxes, shapely.Geometry):
        return gpd.GeoDataFrame(geometry=[boxes])
    content = _geojson(boxes)
    return None if content is None else _of_geojson(content)


def is_geojson_without_crs(boxes: Any) -> bool:
    """Whether an object is GeoJSON that names no CRS, which is then in degrees, or in whatever the user says."""
    if isinstance(boxes, gpd.GeoDataFrame | gpd.GeoSeries | shapely.Geometry):
        return False
    content = _geojson(boxes)
    return content is not None and not isinstance(content.get("crs"), Mapping)


def _geojson(boxes: Any) -> Mapping[str, Any] | None:
    """GeoJSON as a mapping: it, its features, or what has it as ``__geo_interface__``; None for all else."""
    if isinstance(boxes, list | tuple) and len(boxes) and all(isinstance(b, Mapping) and b.get("type") == "Feature" for b in boxes):
        return {"type": "FeatureCollection", "features": boxes}
    content = boxes if isinstance(boxes, Mapping) else getattr(boxes, "__geo_interface__", None)
    return content if isinstance(content, Mapping) and isinstance(content.get("type"), str) else None


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
            f"the mapping of type {kind!r} is no GeoJSON ({' '.join(str(error).split())[:120]}); {_EXPECTED}"
        ) from error


def _frame(found: Found, index: Any) -> gpd.GeoDataFrame:
    table = found.table.drop(columns=[c for c in found.table.columns if c == "geometry"])
    table = table if index is None else table.set_axis(index, axis=0)
    return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(found.geometry, index=table.index))


def _geometry_array(boxes: Any) -> gpd.GeoSeries | None:
    """A GeometryArray of geopandas, or an object array of geometries."""
    dtype = getattr(boxes, "dtype", None)
    if str(dtype) == "geometry":
        return gpd.GeoSeries(boxes)
    if isinstance(boxes, np.ndarray | pd.Series) and str(dtype) == "object":
        values = np.asarray(boxes, dtype=object)
        if len(values) and all(v is None or isinstance(v, shapely.Geometry) for v in values.ravel()):
            return gpd.GeoSeries(values.ravel())
    return None


def _of_detector(boxes: Any) -> Found | None:
    """What a detector returned, by its attributes."""
    if isinstance(boxes, list | tuple) and len(boxes) == 1 and _results_part(boxes[0]) is not None:
        # ultralytics gives a list of results, one a picture.
        boxes = boxes[0]
    part = _results_part(boxes)
    if part is not None:
        names = getattr(boxes, "names", None)
        return _of_xyxy(part, names if isinstance(names, Mapping) else None)
    if hasattr(boxes, "xyxy"):
        return _of_xyxy(boxes, None)
    predictions = getattr(boxes, "object_prediction_list", None)
    if predictions is not None or (isinstance(boxes, list) and boxes and hasattr(boxes[0], "bbox") and hasattr(boxes[0], "score")):
        return _of_sahi(boxes if predictions is None else predictions)
    if hasattr(boxes, "pred_boxes"):
        columns = {"score": getattr(boxes, "scores", None), "class_id": getattr(boxes, "pred_classes", None)}
        return _of_numbers(_as_numbers(getattr(boxes.pred_boxes, "tensor", boxes.pred_boxes)), columns, None)
    return None


def _results_part(boxes: Any) -> Any:
    """The boxes, oriented where there are such, of ultralytics' Results."""
    parts = [getattr(boxes, name, None) for name in ("obb", "boxes")]
    return next((p for p in parts if p is not None and hasattr(p, "xyxy")), None)


def _of_xyxy(boxes: Any, names: Mapping[Any, Any] | None) -> Found:
    """An object with an array ``xyxy``; oriented boxes where it has ``xyxyxyxy``."""
    data = getattr(boxes, "data", None)
    data = data if isinstance(data, Mapping) else {}
    corners = getattr(boxes, "xyxyxyxy", data.get("xyxyxyxy"))
    columns: dict[str, Any] = {
        "label": data.get("class_name"),
        "class_id": _first(boxes, "class_id", "cls"),
        "score": _first(boxes, "confidence", "conf"),
        "track_id": _first(boxes, "tracker_id", "id"),
    }
    if columns["label"] is None and names is not None and columns["class_id"] is not None:
        columns["label"] = [str(names.get(int(c), int(c))) for c in _as_numbers(columns["class_id"])]
    for key, values in data.items():
        if key not in ("class_name", "xyxyxyxy") and np.ndim(values) == 1 and len(values) == len(boxes.xyxy):
            columns.setdefault(str(key), values)
    return _of_numbers(_as_numbers(boxes.xyxy if corners is None else corners), columns, None)


def _first(boxes: Any, *names: str) -> Any:
    return next((v for n in names if (v := getattr(boxes, n, None)) is not None and not callable(v)), None)


def _of_sahi(predictions: Sequence[Any]) -> Found:
    rows = np.array([[p.bbox.minx, p.bbox.miny, p.bbox.maxx, p.bbox.maxy] for p in predictions], dtype=np.float64)
    columns = {
        "label": [getattr(getattr(p, "category", None), "name", None) for p in predictions],
        "class_id": [getattr(getattr(p, "category", None), "id", None) for p in predictions],
        "score": [getattr(p.score, "value", p.score) for p in predictions],
    }
    return _of_numbers(rows.reshape(-1, 4), columns, None)


def _of_mapping(boxes: Mapping[str, Any], kind: BoxKind | None, pictures: Sequence[PictureRef]) -> Found:
    if "annotations" in boxes:
        return coco_boxes(boxes, "the COCO dictionary")
    if "boxes" in boxes:
        columns = {"score": boxes.get("scores"), "label": boxes.get("labels")}
        return _of_numbers(_as_numbers(boxes["boxes"]), columns, kind)
    return table_boxes(pd.DataFrame(dict(boxes)), kind, pictures, "the dictionary")


def _of_records(rows: Sequence[Mapping[str, Any]], kind: BoxKind | None, pictures: Sequence[PictureRef]) -> Found:
    if all("bbox" in row and "image_id" in row for row in rows):
        return coco_boxes([dict(row) for row in rows], "the list of detections")
    return table_boxes(pd.DataFrame([flat_record(dict(row)) for row in rows]), kind, pictures, "the list of detections")


def _of_numbers(values: npt.NDArray[Any], columns: Mapping[str, Any], kind: BoxKind | None) -> Found:
    """Boxes (N, 4), or corners (N, 4, 2) or (N, 8), with columns that may be None."""
    if values.size == 0:
        values = values.reshape(0, 4)
    if values.ndim == 1 and values.shape == (4,):
        values = values[None]
    if values.ndim == 2 and values.shape[1] == 8:
        values = values.reshape(-1, 4, 2)
    if values.shape[1:] not in ((4,), (4, 2)):
        raise BoxesError(f"boxes of the shape {values.shape}; {_EXPECTED}")
    if values.ndim == 2 and kind is not None and kind != "corners":
        values = boxes_of_kind(kind, values)
    elif values.ndim == 2:
        _require_corners(values)
    found = {name: _column(v, len(values)) for name, v in columns.items() if v is not None}
    found |= {name: _whole(found[name]) for name in ("class_id", "track_id") if found.get(name) is not None}
    table = pd.DataFrame({name: v for name, v in found.items() if v is not None}, index=range(len(values)))
    return Found(table, polygons_from(values), "either")


def _require_corners(values: npt.NDArray[Any]) -> None:
    """Raise BoxesError where most boxes (N, 4) end before they begin, so that they are no corners."""
    with np.errstate(invalid="ignore"):
        flipped = (values[:, 2:] < values[:, :2]).any(axis=1)
    if 2 * flipped.sum() > len(values):
        raise BoxesError(
            f"{int(flipped.sum())} of {len(values)} boxes have x_max, y_max below x_min, y_min, as {values[flipped][0].tolist()}. Pass "
            "box_format='xywh' for the left top corner and size, or box_format='cxcywh' for the centre and size"
        )


def _whole(cells: Any) -> Any:
    """Classes and ids as integers, which tensors hold as floating-point numbers."""
    values = pd.Series(cells)
    return (
        values.convert_dtypes(convert_string=False) if values.isna().any() else values.infer_objects().to_numpy().astype(np.int64)
    )


def _column(values: Any, count: int) -> Any:
    """A column of `count` values; None where they are not as many, or all missing."""
    cells = values if isinstance(values, list) else _plain(values)
    if len(cells) != count or all(v is None for v in cells):
        return None
    return cells


def _plain(values: Any) -> npt.NDArray[Any]:
    """An array in the memory of this process, also from a tensor on a device."""
    for step in ("detach", "cpu"):
        values = getattr(values, step)() if callable(getattr(values, step, None)) else values
    return np.asarray(values)


def _as_numbers(boxes: Any) -> npt.NDArray[Any]:
    try:
        if isinstance(boxes, str | bytes) or boxes is None:
            raise TypeError(type(boxes).__name__)
        return _plain(boxes).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BoxesError(f"the boxes are a {type(boxes).__name__}; {_EXPECTED}") from error
