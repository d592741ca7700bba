"""Boxes as Python objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from rosgeo.errors import BoxesError, CRSMismatchError, InputFileNotFoundError, OptionError
from rosgeo.vector.detections.values import PictureRef
from rosgeo.vector.layers.boxes import read_box_layer
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


TWO = [PictureRef("/d/a.tif", 100, 100), PictureRef("/d/b.tif", 100, 100)]
OF_PICTURES = {
    "table": pd.DataFrame(XYXY, columns=["xmin", "ymin", "xmax", "ymax"]).assign(image_path=["b.tif", "a.tif"]),
    "COCO": {
        "images": [{"id": 1, "file_name": "b.tif"}, {"id": 2, "file_name": "a.tif"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [0, 0, 4, 5]}, {"id": 2, "image_id": 2, "bbox": [10, 10, 10, 20]}],
        "categories": [],
    },
    "records": [{"image": "b.tif", "bbox": [0, 0, 4, 5]}, {"image": "a.tif", "bbox": [10, 10, 10, 20]}],
}


@pytest.mark.parametrize("kind", OF_PICTURES)
def test_boxes_of_other_pictures_are_no_boxes_of_the_scene(kind: str) -> None:
    kind_of_box = "xywh" if kind == "records" else None
    one = read_box_layer(OF_PICTURES[kind], pictures=TWO[:1], box_format=kind_of_box)
    assert (one.rows.tolist(), one.frame.geometry.iloc[0].bounds) == ([1], (10, 10, 20, 30))
    both = read_box_layer(OF_PICTURES[kind], pictures=TWO, box_format=kind_of_box)
    assert both.picture is not None
    assert (both.rows.tolist(), both.picture.tolist()) == ([0, 1], [1, 0])
    with pytest.raises(BoxesError, match=r"holds boxes of b\.tif, a\.tif, and none of c\.tif"):
        read_box_layer(OF_PICTURES[kind], pictures=[PictureRef("c.tif", 100, 100)], box_format=kind_of_box)


def test_an_array_has_no_name_to_compare() -> None:
    table = OF_PICTURES["table"].assign(image_path="tile.png")
    assert len(read_box_layer(table, pictures=[PictureRef("DataArray 'red'", 100, 100)])) == 2


@pytest.mark.parametrize("option", [{"layer": "a"}, {"where": "xmin > 0"}])
def test_layer_and_where_are_of_files(option: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="layer and where select from a file; a ndarray was given"):
        read_box_layer(XYXY, **option)


METRES = {"type": "Polygon", "coordinates": [[[500000, 4000000], [500010, 4000000], [500010, 4000010], [500000, 4000000]]]}


def test_geojson_that_names_no_crs_obeys_in_memory_too() -> None:
    assert read_boxes(METRES, boxes_crs="EPSG:32633").crs == "EPSG:32633"
    assert read_boxes(METRES, boxes_crs="raster").crs is None
    with pytest.raises(CRSMismatchError, match=r"names no CRS, and its coordinates .* are not the degrees"):
        read_boxes(METRES)
    named = {"type": "Feature", "geometry": METRES, "properties": {}, "crs": {"properties": {"name": "EPSG:32634"}}}
    assert read_boxes(named, boxes_crs="EPSG:32633").crs == "EPSG:32634"


def test_a_list_of_features() -> None:
    features = FRAME.__geo_interface__["features"]
    rows = read_boxes(features)
    assert (rows["id"].tolist(), rows.crs) == ([3, 4], "OGC:CRS84")


def test_a_text_that_is_no_name_of_a_file() -> None:
    with pytest.raises(InputFileNotFoundError, match="no such file"):
        read_box_layer("[" + "x" * 5000 + "]")
