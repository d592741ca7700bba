"""The frames of a clip: files and video files, their order, stretch, numbers and times."""

from __future__ import annotations

import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import CRS
from rosgeo.clips.frames import FrameSequence, open_frames
from rosgeo.clips.georef import Georeference
from rosgeo.clips.values import ClipFrame
from rosgeo.errors import InputFileNotFoundError, OptionError, RasterError
from rosgeo.geometry.mapping import HomographyMapping
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.tracks.match import number_frames

from tests.clip_site import HEIGHT, WIDTH, make_tracks, picture, write_frames, write_video
from tests.conftest import WriteRaster

BOX = (1.0, 1.0, 5.0, 5.0)


def names(frames: FrameSequence) -> list[str]:
    return [frame.name for frame in frames.clip.frames]


# ---------------------------------------------------------------- files


def test_natural_order(tmp_path: Path) -> None:
    for name in ("f10", "f9", "f100", "f1", "e2"):
        Image.fromarray(picture(0)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".f0.png").write_text("what a file manager leaves")
    assert names(open_frames(tmp_path)) == ["e2.png", "f1.png", "f9.png", "f10.png", "f100.png"]
    frames = open_frames(str(tmp_path / "f*.png"))
    assert names(frames) == ["f1.png", "f9.png", "f10.png", "f100.png"]
    assert (frames.clip.name, frames.clip.height, frames.clip.width) == (tmp_path.name, HEIGHT, WIDTH)
    assert names(open_frames(tmp_path / "f9.png")) == ["f9.png"]


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 1), (".png", 3), (".jpg", 1), (".jpg", 3), (".tif", 1), (".tif", 3)])
def test_8_bit_frames_are_as_they_are(tmp_path: Path, suffix: str, channels: int) -> None:
    write_frames(tmp_path / "clip", 3, suffix=suffix, channels=channels)
    frames = open_frames(tmp_path / "clip")
    for i in (2, 0):
        with Image.open(tmp_path / "clip" / f"frame_{i:06d}{suffix}") as image:
            stored = np.asarray(image.convert("RGB"))
        read = frames.read_rgb(i)
        assert (read.dtype, read.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
        # Decoders of JPEG differ by a few levels in how they enlarge the halved colours.
        assert np.abs(read.astype(int) - stored).max() <= (8 if suffix == ".jpg" and channels == 3 else 0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_frames_are_stretched_over_the_whole_clip(tmp_path: Path, suffix: str) -> None:
    write_frames(tmp_path / "clip", 5, suffix=suffix, dtype="uint16")
    frames = open_frames(tmp_path / "clip", stretch="percentile:0,100")
    everything = np.stack([picture(i, dtype="uint16") for i in range(5)])
    assert frames.stretch.low == (everything.min(),) * 3
    assert frames.stretch.high == (everything.max(),) * 3
    # A darker frame stays darker than a brighter one.
    means = [frames.read_rgb(i).mean() for i in range(5)]
    assert np.diff(means).min() > 20
    low, high = np.percentile(everything, [2, 98])
    auto = open_frames(tmp_path / "clip").stretch
    assert (auto.low[0], auto.high[0]) == pytest.approx((low, high))  # type: ignore[index]


def test_a_clip_of_one_frame_is_stretched_as_a_scene(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", 1, dtype="uint16")
    with open_source(tmp_path / "clip" / "frame_000000.png") as source:
        scene = open_reader(source, bands=None, stretch=parse_stretch("auto"), padding_rgb=(0, 0, 0)).stretch
    assert open_frames(tmp_path / "clip").stretch == scene


def test_the_sample_of_a_long_clip_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path / "clip", 60, dtype="uint16")
    read = []
    monkeypatch.setattr(
        "rosgeo.raster.source.RasterioSource.read_decimated",
        lambda self, bands, side: (read.append(self.name), (np.ones((3, 2, 2), np.uint16), np.ones((2, 2), bool)))[1],
    )
    open_frames(tmp_path / "clip")
    assert len(read) == 16
    assert (read[0].endswith("000000.png"), read[-1].endswith("000059.png")) == (True, True)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (np.zeros((HEIGHT, WIDTH + 1), np.uint8), r"b\.png has a size of 65 x 48 px, but a\.png has 64 x 48 px"),
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), r"b\.png has bands of 3 x uint8, but a\.png has 1 x uint8"),
        (np.zeros((HEIGHT, WIDTH), np.uint16), r"b\.png has bands of 1 x uint16, but a\.png has 1 x uint8"),
    ],
)
def test_frames_that_do_not_fit_together(tmp_path: Path, other: np.ndarray, words: str) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    Image.fromarray(other).save(tmp_path / "b.png")
    with pytest.raises(RasterError, match=words):
        open_frames(tmp_path)


