"""rosgeo: exact outlines in your GIS from a georeferenced raster and boxes.

Importing the package imports neither torch nor a geospatial library; what is used first is imported first. The accessor of DataArrays
(``array.rosgeo``) is registered when xarray is imported, before or after.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import lazy_loader

from rosgeo import accessor as _accessor

if TYPE_CHECKING:
    from rosgeo.interactive.session import Session
    from rosgeo.pictures.plotting import plot
    from rosgeo.pictures.webmap import view
    from rosgeo.run.options import SegmentOptions
    from rosgeo.run.pipeline import SegmentRun, segment, segment_run

__all__ = ["SegmentOptions", "SegmentRun", "Session", "__version__", "plot", "segment", "segment_run", "view"]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "interactive.session": ["Session"],
        "pictures.plotting": ["plot"],
        "pictures.webmap": ["view"],
        "run.options": ["SegmentOptions"],
        "run.pipeline": ["SegmentRun", "segment", "segment_run"],
    },
)

try:
    __version__ = version("rosgeo")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

_accessor.register_when_imported()


def __dir__() -> list[str]:
    return sorted(__all__)
