"""Coordinate reference systems as users name them."""

from __future__ import annotations

from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from rosgeo.errors import OptionError

__all__ = ["crs_label", "is_local", "known_crs", "parse_crs", "same_crs"]


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
