"""COCO's JSON for object instances: one picture, the outlines in its pixels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import Polygon

from rosgeo.geometry.boxes import geometries_on
from rosgeo.types import FloatArray, RasterGrid
from rosgeo.vector.layers.columns import fit_for_json
from rosgeo.vector.layers.values import class_names
from rosgeo.vector.result import RESULT_COLUMNS, SCENE_COLUMN

__all__ = ["Picture", "coco_dataset", "ring_of", "write_coco"]

_DIGITS = 3


@dataclass(frozen=True)
class Picture:
    """The raster that outlines lie on, as COCO names it.

    Attributes
    ----------
    name : str
        Name of its file.
    grid : RasterGrid
        Of the raster as it is stored.
    class_column : str or None
        Column of the rows that holds their class; None: all are of the class ``object``.
    """

    name: str
    grid: RasterGrid
    class_column: str | None = None


def write_coco(result: gpd.GeoDataFrame, path: Path, picture: Picture, record: dict[str, Any]) -> list[str]:
    """Write `coco_dataset` to a file; gives what JSON cannot hold as it is, in words."""
    path.write_text(json.dumps(coco_dataset(result, picture, record), ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return _attributes(result)[1]


def coco_dataset(result: gpd.GeoDataFrame, picture: Picture, record: dict[str, Any]) -> dict[str, Any]:
    """A result as COCO's data set of one picture.

    Parameters
    ----------
    result : GeoDataFrame
        See `assemble_result`, in any CRS.
    picture : Picture
    record : dict
        The run's record; goes to ``info.rosgeo``.

    Returns
    -------
    dict
        ``images``: the raster. ``annotations``: the rows with an outline on it, with ``segmentation`` (polygons in pixels from the
        raster's top-left corner, cut off at its edges; a hole is led to from outside by a cut of no width, since COCO knows none),
        ``bbox`` (x, y, width, height), ``area`` (square pixels, without holes), ``score``, ``iscrowd`` 0, ``rosgeo_id`` (the input row)
        and ``attributes`` (all of the input's columns). ``categories`` in the order of their first row, from 1. ``rosgeo_rows``: the
        rows without outline, with ``rosgeo_id``, ``rosgeo_status``, ``category_id`` and ``attributes``. No row is lost.
    """
    grid = picture.grid
    polygons = shapely.transform(geometries_on(result.geometry.to_numpy(), result.crs, grid), grid.mapping.to_px)
    on_raster = shapely.intersection(shapely.make_valid(polygons), shapely.box(0, 0, grid.width, grid.height))
    names = _classes(result, picture.class_column)
    categories = {name: i for i, name in enumerate(dict.fromkeys(names), 1)}
    attributes, _ = _attributes(result)
    annotations: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    rows = zip(on_raster, result["rosgeo_id"], result["rosgeo_status"], result["rosgeo_score"], names, attributes, strict=True)
    for shape, row, status, score, name, given in rows:
        common = {"rosgeo_id": int(row), "category_id": categories[name], "attributes": given}
        parts = _parts(shape)
        if not parts:
            others.append({**common, "rosgeo_status": status})
            continue
        rings = [[round(v, _DIGITS) for v in ring_of(p).ravel().tolist()] for p in parts]
        x_min, y_min, x_max, y_max = (round(float(v), _DIGITS) for v in shapely.total_bounds(np.array(parts, dtype=object)))
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "segmentation": rings,
                "bbox": [x_min, y_min, round(x_max - x_min, _DIGITS), round(y_max - y_min, _DIGITS)],
                "area": round(sum(p.area for p in parts), _DIGITS),
                "iscrowd": 0,
                "score": float(score) if math.isfinite(score) else None,
                **common,
            }
        )
    return {
        "info": {
            "description": f"Outlines of {picture.name} by rosgeo",
            "date_created": record.get("finished", ""),
            "rosgeo": record,
        },
        "licenses": [],
        "images": [{"id": 1, "file_name": picture.name, "width": grid.width, "height": grid.height}],
        "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()],
        "annotations": annotations,
        "rosgeo_rows": others,
    }


def ring_of(polygon: Polygon) -> FloatArray:
    """A polygon as one ring (N, 2), open: each hole is entered and left by one cut from the outside.

    The cut goes there and back on the same line, so it adds nothing to the area or to what is filled, wherever it runs.
    """
    oriented = shapely.orient_polygons(polygon)
    ring = np.asarray(oriented.exterior.coords)[:-1]
    for hole in oriented.interiors:
        points = np.asarray(hole.coords)[:-1]
        at = int(np.argmin(np.hypot(*(ring - points[0]).T)))
        ring = np.concatenate([ring[: at + 1], points, points[:1], ring[at:]])
    return ring


def _parts(shape: Any) -> list[Polygon]:
    if shape is None:
        return []
    flat = [p for part in shapely.get_parts(shape) for p in shapely.get_parts(part)]
    return [p for p in flat if isinstance(p, Polygon) and p.area > 0]


def _classes(result: gpd.GeoDataFrame, column: str | None) -> list[str]:
    return ["object"] * len(result) if column is None else class_names(result[column])


def _attributes(result: gpd.GeoDataFrame) -> tuple[list[dict[str, Any]], list[str]]:
    """The input's columns as plain values, row by row, and what they are no longer."""
    fitted = fit_for_json(result, dates=False)
    own = [i for i, name in enumerate(fitted.names) if name not in (*RESULT_COLUMNS, SCENE_COLUMN)]
    columns = [fitted.columns[i] for i in own]
    names = [fitted.names[i] for i in own]
    rows = zip(*columns, strict=True) if columns else ((),) * len(result)
    return [dict(zip(names, row, strict=True)) for row in rows], fitted.lost
