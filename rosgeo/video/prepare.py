"""Everything before the model for the frames of a clip: frames and tracks read and brought together, each frame planned."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np

from rosgeo.clips.frames import FrameSequence, open_frames
from rosgeo.clips.georef import read_georef
from rosgeo.errors import BoxesError, FrameWarning, OptionError, RasterError
from rosgeo.geometry.boxes import BOX_GRID_PX
from rosgeo.geometry.crs import parse_crs
from rosgeo.geometry.plan import make_plan
from rosgeo.run.options import SegmentOptions
from rosgeo.run.prompts import require_reachable
from rosgeo.tracks.match import FrameNumbers, number_frames
from rosgeo.tracks.origin import refuse_early_frames
from rosgeo.tracks.targets import own_ids
from rosgeo.tracks.values import BOX_COLUMNS, Tracks
from rosgeo.types import BoolArray, Boxes, FloatArray, IntArray, RasterGrid
from rosgeo.vector.layers.write import check_columns
from rosgeo.vector.result import ObjectResult, refuse_clashing_columns
from rosgeo.video.frame_tiles import FrameTile
from rosgeo.video.temporal import INTERPOLATED, OUTLIER, TEMPORAL_IOU, interpolate_boxes

if TYPE_CHECKING:
    import pandas as pd
    from pyproj import CRS

__all__ = ["PreparedVideo", "VideoOptions", "prepare_video"]


@dataclass(frozen=True)
class VideoOptions:
    """What a run on frames has beside `SegmentOptions`.

    Attributes
    ----------
    format : str or None
        Of the tracks; None: as their file tells.
    read : dict
        What else `read_tracks` takes.
    first_frame : int or None
        The number, in the tracks, of the first frame; None: see `number_frames`.
    fps : float or None
        Frames a second.
    start : datetime or None
        When the first frame was taken.
    georef : str or None
        File with one georeferencing for all frames; see `read_georef`.
    interpolate : int
        Frames without a box, in a row, that are filled between two labelled ones; 0 for none.
    propagate : bool
        The mask of an object in the frame before is a prompt too.
    """

    format: str | None = None
    read: dict[str, Any] = field(default_factory=dict)
    first_frame: int | None = None
    fps: float | None = None
    start: datetime | None = None
    georef: str | None = None
    interpolate: int = 0
    propagate: bool = False


@dataclass(frozen=True)
class PreparedVideo:
    """A run on frames that is ready for the model.

    Attributes
    ----------
    frames : FrameSequence
        Under the numbers of the tracks.
    table : DataFrame (N rows)
        The tracks, with rows added by interpolation at its end.
    boxes_px : float64 array (N, 4)
        Prompts; NaN where a row has none.
    index : int64 array (N,)
        Of each row's frame in the clip; -1 where it has none.
    tiles : tuple of FrameTile
        A frame each, in order.
    skipped : list of ObjectResult
        Rows that are not planned.
    numbers : FrameNumbers
        How frames and tracks were brought together.
    tracks : Tracks
        As read.
    out_crs : CRS or None
        Of the result; None for that of the frames.
    """

    frames: FrameSequence
    table: pd.DataFrame
    boxes_px: FloatArray
    index: IntArray
    tiles: tuple[FrameTile, ...]
    skipped: list[ObjectResult]
    numbers: FrameNumbers
    tracks: Tracks
    out_crs: CRS | None

    def as_frame(self) -> gpd.GeoDataFrame:
        """The table with the time of each row and an empty geometry."""
        return _as_frame(self.table, self.index, self.frames)

    def categories(self) -> dict[Any, str]:
        """The category of most rows of each track, by its id (`own_ids`); ``object`` where the tracks have none."""
        ids = own_ids(self.table["track_id"].tolist())
        names = self.table["category"].fillna("object").astype(str) if "category" in self.table else None
        if names is None:
            return dict.fromkeys(ids, "object")
        return {track: part.mode().iloc[0] for track, part in names.groupby(np.array(ids, dtype=object), sort=False)}

    @property
    def time_column(self) -> str | None:
        """Name of the column of time; None where no time is known."""
        return _time_column(self.table) if _has_time(self.frames) else None


def prepare_video(
    frames: str | Path | FrameSequence,
    tracks: str | Path | Tracks,
    options: SegmentOptions,
    video: VideoOptions,
    output: str | Path | None = None,
) -> PreparedVideo:
    """Read and check frames and tracks, and plan the frames.

    Parameters
    ----------
    frames : path or FrameSequence
        See `open_frames`.
    tracks : path or Tracks
    options, video
    output : path, optional
        Its format must take the columns of the tracks.

    Raises
    ------
    UserInputError
        Whatever is wrong with frames, tracks or options; also fewer boxes than frames where frames are told by lines, until
        `VideoOptions.first_frame` says which number the first frame has, the first line being 1.

    Warns
    -----
    FrameWarning
        Frames that cannot be read, or that rows name and the clip does not have; those rows get the status ``failed`` or ``missing``.
    """
    out_crs = parse_crs(options.crs, "--crs") if options.crs is not None else None
    opened = frames if isinstance(frames, FrameSequence) else _open(str(frames), options, video)
    read = tracks if isinstance(tracks, Tracks) else _read_tracks(str(tracks), video, opened)
    if not len(read):
        raise BoxesError(f"{read.source} holds no boxes; expected at least one")
    _refuse_columns(read)
    read = _by_line(read, opened, video)
    numbers = _number(opened, read, video)
    if numbers.how == "place" and video.first_frame is None:
        refuse_early_frames(read)
    opened = opened.with_frames(numbers.frames)
    table = read.table.reset_index(drop=True)
    if video.interpolate:
        table = interpolate_boxes(table, video.interpolate, frames=[frame.number for frame in numbers.frames])
    index = _index_of(table["frame"].to_numpy(), opened)
    boxes_px = _boxes(table)
    if out_crs is not None:
        with opened.source(next(i for i in range(len(opened)) if i not in opened.unreadable)) as source:
            require_reachable(source, out_crs)
    if output is not None:
        check_columns(_as_frame(table, index, opened), output)
    _warn(opened, read, table, index)
    tiles, skipped = _plan(opened, boxes_px, index, options)
    return PreparedVideo(opened, table, boxes_px, index, tiles, skipped, numbers, read, out_crs)


def _open(frames: str, options: SegmentOptions, video: VideoOptions) -> FrameSequence:
    georef = None if video.georef is None else read_georef(video.georef)
    return open_frames(
        frames,
        bands=options.bands,
        stretch=options.stretch,
        reading=options.reading,
        georef=georef,
        fps=video.fps,
        start=video.start,
    )


def _read_tracks(path: str, video: VideoOptions, frames: FrameSequence) -> Tracks:
    from rosgeo.tracks.read import read_tracks

    def with_grid(grid: RasterGrid | Mapping[int, RasterGrid | None] | None) -> Tracks:
        size = (frames.clip.height, frames.clip.width)
        return read_tracks(path, format=video.format, first_frame=video.first_frame, grid=grid, size=size, **video.read)

    if frames.georef is not None:
        return with_grid(RasterGrid(frames.clip.height, frames.clip.width, frames.georef.mapping, frames.georef.crs))
    if not frames.georeferenced:
        return with_grid(None)
    # Which frame a number means is known only when the tracks are; only a layer on the map asks for grids, and is read twice.
    grids = _GridsByNumber(frames)
    read = with_grid(grids)
    if not grids.asked:
        return read
    return with_grid(grids.numbered(_number(frames, read, video)))


def _number(frames: FrameSequence, tracks: Tracks, video: VideoOptions) -> FrameNumbers:
    return number_frames(frames.clip.frames, tracks, first_frame=video.first_frame, named=frames.store.named)


def _by_line(tracks: Tracks, frames: FrameSequence, video: VideoOptions) -> Tracks:
    """Tracks whose frames are told by lines, the first line as frame 1; fewer of them than frames must be said where they belong."""
    if not tracks.by_line:
        return tracks
    few, clip = len(tracks), frames.clip.frames
    if few < len(clip) and video.first_frame is None:
        raise OptionError(
            f"{tracks.source} has {few} boxes, one a line, but {frames.name} has {len(clip)} frames ({clip[0].name} to {clip[-1].name}), "
            f"and nothing tells which of them the boxes are of. If of the first, {clip[0].name} to {clip[few - 1].name}: --first-frame 1. "
            f"If of the last, {clip[-few].name} to {clip[-1].name}: --first-frame {few - len(clip) + 1}."
        )
    table = tracks.table.assign(frame=tracks.table["frame"] - tracks.first_frame + 1)
    return replace(tracks, table=table, first_frame=1)


class _GridsByNumber(Mapping[int, RasterGrid | None]):
    """The grid of each frame by its number; a frame is opened when it is asked for. None for every number that lies nowhere.

    Before `numbered` that is all of them.
    """

    def __init__(self, frames: FrameSequence, index: dict[int, int] | None = None) -> None:
        self._frames = frames
        self._index = index or {}
        self.asked = False

    def numbered(self, numbers: FrameNumbers) -> _GridsByNumber:
        """The grids of the frames that can be read."""
        return _GridsByNumber(self._frames, {f.number: f.index for f in numbers.frames if f.index not in self._frames.unreadable})

    def __contains__(self, number: object) -> bool:
        return True

    def __getitem__(self, number: int) -> RasterGrid | None:
        self.asked = True
        if number not in self._index:
            return None
        try:
            with self._frames.source(self._index[number]) as source:
                return source.grid
        except RasterError:
            # The frame is tried again for its pixels, and its rows fail then.
            return None

    def __iter__(self) -> Iterator[int]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


def _refuse_columns(tracks: Tracks) -> None:
    refuse_clashing_columns(tracks.table, tracks.source)
    clashing = [c for c in tracks.table.columns if str(c).lower() in (INTERPOLATED, TEMPORAL_IOU, OUTLIER)]
    if clashing:
        raise BoxesError(
            f"{tracks.source} has the column {clashing[0]}, which rosgeo writes itself. Rename or drop it in the input."
        )


def _index_of(numbers: IntArray, frames: FrameSequence) -> IntArray:
    by_number = {frame.number: frame.index for frame in frames.clip.frames}
    return np.array([by_number.get(int(number), -1) for number in numbers], dtype=np.int64)


def _boxes(table: pd.DataFrame) -> FloatArray:
    """Boxes (N, 4) on the grid that all boxes are rounded to; NaN where one is no prompt."""
    xyxy = table[list(BOX_COLUMNS)].to_numpy(dtype=np.float64).copy()
    with np.errstate(invalid="ignore"):
        good = np.isfinite(xyxy).all(axis=1) & (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    xyxy[~good] = np.nan
    snapped: FloatArray = np.round(xyxy / BOX_GRID_PX) * BOX_GRID_PX
    return snapped


def _plan(
    frames: FrameSequence, boxes_px: FloatArray, index: IntArray, options: SegmentOptions
) -> tuple[tuple[FrameTile, ...], list[ObjectResult]]:
    """A tile for each frame that has boxes to segment, and the rows that are in none."""
    usable: BoolArray = np.logical_and.reduce(np.isfinite(boxes_px), axis=1)
    shape = (frames.clip.height, frames.clip.width)
    order = np.argsort(index, kind="stable")
    tiles: list[FrameTile] = []
    skipped: list[ObjectResult] = []
    for rows in np.split(order, np.flatnonzero(np.diff(index[order])) + 1):
        frame = int(index[rows[0]])
        if frame < 0 or frame in frames.unreadable:
            skipped += [ObjectResult(int(row), "missing" if frame < 0 else "failed") for row in rows]
            continue
        plan = make_plan(
            Boxes(boxes_px[rows], np.arange(len(rows)), "pixel"), usable[rows], shape, options.crop, boxes_a_tile=len(rows)
        )
        skipped += [ObjectResult(int(row), "invalid") for row in rows[plan.invalid]]
        skipped += [ObjectResult(int(row), "outside") for row in rows[plan.outside]]
        boxes = [tile.boxes for tile in plan.tiles]
        windows = tuple(window for tile in plan.tiles for window in tile.windows)
        if windows:
            ids = rows[np.concatenate([b.ids for b in boxes])]
            every = Boxes(np.concatenate([b.xyxy for b in boxes]), ids, "pixel")
            tiles.append(FrameTile(every, windows, frame, frames.store.file_of(frame)))
    return tuple(tiles), skipped


def _warn(frames: FrameSequence, tracks: Tracks, table: pd.DataFrame, index: IntArray) -> None:
    missing = table["frame"].to_numpy()[index < 0]
    if len(missing) == len(table):
        first, last = frames.clip.frames[0], frames.clip.frames[-1]
        raise OptionError(
            f"not one row of {tracks.source} is of a frame of {frames.name}: the rows are of frames {missing.min()} to {missing.max()}, "
            f"the frames are {first.number} ({first.name}) to {last.number} ({last.name}). "
            "Say which number the first frame has: --first-frame N."
        )
    if len(missing):
        some = ", ".join(str(n) for n in np.unique(missing)[:5])
        warnings.warn(
            f"{len(missing)} of {len(table)} rows of {tracks.source} are of frames that {frames.name} does not have ({some}"
            f"{', ...' if len(np.unique(missing)) > 5 else ''}); their status is missing",
            FrameWarning,
            stacklevel=4,
        )
    if frames.unreadable:
        index_, reason = next(iter(frames.unreadable.items()))
        rows = int(np.isin(index, list(frames.unreadable)).sum())
        warnings.warn(
            f"{len(frames.unreadable)} of {len(frames)} frames cannot be read ({frames.clip.frames[index_].name}: {reason}); "
            f"the status of their {rows} rows is failed",
            FrameWarning,
            stacklevel=4,
        )


def _has_time(frames: FrameSequence) -> bool:
    return bool(frames.clip.frames) and all(frame.time is not None for frame in frames.clip.frames)


def _time_column(table: pd.DataFrame) -> str:
    return "rosgeo_time" if "time" in {str(c).lower() for c in table.columns} else "time"


def _as_frame(table: pd.DataFrame, index: IntArray, frames: FrameSequence) -> gpd.GeoDataFrame:
    import pandas as pd

    taken = {str(c).lower() for c in table.columns}
    geometry = "geometry" if "geometry" not in taken else "rosgeo_geometry"
    columns: dict[str, Any] = dict(table.items())
    if _has_time(frames):
        times: Sequence[Any] = [None if i < 0 else frames.clip.frames[i].time for i in index]
        columns[_time_column(table)] = pd.Series(pd.to_datetime(times), index=table.index)
    columns[geometry] = gpd.GeoSeries([None] * len(table), index=table.index)
    return gpd.GeoDataFrame(columns, geometry=geometry)
