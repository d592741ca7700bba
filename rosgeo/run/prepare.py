"""Everything before the model: the input read and checked, the plan made. Nothing is written, and no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rosgeo.errors import OptionError
from rosgeo.geometry.plan import Plan, make_plan
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource
from rosgeo.run.append import ExistingResult, new_boxes, row_labels
from rosgeo.run.options import SegmentOptions
from rosgeo.run.prompts import Prompts, place_boxes, require_reachable
from rosgeo.types import IntArray
from rosgeo.vector.layers.read import parse_crs, read_boxes
from rosgeo.vector.layers.write import check_columns, output_driver
from rosgeo.vector.result import refuse_clashing_columns

if TYPE_CHECKING:
    import geopandas as gpd
    from pyproj import CRS

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for the model.

    Attributes
    ----------
    frame : GeoDataFrame
        The boxes.
    boxes_name : str
        For messages and the record.
    prompts : Prompts
        The boxes in pixels, and the scene along their axes.
    plan : Plan
    reader : CropReader
    out_crs : CRS or None
        Of the result; None for the raster's.
    rows : int64 array (N,)
        Row of the input, or of its layer, that each box is.
    """

    frame: gpd.GeoDataFrame
    boxes_name: str
    prompts: Prompts
    plan: Plan
    reader: CropReader
    out_crs: CRS | None
    rows: IntArray


def prepare(
    source: RasterSource,
    boxes: str | Path | gpd.GeoDataFrame,
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
    boxes : path or GeoDataFrame
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
    boxes_name = "the GeoDataFrame" if hasattr(boxes, "geometry") else str(boxes)
    frame = read_boxes(boxes, layer=options.layer, where=options.where)
    refuse_clashing_columns(frame, boxes_name)
    for output in outputs:
        check_columns(frame, output)
    if class_column is not None:
        _require_class(class_column, frame, boxes_name, outputs)
    if out_crs is not None:
        require_reachable(source, out_crs)
    prompts = place_boxes(
        source,
        frame,
        boxes_name=boxes_name,
        boxes_crs=options.boxes_crs,
        y_axis=options.y_axis,
        axes=options.axes,
        # What is to follow the raster's own pixels is not resampled to other ones unless that is asked for.
        resample=options.crop.mode == "auto" and options.outline.outline == "smooth",
    )
    rows = frame.index.to_numpy(dtype=np.int64) if isinstance(boxes, str | Path) else np.arange(len(frame))
    if existing is not None:
        existing_px = existing.boxes_px(prompts.source.grid)
        new = new_boxes(prompts.boxes_px.xyxy, existing_px, row_labels(frame), row_labels(existing.result))
        frame, rows, prompts = frame[new], rows[new], prompts.of(new)
    plan = make_plan(prompts.boxes_px, prompts.usable, prompts.source.grid.shape, options.crop)
    reader = open_reader(prompts.source, bands=options.bands, stretch=rule, padding_rgb=PADDING_RGB)
    return Prepared(frame, boxes_name, prompts, plan, reader, out_crs, rows)


def _require_class(column: str, frame: gpd.GeoDataFrame, boxes_name: str, outputs: Sequence[str | Path]) -> None:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    if column not in columns:
        raise OptionError(f"--class-column {column!r}: {boxes_name} has no such column; it has: {', '.join(columns) or 'none'}")
    if not any(output_driver(o) == "COCO" for o in outputs):
        raise OptionError("--class-column names the categories of a COCO result; add one with -o FILE.json, or leave it out")
