"""``rosgeo segment SCENE BOXES``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

from rosgeo.cli.help import Section, command, option
from rosgeo.cli.options import (
    FILE,
    boxes_crs_option,
    class_column_option,
    crop_choices,
    crop_options,
    crs_option,
    format_option,
    json_option,
    layer_option,
    model_options,
    outline_options,
    output_option,
    overwrite_option,
    placement_options,
    preview_option,
    quiet_option,
    resample_option,
    resume_option,
    run_options,
    scene_options,
    where_option,
    y_axis_option,
)
from rosgeo.cli.progress import ProgressBar

if TYPE_CHECKING:
    from rosgeo.cli.beside import Beside
    from rosgeo.run.options import SegmentOptions
    from rosgeo.run.pipeline import SegmentRun

__all__ = ["segment_command", "segment_options"]


@command(
    "segment",
    short_help="Boxes on a raster to outlines in a layer.",
    first=("--output", "--overwrite", "--boxes-crs", "--bands", "--model", "--preview"),
)
@click.argument("scenes", metavar="SCENE...", nargs=-1, required=True, type=FILE)
@click.argument("boxes", type=FILE)
@output_option(
    "Result: .gpkg (styled for QGIS, with the run's record), .parquet, .geojson, .fgb, .shp or .json (COCO). May be repeated: all are "
    "written, or none.",
    default="SCENE_masks.gpkg here",
    multiple=True,
)
@overwrite_option
@option(
    "--append",
    section=Section.RESULT,
    is_flag=True,
    help="Segment only the boxes that the result (a .gpkg) does not hold yet, and add them to it.",
)
@crs_option("the raster's")
@preview_option("Also draw the scene and its objects (.png).")
@option(
    "--mask-raster",
    section=Section.RESULT,
    type=FILE,
    metavar="FILE",
    help="Also write the outlines as a Cloud Optimized GeoTIFF on the scene's grid (.tif).",
)
@option(
    "--mask-values",
    section=Section.RESULT,
    default="mask",
    show_default=True,
    type=click.Choice(["mask", "row"]),
    help="Of the mask raster: 1 inside, or the row's rosgeo_id plus 1.",
)
@option("--stac", section=Section.RESULT, is_flag=True, help="Also write a STAC item beside the result (OUTPUT.stac.json).")
@option(
    "--datetime",
    "scene_time",
    section=Section.RESULT,
    metavar="TIME",
    show_default="what the scene tells",
    help="When the scene was taken, for the STAC item: 2024-05-01, 2024-05-01T10:30:00Z, or START/END.",
)
@json_option()
@layer_option("BOXES")
@where_option("Take only boxes that meet this condition, as in \"class = 'ship'\".")
@class_column_option("Column of BOXES that holds the class, for the categories of a COCO result.")
@boxes_crs_option(
    "CRS of boxes that name none, as in EPSG:32650; 'raster' for the raster's own coordinates, 'pixel' for pixels.", metavar="CRS"
)
@format_option(
    "What BOXES is, or what a table's four numbers are: corners, left top corner and size, centre and size.",
    name="box_format",
    type=click.Choice(["layer", "coco", "yolo", "yolo-seg", "xyxy", "xywh", "cxcywh"]),
    show_default="as its content tells",
)
@y_axis_option("boxes")
@scene_options("scene")
@placement_options
@option(
    "--axes",
    section=Section.SCENE,
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "map", "raster"]),
    help="Axes of prompts and crops on a raster that is turned against the map.",
)
@outline_options
@model_options
@crop_options("auto", "paper", "tiles", "whole")
@resample_option
@option(
    "--dry-run",
    section=Section.RUN,
    is_flag=True,
    help="Plan, time a few crops, say what the run would take; write nothing.",
)
@resume_option
@run_options("tiles")
@quiet_option(but=" --json is printed all the same.")
def segment_command(
    scenes: tuple[str, ...],
    boxes: str,
    output: tuple[str, ...],
    class_column: str | None,
    overwrite: bool,
    dry_run: bool,
    append: bool,
    resume: bool,
    workers: int | None,
    scheduler: str | None,
    mask_raster: str | None,
    mask_values: Literal["mask", "row"],
    preview: str | None,
    stac: bool,
    scene_time: str | None,
    as_json: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    """Segment the object in each box of BOXES on the raster SCENE.

    BOXES is any layer of polygons that GDAL reads, in any CRS, or a detector's file (COCO, YOLO, a table with xmin, ymin, xmax, ymax); the
    result has a row for each of its rows, with all its attributes. On a raster without georeferencing boxes are in pixels, and outlines
    have x = column and y = -row, where QGIS shows such a raster.

    Of several scenes (files, a folder, a STAC item collection) each box is segmented on the one that shows it best, named in the column
    rosgeo_scene; touching tiles are seen as one.

    \b
    rosgeo segment scene.tif boxes.gpkg
    rosgeo segment s2.tif fields.geojson -o fields.parquet \\
        --bands 4,3,2 --stretch range:0,3000
    rosgeo segment scene.tif boxes.gpkg -o roofs.gpkg -o roofs.json \\
        --orthogonal --fill-holes all
    rosgeo segment scene.tif boxes.gpkg -o roofs.gpkg --overwrite \\
        --stac --datetime 2014-06-01/2014-09-30
    rosgeo segment scenes boxes.gpkg -o roofs.gpkg
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.cli.beside import Beside
    from rosgeo.cli.cluster import cluster_client
    from rosgeo.files.locks import written_alone
    from rosgeo.files.names import stem_of
    from rosgeo.raster.collection import expand_scenes
    from rosgeo.run.pipeline import segment_run

    options = segment_options(choices)
    given: Any = scenes[0] if len(scenes) == 1 else list(scenes)
    expanded = [str(scene) for scene in expand_scenes(given)]
    if dry_run:
        from rosgeo.run.estimate import estimate_run

        figures = estimate_run(expanded, boxes, options, add_to=output[0] if append and output else None)
        if as_json or not quiet:
            click.echo(json.dumps(figures) if as_json else _estimate(figures))
        return
    # A folder or a collection gives the result its name; of several files the first does.
    targets = list(output) or [f"{stem_of(scenes[0])}_masks.gpkg"]
    beside = Beside(targets, mask_raster, mask_values, preview, stac, scene_time)
    beside.check(expanded, boxes, overwrite=overwrite)
    with written_alone(beside.titled.values()):
        with cluster_client(workers, scheduler) as client, ProgressBar(shown=not quiet) as progress:
            run = segment_run(
                expanded,
                boxes,
                options,
                output=targets,
                class_column=class_column,
                overwrite=overwrite,
                append=append,
                resume=resume,
                client=client,
                progress=progress,
            )
        beside.write(expanded[0], run, options)
    if as_json:
        click.echo(json.dumps({**run.record, **beside.as_json()}))
    elif not quiet:
        _summary(run, beside)


