"""Pixel frame <-> map frame: by an affine transform, by ground control points, or by a homography."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from affine import Affine

from rosgeo.errors import RasterError
from rosgeo.types import FloatArray, PixelMapping

__all__ = [
    "PICTURE_MAPPING",
    "AffineMapping",
    "HomographyMapping",
    "QuadraticMapping",
    "affine_from_points",
    "derivative",
    "homography_from_points",
    "mapping_from_gcps",
    "pixel_size_map",
]

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


PICTURE_MAPPING = AffineMapping(Affine(1, 0, 0, 0, -1, 0))
"""The map frame of rasters without georeferencing: x = column, y = -row, which is where QGIS shows them. GDAL gives such rasters the
identity as their transform, and no file stores that."""


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


@dataclass(frozen=True)
class HomographyMapping:
    """A homography: a camera's view of flat ground.

    Attributes
    ----------
    matrix : float64 array (3, 3)
        Homogeneous pixel points (x, y, 1) to homogeneous map points; any scale. The pixel frame has the centre of the top-left pixel at
        (0.5, 0.5).

    Raises
    ------
    RasterError
        Not a finite 3 x 3 matrix with an inverse, or the corner (0, 0) of the picture has no place on the ground.
    """

    matrix: FloatArray
    _origin_map: FloatArray = field(init=False, repr=False)
    _local: FloatArray = field(init=False, repr=False)
    _inverse: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise RasterError(f"a homography is 3 x 3 finite numbers; found shape {matrix.shape}")
        if abs(matrix[2, 2]) <= 1e-12 * np.abs(matrix[2]).max():
            raise RasterError(
                "the homography puts the corner (0, 0) of the picture at infinity; expected one that sees it on the ground"
            )
        matrix = matrix / matrix[2, 2]
        origin = matrix[:2, 2].copy()
        # About the corner's place on the map, where coordinates are small: those of a map would leave few digits to the inverse.
        local = matrix - np.outer(np.append(origin, 0.0), matrix[2])
        size = np.abs(local[:2, :2]).max()
        if size == 0 or abs(np.linalg.det(local / np.array([[size], [size], [1.0]]))) < 1e-12:
            raise RasterError("the homography has no inverse; expected one that maps the picture onto an area")
        for name, value in (("matrix", matrix), ("_origin_map", origin), ("_local", local), ("_inverse", np.linalg.inv(local))):
            object.__setattr__(self, name, value)

    @property
    def is_affine(self) -> bool:
        """Always True: straight lines stay straight."""
        return True

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Pixel points (N, 2) to map points (N, 2); NaN on the horizon and above it."""
        return _project(self._local, points_px) + self._origin_map

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Map points (N, 2) to pixel points (N, 2); NaN behind the camera."""
        return _project(self._inverse, np.asarray(points_map, dtype=np.float64) - self._origin_map)

    def sees_ground(self, shape: tuple[int, int]) -> bool:
        """True where every pixel of a picture of `shape` (height, width) lies below the horizon."""
        height, width = shape
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=np.float64)
        return bool((corners @ self.matrix[2] > 0).all())


def _project(matrix: FloatArray, points: FloatArray) -> FloatArray:
    xy = np.asarray(points, dtype=np.float64)
    moved = xy @ matrix[:, :2].T + matrix[:, 2]
    # The corner (0, 0) has the weight 1: what has another sign is on the other side of the camera.
    weight = np.where(moved[:, 2:] > 0, moved[:, 2:], np.nan)
    projected: FloatArray = moved[:, :2] / weight
    return projected


def homography_from_points(points_px: FloatArray, points_map: FloatArray) -> HomographyMapping:
    """The homography that ground control points tell (the normalised direct linear transform, Hartley 1997).

    Parameters
    ----------
    points_px, points_map : float64 arrays (N, 2)
        The same points in both frames.

    Raises
    ------
    RasterError
        Fewer than four points, or three of four on one line.
    """
    px, target = np.asarray(points_px, dtype=np.float64), np.asarray(points_map, dtype=np.float64)
    if len(px) < 4:
        raise RasterError(f"{len(px)} points fix no homography; at least 4 are needed")
    (u, from_px), (v, from_map) = _normalised(px), _normalised(target)
    ones, zeros = np.ones((len(u), 1)), np.zeros((len(u), 3))
    h = np.concatenate([u, ones], axis=1)
    rows = np.concatenate([np.hstack([h, zeros, -v[:, :1] * h]), np.hstack([zeros, h, -v[:, 1:] * h])])
    _, sizes, right = np.linalg.svd(rows)
    if sizes[7] < 1e-9 * sizes[0]:
        raise RasterError("the ground control points fix no homography; expected four of which no three lie on one line")
    matrix: FloatArray = np.linalg.inv(from_map) @ right[-1].reshape(3, 3) @ from_px
    return HomographyMapping(matrix)


def _normalised(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points moved and scaled to about -1..1, and the matrix that does it."""
    centre, scale = points.mean(axis=0), _spread(points)
    return (points - centre) / scale, np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, scale]]) / scale


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
    affine, residual_px = affine_from_points(px, target)
    if residual_px <= _AFFINE_RESIDUAL_PX or len(px) < 6:
        return affine
    centre_px, centre_map, scale = px.mean(axis=0), target.mean(axis=0), _spread(px)
    quadratic, _, rank, _ = np.linalg.lstsq(_quadratic_terms((px - centre_px) / scale), target - centre_map, rcond=1e-9)
    return QuadraticMapping(quadratic, centre_px, scale, centre_map) if rank == 6 else affine


def affine_from_points(points_px: FloatArray, points_map: FloatArray) -> tuple[AffineMapping, float]:
    """The affine transform that meets ground control points best, and by how much it misses them.

    Parameters
    ----------
    points_px, points_map : float64 arrays (N, 2)

    Returns
    -------
    mapping : AffineMapping
    residual_px : float
        Largest difference of a coordinate, in pixels.

    Raises
    ------
    RasterError
        Fewer than three points, or all on one line.
    """
    px, target = np.asarray(points_px, dtype=np.float64), np.asarray(points_map, dtype=np.float64)
    if len(px) < 3:
        raise RasterError(f"the raster has {len(px)} ground control points; at least 3 are needed")
    centre_px, centre_map, scale = px.mean(axis=0), target.mean(axis=0), _spread(px)
    terms = _quadratic_terms((px - centre_px) / scale)
    linear, _, rank, _ = np.linalg.lstsq(terms[:, :3], target - centre_map, rcond=1e-9)
    if rank < 3 or np.linalg.matrix_rank(linear[1:3], rtol=1e-9) < 2:
        raise RasterError("the raster's ground control points lie on one line; they fix no transform")
    (a, d), (b, e) = linear[1] / scale, linear[2] / scale
    c, f = linear[0] + centre_map - np.array([[a, b], [d, e]]) @ centre_px
    affine = AffineMapping(Affine(a, b, c, d, e, f))
    return affine, float(np.abs(affine.to_px(target) - px).max())


def _spread(points: FloatArray) -> float:
    return float(np.abs(points - points.mean(axis=0)).max()) or 1.0


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
