"""Scenes on the map: which touch and are seen as one, and which shows a box best. Arithmetic of grids; no pixels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine

from rosgeo.geometry.longitudes import x_period
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import BoolArray, FloatArray, IntArray, RasterGrid

__all__ = ["Mosaic", "best_scenes", "box_shares", "touching_groups"]

_ALIGNED_PX = 0.01
"""Tiles whose corners are whole pixels apart to within this are of one grid."""

_WHOLE = 1 - 1e-6
"""Share of a box from which it counts as whole on a scene."""


@dataclass(frozen=True)
class Mosaic:
    """Scenes of one pixel grid that are seen as one.

    Attributes
    ----------
    members : tuple of int
        Their numbers among all scenes, ascending.
    grid : RasterGrid
        From the leftmost column to the rightmost and from the top row to the bottom one.
    offsets : int64 array (S, 2)
        Column and row of the top-left pixel of each member.
    sizes : int64 array (S, 2)
        Width and height of each member.
    """

    members: tuple[int, ...]
    grid: RasterGrid
    offsets: IntArray
    sizes: IntArray


def touching_groups(grids: Sequence[RasterGrid], kinds: Sequence[Hashable]) -> list[Mosaic]:
    """Join scenes that are tiles of one mosaic.

    Parameters
    ----------
    grids : sequence of S RasterGrid
    kinds : sequence of S hashable
        What else must be equal (bands, data type); None for a scene that is never joined.

    Returns
    -------
    list of Mosaic
        Each scene is in just one; ordered by their first members. Joined are scenes of one CRS and one pixel grid (affine, whole pixels
        apart) that touch in an edge or corner, at the antimeridian too, and of which no two share a pixel: what overlaps was taken twice,
        and is no tile.
    """
    groups: list[Mosaic] = []
    for numbers, corners in _by_grid(grids, kinds):
        sizes = np.array([(grids[n].width, grids[n].height) for n in numbers], dtype=np.int64)
        corners = _in_one_turn(corners, sizes, grids[numbers[0]])
        for part in _joined(corners, sizes):
            groups.append(_mosaic([numbers[i] for i in part], grids, corners[part], sizes[part]))
    return sorted(groups, key=lambda g: g.members[0])


def _by_grid(grids: Sequence[RasterGrid], kinds: Sequence[Hashable]) -> list[tuple[list[int], IntArray]]:
    """Scenes of one kind and pixel grid, with the column and row of their corners in the frame of the first."""
    found: list[tuple[RasterGrid, Hashable, list[int], list[FloatArray]]] = []
    for number, (grid, kind) in enumerate(zip(grids, kinds, strict=True)):
        for first, its_kind, numbers, corners in found:
            corner = None if kind is None or kind != its_kind else _corner_in(grid, first)
            if corner is not None:
                numbers.append(number)
                corners.append(corner)
                break
        else:
            found.append((grid, kind, [number], [np.zeros(2)]))
    return [(numbers, np.array(corners).round().astype(np.int64)) for _, _, numbers, corners in found]


def _corner_in(grid: RasterGrid, first: RasterGrid) -> FloatArray | None:
    """The top-left corner of a grid in the pixel frame of another; None where they are not parts of one grid."""
    if not (isinstance(grid.mapping, AffineMapping) and isinstance(first.mapping, AffineMapping)) or grid.crs != first.crs:
        return None
    corners = np.array([[0, 0], [grid.width, 0], [0, grid.height]], dtype=np.float64)
    moved = first.mapping.to_px(grid.mapping.to_map(corners))
    there: FloatArray = moved[0].round()
    return there if np.abs(moved - corners - there).max() <= _ALIGNED_PX else None


def _in_one_turn(corners: IntArray, sizes: IntArray, first: RasterGrid) -> IntArray:
    """Corners with columns so that tiles on both sides of the antimeridian touch: a turn begins behind the widest gap.

    As they are where x does not come back after a whole number of columns, or no gap is left.
    """
    period, mapping = x_period(first.crs), first.mapping
    if period is None or len(corners) < 2 or not isinstance(mapping, AffineMapping) or mapping.transform.b or mapping.transform.d:
        return corners
    turn = round(period / abs(mapping.transform.a))
    if abs(period / abs(mapping.transform.a) - turn) > _ALIGNED_PX or sizes[:, 0].max() > turn:
        return corners
    left = corners[:, 0] % turn
    order = np.argsort(left, kind="stable")
    reach = np.maximum.accumulate((left + sizes[:, 0])[order])
    gaps = np.append(left[order][1:], left[order][0] + turn) - np.maximum(reach, reach[-1] - turn)
    if gaps.max() <= 0:
        return corners
    begin = left[order][(int(gaps.argmax()) + 1) % len(order)]
    turned: IntArray = np.stack([(left - begin) % turn, corners[:, 1]], axis=1)
    return turned


def _joined(corners: IntArray, sizes: IntArray) -> list[list[int]]:
    """Numbers of rectangles that touch, without two that overlap in one group; greedily in their order."""
    rectangles = shapely.box(*corners.T, *(corners + sizes).T)
    # Half a pixel smaller, so that only what shares pixels meets it.
    inner = shapely.box(*(corners + 0.25).T, *(corners + sizes - 0.25).T)
    tree = shapely.STRtree(rectangles)
    touching: list[set[int]] = [set() for _ in corners]
    overlapping: list[set[int]] = [set() for _ in corners]
    for pairs, into in (
        (tree.query(rectangles, predicate="intersects"), touching),
        (tree.query(inner, predicate="intersects"), overlapping),
    ):
        for one, other in pairs.T.tolist():
            if one != other:
                into[one].add(other)
    groups: list[set[int]] = []
    for number in range(len(corners)):
        new = {number}
        for group in [g for g in groups if g & touching[number]]:
            if not any(overlapping[member] & group for member in new):
                new |= group
                groups.remove(group)
        groups.append(new)
    return [sorted(group) for group in groups]


def _mosaic(members: Sequence[int], grids: Sequence[RasterGrid], corners: IntArray, sizes: IntArray) -> Mosaic:
    first = grids[members[0]]
    if len(members) == 1:
        return Mosaic(tuple(members), first, np.zeros((1, 2), dtype=np.int64), sizes)
    assert isinstance(first.mapping, AffineMapping)
    low, high = corners.min(axis=0), (corners + sizes).max(axis=0)
    # From the member that holds the corner where there is one, so that no digit of it is lost.
    t = first.mapping.transform
    for member, corner in zip(members, corners, strict=True):
        mapping = grids[member].mapping
        if (corner == low).all() and isinstance(mapping, AffineMapping):
            t, origin = mapping.transform, (mapping.transform.c, mapping.transform.f)
            break
    else:
        origin = tuple(first.mapping.to_map((low - corners[0])[None].astype(np.float64))[0])
    width, height = (int(v) for v in high - low)
    mapping = AffineMapping(Affine(t.a, t.b, origin[0], t.d, t.e, origin[1]))
    return Mosaic(tuple(members), replace(first, height=height, width=width, mapping=mapping), corners - low, sizes)


def box_shares(boxes_px: FloatArray, mosaic: Mosaic) -> FloatArray:
    """What share of each box lies on each member of a mosaic.

    Parameters
    ----------
    boxes_px : float64 array (N, 4)
        In the pixel frame of the mosaic; NaN where there is none.
    mosaic : Mosaic
        Of S members.

    Returns
    -------
    float64 array (N, S)
        Of the area of the box; 0 where it has none.
    """
    low, high = boxes_px[:, None, :2], boxes_px[:, None, 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = np.minimum(high, mosaic.offsets + mosaic.sizes) - np.maximum(low, mosaic.offsets)
        shares = np.clip(inside, 0, None).prod(axis=2) / (high - low).prod(axis=2)
    return np.where(np.isfinite(shares), shares, 0.0)


def best_scenes(row: IntArray, scene: IntArray, inside: FloatArray, invalid: FloatArray, size: FloatArray, count: int) -> IntArray:
    """The scene that shows each box best.

    Parameters
    ----------
    row, scene : int64 arrays (C,)
        Candidates: a box and a scene that it lies on.
    inside : float64 array (C,)
        The share of the box that lies on the scene, 0 to 1.
    invalid : float64 array (C,)
        The share of that without valid pixels, 0 to 1. Differences below a hundredth do not count.
    size : float64 array (C,)
        Side of the scene's pixel on the ground; anything that grows with it.
    count : int
        Boxes in all.

    Returns
    -------
    int64 array (count,)
        That on which the box is whole, or of which the largest share is there; then the one with the fewest invalid pixels; then the
        finest; then the first. -1 where a box lies on none.
    """
    whole = np.where(inside >= _WHOLE, 1.0, np.floor(inside * 1e6) / 1e6)
    order = np.lexsort((scene, np.round(np.log(size), 6), np.round(invalid, 2), -whole, row))
    order = order[inside[order] > 0]
    best = np.full(count, -1, dtype=np.int64)
    first: BoolArray = np.diff(row[order], prepend=-1) != 0
    best[row[order][first]] = scene[order][first]
    return best
