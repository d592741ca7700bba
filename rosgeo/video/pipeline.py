"""The whole line for video: frames and tracked boxes in, outlines of each frame out."""

from __future__ import annotations

import inspect
import itertools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np

from rosgeo.clips.frames import FrameSequence
from rosgeo.clips.values import ClipFrame
from rosgeo.errors import FrameWarning, OptionError, RasterError, RunInterruptedError
from rosgeo.files.locks import written_alone
from rosgeo.inference.predict import Segmenter
from rosgeo.run.executors import Progress, ProgressCounter, cluster_work, collect, run_local
from rosgeo.run.journal import Journal, resume_hint
from rosgeo.run.options import SegmentOptions, make_options
from rosgeo.run.pipeline import interrupted_text, open_segmenter, segment
from rosgeo.run.record import describe_run, fingerprint, run_record
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines, Tracks
from rosgeo.types import IntArray, PixelMapping, RasterGrid
from rosgeo.vector.layers.style import TimeOfRows
from rosgeo.vector.layers.write import check_output, output_driver, write_result
from rosgeo.vector.neighbours import simplify_together
from rosgeo.vector.polygonize import OutlineOptions, polygon_to_px
from rosgeo.vector.result import ObjectResult, assemble_result
from rosgeo.video.frame_tiles import FrameRunner, FrameTile, open_clip
from rosgeo.video.prepare import PreparedVideo, VideoOptions, prepare_video
from rosgeo.video.propagate import require_mask_prompts, run_in_order
from rosgeo.video.temporal import OUTLIER, TEMPORAL_IOU, flag_outliers, in_track, temporal_iou

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["VideoOptions", "VideoRun", "segment_video", "segment_video_run"]


@dataclass(frozen=True)
class VideoRun:
    """A finished run on frames.

    Attributes
    ----------
    result : GeoDataFrame
        One row for each row of the tracks, then those that were added by interpolation.
    record : dict
        As of `SegmentRun`, with how frames and tracks were brought together.
    outlines : ClipOutlines
        The same outlines in pixels, for the formats of segmentation sets.
    frames : FrameSequence
        The frames under the numbers of the tracks.
    """

    result: gpd.GeoDataFrame
    record: dict[str, Any]
    outlines: ClipOutlines
    frames: FrameSequence


