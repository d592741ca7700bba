"""What goes in and what comes out: results, boxes and tracks, bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rosgeo.cli.help import Decorator, Section, option, together

__all__ = [
    "FILE",
    "area_option",
    "boxes_crs_option",
    "class_column_option",
    "crs_option",
    "format_option",
    "json_option",
    "layer_option",
    "nodata_option",
    "output_option",
    "overwrite_option",
    "parts_option",
    "picture_option",
    "placement_options",
    "preview_option",
    "reading_options",
    "scene_options",
    "set_option",
    "track_options",
    "where_option",
    "y_axis_option",
]

FILE = click.Path(readable=False)
"""Text that a shell completes as the name of a file; what is wrong with the file is said by whoever opens it."""

# Result


def output_option(help: str, *, default: str, **settings: Any) -> Decorator:
    """``-o``: the main result; `default` in words."""
    return option("-o", "--output", section=Section.RESULT, type=FILE, metavar="FILE", show_default=default, help=help, **settings)


overwrite_option = option("--overwrite", section=Section.RESULT, is_flag=True, help="Replace files that are there already.")


def crs_option(default: str) -> Decorator:
    """``--crs`` of the result; `default` in words."""
    return option("--crs", section=Section.RESULT, metavar="CRS", show_default=default, help="CRS of the result.")


def preview_option(help: str) -> Decorator:
    """``--preview``: a picture beside the result."""
    return option("--preview", section=Section.RESULT, type=FILE, metavar="FILE", help=help)


def json_option(help: str = "Print the run's record as JSON.", *, name: str = "as_json", **settings: Any) -> Decorator:
    """``--json``: a flag, or with settings of its own a file."""
    return option("--json", name, section=Section.RESULT, help=help, **(settings or {"is_flag": True}))


# Boxes


def layer_option(file: str) -> Decorator:
    """``--layer`` of a file with the name that the help has for it."""
    return option("--layer", section=Section.BOXES, metavar="NAME", help=f"Layer of {file}; needed where it has more than one.")


def class_column_option(help: str) -> Decorator:
    """``--class-column``: where the class of an object stands."""
    return option("--class-column", section=Section.BOXES, metavar="NAME", help=help)


def where_option(help: str) -> Decorator:
    """``--where``: which rows of a layer are taken."""
    return option("--where", section=Section.BOXES, metavar="SQL", help=help)


def area_option(help: str) -> Decorator:
    """``--area``: polygons that bound what is looked at."""
    return option("--area", section=Section.BOXES, type=FILE, metavar="FILE", help=help)


def picture_option(help: str) -> Decorator:
    """``--picture``: what was found, drawn."""
    return option("--picture", section=Section.RESULT, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help=help)


def parts_option(*choices: str, help: str) -> Decorator:
    """``--parts`` of an outline or label; the first choice is the default."""
    return option("--parts", section=Section.OUTLINES, default=choices[0], show_default=True, type=click.Choice(choices), help=help)


def set_option(help: str) -> Decorator:
    """``--set`` of a training configuration."""
    return option("--set", "overrides", section=Section.RUN, multiple=True, metavar="KEY=VALUE", help=help)


def boxes_crs_option(help: str, **settings: Any) -> Decorator:
    """``--boxes-crs``: what the boxes' coordinates mean where the file does not tell."""
    return option("--boxes-crs", section=Section.BOXES, help=help, **settings)


def format_option(help: str, *, name: str, **settings: Any) -> Decorator:
    """``--format`` of what holds the boxes."""
    return option("--format", name, section=Section.BOXES, help=help, **settings)


def y_axis_option(what: str) -> Decorator:
    """``--y-axis`` of a layer, in words that end with what is in pixels."""
    return option(
        "--y-axis",
        section=Section.BOXES,
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "down", "up"]),
        help=f"Of {what} in pixels: y is the row (down) or, as drawn in QGIS, minus the row (up). auto: as its sign tells.",
    )


def track_options(file: str, *, first_frame: str) -> Decorator:
    """How tracked boxes are read from `file`, in the help's name for it; the default of ``--first-frame`` in words."""
    return together(
        option(
            "--sequence",
            section=Section.BOXES,
            metavar="NAME",
            help=f"Which video or sequence, where {file} holds several: its name or id.",
        ),
        layer_option(file),
        option("--frame-column", section=Section.BOXES, metavar="NAME", help="Column of the frame in a table or layer."),
        option("--track-column", section=Section.BOXES, metavar="NAME", help="Column of the track in a table or layer."),
        option(
            "--column",
            "columns",
            section=Section.BOXES,
            multiple=True,
            metavar="ROLE=NAME",
            help="Column of something else in a table or layer: category, score, x_min, y_min, x_max, y_max, width, height. May be "
            "repeated.",
        ),
        option(
            "--first-frame",
            section=Section.BOXES,
            type=int,
            metavar="N",
            show_default=first_frame,
            help=f"Number that {file} gives the first frame.",
        ),
        option(
            "--first-pixel",
            section=Section.BOXES,
            type=click.IntRange(0, 1),
            metavar="N",
            show_default="the format's",
            help=f"Number that {file} gives the first column and row.",
        ),
        boxes_crs_option("A layer is in pixels, whatever its CRS says.", type=click.Choice(["pixel"])),
        y_axis_option("a layer"),
    )


# Scene


def scene_options(scene: str) -> Decorator:
    """Bands and stretch of a scene or clip."""
    return together(
        option(
            "--bands",
            section=Section.SCENE,
            metavar="R,G,B",
            show_default="those marked or named red, green and blue, else the first three",
            help="Bands to look at, from 1, or by name; a single one is grey.",
        ),
        option(
            "--stretch",
            section=Section.SCENE,
            default="auto",
            show_default=True,
            metavar="RULE",
            help="How values become 8-bit: none, percentile:LO,HI or range:LO,HI; auto: uint8 stays as it is, else percentile:2,98 of the "
            f"whole {scene}.",
        ),
        nodata_option,
    )


nodata_option = option(
    "--nodata",
    section=Section.SCENE,
    metavar="VALUE",
    show_default="as tagged, and what stands far out",
    help="No measurement, in place of the file's tag; none: every value is one.",
)

placement_options = together(
    option(
        "--dem",
        section=Section.SCENE,
        type=FILE,
        metavar="FILE",
        help="Raster of heights above the ellipsoid, for a scene that RPCs place.",
    ),
    option(
        "--height",
        section=Section.SCENE,
        type=float,
        metavar="M",
        show_default="the middle of the RPCs' own",
        help="One height for all of it, in place of --dem.",
    ),
)
"""Where a scene's ground lies that only RPCs place."""

reading_options = together(nodata_option, placement_options)
"""How a raster is read, bands and stretch apart."""
