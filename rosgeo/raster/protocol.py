"""One face for the rasters that rosgeo reads."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rosgeo.raster.reading import Reading
from rosgeo.types import BoolArray, RasterGrid

__all__ = ["Bands", "Placement", "RasterSource", "together"]

Bands = tuple[int, int, int]


class Placement(Protocol):
    """How well a raster is placed that has no transform: `rosgeo.geometry.gcps.PointFit`, `rosgeo.raster.rpc.RpcFit`."""

    def record(self) -> dict[str, Any]:
        """For the run's record."""

    def text(self) -> str:
        """In words."""

    def warning(self, name: str) -> str | None:
        """What is to be said before a run, if anything."""


class RasterSource(Protocol):
    """What rosgeo needs of a raster. Bands count from 1.

    Attributes
    ----------
    name : str
        For messages and the record.
    grid : RasterGrid
    count : int
    dtypes, colours, names : tuple of str
        Of each band. A name is the file's description of it, empty where there is none.
    scaling : tuple of (float, float)
        Scale and offset of each band: a measurement is ``value * scale + offset``.
    georeferenced : bool
        False where the raster has no CRS, transform or control points. Its map frame is then x = column, y = -row.
    placement : Placement or None
        Where the raster is placed by control points or RPCs.
    reading : Reading
        How it is read.
    """

    name: str
    grid: RasterGrid
    count: int
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str, ...]
    scaling: tuple[tuple[float, float], ...]
    georeferenced: bool
    placement: Placement | None
    reading: Reading

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """Values (3, h, w) and validity (h, w) of a part of the raster."""

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """The whole raster with at most `max_side` pixels a side, from overviews where there are any; validity by band (3, h, w)."""

    def with_reading(self, reading: Reading) -> RasterSource:
        """The same raster read in another way; it lies where it lay."""


def together(values: npt.NDArray[Any], by_band: BoolArray) -> BoolArray:
    """Validity (h, w) of a picture from that of its bands (3, h, w): any band there, and every value finite.

    As GDAL's own mask of a data set: nodata only where every band says so, but alpha and mask bands are the same for all.
    """
    finite = np.isfinite(values).all(axis=0) if np.issubdtype(values.dtype, np.floating) else True
    valid: BoolArray = np.logical_and(by_band.any(axis=0), finite)
    return valid
