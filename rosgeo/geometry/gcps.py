"""Ground control points: the mapping that they tell, and how well it meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rosgeo.errors import RasterError
from rosgeo.geometry.lattice import LatticeMapping, lattice_mapping
from rosgeo.geometry.mapping import AffineMapping, affine_from_points, mapping_from_gcps
from rosgeo.types import FloatArray, PixelMapping

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["PointFit", "fit_points"]

FOLLOWED_PX = 1.0
"""Points that the polynomial misses by more are followed by a thin plate spline."""

_WARNED_MEAN_PX, _WARNED_MAX_PX = 1.0, 2.0
_WARNED_LEFT_OUT_PX = 2.0
_MOST_POINTS = 2500
"""A spline through more takes too long to solve; every n-th is taken then, and all are measured."""
_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class PointFit:
    """How well the mapping of a raster meets the ground control points that it was made from.

    Attributes
    ----------
    kind : {"affine", "polynomial", "thin plate spline"}
        Of the mapping.
    points : int
    mean_px, max_px, mean_m, max_m : float
        How far the mapping misses them, in pixels and on the ground in metres (NaN without a CRS).
    polynomial_mean_px, polynomial_max_px : float
        How far the best polynomial (affine for fewer than six points) misses them.
    left_out_px : float or None
        Of a spline: how far a point is missed on average where it is left out, which is more than what ground between points is missed by.
    """

    kind: Literal["affine", "polynomial", "thin plate spline"]
    points: int
    mean_px: float
    max_px: float
    mean_m: float
    max_m: float
    polynomial_mean_px: float
    polynomial_max_px: float
    left_out_px: float | None = None

    def record(self) -> dict[str, Any]:
        """For the run's record: plain values, rounded."""
        facts = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {k: v for k, v in facts.items() if v is not None and v == v}

    def text(self) -> str:
        """In words."""
        said = f"{self.points} ground control points, {self.kind}, missed by {_amount(self.mean_px, self.mean_m)} on average"
        said += f", {_amount(self.max_px, self.max_m)} at most"
        if self.kind != "thin plate spline":
            return said
        return said + f" (a polynomial: {self.polynomial_mean_px:.1f} and {self.polynomial_max_px:.1f} px)"

    def warning(self, name: str) -> str | None:
        """What is to be said before a run; None where the points are met within a pixel or two."""
        if self.mean_px > _WARNED_MEAN_PX or self.max_px > _WARNED_MAX_PX:
            return (
                f"{name}: the {self.kind} mapping misses its {self.points} ground control points by {_amount(self.mean_px, self.mean_m)} "
                f"on average, {_amount(self.max_px, self.max_m)} at most; outlines may lie that far off. Check the points, or warp it "
                "first: gdalwarp -tps IN OUT"
            )
        if self.left_out_px is not None and self.left_out_px > _WARNED_LEFT_OUT_PX:
            return (
                f"{name}: no polynomial meets its {self.points} ground control points ({self.polynomial_mean_px:.1f} px on average, "
                f"{self.polynomial_max_px:.1f} at most), so they are followed exactly, by a thin plate spline. A point that is left out "
                f"is missed by {self.left_out_px:.1f} px on average: between the points outlines may be off, by less than that"
            )
        return None


def _amount(px: float, metres: float) -> str:
    return f"{px:.1f} px" + (f" ({metres:.3g} m)" if np.isfinite(metres) else "")


def fit_points(
    points_px: FloatArray, points_map: FloatArray, shape: tuple[int, int], crs: CRS | None = None
) -> tuple[PixelMapping, PointFit]:
    """The mapping that ground control points tell, and how well it meets them.

    Affine or of second order where that meets them within a pixel (`mapping_from_gcps`), else a thin plate spline through all of
    them, as ``gdalwarp -tps`` takes. Where the spline folds the ground, the polynomial stays.

    Parameters
    ----------
    points_px, points_map : float64 arrays (N, 2)
        The same points in both frames.
    shape : (int, int)
        Height and width of the raster.
    crs : CRS, optional
        Of the map frame, for metres.

    Raises
    ------
    RasterError
        Fewer than three points, or all on one line; one that is no number.
    """
    px, target = (np.ascontiguousarray(points, dtype=np.float64) for points in (points_px, points_map))
    wrong = np.flatnonzero(~np.isfinite(np.concatenate([px, target], axis=1)).all(axis=1))
    if len(wrong):
        raise RasterError(
            f"{len(wrong)} of the raster's {len(px)} ground control points hold no numbers (the first: {wrong[0] + 1})"
        )
    return _fitted(px.tobytes(), target.tobytes(), shape, crs)


