"""``rosgeo video FRAMES TRACKS``."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.convert import column_roles
from rosgeo.cli.help import Section, command, option
from rosgeo.cli.options import (
    FILE,
    crop_options,
    crs_option,
    format_option,
    json_option,
    model_options,
    outline_options,
    output_option,
    overwrite_option,
    preview_option,
    quiet_option,
    resample_option,
    resume_option,
    run_options,
    scene_options,
    track_options,
)
from rosgeo.cli.progress import ProgressBar
from rosgeo.cli.segment import segment_options

if TYPE_CHECKING:
    from rosgeo.clips.values import Clip
    from rosgeo.video.pipeline import VideoOptions, VideoRun
    from rosgeo.video.prepare import PreparedVideo

__all__ = ["video_command"]

_SETS: dict[str, Any] = {
    **{name: name for name in ("coco", "ytvis", "cvat", "label_studio", "davis", "mots", "yolo")},
    "layout": "reference",
}
"""Options that write a segmentation set, and what `rosgeo.tracks.sets.check_set` calls it."""
_TOLD = {
    "coco": "COCO annotations",
    "ytvis": "YouTube-VIS annotations",
    "davis": "DAVIS masks",
    "mots": "MOTS masks",
    "cvat": "CVAT annotations",
    "label_studio": "Label Studio tasks",
    "yolo": "Ultralytics labels",
    "layout": "Training layout",
    "preview": "Preview",
}

_LEFT_OUT = {"without_pixels": "without a pixel", "hidden": "hidden behind others"}
"""Counts of `Written` in words."""

_NOT_HERE: dict[str, Any] = {
    "axes": "raster",
    "layer": None,
    "where": None,
    "boxes_crs": None,
    "y_axis": "auto",
    "box_format": None,
    "dem": None,
    "height": None,
}
"""Options of rosgeo segment that frames with tracks do not have."""
_OF_TRACKS = ("sequence", "layer", "frame_column", "track_column", "columns", "first_pixel", "y_axis", "boxes_crs")
"""Options that tell how TRACKS is read."""


@command(
    "video",
    short_help="Tracked boxes on video frames to outlines.",
    first=("--output", "--overwrite", "--fps", "--georef", "--model", "--preview"),
)
@click.argument("frames", type=FILE)
@click.argument("tracks", type=FILE)
@output_option("Result: .gpkg (ready for QGIS's temporal controller), .parquet, .geojson or .fgb.", default="CLIP_masks.gpkg here")
@overwrite_option
@crs_option("that of the frames")
@preview_option("Also draw the outlines over the frames (.mp4 or .gif).")
@option("--coco", section=Section.RESULT, type=FILE, metavar="FILE", help="Also write COCO annotations with RLE masks (.json).")
@option("--ytvis", section=Section.RESULT, type=FILE, metavar="FILE", help="Also write YouTube-VIS annotations (.json).")
@option("--davis", section=Section.RESULT, type=FILE, metavar="FOLDER", help="Also write an indexed PNG a frame, as DAVIS.")
@option(
    "--mots",
    section=Section.RESULT,
    type=FILE,
    metavar="FOLDER",
    help="Also write masks as MOTS, whose evaluation sees the classes car and pedestrian.",
)
@option(
    "--cvat",
    section=Section.RESULT,
    type=FILE,
    metavar="FILE",
    help="Also write tracks of polygons as CVAT for video 1.1 (.xml), to be corrected there.",
)
@option(
    "--label-studio",
    section=Section.RESULT,
    type=FILE,
    metavar="FILE",
    help="Also write polygons as tasks of Label Studio (.json), to be corrected there.",
)
@option(
    "--yolo",
    section=Section.RESULT,
    type=FILE,
    metavar="FOLDER",
    help="Also write outlines as Ultralytics trains on (segmentation .txt).",
)
@option(
    "--layout",
    section=Section.RESULT,
    type=FILE,
    metavar="FOLDER",
    help="Also write frames and masks as the ROS-SAM reference trains on.",
)
@json_option()
@format_option(
    "Format of TRACKS; 'rosgeo convert tracks --help' names them.",
    name="track_format",
    metavar="NAME",
    show_default="as the file tells",
)
@track_options("TRACKS", first_frame="by file names, numbers in them, or place")
@option(
    "--interpolate",
    section=Section.BOXES,
    default=0,
    show_default=True,
    type=click.IntRange(0),
    metavar="MAX_GAP",
    help="Fill boxes that are missing in up to so many frames between two labelled ones of a track.",
)
@option("--fps", section=Section.SCENE, type=float, metavar="F", show_default="a video file's own", help="Frames a second.")
@option(
    "--start",
    section=Section.SCENE,
    metavar="TIME",
    help="When the first frame was taken, as in 2024-05-01T10:20:30Z; needs --fps.",
)
@option(
    "--georef",
    section=Section.SCENE,
    type=FILE,
    metavar="FILE",
    help="One georeferencing for all frames: a homography (.json), QGIS's control points (.points) or a raster.",
)
@scene_options("clip")
@outline_options
@model_options
@option(
    "--propagate",
    section=Section.MODEL,
    is_flag=True,
    help="An object's mask in the frame before is a prompt too (models of SAM's kind).",
)
@crop_options("auto", "paper", "tiles", "whole")
@resample_option
@resume_option
@run_options("frames")
@quiet_option(but=" --json is printed all the same.")
def video_command(
    frames: str,
    tracks: str,
    output: str | None,
    overwrite: bool,
    resume: bool,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    """Segment the object in each tracked box of TRACKS on the frames FRAMES.

    FRAMES is a folder of PNG, JPEG or TIFF files, a pattern of their names, or a video file. TRACKS has boxes with frame and track; the
    result has a row for each. Without georeferencing coordinates are pixels, x = column and y = -row, where QGIS shows the frames.

    \b
    rosgeo video clip/img1 clip/gt/gt.txt --fps 10
    rosgeo video clip.mp4 tracks.csv -o cars.gpkg \\
        --georef homography.json --davis masks
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.cli.cluster import cluster_client
    from rosgeo.files.locks import written_alone
    from rosgeo.video.pipeline import segment_video_run

    options, video = segment_options({**choices, **_NOT_HERE}), _video_options(choices)
    target = f"{_stem(frames)}_masks.gpkg" if output is None else output
    sets = {name: choices[name] for name in (*_SETS, "preview") if choices[name] is not None}
    _check_endings(sets)
    check = partial(_check_sets, sets, overwrite=overwrite, inputs=(frames, tracks, target))
    written: dict[str, dict[str, int]] = {}
    # Sets that are folders are locked when they are written, under the clip's name.
    files = [Path(sets[name]) for name in ("coco", "ytvis", "preview") if name in sets]
    alone = written_alone(file for file in files if file.parent.is_dir())
    with alone, cluster_client(workers, scheduler) as client, ProgressBar(shown=not quiet) as progress:
        run = segment_video_run(
            frames,
            tracks,
            options,
            video,
            output=target,
            overwrite=overwrite,
            resume=resume,
            client=client,
            progress=progress,
            check=check,
            further=lambda run: written.update(_write_sets(run, sets, overwrite=overwrite)),
        )
    if as_json:
        click.echo(json.dumps({**run.record, "output": target, **sets, **({"left_out": written} if written else {})}))
    elif not quiet:
        _summary(run, target, sets, written)


