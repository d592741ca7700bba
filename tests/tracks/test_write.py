"""Tracks written in every target and read back, and ``rosgeo convert tracks``."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from rosgeo.clips.values import ClipFrame
from rosgeo.errors import OptionError, OutputError, TracksError
from rosgeo.tracks.build import make_tracks
from rosgeo.tracks.formats.registry import TARGETS, recognise
from rosgeo.tracks.match import number_frames
from rosgeo.tracks.mot_rules import mot_candidates
from rosgeo.tracks.read import read_tracks
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.write import write_tracks

from tests.conftest import DATA, small_files

TRACKS = DATA / "tracks"
SUFFIX = {
    "mot": ".txt",
    "otb": ".txt",
    "coco-video": ".json",
    "ytvis": ".json",
    "csv": ".csv",
    "layer": ".gpkg",
    "cvat-video": ".xml",
    "label-studio": ".json",
}
SIZE = (480, 640)
DOUBLES_REFUSED = ("otb", "ytvis", "cvat-video", "label-studio")
BOXES_ONLY = ("mot", "coco-video", "cvat-video", "label-studio")
"""Targets that hold no rows without a box."""

Cli = Callable[..., Result]


def tracks_of(rows: list[tuple[int, int, list[float]]], **more: Any) -> Tracks:
    return make_tracks(
        source="made up",
        format="test",
        frame=np.array([r[0] for r in rows], dtype=np.int64),
        track_id=np.array([r[1] for r in rows], dtype=np.int64),
        xyxy=np.array([r[2] for r in rows], dtype=np.float64).reshape(-1, 4),
        lines=np.arange(1, len(rows) + 1),
        first_frame=more.pop("first_frame", 0),
        **more,
    )


def by_row(tracks: Tracks, *, boxes_only: bool) -> list[tuple[int, str, tuple[float, ...]]]:
    """Place in the clip, track and box of each row, in a definite order."""
    rows = []
    for frame, track, box in zip(tracks.table["frame"] - tracks.first_frame, tracks.table["track_id"], tracks.xyxy, strict=True):
        if np.isfinite(box).all():
            rows.append((int(frame), str(track), tuple(box.tolist())))
        elif not boxes_only:
            rows.append((int(frame), str(track), ()))
    return sorted(rows)


coordinate = st.floats(-1e4, 1e4, allow_nan=False).map(lambda v: round(v, 3))
length = st.one_of(st.just(0.0), st.floats(0.001, 1e4).map(lambda v: round(v, 3)))
a_box = st.one_of(
    st.just([float("nan")] * 4),
    st.tuples(coordinate, coordinate, length, length).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]),
)


@st.composite
def some_tracks(draw: st.DrawFn, *, single: bool = False, unique: bool = False) -> Tracks:
    track = st.just(1) if single else st.integers(1, 5)
    keys = draw(st.lists(st.tuples(st.integers(0, 30), track), min_size=1, max_size=20, unique=unique))
    first = draw(st.sampled_from([0, 1]))
    columns = {"category": [draw(st.sampled_from(["ship", "car"]))] * len(keys)} if draw(st.booleans()) else {}
    return tracks_of([(f + first, t, draw(a_box)) for f, t in keys], first_frame=first, columns=columns)


@pytest.mark.parametrize("format", TARGETS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_is_read_back(format: str, data: st.DataObject, tmp_path: Path) -> None:
    tracks = data.draw(some_tracks(single=format == "otb", unique=format in DOUBLES_REFUSED))
    path = tmp_path / f"out{SUFFIX[format]}"
    lost = write_tracks(tracks, path, format, overwrite=True, size=SIZE)
    without_boxes = int(np.isnan(tracks.xyxy[:, 0]).sum())
    assert any("without a box" in word for word in lost) == (without_boxes > 0 and format in BOXES_ONLY)
    if without_boxes == len(tracks) and format == "mot":
        assert path.read_text() == ""
        return
    # Boxes on both sides of the frame's upper edge do not tell which way y points.
    read = read_tracks(path, format=format, y_axis="up", size=SIZE)
    # ytvis and otb say of every frame whether there is a box.
    boxes_only = format in (*BOXES_ONLY, "ytvis", "otb")
    expected, found = by_row(tracks, boxes_only=boxes_only), by_row(read, boxes_only=boxes_only)
    assert [r[:2] for r in found] == [r[:2] for r in expected]
    np.testing.assert_allclose(
        np.array([r[2] for r in found if r[2]]), np.array([r[2] for r in expected if r[2]]), atol=1e-9, rtol=1e-12
    )
    if "category" in tracks.table and found and format not in ("mot", "otb"):
        assert set(read.table["category"]) <= set(tracks.table["category"])


@pytest.mark.parametrize("format", TARGETS)
def test_a_written_file_is_recognised(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{SUFFIX[format]}"
    write_tracks(tracks_of([(0, 1, [1, 2, 3, 4]), (1, 1, [2, 2, 4, 4])]), path, format, size=SIZE)
    found = recognise(path)
    assert found is not None
    assert found.name == format


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_as_mot_is_never_taken_for_another(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever its scores, classes and visibilities: it is read as mot, or the user is asked."""
    tracks = data.draw(some_tracks())
    count = len(tracks)
    table = tracks.table.assign(
        score=data.draw(st.lists(st.floats(-1, 100), min_size=count, max_size=count)),
        category=[str(v) for v in data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))],
        visibility=data.draw(st.lists(st.sampled_from([0, 0.25, 1]), min_size=count, max_size=count)),
    )
    path = tmp_path / "out.txt"
    write_tracks(replace(tracks, table=table), path, "mot", overwrite=True)
    sample = path.read_text()
    if not any(abs(v) > 1 for line in sample.splitlines() for v in map(float, line.split(",")[2:6])):
        return
    assert "mot" in mot_candidates(path)


