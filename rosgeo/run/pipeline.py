"""The whole line: scene and boxes in, polygons out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rosgeo.addresses.secrets import file_name
from rosgeo.errors import RunInterruptedError
from rosgeo.geometry.plan import Plan
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import DEFAULT_MODEL
from rosgeo.raster.bands import Band
from rosgeo.raster.collection import expand_scenes
from rosgeo.raster.crops import CropReader
from rosgeo.raster.source import open_source
from rosgeo.run.append import add_to
from rosgeo.run.executors import Progress, ProgressCounter, cluster_work, collect, run_local
from rosgeo.run.journal import Journal, resume_hint
from rosgeo.run.many import segment_scenes
from rosgeo.run.options import SegmentOptions, make_options
from rosgeo.run.prepare import prepare
from rosgeo.run.prompts import Prompts
from rosgeo.run.record import describe_run, of_scene, run_fingerprint, run_record
from rosgeo.run.start import Outputs, RunTarget, SegmentRun, interrupted_text, open_segmenter, run_target
from rosgeo.run.tiles import TileRunner
from rosgeo.types import Tile
from rosgeo.vector.layers.coco import Picture
from rosgeo.vector.layers.gpkg import prompts_frame
from rosgeo.vector.layers.names import file_of
from rosgeo.vector.layers.write import write_results
from rosgeo.vector.neighbours import simplify_together
from rosgeo.vector.result import ObjectResult, assemble_result

if TYPE_CHECKING:
    import geopandas as gpd
    from distributed import Client
    from pyproj import CRS

__all__ = [
    "SegmentOptions",
    "SegmentRun",
    "interrupted_text",
    "open_segmenter",
    "segment",
    "segment_run",
]

logger = logging.getLogger(__name__)


def segment(
    scene: Any,
    boxes: Any,
    *,
    output: Outputs | None = None,
    class_column: str | None = None,
    overwrite: bool = False,
    model: str | Path = DEFAULT_MODEL,
    adapter: str | Path | None = None,
    mask_token: str | None = None,
    input_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    bands: str | tuple[Band, ...] | None = None,
    stretch: str = "auto",
    nodata: str | float | Sequence[float] | None = None,
    dem: str | Path | None = None,
    height: float | None = None,
    crop: str = "auto",
    crop_factor: float | None = None,
    crop_side: int | None = None,
    share: bool | float = False,
    resample: str = "bicubic",
    axes: str = "auto",
    outline: str = "smooth",
    parts: str = "all",
    min_area: float | None = None,
    simplify: float = 0.05,
    fill_holes: float | Literal["all"] | None = None,
    orthogonal: bool = False,
    boxes_crs: str | CRS | None = None,
    y_axis: str = "auto",
    box_format: str | None = None,
    layer: str | None = None,
    where: str | None = None,
    crs: str | CRS | None = None,
    append: bool = False,
    resume: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
) -> gpd.GeoDataFrame:
    """Segment the object in each box of a scene.

    Parameters
    ----------
    scene : path, rasterio data set, DataArray or Dataset, or a sequence of these
        Whatever rasterio opens, or an array with rioxarray's CRS and transform; a Dataset has a band in each variable.
        Several scenes, also as a folder, a pattern or a STAC item
        collection (see `rosgeo.raster.collection.expand_scenes`): each box is segmented on the scene that shows it best, whose name is in
        the column ``rosgeo_scene``; see `rosgeo.run.scenes`.
    boxes : path, GeoDataFrame or object
        Polygons of any shape and CRS; their envelope in the raster's pixels is the prompt. Also a detector's file (COCO, YOLO, a table), an
        array (N, 4) of x_min, y_min, x_max, y_max, and what detectors return; see `rosgeo.vector.layers.objects.box_frame`.
    output : path or sequence of path, optional
        Also write the result, in the format of each extension: .gpkg (with style and record), .parquet, .geojson (WGS 84, as RFC 7946 has
        it), .fgb, .shp, or .json (COCO). Either all files are put in place, or none. The first names the run for `resume`.
    class_column : str, optional
        Column of the boxes that holds the class, for COCO.
    overwrite : bool
        Replace an existing output.
    model : str or path
        A name of ``rosgeo models list``, or the path of a weights file: rosgeo's, SAM's, HQ-SAM's, or the folder of a ROS-SAM run.
    adapter : str or path, optional
        An adapter file of rosgeo, or an adapter's folder of peft.
    mask_token : {"hq", "sam", "sum"}, optional
        Whose mask is served. Default: the HQ token's for rosgeo and ROS-SAM, the sum for HQ-SAM, SAM's for SAM.
    input_size : int, optional
        Side of the model's input in pixels. Default: the model's own.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision : {"auto", "float32", "bf16"}
        ``auto``: bfloat16 where the hardware has it.
    batch_size : int, optional
        Crops a pass. Default: 1 on a CPU, 16 on a GPU.
    bands : str or tuple of int or str, optional
        One or three bands from 1, as in "4,3,2", or by name, as in "B04,B03,B02". Default: those marked or named red, green and blue, else
        the first three, else the first.
    stretch : str
        To 8-bit: ``auto`` (uint8 as it is, the rest by percentiles 2 and 98 of the whole scene), ``none``, ``percentile:LO,HI``
        or ``range:LO,HI`` (measurements, where the bands have a scale and an offset).
    nodata : float, sequence of float or str, optional
        Values that are no measurement, in place of the file's tag; ``"none"``: every value is one. Default: as tagged, and a value far
        outside all others that no tag names is found and told.
    dem, height : path, float, optional
        Heights of the ground above the ellipsoid, as a raster or one for all, for a scene that RPCs place.
    crop : {"auto", "paper", "tiles", "whole"}
        ``auto``: a square of `crop_factor` times the box's longer side. ``paper``: `crop_side` (512) px round each box, as ROS-SAM. The
        other two are the paper's baselines; see `CropPolicy`.
    crop_factor, crop_side : float, int, optional
        See `CropPolicy`.
    share : bool or float
        Boxes near each other share a crop and its encoding. A number: the crop's side over the longer side of each of its boxes, at most;
        True: 3. The same box then gives a slightly different outline with other boxes around it.
    resample : {"bicubic", "bilinear"}
        How crops are brought to the model's input.
    axes : {"auto", "map", "raster"}
        On a raster that is turned against the map (rotated, south-up): prompts and crops along the map's axes, or the raster's.
        ``auto``: the map's, unless the boxes are in pixels or clearly fit the raster's axes better, or the raster's own pixels are
        to be followed (`crop` paper, `outline` pixel).
    outline : {"smooth", "pixel"}
        Sub-pixel outlines, or along pixel edges.
    parts : {"all", "largest"}
        Which parts of a mask are kept, of those that touch the box.
    min_area : float, optional
        Smallest part and hole, in square pixels. Default: 1 % of the box.
    simplify : float
        Tolerance in pixels; 0 keeps every vertex. Smooth outlines are simplified one by one; pixel outlines together from 0.7 px on, and
        those that share an edge go on sharing it (`simplify_neighbours`).
    fill_holes : float or "all", optional
        Fill every hole, or those smaller than this, in square pixels.
    orthogonal : bool
        Right angles on the ground, for buildings; see `rosgeo.vector.orthogonal`.
    boxes_crs : str or CRS, optional
        CRS of boxes that have none (GeoJSON that names none among them); ``raster`` for coordinates of the raster's own map frame;
        ``pixel`` for pixel coordinates: x = column, and y = row or, as drawn in QGIS over a raster without georeferencing, y = -row. On
        such a raster boxes without CRS are in pixels anyway.
    y_axis : {"auto", "down", "up"}
        Which of them, for boxes in pixels. ``auto``: as the sign of y tells; boxes on both sides of 0 are an error.
    box_format : {"layer", "coco", "yolo", "yolo-seg", "xyxy", "xywh", "cxcywh"}, optional
        What the file of boxes is, or what the four numbers of a box are: corners, left top corner and size, centre and size. Default: told
        by its content.
    layer, where : str, optional
        Layer, and an SQL condition on its attributes.
    crs : str or CRS, optional
        CRS of the result. Default: the raster's.
    append : bool
        Where `output`, or the first of them, exists already (a GeoPackage): segment only the boxes that it does not hold, and add their
        rows to it. A box is told by where it lies in the scene; rows without a usable box by their columns. The other files are made anew,
        with `overwrite` in place of old ones.
    resume : bool
        Go on where a killed run of the same input and options to the same `output` was; see `Journal`.
    client : distributed.Client, optional
        Run the tiles on its cluster. The scene is a path that every worker can open, or a lazy DataArray.
    progress : callable, optional
        Called with the number of objects done, their total, and a dictionary of how many have each status.

    Returns
    -------
    GeoDataFrame
        One row for each row of `boxes`, in order (with `append`: those held and then the new ones), with its columns and ``rosgeo_id``,
        ``rosgeo_status`` (``ok``, ``empty``, ``outside``, ``nodata``, ``invalid``, ``failed``), ``rosgeo_score`` (predicted IoU, 0 to 1),
        ``rosgeo_stability``, ``rosgeo_area_m2`` (geodesic), ``rosgeo_model``. Geometry: a valid polygon or multipolygon, or None, in
        `crs` or the raster's (of several scenes the first one's); on a raster without georeferencing x = column, y = -row, which is where
        QGIS shows it (COCO: pixels).

    Raises
    ------
    UserInputError
        One of its subclasses in `rosgeo.errors`, for anything that the input or the options cannot give.

    Examples
    --------
    >>> import rosgeo
    >>> outlines = rosgeo.segment("scene.tif", "boxes.gpkg")  # doctest: +SKIP
    """
    options = make_options(
        model=model,
        adapter=adapter,
        mask_token=mask_token,
        input_size=input_size,
        device=device,
        precision=precision,
        batch_size=batch_size,
        bands=bands,
        stretch=stretch,
        nodata=nodata,
        dem=dem,
        height=height,
        crop=crop,
        crop_factor=crop_factor,
        crop_side=crop_side,
        share=share,
        resample=resample,
        axes=axes,
        outline=outline,
        parts=parts,
        min_area=min_area,
        simplify=simplify,
        fill_holes=fill_holes,
        orthogonal=orthogonal,
        boxes_crs=boxes_crs,
        y_axis=y_axis,
        box_format=box_format,
        layer=layer,
        where=where,
        crs=crs,
    )
    return segment_run(
        scene,
        boxes,
        options,
        output=output,
        class_column=class_column,
        overwrite=overwrite,
        append=append,
        resume=resume,
        client=client,
        progress=progress,
    ).result


def segment_run(
    scene: Any,
    boxes: Any,
    options: SegmentOptions,
    *,
    output: Outputs | None = None,
    class_column: str | None = None,
    overwrite: bool = False,
    append: bool = False,
    resume: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
    segmenter: Segmenter | None = None,
) -> SegmentRun:
    """`segment` with its options as one value; gives the run's record too.

    Parameters
    ----------
    scene, boxes, output, class_column, overwrite, append, resume, client, progress
        See `segment`.
    options : SegmentOptions
        All else.
    segmenter : Segmenter, optional
        A model that is loaded already; `options.model` and what follows from it are not used then.
    """
    scenes = expand_scenes(scene)
    inputs = tuple(file_of(str(i)) for i in (*scenes, boxes) if isinstance(i, str | Path))
    with run_target(output, inputs=inputs, class_column=class_column, overwrite=overwrite, append=append, resume=resume) as target:
        segment_to = _segment_scene if len(scenes) == 1 else segment_scenes
        return segment_to(target, scenes, boxes, options, client=client, progress=progress, segmenter=segmenter)


def _segment_scene(
    target: RunTarget,
    scenes: Sequence[Any],
    boxes: Any,
    options: SegmentOptions,
    *,
    client: Client | None,
    progress: Progress | None,
    segmenter: Segmenter | None,
) -> SegmentRun:
    started = time.monotonic()
    (scene,) = scenes
    outputs, existing = target.outputs, target.existing
    with open_source(scene, options.reading) as opened:
        picture = Picture(file_name(opened.name), opened.grid, target.class_column)
        ready = prepare(opened, boxes, options, outputs, existing, target.class_column)
        layer, prompts, reader, source = ready.layer, ready.prompts, ready.reader, ready.prompts.source
        segmenter = segmenter or open_segmenter(options)
        reading = reader.source.reading
        facts = describe_run(options, segmenter, reader.bands, reader.stretch, prompts.axes) | of_scene(reader)
        if existing is not None:
            existing.require_same(facts, source.name)
        journal = None
        if outputs:
            deciding = run_fingerprint(facts, source, scene, prompts.boxes_px, layer.frame)
            # Where nothing is left to do, what an older run left to go on from is of no use.
            journal = Journal(outputs[0], deciding, resume=target.resume and bool(ready.plan.tiles))
            journal.keep_only({number: tile.boxes.ids.tolist() for number, tile in enumerate(ready.plan.tiles)})
        finished = {} if journal is None else journal.finished
        objects = _skipped(ready.plan) + [result for results in finished.values() for result in results]
        tiles = [(number, tile) for number, tile in enumerate(ready.plan.tiles) if number not in finished]
        counter = ProgressCounter(len(layer), objects, progress)
        try:
            # Closed before the scene is: a reading thread that still goes would read from a data set that is gone.
            with resume_hint(journal), closing(_work(tiles, scene, prompts, reader, segmenter, options, client)) as work:
                objects += collect(work, dict(tiles), journal, counter)
        except KeyboardInterrupt:
            raise RunInterruptedError(interrupted_text(counter, journal)) from None
        finally:
            if journal is not None:
                journal.close()
    objects = simplify_together(objects, source.grid, options.outline)
    result = assemble_result(layer.frame, objects, source.grid.crs, segmenter.model.name, out_crs=ready.out_crs, rows=layer.rows)
    boxes_px = prompts.boxes_px
    boxes_map = prompts_frame(boxes_px, source.grid, result["rosgeo_id"], result["rosgeo_status"])
    with resume_hint(journal):
        if existing is not None:
            existing = existing.as_saved()
            result, boxes_px = add_to(existing, result), existing.joined(boxes_px, source.grid)
            boxes_map = existing.prompts_with(boxes_map)
        record = run_record(
            **facts,
            inputs={"scene": source.name, "boxes": layer.name},
            objects=len(result),
            counts=dict(Counter(result["rosgeo_status"])),
            **({} if existing is None else {"added": len(layer), "added_to": existing.runs}),
            seconds=time.monotonic() - started,
        )
        if outputs:
            stamp = None if existing is None else existing.stamp
            write_results(result, outputs, record, boxes_map, picture=picture, read=stamp)
    if journal is not None:
        journal.remove()
    return SegmentRun(result, record, boxes_px, prompts.axes, reading)


def _skipped(plan: Plan) -> list[ObjectResult]:
    invalid = [ObjectResult(int(i), "invalid") for i in np.flatnonzero(plan.invalid)]
    return invalid + [ObjectResult(int(i), "outside") for i in np.flatnonzero(plan.outside)]


def _work(
    tiles: list[tuple[int, Tile]],
    scene: Any,
    prompts: Prompts,
    reader: CropReader,
    segmenter: Segmenter,
    options: SegmentOptions,
    client: Client | None,
) -> Generator[tuple[int, ObjectResult]]:
    """Run tiles here, or on a cluster; the results as they come, each with the number of its tile."""
    if client is None:
        return run_local(tiles, TileRunner(reader, segmenter, options.outline))
    seen = replace(options, reading=reader.source.reading)
    return cluster_work(tiles, scene, reader.bands, reader.stretch, segmenter, seen, client, upright=prompts.axes == "map")
