"""How well a change of CRS places points, and whether a better one is known that cannot be used here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup

from rosgeo.errors import PlacementWarning
from rosgeo.geometry.mapping import derivative
from rosgeo.types import FloatArray, RasterGrid

__all__ = ["Operation", "operation_of", "pixel_size_m", "warn_of_coarse_operation"]

_WORTH_PX = 1.0
"""A better operation is told of where the one in use may be off by so much more."""


@dataclass(frozen=True)
class Operation:
    """The operation of PROJ that brings points from one CRS to another.

    Attributes
    ----------
    name : str
    accuracy_m : float or None
        As its authority states it; None where that is not known.
    best_name : str or None
        Of a better operation that cannot be used here, for want of its grid.
    best_accuracy_m : float or None
    grids : tuple of str
        Files that it needs.
    """

    name: str
    accuracy_m: float | None
    best_name: str | None = None
    best_accuracy_m: float | None = None
    grids: tuple[str, ...] = ()


def operation_of(source: CRS, target: CRS, grid: RasterGrid) -> Operation | None:
    """The operation between two CRS on the ground of a raster; None where there is none, or nothing to be done.

    Parameters
    ----------
    source, target : CRS
        `target` is that of `grid`.
    grid : RasterGrid
    """
    if source.equals(target, ignore_axis_order=True):
        return None
    x, y = np.meshgrid(np.linspace(0, grid.width, 3), np.linspace(0, grid.height, 3))
    points = grid.mapping.to_map(np.stack([x.ravel(), y.ravel()], axis=1))
    return _operation(source.to_wkt(), target.to_wkt(), tuple(map(tuple, points.tolist())))


@lru_cache(maxsize=32)
def _operation(source: str, target: str, points: tuple[tuple[float, float], ...]) -> Operation | None:
    try:
        ground = np.array(points)
        lonlat = np.stack(Transformer.from_crs(target, "EPSG:4326", always_xy=True).transform(*ground.T), axis=1)
        area: Any = None
        if np.isfinite(lonlat).all():
            (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
            area = AreaOfInterest(west, south, east, north)
        with warnings.catch_warnings():
            # It warns of what is told here.
            warnings.simplefilter("ignore")
            group = TransformerGroup(source, target, always_xy=True, area_of_interest=area)
        used = _used(source, target, ground)
    except ProjError:
        return None
    if used is None:
        return None
    name, accuracy = used
    better = [o for o in group.unavailable_operations if _accuracy(o) is not None]
    best: Any = min(better, key=lambda o: o.accuracy, default=None)
    if best is None or (accuracy is not None and best.accuracy >= accuracy):
        return Operation(name, accuracy)
    grids = tuple(g.short_name for g in best.grids if not g.available)
    return Operation(name, accuracy, best.name, best.accuracy, grids)


def _used(source: str, target: str, ground: FloatArray) -> tuple[str, float | None] | None:
    """Name and accuracy of the operation that PROJ chooses for the middle of the ground."""
    transformer = Transformer.from_crs(source, target, always_xy=True)
    x, y = ground[len(ground) // 2]
    there = transformer.transform(x, y, direction="INVERSE")
    if not np.isfinite(there).all():
        return None
    last = transformer.get_last_used_operation()
    return str(last.description), _accuracy(last)


def _accuracy(operation: Any) -> float | None:
    """PROJ writes -1 where it is not known."""
    return float(operation.accuracy) if operation.accuracy is not None and operation.accuracy >= 0 else None


def pixel_size_m(grid: RasterGrid) -> float:
    """Side of the pixel in the middle of a raster on the ground, in metres (the root of its area); NaN where it is not known."""
    if grid.crs is None:
        return float("nan")
    linear = derivative(grid.mapping, grid.shape)
    if not grid.crs.is_geographic:
        factor = grid.crs.axis_info[0].unit_conversion_factor if grid.crs.axis_info else 1.0
        return float(abs(np.linalg.det(linear)) ** 0.5 * factor)
    geod = grid.crs.get_geod()
    middle = grid.mapping.to_map(np.array([[grid.width / 2, grid.height / 2]]))[0]
    if geod is None or not np.isfinite(middle).all():
        return float("nan")
    # A degree in each direction, there.
    x, y = middle
    east, north = geod.inv(x, y, x + 1e-3, y)[2], geod.inv(x, y, x, y + 1e-3)[2]
    return float(abs(np.linalg.det(linear) * east * north) ** 0.5 * 1e3)


def warn_of_coarse_operation(source: CRS | None, grid: RasterGrid, what: str, raster_name: str) -> None:
    """Warn where boxes of another CRS are brought to a raster by a worse operation than is known.

    Parameters
    ----------
    source : CRS or None
        Of the boxes.
    grid : RasterGrid
        Of the raster.
    what, raster_name : str
        The boxes and the raster, for the message.

    Warns
    -----
    PlacementWarning
        The better operation needs a grid that is not here, and the difference is larger than a pixel, or of unknown size.
    """
    if source is None or grid.crs is None:
        return
    used = operation_of(source, grid.crs, grid)
    if used is None or used.best_accuracy_m is None:
        return
    pixel = pixel_size_m(grid)
    if used.accuracy_m is not None and used.accuracy_m - used.best_accuracy_m <= _WORTH_PX * pixel:
        return
    accuracy = "to a degree that is not known" if used.accuracy_m is None else _amount(used.accuracy_m, pixel)
    needs = f" needs {' and '.join(used.grids)}, which is not here" if used.grids else " cannot be used here"
    fetch = f"pyproj sync --file {used.grids[0]}" if used.grids else "pyproj sync --all"
    warnings.warn(
        f"{what} is in {source.name} and {raster_name} in {grid.crs.name}: PROJ goes from one to the other by {used.name!r}, accurate "
        f"{accuracy}; {used.best_name!r}, accurate {_amount(used.best_accuracy_m, pixel)},{needs}. Fetch it ({fetch}, or set "
        "PROJ_NETWORK=ON), or bring the boxes to the raster's CRS in QGIS",
        PlacementWarning,
        stacklevel=2,
    )


def _amount(metres: float, pixel: float) -> str:
    return f"to {metres:g} m" + (f" ({metres / pixel:.2g} px)" if np.isfinite(pixel) else "")