@lru_cache(maxsize=8)
def _fitted(points_px: bytes, points_map: bytes, shape: tuple[int, int], crs: CRS | None) -> tuple[PixelMapping, PointFit]:
    """`fit_points` of points as bytes: a scene is opened several times in a run."""
    px, target = (np.frombuffer(points).reshape(-1, 2) for points in (points_px, points_map))
    mapping = mapping_from_gcps(px, target)
    polynomial = _missed_px(mapping, px, target)
    left_out = None
    if polynomial.max() > FOLLOWED_PX and len(px) > 3:
        spline = _thin_plate(px, target, shape)
        if spline is not None and _missed_px(spline[0], px, target).max() < polynomial.max():
            mapping, left_out = spline
    missed, metres = _missed_px(mapping, px, target), _missed_m(mapping, px, target, crs)
    kind: Any = {AffineMapping: "affine", LatticeMapping: "thin plate spline"}.get(type(mapping), "polynomial")
    return mapping, PointFit(
        kind, len(px), float(missed.mean()), float(missed.max()), float(metres.mean()), float(metres.max()),
        float(polynomial.mean()), float(polynomial.max()), left_out,
    )  # fmt: skip


def _missed_px(mapping: PixelMapping, px: FloatArray, target: FloatArray) -> FloatArray:
    """By how many pixels each point is missed; infinite where it has no place."""
    distance: FloatArray = np.nan_to_num(np.hypot(*(mapping.to_px(target) - px).T), nan=np.inf)
    return distance


def _missed_m(mapping: PixelMapping, px: FloatArray, target: FloatArray, crs: CRS | None) -> FloatArray:
    there = mapping.to_map(px)
    if crs is None:
        return np.full(len(px), np.nan)
    if crs.is_geographic:
        geod = crs.get_geod()
        assert geod is not None
        return np.asarray(geod.inv(*there.T, *target.T)[2], dtype=np.float64)
    factor = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    metres: FloatArray = np.hypot(*(there - target).T) * factor
    return metres


def _thin_plate(px: FloatArray, target: FloatArray, shape: tuple[int, int]) -> tuple[LatticeMapping, float] | None:
    """A thin plate spline through the points (Duchon 1977) and what it misses of those left out; None where there is none.

    It is one of the differences to the affine transform, which it reproduces.
    """
    affine, _ = affine_from_points(px, target)
    every = -(-len(px) // _MOST_POINTS)
    nodes, shifts = px[::every], (affine.to_px(target) - px)[::every]
    centre, scale = nodes.mean(axis=0), float(np.abs(nodes - nodes.mean(axis=0)).max())
    u = (nodes - centre) / scale
    flat = np.column_stack([np.ones(len(u)), u])
    matrix = np.block([[_kernel(u, u), flat], [flat.T, np.zeros((3, 3))]])
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return None
    weights = inverse[:, : len(u)] @ shifts
    if not np.isfinite(weights).all() or np.abs(matrix[: len(u)] @ weights - shifts).max() > 1e-3:
        return None  # two points in one place
    # What each would be missed by without it (Rippa 1999).
    left_out = weights[: len(u)] / np.diag(inverse)[: len(u), None]
    mapping = lattice_mapping(_spline(u, weights, centre, scale), affine, shape)
    return None if mapping.folds(shape) else (mapping, float(np.hypot(*left_out.T).mean()))


def _spline(u: FloatArray, weights: FloatArray, centre: FloatArray, scale: float) -> Callable[[FloatArray], FloatArray]:
    at_once = max(_VALUES_AT_ONCE // len(u), 1)

    def shift(points_px: FloatArray) -> FloatArray:
        v = (points_px - centre) / scale
        parts = [
            _kernel(part, u) @ weights[: len(u)] + weights[len(u)] + part @ weights[len(u) + 1 :]
            for part in (v[i : i + at_once] for i in range(0, len(v), at_once))
        ]
        return np.concatenate(parts)

    return shift


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    """r^2 log r of each pair (N, M)."""
    square = (a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2
    kernel: FloatArray = 0.5 * square * np.log(np.where(square > 0, square, 1.0))
    return kernel
