"""A raster seen through an upright grid over its ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.geometry.upright import UprightGrid, upright_grid
from rosgeo.raster.protocol import Bands, RasterSource
from rosgeo.raster.reading import Reading
from rosgeo.types import BoolArray, FloatArray

__all__ = ["UprightSource", "upright_source"]

_SAMPLING_GRID_PX = 1 / 256
"""Sampling points are rounded to this: a scene and a clip of it, whose coordinates differ in their last bits, then give the same
values."""


class UprightSource:
    """A raster whose pixels are looked up through an upright grid: reordered where that is exact, else bilinear.

    Parameters
    ----------
    source : RasterSource
        The raster as it is stored.
    upright : UprightGrid
        Its upright grid.
    """

    def __init__(self, source: RasterSource, upright: UprightGrid) -> None:
        self._source = source
        self._upright = upright
        self.name = source.name
        self.grid = upright.grid
        self.count = source.count
        self.dtypes = source.dtypes
        self.colours = source.colours
        self.names = source.names
        self.scaling = source.scaling
        self.georeferenced = source.georeferenced
        self.placement = source.placement
        self.reading = source.reading

    @property
    def exact(self) -> bool:
        """True where pixels are only reordered, not resampled."""
        return self._upright.exact is not None

    def with_reading(self, reading: Reading) -> UprightSource:
        """See `RasterSource`."""
        return UprightSource(self._source.with_reading(reading), self._upright)

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`. Outside the raster nothing is valid."""
        if self._upright.exact is not None:
            base_rows, base_cols = self._base_slices(rows, cols)
            values, valid = self._source.read(bands, base_rows, base_cols)
            return self._reorder(values), self._reorder(valid)
        points = self._sampling_points(rows, cols, 1.0)
        height, width = self._upright.base.shape
        # Reading starts at the pixel whose centre is next above and left of the first point, and ends with the next below and right.
        with np.errstate(invalid="ignore"):
            low = np.clip(np.floor(np.nanmin(points, axis=(0, 1), initial=np.inf) - 0.5), 0, (width, height))
            high = np.clip(np.ceil(np.nanmax(points, axis=(0, 1), initial=-np.inf) + 0.5), 0, (width, height))
        window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
        if (high <= low).any():
            empty: npt.NDArray[Any] = np.zeros((3, *points.shape[:2]), dtype=np.result_type(*(self.dtypes[b - 1] for b in bands)))
            return empty, np.zeros(points.shape[:2], dtype=bool)
        values, valid = self._source.read(bands, *window)
        return _bilinear(values, valid, points - low)

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`. The nearest stored pixel of each."""
        values, valid = self._source.read_decimated(bands, max_side)
        if self._upright.exact is not None:
            return self._reorder(values), self._reorder(valid)
        height, width = self.grid.shape
        step = max(max(height, width) / max_side, 1.0)
        rows, cols = (slice(0, max(round(n / step), 1)) for n in (height, width))
        points = self._sampling_points(rows, cols, step)
        scale = np.array(values.shape[:0:-1]) / self._upright.base.shape[::-1]
        with np.errstate(invalid="ignore"):
            cells = np.floor(points * scale)
            inside: BoolArray = np.all((cells >= 0) & (cells < values.shape[:0:-1]), axis=2, keepdims=True)
        column, row = np.moveaxis(np.where(inside, cells, 0).astype(np.int64), -1, 0)
        return values[:, row, column], valid[:, row, column] & inside[..., 0]

    def _base_slices(self, rows: slice, cols: slice) -> tuple[slice, slice]:
        corners = self._upright.to_base(np.array([[cols.start, rows.start], [cols.stop, rows.stop]], dtype=np.float64))
        low, high = (np.rint(v).astype(int) for v in (corners.min(axis=0), corners.max(axis=0)))
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _reorder(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn and mirror the last two axes from the raster's order to the upright one."""
        t = self._upright.exact
        assert t is not None
        # t gives raster from upright: raster x runs along upright x (a) or upright y (b), forwards or backwards.
        turned = array[..., :: int(t.d + t.e), :: int(t.a + t.b)]
        return turned if t.a else np.swapaxes(turned, -1, -2)

    def _sampling_points(self, rows: slice, cols: slice, step: float) -> FloatArray:
        """Raster points (h, w, 2) under the centres of upright pixels of `step`."""
        x, y = np.meshgrid((np.arange(cols.start, cols.stop) + 0.5) * step, (np.arange(rows.start, rows.stop) + 0.5) * step)
        points = self._upright.to_base(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(*x.shape, 2)
        snapped: FloatArray = np.round(points / _SAMPLING_GRID_PX) * _SAMPLING_GRID_PX
        return snapped


def _bilinear(values: npt.NDArray[Any], valid: BoolArray, points: FloatArray) -> tuple[npt.NDArray[Any], BoolArray]:
    """Values (3, h, w) at points (h', w', 2) between the valid pixels next to each; valid where those weigh at least a half."""
    height, width = valid.shape
    with np.errstate(invalid="ignore"):
        corner = np.floor(points - 0.5)
        share = points - 0.5 - corner
        reachable: BoolArray = np.all((corner >= -1) & (corner < (width, height)), axis=2, keepdims=True)
    corner = np.where(reachable, corner, 0).astype(np.int64)
    total = np.zeros((len(values), *points.shape[:2]))
    weight = np.zeros(points.shape[:2])
    clean = np.where(valid, values, 0)
    for down in (0, 1):
        for right in (0, 1):
            column, row = corner[..., 0] + right, corner[..., 1] + down
            inside = reachable[..., 0] & (column >= 0) & (row >= 0) & (column < width) & (row < height)
            column, row = np.where(inside, column, 0), np.where(inside, row, 0)
            part = np.abs(1 - right - share[..., 0]) * np.abs(1 - down - share[..., 1])
            part = np.where(inside & valid[row, column], part, 0.0)
            total += part * clean[:, row, column]
            weight += part
    good = weight >= 0.5
    mean = total / np.where(weight > 0, weight, 1)
    if np.issubdtype(values.dtype, np.integer):
        mean = np.rint(mean)
    return mean.astype(values.dtype), good


def upright_source(source: RasterSource) -> RasterSource:
    """The raster through its upright grid; the raster itself where it is upright, or has no map to be upright on."""
    upright = upright_grid(source.grid) if source.georeferenced else None
    return source if upright is None else UprightSource(source, upright)
