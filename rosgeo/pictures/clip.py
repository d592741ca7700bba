"""A moving picture of a clip's outlines: the frames, with each outline in the colour of its track."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
from PIL import GifImagePlugin, Image, ImageDraw, ImageFont

from rosgeo.errors import OptionError, OutputError
from rosgeo.tracks.sets.reference import ClipPictures
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines
from rosgeo.types import FloatArray, UInt8Array
from rosgeo.vector.layers.write import check_output, writing

__all__ = ["check_clip_preview", "track_colours", "write_clip_preview"]

_USUAL_FPS = 10.0
_MOST_ENLARGED = 4
_OUTLINE_PX, _BOX_PX = 2, 1
_TEXT_PX = 16
_QUALITY = "20"
"""Of H.264, as its crf: outlines of two pixels stay sharp."""

_Colour = tuple[int, int, int]


def check_clip_preview(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> Path:
    """Raise OutputError where a clip's preview cannot be written; see `check_output`."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".mp4", ".gif"):
        raise OutputError(f"{path}: a clip's preview is a .mp4 or .gif file")
    if suffix == ".mp4":
        try:
            import av  # noqa: F401
        except ModuleNotFoundError:
            raise OutputError(
                f"{path}: a .mp4 file needs PyAV; install it with pip install 'rosgeo[video]', or name a .gif file"
            ) from None
    return check_output(path, overwrite=overwrite, inputs=inputs)


def write_clip_preview(
    outlines: ClipOutlines,
    frames: ClipPictures,
    path: str | Path,
    *,
    fps: float | None = None,
    max_side: int = 1280,
    overwrite: bool = False,
) -> None:
    """Draw the outlines of a clip over its frames.

    Parameters
    ----------
    outlines : ClipOutlines
        Boxes of all rows are drawn, thin; outlines of those that have one.
    frames : ClipPictures
        The pictures of the same clip, of which one is in memory at a time.
    path : path
        ``.mp4`` (H.264; needs PyAV) or ``.gif``.
    fps : float, optional
        Frames a second; those of the clip, or 10 where it has none. A .gif counts hundredths of a second a frame, at least two.
    max_side : int
        Longest side of the picture in pixels. Small frames are enlarged up to four times, so that outlines can be told apart.
    overwrite : bool
        An existing file is replaced when the new one is whole.

    Raises
    ------
    OptionError
        fps or max_side is not above 0.
    OutputError
        The clip has no frame, or the file exists or cannot be written.

    Notes
    -----
    The number of the frame, as the tracks count, stands in the upper left corner.
    """
    rate = fps or outlines.clip.fps or _USUAL_FPS
    if not 0 < rate < np.inf or max_side < 16:
        raise OptionError(f"preview of {rate:g} frames a second and {max_side} px: expected a rate above 0, and at least 16 px")
    target = check_clip_preview(path, overwrite=overwrite)
    if not outlines.clip.frames:
        raise OutputError(f"{target}: the clip {outlines.clip.name} has no frame to show")
    size = _picture_size(outlines.clip.height, outlines.clip.width, max_side)
    with writing(target) as partial, _film(partial, size, rate) as film:
        for picture in _pictures(outlines, frames, size):
            film.add(picture)


def track_colours(track_ids: list[int | str]) -> dict[int | str, _Colour]:
    """A bright colour for each track of a clip, which depends on its place among the sorted ids alone."""
    colours = {}
    for i, track_id in enumerate(sorted(set(track_ids), key=lambda t: (isinstance(t, str), t))):
        # Steps of the golden ratio: each next hue lies in the widest gap. Hues that come close are of numbers 13, 21 or 34 apart, and so
        # of another saturation.
        red, green, blue = colorsys.hsv_to_rgb((0.95 + 0.618034 * i) % 1, (0.95, 0.5, 0.75, 0.35)[i % 4], 1.0)
        colours[track_id] = (round(255 * red), round(255 * green), round(255 * blue))
    return colours


