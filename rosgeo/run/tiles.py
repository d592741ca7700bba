"""One tile of the work: its crops read, its masks made polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rosgeo.inference.predict import Segmenter
from rosgeo.raster.crops import CropReader
from rosgeo.types import Crop, FloatArray, ObjectMask, Tile
from rosgeo.vector.orthogonal import ground_matrix
from rosgeo.vector.polygonize import OutlineOptions, map_precision, mask_to_polygon, polygon_to_map
from rosgeo.vector.result import ObjectResult

__all__ = ["Runner", "TileRunner", "run_tile"]


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
        self.reader.hold(tile.windows)
        for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True):
            crop = self.reader.read(window, box, int(row))
            yield crop if _sees_box(crop) else ObjectResult(int(row), "nodata")

    def result(self, mask: ObjectMask, box_px: FloatArray) -> ObjectResult:
        """The result of one mask; `box_px` (4,) is its prompt. May run in any thread."""
        if not np.isfinite(mask.logits).all():
            return ObjectResult(mask.id, "failed")
        grid = self.reader.source.grid
        to_ground = ground_matrix(grid, box_px.reshape(2, 2).mean(axis=0)) if self.outline.orthogonal else None
        polygon = mask_to_polygon(mask, box_px, self.outline, to_ground)
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
