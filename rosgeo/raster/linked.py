"""The file behind a rioxarray array: what it says of the pixels that the array does not hold (masks, alpha, colours, names)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from rosgeo.types import BoolArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PixelLink", "file_of", "link_pixels", "masks_beside"]

_TOLERANCE_PX = 0.05


@dataclass(frozen=True)
class PixelLink:
    """Which pixels of a file an array shows: row ``row + i * row_step`` in its row i, and likewise columns."""

    row: int
    row_step: int
    col: int
    col_step: int

    def mask(self, dataset: Any, band: int, rows: slice, cols: slice) -> BoolArray:
        """The mask (h, w) that a band of the file has beside its pixels, for a part of the array."""
        (top, bottom, down), (left, right, across) = (
            _span(rows, self.row, self.row_step),
            _span(cols, self.col, self.col_step),
        )
        mask: BoolArray = dataset.read_masks(band, window=Window.from_slices((top, bottom), (left, right))) != 0
        return mask[::down, ::across]


def _span(part: slice, first: int, step: int) -> tuple[int, int, int]:
    """Pixels of the file from, to (not included), and the step between them, for whole pixels of an array."""
    ends = first + part.start * step, first + (part.stop - 1) * step
    return min(ends), max(ends) + 1, step


@contextmanager
def file_of(array: xr.DataArray) -> Iterator[Any]:
    """The open data set that rioxarray read an array from; None where it was computed since, or the file is gone."""
    name = array.encoding.get("source")
    if not isinstance(name, str) or "rasterio_dtype" not in array.encoding:
        yield None
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(name)
    except (RasterioError, OSError):
        yield None
        return
    # Not entered: rasterio would leave an environment of the thread that opens it, and another may close it.
    with closing(dataset):
        yield dataset if dataset.count else None


def link_pixels(dataset: Any, transform: Affine, shape: tuple[int, int]) -> PixelLink | None:
    """Which pixels of a data set an array of `shape` with this transform shows; None where they are others, or reach over its edge."""
    relative = ~dataset.transform @ transform
    steps, first = np.array([relative.a, relative.e]), np.array([relative.a / 2 + relative.c, relative.e / 2 + relative.f]) - 0.5
    whole_steps, whole_first = np.rint(steps), np.rint(first)
    far = np.array(shape[::-1]) - 1
    drift = np.abs(first - whole_first) + np.abs(steps - whole_steps) * far
    turned = max(abs(relative.b) * far[1], abs(relative.d) * far[0])
    last = whole_first + whole_steps * far
    size = (dataset.width, dataset.height)
    inside = all(0 <= v < n for ends in (whole_first, last) for v, n in zip(ends, size, strict=True))
    if not (whole_steps.all() and inside and drift.max() < _TOLERANCE_PX and turned < _TOLERANCE_PX):
        return None
    return PixelLink(int(whole_first[1]), int(whole_steps[1]), int(whole_first[0]), int(whole_steps[0]))


def masks_beside(dataset: Any, band: int) -> bool:
    """Whether a band has a mask that is neither a nodata value nor an alpha band, so that no array of its values holds it."""
    flags = dataset.mask_flag_enums[band - 1]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags and MaskFlags.nodata not in flags
