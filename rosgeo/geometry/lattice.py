"""A mapping that is smooth and nothing else: an affine transform, and how far it is off at the nodes of a lattice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import FloatArray

__all__ = ["LatticeMapping", "lattice_mapping"]

_SETTLED_PX = 1e-9
"""Newton's method stops where no point moves by more."""
_FOUND_PX = 1e-5
"""Points that are missed by more have no inverse."""
_NEWTON_STEPS = 12
_HOMOTOPY_STEPS = 8
_CELLS = (32, 64, 128, 256, 512)
"""Cells along the longer side that are tried."""
_MARGIN = 1 / 8
"""The lattice reaches over the raster by this part of its longer side; beyond, its edge carries on."""
_POINTS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class LatticeMapping:
    """An affine transform after a shift of pixels that varies smoothly: ``affine(p + shift(p))``.

    Attributes
    ----------
    affine : AffineMapping
    origin_px : float64 array (2,)
        The first node (x, y), in the pixel frame.
    step_px : float
        Between nodes.
    shifts_px : float64 array (rows, columns, 2)
        Of the nodes, in pixels. In between they are cubic (Keys 1981, a = -1/2), beyond the lattice those of its edge.
    """

    affine: AffineMapping
    origin_px: FloatArray
    step_px: float
    shifts_px: FloatArray

    @property
    def is_affine(self) -> bool:
        """Always False."""
        return False

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Pixel points (N, 2) to map points (N, 2)."""
        points = np.asarray(points_px, dtype=np.float64)
        return self.affine.to_map(points + self._shift(points)[0])

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Map points (N, 2) to pixel points (N, 2), the inverse of `to_map`; NaN where Newton's method does not settle."""
        wanted = self.affine.to_px(points_map)
        parts = [self._invert(wanted[i : i + _POINTS_AT_ONCE]) for i in range(0, len(wanted), _POINTS_AT_ONCE)]
        return np.concatenate(parts) if parts else wanted

    def folds(self, shape: tuple[int, int]) -> bool:
        """True where two places in a raster of `shape` (height, width), or close to it, have the same place on the map."""
        rows, cols = self.shifts_px.shape[:2]
        # Between the nodes too, where a cubic may swing.
        x, y = np.meshgrid(
            *(np.arange(2 * n - 1) / 2 * self.step_px + o for n, o in zip((cols, rows), self.origin_px, strict=True))
        )
        points = np.stack([x.ravel(), y.ravel()], axis=1)
        inside = ((points >= -self.step_px) & (points <= np.array(shape[::-1]) + self.step_px)).all(axis=1)
        _, slope = self._shift(points[inside])
        return bool((np.linalg.det(np.eye(2) + slope) <= 0.02).any())

    def _invert(self, wanted: FloatArray) -> FloatArray:
        found = self._newton(wanted, wanted, 1.0)
        lost = ~np.isfinite(found).all(axis=1) & np.isfinite(wanted).all(axis=1)
        if lost.any():
            # From no shift at all to the whole of it by and by.
            point = wanted[lost]
            for step in range(1, _HOMOTOPY_STEPS + 1):
                point = self._newton(point, wanted[lost], step / _HOMOTOPY_STEPS)
            found[lost] = point
        return found

    def _newton(self, start: FloatArray, wanted: FloatArray, share: float) -> FloatArray:
        """Points p with ``p + share * shift(p) = wanted``; NaN where there is none near `start`."""
        p = start.copy()
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON_STEPS):
                shift, slope = self._shift(p)
                off = p + share * shift - wanted
                (a, b), (c, d) = np.moveaxis(share * slope, 0, -1)
                det = (1 + a) * (1 + d) - b * c
                move = np.stack([((1 + d) * off[:, 0] - b * off[:, 1]) / det, ((1 + a) * off[:, 1] - c * off[:, 0]) / det], axis=1)
                p = p - move
                if not (np.abs(move) > _SETTLED_PX).any():
                    break
            left = np.abs(p + share * self._shift(p)[0] - wanted).max(axis=1)
        p[~(left <= _FOUND_PX)] = np.nan
        return p

    def _shift(self, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shifts (N, 2) at pixel points and their derivative (N, 2, 2): of shift x and y (rows) a pixel in x and y (columns)."""
        rows, cols = self.shifts_px.shape[:2]
        last = np.array([cols - 1, rows - 1], dtype=np.float64)
        at = (points_px - self.origin_px) / self.step_px
        held = np.clip(np.nan_to_num(at), 0, last)
        cell = np.minimum(np.floor(held), last - 1).astype(np.int64)
        (wx, dx), (wy, dy) = (_cubic((held - cell)[:, axis]) for axis in (0, 1))
        nodes = np.pad(self.shifts_px, ((1, 1), (1, 1), (0, 0)), mode="reflect", reflect_type="odd").reshape(-1, 2)
        first = cell[:, 1] * (cols + 2) + cell[:, 0]
        shift, along_x, along_y = (np.zeros((len(at), 2)) for _ in range(3))
        for row in range(4):
            corners = [nodes[first + row * (cols + 2) + col] for col in range(4)]
            value = sum(wx[col][:, None] * corners[col] for col in range(4))
            shift += wy[row][:, None] * value
            along_y += dy[row][:, None] * value
            along_x += wy[row][:, None] * sum(dx[col][:, None] * corners[col] for col in range(4))
        inside = (at >= 0) & (at <= last)
        slope = np.stack([along_x * inside[:, :1], along_y * inside[:, 1:]], axis=2) / self.step_px
        missing = ~np.isfinite(at).all(axis=1)
        shift[missing] = np.nan
        return shift, slope


def _cubic(t: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Weights of the four nodes round a point at `t` (0 to 1) between the middle ones, and their derivatives."""
    t2, t3 = t * t, t * t * t
    weights = [(-t3 + 2 * t2 - t) / 2, (3 * t3 - 5 * t2 + 2) / 2, (-3 * t3 + 4 * t2 + t) / 2, (t3 - t2) / 2]
    slopes = [(-3 * t2 + 4 * t - 1) / 2, (9 * t2 - 10 * t) / 2, (-9 * t2 + 8 * t + 1) / 2, (3 * t2 - 2 * t) / 2]
    return weights, slopes


def lattice_mapping(
    shift: Callable[[FloatArray], FloatArray], affine: AffineMapping, shape: tuple[int, int], *, tolerance_px: float = 0.02
) -> LatticeMapping:
    """A smooth shift of pixels as a lattice that holds it to within a tolerance.

    Parameters
    ----------
    shift : callable
        Pixel points (N, 2) to their shifts (N, 2) in pixels.
    affine : AffineMapping
        What follows the shift.
    shape : (int, int)
        Height and width of the raster.
    tolerance_px : float
        Largest difference that is looked for, in the middle of cells. The finest lattice has 512 cells along the raster, met or not.

    Returns
    -------
    LatticeMapping
    """
    longer = max(*shape, 8)
    margin = longer * _MARGIN
    for cells in _CELLS:
        step = longer / cells
        origin = np.full(2, -margin)
        cols, rows = (int(np.ceil((n + 2 * margin) / step)) + 1 for n in (shape[1], shape[0]))
        nodes = _grid(origin, step, cols, rows)
        mapping = LatticeMapping(affine, origin, step, shift(nodes).reshape(rows, cols, 2))
        middles = _grid(origin + step / 2, step, cols - 1, rows - 1)
        # The outermost cells have a node less to go by, and no pixel of the raster.
        middles = middles[((middles > -step) & (middles < np.array(shape[::-1]) + step)).all(axis=1)]
        if np.abs(mapping._shift(middles)[0] - shift(middles)).max() <= tolerance_px:
            break
    return mapping


def _grid(origin: FloatArray, step: float, cols: int, rows: int) -> FloatArray:
    x, y = np.meshgrid(origin[0] + step * np.arange(cols), origin[1] + step * np.arange(rows))
    return np.stack([x.ravel(), y.ravel()], axis=1)
