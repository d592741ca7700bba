"""Crop windows that boxes near each other share, so that the encoder runs once for several objects."""

from __future__ import annotations

import numpy as np

from rosgeo.geometry.windows import MAX_READ_SIDE, CropPolicy, auto_window, paper_window, plan_window
from rosgeo.types import BoolArray, CropWindow, FloatArray, IntArray

__all__ = ["MAX_SHARERS", "share_windows"]

MAX_SHARERS = 32
"""Boxes a window at most: a decoder's batch on one embedding, and what a tile holds without growing much."""

_NEIGHBOURS = 96
"""Boxes that a window's place is chosen by. A window has room for few boxes that do not overlap; this is for ones that do."""


def share_windows(xyxy: FloatArray, policy: CropPolicy, shape: tuple[int, int]) -> tuple[list[CropWindow], IntArray]:
    """Windows for boxes in the pixel frame, as few as the policy's `share` allows.

    Parameters
    ----------
    xyxy : float64 array (N, 4)
        Boxes in the pixel frame, clipped to the raster, but for the mode ``paper``.
    policy : CropPolicy
        `share` is the largest side of a window over the longer side of any box in it; under ``paper`` windows have the side that they have
        alone, whatever `share` is. `factor` says how far a box stays from the window's edge: ``(factor - 1) / 2`` of its longer side, as in
        an ``auto`` crop of its own.
    shape : (int, int)
        Height and width of the raster.

    Returns
    -------
    windows : list of CropWindow
        One for each box. A box that shares with none has the window of `plan_window`.
    order : int64 array (N,)
        Rows, those of one window one after the other.

    Notes
    -----
    Greedy, from the smallest box up, since the smallest box of a window bounds its side, or from the top left one on where windows have
    one side: the window's place is the one, of those whose left and top edges touch the surroundings of some box, that holds the most
    boxes without a window. It is then shrunk to what it holds, which shows its boxes as large as can be, or laid with its centre on
    theirs. Zero boxes give zero windows.
    """
    side = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1) if len(xyxy) else np.zeros(0)
    margin = side[:, None] * (policy.factor - 1) / 2
    around = np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1)
    waiting = np.ones(len(xyxy), dtype=bool)
    windows: list[CropWindow | None] = [None] * len(xyxy)
    order: list[int] = []
    # Pixels less than allowed, since windows are of whole ones.
    room = np.minimum(policy.share * side - 1.0, MAX_READ_SIDE)
    if policy.mode == "paper":
        room = np.full(len(xyxy), policy.paper_side - 2.0)
    for first in np.lexsort((xyxy[:, 0], xyxy[:, 1], room)):
        if not waiting[first]:
            continue
        members = _members(int(first), around, float(room[first]), waiting)
        if len(members) == 1:
            window = plan_window(xyxy[first], shape, policy)
        else:
            union = np.concatenate([around[members, :2].min(axis=0), around[members, 2:].max(axis=0)])
            paper = policy.mode == "paper"
            window = paper_window(union, shape, policy.paper_side) if paper else auto_window(union, 1.0, policy.min_side)
        waiting[members] = False
        for row in members:
            windows[row] = window
        order.extend(int(row) for row in members)
    return [window for window in windows if window is not None], np.array(order, dtype=np.int64)


def _members(first: int, around: FloatArray, room: float, waiting: BoolArray) -> IntArray:
    """Rows of the boxes that share a window of the side `room` with box `first`; itself the first."""
    alone = np.array([first])
    own = around[first]
    if (own[2:] - own[:2]).max() > room:
        return alone
    low, high = own[2:] - room, own[:2] + room
    near = waiting & (around[:, :2] >= low).all(axis=1) & (around[:, 2:] <= high).all(axis=1)
    rows = np.flatnonzero(near)
    if len(rows) == 1:
        return alone
    if len(rows) > _NEIGHBOURS:
        away = np.abs(around[rows] - own).max(axis=1)
        rows = rows[np.argsort(away, kind="stable")[:_NEIGHBOURS]]
    near_first = around[rows]
    # Which boxes lie between an edge and the other: (places, boxes) along each axis.
    fits = []
    for axis in (0, 1):
        starts = np.unique(near_first[:, axis])
        starts = starts[starts <= own[axis]]
        lies = (near_first[:, axis] >= starts[:, None]) & (near_first[:, axis + 2] <= starts[:, None] + room)
        fits.append(lies & (starts + room >= own[axis + 2])[:, None])
    across, down = fits
    held = across.astype(np.float32) @ down.T.astype(np.float32)
    column, row = np.unravel_index(int(held.argmax()), held.shape)
    chosen = rows[across[column] & down[row]]
    others = chosen[chosen != first]
    if len(others) >= MAX_SHARERS:
        away = np.abs(around[others] - own).max(axis=1)
        others = np.sort(others[np.argsort(away, kind="stable")[: MAX_SHARERS - 1]])
    return np.concatenate([alone, others])
