"""Options that say which labelled data a command reads, for those that read them without a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import Section, option, together
from rosgeo.cli.options import (
    FILE,
    area_option,
    class_column_option,
    layer_option,
    parts_option,
    placement_options,
    scene_options,
    where_option,
    y_axis_option,
)

if TYPE_CHECKING:
    from rosgeo.labelled.config import DataSource

__all__ = ["label_options", "label_source"]

_RASTER_KEYS = ("layer", "where", "class_column", "labels_crs", "area", "dem", "height")

label_options = together(
    option(
        "--labels",
        section=Section.BOXES,
        type=FILE,
        metavar="FILE",
        help="Layer of polygons, or raster of object numbers, where DATA is a raster.",
    ),
    layer_option("the --labels file"),
    where_option("Only the labels that meet this condition on their attributes."),
    class_column_option("Column of --labels that holds the class."),
    option("--labels-crs", section=Section.BOXES, metavar="CRS", help="CRS of labels without one; pixel: pixel coordinates."),
    y_axis_option("labels"),
    option(
        "--frame-masks",
        section=Section.BOXES,
        type=FILE,
        metavar="FOLDER",
        help="Indexed PNGs of the frames' names (as in DAVIS), where DATA is a folder of video frames or of clips.",
    ),
    option("--annotations", section=Section.BOXES, metavar="NAME", help="COCO file in DATA, where there are several."),
    option(
        "--ignore",
        section=Section.BOXES,
        multiple=True,
        metavar="CLASS|NUMBER|FILE",
        help="What counts neither as object nor as ground: a class, a number of masks, a layer of polygons. May be repeated.",
    ),
    area_option("Layer of polygons: the labelled part of a raster."),
    parts_option(
        "keep",
        "split",
        help="Whether the parts of a label are one object; where they are split, numbers of masks are classes.",
    ),
    option(
        "--images",
        section=Section.SCENE,
        type=FILE,
        metavar="FOLDER",
        help="Folder of the pictures, where they lie in none of the usual ones.",
    ),
    option("--subset", section=Section.SCENE, metavar="NAME", help="Part of a YOLO set: train, val, test or all."),
    scene_options("picture"),
    placement_options,
)
"""All options of labelled data; the command takes them as keywords and gives them to `label_source`."""


def label_source(data: Path, choices: dict[str, Any]) -> DataSource:
    """The source that DATA and its options name; takes the options out of `choices`.

    Raises
    ------
    UsageError
        Options that do not go together, or none that says what lies on a raster.
    """
    from rosgeo.labelled.config import DataSource

    labels, masks = choices.pop("labels"), choices.pop("frame_masks")
    of_raster = {key: choices.pop(key) for key in _RASTER_KEYS}
    y_axis = choices.pop("y_axis")
    of_folder = {key: choices.pop(key) for key in ("annotations", "images", "subset")}
    common = {key: choices.pop(key) for key in ("bands", "stretch", "nodata", "parts", "ignore")}
    if labels is not None and masks is not None:
        raise click.UsageError("--labels are of a raster and --frame-masks of video frames; expected one of them")
    misplaced = of_folder if labels or masks else {**of_raster, "y_axis": None if y_axis == "auto" else y_axis}
    wrong = [key for key, value in misplaced.items() if value not in (None, "", ())]
    if wrong:
        kind = "a folder of pictures" if labels or masks else "--labels on a raster"
        raise click.UsageError(f"--{wrong[0].replace('_', '-')} goes with {kind}")
    if labels is not None:
        area = of_raster.pop("area") or ""
        return DataSource(kind="raster", raster=str(data), labels=labels, area=area, y_axis=y_axis, **of_raster, **common)
    if masks is not None:
        return DataSource(kind="frames", path=str(data), masks=masks, **common)
    named: dict[str, Any] = {key: value or "" for key, value in of_folder.items()}
    return DataSource(path=str(data), **named, **common)