def test_frames_of_two_crs(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("a.tif")
    write_raster("b.tif", crs="EPSG:32634")
    with pytest.raises(RasterError, match=r"b\.tif has the CRS EPSG:32634, but a\.tif has EPSG:32633"):
        open_frames(tmp_path)


def test_a_file_that_cannot_be_opened_is_kept_as_unreadable(tmp_path: Path) -> None:
    write_frames(tmp_path, 3)
    (tmp_path / "frame_000000.png").write_bytes(b"")
    frames = open_frames(tmp_path)
    assert (len(frames), list(frames.unreadable)) == (3, [0])
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(RasterError, match="not one of the 3 frames"):
        open_frames(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing", "no such folder or file"), ("no*.png", "holds no frames"), ("", "empty"), (".", "holds no frames")],
)
def test_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputFileNotFoundError, match=words):
        open_frames(name)


def test_two_files_a_frame(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    Image.fromarray(picture(0)).save(tmp_path / "a.jpg")
    with pytest.raises(RasterError, match="one file a frame"):
        open_frames(tmp_path)


# ---------------------------------------------------------------- where frames lie


def test_frames_without_georeferencing_lie_where_qgis_shows_them(tmp_path: Path) -> None:
    frames = open_frames(write_frames(tmp_path / "clip", 1))
    with frames.source(0) as source:
        np.testing.assert_array_equal(source.grid.mapping.to_map(np.array([[3.0, 4.0]])), [[3, -4]])
    assert frames.crs is None
    np.testing.assert_array_equal(frames.mapping(0).to_px(np.array([[3.0, -4.0]])), [[3, 4]])


def test_each_frame_may_lie_elsewhere(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("a.tif")
    write_raster("b.tif", transform=Affine(0.5, 0, 500_100, 0, -0.5, 4_000_000))
    frames = open_frames(tmp_path)
    assert frames.crs is not None
    assert frames.crs.to_epsg() == 32633
    assert [frames.mapping(i).to_map(np.zeros((1, 2)))[0, 0] for i in (0, 1)] == [500_000, 500_100]


def test_world_files_count(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", 1)
    (tmp_path / "clip" / "frame_000000.pgw").write_text("0.5\n0\n0\n-0.5\n100.25\n199.75\n")
    np.testing.assert_allclose(open_frames(tmp_path / "clip").mapping(0).to_map(np.zeros((1, 2))), [[100, 200]])


def test_one_georeferencing_for_all(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 2)
    mapping = HomographyMapping(np.array([[1, 0, 500], [0, -1, 900], [0, 1e-3, 1]]))
    frames = open_frames(folder, georef=Georeference(mapping, CRS.from_epsg(32633), "h.json"))
    with frames.source(1) as source:
        assert source.grid.mapping is mapping
        assert source.georeferenced
    assert frames.crs == CRS.from_epsg(32633)
    horizon = HomographyMapping(np.array([[1, 0, 0], [0, -1, 0], [0, -1 / 40, 1]]))
    with pytest.raises(RasterError, match=r"h\.json: the horizon"):
        open_frames(folder, georef=Georeference(horizon, CRS.from_epsg(32633), "h.json"))
    with pytest.raises(RasterError, match=r"grid\.tif is of 20 x 10 px"):
        open_frames(folder, georef=Georeference(mapping, CRS.from_epsg(32633), "grid.tif", (10, 20)))


# ---------------------------------------------------------------- time


def test_times_of_the_files(tmp_path: Path) -> None:
    for i, name in enumerate(("a.tif", "b.tif")):
        with rasterio.open(tmp_path / name, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as out:
            out.update_tags(TIFFTAG_DATETIME=f"2024:05:01 10:20:3{i}")
    assert [f.time for f in open_frames(tmp_path).clip.frames] == [datetime(2024, 5, 1, 10, 20, 30 + i) for i in (0, 1)]
    (tmp_path / "a.tif").unlink()
    write_frames(tmp_path, 0)
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8"):
        pass
    # Where one frame does not tell, none does.
    assert [f.time for f in open_frames(tmp_path).clip.frames] == [None, None]


def test_times_from_the_first_frame_and_fps(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", 3)
    start = datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
    clip = open_frames(tmp_path / "clip", fps=4, start=start).clip
    assert [(f.time - start).total_seconds() for f in clip.frames] == [0, 0.25, 0.5]  # type: ignore[operator]
    assert clip.fps == 4
    with pytest.raises(OptionError, match="--fps"):
        open_frames(tmp_path / "clip", start=start)
    with pytest.raises(OptionError, match="above 0"):
        open_frames(tmp_path / "clip", fps=0)


# ---------------------------------------------------------------- video files


@pytest.mark.parametrize("order", [range(20), [19, 0, 7, 8, 6, 13, 13, 1], [10, 2]])
def test_frames_of_a_video_in_any_order(tmp_path: Path, order: list[int]) -> None:
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(20)), codec="ffv1")
    frames = open_frames(path)
    assert (len(frames), frames.clip.fps, frames.clip.name) == (20, 5, "clip")
    assert names(frames)[:2] == ["000001.png", "000002.png"]
    for i in order:
        np.testing.assert_array_equal(frames.read_rgb(i), np.repeat(picture(i)[..., None], 3, axis=2))


def test_compressed_frames_with_frames_between(tmp_path: Path) -> None:
    """H.264 stores frames in another order than it shows them; each comes out at its own place."""
    path = write_video(
        tmp_path / "clip.mp4", (picture(i, channels=3) for i in range(20)), creation_time="2024-05-01T10:20:30.000000Z"
    )
    frames = open_frames(path)
    assert len(frames) == 20
    for i in [*range(20), 3, 17, 4]:
        assert frames.read_rgb(i).mean() == pytest.approx(picture(i, channels=3).mean(), abs=3)
    start = datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
    assert [(f.time - start).total_seconds() for f in frames.clip.frames[:3]] == pytest.approx([0, 0.2, 0.4])  # type: ignore[operator]


def test_frames_in_order_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(20)), codec="ffv1")
    frames = open_frames(path)
    sought = []
    real = type(frames.store)._seek  # type: ignore[attr-defined]
    monkeypatch.setattr(type(frames.store), "_seek", lambda self, stamp: (sought.append(stamp), real(self, stamp)))
    for i in (0, 1, 2, 5, 6, 19):
        frames.read_rgb(i)
    assert len(sought) <= 1  # the first was decoded when the clip was opened


def test_16_bit_grey_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", (picture(i, dtype="uint16") for i in range(4)), codec="ffv1")
    frames = open_frames(path, stretch="range:0,25500")
    np.testing.assert_array_equal(frames.read_rgb(3)[..., 0], picture(3))


def test_a_video_goes_to_a_worker(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(9)), codec="ffv1")
    frames = open_frames(path)
    frames.read_rgb(3)
    sent = pickle.dumps(frames.portable())
    assert len(sent) < 4000
    with pickle.loads(sent).source(8) as source:
        np.testing.assert_array_equal(source.read((1, 1, 1), slice(0, HEIGHT), slice(0, WIDTH))[0][0], picture(8))


