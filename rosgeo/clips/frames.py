"""The frames of a clip, one raster each: files, or a video file that is decoded frame by frame."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pyproj import CRS
from rasterio.dtypes import check_dtype

from rosgeo.clips.georef import Georeference
from rosgeo.clips.values import Clip, ClipFrame, natural_key
from rosgeo.errors import InputFileNotFoundError, OptionError, PixelsWarning, RasterError
from rosgeo.geometry.mapping import PICTURE_MAPPING, HomographyMapping
from rosgeo.raster.bands import Band, Stretch, choose_bands, fit_stretch, parse_stretch
from rosgeo.raster.crops import CropReader
from rosgeo.raster.reading import AS_TAGGED, Reading, require_holdable
from rosgeo.raster.sample import STATISTICS_SIDE, sample_scene
from rosgeo.raster.source import RasterSource, open_source
from rosgeo.types import PixelMapping, RasterGrid, UInt8Array

__all__ = ["PICTURES", "FrameSequence", "open_frames"]

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Frames as files; any other file is taken for a video."""

_STATISTICS_FRAMES = 16


class FrameStore(Protocol):
    """Where frames come from."""

    name: str
    frames: tuple[ClipFrame, ...]
    fps: float | None
    named: bool
    """Whether the names of the frames are those of files; else they are made up and tell nothing."""

    def open(self, index: int, file: Path | None = None) -> AbstractContextManager[RasterSource]:
        """One frame as a raster, its grid as stored; `file` where the store was sent without its files."""

    def file_of(self, index: int) -> Path | None:
        """Where the frame is a file of its own."""

    def files(self) -> tuple[Path, ...]:
        """All files that hold the frames."""

    def portable(self) -> FrameStore:
        """Without what grows with the number of frames."""


class _Files:
    """Frames that are files of their own."""

    named = True

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self.paths = tuple(paths)
        self.frames = tuple(ClipFrame(i, i, path.name) for i, path in enumerate(paths))
        self.fps: float | None = None

    def open(self, index: int, file: Path | None = None) -> AbstractContextManager[RasterSource]:
        return open_source(file or self.paths[index])

    def file_of(self, index: int) -> Path | None:
        return self.paths[index].absolute()

    def files(self) -> tuple[Path, ...]:
        return self.paths

    def portable(self) -> _Files:
        return _Files(self.name, ())


