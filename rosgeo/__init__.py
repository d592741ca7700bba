"""rosgeo: exact outlines in your GIS from a georeferenced raster and boxes.

Importing the package imports neither torch nor a geospatial library; what is used first is imported first.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rosgeo.pipeline import SegmentOptions, SegmentRun, segment, segment_run

__all__ = ["SegmentOptions", "SegmentRun", "__version__", "segment", "segment_run"]

try:
    __version__ = version("rosgeo")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("rosgeo.pipeline"), name)
    raise AttributeError(f"module 'rosgeo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
