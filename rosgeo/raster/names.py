"""Names of scenes, as GDAL has them."""

from __future__ import annotations

__all__ = ["is_gdal_name"]


def is_gdal_name(name: str) -> bool:
    """Whether a name is one of GDAL's and no path: an address, ``/vsi...``, or a sub-dataset, as in ``netcdf:scene.nc:Band1``."""
    # A colon behind a single letter is a drive's.
    return "://" in name or name.startswith("/vsi") or ":" in name[2:]
