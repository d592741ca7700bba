"""Files that differ from the usual one of their format: read right, or refused in a line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosgeo.errors import TracksError, TracksWarning
from rosgeo.tracks.read import read_tracks

SIZE = (480, 640)
MOT = "1,1,100,200,30,40,1,1,0.8\n1,2,50,60,20,20,1,1,1\n2,1,101,201,30,40,1,1,0.7\n"


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        MOT,
        b"\xef\xbb\xbf" + MOT.replace("\n", "\r\n").encode(),
        MOT.replace(",", "\t"),
        MOT.replace(",", " ; "),
        MOT.replace("\n", ",,\n"),
        MOT.replace("\n", "\n\n"),
        f"# frame,id,left,top,width,height,confidence,class,visibility\n{MOT}# end\n",
    ],
)
def test_separators_and_comments_are_no_rows(text: str | bytes, tmp_path: Path) -> None:
    read = read_tracks(write(tmp_path / "labels.txt", text))
    assert (read.format, read.xyxy[0].tolist(), len(read)) == ("mot", [99, 199, 129, 239], 3)
    assert read.table["visibility"].tolist() == [0.8, 1, 0.7]
    # The file is its own neighbour, and no list of classes.
    assert read.table["category"].tolist() == ["1", "1", "1"]


def test_rows_called_labels_are_no_names_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "labels.txt", MOT)
    assert read_tracks(write(tmp_path / "gt.txt", MOT)).format == "mot"


@pytest.mark.parametrize(
    ("name", "text", "format", "box"),
    [
        ("a.txt", "1,1,100,200,30,40,0.91,0,0,0\n2,1,101,200,30,40,0.95,0,0,0\n", "mot", [99, 199, 129, 239]),
        ("MOT17/train/MOT17-02/gt/gt.txt", "1,1,100,200,30,40,1,1,1\n", "mot", [99, 199, 129, 239]),
        ("a.txt", "1,1,100,200,30,40,87.5,0\n2,1,101,200,30,40,80,2\n", "mot", [99, 199, 129, 239]),
        ("a.txt", "1 1 4 2 25 14 0.9 -1 -1 -1 \n2 1 4 2 25 14 0.8 -1 -1 -1 \n", "mot", [3, 1, 28, 15]),
        ("a.txt", "1,1,976,904,976,858,859,858,859,904\n", "mmot", [859, 858, 976, 904]),
        ("a.txt", "1,1,976,904,976,858,859,858,859,904,-1\n", "mmot", [859, 858, 976, 904]),
        ("a.txt", "1,1,976,904,976,858,859,858,859,904,-1,0,0\n2,1,0,0,0,0,0,0,0,0,-1,0,0\n", "mmot", [859, 858, 976, 904]),
        ("a.txt", "1 1 808 1 47 22 1 4 0 1\n2 1 809 1 47 22 1 4 0 2\n", "visdrone", [808, 1, 855, 23]),
        ("uav0000003_00000_s.txt", "100,200,30,40\n", "visdrone", [100, 200, 130, 240]),
        # Confidences above 1, frames from 0.
        ("a.txt", "0,1,100,200,30,40,2,2,1\n1,1,100,200,30,40,3,1,1\n", "mot", [99, 199, 129, 239]),
        ("a.txt", "1 1 100 200 30 40 1 1 1\n2 1 100 200 30 40 1 1 3\n", "uavdt", [100, 200, 130, 240]),
        ("a.txt", "1,1,50,50,40,20,1.5708,0.87,0,-1\n", "boxmot", [40, 30, 60, 70]),
        ("car_01.txt", "10,10,5,5\n", "satsot", [10, 10, 15, 15]),
        ("SV248S/000000.txt", "157.5,174.5,6.5,9.5\n", "sv248s", [157.5, 174.5, 164, 184]),
        ("car_1.csv", "# of a tracker\nframe,id,x,y,w,h,\n0,1,1,2,3,4,\n", "csv", [1, 2, 4, 6]),
        ("a.txt", "frame id  x y w h\n0 1 1 2 3 4\n", "csv", [1, 2, 4, 6]),
        ("a.csv", "0,000001,0,10,20,30,40,0.9,-1,fish,0.8\n", "viame", [10, 20, 30, 40]),
    ],
)
def test_a_file_is_read_as_what_it_is(name: str, text: str, format: str, box: list[float], tmp_path: Path) -> None:
    read = read_tracks(write(tmp_path / name, text))
    assert read.format == format
    np.testing.assert_allclose(read.xyxy[0], box, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        # A category that VisDrone has not, in columns that MOTChallenge has not.
        ("a.txt", "1,1,808,1,47,22,1,12,0,1\n2,1,808,1,47,22,0,0,0,0\n", r"not clear, visdrone \(VisDrone\) and mot \(MOT"),
        ("a.txt", "1,1,100,200,30,40,0.91,1,1,1\n", r"not clear, boxmot \(BoxMOT\) and mot \(MOTChallenge\) fit"),
        ("a.txt", "1,1,912,484,97,109,0.85,0.5,3,0.4\n", r"not clear, boxmot \(BoxMOT\) and mot \(MOTChallenge\) fit"),
        ("a.txt", "1,1,100,200,30,40,1,1,1\n2,1,100,200,30,40,2,2,1\n", r"not clear, uavdt \(UAVDT\) and mot \(MOTChallenge\) fit"),
        ("a.txt", "1,5,10,100,200,30,40,-1,-1\n", r"not clear, aicity \(AI City Challenge\) and mot \(MOTChallenge\) fit"),
        ("0000001_02999_d_0000005.txt", "100,200,30,40,1,4,0,0\n50,60,30,40,1,5,0,1\n", "its format is not recognised"),
        ("a.txt", "1,1,10,20,30,40,1,2,3,4,5,6,7\n", "its format is not recognised"),
        ("a.txt", MOT.replace("1,2,", "1,99999999999999999999,"), r"a\.txt, line 2: .*1e\+20 is no track id.*Recognised as mot"),
        ("a.txt", MOT.replace("1,1,100", "1.5,1,100"), r"a\.txt, line 1: .*1\.5 is no frame number.*Recognised as mot"),
        ("gt_obb.txt", "1,1,50,50,40,20,45,1,0,1\n", r"gt_obb\.txt, line 1: .*the angle 45 is more than a turn; expected radians"),
        ("a.txt", "1,1,50,50,40,20,45.5,1,0,1\n", r"a\.txt, line 1: .*the angle 45\.5 is more than a turn"),
        ("a.txt", "", "a.txt: its format is not recognised; .*It is empty$"),
        ("a.txt", MOT.encode("utf-16"), "It holds no text in UTF-8$"),
    ],
)
def test_what_is_not_clear_is_refused(name: str, text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=message) as raised:
        read_tracks(write(tmp_path / name, text))
    assert "\n" not in str(raised.value)


def test_more_columns_than_the_named_format_has(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", "1,1,976,904,976,858,859,858,859,904,-1,0,0\n")
    with pytest.raises(TracksError, match=r"a\.txt, line 1: .*13 numbers; expected at most 10: .*It looks like mmot \(MMOT\)"):
        read_tracks(file, format="mot")
    # The number of a stream, which trackers add.
    write(file, "1 1 100 200 30 40 -1 -1 -1 -1 0\n")
    assert read_tracks(file, format="mot").xyxy.tolist() == [[99, 199, 129, 239]]


def test_what_a_folder_holds_is_named(tmp_path: Path) -> None:
    write(tmp_path / "SatSOT" / "car_01" / "groundtruth.txt", "10,10,5,5\n")
    with pytest.raises(TracksError, match=r"It holds: car_01; .*car_01 is recognised as satsot \(SatSOT\): name that$"):
        read_tracks(tmp_path / "SatSOT")


def cvat(*parts: str, meta: str = "") -> str:
    return f'<?xml version="1.0"?>\n<annotations><version>1.1</version>{meta}\n{"".join(parts)}</annotations>\n'


def cvat_box(frame: int, left: int = 10, *, outside: int = 0, key: int = 1, more: str = "") -> str:
    place = f'xtl="{left}" ytl="20" xbr="{left + 10}" ybr="40"'
    return f'<box frame="{frame}" keyframe="{key}" outside="{outside}" occluded="0" {place} {more}></box>\n'


def test_key_frames_alone_are_joined_as_cvat_does(tmp_path: Path) -> None:
    boxes = [cvat_box(0), cvat_box(4, 50), cvat_box(5, 50, outside=1), cvat_box(8)]
    file = write(tmp_path / "a.xml", cvat(f'<track id="0" label="car">{"".join(boxes)}</track>'))
    read = read_tracks(file)
    assert read.table["frame"].tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert read.table["keyframe"].tolist() == [1, 0, 0, 0, 1, 1, 1]
    assert read.xyxy[:5, 0].tolist() == [10, 20, 30, 40, 50]
    assert np.isnan(read.xyxy[5]).all()
    every_second = "<meta><task><frame_filter>step=2</frame_filter></task></meta>"
    write(file, cvat(f'<track id="0" label="car">{"".join(boxes)}</track>', meta=every_second))
    assert read_tracks(file).table["frame"].tolist() == [0, 2, 4, 5, 8]
    # What CVAT writes is whole: a frame that is not there was deleted.
    whole = [cvat_box(0), cvat_box(1, key=0), cvat_box(3)]
    write(file, cvat(f'<track id="0" label="car">{"".join(whole)}</track>'))
    assert read_tracks(file).table["frame"].tolist() == [0, 1, 3]


def test_a_turn_between_key_frames_is_the_shorter_one(tmp_path: Path) -> None:
    boxes = cvat_box(0, more='rotation="350"') + cvat_box(2, more='rotation="10"')
    read = read_tracks(write(tmp_path / "a.xml", cvat(f'<track id="0" label="car">{boxes}</track>')))
    np.testing.assert_allclose(read.xyxy[1], [10, 20, 20, 40], atol=1e-9)


def test_pictures_of_two_tasks_are_two_clips(tmp_path: Path) -> None:
    image = '<image id="0" name="{0}.png" task_id="{0}" width="64" height="48"><box label="a" xtl="{0}" ytl="2" xbr="50" ybr="9"/></image>'
    file = write(tmp_path / "a.xml", cvat(image.format(1), image.format(2)))
    with pytest.raises(TracksError, match=r"holds 2 tasks \(1, 2\); choose one with --sequence"):
        read_tracks(file)
    read = read_tracks(file, sequence="2")
    assert (read.xyxy.tolist(), read.frame_names) == ([[2, 2, 50, 9]], {0: "2.png"})


def test_ids_with_zeros_before_are_names(tmp_path: Path) -> None:
    box = {"x1": 1, "y1": 2, "x2": 3, "y2": 4}
    labels = [{"id": i, "category": "car", "box2d": box, "attributes": {"category": "van"}} for i in ("00091078", "91078")]
    frame = {"name": "a.jpg", "videoName": "v", "frameIndex": 0, "labels": labels}
    read = read_tracks(write(tmp_path / "a.json", json.dumps([frame])))
    assert read.table["track_id"].tolist() == ["00091078", "91078"]
    assert read.table["category"].tolist() == ["car", "car"]
    assert read.table["source_category"].tolist() == ["van", "van"]
    table = read_tracks(write(tmp_path / "a.csv", "frame,id,x,y,w,h\n0,1.0,1,2,3,4\n1,1,1,2,3,4\n"))
    assert table.table["track_id"].tolist() == [1, 1]


def coco(box: Any) -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i}.jpg", "frame_index": i} for i in range(2)]
    both = [{"image_id": i, "track_id": 1, "category_id": 1, "bbox": b} for i, b in enumerate(([1, 2, 3, 4], box))]
    return {"images": images, "annotations": both, "categories": [{"id": 1, "name": "car"}]}


def scalabel(box: list[Any]) -> list[dict[str, Any]]:
    labels = [
        [{"id": "1", "category": "car", "box2d": dict(zip(("x1", "y1", "x2", "y2"), b, strict=True))}] for b in ([1, 2, 4, 6], box)
    ]
    return [{"name": f"{i}.jpg", "videoName": "v", "frameIndex": i, "labels": x} for i, x in enumerate(labels)]


def dive(box: list[Any]) -> dict[str, Any]:
    features: list[Any] = [{"frame": i, "bounds": b, "keyframe": True} for i, b in enumerate(([1, 2, 4, 6], box))]
    return {"tracks": {"1": {"id": 1, "features": [*features, None]}}, "version": 2}


def pysot(box: list[Any]) -> dict[str, Any]:
    return {"clip": {"img_names": ["0.jpg", "1.jpg"], "gt_rect": [[1, 2, 3, 4], box], "attr": ["IV", "SV"]}}


@pytest.mark.parametrize("layout", [coco, scalabel, dive, pysot])
def test_a_box_with_null_is_a_row_without_a_box(layout: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps(layout([None, 2, 3, 4])))
    read = read_tracks(file)
    assert read.xyxy[0].tolist() == [1, 2, 4, 6]
    assert len(read) == 2
    assert np.isnan(read.xyxy[1]).all()
    assert "attr" not in read.table
    with pytest.raises(TracksError, match=r"a\.json"):
        read_tracks(write(file, json.dumps(layout(["1", 2, 3, 4]))))


def test_coco_of_cvat_has_the_track_among_its_attributes(tmp_path: Path) -> None:
    data = coco([5, 6, 7, 8])
    first, second = data["annotations"]
    first["attributes"], second["attributes"] = {"track_id": first.pop("track_id"), "occluded": True}, {"occluded": False}
    del second["track_id"]
    read = read_tracks(write(tmp_path / "a.json", json.dumps(data)))
    assert read.table["track_id"].tolist() == [1, -1]
    assert read.table["occluded"].tolist() == [True, False]
    assert not read.unread


def label_studio(number: int, video: str, regions: int) -> dict[str, Any]:
    key = {"frame": 1, "enabled": False, "x": 10 * number, "y": 10, "width": 10, "height": 10}
    region = {"id": "r", "type": "videorectangle", "value": {"sequence": [key][:regions], "framesCount": 3, "labels": ["car"]}}
    return {"id": number, "data": {"video": video}, "annotations": [{"id": 1, "result": [region]}]}


def test_tasks_of_one_video_are_told_by_their_ids(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps([label_studio(n, "/x.mp4", 1) for n in (3, 4)]))
    with pytest.raises(TracksError, match=r"2 tasks \(3, 4\)"):
        read_tracks(file, size=SIZE)
    np.testing.assert_allclose(read_tracks(file, size=SIZE, sequence="4").xyxy[0, 0], 256)
    assert len(read_tracks(write(file, json.dumps([label_studio(1, "/x.mp4", 0)])), size=SIZE)) == 0


BOX = "0 0.5 0.5 0.1 0.2"
POINTS = " ".join(f"{0.5 + 0.01 * (i % 4):g} {0.5 + 0.01 * (i % 5):g} 0.9" for i in range(16)) + " 0 0 0.01"


@pytest.mark.parametrize(("end", "track", "score"), [("", -1, None), (" 1", 1, None), (" 0.75", -1, 0.75), (" 0.75 1", 1, 0.75)])
def test_keypoints_are_no_outlines(end: str, track: int, score: float | None, tmp_path: Path) -> None:
    for frame in (1, 2):
        write(tmp_path / f"clip_{frame}.txt", f"{BOX} {POINTS}{end}\n")
    read = read_tracks(tmp_path, size=SIZE)
    np.testing.assert_allclose(read.xyxy, [[288, 192, 352, 288]] * 2)
    assert read.table["track_id"].tolist() == [track] * 2
    assert ("score" in read.table) == (score is not None)
    assert read.unread == ("keypoints",)


def test_a_size_below_zero_costs_no_other_row(tmp_path: Path) -> None:
    write(tmp_path / "clip_1.txt", f"{BOX} 1\n0 0.5 0.5 -0.1 0.2 2\n")
    write(tmp_path / "notes.txt", "of a colleague")
    with pytest.warns(TracksWarning, match=r"clip_1\.txt, line 2: the box .* ends before it begins"):
        read = read_tracks(tmp_path, size=SIZE)
    assert (len(read), read.unread) == (2, ("notes.txt",))


def voc(*objects: str) -> str:
    return f"<annotation><filename>a</filename>{''.join(objects)}</annotation>"


def test_other_files_of_a_folder_are_named(tmp_path: Path) -> None:
    box = "<object><name>a</name><trackid>0</trackid><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>"
    for name in ("000000.xml", "000001.xml"):
        write(tmp_path / "vid" / name, voc(box))
    write(tmp_path / "vid" / "page_2.xml", "<html/>")
    write(tmp_path / "vid" / "meta.xml", "<meta/>")
    read = read_tracks(tmp_path / "vid")
    assert (read.format, len(read), read.first_frame) == ("imagenet-vid", 2, 0)
    assert read.unread == ("meta.xml", "page_2.xml, whose root is <html>")
    write(tmp_path / "dota" / "P_1.txt", "1 1 5 1 5 4 1 4 ship 0\n")
    write(tmp_path / "dota" / "readme.txt", "hello")
    assert read_tracks(tmp_path / "dota").unread == ("readme.txt",)


def test_degrees_of_rolabelimg_are_refused(tmp_path: Path) -> None:
    turned = "<robndbox><cx>50</cx><cy>50</cy><w>40</w><h>20</h><angle>{}</angle></robndbox>"
    file = write(tmp_path / "x_1.xml", voc(f"<object><name>a</name>{turned.format(1.5707963)}</object>"))
    np.testing.assert_allclose(read_tracks(file).xyxy, [[40, 30, 60, 70]], atol=1e-5)
    write(file, voc(f"<object><name>a</name>{turned.format(90)}</object>"))
    with pytest.raises(TracksError, match=r"x_1\.xml, line 1: the angle 90 is more than a turn; expected radians"):
        read_tracks(file)


def test_kitti_without_a_box(tmp_path: Path) -> None:
    file = write(
        tmp_path / "0000.txt", "0 0 Car 0 0 -10 -1 -1 -1 -1 1.5 1.6 nan 1 1 10 0.1\n0 1 Car 0 0 -10 5 6 7 8 1 1 1 1 1 1 1\n"
    )
    read = read_tracks(file)
    assert np.isnan(read.xyxy[0]).all()
    assert read.xyxy[1].tolist() == [5, 6, 7, 8]