def segment_video(
    frames: str | Path | FrameSequence,
    tracks: str | Path | Tracks,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    format: str | None = None,
    read: Mapping[str, Any] | None = None,
    first_frame: int | None = None,
    fps: float | None = None,
    start: datetime | None = None,
    georef: str | Path | None = None,
    interpolate: int = 0,
    propagate: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> gpd.GeoDataFrame:
    """Segment the object in each tracked box of the frames of a clip.

    Parameters
    ----------
    frames : path or FrameSequence
        A folder of PNG, JPEG or TIFF files, a pattern of their names, or a video file; see `open_frames`.
    tracks : path or Tracks
        Boxes with frame number and track; see `read_tracks`.
    output, overwrite, resume
        As for `rosgeo.segment`.
    format : str, optional
        Of the tracks. Default: as their file tells.
    read : mapping, optional
        What else `read_tracks` takes: sequence, layer, frame_column, track_column, columns, first_pixel, boxes_crs, y_axis. A layer in a
        map's CRS is brought to pixels by the georeferencing of the frames.
    first_frame : int, optional
        The number, in the tracks, of the first frame. Default: frames and tracks are brought together by file names, numbers in file names
        or place; see `number_frames`.
    fps : float, optional
        Frames a second. Default: a video file's own.
    start : datetime, optional
        When the first frame was taken. Default: what the files say.
    georef : path, optional
        One georeferencing for all frames: a homography, ground control points or a raster; see `read_georef`.
    interpolate : int
        Fill boxes that are missing in up to so many frames between two labelled ones of a track.
    propagate : bool
        The mask of an object in the frame before is a prompt too. For models of SAM's kind, in this process.
    client : distributed.Client, optional
        Run the frames on its cluster; every worker can open them by their names.
    progress : callable, optional
        As for `rosgeo.segment`; the dictionary also has how many ``frames`` are done.
    **options
        As for `rosgeo.segment`: model, adapter, mask_token, input_size, device, precision, batch_size, bands, stretch, crop, crop_factor,
        crop_side, share, resample, outline, parts, min_area, fill_holes, orthogonal, simplify, crs. Percentiles of `stretch` are of the
        whole clip.

    Returns
    -------
    GeoDataFrame
        One row for each row of the tracks, in order, with their columns, ``time`` where it is known (``rosgeo_time`` where the tracks have
        a ``time`` of their own), and the columns of `rosgeo.segment`. The status may also be ``missing`` (the clip has no such frame)
        and ``failed`` (the frame cannot be read). ``rosgeo_temporal_iou``: how well an outline fits its neighbours in the track, see
        `temporal_iou`; ``rosgeo_outlier``: see `flag_outliers`; ``rosgeo_interpolated`` with `interpolate`, whose added rows come last.
        Coordinates are the map's where frames or `georef` tell; else pixels with x = column and y = -row, which is where QGIS shows such
        a picture.

    Raises
    ------
    UserInputError
        One of its subclasses in `rosgeo.errors`, for anything that the input or the options cannot give.

    Examples
    --------
    >>> from rosgeo.video import segment_video
    >>> outlines = segment_video("clip/img1", "clip/gt/gt.txt", fps=10)  # doctest: +SKIP
    """
    place = None if georef is None else str(georef)
    video = VideoOptions(format, dict(read or {}), first_frame, fps, start, place, interpolate, propagate)
    return segment_video_run(
        frames,
        tracks,
        make_options(**{**_usual_options(), **options}),
        video,
        output=output,
        overwrite=overwrite,
        resume=resume,
        client=client,
        progress=progress,
    ).result


def _usual_options() -> dict[str, Any]:
    """The options of `rosgeo.segment` at their defaults."""
    wanted = inspect.signature(make_options).parameters
    return {name: p.default for name, p in inspect.signature(segment).parameters.items() if name in wanted}


def segment_video_run(
    frames: str | Path | FrameSequence,
    tracks: str | Path | Tracks,
    options: SegmentOptions,
    video: VideoOptions | None = None,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
    segmenter: Segmenter | None = None,
    check: Callable[[PreparedVideo], None] | None = None,
    further: Callable[[VideoRun], None] | None = None,
) -> VideoRun:
    """`segment_video` with its options as values; gives the run's record and the outlines in pixels too.

    Parameters
    ----------
    frames, tracks, output, overwrite, resume, client, progress
        See `segment_video`.
    options : SegmentOptions
        `axes` is not used: prompts and crops lie along the frame's own axes.
    video : VideoOptions, optional
    segmenter : Segmenter, optional
        A model that is loaded already; `options.model` and what follows from it are not used then.
    check : callable, optional
        Called with what is known before the model is loaded; raises where further work could not be done.
    further : callable, optional
        Called with the run when its result is written; what is finished is kept for `resume` where it raises.
    """
    video = video or VideoOptions()
    _check_options(video, resume, client)
    inputs = tuple(str(i) for i in (frames, tracks) if isinstance(i, str | Path))

    def check_target() -> list[Path]:
        return [] if output is None else [check_output(output, overwrite=overwrite, inputs=inputs)]

    if output is not None:
        output_driver(output, of_one_picture=False)
    with written_alone(check_target()):
        # Again, since another run may have ended in between.
        check_target()
        return _segment_to(output, resume, frames, tracks, options, video, client, progress, segmenter, check, further)


def _segment_to(
    output: str | Path | None,
    resume: bool,
    frames: str | Path | FrameSequence,
    tracks: str | Path | Tracks,
    options: SegmentOptions,
    video: VideoOptions,
    client: Client | None,
    progress: Progress | None,
    segmenter: Segmenter | None,
    check: Callable[[PreparedVideo], None] | None,
    further: Callable[[VideoRun], None] | None,
) -> VideoRun:
    started = time.monotonic()
    ready = prepare_video(frames, tracks, options, video, output)
    if check is not None:
        check(ready)
    segmenter = segmenter or open_segmenter(options)
    if video.propagate:
        require_mask_prompts(segmenter)
    facts = describe_run(options, segmenter, ready.frames.bands, ready.frames.stretch, "raster")
    facts["options"] |= {key: value for key, value in asdict(video).items() if key != "start"}
    # In order from the first frame is the only way to propagate, so that no journal could be of use.
    journal = None if output is None or video.propagate else Journal(output, fingerprint(_place(ready), facts), resume=resume)
    if journal is not None:
        journal.keep_only({tile.frame: tile.boxes.ids.tolist() for tile in ready.tiles})
    objects = _run(ready, options, video, segmenter, journal, client, progress)
    _say_failed(ready, objects)
    objects = _simplified(ready, objects, options.outline)
    result = assemble_result(ready.as_frame(), objects, ready.frames.crs, segmenter.model.name, out_crs=ready.out_crs)
    outlines = _outlines(ready, objects)
    result = _with_time(result, ready, outlines)
    record = run_record(
        **{**facts, "options": {**facts["options"], "start": None if video.start is None else video.start.isoformat()}},
        inputs={
            "frames": ready.frames.name,
            "tracks": ready.tracks.source,
            "format": ready.tracks.format,
            "origin": ready.tracks.origin,
            "georef": video.georef,
        },
        frames={"count": len(ready.frames), "numbers": ready.numbers.note, "unreadable": len(ready.frames.unreadable)},
        objects=len(result),
        counts=dict(Counter(result["rosgeo_status"])),
        seconds=time.monotonic() - started,
    )
    if output is not None:
        with resume_hint(journal):
            write_result(result, output, record, time=_time_of_rows(ready))
    run = VideoRun(result, record, outlines, ready.frames)
    if further is not None:
        with resume_hint(journal):
            further(run)
    if journal is not None:
        journal.remove()
    return run


def _check_options(video: VideoOptions, resume: bool, client: Client | None) -> None:
    if video.propagate and client is not None:
        raise OptionError("--propagate takes the frames in order, in this process; leave --workers and --scheduler out")
    if video.propagate and resume:
        raise OptionError("--propagate takes the frames in order from the first; leave --resume out")


def _run(
    ready: PreparedVideo,
    options: SegmentOptions,
    video: VideoOptions,
    segmenter: Segmenter,
    journal: Journal | None,
    client: Client | None,
    progress: Progress | None,
) -> list[ObjectResult]:
    """The result of every row."""
    finished = {} if journal is None else journal.finished
    objects = ready.skipped + [result for results in finished.values() for result in results]
    tiles = [(tile.frame, tile) for tile in ready.tiles if tile.frame not in finished]
    counter = _FrameCounter(len(ready.table), objects, progress, ready.index)
    try:
        with resume_hint(journal), closing(_work(tiles, ready, options, video, segmenter, client)) as work:
            objects += collect(work, dict(tiles), journal, counter)
    except KeyboardInterrupt:
        raise RunInterruptedError(interrupted_text(counter, journal)) from None
    finally:
        if journal is not None:
            journal.close()
    return objects


def _work(
    tiles: list[tuple[int, FrameTile]],
    ready: PreparedVideo,
    options: SegmentOptions,
    video: VideoOptions,
    segmenter: Segmenter,
    client: Client | None,
) -> Generator[tuple[int, ObjectResult]]:
    """Run frames here or on a cluster; results as they come, each with the index of its frame."""
    if client is not None:
        frames = ready.frames.portable()
        return cluster_work(tiles, frames, frames.bands, frames.stretch, segmenter, options, client, open_runner=open_clip)
    runner = FrameRunner(ready.frames, segmenter, options.outline)
    if not video.propagate:
        return run_local(tiles, runner)
    tracks = ready.table["track_id"].tolist()
    # Rows of no track are each by itself.
    alone = enumerate(zip(tracks, in_track(tracks), strict=True))
    return run_in_order(tiles, runner, [track if tracked else ("row", row) for row, (track, tracked) in alone])


class _FrameCounter(ProgressCounter):
    """Counts the frames that are done too."""

    def __init__(self, total: int, done: Iterable[ObjectResult], progress: Progress | None, index: IntArray) -> None:
        objects = list(done)
        self._index = index
        self._left = Counter(index[index >= 0].tolist())
        self._frames = 0
        for result in objects:
            self._take(result)
        super().__init__(total, objects, progress)

    def add(self, result: ObjectResult) -> None:
        self._take(result)
        super().add(result)

    def _take(self, result: ObjectResult) -> None:
        frame = int(self._index[result.id])
        self._left[frame] -= 1
        self._frames += self._left[frame] == 0 and frame >= 0

    def _told(self) -> dict[str, int]:
        return {**super()._told(), "frames": self._frames}


def _place(ready: PreparedVideo) -> dict[str, Any]:
    """What decides the results beside model and options."""
    digest = sha256()
    for path in ready.frames.store.files():
        facts = path.stat()
        digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    boxes = sha256(ready.boxes_px.tobytes() + ready.index.tobytes() + "".join(map(str, ready.table.columns)).encode())
    return {
        "frames": ready.frames.name,
        "files of the frames": f"{len(ready.frames)} frames, {digest.hexdigest()[:16]}",
        "boxes": f"{len(ready.table)} rows, {boxes.hexdigest()[:16]}",
        "georef": "none" if ready.frames.georef is None else repr(ready.frames.georef.mapping),
    }


def _say_failed(ready: PreparedVideo, objects: list[ObjectResult]) -> None:
    """Say once which frames could be opened but not read."""
    failed = sorted({int(ready.index[o.id]) for o in objects if o.status == "failed"} - set(ready.frames.unreadable))
    for frame in failed[:3]:
        try:
            ready.frames.read_rgb(frame)
        except RasterError as error:
            warnings.warn(f"the status of rows is failed where a frame cannot be read: {error}", FrameWarning, stacklevel=3)
            return


def _simplified(ready: PreparedVideo, objects: list[ObjectResult], outline: OutlineOptions) -> list[ObjectResult]:
    """Pixel outlines of a frame simplified together; in the same order."""
    if outline.outline != "pixel":
        return objects
    by_frame: dict[int, list[int]] = {}
    for i, result in enumerate(objects):
        if result.polygon_map is not None:
            by_frame.setdefault(int(ready.index[result.id]), []).append(i)
    simplified = list(objects)
    frames = ready.frames
    for frame, members in by_frame.items():
        grid = RasterGrid(frames.clip.height, frames.clip.width, frames.mapping(frame), frames.crs)
        for i, result in zip(members, simplify_together([objects[i] for i in members], grid, outline), strict=True):
            simplified[i] = result
    return simplified


def _outlines(ready: PreparedVideo, objects: list[ObjectResult]) -> ClipOutlines:
    """The outlines in the pixel frame."""
    mappings: dict[int, PixelMapping] = {}
    polygons = np.empty(len(objects), dtype=object)
    ordered = sorted(objects, key=lambda o: o.id)
    for row in np.argsort(ready.index, kind="stable"):
        result, frame = ordered[row], int(ready.index[row])
        if result.polygon_map is not None:
            if frame not in mappings:
                mappings = {frame: ready.frames.mapping(frame)}
            polygons[row] = polygon_to_px(result.polygon_map, mappings[frame])
    table = ready.table
    rows = gpd.GeoDataFrame(
        {
            "frame": table["frame"].to_numpy(),
            "track_id": table["track_id"].to_numpy(),
            "category": table["category"].fillna("object").astype(str).to_numpy() if "category" in table else "object",
            **{name: ready.boxes_px[:, i] for i, name in enumerate(BOX_COLUMNS)},
            "rosgeo_status": [o.status for o in ordered],
            "rosgeo_score": [o.score for o in ordered],
        },
        geometry=gpd.GeoSeries(polygons),
    )
    return ClipOutlines(ready.frames.clip, rows)


def _with_time(result: gpd.GeoDataFrame, ready: PreparedVideo, outlines: ClipOutlines) -> gpd.GeoDataFrame:
    """The result with what the track tells of each outline."""
    height, width = ready.frames.clip.height, ready.frames.clip.width
    boxes = ready.boxes_px
    with np.errstate(invalid="ignore"):
        # What the frame's edge cuts is another shape in every frame.
        whole = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
    polygons = np.where(whole, outlines.rows.geometry.to_numpy(), None)
    tracks = outlines.rows["track_id"].tolist()
    iou = temporal_iou(polygons, boxes, tracks, outlines.rows["frame"].tolist())
    result[TEMPORAL_IOU] = iou
    result[OUTLIER] = flag_outliers(iou, tracks)
    return result


def _time_of_rows(ready: PreparedVideo) -> TimeOfRows:
    frames = ready.frames.clip.frames
    if ready.time_column is None:
        return TimeOfRows(first_frame=min(frame.number for frame in frames))
    return TimeOfRows(_seconds_between(frames, ready.frames.clip.fps), ready.time_column)


def _seconds_between(frames: tuple[ClipFrame, ...], fps: float | None) -> float:
    """From one frame to the next; the shortest time where their number a second is not given."""
    if fps is not None:
        return 1 / fps
    times = sorted(frame.time for frame in frames if frame.time is not None)
    steps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    return min((step for step in steps if step > 0), default=1.0)
