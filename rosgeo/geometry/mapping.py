"""Pixel frame <-> map frame, by an affine transform or by ground control points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from affine import Affine

from rosgeo.errors import RasterError
from rosgeo.types import FloatArray, PixelMapping

__all__ = ["AffineMapping", "QuadraticMapping", "derivative", "mapping_from_gcps", "pixel_size_map"]

_AFFINE_RESIDUAL_PX = 0.1
"""Ground control points that an affine transform meets within this are taken as affine."""


@dataclass(frozen=True)
class AffineMapping:
    """An affine transform: north-up, south-up, rotated, sheared, any pixel shape.

    Attributes
    ----------
    transform : Affine
        Pixel (column, row) to map (x, y).

    Raises
    ------
    RasterError
        The transform is degenerate, so that it has no inverse.
    """

    transform: Affine

    def __post_init__(self) -> None:
        if not np.isfinite(self.transform.determinant) or self.transform.determinant == 0:
            raise RasterError(f"the raster's transform {tuple(self.transform)[:6]} has no inverse; expected pixels with an area")

    @property
    def is_affine(self) -> bool:
        """Always True."""
        return True

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Pixel points (N, 2) to map points (N, 2)."""
        return _apply(self.transform, points_px)

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Map points (N, 2) to pixel points (N, 2)."""
        t = self.transform
        # Subtracting the origin first keeps the digits that the inverse's own offset would lose far from (0, 0).
        moved = np.asarray(points_map, dtype=np.float64) - (t.c, t.f)
        return _apply(~Affine(t.a, t.b, 0.0, t.d, t.e, 0.0), moved)


def _apply(t: Affine, points: FloatArray) -> FloatArray:
    x, y = np.asarray(points, dtype=np.float64).T
    return np.stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f], axis=1)


@dataclass(frozen=True)
class QuadraticMapping:
    """Second-order polynomials through ground control points, inverted by Newton's method.

    Attributes
    ----------
    coefficients : float64 array (6, 2)
        Of 1, u, v, u^2, uv, v^2 for map x and y, with (u, v) the pixel point moved and scaled to about -1..1.
    centre_px, scale_px : float64 array (2,), float
        That move and scale.
    centre_map : float64 array (2,)
        Added to the polynomials' value.
    """

    coefficients: FloatArray
    centre_px: FloatArray
    scale_px: float
    centre_map: FloatArray
    _newton_steps: int = field(default=12, repr=False)

    @property
    def is_affine(self) -> bool:
        """Always False."""
        return False

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Pixel points (N, 2) to map points (N, 2)."""
        uv = (np.asarray(points_px, dtype=np.float64) - self.centre_px) / self.scale_px
        return _quadratic_terms(uv) @ self.coefficients + self.centre_map

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Map points (N, 2) to pixel points (N, 2); NaN where Newton's method does not settle (far outside the points)."""
        wanted = np.asarray(points_map, dtype=np.float64) - self.centre_map
        linear = self.coefficients[1:3]
        uv = np.linalg.solve(linear.T, (wanted - self.coefficients[0]).T).T
        with np.errstate(all="ignore"):
            for _ in range(self._newton_steps):
                off = _quadratic_terms(uv) @ self.coefficients - wanted
                c, (u, v) = self.coefficients, uv.T
                du = c[1] + np.outer(2 * u, c[3]) + np.outer(v, c[4])
                dv = c[2] + np.outer(u, c[4]) + np.outer(2 * v, c[5])
                det = du[:, 0] * dv[:, 1] - dv[:, 0] * du[:, 1]
                uv = uv - np.stack(
                    [(dv[:, 1] * off[:, 0] - dv[:, 0] * off[:, 1]) / det, (du[:, 0] * off[:, 1] - du[:, 1] * off[:, 0]) / det],
                    axis=1,
                )
            left = np.abs(_quadratic_terms(uv) @ self.coefficients - wanted).max(axis=1)
        uv[~(left <= 1e-6 * np.abs(linear).max())] = np.nan
        points: FloatArray = uv * self.scale_px + self.centre_px
        return points


def _quadratic_terms(uv: FloatArray) -> FloatArray:
    u, v = uv.T
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)


def mapping_from_gcps(points_px: FloatArray, points_map: FloatArray) -> PixelMapping:
    """The mapping that ground control points tell.

    Affine where that meets the points within a tenth of a pixel or fewer than six points are given, else of second order
    (GDAL's choice as well).

    Parameters
    ----------
    points_px, points_map : float64 arrays (N, 2)
        The same points in both frames.

    Raises
    ------
    RasterError
        Fewer than three points, or all on one line.
    """
    px, target = np.asarray(points_px, dtype=np.float64), np.asarray(points_map, dtype=np.float64)
    if len(px) < 3:
        raise RasterError(f"the raster has {len(px)} ground control points; at least 3 are needed")
    centre_px, centre_map = px.mean(axis=0), target.mean(axis=0)
    scale = float(np.abs(px - centre_px).max()) or 1.0
    terms = _quadratic_terms((px - centre_px) / scale)
    linear, _, rank, _ = np.linalg.lstsq(terms[:, :3], target - centre_map, rcond=1e-9)
    if rank < 3 or np.linalg.matrix_rank(linear[1:3], rtol=1e-9) < 2:
        raise RasterError("the raster's ground control points lie on one line; they fix no transform")
    (a, d), (b, e) = linear[1] / scale, linear[2] / scale
    c, f = linear[0] + centre_map - np.array([[a, b], [d, e]]) @ centre_px
    affine = AffineMapping(Affine(a, b, c, d, e, f))
    residual = np.abs(affine.to_px(target) - px).max()
    if residual <= _AFFINE_RESIDUAL_PX or len(px) < 6:
        return affine
    quadratic, _, rank, _ = np.linalg.lstsq(terms, target - centre_map, rcond=1e-9)
    return QuadraticMapping(quadratic, centre_px, scale, centre_map) if rank == 6 else affine


def derivative(mapping: PixelMapping, shape: tuple[int, int]) -> FloatArray:
    """The mapping's derivative in the middle of a raster of `shape` (height, width).

    Returns
    -------
    float64 array (2, 2)
        Change of map x and map y (rows) a pixel in x and in y (columns).
    """
    if isinstance(mapping, AffineMapping):
        # From the terms themselves, which differences of large coordinates would round.
        t = mapping.transform
        return np.array([[t.a, t.b], [t.d, t.e]])
    x, y = shape[1] / 2, shape[0] / 2
    middle, right, down = mapping.to_map(np.array([[x, y], [x + 1, y], [x, y + 1]]))
    return np.stack([right - middle, down - middle], axis=1)


def pixel_size_map(mapping: PixelMapping, shape: tuple[int, int]) -> float:
    """Side of the pixel in the middle of a raster of `shape` (height, width), in map units (the root of its area)."""
    return float(abs(np.linalg.det(derivative(mapping, shape))) ** 0.5)
