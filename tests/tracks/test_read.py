"""Every format of tracks: recognised, and read to boxes that were worked out by hand from its fixture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from rosgeo.errors import CRSMismatchError, InputFileNotFoundError, OptionError, TracksError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.tracks.formats.registry import FORMATS, recognise
from rosgeo.tracks.read import read_tracks
from rosgeo.types import RasterGrid

from tests.conftest import DATA

TRACKS = DATA / "tracks"
NAN = [float("nan")] * 4

# Path, format, frames, tracks, boxes x_min y_min x_max y_max, categories (None: no column), first frame.
CASES = [
    ("MOT-01", "mot", [1, 1, 2, 3], [1, 2, 1, 1],
     [[100, 50, 120, 60], [200, 60, 230.5, 72], [102, 51, 122, 61], [104, 52, 104, 62]], ["1", "3", "1", "1"], 1),
    ("MOT-01/det/det.txt", "mot", [1, 2], [-1, -1], [[100, 50, 120, 60], [102.5, 51.5, 122.5, 61.5]], None, 1),
    ("viso/mot/car/001", "viso", [1, 1, 2], [1, 2, 1], [[10, 20, 16, 24], [30.5, 40, 35.5, 45], [12, 20, 18, 24]], ["car"] * 3, 1),
    ("viso/mot/plane/039/gt/gt.txt", "viso", [1, 2], [1, 1], [[100, 200, 140, 230], [104, 202, 144, 232]], ["plane"] * 2, 1),
    ("satmtb/airplane/02", "satmtb", [1, 2, 2], [1, 1, 2], [[300, 400, 350, 440], [304, 401, 354, 441], [10, 20, 18, 26]],
     ["airplane"] * 3, 1),
    ("satmtb/airplane/02/det/HBB", "satmtb", [1, 1, 2, 2], [7, 8, 7, 8],
     [[301, 400, 351, 440], [10, 20, 18.5, 26], [302, 400, 352, 440], [10, 20, 18.5, 26]], ["WA", "NA", "WA", "NA"], 1),
    ("satmtb/airplane/02/det/OBB", "satmtb", [1, 2], [7, 7], [[300, 400, 350, 440]] * 2, ["WA"] * 2, 1),
    ("satsot/car_01", "satsot", [1, 2, 3, 4], [1] * 4, [[120, 80, 132, 89], [121.5, 80.5, 133.5, 89.5], NAN, [124, 82, 136, 91]],
     ["car"] * 4, 1),
    ("ootb/plane_3/groundtruth.txt", "ootb", [1, 2], [1, 1], [[10, 10, 34, 28], [11, 10, 35, 28]], ["plane"] * 2, 1),
    ("otb/groundtruth_rect.txt", "otb", [1, 2, 3, 4, 5, 6], [1] * 6,
     [[197, 213, 231, 294], [196, 213, 230, 294], [195, 214, 229, 295], NAN, NAN, [194, 214, 228, 214]], None, 1),
    ("sv248s/01/annotations/000000.rect", "sv248s", [1, 2, 3], [1] * 3,
     [[157.5, 174.6, 164.2, 184.3], [157.48, 174.56, 164.18, 184.26], [157.46, 174.53, 164.17, 184.23]], ["car"] * 3, 1),
    ("dota", "dota", [3, 3, 5], [-1, -1, -1], [[10, 10, 34, 28], [50, 50, 60, 55], [12, 10, 36, 28]],
     ["plane", "small-vehicle", "plane"], 3),
    ("coco_video.json", "coco-video", [0, 0, 30], [5, 6, 5], [[10, 20, 40, 60], [100.5, 200.25, 110.5, 205.75], [14, 22, 44, 62]],
     ["ship", "car", "ship"], 0),
    ("ytvis.json", "ytvis", [0, 1, 2, 0, 1, 2], [11, 11, 11, 12, 12, 12],
     [[10, 20, 40, 60], NAN, [14.5, 22, 44.5, 62], NAN, [1, 2, 4, 6], NAN], ["airplane"] * 6, 0),
    ("centres.csv", "csv", [100, 100, 101, 102], [7, 9, 7, 7],
     [[46, 75, 58, 87], [204, 27, 216, 39], [48, 74, 60, 86], NAN], None, 0),
    ("layer.gpkg", "layer", [0, 1, 1, 2], ["a", "a", "b", "b"], [[10, 20, 30, 40], [12, 21, 32, 41], [48, 41, 60, 50], NAN],
     ["ship", "ship", "car", "car"], 0),
    ("visdrone/uav0000001_00001_v.txt", "visdrone", [1, 1, 2], [0, 3, 3],
     [[593, 43, 767, 233], [10, 20, 40, 60], [12, 20, 42, 60]], ["ignored regions", "car", "car"], 1),
    ("uavdt/M0001_gt_whole.txt", "uavdt", [5, 6, 1], [1, 1, 2],
     [[0, 398, 104, 478], [2, 398, 106, 478], [141, 147, 247, 192]], ["car", "car", "bus"], 1),
    ("birdsai/0000000001_0000000000.csv", "birdsai", [0, 0, 1], [1, 2, 1],
     [[10, 20, 16, 24], [30, 40, 35, 45], [12, 20, 18, 24]], ["animal", "human", "animal"], 0),
    ("boxmot/gt_obb.txt", "boxmot", [1, 2], [1, 1], [[45, 30, 55, 50], [42, 35, 62, 45]], ["10", "10"], 1),
    ("boxmot/gt.txt", "boxmot", [1, 2], [1, 1], [[45, 30, 55, 50], [42, 35, 62, 45]], ["10", "10"], 1),
    ("mmot/clip-1.txt", "mmot", [1, 1, 2], [1, 2, 1], [[859, 858, 976, 904], [10, 10, 34, 28], [860, 858, 977, 904]],
     ["0", "3", "0"], 1),
    ("cvat_mot", "cvat-mot", [1, 1, 2], [1, -1, 1],
     [[878.77, 780.92, 937.85, 858.46], [0, 4, 4, 12], [880.5, 780.92, 940, 858.42]], ["car", "plane", "car"], 1),
    ("deepsort/tracks.txt", "mot", [1, 1, 2], [1, 2, 1], [[411, 199, 436, 213], [99, 49, 124, 63], [413, 201, 438, 215]], None, 1),
    ("lasot/groundtruth.txt", "otb", [1, 2, 3, 4], [1] * 4, [[641, 371, 815, 430], NAN, NAN, [669, 370, 815, 428]], None, 1),
    ("sv248s/toolkit/01_000000.txt", "sv248s", [1, 2], [1, 1],
     [[157.5, 174.6, 164.2, 184.3], [157.48, 174.56, 164.18, 184.26]], None, 1),
    ("satmtb/airplane/02/sot/0001", "satmtb", [1, 2], [1, 1], [[300, 400, 350, 440], [304, 401, 354, 441]], ["airplane"] * 2, 1),
    ("cvat_video", "cvat-video", [0, 1, 3, 0, 2], [4, 4, 4, 0, 7],
     [[298.81, 336.6, 368.04, 593.49], [299.6, 338.69, 368.6, 589.61], NAN, [45, 30, 55, 50], [10, 10, 34, 28]], ["ship"] * 5, 0),
    ("cvat_images/annotations.xml", "cvat-images", [0, 0, 1, 1], [5, -1, -1, -1],
     [[10.5, 20, 16.5, 24], NAN, [40, 35, 60, 45], [3, 5, 5, 7]], ["car"] * 4, 0),
    ("ultralytics", "ultralytics", [1, 2, 2], [5, 1, 2],
     [[240, 120, 400, 360], [0, 0, 320, 240], [280, 180, 360, 300]], ["29", "1", "1"], 1),
    ("kitti/0000.txt", "kitti", [0, 1, 0], [0, 0, -1],
     [[296.744956, 161.752147, 455.226042, 292.372804], [294.898777, 156.024256, 452.199718, 284.621269], [219.31, 188.49, 245.5, 218.56]],
     ["Van", "Van", "DontCare"], 0),
    ("scalabel/labels.json", "scalabel", [0, 0, 1, 1], ["a-1", "a-2", "a-1", "a-3"],
     [[0, 346.5, 75.5, 407.25], [63.5, 350.5, 130.25, 402], [0, 347.5, 75.5, 407], NAN], ["car", "bus", "car", "lane"], 0),
    ("label_studio/export.json", "label-studio", [1, 2, 3, 5, 6], ["tJhYZ"] * 5,
     [[243.2, 182.4, 505.6, 288], [249.6, 208.8, 512, 314.4], [256, 235.2, 518.4, 340.8], [224, 240, 320, 304], [224, 240, 320, 304]],
     ["Airplane"] * 5, 1),
    ("viame/tracks.csv", "viame", [0, 1, 1], [0, 0, 3], [[100, 200, 150, 240], [104, 200, 154, 240], [10, 20, 18.5, 26]],
     ["fish", "fish", ""], 0),
    ("dive/result_clip.json", "dive", [0, 1, 2, 3], [1, 1, 1, 2], [[0, 0, 10, 10], [5, 5, 15, 15], [10, 10, 20, 20], [45, 30, 55, 50]],
     ["fish"] * 3 + ["scallop"], 0),
    ("imagenet_vid/ILSVRC2015_val_00000001", "imagenet-vid", [0, 1], [0, 0], [[449, 304, 855, 682], [450, 304, 855, 682]],
     ["n02510455"] * 2, 0),
    ("rolabelimg", "rolabelimg", [1], [-1], [[45, 30, 55, 50]], ["ship"], 1),
    ("voc", "voc", [12], [-1], [[0, 0, 640, 480]], ["boat"], 12),
    ("pysot/set.json", "pysot", [0, 1, 2], [1, 1, 1], [[9, 19, 15, 23], NAN, [10, 10, 34, 28]], None, 0),
]  # fmt: skip

SIZE = (480, 640)
"""Of the pictures, for boxes that are parts of them."""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore::rosgeo.errors.TracksWarning")
@pytest.mark.parametrize(("name", "format", "frames", "tracks", "boxes", "categories", "first"), CASES, ids=[c[0] for c in CASES])
def test_format_is_recognised_and_read(
    name: str, format: str, frames: list, tracks: list, boxes: list, categories: list | None, first: int
) -> None:
    found = recognise(TRACKS / name)
    assert found is not None
    assert found.name == format
    read = read_tracks(TRACKS / name, size=SIZE)
    assert read.format == format
    assert read.origin.endswith(f"frames from {first}: {found.label}")
    assert read.table["frame"].dtype == np.int64
    assert read.table["frame"].tolist() == frames
    assert read.table["track_id"].tolist() == tracks
    np.testing.assert_allclose(read.xyxy, boxes, atol=1e-4)
    assert (read.table["category"].tolist() if "category" in read.table else None) == categories
    assert read.first_frame == first
    assert len(read.lines) == len(frames)
    # The format by its name reads the same.
    np.testing.assert_array_equal(read_tracks(TRACKS / name, format=format, size=SIZE).xyxy, read.xyxy)


def test_there_is_a_fixture_for_every_format() -> None:
    assert {c[1] for c in CASES} | {"aicity"} == set(FORMATS)


@pytest.mark.parametrize("name", ["MOT-01/gt/gt.txt", "coco_video.json", "centres.csv", "otb/groundtruth_rect.txt", "layer.gpkg"])
def test_names_of_files_do_not_matter(name: str, tmp_path: Path) -> None:
    source = TRACKS / name
    copy = (
        tmp_path
        / f"something{source.suffix if source.suffix in ('.gpkg', '.json') else '.dat' if source.suffix == '.csv' else '.txt'}"
    )
    shutil.copy(source, copy)
    expected = recognise(source)
    found = recognise(copy)
    assert found is expected


def test_mot_columns_names_and_lines() -> None:
    read = read_tracks(TRACKS / "MOT-01")
    assert read.table["score"].tolist() == [1, 1, 1, 0]
    assert read.table["class"].tolist() == [1, 3, 1, 1]
    assert read.table["visibility"].tolist() == [1, 0.75, 0.5, 0]
    assert read.frame_names == {1: "000001.jpg", 2: "000002.jpg", 3: "000003.jpg"}
    assert read.lines.tolist() == [1, 2, 3, 4]
    detections = read_tracks(TRACKS / "MOT-01" / "det" / "det.txt")
    assert detections.table["score"].tolist() == [0.9, 0.8]
    assert detections.table[["x", "y", "z"]].to_numpy().tolist() == [[-1, -1, -1]] * 2


def test_mot_class_names_of_cvat(tmp_path: Path) -> None:
    write(tmp_path / "gt" / "labels.txt", "ship\ncar\n")
    file = write(tmp_path / "gt" / "gt.txt", "1,1,2,3,4,5,1,2,1\n1,2,2,3,4,5,1,7,1\n1,3,2,3,4,5,1,-1,1\n")
    assert read_tracks(file).table["category"].tolist() == ["car", "7", ""]


def test_oriented_boxes_keep_their_corners() -> None:
    read = read_tracks(TRACKS / "ootb" / "plane_3")
    assert read.corners is not None
    assert read.corners[0].tolist() == [[10, 20], [30, 10], [34, 18], [14, 28]]
    turned = read_tracks(TRACKS / "satmtb" / "airplane" / "02" / "det" / "OBB")
    assert turned.corners is not None
    assert turned.corners[1].tolist() == [[310, 400], [350, 412], [340, 440], [300, 430]]
    assert turned.frame_names == {1: "000001.png", 2: "000002.png"}
    upright = read_tracks(TRACKS / "satmtb" / "airplane" / "02" / "det" / "HBB")
    assert upright.corners is None
    assert upright.lines.tolist() == [5, 10, 5, 10]
    assert upright.table["file"].tolist() == ["000001.xml", "000001.xml", "000002.xml", "000002.xml"]


def test_sv248s_state_and_polygon() -> None:
    folder = TRACKS / "sv248s" / "01"
    read = read_tracks(folder)
    assert read.table["state"].tolist() == [0, 2, 1]
    # The boxes of hidden frames stay; the state tells.
    assert np.isfinite(read.xyxy).all()
    polygons = shapely.from_wkt(read.table["poly"].tolist())
    assert shapely.get_coordinates(polygons[1]).tolist() == [[158, 175], [163.5, 174.6], [164.2, 184.2], [158, 175]]
    assert shapely.is_valid(polygons).all()


def test_sv248s_without_rect_takes_the_polygons(tmp_path: Path) -> None:
    file = write(tmp_path / "000007.poly", "10,10,20,12,15,30\n\n11,10,21,12,16,30\n")
    read = read_tracks(file)
    np.testing.assert_allclose(read.xyxy, [[10, 10, 20, 30], NAN, [11, 10, 21, 30]])
    assert read.table["frame"].tolist() == [1, 2, 3]


def test_coco_attributes_and_names() -> None:
    read = read_tracks(TRACKS / "coco_video.json")
    assert read.frame_names == {0: "frame0001.jpg", 30: "frame0031.jpg"}
    assert read.table["area"].tolist() == [1200, 55, 1200]
    assert "segmentation" not in read.table
    names = read_tracks(TRACKS / "ytvis.json").frame_names
    assert names == {0: "00000.jpg", 1: "00005.jpg", 2: "00010.jpg"}


def test_a_video_is_chosen_by_name_or_id(tmp_path: Path) -> None:
    text = (
        '{"videos": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],'
        ' "images": [{"id": 1, "video_id": 1, "file_name": "a/2.png"}, {"id": 2, "video_id": 2, "file_name": "b/1.png"},'
        ' {"id": 3, "video_id": 1, "file_name": "a/1.png"}],'
        ' "annotations": [{"image_id": 1, "instance_id": "x", "bbox": [1, 2, 3, 4]}, {"image_id": 2, "instance_id": "x", "bbox": null}]}'
    )
    file = write(tmp_path / "two.json", text)
    with pytest.raises(TracksError, match=r"holds 2 videos \(a, b\); choose one with --sequence"):
        read_tracks(file)
    with pytest.raises(TracksError, match="has no video 'c'; it has: a, b"):
        read_tracks(file, sequence="c")
    # Without a place of their own, images follow each other by name.
    first = read_tracks(file, sequence="a")
    assert first.table[["frame", "track_id"]].to_numpy().tolist() == [[1, "x"]]
    assert first.frame_names == {0: "1.png", 1: "2.png"}
    second = read_tracks(file, sequence="2")
    np.testing.assert_array_equal(second.xyxy, [NAN])
    assert second.lines.tolist() == [2]


def test_a_sequence_of_a_set_is_chosen(tmp_path: Path) -> None:
    for name in ("car_1", "ship_2"):
        write(tmp_path / name / "groundtruth.txt", "1,2,3,4\n")
    read = read_tracks(tmp_path, sequence="ship_2")
    assert read.table["category"].tolist() == ["ship"]
    with pytest.raises(TracksError, match=r"holds 2 sequences \(car_1, ship_2\); choose one with --sequence"):
        read_tracks(tmp_path, format="satsot")


def test_csv_keeps_centres_as_attributes() -> None:
    read = read_tracks(TRACKS / "centres.csv")
    assert list(read.table.columns) == ["frame", "track_id", "x_min", "y_min", "x_max", "y_max", "x", "y"]
    np.testing.assert_array_equal(read.table["x"], [52, 210, 54, np.nan])
    assert read.lines.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("header", "row", "box"),
    [
        ("Frame,Track ID,X_Min,Y-Min,xmax,YMAX", "0,1,10,20,30,50", [10, 20, 30, 50]),
        ("frame;id;x;y;w;h", "0;1;10;20;20;30", [10, 20, 30, 50]),
        ("frame\tid\tleft\ttop\tright\tbottom", "0\t1\t10\t20\t30\t50", [10, 20, 30, 50]),
        ("id,frame,bb_left,bb_top,bb_width,bb_height", "1,0,10,20,20,30", [10, 20, 30, 50]),
        ("frame,id,cx,cy,width,height", "0,1,20,35,20,30", [10, 20, 30, 50]),
        ("frame,id,x1,y1,x2,y2", "0,1,10,20,30,50", [10, 20, 30, 50]),
        ("frame,id,x1,y1,x2,y2,x3,y3,x4,y4", "0,1,20,20,30,30,20,50,10,30", [10, 20, 30, 50]),
    ],
)
def test_csv_names_of_columns(header: str, row: str, box: list[float], tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", f"{header}\n{row}\n")
    read = read_tracks(file)
    assert read.format == "csv"
    assert read.xyxy.tolist() == [box]
    assert read.table[["frame", "track_id"]].to_numpy().tolist() == [[0, 1]]
    assert (read.corners is not None) == ("x4" in header)


def test_csv_columns_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "z,name,west,north,ost,sued,frame,label\n4,a b,1,2,3,4,9,ship\n4,a b,1,2,3,4,9,ship\n")
    sides = {"x_min": "west", "y_min": "north", "x_max": "OST", "y_max": "sued"}
    read = read_tracks(file, frame_column="z", track_column="name", columns=sides)
    assert read.xyxy.tolist() == [[1, 2, 3, 4]] * 2  # a doubled row stays
    assert read.table["frame"].tolist() == [4, 4]
    assert read.table["track_id"].tolist() == ["a b"] * 2
    assert read.table["source_frame"].tolist() == [9, 9]
    assert read.table["category"].tolist() == ["ship"] * 2
    with pytest.raises(TracksError, match="no columns for a box"):
        read_tracks(file, format="csv", track_column="name")
    with pytest.raises(OptionError, match="has no column 'nord'"):
        read_tracks(file, frame_column="z", track_column="name", columns={**sides, "y_min": "nord"})


def test_first_pixel_and_first_frame_can_be_said() -> None:
    mot = TRACKS / "MOT-01"
    np.testing.assert_array_equal(read_tracks(mot, first_pixel=0).xyxy, read_tracks(mot).xyxy + 1)
    read = read_tracks(TRACKS / "satsot" / "car_01", first_frame=5, first_pixel=1)
    assert read.table["frame"].tolist() == [5, 6, 7, 8]
    assert read.first_frame == 5
    assert read.xyxy[0].tolist() == [119, 79, 131, 88]
    assert read_tracks(TRACKS / "centres.csv", first_frame=100).first_frame == 100


# (format or None, text, what the message says)
WRONG = [
    ("mot", "1,1,10,20,30,40,1\n2,1,10,x,30,40,1\n", "line 2: '2,1,10,x,30,40,1': 'x' is no number"),
    ("mot", "1,1,10,20,30,40,1\n2.5,1,10,20,30,40,1\n", "line 2: .*: 2.5 is no frame number; expected a whole number"),
    ("mot", "1,1,10,20,30,40,1\n\n3,1,10,20\n", "line 3: '3,1,10,20': 4 numbers; expected frame, id, left"),
    ("mot", "1,1,10,20,-30,40,1\n", "line 1: .*ends before it begins"),
    ("mot", "1,1,10,20,inf,40,1\n", "line 1: .*not finite"),
    ("mot", "", "is empty"),
    ("otb", "1,2,3,4\n1,2,3\n", "line 2: '1,2,3': 3 numbers; expected left, top, width, height"),
    ("ootb", "1,2,3,4,5,6,7,8\nnone\n1,2,3,4,5,6,7,eight\n", "line 3: .*'eight' is no number"),
    ("csv", "frame,track_id,x,y,w,h\n1,1,2,3,4,5\n1,1,2,3,four,5\n", "line 3: '1,1,2,3,four,5': 'four' in column w is no number"),
    ("csv", "frame,track_id,x,y,w,h\n1,1,2,3,4\n", "line 2: .*5 fields; expected 6"),
    ("csv", "frame,track_id,x,y,w,h\none,1,2,3,4,5\n", "line 2: .*'one' in column frame is no number"),
    ("csv", "frame,track_id,x,y,w,h\n,1,2,3,4,5\n", "line 2: .*'' is no frame number"),
    ("csv", "frame,track_id,x0,y0,x1,y1\n1,1,9,0,1,5\n", r"line 2: .*the box \(9, 0, 1, 5\) ends before it begins"),
    ("csv", "frame,x,y,w,h\n1,1,1,1,1\n", "has no column for the track; it has: frame, x, y, w, h. Name it with --track-column"),
    ("csv", "frame,id,id,y,w,h\n1,1,1,1,1,1\n", "line 1: .*two columns have the same name"),
    ("coco-video", '{"images": [],\n "annotations": [}', "line 2: not JSON"),
    ("coco-video", '{"images": []}', '"annotations" is no list of objects'),
    ("coco-video", '{"images": [{"id": 1}], "annotations": [{"image_id": 9}]}', "annotation 1: image_id 9 is the id of no image"),
    ("coco-video", '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}', "annotation 1: track_id is null"),
    ("coco-video", '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "track_id": 1, "bbox": [1, "2", 3, 4]}]}',
     r'annotation 1: the box is \[1, "2", 3, 4\]; expected \[left, top, width, height\]'),
    ("ytvis", '{"videos": [{"id": 1, "file_names": ["a", "b"]}], "annotations": [{"video_id": 1, "bboxes": [null]}]}',
     "annotation 1: 1 boxes, but its video has 2 frames"),
    ("ytvis", '{"videos": [{"id": 1}], "annotations": [{"video_id": 1, "bboxes": [null, [1, 2, 3]]}]}',
     "annotation 1, frame 1: the box is"),
    (None, "lorem ipsum\n", "its format is not recognised; name it: sv248s, .*Its first line is 'lorem ipsum'"),
    (None, "\0\1\2", "its format is not recognised.*holds no text"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "text", "message"), WRONG, ids=range(len(WRONG)))
def test_errors_name_file_line_and_text(format: str | None, text: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "wrong.txt", text)
    with pytest.raises(TracksError, match=message) as raised:
        read_tracks(file, format=format)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_errors_in_folders(tmp_path: Path) -> None:
    write(tmp_path / "dota" / "1.txt", "1 2 3 4 5 6 7 8 plane 0\n1 2 3 4 5 6 7 plane 0\n")
    with pytest.raises(TracksError, match=r"1\.txt, line 2: '1 2 3 4 5 6 7 plane 0': expected x1 y1"):
        read_tracks(tmp_path / "dota", format="dota")
    write(tmp_path / "unnumbered" / "a.txt", "1 2 3 4 5 6 7 8 plane 0\n")
    with pytest.raises(TracksError, match=r"a\.txt: its name tells no frame number"):
        read_tracks(tmp_path / "unnumbered")
    write(tmp_path / "voc" / "1.xml", "<annotation>\n<object><bndbox><xmin>1</xmin></bndbox></object></annotation>")
    with pytest.raises(TracksError, match=r"1\.xml, line 2: <bndbox> has None for ymin"):
        read_tracks(tmp_path / "voc")
    write(tmp_path / "broken" / "1.xml", "<annotation>\n<object>")
    with pytest.raises(TracksError, match=r"1\.xml, line 2: not well-formed"):
        read_tracks(tmp_path / "broken", format="satmtb")
    states = tmp_path / "sv"
    write(states / "000001.rect", "1,2,3,4\n1,2,3,4\n")
    write(states / "000001.state", "0\n")
    with pytest.raises(TracksError, match=r"000001\.state has 1 lines, but .*000001\.rect has 2"):
        read_tracks(states)
    write(states / "000001.state", "0\n3\n")
    with pytest.raises(TracksError, match=r"000001\.state, line 2: '3': expected a state"):
        read_tracks(states)
    write(states / "000001.state", "0\n2\n")
    write(states / "000001.poly", "1,2,3,4,5,6\n1,2,3,4,5\n")
    with pytest.raises(TracksError, match=r"000001\.poly, line 2: .*points of a polygon"):
        read_tracks(states)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TracksError, match=r"not recognised.*empty folder"):
        read_tracks(tmp_path / "empty")
    with pytest.raises(TracksError, match=r"empty holds no \.rect, \.poly or \.state"):
        read_tracks(tmp_path / "empty", format="sv248s")
    with pytest.raises(InputFileNotFoundError, match=r"nothing: no such file"):
        read_tracks(tmp_path / "nothing")
    with pytest.raises(OptionError, match="no format of tracks is called 'moot'; expected one of sv248s, layer"):
        read_tracks(tmp_path, format="moot")


def layer(tmp_path: Path, geometry: list, crs: object = None, suffix: str = ".gpkg", **columns: list) -> Path:
    path = tmp_path / f"layer{suffix}"
    table = {"frame": list(range(len(geometry))), "track_id": [1] * len(geometry), **columns}
    gpd.GeoDataFrame(table, geometry=geometry, crs=crs).to_file(path)
    return path


def test_layer_corners_only_where_a_box_is_turned() -> None:
    read = read_tracks(TRACKS / "layer.gpkg")
    assert read.corners is not None
    assert sorted(read.corners[2].tolist()) == [[48, 46], [50, 50], [58, 41], [60, 45]]
    assert np.isnan(read.corners[3]).all()


@pytest.mark.filterwarnings("ignore:.*crs.*not provided:UserWarning")
def test_layer_with_y_down_or_unclear(tmp_path: Path) -> None:
    down = layer(tmp_path, [shapely.box(1, 2, 3, 5), shapely.box(1, -1, 3, 3)])
    np.testing.assert_array_equal(read_tracks(down).xyxy, [[1, 2, 3, 5], [1, -1, 3, 3]])
    np.testing.assert_array_equal(read_tracks(down, y_axis="up").xyxy, [[1, -5, 3, -2], [1, -3, 3, 1]])
    assert read_tracks(down).corners is None
    unclear = layer(tmp_path, [shapely.box(1, 2, 3, 5), shapely.box(1, -4, 3, -2)])
    with pytest.raises(TracksError, match=r"1 of 2 boxes have their centre at y < 0 .*--y-axis down"):
        read_tracks(unclear)
    assert len(read_tracks(unclear, y_axis="down")) == 2


def test_layer_on_the_map_comes_to_pixels_by_the_grid(tmp_path: Path) -> None:
    mapping = AffineMapping(Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000))
    grid = RasterGrid(100, 200, mapping, CRS.from_epsg(32633))
    boxes = [shapely.box(10, 20, 30, 50), shapely.Polygon([(10, 10), (20, 15), (18, 20), (8, 15)])]
    on_map = [shapely.transform(b, mapping.to_map) for b in boxes]
    file = layer(tmp_path, on_map, "EPSG:32633")
    with pytest.raises(CRSMismatchError, match="is in WGS 84 / UTM zone 33N, and the clip's place on the map is not known"):
        read_tracks(file)
    read = read_tracks(file, grid=grid)
    np.testing.assert_allclose(read.xyxy, [[10, 20, 30, 50], [8, 10, 20, 20]], atol=1e-3)
    assert read.corners is not None
    np.testing.assert_allclose(sorted(read.corners[1].tolist()), [[8, 15], [10, 10], [18, 20], [20, 15]], atol=1e-6)
    # Another grid for each frame: the second one lies 10 pixels to the east.
    moved = RasterGrid(100, 200, AffineMapping(Affine(0.5, 0, 500_005, 0, -0.5, 4_000_000)), CRS.from_epsg(32633))
    np.testing.assert_allclose(read_tracks(file, grid={0: grid, 1: moved}).xyxy, [[10, 20, 30, 50], [-2, 10, 10, 20]], atol=1e-3)
    with pytest.raises(TracksError, match="row 1: frame 1 is none of the clip's georeferenced frames"):
        read_tracks(file, grid={0: grid})
    # In another CRS the box is the envelope of the outline on the ground.
    degrees = layer(tmp_path, gpd.GeoSeries(on_map, crs="EPSG:32633").to_crs("EPSG:4326").tolist(), "EPSG:4326", ".geojson")
    np.testing.assert_allclose(read_tracks(degrees, grid=grid).xyxy, [[10, 20, 30, 50], [8, 10, 20, 20]], atol=0.02)
    pixels = read_tracks(degrees, boxes_crs="pixel", y_axis="down")
    assert np.abs(pixels.xyxy).max() < 180


def test_layer_without_the_columns(tmp_path: Path) -> None:
    file = layer(tmp_path, [shapely.box(0, 0, 1, 1)] * 2, "EPSG:32633", bild=[3, 4], spur=["a", None])
    read = read_tracks(file, frame_column="bild", boxes_crs="pixel")
    assert read.table["frame"].tolist() == [3, 4]
    assert read.table["source_frame"].tolist() == [0, 1]
    with pytest.raises(TracksError, match="row 1: the track's id is null"):
        read_tracks(file, track_column="spur", boxes_crs="pixel")
    with pytest.raises(OptionError, match="has no column 'x'"):
        read_tracks(file, track_column="x", boxes_crs="pixel")


@pytest.mark.parametrize(("format", "separator"), [(None, ","), (None, ", "), ("mot", ";")])
def test_an_empty_number_does_not_move_the_others(format: str | None, separator: str, tmp_path: Path) -> None:
    whole, gap = "1 1 1 2 3 4 1 -1 -1 -1 ".replace(" ", separator), "1 2 10 20  40 1 -1 -1 -1".replace(" ", separator)
    file = write(tmp_path / "gt.txt", f"{whole}\n")
    assert read_tracks(file, format="mot").xyxy.tolist() == [[0, 1, 3, 5]]
    write(file, f"{whole}\n{gap}\n")
    with pytest.raises(TracksError, match=r"gt\.txt, line 2: '1.*-1': '' is no number; expected frame, id"):
        read_tracks(file, format=format)


def test_an_empty_corner_of_dota_is_named(tmp_path: Path) -> None:
    write(tmp_path / "0001.txt", "10,10,,10,34,28,10,28,plane,0\n")
    with pytest.raises(TracksError, match=r"0001\.txt, line 1: '10,10,,.*': expected x1 y1"):
        read_tracks(tmp_path, format="dota")


def coco_video(tmp_path: Path, **changes: object) -> Path:
    image, annotation = {"id": 1, "file_name": "a.png"}, {"image_id": 1, "track_id": 4, "category_id": 2, "bbox": [1, 2, 3, 4]}
    data = {"images": [image], "annotations": [annotation], "categories": [{"id": 2, "name": "ship"}], **changes}
    for key, entry in (("image", image), ("annotation", annotation)):
        entry.update(data.pop(key, {}))
    return write(tmp_path / "coco.json", json.dumps(data))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"id": None}}, r'image 1 \(a\.png\) has no "id"'),
        ({"images": [{}]}, r'image 1 has no "id"'),
        ({"image": {"id": [1]}}, r'image 1: "id" is \[1\]; expected an id'),
        ({"annotation": {"image_id": [1]}}, r'annotation 1: "image_id" is \[1\]; expected an id'),
        ({"annotation": {"category_id": {"a": 1}}}, r'annotation 1: "category_id" is \{"a": 1\}; expected an id'),
        ({"categories": [{"id": [2]}]}, r'category 1: "id" is \[2\]; expected an id'),
        ({"categories": 5}, r'"categories" is 5; expected a list'),
        ({"videos": 5}, r'"videos" is 5; expected a list'),
        ({"videos": [5]}, r"video 1 is 5; expected an object"),
    ],
)
def test_ids_of_coco_that_are_none(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=rf"coco\.json.*{message}"):
        read_tracks(coco_video(tmp_path, **changes), format="coco-video")


def test_images_of_coco_without_a_place_follow_in_natural_order(tmp_path: Path) -> None:
    names = ["frame_1.png", "frame_10.png", "frame_11.png", "frame_2.png", "x/²1.png"]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names, 1)]
    read = read_tracks(coco_video(tmp_path, images=images), format="coco-video")
    assert read.frame_names == {0: "frame_1.png", 1: "frame_2.png", 2: "frame_10.png", 3: "frame_11.png", 4: "²1.png"}


@pytest.mark.parametrize(
    ("video", "annotation", "message"),
    [
        ({"file_names": 5}, {}, r'video 1: "file_names" is 5; expected a list'),
        ({}, {"category_id": [1]}, r'annotation 1: "category_id" is \[1\]; expected an id'),
        ({}, {"track_id": [1]}, r'annotation 1: "track_id" is \[1\]; expected an id'),
    ],
)
def test_ytvis_that_is_not_as_it_should_be(video: dict, annotation: dict, message: str, tmp_path: Path) -> None:
    entry = {"id": 1, "video_id": 1, "category_id": 1, "bboxes": [[1, 2, 3, 4]], **annotation}
    file = write(tmp_path / "y.json", json.dumps({"videos": [{"id": 1, **video}], "annotations": [entry]}))
    with pytest.raises(TracksError, match=rf"y\.json, {message}"):
        read_tracks(file)


def test_ytvis_of_rosgeo_keeps_its_track_ids(tmp_path: Path) -> None:
    entry = {"id": 1, "track_id": 88, "video_id": 1, "category_id": 1, "bboxes": [[1, 2, 3, 4]]}
    file = write(tmp_path / "y.json", json.dumps({"videos": [{"id": 1}], "annotations": [entry]}))
    read = read_tracks(file)
    assert read.table["track_id"].tolist() == [88]
    assert "source_track_id" not in read.table


def layer_of(**columns: object) -> gpd.GeoDataFrame:
    table = pd.DataFrame({"frame": [0, 1], "track_id": [1, 2], **columns})
    return gpd.GeoDataFrame(table, geometry=[shapely.box(1, 2, 3, 4)] * 2)


def test_a_layer_with_values_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    layer_of(track_id=pd.array([1, None], dtype="Int64")).to_parquet(path)
    with pytest.raises(TracksError, match=r"t\.parquet, row 1: the track's id is null"):
        read_tracks(path)
    category = pd.array(["ship", None], dtype="string")
    layer_of(category=category, score=pd.array([0.5, None], dtype="Float64")).to_parquet(path)
    read = read_tracks(path)
    assert read.table["category"].tolist() == ["ship", ""]
    np.testing.assert_array_equal(read.table["score"], [0.5, np.nan])


@pytest.mark.filterwarnings("error")
def test_a_layer_with_a_frame_that_no_integer_holds(tmp_path: Path) -> None:
    layer_of(frame=[0, 1e20]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TracksError, match=r"row 1: .*1e\+20.* is no frame number"):
        read_tracks(tmp_path / "t.parquet")
