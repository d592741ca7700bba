"""``rosgeo video`` as a user runs it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image
from rosgeo.vector.layers.write import read_record

from tests.cli_site import Cli
from tests.clip_site import HEIGHT, WIDTH, picture, write_frames, write_video
from tests.conftest import WriteRaster


class ClipSite:
    """A folder with a clip of four frames and the boxes of two tracks, as MOTChallenge has them."""

    def __init__(self, folder: Path, cli: Cli, model: Path) -> None:
        self.folder, self._cli, self._model = folder, cli, model
        write_frames(folder / "img1", 4, first=1)
        rows = [(frame, track, 4 + 20 * track + frame, 5 + frame, 14, 12) for frame in range(1, 5) for track in (1, 2)]
        self.gt(rows)

    def gt(self, rows: list[tuple[int, ...]]) -> Path:
        path = self.folder / "gt" / "gt.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{','.join(str(v) for v in row)},1,1,1.0\n" for row in rows))
        return path

    def run(self, *arguments: object) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            return self._cli("video", *arguments, "--model", self._model, "--device", "cpu")

    def done(self, *arguments: object) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return str(result.stdout)

    def refuse(self, *arguments: object, words: str) -> None:
        before = sorted(p for p in self.folder.rglob("*"))
        result = self.run(*arguments)
        assert result.exit_code == 2, result.output
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        assert words in lines[0]
        assert sorted(p for p in self.folder.rglob("*")) == before


@pytest.fixture
def clip(tmp_path: Path, cli: Cli, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> ClipSite:
    monkeypatch.chdir(tmp_path)
    return ClipSite(tmp_path, cli, tiny_model)


def read(path: str) -> gpd.GeoDataFrame:
    return gpd.read_file(path, layer="masks")


def test_a_clip_of_motchallenge(clip: ClipSite) -> None:
    said = clip.done("img1", "gt/gt.txt", "--fps", 10, "--start", "2024-05-01T10:20:30Z")
    frame = read("img1_masks.gpkg")
    assert frame.frame.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert frame.track_id.astype(str).tolist() == ["1", "2"] * 4
    assert frame.time.iloc[2].isoformat() == "2024-05-01T10:20:30.100000+00:00"
    assert (frame.rosgeo_status == "ok").any()
    # y points up, and the frame lies below the x axis, as QGIS shows it.
    outlines = frame.geometry.dropna()
    assert (outlines.bounds.maxy <= 1e-6).all()
    for outline, (_, row) in zip(frame.geometry, frame.iterrows(), strict=True):
        assert outline is None or outline.intersects(shapely.box(row.x_min, -row.y_max, row.x_max, -row.y_min))
    lines = said.splitlines()
    assert lines[0].startswith("4 frames, 8 boxes: ")
    assert lines[1] == "Numbers: frames by the number in their file names (frame_000001.png is frame 1)"
    assert lines[2] == "Tracks: mot; pixels from 1, frames from 1: MOTChallenge"
    assert lines[-1] == "Outlines: img1_masks.gpkg"
    assert read_record("img1_masks.gpkg")["inputs"]["origin"] == "pixels from 1, frames from 1: MOTChallenge"


def test_files_and_a_video_give_the_same(clip: ClipSite) -> None:
    write_video(clip.folder / "clip.mkv", (picture(i) for i in range(4)), codec="ffv1")
    clip.done("img1", "gt/gt.txt", "-q")
    clip.done("clip.mkv", "gt/gt.txt", "-o", "video.gpkg", "-q")
    assert [g and g.wkb for g in read("img1_masks.gpkg").geometry] == [g and g.wkb for g in read("video.gpkg").geometry]


def test_every_set_beside_the_layer(clip: ClipSite) -> None:
    out = (
        "--coco",
        "c.json",
        "--ytvis",
        "y.json",
        "--davis",
        "davis",
        "--mots",
        "mots",
        "--layout",
        "layout",
        "--preview",
        "p.gif",
    )
    said = clip.done("img1", "gt/gt.txt", *out)
    found = (read("img1_masks.gpkg").rosgeo_status == "ok").sum()
    assert len(json.loads((clip.folder / "c.json").read_text())["annotations"]) == found
    assert len(json.loads((clip.folder / "y.json").read_text())["videos"]) == 1
    for folder in ("davis", "mots", "layout"):
        assert any((clip.folder / folder).rglob("*.png"))
    with Image.open("p.gif") as film:
        assert getattr(film, "n_frames", 1) == 4
    for path in out[1::2]:
        assert f": {path}" in said
    clip.refuse("img1", "gt/gt.txt", "-o", "other.gpkg", "--coco", "c.json", words="c.json exists")
    clip.done("img1", "gt/gt.txt", *out, "--overwrite", "-q")


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
def test_outlines_go_on_in_other_tools(clip: ClipSite) -> None:
    out = ("--cvat", "c.xml", "--label-studio", "l.json", "--yolo", "yolo")
    said = clip.done("img1", "gt/gt.txt", *out)
    found = int((read("img1_masks.gpkg").rosgeo_status == "ok").sum())
    assert (clip.folder / "c.xml").read_text().count('outside="0"') == found
    assert sum(len(t["predictions"][0]["result"]) for t in json.loads((clip.folder / "l.json").read_text())) == found
    labels = sorted((clip.folder / "yolo" / "img1" / "labels").iterdir())
    assert len(labels) == 4
    assert sum(len(file.read_text().splitlines()) for file in labels) == found
    for words in ("CVAT annotations: c.xml", "Label Studio tasks: l.json", "Ultralytics labels: yolo"):
        assert words in said
    clip.refuse("img1", "gt/gt.txt", "-o", "o.gpkg", "--cvat", "c.json", words="--cvat c.json: expected a name that ends in .xml")
    clip.refuse("img1", "gt/gt.txt", "-o", "o.gpkg", "--yolo", "yolo", words="exists; pass --overwrite")
    clip.done("img1", "gt/gt.txt", *out, "--overwrite", "-q")


def test_rows_without_a_usable_box_have_a_status(clip: ClipSite) -> None:
    (clip.folder / "groundtruth.txt").write_text("11,11,14,12\n1,1,-1,-1\n0,0,0,0\n14,11,14,12\n")
    result = clip.run("img1", "groundtruth.txt")
    assert result.exit_code == 0
    assert "Warning: groundtruth.txt, line 2: '1,1,-1,-1': the box" in result.stderr
    assert read("img1_masks.gpkg").rosgeo_status.tolist()[1:3] == ["invalid", "invalid"]


def test_fewer_boxes_than_frames(clip: ClipSite) -> None:
    """Which of the frames they are of is told by nothing in a file with a box a line."""
    (clip.folder / "groundtruth.txt").write_text("11,11,14,12\n12,11,14,12\n")
    first = "frame_000001.png to frame_000002.png: --first-frame 1"
    last = "frame_000003.png to frame_000004.png: --first-frame -1"
    clip.refuse("img1", "groundtruth.txt", words=f"If of the first, {first}. If of the last, {last}.")
    clip.refuse("img1", "groundtruth.txt", words="has 2 boxes, one a line, but img1 has 4 frames")
    for first_frame, frames in ((1, [0, 1]), (-1, [2, 3])):
        clip.done("img1", "groundtruth.txt", "-q", "--overwrite", "--first-frame", first_frame, "--coco", "c.json")
        assert read("img1_masks.gpkg").frame.tolist() == [1, 2]
        images = {a["image_id"] - 1 for a in json.loads((clip.folder / "c.json").read_text())["annotations"]}
        assert images <= set(frames)
        assert images


def test_frames_that_begin_before_the_first(clip: ClipSite) -> None:
    """By the numbers of files each row finds its frame; by place all would be one frame off."""
    clip.gt([(0, 1, 10, 10, 14, 12), (1, 1, 12, 10, 14, 12)])
    result = clip.run("img1", "gt/gt.txt", "-q")
    assert result.exit_code == 0
    assert "1 of 2 rows" in result.stderr
    for i, file in enumerate(sorted((clip.folder / "img1").iterdir())):
        file.rename(file.with_name(f"{'abcd'[i]}.png"))
    clip.refuse("img1", "gt/gt.txt", "-o", "o.gpkg", words="frame 0, but MOTChallenge counts frames from 1; --first-frame 0 says")
    clip.done("img1", "gt/gt.txt", "-o", "o.gpkg", "-q", "--first-frame", 0)


def test_boxes_that_are_parts_of_the_picture(clip: ClipSite) -> None:
    (clip.folder / "labels").mkdir()
    for i in (1, 3):
        (clip.folder / "labels" / f"clip_{i}.txt").write_text("0 0.5 0.5 0.25 0.25 7\n")
    clip.done("img1", "labels", "-q")
    frame = read("img1_masks.gpkg")
    assert frame.frame.tolist() == [1, 3]
    assert frame[["x_min", "y_min", "x_max", "y_max"]].iloc[0].tolist() == [24, 18, 40, 30]


def test_the_record_as_json(clip: ClipSite) -> None:
    said = json.loads(clip.done("img1", "gt/gt.txt", "--json", "--interpolate", 2))
    assert said["output"] == "img1_masks.gpkg"
    assert said["inputs"]["format"] == "mot"
    assert said["options"]["interpolate"] == 2
    assert read_record("img1_masks.gpkg")["counts"] == said["counts"]


def test_gaps_are_filled(clip: ClipSite) -> None:
    clip.gt([(1, 1, 10, 10, 14, 12), (4, 1, 16, 10, 14, 12)])
    said = clip.done("img1", "gt/gt.txt", "--interpolate", 2)
    assert "Interpolated: 2 boxes" in said
    frame = read("img1_masks.gpkg")
    assert frame.frame.tolist() == [1, 4, 2, 3]
    np.testing.assert_allclose(np.diff(frame.sort_values("frame").x_min), 2)


def test_rows_of_frames_that_are_not_there(clip: ClipSite) -> None:
    clip.gt([(1, 1, 10, 10, 14, 12), (9, 1, 16, 10, 14, 12)])
    result = clip.run("img1", "gt/gt.txt")
    assert result.exit_code == 0
    assert result.stderr.count("Warning: 1 of 2 rows") == 1
    assert read("img1_masks.gpkg").rosgeo_status.tolist()[1] == "missing"


def test_on_the_map_by_a_homography(clip: ClipSite) -> None:
    text = {"homography": [[0.5, 0, 500_000], [0, -0.5, 4_000_000], [0, 1e-6, 1]], "crs": "EPSG:32633"}
    (clip.folder / "h.json").write_text(json.dumps(text))
    clip.done("img1", "gt/gt.txt", "--georef", "h.json", "-q")
    frame = read("img1_masks.gpkg")
    assert frame.crs.to_epsg() == 32633
    assert (frame.geometry.dropna().bounds.minx > 500_000).all()
    assert frame.rosgeo_area_m2.notna().any()


def test_a_layer_of_tracks_on_georeferenced_frames(clip: ClipSite, write_raster: WriteRaster) -> None:
    """Boxes drawn on the map, with columns of other names; the same as in pixels."""
    (clip.folder / "map").mkdir()
    array = np.repeat(picture(0)[None], 3, axis=0)
    for i in (1, 2):
        write_raster(f"map/f{i}.tif", array=array)
    px = [shapely.box(10, 10, 30, 24), shapely.box(12, 10, 32, 24)]
    on_map = [shapely.transform(b, lambda xy: xy * (0.5, -0.5) + (500_000, 4_000_000)) for b in px]
    layer = gpd.GeoDataFrame({"shot": [1, 2], "car": ["a", "a"]}, geometry=on_map, crs="EPSG:32633")
    layer.to_file(clip.folder / "cars.gpkg", layer="cars")
    clip.done("map", "cars.gpkg", "--layer", "cars", "--frame-column", "shot", "--track-column", "car", "-q")
    frame = read("map_masks.gpkg")
    np.testing.assert_allclose(frame[["x_min", "y_min", "x_max", "y_max"]], [b.bounds for b in px], atol=1e-2)
    assert frame.crs.to_epsg() == 32633


def test_a_worker_elsewhere(clip: ClipSite) -> None:
    clip.done("img1", "gt/gt.txt", "-q")
    clip.done("img1", "gt/gt.txt", "-q", "-o", "w.gpkg", "--workers", 1)
    assert [g and g.wkb for g in read("img1_masks.gpkg").geometry] == [g and g.wkb for g in read("w.gpkg").geometry]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing", "gt/gt.txt"), "nothing: no such folder or file"),
        (("img1", "nothing.txt"), "nothing.txt"),
        (("img1", "gt/gt.txt", "-o", "out.xyz"), ".xyz"),
        (("img1", "gt/gt.txt", "--start", "noon", "--fps", "2"), "--start 'noon'"),
        (("img1", "gt/gt.txt", "--start", "2024-05-01"), "--fps"),
        (("img1", "gt/gt.txt", "--fps", "0"), "fps 0"),
        (("img1", "gt/gt.txt", "--georef", "h.json"), "h.json: no such file"),
        (("img1", "gt/gt.txt", "--first-frame", "100"), "--first-frame N"),
        (("img1", "gt/gt.txt", "--propagate"), "--propagate needs a model"),
        (("img1", "gt/gt.txt", "--propagate", "--resume"), "--resume"),
        (("img1", "gt/gt.txt", "--crs", "EPSG:32633"), "--crs"),
        (("img1", "gt/gt.txt", "--bands", "7"), "band 7"),
        (("img1", "gt/gt.txt", "--preview", "p.png"), "p.png"),
        (("img1", "gt/gt.txt", "--coco", "x.json", "--ytvis", "x.json"), "--ytvis and --coco would both be written to"),
        (("img1", "gt/gt.txt", "--davis", "d", "--mots", "./d"), "--mots and --davis"),
        (("img1", "gt/gt.txt", "-o", "v.gpkg", "--coco", "v.gpkg"), "--coco v.gpkg: expected a name that ends in .json"),
        (("img1", "gt/gt.txt", "-o", "v.geojson", "--layout", "v.geojson"), "--layout and --output"),
        (("img1", "gt/gt.txt", "--format", "csv"), "gt.txt"),
        (("img1", "gt/gt.txt", "-o", "gt/gt.txt"), "gt.txt"),
    ],
)
def test_what_cannot_be_done(clip: ClipSite, arguments: tuple[str, ...], words: str) -> None:
    clip.refuse(*arguments, words=words)


def test_frames_of_two_sizes(clip: ClipSite) -> None:
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 2), np.uint8)).save(clip.folder / "img1" / "frame_000003.png")
    clip.refuse("img1", "gt/gt.txt", words="frame_000003.png has a size of 66 x 48 px, but frame_000001.png has 64 x 48 px")


def test_what_a_set_leaves_out(clip: ClipSite, monkeypatch: pytest.MonkeyPatch) -> None:
    from rosgeo.tracks import sets

    monkeypatch.setattr(sets, "write_davis", lambda *_args, **_more: sets.Written(5, 1, 2))
    said = clip.done("img1", "gt/gt.txt", "--davis", "d", "--fill-holes", "all", "--start", "2024-05-01", "--fps", 5)
    assert "DAVIS masks: d (left out: 1 without a pixel, 2 hidden behind others)" in said
    assert read_record("img1_masks.gpkg")["options"]["start"] == "2024-05-01T00:00:00"
    record = json.loads(clip.done("img1", "gt/gt.txt", "--davis", "d", "--json", "--overwrite"))
    assert record["left_out"] == {"davis": {"without_pixels": 1, "hidden": 2}}


def test_info_tells_a_run_on_frames(clip: ClipSite, cli: Cli) -> None:
    clip.done(
        "img1", "gt/gt.txt", "-q", "--ytvis", "y.json", "--davis", "d", "--layout", "layout", "--start", "2024-05-01", "--fps", 5
    )
    said = cli("info", "img1_masks.gpkg").stdout
    words = (
        "frames:           img1",
        "tracks:           gt/gt.txt",
        "format:           mot",
        "number of frames: 4",
        "start 2024-05-01",
    )
    for word in (*words, "numbers:          frames by the number in their file names"):
        assert word in said
    assert "format:           YouTube-VIS" in cli("info", "y.json").stdout
    assert "kind:             training layout" in cli("info", "layout").stdout
    davis = cli("info", "d")
    assert davis.exit_code == 2
    assert "is nothing that rosgeo knows" in davis.stderr
