"""Outlines to pixels by one rule, pixels whose centres lie inside, for training labels, evaluation and the masks that are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rosgeo.types import BoolArray, FloatArray

__all__ = ["PixelMask", "crossings", "fill_outline", "join_masks", "polygon_mask", "trimmed"]


@dataclass(frozen=True)
class PixelMask:
    """The pixels of one object: as much of its picture as it covers.

    Attributes
    ----------
    mask : bool array (h, w)
        Its first and last row and column hold a pixel each.
    row_off, col_off : int
        Where `mask` lies in the picture.
    """

    mask: BoolArray
    row_off: int
    col_off: int

    @property
    def area(self) -> int:
        """In pixels; at least 1."""
        return int(self.mask.sum())

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """The tight box, in the pixel frame."""
        height, width = self.mask.shape
        return self.col_off, self.row_off, self.col_off + width, self.row_off + height

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        height, width = self.mask.shape
        return slice(self.row_off, self.row_off + height), slice(self.col_off, self.col_off + width)

    def on(self, shape: tuple[int, int]) -> BoolArray:
        """The mask on the whole picture, bool (height, width)."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.window] = self.mask
        return whole


def fill_outline(rings: Sequence[FloatArray], shape: tuple[int, int]) -> PixelMask | None:
    """The pixels of a polygon with holes, or of several without common ground.

    Parameters
    ----------
    rings : sequence of float64 arrays (n, 2)
        Closed outlines in the pixel frame, outer ones and holes (the last vertex need not repeat the first). Inside is what an odd number
        of them enclose.
    shape : (int, int)
        Height and width of the picture. Outlines may pass its edge.

    Returns
    -------
    PixelMask or None
        None where no pixel's centre is inside.
    """
    if not rings:
        return None
    points = np.concatenate(rings)
    limits = np.array([shape[1], shape[0]])
    left, top = np.clip(np.floor(points.min(axis=0)), 0, limits).astype(int).tolist()
    right, bottom = np.clip(np.ceil(points.max(axis=0)), 0, limits).astype(int).tolist()
    if right <= left or bottom <= top:
        return None
    window = (bottom - top, right - left)
    inside = np.zeros(window, dtype=bool)
    for ring in rings:
        inside ^= polygon_mask([ring - np.array([left, top])], window)
    return trimmed(inside, top, left)


def trimmed(mask: BoolArray, row_off: int = 0, col_off: int = 0) -> PixelMask | None:
    """A mask (h, w) at a place of its picture as a PixelMask; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return PixelMask(part, int(row_off + rows[0]), int(col_off + columns[0]))


def join_masks(first: PixelMask, second: PixelMask) -> PixelMask:
    """The pixels of either."""
    boxes = np.array([first.xyxy, second.xyxy])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    joined = np.zeros((bottom - top, right - left), dtype=bool)
    for each in (first, second):
        height, width = each.mask.shape
        joined[each.row_off - top :, each.col_off - left :][:height, :width] |= each.mask
    return PixelMask(joined, top, left)


def polygon_mask(rings: Sequence[FloatArray], shape: tuple[int, int]) -> BoolArray:
    """The cells whose centres a union of polygons holds (even-odd rule a ring).

    Parameters
    ----------
    rings : sequence of float64 arrays (n, 2)
        One closed outline each (the last vertex need not repeat the first), in cells; rings are joined by union.
    shape : (int, int)
        Height and width in cells. Outlines may pass the edge.

    Returns
    -------
    bool array (height, width)
        A centre on an edge of the outline counts where the object lies to its right or below it, so that polygons that touch share no cell.
    """
    height, width = shape
    mask = np.zeros(shape, dtype=bool)
    for ring in rings:
        rows, x, sign = crossings(np.asarray(ring, dtype=np.float64), height, 1)
        first = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        steps = np.zeros((height, width + 1), dtype=np.int64)
        np.add.at(steps, (rows, first), sign)
        mask |= steps.cumsum(axis=1)[:, :-1] > 0
    return mask


def crossings(ring: FloatArray, height: int, lines_per_cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