class FrameSequence:
    """The frames of a clip, all of one size, and how their values become 8-bit RGB.

    Holds no pixels: a frame is read when it is asked for. Can be pickled.

    Parameters
    ----------
    store : FrameStore
        Where frames come from.
    clip : Clip
        What is known of the clip.
    bands : tuple of three int
        From 1.
    stretch : Stretch
        Band values to 8-bit, the same for all frames.
    georef : Georeference, optional
        Of all frames, in place of their own.
    crs : CRS or None
        Of the map frame.
    georeferenced : bool
        True where each frame has a map frame of its own.
    unreadable : dict of int to str
        Frames that cannot be opened, by index, and why.
    reading : Reading
        How the pixels of each frame are read.
    """

    def __init__(
        self,
        store: FrameStore,
        clip: Clip,
        bands: tuple[int, int, int],
        stretch: Stretch,
        *,
        georef: Georeference | None = None,
        crs: CRS | None = None,
        georeferenced: bool = False,
        unreadable: dict[int, str] | None = None,
        reading: Reading = AS_TAGGED,
    ) -> None:
        self.reading = reading
        self.store = store
        self.clip = clip
        self.bands = bands
        self.stretch = stretch
        self.georef = georef
        self.crs = crs
        self.georeferenced = georeferenced
        self.unreadable = unreadable or {}

    def __len__(self) -> int:
        return len(self.clip.frames)

    @property
    def name(self) -> str:
        """For messages and the record."""
        return self.store.name

    def with_frames(self, frames: Sequence[ClipFrame]) -> FrameSequence:
        """The same frames under other numbers, names or times; in order."""
        return self._changed(self.store, frames, self.unreadable)

    def portable(self) -> FrameSequence:
        """What a worker of a cluster needs; small whatever the number of frames. Frames that are files are then opened by their name."""
        return self._changed(self.store.portable(), (), {})

    def _changed(self, store: FrameStore, frames: Sequence[ClipFrame], unreadable: dict[int, str]) -> FrameSequence:
        clip = replace(self.clip, frames=tuple(frames))
        more: dict[str, Any] = {
            "georef": self.georef, "crs": self.crs, "georeferenced": self.georeferenced, "reading": self.reading,
        }  # fmt: skip
        return FrameSequence(store, clip, self.bands, self.stretch, **more, unreadable=unreadable)

    def mapping(self, index: int) -> PixelMapping:
        """Pixel frame <-> map frame of a frame; it is opened only where each has one of its own."""
        if self.georef is not None:
            return self.georef.mapping
        if not self.georeferenced:
            return PICTURE_MAPPING
        with self.source(index) as source:
            return source.grid.mapping

    @contextmanager
    def source(self, index: int, file: Path | None = None) -> Iterator[RasterSource]:
        """One frame as a raster, in the map frame of the clip: the given georeferencing, else its own, else x = column and y = -row.

        `file` names it where this is `portable`.

        Raises
        ------
        RasterError
            The frame cannot be read.
        """
        with self.store.open(index, file) as opened:
            source = opened.with_reading(self.reading)
            source.grid = _grid(source, self.georef)
            source.georeferenced = source.georeferenced or self.georef is not None
            yield source

    def read_rgb(self, index: int) -> UInt8Array:
        """A whole frame after the stretch: uint8 (height, width, 3), 0 on nodata."""
        with self.source(index) as source:
            values, valid = source.read(self.bands, slice(0, source.grid.height), slice(0, source.grid.width))
            rgb: UInt8Array = np.where(valid, self.stretch.apply(values), 0).astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(rgb)

    def reader(self, source: RasterSource, padding_rgb: tuple[int, int, int]) -> CropReader:
        """What reads crops of one of the frames."""
        return CropReader(source, self.bands, self.stretch, padding_rgb)


