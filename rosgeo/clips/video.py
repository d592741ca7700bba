"""Frames of a video file, through PyAV: decoded one by one, in order where they are asked for in order."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.clips.values import ClipFrame
from rosgeo.errors import OptionError, RasterError
from rosgeo.geometry.mapping import PICTURE_MAPPING
from rosgeo.raster.protocol import Bands, Placement, RasterSource, together
from rosgeo.raster.reading import AS_TAGGED, Reading, equals_any
from rosgeo.types import BoolArray, RasterGrid

__all__ = ["PictureSource", "VideoFrames"]

_FORWARD = 64
"""Frames that are decoded and thrown away rather than sought over."""


class PictureSource:
    """A picture in memory, without georeferencing.

    Parameters
    ----------
    name : str
    values : array (C, height, width)
    colours : tuple of str
        Of each band, in rasterio's names.
    reading : Reading
    """

    def __init__(self, name: str, values: npt.NDArray[Any], colours: tuple[str, ...], reading: Reading = AS_TAGGED) -> None:
        self.name = name
        self.count, height, width = values.shape
        self.dtypes = (str(values.dtype),) * self.count
        self.colours = colours
        self.names = ("",) * self.count
        self.scaling = ((1.0, 0.0),) * self.count
        self.georeferenced = False
        self.placement: Placement | None = None
        self.reading = reading
        self.grid = RasterGrid(height, width, PICTURE_MAPPING)
        self._values = values

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`; everything is valid that is no nodata value of the reading."""
        values = self._values[[b - 1 for b in bands], rows, cols]
        return values, together(values, self._valid(values))

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        step = max(int(np.ceil(max(self.grid.shape) / max_side)), 1)
        values = self._values[[b - 1 for b in bands], ::step, ::step]
        return values, self._valid(values)

    def with_reading(self, reading: Reading) -> PictureSource:
        """See `RasterSource`."""
        return PictureSource(self.name, self._values, self.colours, reading)

    def _valid(self, values: npt.NDArray[Any]) -> BoolArray:
        return ~equals_any(values, (*(self.reading.nodata or ()), *(self.reading.fill or ())))


class VideoFrames:
    """The first video stream of a file.

    Parameters
    ----------
    name : str
        The file.

    Attributes
    ----------
    frames : tuple of ClipFrame
        As many as the file holds, from the time stamps of its packets; nothing is decoded for that.
    fps : float or None
    named : bool
        False: the names of the frames are made up from their place.

    Raises
    ------
    OptionError
        PyAV is not installed.
    RasterError
        The file holds no video that it can decode.

    Notes
    -----
    A frame is known by its time stamp. Asked for in order, frames are decoded one after the other; others are sought from the key frame
    before them. One frame is held at a time, and one thread is served at a time.
    """

    named = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._container: Any = None
        self._decoding: Iterator[Any] | None = None
        self._next = 0
        self._stamps, self.fps, times = _scan(name)
        self.frames = tuple(ClipFrame(i, i, f"{i + 1:06d}.png", time) for i, time in enumerate(times))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_container", "_decoding")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _container=None, _decoding=None, _next=0)

    @contextmanager
    def open(self, index: int, file: Path | None = None) -> Iterator[RasterSource]:
        """One frame; see `FrameStore`."""
        with self._lock:
            picture = self._picture(index)
        yield picture

    def file_of(self, index: int) -> Path | None:
        """None: the frame is in the one file."""
        return None

    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (Path(self.name),)

    def portable(self) -> VideoFrames:
        """Without the time stamps, which are read again where a frame is asked for."""
        store = copy.copy(self)
        store.name = str(Path(self.name).absolute())
        store._stamps, store.frames = [], ()
        return store

    def close(self) -> None:
        """Close the file; it is opened again when a frame is asked for."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = self._decoding = None

    def _picture(self, index: int) -> PictureSource:
        av = _pyav(self.name)
        self._stamps = self._stamps or _scan(self.name)[0]
        wanted = self._stamps[index]
        try:
            if self._decoding is None or not self._next <= index < self._next + _FORWARD:
                self._seek(wanted)
            assert self._decoding is not None
            for frame in self._decoding:
                if frame.pts is not None and frame.pts >= wanted:
                    self._next = index + 1
                    if frame.pts != wanted:
                        break
                    return _picture(frame, f"{self.name} (frame {index})")
        except av.error.FFmpegError as error:
            self._close()
            raise RasterError(f"{self.name}: frame {index} cannot be decoded: {error.strerror or error}") from error
        self._close()
        raise RasterError(f"{self.name}: frame {index} cannot be decoded; the file may be damaged")

    def _seek(self, stamp: int) -> None:
        if self._container is None:
            self._container = _pyav(self.name).open(self.name)
            self._container.streams.video[0].thread_type = "AUTO"
        stream = self._container.streams.video[0]
        self._container.seek(stamp, stream=stream)
        self._decoding = self._container.decode(stream)


def _scan(name: str) -> tuple[list[int], float | None, list[datetime | None]]:
    """The time stamp of each frame in order, how many there are a second, and when each was taken; without decoding."""
    av = _pyav(name)
    try:
        with av.open(name) as container:
            if not container.streams.video:
                raise RasterError(f"{name} holds no video; expected frames (a folder, a pattern of names or a video file)")
            stream = container.streams.video[0]
            # A packet without bytes ends the stream and is no frame.
            stamps = [packet.pts for packet in container.demux(stream) if packet.size]
            fps = float(stream.average_rate) if stream.average_rate else None
            started, unit = _creation_time(container, stream), float(stream.time_base)
    except av.error.FFmpegError as error:
        raise RasterError(f"{name} is not a video file that PyAV can open: {error.strerror or error}") from error
    if not stamps or any(stamp is None for stamp in stamps):
        raise RasterError(f"{name} holds frames without time stamps; write it anew first: ffmpeg -i IN -c copy OUT.mp4")
    stamps.sort()
    times = [None if started is None else started + timedelta(seconds=(stamp - stamps[0]) * unit) for stamp in stamps]
    return stamps, fps, times


def _picture(frame: Any, name: str) -> PictureSource:
    """A decoded frame: grey ones as they are, with 8 or 16 bits, others as 8-bit RGB."""
    kind = frame.format.name
    if kind == "gray":
        return PictureSource(name, frame.to_ndarray(format="gray")[None], ("gray",))
    if kind.startswith("gray"):
        return PictureSource(name, frame.to_ndarray(format="gray16le")[None], ("gray",))
    rgb = np.ascontiguousarray(frame.to_ndarray(format="rgb24").transpose(2, 0, 1))
    return PictureSource(name, rgb, ("red", "green", "blue"))


def _creation_time(container: Any, stream: Any) -> datetime | None:
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time") or ""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _pyav(name: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise OptionError(f"{name} is read as a video file, for which PyAV is needed: pip install av (or rosgeo[video])") from error
    return av