def test_files_go_to_a_worker_by_their_names(tmp_path: Path) -> None:
    frames = open_frames(write_frames(tmp_path / "clip", 20))
    sent = pickle.dumps(frames.portable())
    assert b"frame_0" not in sent
    with pickle.loads(sent).source(7, frames.store.file_of(7)) as source:
        np.testing.assert_array_equal(source.read((1, 1, 1), slice(0, HEIGHT), slice(0, WIDTH))[0][0], picture(7))


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video at all")
    with pytest.raises(RasterError, match=r"clip\.mp4 is not a video file"):
        open_frames(tmp_path / "clip.mp4")


def test_a_damaged_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(9)), codec="ffv1")
    frames = open_frames(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    moved = open_frames(path)
    moved.store._stamps = frames.store._stamps  # type: ignore[attr-defined]
    with pytest.raises(RasterError, match="frame 8 cannot be decoded"):
        moved.read_rgb(8)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"whatever")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OptionError, match=r"pip install av"):
        open_frames(tmp_path / "clip.mp4")
    assert av is not None


# ---------------------------------------------------------------- numbers


def clip(*given: str) -> list[ClipFrame]:
    return [ClipFrame(i, i, name) for i, name in enumerate(given)]


def numbers(frames: list[ClipFrame], wanted: list[int], **how: object) -> tuple[list[int], str]:
    first = how.pop("first", None)
    found = number_frames(frames, make_tracks([(n, 1, BOX) for n in wanted], **how), first_frame=first)  # type: ignore[arg-type]
    assert [f.index for f in found.frames] == list(range(len(frames)))
    return [f.number for f in found.frames], found.how