def open_frames(
    frames: str | Path,
    *,
    bands: tuple[Band, ...] | None = None,
    stretch: str | Stretch = "auto",
    reading: Reading = AS_TAGGED,
    georef: Georeference | None = None,
    fps: float | None = None,
    start: datetime | None = None,
) -> FrameSequence:
    """Open the frames of a clip.

    Parameters
    ----------
    frames : path
        A folder of PNG, JPEG or TIFF files, a pattern of their names (``clip/frame_*.png``), one such file, or a video file that PyAV
        decodes. Files come in natural order: frame_2 before frame_10.
    bands : tuple of one or three int or str, optional
        From 1, or names; see `choose_bands`.
    stretch : str or Stretch
        See `parse_stretch`; percentiles are of a sample of up to 16 frames over the whole clip.
    reading : Reading
        Its nodata values; frames have no RPCs.
    georef : Georeference, optional
        Of all frames, in place of their own.
    fps : float, optional
        Frames a second. Default: a video file's own.
    start : datetime, optional
        When the first frame was taken. Default: what the files say of themselves.

    Returns
    -------
    FrameSequence
        Frames are numbered from 0; see `rosgeo.tracks.match.number_frames`. A file that cannot be opened is kept, as unreadable.

    Raises
    ------
    InputFileNotFoundError
        No such folder or file, or no frame in it.
    RasterError
        Frames of different sizes, types or CRS; not one that can be opened; a video that cannot be decoded.
    OptionError
        `fps` is not above zero.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise OptionError(f"fps {fps}: expected a number above 0")
    store = _store(str(frames))
    store.fps = fps or store.fps
    first, times, unreadable = _survey(store, georef)
    with store.open(first) as source:
        chosen = choose_bands(source.count, source.colours, bands, store.frames[first].name, source.names)
        scaling = [source.scaling[b - 1] for b in chosen]
        _require_real(source, chosen)
        grid = _grid(source, georef)
        shape, georeferenced = source.grid.shape, source.georeferenced
        kinds = {source.dtypes[b - 1] for b in chosen}
        for kind in kinds:
            require_holdable(reading.nodata or (), kind, store.name)
    if georef is not None:
        _require_ground(georef, shape, store.name)
    clip = Clip(_clip_name(Path(store.name)), *shape, _timed(store.frames, times, store.fps, start), store.fps)
    readable = [i for i in range(len(store.frames)) if i not in unreadable]
    if isinstance(stretch, Stretch):
        fitted = stretch
    else:
        fitted, reading = _fit_stretch(store, readable, chosen, kinds, stretch, scaling, reading)
    own = georef is None and georeferenced
    return FrameSequence(
        store, clip, chosen, fitted, georef=georef, crs=grid.crs, georeferenced=own, unreadable=unreadable, reading=reading
    )


def _clip_name(path: Path) -> str:
    """Of its folder, or of its video file."""
    if path.is_dir():
        return path.resolve().name or "clip"
    return path.stem if path.is_file() else path.parent.resolve().name or "clip"


def _store(frames: str) -> FrameStore:
    path = Path(frames)
    if not frames.strip():
        raise InputFileNotFoundError("the name of the frames is empty; expected a folder, a pattern or a video file")
    if path.is_dir():
        return _Files(frames, _pictures(path.iterdir(), frames))
    if path.is_file():
        if path.suffix.lower() in PICTURES:
            return _Files(frames, [path])
        from rosgeo.clips.video import VideoFrames

        return VideoFrames(frames)
    if glob.has_magic(frames):
        return _Files(frames, _pictures((Path(p) for p in glob.glob(frames, recursive=True)), frames))
    raise InputFileNotFoundError(f"{frames}: no such folder or file; expected frames (a folder, a pattern or a video file)")


def _pictures(paths: Iterator[Path], name: str) -> list[Path]:
    """The pictures among files, in natural order."""
    found = sorted(
        (p for p in paths if p.suffix.lower() in PICTURES and not p.name.startswith(".") and p.is_file()),
        key=lambda p: (natural_key(str(p.parent)), natural_key(p.name)),
    )
    if not found:
        raise InputFileNotFoundError(f"{name} holds no frames; expected files that end in {', '.join(PICTURES)}")
    stems: dict[Path, Path] = {}
    for path in found:
        other = stems.setdefault(path.with_suffix(""), path)
        if other != path:
            raise RasterError(f"{name} holds {other.name} and {path.name}; expected one file a frame")
    return found


_Facts = tuple[tuple[str, Any], ...]


def _survey(store: FrameStore, georef: Georeference | None) -> tuple[int, list[datetime | None], dict[int, str]]:
    """The first frame that can be opened, the time of each, and the ones that cannot be; raises where two do not fit together."""
    times: list[datetime | None] = [frame.time for frame in store.frames]
    unreadable: dict[int, str] = {}
    if not isinstance(store, _Files):
        # The frames of a video file are of one kind.
        return 0, times, unreadable
    first: tuple[int, _Facts] | None = None
    for index, frame in enumerate(store.frames):
        try:
            with store.open(index) as source:
                facts, times[index] = _facts(source, georef), getattr(source, "taken", None)
        except RasterError as error:
            unreadable[index] = str(error)
            continue
        first = first or (index, facts)
        for (what, here), (_, there) in zip(facts, first[1], strict=True):
            if here != there:
                raise RasterError(
                    f"{frame.name} has {what} {here}, but {store.frames[first[0]].name} has {there}; expected frames of one kind in a clip"
                )
    if first is None:
        raise RasterError(f"not one of the {len(store.frames)} frames of {store.name} can be opened: {unreadable[0]}")
    return first[0], times, unreadable


def _facts(source: RasterSource, georef: Georeference | None) -> _Facts:
    """What all frames of a clip have in common."""
    height, width = source.grid.shape
    facts: _Facts = (("a size of", f"{width} x {height} px"), ("bands of", f"{source.count} x {source.dtypes[0]}"))
    if georef is not None:
        return facts
    crs = source.grid.crs
    return (*facts, ("the CRS", "none" if crs is None else crs.to_string()), ("georeferencing", source.georeferenced))


def _require_real(source: RasterSource, bands: tuple[int, int, int]) -> None:
    for band in bands:
        kind = source.dtypes[band - 1]
        if "complex" in kind or not check_dtype(kind):
            raise RasterError(f"{source.name}: band {band} is {kind}, which has no brightness; expected integers or real numbers")


def _grid(source: RasterSource, georef: Georeference | None) -> RasterGrid:
    return source.grid if georef is None else RasterGrid(*source.grid.shape, georef.mapping, georef.crs)


def _require_ground(georef: Georeference, shape: tuple[int, int], name: str) -> None:
    if georef.shape is not None and georef.shape != shape:
        (height, width), (own_height, own_width) = georef.shape, shape
        raise RasterError(
            f"{georef.name} is of {width} x {height} px, but the frames of {name} are of {own_width} x {own_height} px; "
            "expected the grid of the frames"
        )
    if isinstance(georef.mapping, HomographyMapping) and not georef.mapping.sees_ground(shape):
        raise RasterError(
            f"{georef.name}: the horizon of this homography runs through the frames of {name} ({shape[1]} x {shape[0]} px); "
            "expected one that places every pixel on the ground"
        )


def _timed(
    frames: Sequence[ClipFrame], times: Sequence[datetime | None], fps: float | None, start: datetime | None
) -> tuple[ClipFrame, ...]:
    """Frames with their times, where those are known of all of them."""
    if start is not None:
        if fps is None:
            raise OptionError(
                "the time of the first frame was given, but not how many frames a second there are; give fps (--fps) too"
            )
        seconds = (frame.index / fps for frame in frames)
        return tuple(replace(frame, time=start + timedelta(seconds=s)) for frame, s in zip(frames, seconds, strict=True))
    known = [time for time in times if time is not None]
    if len(known) < len(frames):
        return tuple(replace(frame, time=None) for frame in frames)
    return tuple(replace(frame, time=time) for frame, time in zip(frames, times, strict=True))


def _fit_stretch(
    store: FrameStore,
    readable: Sequence[int],
    bands: tuple[int, int, int],
    kinds: set[str],
    text: str,
    scaling: Sequence[tuple[float, float]],
    reading: Reading,
) -> tuple[Stretch, Reading]:
    """The numbers of a rule on a sample of the whole clip: as many pixels as of one scene, from up to 16 frames.

    `kinds` are the types of the bands. The reading comes back with what was found of fill values.
    """
    rule = parse_stretch(text)
    if kinds == {"uint8"} and rule.kind != "percentile":
        empty: npt.NDArray[Any] = np.zeros((3, 0, 0), dtype=np.uint8)
        return fit_stretch(rule, empty, np.zeros((0, 0), dtype=bool), scaling), reading
    picked = [readable[i] for i in np.unique(np.linspace(0, len(readable) - 1, _STATISTICS_FRAMES).round().astype(int))]
    side = int(STATISTICS_SIDE / np.ceil(np.sqrt(len(picked))))
    samples: list[npt.NDArray[Any]] = []
    masks: list[npt.NDArray[Any]] = []
    for index in picked:
        with store.open(index) as source:
            values, valid = source.with_reading(reading).read_decimated(bands, side)
        samples.append(values.reshape(3, -1))
        masks.append(np.broadcast_to(valid, values.shape).reshape(3, -1))
    sample, good = np.concatenate(samples, axis=1)[:, None], np.concatenate(masks, axis=1)[:, None]
    sampled = sample_scene(sample, good, rule, scaling, look=reading.fill is None and reading.nodata != ())
    for said in (*(fill.text(store.name) for fill in sampled.fills), *sampled.few_levels(store.name, rule, scaling)):
        warnings.warn(said, PixelsWarning, stacklevel=3)
    return sampled.stretch, reading.with_fill(sampled.nodata) if sampled.nodata else reading
