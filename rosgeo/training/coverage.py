"""Polygons to masks without a geospatial import: exact area coverage for training targets, pixel centres for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosgeo.types import BoolArray, Float32Array, FloatArray

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


def polygon_mask(rings: Sequence[FloatArray], shape: tuple[int, int]) -> BoolArray:
    """The cells whose centres a union of polygons holds (even-odd rule a ring).

    Parameters
    ----------
    rings, shape
        As for `polygon_coverage`.

    Returns
    -------
    bool array (height, width)
    """
    height, width = shape
    mask = np.zeros(shape, dtype=bool)
    for ring in rings:
        rows, x, sign = _crossings(np.asarray(ring, dtype=np.float64), height, 1)
        first = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        steps = np.zeros((height, width + 1), dtype=np.int64)
        np.add.at(steps, (rows, first), sign)
        mask |= steps.cumsum(axis=1)[:, :-1] > 0
    return mask


def _crossings(ring: FloatArray, height: int, lines_per_cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where scan lines cross an outline: line number, x, and +1 on entering or -1 on leaving."""
    start, end = ring, np.roll(ring, -1, axis=0)
    y = (np.arange(height * lines_per_cell) + 0.5) / lines_per_cell
    edge, line = np.nonzero((start[:, 1, None] <= y) != (end[:, 1, None] <= y))
    # From the upper end to the lower one: an edge that is walked there and back is then crossed at the very same x.
    down = (start[edge, 1] < end[edge, 1])[:, None]
    (x0, y0), (x1, y1) = np.where(down, start[edge], end[edge]).T, np.where(down, end[edge], start[edge]).T
    x = x0 + (y[line] - y0) * (x1 - x0) / (y1 - y0)
    order = np.lexsort((x, line))
    line, x = line[order], x[order]
    # An outline is closed, so each line is crossed an even number of times and the parity over all lines starts anew on each.
    sign = np.where(np.arange(len(x)) % 2 == 0, 1, -1)
    return line, x, sign


def _line_coverage(ring: FloatArray, height: int, width: int, lines_per_cell: int) -> Float32Array:
    """Coverage (height * lines_per_cell, width) of each cell along each scan line."""
    rows, x, sign = _crossings(ring, height, lines_per_cell)
    x = np.clip(x, 0.0, width)
    cell = np.minimum(np.floor(x), width - 1).astype(np.int64)
    part = cell + 1 - x
    steps = np.zeros((height * lines_per_cell, width + 1), dtype=np.float64)
    np.add.at(steps, (rows, cell), part * sign)
    np.add.at(steps, (rows, cell + 1), (1 - part) * sign)
    coverage: Float32Array = steps.cumsum(axis=1)[:, :-1].astype(np.float32)
    return coverage
