"""The whole line: scene and boxes in, polygons out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rosgeo.errors import OptionError
from rosgeo.geometry.plan import Plan, make_plan
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import PADDING_RGB, Resampling
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import DEFAULT_MODEL, open_model
from rosgeo.prompts import Axes, Prompts, place_boxes, require_reachable
from rosgeo.provenance import run_record
from rosgeo.raster.bands import parse_bands, parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource, open_source
from rosgeo.types import Boxes, Crop, FloatArray, ObjectMask, Tile
from rosgeo.vector.polygonize import OutlineOptions, map_precision, mask_to_polygon, polygon_to_map
from rosgeo.vector.read import crs_label, parse_crs, read_boxes
from rosgeo.vector.result import ObjectResult, assemble_result, refuse_clashing_columns
from rosgeo.vector.write import check_columns, check_output, output_driver, write_result

if TYPE_CHECKING:
    import geopandas as gpd
    from pyproj import CRS

__all__ = ["SegmentOptions", "SegmentRun", "segment", "segment_run"]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SegmentOptions:
    """Every option of a run, as given.

    Attributes
    ----------
    model : str
        Name of a model or path of its weights.
    adapter : str or None
        Adapter to put on the model; see `open_model`.
    mask_token : {"hq", "sam", "sum"} or None
        Whose mask is served; None for the model's own choice.
    input_size : int or None
        Side of the model's input in pixels; None for the model's own.
    device, precision : str
        See `choose_device` and `choose_precision`.
    batch_size : int or None
        Crops a pass; None: 1 on a CPU, 16 on a GPU.
    bands : tuple of int or None
        One or three bands, from 1.
    stretch : str
        ``auto``, ``none``, ``percentile:LO,HI`` or ``range:LO,HI``.
    crop : CropPolicy
        How crops are cut.
    resample : {"bicubic", "bilinear"}
        How crops are brought to the model's input.
    axes : {"auto", "map", "raster"}
        Along which axes prompts and crops lie; see `place_boxes`.
    outline : OutlineOptions
        How masks become polygons.
    boxes_crs, layer, where : str or None
        How the boxes are read.
    crs : str or None
        CRS of the result; None for the raster's.
    """

    model: str = DEFAULT_MODEL
    adapter: str | None = None
    mask_token: str | None = None
    input_size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    bands: tuple[int, ...] | None = None
    stretch: str = "auto"
    crop: CropPolicy = field(default_factory=CropPolicy)
    resample: Resampling = "bicubic"
    axes: Axes = "auto"
    outline: OutlineOptions = field(default_factory=OutlineOptions)
    boxes_crs: str | None = None
    layer: str | None = None
    where: str | None = None
    crs: str | None = None


@dataclass(frozen=True)
class SegmentRun:
    """A finished run.

    Attributes
    ----------
    result : GeoDataFrame
        One row for each input row.
    record : dict
        Versions, weights, options, inputs, counts, times; plain values for JSON.
    boxes_px : Boxes
        The prompts in the pixel frame of the scene along `axes`.
    axes : {"map", "raster"}
        Along which prompts and crops lay; see `place_boxes`.
    """

    result: gpd.GeoDataFrame
    record: dict[str, Any]
    boxes_px: Boxes
    axes: Literal["map", "raster"]


def segment(
    scene: Any,
    boxes: str | Path | gpd.GeoDataFrame,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    model: str | Path = DEFAULT_MODEL,
    adapter: str | Path | None = None,
    mask_token: str | None = None,
    input_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    bands: str | tuple[int, ...] | None = None,
    stretch: str = "auto",
    crop: str = "auto",
    crop_factor: float | None = None,
    crop_side: int | None = None,
    resample: str = "bicubic",
    axes: str = "auto",
    outline: str = "smooth",
    parts: str = "all",
    min_area: float | None = None,
    simplify: float = 0.05,
    boxes_crs: str | CRS | None = None,
    layer: str | None = None,
    where: str | None = None,
    crs: str | CRS | None = None,
    progress: Progress | None = None,
) -> gpd.GeoDataFrame:
    """Segment the object in each box of a scene.

    Parameters
    ----------
    scene : path, rasterio data set or DataArray
        Whatever rasterio opens, or an array with rioxarray's CRS and transform.
    boxes : path or GeoDataFrame
        Polygons of any shape and CRS; their envelope in the raster's pixels is the prompt.
    output : path, optional
        Also write the result: .gpkg (with style and record), .parquet, .geojson or .fgb.
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
    bands : str or tuple of int, optional
        One or three bands from 1, as in "4,3,2". Default: those marked red, green and blue, else the first three, else the first.
    stretch : str
        To 8-bit: ``auto`` (uint8 as it is, the rest by percentiles 2 and 98 of the whole scene), ``none``, ``percentile:LO,HI``
        or ``range:LO,HI``.
    crop : {"auto", "paper", "tiles", "whole"}
        ``auto``: a square of `crop_factor` times the box's longer side. ``paper``: `crop_side` (512) px round each box, as ROS-SAM. The
        other two are the paper's baselines; see `CropPolicy`.
    crop_factor, crop_side : float, int, optional
        See `CropPolicy`.
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
        Tolerance for smooth outlines, in pixels; 0 keeps every vertex.
    boxes_crs : str or CRS, optional
        CRS of boxes that have none; ``pixel`` for pixel coordinates.
    layer, where : str, optional
        Layer, and an SQL condition on its attributes.
    crs : str or CRS, optional
        CRS of the result. Default: the raster's.
    progress : callable, optional
        Called with the number of objects done and their total.

    Returns
    -------
    GeoDataFrame
        One row for each row of `boxes`, in order, with its columns and ``rosgeo_id``, ``rosgeo_status`` (``ok``, ``empty``, ``outside``,
        ``nodata``, ``invalid``), ``rosgeo_score`` (predicted IoU, 0 to 1), ``rosgeo_stability``, ``rosgeo_area_m2`` (geodesic),
        ``rosgeo_model``. Geometry: a valid polygon or multipolygon, or None.

    Raises
    ------
    UserInputError
        One of its subclasses in `rosgeo.errors`, for anything that the input or the options cannot give.

    Examples
    --------
    >>> import rosgeo
    >>> outlines = rosgeo.segment("scene.tif", "boxes.gpkg")  # doctest: +SKIP
    """
    policy = CropPolicy(mode=_choice("crop", crop, ("auto", "paper", "tiles", "whole")))
    if crop_factor is not None:
        policy = replace(policy, factor=crop_factor)
    if crop_side is not None:
        policy = replace(policy, paper_side=crop_side)
    options = SegmentOptions(
        model=str(model),
        adapter=None if adapter is None else str(adapter),
        mask_token=mask_token,
        input_size=input_size,
        device=device,
        precision=precision,
        batch_size=batch_size,
        bands=parse_bands(bands),
        stretch=stretch,
        crop=policy,
        resample=_choice("resample", resample, ("bicubic", "bilinear")),
        axes=_choice("axes", axes, ("auto", "map", "raster")),
        outline=OutlineOptions(
            outline=_choice("outline", outline, ("smooth", "pixel")),
            parts=_choice("parts", parts, ("all", "largest")),
            min_area=min_area,
            simplify=simplify,
        ),
        boxes_crs=_crs_text(boxes_crs),
        layer=layer,
        where=where,
        crs=_crs_text(crs),
    )
    return segment_run(scene, boxes, options, output=output, overwrite=overwrite, progress=progress).result


def segment_run(
    scene: Any,
    boxes: str | Path | gpd.GeoDataFrame,
    options: SegmentOptions,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    segmenter: Segmenter | None = None,
) -> SegmentRun:
    """`segment` with its options as one value; gives the run's record too.

    Parameters
    ----------
    scene, boxes, output, overwrite, progress
        See `segment`.
    options : SegmentOptions
        All else.
    segmenter : Segmenter, optional
        A model that is loaded already; `options.model` and what follows from it are not used then.
    """
    started = time.monotonic()
    # Everything that can be wrong with the input is found out before the model is loaded and before a file is touched.
    if output is not None:
        inputs = tuple(str(i) for i in (scene, boxes) if isinstance(i, str | Path))
        output_driver(output)
        check_output(output, overwrite=overwrite, inputs=inputs)
    rule = parse_stretch(options.stretch)
    out_crs = parse_crs(options.crs, "--crs") if options.crs is not None else None
    boxes_name = "the GeoDataFrame" if hasattr(boxes, "geometry") else str(boxes)
    with open_source(scene) as source:
        frame = read_boxes(boxes, layer=options.layer, where=options.where)
        refuse_clashing_columns(frame, boxes_name)
        if output is not None:
            check_columns(frame, output)
        if out_crs is not None:
            require_reachable(source, out_crs)
        prompts = _prompts(source, frame, options, boxes_name)
        # From here the scene is seen along the axes of the boxes.
        source = prompts.source
        plan = make_plan(prompts.boxes_px, prompts.usable, source.grid.shape, options.crop)
        reader = open_reader(source, bands=options.bands, stretch=rule, padding_rgb=PADDING_RGB)
        segmenter = segmenter or _segmenter(options)
        objects = _skipped(plan)
        done = len(objects)
        if progress is not None:
            progress(done, len(frame))
        for result in _run_tiles(plan.tiles, reader, segmenter, options.outline):
            objects.append(result)
            if progress is not None:
                progress(len(objects), len(frame))
        facts = _facts(options, segmenter, reader, prompts.axes)
    rows = frame.index.to_numpy(dtype=np.int64) if isinstance(boxes, str | Path) else None
    result = assemble_result(frame, objects, source.grid.crs, segmenter.model.name, out_crs=out_crs, rows=rows)
    record = run_record(
        **facts,
        inputs={"scene": source.name, "boxes": boxes_name},
        objects=len(result),
        counts=dict(Counter(result["rosgeo_status"])),
        seconds=time.monotonic() - started,
    )
    if output is not None:
        write_result(result, output, record)
    return SegmentRun(result, record, prompts.boxes_px, prompts.axes)


def _prompts(source: RasterSource, frame: gpd.GeoDataFrame, options: SegmentOptions, boxes_name: str) -> Prompts:
    # What is to follow the raster's own pixels is not resampled to other ones unless that is asked for.
    resample = options.crop.mode == "auto" and options.outline.outline == "smooth"
    return place_boxes(source, frame, boxes_name=boxes_name, boxes_crs=options.boxes_crs, axes=options.axes, resample=resample)


def _segmenter(options: SegmentOptions) -> Segmenter:
    model = open_model(options.model, adapter=options.adapter, input_size=options.input_size, mask_token=options.mask_token)
    return Segmenter(
        model, device=options.device, precision=options.precision, batch_size=options.batch_size, resample=options.resample
    )


def _skipped(plan: Plan) -> list[ObjectResult]:
    invalid = [ObjectResult(int(i), "invalid") for i in np.flatnonzero(plan.invalid)]
    return invalid + [ObjectResult(int(i), "outside") for i in np.flatnonzero(plan.outside)]


def _run_tiles(tiles: Iterable[Tile], reader: CropReader, segmenter: Segmenter, outline: OutlineOptions) -> Iterator[ObjectResult]:
    """Read, segment and polygonise tile by tile; one result for each box of the tiles."""
    grid = reader.source.grid
    precision = map_precision(grid)
    for tile in tiles:
        boxes = {int(row): box for row, box in zip(tile.boxes.ids, tile.boxes.xyxy, strict=True)}
        on_nodata: list[int] = []
        # Crops are read as the model asks for them, so that only a batch of them is held.
        for mask in segmenter.segment(_crops_with_ground(tile, reader, on_nodata)):
            yield _object_result(mask, boxes[mask.id], reader, outline, precision)
        yield from (ObjectResult(row, "nodata") for row in on_nodata)


def _crops_with_ground(tile: Tile, reader: CropReader, on_nodata: list[int]) -> Iterator[Crop]:
    """The crops of a tile whose box holds a valid pixel; the rows of the others go to `on_nodata`."""
    for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True):
        crop = reader.read(window, box, int(row))
        if _sees_box(crop):
            yield crop
        else:
            on_nodata.append(int(row))


def _object_result(
    mask: ObjectMask, box_px: FloatArray, reader: CropReader, outline: OutlineOptions, precision: float
) -> ObjectResult:
    if not np.isfinite(mask.logits).all():
        return ObjectResult(mask.id, "failed")
    polygon = mask_to_polygon(mask, box_px, outline)
    on_map = polygon_to_map(polygon, reader.source.grid, precision) if polygon is not None else None
    status = "ok" if on_map is not None else "empty"
    return ObjectResult(mask.id, status, on_map, mask.predicted_iou, mask.stability)  # type: ignore[arg-type]


def _sees_box(crop: Crop) -> bool:
    """True where the box holds at least one valid pixel."""
    scale = crop.valid.shape[0] / crop.window.size
    x_min, y_min, x_max, y_max = crop.box_crop * scale
    rows = slice(int(np.floor(y_min)), int(np.ceil(y_max)))
    cols = slice(int(np.floor(x_min)), int(np.ceil(x_max)))
    return bool(crop.valid[rows, cols].any())


def _facts(options: SegmentOptions, segmenter: Segmenter, reader: CropReader, axes: str) -> dict[str, Any]:
    """What a run's record says of model, options and picture."""
    model = segmenter.model
    return {
        "model": {
            "name": model.name,
            "kind": model.kind,
            "file": model.path.name,
            "sha256": model.sha256,
            "adapter": model.adapter,
            "input_size": segmenter.input_size,
        },
        "device": str(segmenter.device),
        "precision": str(segmenter.dtype).removeprefix("torch."),
        "options": asdict(options),
        "bands": list(reader.bands),
        "stretch": reader.stretch.record(),
        "axes": axes,
    }


def _crs_text(crs: str | CRS | None) -> str | None:
    """A CRS as text, for the record."""
    return crs if crs is None or isinstance(crs, str) else crs_label(crs) if crs.to_authority() else crs.to_wkt()


def _choice(option: str, value: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise OptionError(f"{option} {value!r}: expected one of {', '.join(choices)}")
    return value
