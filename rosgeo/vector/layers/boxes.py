"""A layer of boxes as a run takes it: read once, with all that is wrong with its columns found before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np

from rosgeo.errors import OptionError
from rosgeo.types import BoolArray, IntArray
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import check_columns, output_driver
from rosgeo.vector.result import refuse_clashing_columns

__all__ = ["BoxLayer", "read_box_layer"]


@dataclass(frozen=True)
class BoxLayer:
    """N boxes with their attributes.

    Attributes
    ----------
    frame : GeoDataFrame (N rows)
    name : str
        For messages and the record.
    rows : int64 array (N,)
        Row of the input, or of its layer, that each box is.
    """

    frame: gpd.GeoDataFrame
    name: str
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, chosen: BoolArray) -> BoxLayer:
        """Those of some rows (N,)."""
        return BoxLayer(self.frame[chosen], self.name, self.rows[chosen])


def read_box_layer(
    boxes: str | Path | gpd.GeoDataFrame,
    *,
    layer: str | None = None,
    where: str | None = None,
    outputs: Sequence[str | Path] = (),
    class_column: str | None = None,
) -> BoxLayer:
    """Read the boxes of a run.

    Parameters
    ----------
    boxes, layer, where
        See `read_boxes`.
    outputs : sequence of path
        Their formats must take the columns of the boxes.
    class_column : str, optional
        The boxes must have it, and one of `outputs` be COCO.

    Raises
    ------
    InputFileNotFoundError, BoxesError, OptionError
        See `read_boxes`; a column has the name of one of rosgeo's; there is no `class_column`, or nothing that uses it.
    OutputError
        An output cannot hold the columns.
    """
    from_file = isinstance(boxes, str | Path)
    name = str(boxes) if from_file else "the GeoDataFrame" if isinstance(boxes, gpd.GeoDataFrame) else "the given layer"
    frame = read_boxes(boxes, layer=layer, where=where)
    refuse_clashing_columns(frame, name)
    for output in outputs:
        check_columns(frame, output)
    if class_column is not None:
        _require_class(class_column, frame, name, outputs)
    return BoxLayer(frame, name, frame.index.to_numpy(dtype=np.int64) if from_file else np.arange(len(frame)))


def _require_class(column: str, frame: gpd.GeoDataFrame, boxes_name: str, outputs: Sequence[str | Path]) -> None:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    if column not in columns:
        raise OptionError(f"--class-column {column!r}: {boxes_name} has no such column; it has: {', '.join(columns) or 'none'}")
    if not any(output_driver(o) == "COCO" for o in outputs):
        raise OptionError("--class-column names the categories of a COCO result; add one with -o FILE.json, or leave it out")