def _stem(frames: str) -> str:
    """The name of a clip for its default output."""
    from rosgeo.files.names import legal_name, stem_of

    path = Path(frames)
    if path.is_dir() or not (path.is_file() or "://" in frames):
        return legal_name((path if path.is_dir() else path.parent).resolve().name)
    return stem_of(frames)


def _video_options(choices: dict[str, Any]) -> VideoOptions:
    from rosgeo.errors import OptionError
    from rosgeo.video.pipeline import VideoOptions

    try:
        start = None if choices["start"] is None else datetime.fromisoformat(choices["start"])
    except ValueError as error:
        raise OptionError(
            f"--start {choices['start']!r} is no date and time; expected something like 2024-05-01T10:20:30Z"
        ) from error
    same = ("first_frame", "fps", "georef", "interpolate", "propagate")
    read = {key: choices[key] for key in _OF_TRACKS if key != "columns"} | {"columns": column_roles(choices["columns"])}
    return VideoOptions(format=choices["track_format"], read=read, start=start, **{key: choices[key] for key in same})


def _check_endings(sets: dict[str, str]) -> None:
    from rosgeo.errors import OutputError

    for name, ending in (("coco", ".json"), ("ytvis", ".json"), ("label_studio", ".json"), ("cvat", ".xml")):
        if name in sets and Path(sets[name]).suffix.lower() != ending:
            raise OutputError(f"--{name.replace('_', '-')} {sets[name]}: expected a name that ends in {ending}")


