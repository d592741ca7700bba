"""rosgeo: exact outlines in your GIS from a georeferenced raster and boxes.

Importing the package imports neither torch nor a geospatial library; what is used first is imported first. The accessor of DataArrays
(``array.rosgeo``) is registered when xarray is imported, before or after.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rosgeo import accessor as _accessor

if TYPE_CHECKING:
    from rosgeo.interactive.session import Session
    from rosgeo.pictures.plotting import plot
    from rosgeo.pictures.webmap import view
    from rosgeo.run.pipeline import SegmentOptions, SegmentRun, segment, segment_run

__all__ = ["SegmentOptions", "SegmentRun", "Session", "__version__", "plot", "segment", "segment_run", "view"]

_HOMES = {
    **dict.fromkeys(("SegmentOptions", "SegmentRun", "segment", "segment_run"), "run.pipeline"),
    "Session": "interactive.session",
    "plot": "pictures.plotting",
    "view": "pictures.webmap",
}

try:
    __version__ = version("rosgeo")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

_accessor.register_when_imported()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"rosgeo.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rosgeo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