def _picture_size(height: int, width: int, max_side: int) -> tuple[int, int]:
    """Width and height of the picture: even, as H.264 with halved colours needs them."""
    longest = max(height, width)
    scale = max_side / longest if longest > max_side else min(_MOST_ENLARGED, max_side // longest)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _pictures(outlines: ClipOutlines, frames: ClipPictures, size: tuple[int, int]) -> Iterator[Image.Image]:
    rows = outlines.rows
    ids = rows["track_id"].tolist()
    colours = track_colours(ids)
    boxes: FloatArray = rows[list(BOX_COLUMNS)].to_numpy(dtype=np.float64)
    geometry = rows.geometry.to_numpy()
    of_frame: dict[int, list[int]] = {}
    for row, number in enumerate(rows["frame"].tolist()):
        of_frame.setdefault(number, []).append(row)
    scale = np.array([size[0] / outlines.clip.width, size[1] / outlines.clip.height])
    # Some builds of Pillow have no font of other sizes.
    font = ImageFont.load_default(_TEXT_PX) if size[1] > 4 * _TEXT_PX else ImageFont.load_default()
    for frame in outlines.clip.frames:
        picture = _scaled(frames.read_rgb(frame.index), size)
        draw = ImageDraw.Draw(picture)
        for row in of_frame.get(frame.number, []):
            _draw(draw, boxes[row], geometry[row], scale, colours[ids[row]])
        draw.text((6, 4), str(frame.number), fill="white", stroke_width=1, stroke_fill="black", font=font)
        yield picture


def _scaled(pixels: UInt8Array, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(pixels)
    larger = size[0] >= picture.width
    return picture.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.BILINEAR)


def _draw(draw: ImageDraw.ImageDraw, box: FloatArray, polygon: Any, scale: FloatArray, colour: _Colour) -> None:
    # Pillow puts a pixel's centre at whole numbers, rosgeo at halves.
    if np.isfinite(box).all():
        low, high = np.round(box.reshape(2, 2) * scale - 0.5)
        draw.rectangle([tuple(low), tuple(high)], outline=_darker(colour), width=_BOX_PX)
    if polygon is None or polygon.is_empty:
        return
    for ring in shapely.get_rings(shapely.get_parts(polygon)):
        points = shapely.get_coordinates(ring) * scale - 0.5
        draw.line([tuple(p) for p in points], fill=colour, width=_OUTLINE_PX, joint="curve")


def _darker(colour: _Colour) -> _Colour:
    red, green, blue = (round(0.6 * c) for c in colour)
    return red, green, blue


class _Film(Protocol):
    def add(self, picture: Image.Image) -> None: ...


@contextmanager
def _film(path: Path, size: tuple[int, int], fps: float) -> Iterator[_Film]:
    if path.suffix.lower() == ".gif":
        with path.open("wb") as file:
            film = _Gif(file, fps)
            yield film
            film.end()
        return
    import av

    with av.open(str(path), "w", format="mp4") as container:
        try:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        except (av.FFmpegError, ValueError):
            # A build of FFmpeg without it.
            stream = container.add_stream("mpeg4", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        stream.options = {"crf": _QUALITY, "preset": "veryfast"}
        yield _Video(container, stream)
        container.mux(stream.encode())


class _Video:
    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream

    def add(self, picture: Image.Image) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))


class _Gif:
    """Frame after frame with a palette each: Pillow's own way to save a film holds all of its frames."""

    def __init__(self, file: Any, fps: float) -> None:
        self._file = file
        self._milliseconds = max(20, round(100 / fps) * 10)
        self._begun = False

    def add(self, picture: Image.Image) -> None:
        indexed = picture.quantize(256, dither=Image.Dither.NONE)
        if not self._begun:
            header, _ = GifImagePlugin.getheader(indexed, info={"loop": 0, "duration": self._milliseconds})
            self._file.writelines(header)
            self._begun = True
        parts = GifImagePlugin.getdata(indexed, duration=self._milliseconds, include_color_table=True)
        self._file.writelines(parts)
        # Pillow hangs the list on a class, which goes away no sooner than the garbage collector comes.
        parts.clear()

    def end(self) -> None:
        self._file.write(b";")
