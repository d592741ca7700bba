"""Pixels of labelled pictures, by the code that reads a scene, so that training and inference see the same."""

from __future__ import annotations

import atexit
import os
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rosgeo.geometry.windows import decimation_of
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.labelled.pictures import decode_plain, has_rasterio, read_header
from rosgeo.types import BoolArray, CropWindow, UInt8Array

if TYPE_CHECKING:
    import numpy.typing as npt

    from rosgeo.raster.crops import CropReader
    from rosgeo.raster.reading import Reading
    from rosgeo.raster.source import RasterSource

__all__ = ["RasterPixels", "ValidGround", "load_image", "read_window"]

_HELD_BYTES = 1 << 24
"""Pictures whose picture bands take no more are read once and whole; from larger ones, and from rasters, windows are read."""

_TILE_PX = 1024
_LARGE_PX = 1 << 25
"""Above so many pixels validity is first asked of a decimated view."""


@dataclass(frozen=True)
class RasterPixels:
    """How the pixels of a picture are read.

    Attributes
    ----------
    path : str
        Whatever rasterio opens.
    bands : tuple of int or str, or None
        See `parse_bands`.
    stretch : str
        See `parse_stretch`.
    nodata, dem, height
        See `make_reading`.
    upright : bool
        True for a raster whose labels are those of a map, which is seen through its upright grid; False for a picture whose labels are
        in its own pixels.
    orientation : int or None
        Of a picture: EXIF's number by which it is turned; None: as its file says.
    """

    path: str
    bands: tuple[int | str, ...] | None = None
    stretch: str = "auto"
    upright: bool = True
    orientation: int | None = None
    nodata: float | str | None = None
    dem: str | None = None
    height: float | None = None


