"""Boxes as detectors write them: what a file is, which of its rows are of the scene, what is not clear."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from rosgeo.errors import BoxesError, OptionError, PixelFrameWarning
from rosgeo.vector.detections.columns import boxes_of_kind, find_box
from rosgeo.vector.detections.pictures import match_names
from rosgeo.vector.detections.read import recognise
from rosgeo.vector.detections.tables import typed
from rosgeo.vector.detections.values import PictureRef, polygons_from
from rosgeo.vector.detections.yolo import is_yolo
from rosgeo.vector.layers.boxes import read_box_layer
from rosgeo.vector.layers.names import file_of, split_name
from rosgeo.vector.layers.objects import box_frame

SCENE = PictureRef("/data/scene.tif", 160, 120)
BOXES = np.array([(10, 10, 30, 40), (60, 20, 100, 60)], dtype=np.float64)


def bounds(frame: gpd.GeoDataFrame) -> list[list[float]]:
    return [list(b) for b in shapely.bounds(frame.geometry.to_numpy()).tolist()]


def write(path: Path, text: Any) -> Path:
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


# ---------------------------------------------------------------- what a file is


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.csv", "xmin,ymin,xmax,ymax\n1,2,3,4\n", "table"),
        ("a.csv", "id,WKT,xmin,ymin,xmax,ymax\n", "layer"),
        ("a.csv", "id,geometry\n", "table"),
        ("a.csv", "a,b\n", "layer"),
        ("a.txt", "0 0.5 0.5 0.1 0.1\n", "yolo"),
        ("a.txt", "x1 y1\n", "layer"),
        ("a.txt", "x1,y1,x2,y2\n1,2,3,4\n", "table"),
        ("a.json", {"images": [], "annotations": [], "categories": []}, "coco"),
        ("a.json", [{"image_id": 1, "bbox": [1, 2, 3, 4]}], "coco"),
        ("a.json", [{"x1": 1, "y1": 2, "x2": 3, "y2": 4}], "table"),
        ("a.json", {"predictions": [{"x": 1, "y": 2, "width": 3, "height": 4}]}, "table"),
        ("a.json", {"type": "FeatureCollection", "features": []}, "layer"),
        ("a.geojson", {"anything": 1}, "layer"),
        ("a.gpkg", "SQLite format 3\0", "layer"),
        ("a.json", "", "layer"),
    ],
)
def test_recognise(tmp_path: Path, name: str, text: Any, kind: str) -> None:
    assert recognise(write(tmp_path / name, text)) == kind


def test_files_that_are_for_something_else(tmp_path: Path) -> None:
    with pytest.raises(BoxesError, match="annotations of a video; give it to rosgeo video"):
        recognise(write(tmp_path / "v.json", {"images": [], "annotations": [], "videos": []}))
    with pytest.raises(BoxesError, match=r"no shares of a picture.*--format xyxy"):
        recognise(write(tmp_path / "n.txt", "5 10 10 30 40\n"))
    for name, text in (("a.json", "[1, 2]"), ("b.json", "[{"), ("c.csv", "xmin,ymin,xmax,ymax\n")):
        with pytest.raises(BoxesError, match=name):
            read_box_layer(write(tmp_path / name, text), pictures=[SCENE], box_format="xyxy")
    with pytest.raises(OptionError, match="--format 'voc': expected one of layer, coco"):
        read_box_layer(tmp_path, box_format="voc")


@pytest.mark.parametrize(
    ("names", "kind", "found"),
    [
        (("XMin", "Y_min", "x max", "ymax"), None, ("xyxy", True)),
        (("x", "y", "w", "h"), None, ("xywh", False)),
        (("left", "top", "width", "height"), None, ("xywh", True)),
        (("x", "y", "w", "h"), "cxcywh", ("cxcywh", True)),
        (("x_center", "y_center", "width", "height"), None, ("cxcywh", True)),
        (("bbox",), None, (None, False)),
        (("bbox_xywh",), None, ("xywh", True)),
        (("bbox",), "xyxy", ("xyxy", True)),
        (("x1", "y1", "x2", "y2", "x", "y", "w", "h"), None, ("xyxy", True)),
        (("x1", "y1", "x2"), None, None),
        (("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"), None, ("xyxy", True)),
        (("box.x1", "box.y1", "box.x2", "box.y2", "label"), None, ("xyxy", True)),
        (("bbox_x", "bbox_y", "bbox_w", "bbox_h"), None, ("xywh", False)),
        (("xtl", "ytl", "xbr", "ybr"), None, ("xyxy", True)),
    ],
)
def test_find_box(names: tuple[str, ...], kind: Any, found: Any) -> None:
    columns = find_box(names, kind)
    assert (None if columns is None else (columns.kind, columns.sure)) == found


@given(st.lists(st.tuples(*[st.floats(0, 1e4)] * 4), max_size=5).map(lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 4)))
def test_kinds_of_boxes_are_the_same_boxes(values: np.ndarray) -> None:
    xyxy = np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)
    centre = np.concatenate([values[:, :2] + values[:, 2:] / 2, values[:, 2:]], axis=1)
    np.testing.assert_allclose(boxes_of_kind("xywh", values), xyxy, atol=1e-9)
    np.testing.assert_allclose(boxes_of_kind("cxcywh", centre), xyxy, atol=1e-9)
    polygons = polygons_from(xyxy)
    np.testing.assert_allclose(shapely.bounds(polygons).reshape(-1, 4), xyxy, atol=1e-9)


# ---------------------------------------------------------------- rows of the scene


def test_names_of_pictures() -> None:
    two = [PictureRef("/a/x/img.tif", 1, 1), PictureRef("/a/y/img.tif", 1, 1)]
    assert match_names(["x/img.tif", "y/img.tif", "z.tif"], two, "f") == {"x/img.tif": 0, "y/img.tif": 1, "z.tif": -1}
    assert match_names(["C:\\data\\scene.tif"], [SCENE], "f") == {"C:\\data\\scene.tif": 0}
    assert match_names(["scene.png"], [SCENE], "f") == {"scene.png": 0}
    assert match_names(["scene.png", "scene.tif"], [SCENE], "f") == {"scene.png": -1, "scene.tif": 0}
    assert match_names(["SCENE.JPG"], [SCENE], "f") == {"SCENE.JPG": 0}
    assert match_names(["SCENE.TIF", "scene.tif"], [SCENE], "f") == {"SCENE.TIF": -1, "scene.tif": 0}
    letters = [PictureRef("A.tif", 1, 1), PictureRef("a.tif", 1, 1)]
    assert match_names(["a.tif", "A.tif"], letters, "f") == {"a.tif": 1, "A.tif": 0}
    assert match_names(["7"], [PictureRef("000007.jpg", 1, 1)], "f") == {"7": 0}
    with pytest.raises(BoxesError, match="may be of several scenes"):
        match_names(["img.tif"], two, "f")
    with pytest.raises(BoxesError, match="several pictures that may be"):
        match_names(["scene.png", "scene.jpg"], [SCENE], "f")


def test_rows_keep_their_numbers_and_a_condition_chooses_them(tmp_path: Path) -> None:
    table = pd.DataFrame(np.repeat(BOXES, 2, axis=0), columns=["xmin", "ymin", "xmax", "ymax"])
    table = table.assign(image_path=["b.tif", "scene.tif"] * 2, code=["007", "8", "", "x"], count=[1, 2, 3, 4])
    path = tmp_path / "boxes.csv"
    table.to_csv(path, index=False)
    layer = read_box_layer(path, pictures=[SCENE])
    assert layer.rows.tolist() == [1, 3]
    assert layer.frame["code"].tolist() == ["8", "x"]
    assert layer.frame["count"].tolist() == [2, 4]
    assert layer.coordinates == "either"
    chosen = read_box_layer(path, pictures=[SCENE], where="image_path = 'b.tif' AND \"count\" > 1")
    assert chosen.rows.tolist() == [2]
    with pytest.raises(OptionError, match="whose columns are: xmin, ymin, xmax, ymax, image_path, code, count"):
        read_box_layer(path, pictures=[SCENE], where="nothing = 1")
    with pytest.raises(BoxesError, match="holds no boxes where"):
        read_box_layer(path, pictures=[SCENE], where='"count" > 9')
    with pytest.raises(BoxesError, match=r"boxes of 2 pictures \(b\.tif, scene\.tif\)"):
        read_box_layer(path)


def test_several_pictures(tmp_path: Path) -> None:
    scenes = [SCENE, PictureRef("b.tif", 50, 50)]
    path = write(tmp_path / "boxes.csv", "xmin,ymin,xmax,ymax,image\n1,2,3,4,b.tif\n1,2,3,4,c.tif\n5,6,7,8,scene.tif\n")
    layer = read_box_layer(path, pictures=scenes)
    assert layer.picture is not None
    assert (layer.picture.tolist(), layer.rows.tolist()) == ([1, 0], [0, 2])
    assert layer.of(np.array([False, True])).picture.tolist() == [0]  # type: ignore[union-attr]
    labels = tmp_path / "labels"
    labels.mkdir()
    write(labels / "b.txt", "0 0.5 0.5 0.2 0.2\n")
    layer = read_box_layer(labels, pictures=scenes)
    assert layer.picture is not None
    assert layer.picture.tolist() == [1]
    assert bounds(layer.frame) == [[20, 20, 30, 30]]
    with pytest.raises(BoxesError, match=r"no file of boxes for the scene; expected scene\.txt"):
        read_box_layer(labels, pictures=[SCENE])


def test_what_columns_may_be_taken_for(tmp_path: Path) -> None:
    with pytest.warns(PixelFrameWarning, match="x, y, w, h are taken as the left top corner"):
        read_box_layer(write(tmp_path / "a.csv", "x,y,w,h\n60,60,20,20\n"), pictures=[SCENE])
    with pytest.raises(BoxesError, match=r"not clear what bbox is.*--format xyxy or --format xywh"):
        read_box_layer(write(tmp_path / "b.csv", 'bbox\n"[50, 50, 60, 60]"\n'), pictures=[SCENE])
    with pytest.warns(PixelFrameWarning, match="bbox are taken as the left top corner"):
        layer = read_box_layer(write(tmp_path / "c.csv", 'bbox\n"[50, 50, 20, 60]"\n'), pictures=[SCENE])
    assert bounds(layer.frame) == [[50, 50, 70, 110]]
    said = read_box_layer(tmp_path / "b.csv", pictures=[SCENE], box_format="xyxy")
    assert bounds(said.frame) == [[50, 50, 60, 60]]
    roboflow = {"predictions": [{"x": 20, "y": 25, "width": 20, "height": 30, "class": "roof"}]}
    layer = read_box_layer(write(tmp_path / "r.json", roboflow), pictures=[SCENE], box_format="cxcywh")
    assert bounds(layer.frame) == [[10, 10, 30, 40]]


def test_yolo_files_in_other_letters(tmp_path: Path) -> None:
    write(tmp_path / "IMG_1.TXT", "0 0.5 0.5 0.1 0.1")
    write(tmp_path / "other.txt", "0 0.5 0.5 0.1 0.1")
    pictures = [PictureRef("img_1.tif", 100, 100), PictureRef("other.tif", 100, 100)]
    found = read_box_layer(tmp_path, pictures=pictures)
    assert found.picture is not None
    assert found.picture.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "is empty; expected at least one box"),
        ("a.csv", b" \n", "is empty"),
        ("a.csv", "xmin,ymin,xmax,ymax,name\n1,1,4,4,é".encode("latin-1"), "is not UTF-8"),
        ("a.csv", "xmin,ymin,xmax,ymax\n1,1,4,4".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_files_that_hold_no_text_of_boxes(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BoxesError, match=words):
        read_box_layer(str(tmp_path / name), pictures=[SCENE])


def test_yolo_rows(tmp_path: Path) -> None:
    assert is_yolo(["0 0.5 0.5 0.1 0.1", "", "3 0.1 0.2 0.3 0.4 0.9"])
    assert not is_yolo(["0.5 0.5 0.5 0.1 0.1"])
    assert not is_yolo(["0 5 5 1 1"])
    assert not is_yolo(["# class"])
    assert not is_yolo([])
    outline = "1 0.1 0.1 0.5 0.1 0.3 0.5\n"
    with pytest.raises(BoxesError, match=r"line 1: .* is a triangle, or a box with confidence and id"):
        read_box_layer(write(tmp_path / "scene.txt", outline), pictures=[SCENE])
    layer = read_box_layer(tmp_path / "scene.txt", pictures=[SCENE], box_format="yolo-seg")
    np.testing.assert_allclose(bounds(layer.frame), [[16, 12, 80, 60]])
    with pytest.raises(BoxesError, match="only with its picture"):
        read_box_layer(tmp_path / "scene.txt")
    with pytest.raises(BoxesError, match="its name is not that of one of the 2 scenes"):
        read_box_layer(tmp_path / "scene.txt", pictures=[PictureRef("a.tif", 1, 1), PictureRef("b.tif", 1, 1)])


def test_coco_outlines_and_attributes(tmp_path: Path) -> None:
    content = {
        "images": [{"id": "a", "file_name": "scene.tif"}],
        "categories": [],
        "annotations": [
            {"image_id": "a", "segmentation": [[10, 10, 30, 10, 30, 40]], "attributes": {"occluded": True}},
            {"image_id": "a", "bbox": []},
        ],
    }
    layer = read_box_layer(write(tmp_path / "c.json", content), pictures=[SCENE])
    assert bounds(layer.frame)[0] == [10, 10, 30, 40]
    assert layer.frame.geometry[1] is None
    assert layer.frame["occluded"][0]
    content["annotations"].append({"image_id": "b", "bbox": [1, 2, 3, 4]})  # type: ignore[attr-defined]
    with pytest.raises(BoxesError, match="annotation 2: image_id 'b' is none of its images"):
        read_box_layer(write(tmp_path / "c.json", content), pictures=[SCENE])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "2"], [1, 2]),
        (["1", ""], [1, pd.NA]),
        (["1", "2.5"], [1.0, 2.5]),
        (["007", "8"], ["007", "8"]),
        (["a", ""], ["a", None]),
        (["True", "false"], [True, False]),
        (["", ""], [None, None]),
        (["12345678901234567890"], [12345678901234567890.0]),
    ],
)
def test_types_of_cells(texts: list[str], expected: list[Any]) -> None:
    found = pd.Series(typed(texts)).tolist()
    assert [None if pd.isna(v) else v for v in found] == [None if pd.isna(v) else v for v in expected]


# ---------------------------------------------------------------- in memory


def ultralytics(**more: Any) -> Any:
    boxes = SimpleNamespace(xyxy=torch.tensor(BOXES), conf=torch.tensor([0.9, 0.8]), cls=torch.tensor([0.0, 1.0]), id=None)
    return SimpleNamespace(boxes=boxes, obb=None, names={0: "roof", 1: "tree"}, **more)


SAHI = [
    SimpleNamespace(
        bbox=SimpleNamespace(minx=b[0], miny=b[1], maxx=b[2], maxy=b[3]),
        score=SimpleNamespace(value=0.5),
        category=SimpleNamespace(name="roof", id=3),
    )
    for b in BOXES
]

OBJECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "array": (BOXES, {}),
    "integers": (BOXES.astype(int), {}),
    "tensor": (torch.tensor(BOXES), {}),
    "lists": (BOXES.tolist(), {}),
    "supervision": (
        SimpleNamespace(
            xyxy=BOXES, confidence=np.array([0.9, 0.8]), class_id=np.array([3, 4]), tracker_id=None, data={"area": [1, 2]}
        ),
        {"score": [0.9, 0.8], "class_id": [3, 4], "area": [1, 2]},
    ),
    "ultralytics": (ultralytics(), {"label": ["roof", "tree"], "class_id": [0, 1]}),
    "a list of ultralytics": ([ultralytics()], {"label": ["roof", "tree"]}),
    "SAHI": (SimpleNamespace(object_prediction_list=SAHI), {"label": ["roof"] * 2, "class_id": [3, 3], "score": [0.5] * 2}),
    "a list of SAHI": (SAHI, {"label": ["roof"] * 2}),
    "detectron2": (
        SimpleNamespace(
            pred_boxes=SimpleNamespace(tensor=torch.tensor(BOXES)),
            scores=torch.tensor([0.5, 0.25]),
            pred_classes=torch.tensor([1, 2]),
        ),
        {"score": [0.5, 0.25], "class_id": [1, 2]},
    ),
    "torchvision": (
        {"boxes": torch.tensor(BOXES), "scores": torch.tensor([0.5, 0.25]), "labels": torch.tensor([1, 2])},
        {"label": [1, 2]},
    ),
    "transformers": (
        [
            {"score": 0.5, "label": "roof", "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), b, strict=True))}
            for b in BOXES.tolist()
        ],
        {"label": ["roof"] * 2},
    ),
    "COCO results": (
        [{"image_id": 1, "category_id": 2, "bbox": [x, y, X - x, Y - y]} for x, y, X, Y in BOXES.tolist()],
        {"category_id": [2, 2]},
    ),
    "dictionary of columns": (
        {"x1": [10, 60], "y1": [10, 20], "x2": [30, 100], "y2": [40, 60], "label": ["a", "b"]},
        {"label": ["a", "b"]},
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects(name: str) -> None:
    boxes, columns = OBJECTS[name]
    frame, coordinates = box_frame(boxes)[:2]
    assert bounds(frame) == BOXES.tolist()
    assert coordinates in ("either", "pixel")
    assert frame.crs is None
    for column, values in columns.items():
        assert frame[column].tolist() == pytest.approx(values) if isinstance(values[0], float) else frame[column].tolist() == values


def test_layers_in_memory_keep_their_crs_and_index() -> None:
    series = gpd.GeoSeries(shapely.box(*BOXES.T), index=["a", "b"], crs=32633)
    frame, coordinates = box_frame(series)[:2]
    assert (frame.crs, frame.index.tolist(), coordinates) == (series.crs, ["a", "b"], "layer")
    assert box_frame(series.to_numpy())[1] == "layer"
    assert box_frame(series.array)[0].geometry.tolist() == series.tolist()
    table = pd.DataFrame(BOXES, columns=["xmin", "ymin", "xmax", "ymax"], index=["a", "b"])
    assert box_frame(table)[0].index.tolist() == ["a", "b"]


@pytest.mark.parametrize("wrong", [None, 7, object(), np.zeros((2, 3)), np.zeros(5), [["a", "b", "c", "d"]], {"a": [1]}])
def test_objects_that_are_no_boxes(wrong: Any) -> None:
    with pytest.raises(BoxesError, match=r"expected|Expected"):
        box_frame(wrong)


def test_sizes_are_not_taken_for_corners() -> None:
    sizes = np.array([(50, 50, 20, 30), (60, 20, 10, 10)])
    with pytest.raises(BoxesError, match=r"2 of 2 boxes have x_max.*box_format='xywh'"):
        box_frame(sizes)
    assert bounds(box_frame(sizes, "xywh")[0]) == [[50, 50, 70, 80], [60, 20, 70, 30]]
    assert bounds(box_frame(sizes, "cxcywh")[0]) == [[40, 35, 60, 65], [55, 15, 65, 25]]
    assert len(box_frame(np.zeros((0, 4)))[0]) == 0


# ---------------------------------------------------------------- names


def test_names_of_layers(tmp_path: Path) -> None:
    assert split_name("a.gpkg") == ("a.gpkg", None, None)
    assert split_name("a.gpkg|layername=b|geometrytype=Polygon") == ("a.gpkg", "b", None)
    assert split_name("a.gpkg|layername=b|subset=\"x\" = '1|2'") == ("a.gpkg", "b", "\"x\" = '1|2'")
    assert split_name("a.gpkg|layername=b", layer="b") == ("a.gpkg", "b", None)
    with pytest.raises(OptionError, match="says 'b', but --layer says 'c'"):
        split_name("a.gpkg|layername=b", layer="c")
    odd = tmp_path / "a|b=c.gpkg"
    odd.write_text("")
    assert split_name(str(odd)).path == file_of(str(odd)) == str(odd)
    assert file_of("a.gpkg|layername=b") == "a.gpkg"
