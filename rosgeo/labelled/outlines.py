"""Outlines from masks and from polygons with holes, as the closed paths that `coverage` fills by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosgeo.types import BoolArray, FloatArray

__all__ = ["join_loops", "mask_outline", "mask_path"]


def mask_outline(mask: BoolArray) -> FloatArray:
    """The outline of one object's mask on its picture, as `mask_path` gives it, which here walks no more than the object's box.

    Parameters
    ----------
    mask : bool array (height, width)
        Of the whole picture, with at least one pixel.

    Returns
    -------
    float64 array (n, 2)
        One closed path in the pixel frame. Its envelope is the tight box of the mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outline: FloatArray = mask_path(part) + np.array([columns[0], rows[0]])
    return outline


def mask_path(mask: BoolArray) -> FloatArray:
    """The outline of a mask along its pixel edges, parts and holes included.

    Parameters
    ----------
    mask : bool array (h, w)
        With at least one pixel.

    Returns
    -------
    float64 array (n, 2)
        One closed path (x, y), origin at the corner of the first pixel. Filled by the even-odd rule it is the mask again.
    """
    padded = np.pad(mask, 1)
    # Directed edges of one pixel, the object on their right hand; +1 in y is down.
    above, here = padded[:-1, 1:-1], padded[1:, 1:-1]
    left, right = padded[1:-1, :-1], padded[1:-1, 1:]
    edges = np.concatenate(
        [
            _edges(here & ~above, (0, 0), (1, 0)),
            _edges(above & ~here, (1, 0), (0, 0)),
            _edges(left & ~right, (0, 0), (0, 1)),
            _edges(right & ~left, (0, 1), (0, 0)),
        ]
    )
    return join_loops(_chain(edges))


def _edges(where: BoolArray, start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """Edges (n, 2, 2) from and to a corner (x, y) of each cell of `where`."""
    row, column = np.nonzero(where)
    corner = np.stack([column, row], axis=1)
    return np.stack([corner + start, corner + end], axis=1)


def _chain(edges: np.ndarray) -> list[FloatArray]:
    """Closed loops of directed edges, without the vertices on their straight parts."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (x0, y0), (x1, y1) in edges.tolist():
        following.setdefault((x0, y0), []).append((x1, y1))
    loops = []
    while following:
        start = next(iter(following))
        loop, point = [start], start
        while True:
            ends = following[point]
            nearest = ends.pop()
            if not ends:
                del following[point]
            point = nearest
            if point == start:
                break
            loop.append(point)
        loops.append(_corners_of(np.array(loop, dtype=np.float64)))
    return loops


def _corners_of(loop: FloatArray) -> FloatArray:
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    corners: FloatArray = loop[(before != after).any(axis=1)]
    return corners


def join_loops(loops: Sequence[FloatArray]) -> FloatArray:
    """Several closed loops (n, 2) as one closed path, by bridges that are walked there and back and so enclose nothing."""
    if len(loops) == 1:
        return loops[0]
    out = [np.concatenate([loop, loop[:1]]) for loop in loops]
    back = [loop[:1] for loop in loops[-2::-1]]
    return np.concatenate([*out, *back])
