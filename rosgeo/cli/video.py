"""``rosgeo video FRAMES TRACKS``."""

from __future__ import annotations

import json
import re
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.convert import column_roles, tracks_command
from rosgeo.cli.options import Decorator, ProgressBar, cluster_client, quiet_option
from rosgeo.cli.segment import segment_command, segment_options

if TYPE_CHECKING:
    from rosgeo.clips.values import Clip
    from rosgeo.video.pipeline import VideoOptions, VideoRun
    from rosgeo.video.prepare import PreparedVideo

__all__ = ["video_command"]

_SETS: dict[str, Any] = {"coco": "coco", "ytvis": "ytvis", "davis": "davis", "mots": "mots", "layout": "reference"}
"""Options that write a segmentation set, and what `rosgeo.tracks.sets.check_set` calls it."""
_TOLD = {
    "coco": "COCO annotations",
    "ytvis": "YouTube-VIS annotations",
    "davis": "DAVIS masks",
    "mots": "MOTS masks",
    "layout": "Training layout",
    "preview": "Preview",
}

_LEFT_OUT = {"without_pixels": "without a pixel", "hidden": "hidden behind others"}
"""Counts of `Written` in words."""

_OF_SEGMENT = (
    *("workers", "scheduler", "bands", "stretch", "nodata", "model", "adapter", "mask_token", "input_size", "device", "precision"),
    *("batch_size", "crop", "crop_side", "crop_factor", "share", "share_factor", "resample", "outline", "parts", "min_area"),
    *("fill_holes", "orthogonal", "simplify"),
)
_NOT_HERE: dict[str, Any] = {
    "axes": "raster",
    "layer": None,
    "where": None,
    "boxes_crs": None,
    "y_axis": "auto",
    "dem": None,
    "height": None,
}
"""Options of rosgeo segment that frames with tracks do not have."""


_OF_TRACKS = ("sequence", "layer", "frame_column", "track_column", "columns", "first_pixel", "y_axis", "boxes_crs")
"""Options of rosgeo convert tracks: how TRACKS is read."""


_WORDS = {"IN": "TRACKS", "scene": "clip", "tiles": "frames"}


def _options_of(other: click.Command, names: tuple[str, ...]) -> Decorator:
    """Options that mean the same as for another command, in the words of this one."""

    def decorate(command: Any) -> Any:
        shared = [copy(p) for p in other.params if p.name in names and isinstance(p, click.Option)]
        for option in shared:
            option.help = re.sub(r"\b(IN|scene|tiles)\b(?!, whole)", lambda word: _WORDS[word[0]], option.help or "")
        # As click's own decorators leave them, the last first.
        command.__click_params__ = [*getattr(command, "__click_params__", []), *reversed(shared)]
        return command

    return decorate


@click.command("video", short_help="Tracked boxes on video frames to outlines.")
@click.argument("frames")
@click.argument("tracks")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Result: .gpkg (ready for QGIS's temporal controller), .parquet, .geojson or .fgb.  [default: CLIP_masks.gpkg here]",
)
@click.option("--overwrite", is_flag=True, help="Replace existing results.")
@click.option("--resume", is_flag=True, help="Go on where a killed run of the same input and options was.")
@click.option("--format", "track_format", metavar="NAME", help="Format of TRACKS.  [default: as the file tells]")
@_options_of(tracks_command, _OF_TRACKS)
@click.option(
    "--first-frame",
    type=int,
    metavar="N",
    help="Number that TRACKS gives the first frame.  [default: by file names, numbers in them, or place]",
)
@click.option("--fps", type=float, metavar="F", help="Frames a second.  [default: a video file's own]")
@click.option("--start", metavar="TIME", help="When the first frame was taken, as in 2024-05-01T10:20:30Z; needs --fps.")
@click.option(
    "--georef",
    metavar="FILE",
    help="One georeferencing for all frames: a homography (.json), QGIS's control points (.points) or a raster.",
)
@click.option("--crs", metavar="CRS", help="CRS of the result.  [default: that of the frames]")
@click.option(
    "--interpolate",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    metavar="MAX_GAP",
    help="Fill boxes that are missing in up to so many frames between two labelled ones of a track.",
)
@click.option("--propagate", is_flag=True, help="An object's mask in the frame before is a prompt too (models of SAM's kind).")
@_options_of(segment_command, _OF_SEGMENT)
@click.option("--coco", metavar="FILE", help="Also write COCO annotations with RLE masks (.json).")
@click.option("--ytvis", metavar="FILE", help="Also write YouTube-VIS annotations (.json).")
@click.option("--davis", metavar="FOLDER", help="Also write an indexed PNG a frame, as DAVIS.")
@click.option("--mots", metavar="FOLDER", help="Also write masks as MOTS.")
@click.option("--layout", metavar="FOLDER", help="Also write frames and masks as the ROS-SAM reference trains on.")
@click.option("--preview", metavar="FILE", help="Also draw the outlines over the frames (.mp4 or .gif).")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
@quiet_option
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
    rosgeo video clip.mp4 tracks.csv -o cars.gpkg --georef homography.json --davis masks
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.video.pipeline import segment_video_run

    options, video = segment_options({**choices, **_NOT_HERE}), _video_options(choices)
    target = f"{_stem(frames)}_masks.gpkg" if output is None else output
    sets = {name: choices[name] for name in (*_SETS, "preview") if choices[name] is not None}
    _check_endings(sets)
    check = partial(_check_sets, sets, overwrite=overwrite, inputs=(frames, tracks, target))
    written: dict[str, dict[str, int]] = {}
    with cluster_client(workers, scheduler) as client, ProgressBar(shown=not quiet) as progress:
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
    path = Path(frames)
    if path.is_dir():
        return path.resolve().name
    return path.stem if path.is_file() else path.parent.resolve().name


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

    for name in ("coco", "ytvis"):
        if name in sets and Path(sets[name]).suffix.lower() != ".json":
            raise OutputError(f"--{name} {sets[name]}: expected a name that ends in .json")


def _check_apart(sets: dict[str, str], target: str, clip: Clip) -> None:
    """Refuse two outputs in one place, of which one would take the other's."""
    from rosgeo.errors import OutputError
    from rosgeo.tracks.sets.folders import clip_folder

    taken: dict[Path, str] = {Path(target).resolve(): "--output"}
    for name, path in sets.items():
        places = [Path(path)]
        if name in ("davis", "mots"):
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
    if "rosgeo_interpolated" in result:
        click.echo(f"Interpolated: {int(result['rosgeo_interpolated'].sum())} boxes")
    click.echo(f"Do not fit their track: {int(result['rosgeo_outlier'].sum())} outlines (rosgeo_outlier)")
    click.echo(f"Outlines: {target}")
    for name, path in sets.items():
        missing = ", ".join(f"{n} {_LEFT_OUT[key]}" for key, n in left_out.get(name, {}).items())
        click.echo(f"{_TOLD[name]}: {path}{f' (left out: {missing})' if missing else ''}")
