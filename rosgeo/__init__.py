"""rosgeo: exact outlines in your GIS from a georeferenced raster and boxes.

Importing the package imports neither torch nor a geospatial library; what is used first is imported first. The accessor of DataArrays
(``array.rosgeo``) is registered when xarray is imported, before or after.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

from rosgeo import accessor as _accessor

__getattr__, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("rosgeo")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

__all__ += ["__version__"]

_accessor.register_when_imported()


def __dir__() -> list[str]:
    return sorted(__all__)