def test_pycocotools_reads_the_same_boxes(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    source = read_tracks(TRACKS / "MOT-01")
    assert write_tracks(source, path, "coco-video", size=(480, 640)) == []
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert [i["file_name"] for i in coco.loadImgs(coco.getImgIds())] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert coco.loadImgs(0)[0]["height"] == 480
    first = coco.loadAnns(coco.getAnnIds(imgIds=[0]))
    assert [(a["track_id"], a["bbox"], a["score"]) for a in first] == [(1, [100, 50, 20, 10], 1), (2, [200, 60, 30.5, 12], 1)]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["1", "3"]
    assert len(coco.getAnnIds()) == 4


def test_ytvis_as_its_readers_want_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_tracks(read_tracks(TRACKS / "ytvis.json"), path, "ytvis", size=(480, 640), name="0043f083b5")
    written, original = json.loads(path.read_text()), json.loads((TRACKS / "ytvis.json").read_text())
    assert written["videos"][0]["length"] == 3
    assert written["videos"][0]["file_names"] == ["00000.jpg", "00005.jpg", "00010.jpg"]
    assert [a["bboxes"] for a in written["annotations"]] == [a["bboxes"] for a in original["annotations"]]
    assert [a["id"] for a in written["annotations"]] == [11, 12]
    assert written["categories"] == [{"id": 1, "name": "airplane"}]


def test_mot_counts_from_one(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    lost = write_tracks(read_tracks(TRACKS / "coco_video.json"), path, "mot")
    assert path.read_text() == "1,5,11,21,30,40,1,2,1\n1,6,101.5,201.25,10,5.5,1,1,1\n31,5,15,23,30,40,1,2,1\n"
    assert lost == ["names of categories (class 1 = car, 2 = ship)", "columns area, iscrowd", "file names of frames"]


def test_the_layer_lies_as_qgis_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "out.gpkg"
    write_tracks(read_tracks(TRACKS / "satmtb" / "airplane" / "02" / "det" / "OBB"), path, "layer")
    layer = pyogrio.read_dataframe(path)
    assert layer.geometry.iloc[0].bounds == (300, -440, 350, -400)
    assert layer["frame"].tolist() == [1, 2]
    assert layer["frame_name"].tolist() == ["000001.png", "000002.png"]
    assert layer.crs.name == "Undefined Cartesian SRS"
    assert read_tracks(path).corners is not None


def test_corners_and_names_survive_a_table(tmp_path: Path) -> None:
    source = read_tracks(TRACKS / "satmtb" / "airplane" / "02" / "det" / "OBB")
    assert write_tracks(source, tmp_path / "out.csv", "csv") == []
    read = read_tracks(tmp_path / "out.csv")
    np.testing.assert_array_equal(read.corners, source.corners)
    assert read.frame_names == {1: "000001.png", 2: "000002.png"}
    assert read.table["category"].tolist() == ["WA", "WA"]


def test_targets_that_cannot_hold_the_tracks(tmp_path: Path) -> None:
    doubled = tracks_of([(0, 1, [1, 2, 3, 4]), (0, 1, [1, 2, 3, 4])])
    for format in DOUBLES_REFUSED:
        with pytest.raises(
            OutputError, match=rf"track 1 has more than one row in frame 0 \(lines 1 and 2\), and {format} holds one"
        ):
            write_tracks(doubled, tmp_path / f"out{SUFFIX[format]}", format, size=SIZE)
    two = tracks_of([(0, 1, [1, 2, 3, 4]), (2, 7, [1, 2, 3, 4])])
    with pytest.raises(OutputError, match=r"otb holds one track, and there are 2 \(1, 7, ...\); choose one with --track"):
        write_tracks(two, tmp_path / "out.txt", "otb")
    assert write_tracks(two, tmp_path / "out.txt", "otb", track="7") == ["the track's id", "1 rows of other tracks"]
    assert (tmp_path / "out.txt").read_text() == "NaN,NaN,NaN,NaN\nNaN,NaN,NaN,NaN\n2.0,3.0,2.0,2.0\n"
    other_doubled = tracks_of([(0, 1, [1, 2, 3, 4]), (0, 1, [1, 2, 3, 4]), (0, 7, [1, 2, 3, 4])])
    write_tracks(other_doubled, tmp_path / "out.txt", "otb", track="7", overwrite=True)
    assert (tmp_path / "out.txt").read_text() == "2.0,3.0,2.0,2.0\n"
    early = "made up, line 1: frame -3, but test counts frames from 0; --first-frame -3 says that this file counts from -3"
    with pytest.raises(TracksError, match=early):
        write_tracks(tracks_of([(-3, 1, [1, 2, 3, 4])]), tmp_path / "out.json", "coco-video")
    with pytest.raises(OptionError, match="cannot be written as viso; expected one of layer, ytvis"):
        write_tracks(two, tmp_path / "out.txt", "viso")
    with pytest.raises(OptionError, match=r"files of mot end in \.txt"):
        write_tracks(two, tmp_path / "out.json", "mot")
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.parametrize("format", ["ytvis", "cvat-video", "label-studio"])
def test_rows_of_no_track_are_each_one_of_its_own(format: str, tmp_path: Path) -> None:
    """Where a target holds one row of a track in a frame."""
    source = read_tracks(TRACKS / "dota")
    path = tmp_path / f"out{SUFFIX[format]}"
    assert "that 3 rows are of no track (each is one of its own)" in write_tracks(source, path, format, size=SIZE)
    read = read_tracks(path, format=format, size=SIZE)
    there = np.isfinite(read.xyxy).all(axis=1)
    assert sorted(read.table["track_id"][there].astype(str)) == ["1", "2", "3"]
    np.testing.assert_allclose(sorted(read.xyxy[there].tolist()), sorted(source.xyxy.tolist()))


def test_errors_of_targets_name_the_path_that_was_given(cli: Cli, tmp_path: Path) -> None:
    for target, name, words in (
        ("otb", "o.txt", "otb holds one track"),
        ("label-studio", "o.json", "whose size is in no such file"),
    ):
        result = cli("convert", "tracks", TRACKS / "MOT-01", tmp_path / name, "--to", target)
        assert result.exit_code == 2
        assert result.output.startswith(f"Error: {tmp_path / name}: ")
        assert words in result.output
        assert ".rosgeo-" not in result.output


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("mine")
    many = tracks_of([(f, 1, [1.25, 2.5, 3.75, 4.125]) for f in range(5000)])
    with small_files(10_000), pytest.raises(OutputError, match=r"out\.csv cannot be written"):
        write_tracks(many, path, "csv", overwrite=True)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_convert_says_what_was_read_and_what_is_lost(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    result = cli("convert", "tracks", TRACKS / "ytvis.json", out, "--to", "mot")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    told = "3 boxes of 2 tracks in 3 frames, 3 rows without a box (ytvis); pixels from 0, frames from 0: YouTube-VIS"
    assert lines[0] == f"{TRACKS / 'ytvis.json'}: {told}"
    words = "without 3 rows without a box; names of categories (class 1 = airplane); column iscrowd; file names of frames"
    assert lines[-1] == f"{out} (mot): {words}"
    assert out.read_text() == "1,11,11,21,30,40,1,1,1\n3,11,15.5,23,30,40,1,1,1\n2,12,2,3,3,4,1,1,1\n"
    detections = cli("convert", "tracks", TRACKS / "MOT-01" / "det" / "det.txt", tmp_path / "d.csv", "--to", "csv")
    assert "2 boxes of 0 tracks in 2 frames (mot)" in detections.output
    assert detections.output.splitlines()[1].endswith("(csv): everything is in it")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gt.txt", "out.json", "--to", "coco"], "no format of tracks is called 'coco'; expected one of"),
        (["gt.txt", "gt.txt", "--to", "mot", "--overwrite"], "gt.txt is an input; name another output"),
        (["gt.txt", "there.csv", "--to", "csv"], "there.csv exists; pass --overwrite"),
        (
            ["gt.txt", "out.csv", "--to", "csv", "--from", "otb"],
            "gt.txt, line 2: '2,1': 2 numbers; expected left, top, width, height",
        ),
        (["gt.txt", "out.csv", "--to", "csv"], "gt.txt, line 2: '2,1': 2 numbers; expected frame, id"),
        (["gt.txt", "out.csv", "--to", "csv"], "Recognised as mot (MOTChallenge); if it is another format, name that: --from"),
        (["gt.txt", "out.csv", "--to", "csv", "--from", "mot"], "gt.txt, line 2: '2,1': 2 numbers; expected frame, id"),
        (["nothing", "out.csv", "--to", "csv"], "nothing: no such file or folder"),
        (["gt.txt", "out.json", "--to", "ytvis", "--size", "640"], "--size '640' is no size; expected WIDTHxHEIGHT"),
        (["gt.txt", "out.csv", "--to", "csv", "--column", "x_min"], "--column 'x_min' names no column; expected ROLE=NAME"),
        (["gt.txt", "none/out.csv", "--to", "csv"], "the folder none does not exist"),
    ],
)
def test_convert_fails_in_one_line(cli: Cli, tmp_path: Path, monkeypatch: Any, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gt.txt").write_text("1,1,10,20,30,40,1\n2,1\n")
    Path("there.csv").write_text("mine")
    result = cli("convert", "tracks", *arguments)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gt.txt", "there.csv"]
    assert Path("there.csv").read_text() == "mine"


def test_convert_overwrites_when_told(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.gpkg"
    for _ in range(2):
        result = cli("convert", "tracks", TRACKS / "centres.csv", out, "--to", "layer", "--overwrite", "-q", "--first-frame", 100)
        assert (result.exit_code, result.output) == (0, "")
    read = read_tracks(out)
    assert (read.table["frame"].tolist(), read.first_frame) == ([100, 100, 101, 102], 100)
    assert read.table["x"].tolist()[:2] == [52, 210]


@pytest.mark.parametrize("format", ["csv", "layer"])
def test_a_table_keeps_numbers_names_and_the_first_frame(format: str, tmp_path: Path) -> None:
    late = [(5, 1, [1, 2, 3, 4]), (6, 1, [1, 2, 3, 4])]
    path = tmp_path / f"out{SUFFIX[format]}"
    write_tracks(tracks_of(late, first_frame=1), path, format)
    read = read_tracks(path, y_axis="up")
    assert (read.table["frame"].tolist(), read.first_frame, read.frame_names) == ([5, 6], 1, {})
    assert "rosgeo_first_frame" not in read.table
    files = [ClipFrame(i, i, f"{i + 1:06d}.png") for i in range(8)]
    assert [f.number for f in number_frames(files, read).frames] == [1, 2, 3, 4, 5, 6, 7, 8]
    of_a_video = [ClipFrame(i, i, f"{chr(97 + i)}.png") for i in range(8)]
    assert [f.number for f in number_frames(of_a_video, read).frames] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert read_tracks(path, y_axis="up", first_frame=0).first_frame == 0
    named = tracks_of(late, first_frame=1, frame_names={5: "e.png", 6: "f.png"})
    write_tracks(named, path, format, overwrite=True)
    read = read_tracks(path, y_axis="up")
    assert read.frame_names == {5: "e.png", 6: "f.png"}
    assert "frame_name" not in read.table


def test_a_table_with_two_first_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("frame,id,x,y,w,h,rosgeo_first_frame\n1,1,2,3,4,5,1\n2,1,2,3,4,5,0\n")
    with pytest.raises(TracksError, match=r"t\.csv, line 3: .*0 in column rosgeo_first_frame; expected one whole number"):
        read_tracks(path)
