"""Polygons to masks without a geospatial import: exact area coverage for training targets, pixel centres for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosgeo.geometry.pixels import crossings, polygon_mask
from rosgeo.types import Float32Array, FloatArray

__all__ = ["polygon_coverage", "polygon_mask"]


def polygon_coverage(rings: Sequence[FloatArray], shape: tuple[int, int], lines_per_cell: int = 4) -> Float32Array:
    """The fraction of each cell that a union of polygons covers.

    Exact along x; along y averaged over evenly spaced scan lines. Inside is decided by the even-odd rule a ring.

    Parameters
    ----------
    rings : sequence of float64 arrays (n, 2)
        One closed outline each (the last vertex need not repeat the first), in cells; rings are joined by union.
    shape : (int, int)
        Height and width in cells. Outlines may pass the edge.
    lines_per_cell : int
        Scan lines a cell row.

    Returns
    -------
    float32 array (height, width)
        0 to 1. All zero for no rings.
    """
    height, width = shape
    total = np.zeros(shape, dtype=np.float32)
    for ring in rings:
        lines = _line_coverage(np.asarray(ring, dtype=np.float64), height, width, lines_per_cell)
        np.maximum(total, lines.reshape(height, lines_per_cell, width).mean(axis=1), out=total)
    return total


def _line_coverage(ring: FloatArray, height: int, width: int, lines_per_cell: int) -> Float32Array:
    """Coverage (height * lines_per_cell, width) of each cell along each scan line."""
    rows, x, sign = crossings(ring, height, lines_per_cell)
    x = np.clip(x, 0.0, width)
    cell = np.minimum(np.floor(x), width - 1).astype(np.int64)
    part = cell + 1 - x
    steps = np.zeros((height * lines_per_cell, width + 1), dtype=np.float64)
    np.add.at(steps, (rows, cell), part * sign)
    np.add.at(steps, (rows, cell + 1), (1 - part) * sign)
    coverage: Float32Array = steps.cumsum(axis=1)[:, :-1].astype(np.float32)
    return coverage
