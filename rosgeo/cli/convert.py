"""``rosgeo convert tracks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rosgeo.cli.help import Section, group, option
from rosgeo.cli.options import FILE, overwrite_option, quiet_option, track_options

if TYPE_CHECKING:
    from rosgeo.tracks.values import Tracks

__all__ = ["column_roles", "convert_group", "describe", "tracks_command"]


@group("convert", short_help="Change the format of tracks.")
def convert_group() -> None:
    """Change the format of data, and nothing else.

    \b
    rosgeo convert tracks MOT17-02/gt/gt.txt tracks.gpkg --to layer
    """  # noqa: D301 - the \\b is click's own mark, a backspace


@convert_group.command("tracks", short_help="Tracked boxes from one format to another.", first=("--to", "--from", "--overwrite"))
@click.argument("source", metavar="IN", type=FILE)
@click.argument("output", metavar="OUT", type=FILE)
@option(
    "--to",
    "target",
    section=Section.RESULT,
    required=True,
    metavar="FORMAT",
    help="mot, coco-video, ytvis, csv, layer (GeoPackage), otb, cvat-video or label-studio.",
)
@option(
    "--from",
    "format",
    section=Section.BOXES,
    metavar="FORMAT",
    show_default="as its content tells",
    help="Format of IN: one of those above.",
)
@overwrite_option
@option("--track", section=Section.RESULT, metavar="ID", help="The track to write as otb, which holds one.")
@option(
    "--size", section=Section.RESULT, metavar="WIDTHxHEIGHT", help="Of a frame in pixels, which JSON formats tell and IN may need."
)
@option(
    "--name",
    section=Section.RESULT,
    metavar="NAME",
    show_default="that of IN",
    help="Of the clip, which JSON formats tell.",
)
@track_options("IN", first_frame="the format's")
@quiet_option()
def tracks_command(
    source: str,
    output: str,
    target: str,
    format: str | None,
    sequence: str | None,
    layer: str | None,
    frame_column: str | None,
    track_column: str | None,
    columns: tuple[str, ...],
    first_pixel: int | None,
    first_frame: int | None,
    y_axis: str,
    boxes_crs: str | None,
    track: str | None,
    size: str | None,
    name: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write the tracked boxes IN, a file or a sequence's folder, as OUT.

    Reads files of data sets (MOTChallenge, VisDrone, UAVDT, KITTI, BDD100K, OTB, SatSOT, ImageNet VID, ...), of annotation tools
    (CVAT, Label Studio, DIVE) and of trackers (Ultralytics, BoxMOT), COCO for videos, YouTube-VIS, tables with named columns and vector
    layers. The format is recognised by what is in IN; the summary says which it is, and what it calls the first pixel and frame.

    \b
    rosgeo convert tracks MOT17-02/gt/gt.txt tracks.gpkg --to layer
    rosgeo convert tracks car_01 car_01.json --to coco-video --size 1920x1080
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.tracks.read import read_tracks
    from rosgeo.tracks.write import check_target, write_tracks

    shape, roles = _size(size), column_roles(columns)
    path = check_target(output, target, overwrite=overwrite, inputs=(source,))
    tracks = read_tracks(
        source,
        format=format,
        sequence=sequence,
        layer=layer,
        frame_column=frame_column,
        track_column=track_column,
        columns=roles,
        first_pixel=first_pixel,
        first_frame=first_frame,
        boxes_crs=boxes_crs,
        y_axis=y_axis,  # type: ignore[arg-type]
        size=shape,
    )
    lost = write_tracks(tracks, path, target, overwrite=overwrite, size=shape, track=track, name=name)
    if not quiet:
        click.echo(f"{source}: {describe(tracks)}; {tracks.origin}")
        if tracks.unread:
            click.echo(f"Not read: {'; '.join(tracks.unread)}")
        everything = "everything that was read is in it" if tracks.unread else "everything is in it"
        click.echo(f"{path} ({target}): " + (f"without {'; '.join(lost)}" if lost else everything))


def describe(tracks: Tracks) -> str:
    """Tracks in one line: boxes, tracks, frames, format."""
    import numpy as np

    boxes = int(np.isfinite(tracks.xyxy).all(axis=1).sum())
    bare = len(tracks) - boxes
    # Rows of detections belong to no track.
    ids = tracks.table["track_id"]
    count = ids[ids.astype(str) != "-1"].nunique()
    text = f"{_count(boxes, 'box', 'boxes')} of {_count(count, 'track')} in {_count(tracks.table['frame'].nunique(), 'frame')}"
    return text + (f", {_count(bare, 'row')} without a box" if bare else "") + f" ({tracks.format})"


def _count(number: int, word: str, many: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else many or f'{word}s'}"


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width from WIDTHxHEIGHT."""
    from rosgeo.errors import OptionError

    if text is None:
        return None
    width, mark, height = text.lower().partition("x")
    if not (mark and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"--size {text!r} is no size; expected WIDTHxHEIGHT in pixels, such as 1920x1080")
    return int(height), int(width)


def column_roles(columns: tuple[str, ...]) -> dict[str, str]:
    """What ``--column`` gave, as `read_tracks` takes it."""
    from rosgeo.errors import OptionError

    roles = {}
    for text in columns:
        role, mark, name = text.partition("=")
        if not (mark and role and name):
            raise OptionError(f"--column {text!r} names no column; expected ROLE=NAME, such as x_min=left")
        roles[role] = name
    return roles
