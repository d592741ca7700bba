"""Files are told by what their format cannot be; bad lines do not hide a format, and bad boxes do not cost their rows."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from rosgeo.errors import OptionError, TracksError, TracksWarning
from rosgeo.tracks.formats.registry import FORMATS, recognise
from rosgeo.tracks.read import read_tracks

from tests.conftest import DATA
from tests.tracks.test_read import CASES, SIZE, TRACKS

Cli = Callable[..., Result]

MOT_10 = "1,1,10,20,30,40,0.9,-1,-1,-1"


def named(path: Path) -> str | None:
    found = recognise(path)
    return None if found is None else found.name


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("lines", "format"),
    [
        ([MOT_10], "mot"),
        (["1,1,10,20,30,40,1"], "mot"),
        (["1,1,10,20,30,40"], "mot"),
        (["1,1,10,20,30,40,1,1,1"] * 3, "mot"),
        (["1 1 10 20 30 40 1 1 1"], "mot"),
        (["1,1,10,20,30,40,1,3,0.25"], "mot"),
        (["1,1,10,20,30,40,0.87,2"], "mot"),
        (["10,20,30,10,34,18,14,28"], "ootb"),
        (["10,20,30,40"], "otb"),
        # Places on the ground in MOT15.
        (["1,1,1382.33,250.61,76.6,189.6,1,-9.1,-2.7,0"], "mot"),
        # A stream's number in the last column, as YOLOv5's trackers write.
        (["1 1 4 2 25 14 -1 -1 -1 0", "2 1 5 3 25 14 -1 -1 -1 0"], "mot"),
        (["1,1,976,904,976,858,859,858,859,904,-1,0,1"], "mmot"),
        # A thin one, turned by half a right angle.
        (["1,1,100,100,170,170,166,174,96,104,-1,0,1"], "mmot"),
        (["1,1,154.0,478.5,39.8,18.8,1.118,1,10,1"], "boxmot"),
        (["1,1,154.0,478.5,39.8,18.8,1.118,0.93,10"], "boxmot"),
        (["1,0,593,43,174,190,0,0,0,0", "98,0,808,1,47,22,1,4,0,0"], "visdrone"),
        (["0,1,10,20,6,4,0,1,0,0", "0,2,30,40,5,5,1,0,0,1"], "birdsai"),
        (["278,5,0,398,104,80,1,1,1", "1,1,141,147,106,45,1,1,3"], "uavdt"),
        (["41 7 1 10 20 30 40 -1 -1"] * 2, "aicity"),
        (["0 0 Van 0 0 -1.79 296.7 161.7 455.2 292.3 2 1.8 4.4 -4.5 1.8 13.4 -2.1"], "kitti"),
    ],
)
def test_a_file_is_told_by_its_values(lines: list[str], format: str, tmp_path: Path) -> None:
    assert named(write(tmp_path / "tracks.txt", *lines)) == format


@pytest.mark.parametrize(
    ("place", "lines", "format"),
    [
        # Values that MOTChallenge could have too.
        ("M0203_gt_whole.txt", ["1,1,10,20,30,40,1,1,1"], "uavdt"),
        ("M0203_gt.txt", ["1,1,10,20,30,40,1,-1,-1,-1"], "uavdt"),
        ("uav0000013_00000_v.txt", ["1,1,10,20,30,40,0.7,4,-1,-1"], "visdrone"),
        ("mot/plane/039/gt/gt.txt", ["1 1 100 200 140 230 1 -1 -1 -1"], "viso"),
        ("airplane/01/mot/01.txt", ["1,1,10,20,5,6,1,1,1"], "satmtb"),
        ("airplane/01/sot/0001/groundtruth.txt", ["10,20,5,6"], "satmtb"),
        ("S01/c003/gt/gt.txt", ["1,1,10,20,5,6,1,-1,-1,-1"], "aicity"),
        ("car_01/groundtruth.txt", ["43,177,10,6"], "satsot"),
        ("1_Car_01/groundtruth.txt", ["43,177,10,6"], "satsot"),
        ("SatSOT/x/groundtruth.txt", ["43,177,10,6"], "satsot"),
        ("01_000000.txt", ["157.5,174.6,6.7,9.7"], "sv248s"),
        ("lion-5.txt", ["0,0,0,0", "1,1,-1,-1"], "otb"),
        ("clip_2.txt", ["1 0.43 0.6 0.2 0.32 1"], "ultralytics"),
    ],
)
def test_a_file_is_told_by_its_place(place: str, lines: list[str], format: str, tmp_path: Path) -> None:
    assert named(write(tmp_path / place, *lines)) == format


def test_neighbours_tell_the_origin(tmp_path: Path) -> None:
    file = write(tmp_path / "clip" / "gt" / "gt.txt", "1,1,0,4,4,8,1,1,1.0")
    assert read_tracks(file).xyxy[0].tolist() == [-1, 3, 3, 11]
    write(tmp_path / "clip" / "gt" / "labels.txt", "car")
    for path in (file, tmp_path / "clip"):
        assert read_tracks(path).xyxy[0].tolist() == [0, 4, 4, 12]
    other = write(tmp_path / "obb" / "gt.txt", "1,1,0,4,4,8,1,1,1.0")
    shutil.copy(TRACKS / "boxmot" / "gt_obb.txt", other.with_name("gt_obb.txt"))
    assert (named(other), read_tracks(other).xyxy[0].tolist()) == ("boxmot", [0, 4, 4, 12])


@pytest.mark.parametrize(
    ("lines", "candidates"),
    [
        # A score and a class of a detector on VisDrone, or a tracker's own columns.
        (["1,1,10,20,30,40,0.7,4,-1,-1"], ("visdrone", "mot")),
        # Camera, track, frame, and a box; or frame, track, box, confidence, class, visibility.
        (["1 7 1 10 20 30 40 1 1"], ("aicity", "mot")),
        # An angle and a confidence; or a confidence above 1 and a class.
        (["1,1,154.0,478.5,39.8,18.8,1.118,1,1"], ("boxmot", "mot")),
        # Corners or sizes, parted by spaces.
        (["1 1 100 200 140 230 1 -1 -1 -1"], ("viso", "mot")),
    ],
)
def test_what_is_not_clear_is_asked(lines: list[str], candidates: tuple[str, ...], tmp_path: Path) -> None:
    file = write(tmp_path / "tracks.txt", *lines)
    with pytest.raises(TracksError, match="its format is not clear") as raised:
        read_tracks(file)
    for name in candidates:
        assert f"{name} ({FORMATS[name].label})" in str(raised.value)
        assert f"--from {name}" in str(raised.value)
        assert len(read_tracks(file, format=name)) == 1


BAD = {
    "mot": ("x,y,z", "frame, id, left"),
    "otb": ("1,2,three,4", "left, top, width, height"),
    "ootb": ("1,2,3", "corners of a box"),
    "kitti": ("0 0 Van 0", "frame track_id type"),
    "visdrone": ("1,0,593", "frame, track, left"),
    "viame": ("0,a.png,0,100", "track, picture, frame"),
}
GOOD = {
    "mot": [MOT_10],
    "otb": ["10,20,30,40"],
    "ootb": ["10,20,30,10,34,18,14,28"],
    "kitti": ["0 0 Van 0 0 -1.79 296.7 161.7 455.2 292.3 2 1.8 4.4 -4.5 1.8 13.4 -2.1"],
    "visdrone": ["98,0,808,1,47,22,1,4,0,0"],
    "viame": ["0,a.png,0,100,200,150,240,1.0,-1,fish,0.9"],
}


@pytest.mark.parametrize("format", BAD)
@given(before=st.integers(0, 3), after=st.integers(0, 3))
def test_a_bad_line_is_named_wherever_it_is(format: str, before: int, after: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    bad, expected = BAD[format]
    lines = [*GOOD[format] * before, bad, *GOOD[format] * max(after, 1)]
    file = write(tmp_path_factory.mktemp("bad") / "tracks.txt", *lines)
    with pytest.raises(TracksError, match=rf"tracks\.txt, line {before + 1}: ") as raised:
        read_tracks(file)
    said = str(raised.value)
    assert expected in said
    assert f"Recognised as {format} ({FORMATS[format].label}); if it is another format, name that: --from" in said
    assert "\n" not in said


# Where a row's box is no box: the row of it, in files that have others.
UNUSABLE = [
    ("mot", [MOT_10, "2,1,10,20,-1,40,1,-1,-1,-1"]),
    ("mot", [MOT_10, "2,1,10,20,inf,40,1,-1,-1,-1"]),
    ("otb", ["10,20,30,40", "1,1,-1,-1"]),
    ("visdrone", ["1,0,593,43,174,190,1,4,0,0", "2,0,593,43,174,-1,1,4,0,0"]),
    ("boxmot", ["1,1,154.0,478.5,39.8,18.8,1.118,1,10,1", "2,1,154.0,478.5,-39.8,18.8,1.118,1,10,1"]),
    ("ootb", ["10,20,30,10,34,18,14,28", "10,20,inf,10,34,18,14,28"]),
    ("kitti", [GOOD["kitti"][0], "1 0 Van 0 0 -1.79 455.2 161.7 296.7 292.3 2 1.8 4.4 -4.5 1.8 13.4 -2.1"]),
    ("viame", [GOOD["viame"][0], "0,b.png,1,150,200,100,240,1.0,-1,fish,0.9"]),
    ("csv", ["frame,track_id,x,y,w,h", "1,1,2,3,4,5", "2,1,2,3,-4,5"]),
]


@pytest.mark.parametrize(("format", "lines"), UNUSABLE, ids=range(len(UNUSABLE)))
def test_a_row_without_a_usable_box_stays(format: str, lines: list[str], tmp_path: Path) -> None:
    file = write(tmp_path / "tracks.txt", *lines)
    with pytest.warns(TracksWarning, match=rf"tracks\.txt, line {len(lines)}: .*; the row is read as without a box"):
        read = read_tracks(file)
    assert (read.format, len(read)) == (format, 2)
    assert np.isfinite(read.xyxy[0]).all()
    assert np.isnan(read.xyxy[1]).all()
    if read.corners is not None:
        assert np.isnan(read.corners[1]).all()


def test_rows_of_annotation_tools_stay_too(tmp_path: Path) -> None:
    text = (TRACKS / "cvat_video" / "annotations.xml").read_text().replace('xtl="298.81"', 'xtl="998.81"')
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.warns(TracksWarning, match=r"annotations\.xml, line 18: the box \(998.81, .*\) ends before it begins"):
        assert np.isnan(read_tracks(tmp_path).xyxy[0]).all()
    text = (TRACKS / "scalabel" / "labels.json").read_text().replace('"x2": 130.25', '"x2": 30.25')
    (tmp_path / "labels.json").write_text(text)
    with pytest.warns(TracksWarning, match=r"labels\.json, frame 1, label 2: the box"):
        assert np.isnan(read_tracks(tmp_path / "labels.json").xyxy[1]).all()


def test_a_file_with_no_usable_box_is_refused(tmp_path: Path) -> None:
    """Nothing in it can be trusted: its columns are others."""
    file = write(tmp_path / "t.csv", "frame,track_id,x0,y0,x1,y1", "1,1,9,0,1,5", "2,1,9,0,1,5")
    with pytest.raises(TracksError, match=r"line 2: .*\(9, 0, 1, 5\) ends before it begins, as all do"):
        read_tracks(file)


def test_a_visibility_that_is_none_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "gt.txt", "1,1,10,20,30,40,1,1,1", "2,1,10,20,30,40,1,1,7")
    with pytest.warns(TracksWarning, match=r"line 2: .*7 is no visibility, which is 0 to 1; .*kept as column_7 to column_9"):
        read = read_tracks(file)
    assert read.table["column_9"].tolist() == [1, 7]
    assert "category" not in read.table


@pytest.mark.parametrize("case", [c for c in CASES if c[1] not in ("csv", "layer")], ids=lambda c: c[0])
@pytest.mark.filterwarnings("ignore::rosgeo.errors.TracksWarning")
def test_first_pixel_can_be_said_for_every_format(case: tuple) -> None:
    name, format = case[:2]
    pixel = FORMATS[format].origin.pixel
    usual, said = (read_tracks(TRACKS / name, first_pixel=p, size=SIZE) for p in (None, 1 - pixel))
    np.testing.assert_allclose(said.xyxy, usual.xyxy + (2 * pixel - 1), atol=1e-9)
    if usual.corners is not None and said.corners is not None:
        np.testing.assert_allclose(said.corners, usual.corners + (2 * pixel - 1), atol=1e-9)
    assert said.origin.startswith(f"pixels from {1 - pixel} (--first-pixel), frames from")


def test_one_data_set_has_one_origin(tmp_path: Path) -> None:
    """The same numbers in each file of a set are the same box, whatever the file is called."""
    files = {
        "sv248s": ["000000.rect", "01_000000.txt"],
        "satsot": ["car_01/groundtruth.txt", "1_Car_01/groundtruth.txt", "SatSOT/any/groundtruth.txt"],
        "uavdt": ["M0203_gt.txt", "M0203_gt_whole.txt"],
        "satmtb": ["airplane/01/mot/01.txt", "airplane/01/sot/0001/groundtruth.txt"],
    }
    rows = {"M0203_gt.txt": "1,1,{},1,-1,-1,-1", "M0203_gt_whole.txt": "1,1,{},1,1,1", "01.txt": "1,1,{},1,1,1"}
    for format, names in files.items():
        for name in names:
            read = read_tracks(write(tmp_path / format / name, rows.get(Path(name).name, "{}").format("10,20,5,6")))
            assert (read.format, read.xyxy.tolist()) == (format, [[10, 20, 15, 26]]), name


def test_frames_before_the_first_are_refused(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "labels.txt", "0,1,458,417,130,298,1,1,1", "3,1,460,416,130,297,1,1,1")
    for target in ("o.csv", "o.json", "o.gpkg", "o.txt"):
        kind = {"csv": "csv", "json": "coco-video", "gpkg": "layer", "txt": "mot"}[target[2:]]
        result = cli("convert", "tracks", file, tmp_path / target, "--to", kind)
        said = "line 1: frame 0, but MOTChallenge counts frames from 1; --first-frame 0 says that this file counts from 0"
        assert result.exit_code == 2
        assert result.output == f"Error: {file}, {said}\n"
        assert not (tmp_path / target).exists()
    done = cli("convert", "tracks", file, tmp_path / "o.csv", "--to", "csv", "--first-frame", 0)
    assert "pixels from 1, frames from 0 (--first-frame): MOTChallenge" in done.output


def test_the_size_of_the_picture_is_asked_for() -> None:
    for name in ("ultralytics", "label_studio/export.json"):
        with pytest.raises(OptionError, match=r"tells boxes as parts of the picture.*--size WIDTHxHEIGHT"):
            read_tracks(TRACKS / name)


@pytest.mark.parametrize(
    ("lines", "tracks", "scores", "box"),
    [
        # A confidence of 1 among others is no id.
        (["0 0.5 0.5 0.2 0.2 1", "0 0.5 0.5 0.2 0.2 0.75"], [-1, -1], [1, 0.75], [256, 192, 384, 288]),
        (["0 0.5 0.5 0.2 0.2 1", "0 0.5 0.5 0.2 0.2 2"], [1, 2], None, [256, 192, 384, 288]),
        (["0 0.5 0.5 0.2 0.2 0.75 1"], [1], [0.75], [256, 192, 384, 288]),
        # The second has no track yet.
        (["0 0.5 0.5 0.2 0.2 0.75 1", "0 0.5 0.5 0.2 0.2 1"], [1, -1], [0.75, 1], [256, 192, 384, 288]),
        (["0 0.5 0.5 0.2 0.2 3", "0 0.5 0.5 0.2 0.2"], [3, -1], None, [256, 192, 384, 288]),
        (["0 0.5 0.5 0.2 0.2"], [-1], None, [256, 192, 384, 288]),
        # Outlines, and four corners with confidence and the id 1, which could be the fifth point of an outline.
        (["0 0.25 0.25 0.5 0.25 0.5 0.75"], [-1], None, [160, 120, 320, 360]),
        (["0 0.25 0.25 0.5 0.25 0.5 0.75 9"], [9], None, [160, 120, 320, 360]),
        (["0 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75 0.5 1"], [1], [0.5], [160, 120, 320, 360]),
    ],
)
def test_what_ends_a_row_of_ultralytics(lines: list, tracks: list, scores: list | None, box: list, tmp_path: Path) -> None:
    for i, line in enumerate(lines, 1):
        write(tmp_path / f"clip_{i}.txt", line)
    read = read_tracks(tmp_path, size=SIZE)
    assert read.format == "ultralytics"
    assert read.table["track_id"].tolist() == tracks
    assert (read.table["score"].tolist() if "score" in read.table else None) == scores
    np.testing.assert_allclose(read.xyxy[0], box)
    assert (read.corners is not None) == (len(lines[0].split()) == 11)


def test_a_format_that_was_named_and_is_another() -> None:
    with pytest.raises(TracksError, match=r"0000\.txt, line 1: .*'Van' is no number; .*\. It looks like kitti \(KITTI tracking\)$"):
        read_tracks(TRACKS / "kitti" / "0000.txt", format="mot")


def test_a_clip_of_otb_with_two_objects(tmp_path: Path) -> None:
    for i in (1, 2):
        write(tmp_path / "Jogging" / f"groundtruth_rect.{i}.txt", f"{10 * i},20,30,40")
    with pytest.raises(TracksError, match=r"holds the boxes of 2 objects \(1, 2\); choose one with --sequence"):
        read_tracks(tmp_path / "Jogging")
    read = read_tracks(tmp_path / "Jogging", sequence="2")
    assert (read.format, read.xyxy.tolist()) == ("otb", [[19, 19, 49, 59]])


def test_the_short_export_of_label_studio(tmp_path: Path) -> None:
    """JSON_MIN has the regions under the name of their control, and no ids."""
    region = json.loads((TRACKS / "label_studio" / "export.json").read_text())[0]["annotations"][0]["result"][0]["value"]
    file = tmp_path / "min.json"
    file.write_text(json.dumps([{"video": "clip.mp4", "id": 1, "box": [region], "annotator": 1}]))
    short, long = (read_tracks(path, size=SIZE) for path in (file, TRACKS / "label_studio" / "export.json"))
    np.testing.assert_array_equal(short.xyxy, long.xyxy)
    assert set(short.table["track_id"]) == {1}


def test_cameras_of_one_file(tmp_path: Path) -> None:
    file = TRACKS / "aicity" / "track1.txt"
    assert named(file) == "aicity"
    with pytest.raises(TracksError, match=r"holds 2 cameras \(41, 42\); choose one with --sequence"):
        read_tracks(file)
    read = read_tracks(file, sequence="42")
    assert (read.xyxy.tolist(), read.lines.tolist()) == ([[500, 20, 530, 60]], [3])
    with pytest.raises(TracksError, match="choose one with --sequence"):
        read_tracks(file, sequence="x")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("visdrone/uav0000001_00001_v.txt", {"object_category": [0, 4, 4], "truncation": [0, 0, 1], "occlusion": [0, 2, 0]}),
        ("uavdt/M0001_gt_whole.txt", {"out_of_view": [1, 1, 2], "occlusion": [1, 2, 1], "object_category": [1, 1, 3]}),
        ("imagenet_vid/ILSVRC2015_val_00000001", {"occluded": [1, 0], "generated": [0, 0]}),
        ("kitti/0000.txt", {"occluded": [0, 1, -1], "x_3d": [-4.552284, -4.650955, -10]}),
        ("scalabel/labels.json", {"occluded": [False, True, False, None], "truncated": [True, False, True, None]}),
        ("cvat_video", {"occluded": [1, 0, 0, 0, 0], "outside": [0, 0, 1, 0, 0], "flag": ["red", None, None, None, None]}),
        ("label_studio/export.json", {"keyframe": [True, False, True, True, False]}),
        ("mmot/clip-1.txt", {"truncation": [1, 0, 1], "class": [0, 3, 0]}),
        ("viame/tracks.csv", {"score": [0.9, 0.9, 0.5], "length": ["12", None, None]}),
        ("pysot/set.json", {"occlusion": [0, 1, 0]}),
    ],
)
def test_what_a_row_tells_beside_its_box(name: str, columns: dict, tmp_path: Path) -> None:
    table = read_tracks(TRACKS / name, size=SIZE).table
    for column, values in columns.items():
        found = [None if v is None or v != v else v for v in table[column].tolist()]
        assert found == values, column


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        ("mmot/clip-1.txt", [[976, 904], [976, 858], [859, 858], [859, 904]]),
        ("boxmot/gt_obb.txt", [[55, 30], [55, 50], [45, 50], [45, 30]]),
        ("rolabelimg", [[55, 30], [55, 50], [45, 50], [45, 30]]),
    ],
)
def test_oriented_boxes_keep_their_corners(name: str, corners: list) -> None:
    read = read_tracks(TRACKS / name)
    assert read.corners is not None
    np.testing.assert_allclose(read.corners[0], corners, atol=1e-4)


def test_a_box_of_cvat_is_turned_clockwise(tmp_path: Path) -> None:
    text = (TRACKS / "cvat_video" / "annotations.xml").read_text().replace('rotation="90.00"', 'rotation="30.00"')
    (tmp_path / "annotations.xml").write_text(text)
    corners = read_tracks(tmp_path).corners
    assert corners is not None
    # The right end of a wide box sinks.
    np.testing.assert_allclose(corners[3][:2].mean(axis=0) - [50, 40], [2.5, -4.3301], atol=1e-3)
    assert corners[3][1][1] > corners[3][0][1]


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("coco_video.json", ("segmentation",)),
        ("ytvis.json", ()),
        ("scalabel/labels.json", ("poly2d",)),
        ("cvat_images", ("<points> shapes",)),
        ("viame/tracks.csv", ("further species of a row",)),
        ("dive/result_clip.json", ("further types of a track",)),
        ("MOT-01", ()),
    ],
)
def test_what_is_not_read_is_told(name: str, unread: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    assert read_tracks(TRACKS / name).unread == unread
    result = cli("convert", "tracks", TRACKS / name, tmp_path / "o.csv", "--to", "csv")
    assert (f"Not read: {'; '.join(unread)}" in result.output) == bool(unread)
    assert result.output.rstrip().endswith("everything that was read is in it" if unread else "everything is in it")


def test_formats_say_who_counts_from_where() -> None:
    for format in FORMATS.values():
        assert format.origin.pixel in (0, 1)
        assert len(format.origin.source) > 10, format.name
        assert re.fullmatch(r"[a-z0-9-]+", format.name)
    assert DATA.is_dir()


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x "xxxx">]>\n<annotations><track id="1" label="&x;"/></annotations>'
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(TracksError, match=r"annotations\.xml, line 2: it declares entities"):
        read_tracks(tmp_path, format="cvat-video")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("cvat_video/annotations.xml", 'xtl="299.60"', 'xtl="left"', r"line 21: <box> has 'left' for xtl; expected a number"),
        ("cvat_video/annotations.xml", "</annotations>", "", r"line \d+: not well-formed XML"),
        ("cvat_video/annotations.xml", "30.00,10.00", "30.00", r"line 31: <polygon> has .* for points; expected x,y;x,y"),
        ("scalabel/labels.json", '"frameIndex": 1', '"frameIndex": "b"', r'frame 2: "frameIndex" is "b"; expected a whole number'),
        ("scalabel/labels.json", '"x1": 63.5', '"x1": "a"', r'frame 1, label 2: x1 of the box is "a"; expected a number'),
        (
            "label_studio/export.json",
            '"frame": 3',
            '"frame": null',
            "region 1, key frame 2: frame is null; expected a whole number",
        ),
        ("dive/result_clip.json", "[10, 10, 20, 20]", "[10, 10]", r'track 1, feature 2: "bounds" has 2 numbers'),
        ("pysot/set.json", "[9, 19, 6, 4], [NaN", "[9, 19, 6], [NaN", "video Car1, frame 0: 3 numbers; expected left, top"),
        ("rolabelimg/000001.xml", "<w>20.0</w>", "", r"000001\.xml, line 8: <robndbox> has None for w; expected a number"),
        ("imagenet_vid/ILSVRC2015_val_00000001/000001.xml", "<trackid>0", "<trackid>a", r"line 11: 'a' is no trackid"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(name: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    source = TRACKS / name
    folder = shutil.copytree(source.parent, tmp_path / source.parent.name)
    file = folder / source.name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(TracksError, match=message) as raised:
        read_tracks(folder if source.suffix == ".xml" else file, size=SIZE)
    assert "Recognised as" in str(raised.value)
    assert "\n" not in str(raised.value)
