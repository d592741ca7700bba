"""The moving picture of a clip's outlines, read back by PyAV and Pillow."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import shapely
from PIL import Image
from rosgeo.errors import OptionError, OutputError, RasterError
from rosgeo.pictures.clip import check_clip_preview, track_colours, write_clip_preview

from tests.conftest import small_files
from tests.track_site import HEIGHT, WIDTH, Pictures, harbour, make_clip, make_outlines


def read_mp4(path: Path) -> tuple[list[np.ndarray], Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        told = (stream.codec_context.name, stream.codec_context.pix_fmt, float(stream.average_rate))
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], told


def read_gif(path: Path) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
    return frames, durations


def coloured(frame: np.ndarray, colour: tuple[int, int, int], tolerance: int) -> np.ndarray:
    return (np.abs(frame.astype(int) - colour) <= tolerance).all(axis=2)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_outlines_lie_over_their_frames_in_the_colours_of_their_tracks(tmp_path: Path, suffix: str) -> None:
    outlines = harbour()
    pictures = Pictures(outlines.clip)
    path = tmp_path / f"preview{suffix}"
    write_clip_preview(outlines, pictures, path)
    assert pictures.read == [0, 1, 2, 3]
    if suffix == ".mp4":
        frames, told = read_mp4(path)
        assert told == ("h264", "yuv420p", 2.0)
    else:
        frames, durations = read_gif(path)
        assert durations == [500] * 4
    # Four times as large.
    assert [f.shape for f in frames] == [(4 * HEIGHT, 4 * WIDTH, 3)] * 4
    colours = track_colours([3, 7, 12])
    for i, frame in enumerate(frames):
        # Half the resolution of colours, and a palette of 256, move them a little.
        seen = coloured(frame, colours[7], 90)
        disc = shapely.Point(30 + 2 * i, 24).buffer(13.3)
        edge = shapely.get_coordinates(shapely.segmentize(disc.exterior, 0.5))
        columns, rows = np.floor(4 * edge).astype(int).T
        on_edge = [seen[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].any() for x, y in zip(columns, rows, strict=True)]
        assert np.mean(on_edge) > 0.9
        assert seen.mean() < 0.12
        plain = np.kron(pictures.read_rgb(i), np.ones((4, 4, 1), np.uint8))
        far = (slice(110, 170), slice(230, 275)) if i != 1 else (slice(60, 100), slice(180, 275))
        assert np.abs(frame[far].astype(int) - plain[far]).mean() < 6
        # The frame's number.
        assert (frame[:24, :24].min(axis=2) > 220).sum() > 8
    assert list(tmp_path.iterdir()) == [path]


def test_boxes_of_rows_without_outline_are_drawn(tmp_path: Path) -> None:
    outlines = make_outlines(make_clip(2), [(1, 1, None), (2, 1, None)])
    outlines.rows.loc[1, ["x_min", "y_min", "x_max", "y_max"]] = np.nan
    write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / "a.gif")
    frames, _ = read_gif(tmp_path / "a.gif")
    dark = tuple(round(0.6 * c) for c in track_colours([1])[1])
    assert [coloured(f, dark, 25).sum() > 20 for f in frames] == [True, False]


@pytest.mark.parametrize(
    ("height", "width", "size"), [(2001, 1501, (960, 1280)), (300, 4001, (1280, 96)), (333, 201, (604, 1000)), (1279, 3, (4, 1280))]
)
def test_sizes_are_even_and_fit(tmp_path: Path, height: int, width: int, size: tuple[int, int]) -> None:
    clip = replace(make_clip(1), height=height, width=width)
    write_clip_preview(make_outlines(clip, []), Pictures(clip), tmp_path / "a.mp4")
    frames, _ = read_mp4(tmp_path / "a.mp4")
    assert len(frames) == 1
    found_height, found_width = frames[0].shape[:2]
    assert max(found_height, found_width) <= 1280
    assert found_height % 2 == found_width % 2 == 0
    assert found_width / found_height == pytest.approx(width / height, rel=0.35 if width < 10 else 0.02)


def test_rates(tmp_path: Path) -> None:
    clip = make_clip(3, fps=None)
    for fps, expected, duration in ((None, 10, 100), (29.97, 29.97, 30), (1.25, 1.25, 800)):
        for name in ("a.mp4", "a.gif"):
            write_clip_preview(make_outlines(clip, []), Pictures(clip), tmp_path / name, fps=fps, max_side=64, overwrite=True)
        frames, told = read_mp4(tmp_path / "a.mp4")
        assert (len(frames), told[2]) == (3, pytest.approx(expected, abs=0.01))
        assert read_gif(tmp_path / "a.gif")[1] == [duration] * 3


def test_colours_are_stable_and_apart() -> None:
    colours = track_colours(list(range(1, 25)))
    assert track_colours([*range(24, 0, -1), 3]) == colours
    values = np.array(list(colours.values()))
    assert values.max(axis=1).min() == 255
    apart = np.abs(values[:, None] - values[None]).sum(axis=2) + 999 * np.eye(24)
    assert apart.min() > 25
    # Ids that follow one another are the ones that lie side by side.
    assert np.abs(np.diff(values, axis=0)).sum(axis=1).min() > 150
    assert len(set(track_colours(["b", "a", 1]).values())) == 3


def test_errors_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Pictures):
        def read_rgb(self, index: int) -> np.ndarray:
            if index == 2:
                raise RasterError("000003.png cannot be read")
            return super().read_rgb(index)

    outlines = harbour()
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(RasterError, match="cannot be read"):
            write_clip_preview(outlines, Broken(outlines.clip), tmp_path / name)
        with small_files(300), pytest.raises(OutputError, match=rf"{name} cannot be written"):
            write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / name)
        with pytest.raises(OutputError, match="has no frame to show"):
            write_clip_preview(make_outlines(make_clip(0), []), Pictures(make_clip(0)), tmp_path / name)
        with pytest.raises(OutputError, match="does not exist; make it first"):
            write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / "no" / name)
        for options in ({"fps": -1}, {"fps": float("nan")}, {"max_side": 8}):
            with pytest.raises(OptionError, match="expected a rate above 0, and at least 16 px"):
                write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / name, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match=r"\.mp4 or \.gif"):
        check_clip_preview(tmp_path / "a.avi", overwrite=False)
    (tmp_path / "a.gif").write_text("mine")
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / "a.gif")
    assert (tmp_path / "a.gif").read_text() == "mine"
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OutputError, match=r"needs PyAV; install it with pip install 'rosgeo\[video\]', or name a \.gif"):
        write_clip_preview(outlines, Pictures(outlines.clip), tmp_path / "a.mp4")


def test_a_gif_is_written_frame_by_frame(tmp_path: Path) -> None:
    def peak(frames: int) -> float:
        clip = make_clip(frames)
        tracemalloc.start()
        write_clip_preview(make_outlines(clip, []), Pictures(clip), tmp_path / f"{frames}.gif")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / 1e6

    peak(1)
    # A picture's indices are 54 kB, of 20 frames more a megabyte.
    assert peak(24) - peak(4) < 0.1
