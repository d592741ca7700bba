"""Rasters as a satellite took them: rational polynomial coefficients (RPCs) place them, given the height of the ground."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS, Geod
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer

from rosgeo.errors import InputFileNotFoundError, RasterError
from rosgeo.raster.reading import Reading
from rosgeo.types import FloatArray

__all__ = ["RPC_CRS", "RpcFit", "RpcMapping", "rpc_placement"]

RPC_CRS = CRS.from_epsg(4326)
"""RPCs give longitude and latitude on WGS 84, and take heights above its ellipsoid."""

_SETTLED_PX = "1e-7"
_MISSED_PX = 1e-3
_PROBES = 9
_REACH = 2.0
"""RPCs are made for the ground within once their scales of their offsets, and are used up to this."""


class RpcMapping:
    """Pixel frame <-> longitude and latitude by RPCs, through GDAL. Can be pickled.

    Parameters
    ----------
    rpcs : RPC
    height : float
        Of the ground, in metres above the ellipsoid; not used with `dem`.
    dem : str, optional
        A raster of heights, between whose pixels they are bilinear.

    Notes
    -----
    The map-to-pixel direction is the polynomials themselves; the other one is iterated until it meets them within 1e-7 px.
    """

    def __init__(self, rpcs: RPC, height: float, dem: str | None = None) -> None:
        self.rpcs, self.height, self.dem = rpcs, height, dem
        ground = {"rpc_height": repr(height)} if dem is None else {"rpc_dem": dem, "rpc_deminterpolation": "bilinear"}
        self._transformer = RPCTransformer(rpcs, rpc_pixel_error_threshold=_SETTLED_PX, rpc_max_iterations="100", **ground)
        self._middle = np.array([rpcs.long_off, rpcs.lat_off], dtype=np.float64)
        self._reach = np.array([rpcs.long_scale, rpcs.lat_scale], dtype=np.float64) * _REACH

    def __reduce__(self) -> tuple[Any, ...]:
        return RpcMapping, (self.rpcs, self.height, self.dem)

    @property
    def is_affine(self) -> bool:
        """Always False."""
        return False

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Pixel points (N, 2) to longitude and latitude (N, 2); NaN where there is no ground."""
        points = np.asarray(points_px, dtype=np.float64)
        x, y = points.T
        ground = self._settled(self._transformer.xy, y, x, offset="ul")
        if self.dem is not None:
            # GDAL gives some place to a pixel for which it finds no height.
            with np.errstate(invalid="ignore"):
                ground[~(np.abs(self.to_px(ground) - points) <= _MISSED_PX).all(axis=1)] = np.nan
        return ground

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Longitude and latitude (N, 2) to pixel points (N, 2); NaN where the DEM has no height."""
        points = np.asarray(points_map, dtype=np.float64)
        off = points - self._middle
        held = np.clip(off, -self._reach, self._reach)
        placed = self._polynomials(held + self._middle)
        far = (off != held).any(axis=1)
        if far.any():
            # Polynomials may come back into the picture from afar; what lies there goes on straight.
            ends = self._middle + np.array([[0, 0], [1, 0], [0, 1]]) * self._reach
            origin, east, north = self._polynomials(ends)
            slope = np.stack([east - origin, north - origin]) / self._reach[:, None]
            placed[far] += (off - held)[far] @ slope
        return placed

    def _polynomials(self, points_map: FloatArray) -> FloatArray:
        lon, lat = points_map.T
        return self._settled(self._transformer.rowcol, lon, lat, op=np.positive)[:, ::-1]

    def _settled(self, transform: Any, first: FloatArray, second: FloatArray, **how: Any) -> FloatArray:
        if not len(first):
            return np.empty((0, 2))
        moved = np.stack(transform(np.ascontiguousarray(first), np.ascontiguousarray(second), **how), axis=1)
        there: FloatArray = np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, np.nan)
        return there


@dataclass(frozen=True)
class RpcFit:
    """How well RPCs place a raster.

    Attributes
    ----------
    height_m : float or None
        The height that was taken for all ground; None where a DEM gives it.
    dem : str or None
    assumed : bool
        Nobody said how high the ground is: `height_m` is the middle of what the RPCs are made for.
    shift_m, shift_px : float
        How far ground that is 10 m higher than taken lies off, in the middle of the raster.
    bias_m, random_m : float or None
        What the file says of the error of its RPCs.
    """

    height_m: float | None
    dem: str | None
    assumed: bool
    shift_m: float
    shift_px: float
    bias_m: float | None
    random_m: float | None

    def record(self) -> dict[str, Any]:
        """For the run's record."""
        facts = {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {"kind": "rpc", **{k: v for k, v in facts.items() if v is not None}}

    def text(self) -> str:
        """In words."""
        heights = f"heights of {self.dem}" if self.dem is not None else f"all ground at {self.height_m:.10g} m above the ellipsoid"
        off = f"; ground 10 m higher lies {self.shift_m:.1f} m ({self.shift_px:.1f} px) off"
        known = [f"{v:g} m {what}" for v, what in ((self.bias_m, "bias"), (self.random_m, "random")) if v is not None]
        return f"RPCs, {heights}{off}; error of the RPCs: {' and '.join(known) if known else 'not told by the file'}"

    def warning(self, name: str) -> str | None:
        """What is to be said before a run: that a height was assumed."""
        if not self.assumed:
            return None
        return (
            f"{name} is placed by RPCs, which need the height of the ground; {self.height_m:.10g} m above the ellipsoid is taken for all "
            f"of it, and ground that is 10 m higher or lower lies {self.shift_m:.1f} m ({self.shift_px:.1f} px) off. Pass --dem FILE, or "
            "--height METRES"
        )


def rpc_placement(rpcs: RPC, shape: tuple[int, int], name: str, reading: Reading) -> tuple[RpcMapping, RpcFit]:
    """The mapping of a raster's RPCs, and how well it places the raster.

    Parameters
    ----------
    rpcs : RPC
    shape : (int, int)
        Height and width of the raster.
    name : str
        For messages.
    reading : Reading
        `dem` and `height`; with neither, the height is the RPCs' own offset.

    Raises
    ------
    InputFileNotFoundError
        There is no such DEM.
    RasterError
        The DEM cannot be read or does not cover the raster, or the RPCs place nothing.
    """
    assumed = reading.dem is None and reading.height is None
    height = float(rpcs.height_off if reading.height is None else reading.height)
    mapping = _opened(rpcs, height, reading.dem)
    x, y = np.meshgrid(np.linspace(0, shape[1], _PROBES), np.linspace(0, shape[0], _PROBES))
    probes = np.stack([x.ravel(), y.ravel()], axis=1)
    ground = mapping.to_map(probes)
    if not np.isfinite(ground).all():
        flat = RpcMapping(rpcs, height).to_map(probes)
        if reading.dem is None or not np.isfinite(flat).all():
            raise RasterError(f"{name}: its RPCs give no place for some of its pixels; orthorectify it first: gdalwarp -rpc IN OUT")
        (west, south), (east, north) = flat.min(axis=0), flat.max(axis=0)
        raise RasterError(
            f"{reading.dem} has no height under {int((~np.isfinite(ground)).any(axis=1).sum())} of {len(probes)} points of {name}, which "
            f"shows about {west:.5f} to {east:.5f} E, {south:.5f} to {north:.5f} N; expected a DEM of all of that"
        )
    metres, pixels = _shift_by_height(mapping, shape)
    return mapping, RpcFit(
        None if reading.dem is not None else height,
        reading.dem,
        assumed,
        metres,
        pixels,
        _known(rpcs.err_bias),
        _known(rpcs.err_rand),
    )


def _opened(rpcs: RPC, height: float, dem: str | None) -> RpcMapping:
    if dem is not None and "://" not in dem and not dem.startswith("/vsi") and not Path(dem).exists():
        raise InputFileNotFoundError(f"{dem}: no such file; expected a raster of heights")
    try:
        mapping = RpcMapping(rpcs, height, dem)
        # A DEM is opened with the first point.
        mapping.to_px(np.array([[rpcs.long_off, rpcs.lat_off]]))
    except Exception as error:  # GDAL's own errors among them, which rasterio does not always make its own
        if dem is None:
            raise RasterError(f"the RPCs are not understood by GDAL: {error}") from error
        raise RasterError(f"{dem} is no raster of heights that GDAL can open: {' '.join(str(error).split())[:200]}") from error
    return mapping


def _shift_by_height(mapping: RpcMapping, shape: tuple[int, int]) -> tuple[float, float]:
    """Metres and pixels by which ground 10 m above the middle of the raster is misplaced."""
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    low = RpcMapping(mapping.rpcs, mapping.height)
    high = RpcMapping(mapping.rpcs, mapping.height + 10)
    there = high.to_map(middle)
    metres = Geod(ellps="WGS84").inv(*low.to_map(middle)[0], *there[0])[2]
    return float(metres), float(np.hypot(*(low.to_px(there) - middle)[0]))


def _known(value: float | None) -> float | None:
    """An error of the RPCs; those below zero mean that it is not known."""
    return None if value is None or value < 0 else float(value)