def read_window(pixels: RasterPixels, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
    """A window of a picture as inference reads it: RGB (3, h, h), padded where it is not valid, and validity (h, h)."""
    if not pixels.upright and not has_rasterio():
        return _cut(*_decoded(pixels.path, pixels.orientation, *_now(pixels.path)), window)
    crop = _reader(pixels, *_now(pixels.path)).read(window, np.zeros(4), 0)
    return crop.image, crop.valid


def load_image(path: Path) -> UInt8Array:
    """A whole picture as it is shown, in 8-bit RGB.

    Returns
    -------
    uint8 array (3, H, W)
        Read-only, kept for the next call.
    """
    pixels = RasterPixels(str(path), upright=False)
    if not has_rasterio():
        return _decoded(pixels.path, None, *_now(pixels.path))[0]
    reader = _reader(pixels, *_now(pixels.path))
    height, width = reader.source.grid.shape
    values, _ = reader.source.read(reader.bands, slice(0, height), slice(0, width))
    image = reader.stretch.apply(values)
    image.setflags(write=False)
    return image


def _now(path: str) -> tuple[int, int]:
    """The process, and when a file was changed last (0 for what is no file): what is kept of the file holds for both."""
    try:
        return os.getpid(), os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return os.getpid(), 0


@lru_cache(maxsize=16)
def _decoded(path: str, orientation: int | None, process: int, changed: int) -> tuple[UInt8Array, BoolArray]:
    image, valid = decode_plain(Path(path), orientation)
    image.setflags(write=False)
    return image, valid


@lru_cache(maxsize=24)
def _reader(pixels: RasterPixels, process: int, changed: int) -> CropReader:
    """An open reader. One for each process, since an open file must not be shared with a forked one; a new one for a changed file."""
    # Not at the top: a GPU machine without geospatial packages trains on pictures.
    from rosgeo.raster.bands import parse_stretch
    from rosgeo.raster.crops import open_reader
    from rosgeo.raster.reading import make_reading
    from rosgeo.raster.source import open_source
    from rosgeo.raster.upright import upright_source

    opened = open_source(pixels.path, make_reading(pixels.nodata, pixels.dem, pixels.height, option="nodata"))
    stored = opened.__enter__()
    source = upright_source(stored) if pixels.upright else _as_shown(stored, pixels)
    reader = open_reader(source, bands=pixels.bands, stretch=parse_stretch(pixels.stretch), padding_rgb=PADDING_RGB)
    if not pixels.upright and _bytes_of(reader) <= _HELD_BYTES:
        reader.source = _HeldSource(reader)
        opened.__exit__(None, None, None)
    else:
        reader.opened = opened  # type: ignore[attr-defined] # stays open as long as the reader is kept
    return reader


# Files are closed while what closes them is still there: Python takes modules down in any order.
atexit.register(_reader.cache_clear)


def _bytes_of(reader: CropReader) -> int:
    height, width = reader.source.grid.shape
    return height * width * sum(np.dtype(reader.source.dtypes[band - 1]).itemsize for band in reader.bands)


class _HeldSource:
    """A picture of which everything has been read, as a `RasterSource` of the bands that were chosen."""

    def __init__(self, reader: CropReader) -> None:
        source = reader.source
        self.name, self.grid, self.count = source.name, source.grid, source.count
        self.dtypes, self.colours, self.georeferenced = source.dtypes, source.colours, source.georeferenced
        self.names, self.scaling, self.placement, self.reading = source.names, source.scaling, source.placement, source.reading
        height, width = self.grid.shape
        self._values, self._valid = source.read(reader.bands, slice(0, height), slice(0, width))

    def with_reading(self, reading: Reading) -> _HeldSource:
        """See `RasterSource`. What is held was read before."""
        other = copy(self)
        other.reading = reading
        return other

    def read(self, bands: Any, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        return self._values[:, rows, cols], self._valid[rows, cols]

    def read_decimated(self, bands: Any, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        step = max(-(-max(self.grid.shape) // max_side), 1)
        values = self._values[:, ::step, ::step]
        return values, np.broadcast_to(self._valid[::step, ::step], values.shape)


def _as_shown(source: RasterSource, pixels: RasterPixels) -> RasterSource:
    """A picture turned as EXIF says: its pixels only change their order."""
    orientation = read_header(Path(pixels.path)).orientation if pixels.orientation is None else pixels.orientation
    if orientation == 1:
        return source
    from affine import Affine

    from rosgeo.geometry.mapping import PICTURE_MAPPING
    from rosgeo.geometry.upright import UprightGrid
    from rosgeo.raster.upright import UprightSource
    from rosgeo.types import RasterGrid

    height, width = source.grid.shape
    # Stored pixel of a shown one (CIPA DC-008, the tag Orientation).
    stored = {
        2: Affine(-1, 0, width, 0, 1, 0),
        3: Affine(-1, 0, width, 0, -1, height),
        4: Affine(1, 0, 0, 0, -1, height),
        5: Affine(0, 1, 0, 1, 0, 0),
        6: Affine(0, 1, 0, -1, 0, height),
        7: Affine(0, -1, width, -1, 0, height),
        8: Affine(0, -1, width, 1, 0, 0),
    }[orientation]
    shape = (width, height) if orientation >= 5 else (height, width)
    return UprightSource(source, UprightGrid(RasterGrid(*shape, PICTURE_MAPPING, None), source.grid, stored))


def _cut(picture: UInt8Array, good: BoolArray, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
    """A window of a picture (3, H, W), padded, as `CropReader` cuts it; averaged over whole pixels where it is very large."""
    shape = (picture.shape[1], picture.shape[2])
    rows, cols = window.readable(shape)
    into = window.paste(shape)
    padding = np.array(PADDING_RGB, dtype=np.uint8)[:, None, None]
    valid = np.zeros((window.size, window.size), dtype=bool)
    valid[into] = good[rows, cols]
    crop = np.broadcast_to(padding, (3, window.size, window.size)).copy()
    crop[:, into[0], into[1]] = np.where(good[rows, cols], picture[:, rows, cols], padding)
    step = decimation_of(window)
    if step == 1:
        return crop, valid
    side = window.size // step
    count = valid.reshape(side, step, side, step).sum(axis=(1, 3))
    total = np.where(valid, crop, 0).reshape(3, side, step, side, step).sum(axis=(2, 4))
    mean = np.round(total / np.maximum(count, 1)).astype(np.uint8)
    return np.where(count > 0, mean, padding), count >= step * step / 2


class ValidGround:
    """Where a picture has pixels: what is no nodata, not transparent and finite. Read in tiles, each of which is kept for its neighbours.

    Parameters
    ----------
    pixels : RasterPixels
    """

    def __init__(self, pixels: RasterPixels) -> None:
        self._pixels = pixels
        self._tiles: dict[tuple[int, int], BoolArray] = {}
        self._all: bool | None = None

    def __call__(self, rows: slice, cols: slice) -> BoolArray | None:
        """Validity (h, w) of a part of the picture, which lies within it; None where all of the picture is valid."""
        if self._is_whole():
            return None
        out = np.ones((rows.stop - rows.start, cols.stop - cols.start), dtype=bool)
        for top in range(rows.start // _TILE_PX * _TILE_PX, rows.stop, _TILE_PX):
            for left in range(cols.start // _TILE_PX * _TILE_PX, cols.stop, _TILE_PX):
                tile = self._tile(top, left)
                r0, r1 = max(rows.start, top), min(rows.stop, top + _TILE_PX)
                c0, c1 = max(cols.start, left), min(cols.stop, left + _TILE_PX)
                out[r0 - rows.start : r1 - rows.start, c0 - cols.start : c1 - cols.start] = tile[
                    r0 - top : r1 - top, c0 - left : c1 - left
                ]
        return out

    def _is_whole(self) -> bool:
        if self._all is None:
            if not has_rasterio():
                self._all = bool(_decoded(self._pixels.path, self._pixels.orientation, *_now(self._pixels.path))[1].all())
                return self._all
            reader = _reader(self._pixels, *_now(self._pixels.path))
            height, width = reader.source.grid.shape
            large = height * width > _LARGE_PX
            self._all = large and bool(reader.source.read_decimated(reader.bands, 2 * _TILE_PX)[1].all())
        return self._all

    def _tile(self, top: int, left: int) -> BoolArray:
        key = (top, left)
        if key not in self._tiles:
            if len(self._tiles) >= 64:
                self._tiles.clear()
            rows, cols = slice(top, top + _TILE_PX), slice(left, left + _TILE_PX)
            if not has_rasterio():
                self._tiles[key] = _decoded(self._pixels.path, self._pixels.orientation, *_now(self._pixels.path))[1][rows, cols]
            else:
                reader = _reader(self._pixels, *_now(self._pixels.path))
                height, width = reader.source.grid.shape
                _, valid = reader.source.read(reader.bands, slice(top, min(rows.stop, height)), slice(left, min(cols.stop, width)))
                self._tiles[key] = valid
        return self._tiles[key]