_OF_THE_OUTLINE = ("outline", "parts", "min_area", "simplify", "fill_holes", "orthogonal")


def segment_options(choices: dict[str, Any]) -> SegmentOptions:
    """The options of a run, from the values of the options of ``rosgeo segment``."""
    from rosgeo.raster.bands import parse_bands
    from rosgeo.raster.reading import make_reading
    from rosgeo.run.options import SegmentOptions
    from rosgeo.vector.polygonize import OutlineOptions

    choices = dict(choices)
    policy = crop_choices(choices)
    outline = OutlineOptions(**{key: choices[key] for key in _OF_THE_OUTLINE})
    same = (
        "resample",
        "adapter",
        "mask_token",
        "model",
        "input_size",
        "axes",
        "device",
        "precision",
        "batch_size",
        "stretch",
        "boxes_crs",
        "y_axis",
        "box_format",
        "layer",
        "where",
        "crs",
    )
    reading = make_reading(choices["nodata"], choices["dem"], choices["height"])
    return SegmentOptions(
        bands=parse_bands(choices["bands"]), reading=reading, crop=policy, outline=outline, **{key: choices[key] for key in same}
    )


def _estimate(figures: dict[str, Any]) -> str:
    seconds = figures["seconds"]
    return "\n".join(
        (
            f"boxes: {figures['boxes']} ({figures['planned']} planned, {figures['outside']} outside, {figures['invalid']} invalid)",
            f"tiles: {figures['tiles']}, crops: {figures['crops']}, encoder passes: {figures['encoder_passes']}",
            f"to read: {figures['bytes_to_read'] / 1e6:.1f} MB of pixels",
            "time: nothing to do"
            if seconds is None
            else f"time: about {seconds:.0f} s ({figures['seconds_an_object']:.2f} s an object)",
            f"memory: about {figures['peak_memory_bytes'] / 1e6:.0f} MB at most",
        )
    )


def _summary(run: SegmentRun, beside: Beside) -> None:
    record = run.record
    counts = ", ".join(f"{n} {status}" for status, n in sorted(record["counts"].items(), key=lambda item: -item[1]))
    boxes = "box" if record["objects"] == 1 else "boxes"
    if "added" in record:
        click.echo(f"{record['added']} added to {record['objects'] - record['added']} held")
    click.echo(
        f"{record['objects']} {boxes}: {counts}; {record['seconds']:.1f} s with {record['model']['name']} on {record['device']}"
    )
    click.echo(f"Outlines: {', '.join(beside.targets)}")
    for title, path in beside.titled.items():
        click.echo(f"{title}: {path}")
