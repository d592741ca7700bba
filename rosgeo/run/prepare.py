"""Everything before the model: the input read and checked, the plan made. Nothing is written, and no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosgeo.geometry.crs import parse_crs
from rosgeo.geometry.plan import Plan, make_plan
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource
from rosgeo.run.append import ExistingResult
from rosgeo.run.options import SegmentOptions
from rosgeo.run.prompts import Prompts, place_boxes, require_reachable
from rosgeo.vector.detections.values import PictureRef
from rosgeo.vector.layers.boxes import BoxLayer, read_box_layer

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for the model.

    Attributes
    ----------
    layer : BoxLayer
        The boxes as they were read.
    prompts : Prompts
        The boxes in pixels, and the scene along their axes.
    plan : Plan
    reader : CropReader
    out_crs : CRS or None
        Of the result; None for the raster's.
    """

    layer: BoxLayer
    prompts: Prompts
    plan: Plan
    reader: CropReader
    out_crs: CRS | None


def prepare(
    source: RasterSource,
    boxes: Any,
    options: SegmentOptions,
    outputs: Sequence[str | Path] = (),
    existing: ExistingResult | None = None,
    class_column: str | None = None,
) -> Prepared:
    """Read and check the input of a run, and plan it.

    Parameters
    ----------
    source : RasterSource
        The scene, open.
    boxes : path or object
        See `read_box_layer`.
    options : SegmentOptions
    outputs : sequence of path
        Their formats must take the columns of the boxes.
    existing : ExistingResult, optional
        A result; boxes that it holds are left out.
    class_column : str, optional
        The boxes must have it, and one of `outputs` be COCO.

    Raises
    ------
    UserInputError
        Whatever is wrong with raster, boxes or options.
    """
    rule = parse_stretch(options.stretch)
    out_crs = parse_crs(options.crs, "--crs") if options.crs is not None else None
    layer = read_box_layer(
        boxes,
        layer=options.layer,
        where=options.where,
        boxes_crs=options.boxes_crs,
        box_format=options.box_format,
        pictures=[PictureRef(source.name, source.grid.width, source.grid.height)],
        outputs=outputs,
        class_column=class_column,
    )
    if out_crs is not None:
        require_reachable(source, out_crs)
    prompts = place_boxes(
        source,
        layer.frame.geometry.to_numpy(),
        layer.frame.crs,
        boxes_name=layer.name,
        boxes_crs=options.boxes_crs,
        y_axis=options.y_axis,
        coordinates=layer.coordinates,
        axes=options.axes,
        # What is to follow the raster's own pixels is not resampled to other ones unless that is asked for.
        resample=options.crop.mode == "auto" and options.outline.outline == "smooth",
    )
    if existing is not None:
        existing.in_crs(out_crs or source.grid.crs)
        existing.require_columns(layer.columns)
        new = existing.lacks(layer.columns, prompts.boxes_px, prompts.source.grid)
        layer, prompts = layer.of(new), prompts.of(new)
    plan = make_plan(prompts.boxes_px, prompts.usable, prompts.source.grid.shape, options.crop)
    reader = open_reader(prompts.source, bands=options.bands, stretch=rule, padding_rgb=PADDING_RGB)
    return Prepared(layer, prompts, plan, reader, out_crs)
