"""The upright grid of a raster whose axes are not those of the map: rotated, sheared, south-up or stored on its side.

A model has seen the ground as maps show it, and a box drawn along the map's axes is a loose prompt along other axes. So such a raster
is worked on through a north-up grid over the same ground, from which its pixels are looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine

from rosgeo.geometry.mapping import AffineMapping, derivative
from rosgeo.types import FloatArray, RasterGrid

__all__ = ["UprightGrid", "upright_grid"]

_TOLERATED_TURN_DEG = 2.0
"""Up to this angle between the axes of raster and map nothing is resampled: a box then grows by at most 3.5 % of its longer side."""

_EXACT_DRIFT_PX = 1e-3
"""Axes that stay within this over the whole raster are parallel to the map's: pixels are then reordered and none is resampled."""

_LARGEST_GROWTH = 16.0
"""Upright grids of more pixels than this many times the raster's are not used: the mapping folds or stretches the ground there."""


@dataclass(frozen=True)
class UprightGrid:
    """A north-up grid over the ground of a raster.

    Attributes
    ----------
    grid : RasterGrid
        x grows to the right and y downwards as on a map. Its pixels are as large as the raster's.
    base : RasterGrid
        The raster's own grid.
    exact : Affine or None
        Upright pixel to raster pixel where that only mirrors and turns by right angles (entries 0, 1, -1 and whole offsets);
        None where pixels must be resampled.
    """

    grid: RasterGrid
    base: RasterGrid
    exact: Affine | None

    def to_base(self, points_px: FloatArray) -> FloatArray:
        """Points (N, 2) of the upright pixel frame in the raster's pixel frame; NaN where the raster's mapping has no inverse."""
        if self.exact is not None:
            x, y = np.asarray(points_px, dtype=np.float64).T
            t = self.exact
            return np.stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f], axis=1)
        return self.base.mapping.to_px(self.grid.mapping.to_map(points_px))


def upright_grid(base: RasterGrid) -> UprightGrid | None:
    """The upright grid of a raster.

    Parameters
    ----------
    base : RasterGrid
        A georeferenced raster's grid (its map frame has y upwards).

    Returns
    -------
    UprightGrid or None
        None where the raster is upright itself, to within 2 degrees.

    Notes
    -----
    A resampled grid is anchored at whole multiples of its pixel size, so that a scene and a clip of it are resampled alike. Its pixels
    have the sides ``sqrt(a^2 + b^2)`` and ``sqrt(d^2 + e^2)`` of the mapping's derivative in the middle of the raster: what is square
    on the ground stays so, in degrees as well.
    """
    linear = derivative(base.mapping, base.shape)
    sizes = np.hypot(linear[:, 0], linear[:, 1])
    # Column and row axis in units of the upright pixel, y downwards.
    axes = linear / sizes[:, None] * np.array([[1.0], [-1.0]])
    drift = np.minimum(np.abs(axes), np.abs(1 - np.abs(axes))).max() * max(base.shape)
    if isinstance(base.mapping, AffineMapping) and drift <= _EXACT_DRIFT_PX:
        return _reordered(base, np.round(axes))
    turn = np.degrees(np.arccos(np.clip(np.diag(axes) / np.hypot(axes[0], axes[1]), -1, 1))).max()
    return None if turn <= _TOLERATED_TURN_DEG else _resampled(base, sizes)


def _reordered(base: RasterGrid, axes: FloatArray) -> UprightGrid | None:
    if np.array_equal(axes, np.eye(2)):
        return None
    # The inverse of a signed permutation is its transpose.
    (a, b), (d, e) = axes.T
    shape = base.shape if a else base.shape[::-1]
    # A raster axis that runs backwards starts at its far end.
    exact = Affine(a, b, base.width if a + b < 0 else 0, d, e, base.height if d + e < 0 else 0)
    assert isinstance(base.mapping, AffineMapping)
    t, (c, f) = base.mapping.transform, base.mapping.to_map(np.array([[exact.c, exact.f]]))[0]
    transform = Affine(t.a * a + t.b * d, t.a * b + t.b * e, c, t.d * a + t.e * d, t.d * b + t.e * e, f)
    return UprightGrid(RasterGrid(*shape, AffineMapping(transform), base.crs), base, exact)


def _resampled(base: RasterGrid, sizes: FloatArray) -> UprightGrid | None:
    along = np.linspace(0, 1, 33)
    edges = np.concatenate([np.stack([along, np.full(33, v)], axis=1) for v in (0.0, 1.0)])
    outline = np.concatenate([edges, edges[:, ::-1]]) * (base.width, base.height)
    points = base.mapping.to_map(outline) / sizes
    if not np.isfinite(points).all():
        return None
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    width, height = (int(n) for n in np.maximum(high - low, 1))
    if width * height > _LARGEST_GROWTH * base.width * base.height:
        return None
    transform = Affine(sizes[0], 0, low[0] * sizes[0], 0, -sizes[1], high[1] * sizes[1])
    return UprightGrid(RasterGrid(height, width, AffineMapping(transform), base.crs), base, None)
