"""``rosgeo segment SCENE BOXES``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

from rosgeo.cli.beside import Beside
from rosgeo.cli.options import (
    FILE,
    ProgressBar,
    cluster_client,
    crop_choices,
    dem_option,
    device_option,
    height_option,
    nodata_option,
    quiet_option,
    y_axis_option,
)

if TYPE_CHECKING:
    from rosgeo.run.options import SegmentOptions
    from rosgeo.run.pipeline import SegmentRun

__all__ = ["segment_command", "segment_options"]


def _holes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | str | None:
    """``all``, or a number of square pixels."""
    try:
        return value if value in (None, "all") else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number of square pixels nor all") from None


@click.command("segment", short_help="Boxes on a raster to outlines in a layer.")
@click.argument("scene", type=FILE)
@click.argument("boxes", type=FILE)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Result: .gpkg (styled for QGIS, with the run's record), .parquet, .geojson, .fgb, .shp or .json (COCO). May be repeated: all "
    "are written, or none.  [default: SCENE_masks.gpkg here]",
)
@click.option("--class-column", metavar="NAME", help="Column of BOXES that holds the class, for the categories of a COCO result.")
@click.option("--overwrite", is_flag=True, help="Replace an existing result.")
@click.option("--dry-run", is_flag=True, help="Plan, time a few crops, say what the run would take; write nothing.")
@click.option(
    "--append",
    is_flag=True,
    help="Segment only the boxes that the result (a .gpkg) does not hold yet, and add them to it.",
)
@click.option("--resume", is_flag=True, help="Go on where a killed run of the same input and options was.")
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Run tiles in N processes of this machine.  [default: this one]"
)
@click.option("--scheduler", metavar="ADDRESS", help="Run tiles on a running Dask cluster, as in tcp://host:8786.")
@click.option("--layer", metavar="NAME", help="Layer of BOXES; needed where it has more than one.")
@click.option("--where", metavar="SQL", help="Take only boxes that meet this condition, as in \"class = 'ship'\".")
@click.option("--boxes-crs", metavar="CRS", help="CRS of boxes that have none, as in EPSG:32650; 'pixel' for pixel coordinates.")
@y_axis_option("boxes")
@click.option("--crs", metavar="CRS", help="CRS of the result.  [default: the raster's]")
@click.option(
    "--bands",
    metavar="R,G,B",
    help="Bands from 1, or by name; one for grey.  [default: marked or named red, green, blue; else the first three]",
)
@click.option(
    "--stretch",
    default="auto",
    show_default=True,
    metavar="RULE",
    help="To 8-bit: auto (uint8 as it is, else percentile:2,98 of the whole scene), none, percentile:LO,HI or range:LO,HI.",
)
@nodata_option
@dem_option
@height_option
@click.option(
    "--model",
    default="rosgeo-small",
    show_default=True,
    type=FILE,
    metavar="NAME|PATH",
    help="A name of 'rosgeo models list', or a weights file of rosgeo, SAM or HQ-SAM, or a ROS-SAM run's folder.",
)
@click.option(
    "--adapter", type=FILE, metavar="PATH", help="Adapter to put on the model: a file of rosgeo train, or a folder of peft."
)
@click.option(
    "--mask-token",
    type=click.Choice(["hq", "sam", "sum"]),
    help="Mask that is served.  [default: hq; sam for SAM, sum for HQ-SAM]",
)
@click.option("--input-size", type=click.IntRange(1), metavar="PX", help="Side of the model's input.  [default: the model's own]")
@device_option
@click.option(
    "--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bf16"]), help="Of the model."
)
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Crops a pass.  [default: 1 on a CPU, 16 on a GPU]")
@click.option(
    "--crop",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "paper", "tiles", "whole"]),
    help="auto: as large as the box asks for; paper: --crop-side px round each box; tiles, whole: the paper's baselines.",
)
@click.option("--crop-side", type=int, metavar="PX", help="Side of a paper or tiles crop.  [default: 512]")
@click.option(
    "--resample",
    default="bicubic",
    show_default=True,
    type=click.Choice(["bicubic", "bilinear"]),
    help="How crops are brought to the model's input.",
)
@click.option(
    "--share/--no-share",
    default=False,
    show_default=True,
    help="Boxes near each other share a crop: fewer encoder passes. Objects are coarser in auto crops, the same in paper ones.",
)
@click.option(
    "--share-factor",
    type=float,
    metavar="F",
    help="Side of a shared auto crop over the longer side of each of its boxes, at most.  [default: 3]",
)
@click.option("--crop-factor", type=float, metavar="F", help="Side of an auto crop over the box's longer side.")
@click.option(
    "--axes",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "map", "raster"]),
    help="Axes of prompts and crops on a raster that is turned against the map.",
)
@click.option(
    "--outline",
    default="smooth",
    show_default=True,
    type=click.Choice(["smooth", "pixel"]),
    help="Sub-pixel outlines, or along pixel edges.",
)
@click.option(
    "--parts", default="all", show_default=True, type=click.Choice(["all", "largest"]), help="Parts of a mask that touch the box."
)
@click.option(
    "--min-area",
    type=click.FloatRange(0),
    metavar="PX2",
    help="Smallest part and hole, in square pixels.  [default: 1 % of the box]",
)
@click.option(
    "--fill-holes", callback=_holes, metavar="PX2|all", help="Fill every hole, or those smaller than this, in square pixels."
)
@click.option("--orthogonal", is_flag=True, help="Right angles, for buildings.")
@click.option(
    "--simplify",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0),
    metavar="PX",
    help="Tolerance, in pixels. Pixel outlines that share edges keep them shared, from 0.7 on.",
)
@click.option(
    "--mask-raster",
    type=FILE,
    metavar="FILE",
    help="Also write the outlines as a Cloud Optimized GeoTIFF on the scene's grid (.tif).",
)
@click.option(
    "--mask-values",
    default="mask",
    show_default=True,
    type=click.Choice(["mask", "row"]),
    help="Of the mask raster: 1 inside, or the row's rosgeo_id plus 1.",
)
@click.option("--preview", type=FILE, metavar="FILE", help="Also draw the scene and its objects (.png).")
@click.option("--stac", is_flag=True, help="Also write a STAC item beside the result (RESULT.stac.json).")
@click.option(
    "--datetime",
    "scene_time",
    metavar="TIME",
    help="When the scene was taken, for the STAC item: 2024-05-01, 2024-05-01T10:30:00Z, or START/END.  [default: what the scene tells]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
@quiet_option
def segment_command(
    scene: str,
    boxes: str,
    outputs: tuple[str, ...],
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

    BOXES is any layer of polygons that GDAL reads, in any CRS; the result has a row for each of its rows, with all its attributes. On a
    raster without georeferencing boxes are in pixels, and outlines have x = column and y = -row, where QGIS shows such a raster.

    \b
    rosgeo segment scene.tif boxes.gpkg
    rosgeo segment s2.tif fields.geojson -o fields.parquet --bands 4,3,2 --stretch range:0,3000
    rosgeo segment scene.tif boxes.gpkg -o roofs.gpkg -o roofs.json --orthogonal --fill-holes all
    rosgeo segment scene.tif boxes.gpkg -o roofs.gpkg --overwrite --stac --datetime 2014-06-01/2014-09-30
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.raster.names import plain_name
    from rosgeo.run.pipeline import segment_run

    options = segment_options(choices)
    if dry_run:
        from rosgeo.run.estimate import estimate_run

        figures = estimate_run(scene, boxes, options, add_to=outputs[0] if append and outputs else None)
        click.echo(json.dumps(figures) if as_json else _estimate(figures))
        return
    targets = list(outputs) or [f"{plain_name(scene)}_masks.gpkg"]
    beside = Beside(targets, mask_raster, mask_values, preview, stac, scene_time)
    beside.check(scene, boxes, overwrite=overwrite)
    with cluster_client(workers, scheduler) as client, ProgressBar(shown=not quiet) as progress:
        run = segment_run(
            scene,
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
    beside.write(scene, run, options)
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
