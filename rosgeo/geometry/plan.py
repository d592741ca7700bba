"""The plan: which boxes are segmented, in which windows, in which order; and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rosgeo.geometry.boxes import on_raster
from rosgeo.geometry.share import share_windows
from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.types import BoolArray, Boxes, CropWindow, FloatArray, IntArray, Tile

__all__ = ["Plan", "make_plan", "plan_windows"]

_TILE_SIDE_PX = 1024


@dataclass(frozen=True)
class Plan:
    """What is to be done for N boxes.

    Attributes
    ----------
    tiles : tuple of Tile
        The work. Each planned box is in just one tile.
    invalid, outside : bool arrays (N,)
        Boxes that are not planned, and why. Together with the planned ones they are all.
    """

    tiles: tuple[Tile, ...]
    invalid: BoolArray
    outside: BoolArray

    @property
    def planned(self) -> int:
        """Number of planned boxes."""
        return sum(len(tile) for tile in self.tiles)


def make_plan(boxes: Boxes, usable: BoolArray, shape: tuple[int, int], policy: CropPolicy, *, boxes_a_tile: int = 64) -> Plan:
    """Sort boxes into tiles and give each its crop window.

    Parameters
    ----------
    boxes : Boxes
        In the pixel frame; NaN rows are never planned.
    usable : bool array (N,)
        False for geometries that are no prompt (status ``invalid``). Boxes without width or height in pixels are none either.
    shape : (int, int)
        Height and width of the raster.
    policy : CropPolicy
        How windows are cut.
    boxes_a_tile : int
        At most so many boxes a tile, but for those of one window.

    Returns
    -------
    Plan
        Boxes are clipped to the raster before their window is cut. Tiles follow the raster in bands of 1024 px, so that neighbours
        are read together. No tiles for zero boxes.
    """
    with np.errstate(invalid="ignore"):
        # Too small for the grid that boxes are rounded to: no prompt either.
        usable = usable & ~(boxes.xyxy[:, 2:] <= boxes.xyxy[:, :2]).any(axis=1)
    inside = on_raster(boxes, shape) & usable
    rows = np.flatnonzero(inside)
    clipped = clip_box(boxes.xyxy[rows], shape)
    # The paper's windows are cut round the box as given, and clipping is the crop's affair there.
    windows, order = plan_windows(boxes.xyxy[rows] if policy.mode == "paper" else clipped, shape, policy)
    tiles = tuple(
        Tile(Boxes(clipped[part], boxes.ids[rows[part]], "pixel"), tuple(windows[i] for i in part))
        for part in _parts(order, windows, boxes_a_tile)
    )
    return Plan(tiles, invalid=~usable, outside=usable & ~inside)


def plan_windows(xyxy: FloatArray, shape: tuple[int, int], policy: CropPolicy) -> tuple[list[CropWindow], IntArray]:
    """The window of each box, and an order of the boxes in which neighbours come together, those of one window without a gap.

    Parameters
    ----------
    xyxy : float64 array (N, 4)
        In the pixel frame; clipped to the raster, but for the mode ``paper``.
    shape : (int, int)
        Height and width of the raster.
    policy : CropPolicy
        How windows are cut, and whether boxes share them. Boxes share within squares of 1024 px.

    Returns
    -------
    windows : list of N CropWindow
    order : int64 array (N,)
    """
    if not policy.share:
        # Squares as large as the windows that boxes share, so that those of a window come one after the other.
        side = policy.paper_side if policy.mode == "tiles" else _TILE_SIDE_PX
        return [plan_window(box, shape, policy) for box in xyxy], _spatial_order(xyxy, side)[0]
    windows: dict[int, CropWindow] = {}
    order: list[IntArray] = []
    spatial, squares = _spatial_order(xyxy, _TILE_SIDE_PX)
    for rows in np.split(spatial, np.flatnonzero(np.diff(squares)) + 1):
        shared, within = share_windows(xyxy[rows], policy, shape)
        windows.update(zip(rows.tolist(), shared, strict=True))
        order.append(rows[within])
    return [windows[i] for i in range(len(xyxy))], np.concatenate(order)


def _parts(order: IntArray, windows: Sequence[CropWindow], boxes_a_tile: int) -> Iterator[IntArray]:
    """Rows of each tile. A window is divided, and encoded twice, only where it has more boxes than a tile takes."""
    start = 0
    while start < len(order):
        stop = min(start + boxes_a_tile, len(order))
        if stop < len(order) and windows[order[start]] != windows[order[stop]]:
            while windows[order[stop - 1]] == windows[order[stop]]:
                stop -= 1
        yield order[start:stop]
        start = stop


def _spatial_order(xyxy: FloatArray, side: int) -> tuple[IntArray, IntArray]:
    """An order of boxes by squares of a side, and a number for the square of each box in that order."""
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    columns, bands = (centres // side).astype(np.int64).T
    order: IntArray = np.lexsort((centres[:, 0], centres[:, 1], columns, bands))
    squares: IntArray = bands[order] * (int(columns.max(initial=0)) + 1) + columns[order]
    return order, squares
