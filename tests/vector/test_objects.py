"""Boxes as Python objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from rosgeo.errors import BoxesError
from rosgeo.vector.layers.read import read_boxes

XYXY = np.array([[0.0, 0, 4, 5], [10, 10, 20, 30]])
SHAPES = [shapely.box(*row) for row in XYXY]
FRAME = gpd.GeoDataFrame({"id": [3, 4]}, geometry=SHAPES, crs=4326)


@pytest.mark.parametrize(
    ("boxes", "crs"),
    [
        (FRAME, 4326),
        (FRAME.geometry, 4326),
        (gpd.GeoSeries(SHAPES), None),
        (SHAPES, None),
        (tuple(SHAPES), None),
        (np.array(SHAPES, dtype=object), None),
        (XYXY, None),
        (XYXY.astype(np.float32), None),
        (XYXY.astype(int).tolist(), None),
        (torch.from_numpy(XYXY), None),
        (FRAME.__geo_interface__, "OGC:CRS84"),
        (SimpleNamespace(__geo_interface__=FRAME.__geo_interface__), "OGC:CRS84"),
        (FRAME.__geo_interface__ | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}, 32633),
        (SimpleNamespace(xyxy=XYXY), None),
    ],
    ids=str,
)
def test_what_is_taken(boxes: Any, crs: Any) -> None:
    frame = read_boxes(boxes)
    assert [g.equals(s) for g, s in zip(frame.geometry, SHAPES, strict=True)] == [True, True]
    assert frame.crs == crs


def test_one_of_each() -> None:
    assert len(read_boxes(SHAPES[0])) == len(read_boxes(XYXY[0])) == len(read_boxes(SHAPES[0].__geo_interface__)) == 1
    assert len(read_boxes({"type": "Feature", "geometry": SHAPES[0].__geo_interface__, "properties": {"a": 1}})) == 1
    rows = read_boxes([SHAPES[0], None])
    assert list(rows.geometry.isna()) == [False, True]
    assert list(read_boxes(np.vstack([XYXY, [np.nan] * 4])).geometry.isna()) == [False, False, True]


def test_scores_and_classes_of_detections() -> None:
    found = SimpleNamespace(
        xyxy=XYXY, confidence=np.array([0.5, 0.75]), class_id=np.array([1, 2]), data={"class_name": np.array(["a", "b"])}
    )
    frame = read_boxes(found)
    assert list(frame["score"]) == [0.5, 0.75]
    assert list(frame["class_id"]) == [1, 2]
    assert list(frame["label"]) == ["a", "b"]
    ultralytics = SimpleNamespace(xyxy=torch.from_numpy(XYXY), conf=torch.tensor([0.5, 0.25]), cls=torch.tensor([0.0, 1.0]))
    assert list(read_boxes(ultralytics)["score"]) == [0.5, 0.25]


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (FRAME.drop(columns="geometry"), "the DataFrame has no columns for a box; it has: id. Expected xmin"),
        (np.zeros((6, 5)), r"boxes of the shape \(6, 5\)"),
        (np.zeros((2, 3, 4)), r"boxes of the shape \(2, 3, 4\)"),
        (np.array([[5.0, 5, 2, 2]]), r"1 of 1 boxes have x_max, y_max below x_min, y_min.*box_format='xywh'"),
        (5, r"boxes of the shape \(\)"),
        (None, "the boxes are a NoneType"),
        (["a", "b"], "the boxes are a list"),
        ([], "holds no boxes"),
        (np.empty((0, 4)), "holds no boxes"),
        ({"type": "Topology"}, "type 'Topology' is no GeoJSON"),
        ({}, "the dictionary has no columns for a box"),
        ([shapely.Point(1, 2)], "expected polygons"),
        (object(), "expected a path, a GeoDataFrame"),
    ],
)
def test_what_is_told_apart(boxes: Any, words: str) -> None:
    with pytest.raises(BoxesError, match=words):
        read_boxes(boxes)