def _check_apart(sets: dict[str, str], target: str, clip: Clip) -> None:
    """Refuse two outputs in one place, of which one would take the other's."""
    from rosgeo.errors import OutputError
    from rosgeo.tracks.sets.folders import clip_folder

    taken: dict[Path, str] = {Path(target).resolve(): "--output"}
    for name, path in sets.items():
        places = [Path(path)]
        if name in ("davis", "mots", "yolo"):
            places = [clip_folder(path, clip)]
        if name == "davis":
            places.append(places[0].with_name(f"{clip.name}.json"))
        for place in (p.resolve() for p in places):
            if place in taken:
                raise OutputError(
                    f"--{name} and {taken[place]} would both be written to {place}; name another output for one of them"
                )
            taken[place] = f"--{name}"


def _check_sets(sets: dict[str, str], ready: PreparedVideo, *, overwrite: bool, inputs: tuple[str, ...]) -> None:
    """Find out before the model runs whether the further outputs can be written."""
    if not sets:
        return
    from rosgeo.pictures.clip import check_clip_preview
    from rosgeo.tracks.sets import check_set
    from rosgeo.tracks.sets.masks import Track

    _check_apart(sets, inputs[-1], ready.frames.clip)
    tracks = [Track(track_id, category) for track_id, category in ready.categories().items()]
    for name, path in sets.items():
        if name == "preview":
            check_clip_preview(path, overwrite=overwrite, inputs=inputs)
        else:
            check_set(_SETS[name], path, ready.frames.clip, tracks, overwrite=overwrite, inputs=inputs)


def _write_sets(run: VideoRun, sets: dict[str, str], *, overwrite: bool) -> dict[str, dict[str, int]]:
    """Write the further outputs; what is not in each, by its name, where that is anything."""
    if not sets:
        return {}
    from rosgeo.pictures.clip import write_clip_preview
    from rosgeo.tracks import sets as writers

    left_out: dict[str, dict[str, int]] = {}
    for name, path in sets.items():
        if name == "preview":
            write_clip_preview(run.outlines, run.frames, path, overwrite=overwrite)
            continue
        if name == "layout":
            written = writers.write_reference(run.outlines, run.frames, path, overwrite=overwrite)
        else:
            written = getattr(writers, f"write_{name}")(run.outlines, path, overwrite=overwrite)
        counts = {key: getattr(written, key) for key in ("without_pixels", "hidden") if getattr(written, key)}
        if counts:
            left_out[name] = counts
    return left_out


def _summary(run: VideoRun, target: str, sets: dict[str, str], left_out: dict[str, dict[str, int]]) -> None:
    record, result = run.record, run.result
    counts = ", ".join(f"{n} {status}" for status, n in sorted(record["counts"].items(), key=lambda item: -item[1]))
    frames = f"{record['frames']['count']} frame{'s' * (record['frames']['count'] != 1)}"
    click.echo(f"{frames}, {record['objects']} boxes: {counts}; {record['seconds']:.1f} s with {record['model']['name']}")
    click.echo(f"Numbers: {record['frames']['numbers']}")
    click.echo("; ".join(["Tracks: " + record["inputs"]["format"], *filter(None, [record["inputs"]["origin"]])]))
    if "rosgeo_interpolated" in result:
        click.echo(f"Interpolated: {int(result['rosgeo_interpolated'].sum())} boxes")
    click.echo(f"Do not fit their track: {int(result['rosgeo_outlier'].sum())} outlines (rosgeo_outlier)")
    click.echo(f"Outlines: {target}")
    for name, path in sets.items():
        missing = ", ".join(f"{n} {_LEFT_OUT[key]}" for key, n in left_out.get(name, {}).items())
        click.echo(f"{_TOLD[name]}: {path}{f' (left out: {missing})' if missing else ''}")
