"""Coordinate reference systems as users name them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError

from rosgeo.errors import OptionError
from rosgeo.types import FloatArray

__all__ = ["crs_label", "is_local", "known_crs", "metres_per_unit", "parse_crs", "same_crs"]

_STEP_DEGREES = 1e-4


def parse_crs(text: str | CRS, option: str) -> CRS:
    """A CRS from anything that pyproj takes; raises OptionError naming `option`."""
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        more = ", or pixel or raster" if "boxes-crs" in option else ""
        raise OptionError(f"{option} {str(text)!r} is no CRS that PROJ knows; expected something like EPSG:32650{more}") from error
    if not (crs.is_projected or crs.is_geographic):
        raise OptionError(f"{option} {str(text)!r} ({crs.name}) is no CRS of a map; expected a projected or a geographic one")
    return crs


def known_crs(crs: Any) -> CRS | None:
    """A layer's CRS; None where it has none, or one of those that a GeoPackage calls undefined."""
    known = None if crs is None else CRS.from_user_input(crs)
    return None if known is None or known.name.lower().startswith("undefined ") else known


def is_local(crs: CRS) -> bool:
    """True for the coordinates of a site (an engineering CRS, as of drone mosaics and CAD), which nothing relates to the globe."""
    return not (crs.is_projected or crs.is_geographic)


def same_crs(one: CRS, other: CRS) -> bool:
    """Whether coordinates of one are those of the other; local ones, of which files keep little more, are told by their name."""
    if is_local(one) and is_local(other):
        return one.name.lower() == other.name.lower()
    return one.equals(other, ignore_axis_order=True)


def crs_label(crs: CRS) -> str:
    """The code of a CRS, or its name where it has none."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name


def metres_per_unit(points: FloatArray, crs: CRS | None) -> FloatArray:
    """How long a unit along x and a unit along y are on the ground, on the WGS 84 ellipsoid.

    Parameters
    ----------
    points : float64 array (N, 2)
        Where, in the CRS.
    crs : CRS or None

    Returns
    -------
    float64 array (N, 2)
        In metres; 1 where there is no CRS, none that leads to WGS 84, or the point lies outside of its use. Measured over some ten
        metres, so that in degrees and in Web Mercator it is what holds at the point.
    """
    ones = np.ones((len(points), 2))
    if crs is None or not len(points):
        return ones
    try:
        to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    except ProjError:
        return ones
    step = _STEP_DEGREES if crs.is_geographic else 10.0
    here, right, up = (to_degrees.transform(*(points + offset).T) for offset in ((0, 0), (step, 0), (0, step)))
    geod = Geod(ellps="WGS84")
    scale = np.stack([geod.inv(*here, *there)[2] for there in (right, up)], axis=1) / step
    return np.where(np.isfinite(scale) & (scale > 0), scale, ones)
