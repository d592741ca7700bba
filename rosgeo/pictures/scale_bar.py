"""Scale bars: how much ground a pixel shows, and a bar of a round length for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pyproj import Geod, Transformer

from rosgeo.geometry.crs import is_local
from rosgeo.types import FloatArray, RasterGrid

__all__ = ["ScaleBar", "ground_of_pixel", "scale_bar"]

_REACH = 4.0
"""Pixels over which a pixel's width is measured, so that rounding of map coordinates does not count."""


@dataclass(frozen=True)
class ScaleBar:
    """A bar and its words.

    Attributes
    ----------
    length : float
        In pixels of the picture.
    words : str
        Such as ``20 m``.
    """

    length: float
    words: str


def ground_of_pixel(grid: RasterGrid, at_px: FloatArray) -> tuple[float, str]:
    """Width of a pixel on the ground, along its row.

    Parameters
    ----------
    grid : RasterGrid
    at_px : float64 array (2,)
        Where, in the pixel frame; the scale of a map differs from place to place.

    Returns
    -------
    width : float
        In metres, geodesic on WGS 84; 1 where the grid has no CRS that leads there, or the place none on the Earth.
    unit : str
        ``m``, or ``px``.
    """
    if grid.crs is None or is_local(grid.crs):
        return 1.0, "px"
    ends = grid.mapping.to_map(at_px + np.array([[-_REACH, 0.0], [_REACH, 0.0]]))
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(ends[:, 0], ends[:, 1])
    if not np.isfinite([lon, lat]).all():
        return 1.0, "px"
    distance = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[2] / (2 * _REACH)
    return (float(distance), "m") if math.isfinite(distance) and distance > 0 else (1.0, "px")


def scale_bar(ground: float, unit: str, longest: float) -> ScaleBar:
    """The longest bar of 1, 2 or 5 times a power of ten that is not longer than allowed.

    Parameters
    ----------
    ground : float
        What a pixel of the picture shows, in `unit`; above 0.
    unit : str
        ``m`` is written as cm below one and as km from a thousand on.
    longest : float
        In pixels of the picture; above 0.
    """
    room = ground * longest
    power = 10.0 ** math.floor(math.log10(room))
    # A little more room, since logarithms and powers of ten are not exact.
    length = next(step * power for step in (5.0, 2.0, 1.0, 0.5) if step * power <= room * (1 + 1e-9))
    shown, name = length, unit
    if unit == "m" and length >= 1000:
        shown, name = length / 1000, "km"
    elif unit == "m" and length < 1:
        shown, name = length * 100, "cm"
    return ScaleBar(length / ground, f"{shown:.6g} {name}")
