"""COCO (https://cocodataset.org/#format-data, #format-results): a file of images, annotations and categories, or a list of detections.

``bbox`` is ``[left, top, width, height]`` in pixels from the picture's left top corner. Detections name their image by its id, which some
tools (ultralytics, SAHI) make the name of the file; the images' names are in the other kind of file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rosgeo.errors import BoxesError
from rosgeo.types import FloatArray
from rosgeo.vector.detections.columns import boxes_of_kind
from rosgeo.vector.detections.values import Found, polygons_from

__all__ = ["coco_boxes", "read_coco_boxes"]

_LATER = {"bbox", "segmentation", "attributes", "keypoints"}


def read_coco_boxes(path: Path) -> Found:
    """Read the boxes of a COCO file.

    Raises
    ------
    BoxesError
        It is no COCO file, or a box is no four numbers.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BoxesError(f"{path} is not JSON: {error}") from error
    return coco_boxes(content, str(path))


def coco_boxes(content: Any, name: str) -> Found:
    """The boxes of COCO content that is in memory; see `read_coco_boxes`."""
    entries = content if isinstance(content, list) else content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise BoxesError(f'{name}: "annotations" is no list of objects; expected COCO: images, annotations, categories')
    images = _by_id(content, "images", name)
    names = {i: str(c.get("name", i)) for i, c in _by_id(content, "categories", name).items()}
    rows, boxes, pictures = [], np.full((len(entries), 4), np.nan), []
    for i, entry in enumerate(entries):
        image = images.get(entry.get("image_id"))
        file = str(entry.get("image_id", "") if image is None else image.get("file_name", entry.get("image_id")))
        if images and image is None:
            raise BoxesError(f"{name}, annotation {i}: image_id {entry.get('image_id')!r} is none of its images")
        boxes[i] = _box(entry, i, name)
        pictures.append(file)
        rows.append(_attributes(entry, names, file if image is not None else None))
    sizes = {
        str(image["file_name"]): (int(image["width"]), int(image["height"]))
        for image in images.values()
        if image.get("file_name") and image.get("width") and image.get("height")
    }
    table = pd.DataFrame(rows, index=range(len(rows)))
    return Found(table, polygons_from(boxes_of_kind("xywh", boxes)), "pixel", pictures, sizes)


def _by_id(content: Any, key: str, name: str) -> dict[Any, dict[str, Any]]:
    entries = (content.get(key) or []) if isinstance(content, dict) else []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), int | str) for e in entries):
        raise BoxesError(f'{name}: "{key}" is no list of objects with an id; expected COCO: images, annotations, categories')
    return {e["id"]: e for e in entries}


def _box(entry: dict[str, Any], number: int, name: str) -> FloatArray:
    """Left, top, width, height: of the box, else of the polygons; NaN where there is neither."""
    box = entry.get("bbox")
    if box:
        try:
            return np.asarray(box, dtype=np.float64).reshape(4)
        except (TypeError, ValueError) as error:
            shown = json.dumps(box, default=str)[:60]
            raise BoxesError(f"{name}, annotation {number}: the bbox is {shown}; expected [left, top, width, height]") from error
    rings = entry.get("segmentation")
    if isinstance(rings, list) and rings:
        try:
            points = np.concatenate([np.asarray(r, dtype=np.float64).reshape(-1, 2) for r in rings])
        except (TypeError, ValueError) as error:
            raise BoxesError(f"{name}, annotation {number}: its segmentation is no list of polygons") from error
        low, high = points.min(axis=0), points.max(axis=0)
        return np.concatenate([low, high - low])
    return np.full(4, np.nan)


def _attributes(entry: dict[str, Any], names: dict[Any, str], file: str | None) -> dict[str, Any]:
    """The entries of an annotation that fit in a cell, the category's name as ``label``, the picture's as ``file_name``."""
    row = {key: value for key, value in entry.items() if key not in _LATER and not isinstance(value, list | dict)}
    label = names.get(entry.get("category_id"))
    if label is not None:
        row.setdefault("label", label)
    if file is not None:
        row.setdefault("file_name", file)
    more = entry.get("attributes")
    for key, value in more.items() if isinstance(more, dict) else ():
        if not isinstance(value, list | dict):
            row.setdefault(str(key), value)
    return row
