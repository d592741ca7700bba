"""The plan: which boxes are segmented, in which windows, in which order; and what becomes of the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rosgeo.geometry.boxes import on_raster
from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.types import BoolArray, Boxes, IntArray, Tile

__all__ = ["Plan", "make_plan"]

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
        At most so many boxes a tile.

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
    # Tiles as large as the windows that boxes share, so that those of a window come one after the other.
    side = policy.paper_side if policy.mode == "tiles" else _TILE_SIDE_PX
    ordered = rows[_spatial_order(boxes.xyxy[rows], side)]
    tiles = tuple(_tile(boxes, ordered[i : i + boxes_a_tile], shape, policy) for i in range(0, len(ordered), boxes_a_tile))
    return Plan(tiles, invalid=~usable, outside=usable & ~inside)


def _spatial_order(xyxy: npt.NDArray[np.float64], side: int) -> IntArray:
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    columns, bands = (centres // side).T
    order: IntArray = np.lexsort((centres[:, 0], centres[:, 1], columns, bands))
    return order


def _tile(boxes: Boxes, rows: IntArray, shape: tuple[int, int], policy: CropPolicy) -> Tile:
    # The paper's windows are cut round the box as given, and clipping is the crop's affair there.
    wanted = boxes.xyxy[rows]
    clipped = np.stack([clip_box(box, shape) for box in wanted])
    source = wanted if policy.mode == "paper" else clipped
    windows = tuple(plan_window(box, shape, policy) for box in source)
    return Tile(Boxes(clipped, boxes.ids[rows], "pixel"), windows)