@pytest.mark.parametrize(
    ("files", "wanted", "how", "expected"),
    [
        # The tracks tell names, with another suffix too; a frame that they do not name comes after all.
        (["b.png", "a.png", "c.png"], [1, 2], {"frame_names": {1: "x/a.jpg", 2: "b.png"}}, ([2, 1, 3], "file name")),
        # The rows know a frame without a name, which is not the one that they do not name.
        (["a.png", "c.png"], [1, 2], {"frame_names": {1: "a.png"}}, ([1, 3], "file name")),
        # Not one of the names is there.
        (["f_1.png", "f_2.png"], [1, 2], {"frame_names": {1: "x.png"}}, ([1, 2], "number in the file name")),
        (["f_100.png", "f_101.png"], [100, 101], {}, ([100, 101], "number in the file name")),
        (["cam2_100.png", "cam2_101.png"], [100, 101], {}, ([100, 101], "number in the file name")),
        # Files from 0, tracks from 1: by place.
        (["000.png", "001.png", "002.png"], [1, 2, 3], {"first_frame": 1}, ([1, 2, 3], "place")),
        # A file is missing: what follows is not shifted.
        (["001.png", "002.png", "004.png"], [1, 2, 3, 4], {"first_frame": 1}, ([1, 2, 4], "number in the file name")),
        # Numbers that mean something else.
        (["t_1700.png", "t_1850.png", "t_1999.png"], [1, 2, 3], {"first_frame": 1}, ([1, 2, 3], "place")),
        (["a.png", "b.png"], [0, 1], {}, ([0, 1], "place")),
        (["s1.png", "t1.png"], [1, 2], {"first_frame": 1}, ([1, 2], "place")),
        # The user's word.
        (["f_100.png", "f_101.png"], [100, 101], {"first": 99}, ([99, 100], "place")),
    ],
)
def test_numbers(files: list[str], wanted: list[int], how: dict[str, object], expected: tuple[list[int], str]) -> None:
    assert numbers(clip(*files), wanted, **how) == expected


def test_made_up_names_tell_no_numbers() -> None:
    """A video file and a CSV from 0 without a row in frame 0: nothing is shifted."""
    frames = clip("000001.png", "000002.png", "000003.png")
    found = number_frames(frames, make_tracks([(1, 1, BOX), (2, 1, BOX)]), named=False)
    assert ([f.number for f in found.frames], found.how) == ([0, 1, 2], "place")
