"""One tile of the work: its crops read, its masks made polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rosgeo.inference.predict import Segmenter
from rosgeo.raster.crops import CropReader
from rosgeo.types import Crop, FloatArray, ObjectMask, RasterGrid, Tile
from rosgeo.vector.orthogonal import ground_matrix
from rosgeo.vector.polygonize import OutlineOptions, map_precision, mask_to_polygon, polygon_to_map
from rosgeo.vector.result import ObjectResult

__all__ = ["Runner", "TileRunner", "crops_of", "mask_result", "run_tile"]


class Runner(Protocol):
    """What an executor needs to know of the work."""

    @property
    def segmenter(self) -> Segmenter:
        """The model."""

    def crops(self, tile: Tile) -> Iterator[Crop | ObjectResult]:
        """The crop of each box, or what became of it without one; read as they are asked for, by one thread at a time."""

    def result(self, mask: ObjectMask, box_px: FloatArray) -> ObjectResult:
        """The result of one mask; `box_px` (4,) is its prompt. May run in any thread."""


@dataclass(frozen=True)
class TileRunner:
    """What turns the boxes of a tile into results.

    Attributes
    ----------
    reader : CropReader
        Of the scene. Used by one thread at a time.
    segmenter : Segmenter
        The model.
    outline : OutlineOptions
        How masks become polygons.
    """

    reader: CropReader
    segmenter: Segmenter
    outline: OutlineOptions

    def crops(self, tile: Tile) -> Iterator[Crop | ObjectResult]:
        """The crop of each box that holds a valid pixel, and ``nodata`` for the others; read as they are asked for."""
        return crops_of(self.reader, tile)

    def result(self, mask: ObjectMask, box_px: FloatArray) -> ObjectResult:
        """The result of one mask; `box_px` (4,) is its prompt. May run in any thread."""
        return mask_result(mask, box_px, self.reader.source.grid, self.outline)


def crops_of(reader: CropReader, tile: Tile) -> Iterator[Crop | ObjectResult]:
    """The crop of each box of a tile that holds a valid pixel, and ``nodata`` for the others; read as they are asked for."""
    reader.hold(tile.windows)
    for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True):
        crop = reader.read(window, box, int(row))
        yield crop if _sees_box(crop) else ObjectResult(int(row), "nodata")


def mask_result(mask: ObjectMask, box_px: FloatArray, grid: RasterGrid, outline: OutlineOptions) -> ObjectResult:
    """The result of one mask of a box (4,) in the pixel frame of a grid."""
    if not np.isfinite(mask.logits).all():
        return ObjectResult(mask.id, "failed")
    to_ground = ground_matrix(grid, box_px.reshape(2, 2).mean(axis=0)) if outline.orthogonal else None
    polygon = mask_to_polygon(mask, box_px, outline, to_ground)
    on_map = polygon_to_map(polygon, grid, map_precision(grid)) if polygon is not None else None
    return ObjectResult(mask.id, "empty" if on_map is None else "ok", on_map, mask.predicted_iou, mask.stability)


def run_tile(runner: Runner, tile: Tile) -> list[ObjectResult]:
    """All results of a tile, one after the other."""
    boxes = dict(zip(tile.boxes.ids.tolist(), tile.boxes.xyxy, strict=True))
    skipped: list[ObjectResult] = []

    def with_ground() -> Iterator[Crop]:
        for item in runner.crops(tile):
            if isinstance(item, ObjectResult):
                skipped.append(item)
            else:
                yield item

    found = [runner.result(mask, boxes[mask.id]) for mask in runner.segmenter.segment(with_ground())]
    return found + skipped


def _sees_box(crop: Crop) -> bool:
    """True where the box holds at least one valid pixel."""
    scale = crop.valid.shape[0] / crop.window.size
    x_min, y_min, x_max, y_max = crop.box_crop * scale
    rows = slice(int(np.floor(y_min)), int(np.ceil(y_max)))
    cols = slice(int(np.floor(x_min)), int(np.ceil(x_max)))
    return bool(crop.valid[rows, cols].any())
