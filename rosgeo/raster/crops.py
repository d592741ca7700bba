"""Crop windows to 8-bit RGB crops."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.errors import PixelsWarning, PlacementWarning, RasterError
from rosgeo.geometry.windows import decimation_of
from rosgeo.raster.bands import Band, Stretch, StretchRule, choose_bands, fit_stretch
from rosgeo.raster.fill import Fill
from rosgeo.raster.protocol import RasterSource
from rosgeo.raster.sample import STATISTICS_SIDE, sample_scene
from rosgeo.types import BoolArray, Crop, CropWindow, FloatArray, UInt8Array

__all__ = ["CropReader", "open_reader"]

_STRIP_PX = 1024

_HELD_PX = 4096**2
"""Pixels that `CropReader.hold` keeps at most: 64 MB of RGB and validity."""
_HELD_SHARE = 0.5
"""Of what is held, the part that the crops show at least, each counted by itself."""


class CropReader:
    """Reads the crops of one raster with one choice of bands and one stretch.

    Parameters
    ----------
    source : RasterSource
        The raster.
    bands : tuple of three int
        From 1.
    stretch : Stretch
        Band values to 8-bit.
    padding_rgb : tuple of three int
        Colour of what is outside the raster or nodata.
    fills : tuple of Fill
        What was found of values that no tag names. The source knows already which of them it takes as nodata.
    """

    def __init__(
        self,
        source: RasterSource,
        bands: tuple[int, int, int],
        stretch: Stretch,
        padding_rgb: tuple[int, int, int],
        fills: tuple[Fill, ...] = (),
    ) -> None:
        self.fills = fills
        self.source = source
        self.bands = bands
        self.stretch = stretch
        self.padding_rgb = padding_rgb
        self._last: tuple[CropWindow, UInt8Array, BoolArray] | None = None
        self._held: tuple[slice, slice, UInt8Array, BoolArray] | None = None

    def hold(self, windows: Sequence[CropWindow]) -> None:
        """Read the ground of crops that will be asked for next in one go, where they lie close enough for that to pay.

        Crops are the same with and without. What was held before is let go.

        Parameters
        ----------
        windows : sequence of CropWindow
            Of a tile. Those that are read averaged are left out.
        """
        self._held = None
        shape = self.source.grid.shape
        parts = [window.readable(shape) for window in set(windows) if decimation_of(window) == 1]
        parts = [(rows, cols) for rows, cols in parts if rows.start < rows.stop and cols.start < cols.stop]
        if len(parts) < 2:
            return
        rows, cols = (slice(min(part[axis].start for part in parts), max(part[axis].stop for part in parts)) for axis in (0, 1))
        shown = sum((r.stop - r.start) * (c.stop - c.start) for r, c in parts)
        ground = (rows.stop - rows.start) * (cols.stop - cols.start)
        if ground <= _HELD_PX and shown >= _HELD_SHARE * ground:
            self._held = (rows, cols, *self._fetch(rows, cols))

    def read(self, window: CropWindow, box_px: FloatArray, row: int) -> Crop:
        """Read one crop.

        Parameters
        ----------
        window : CropWindow
            May pass the raster's edge.
        box_px : float64 array (4,)
            The prompt, in the pixel frame.
        row : int
            Row of the input layer.

        Returns
        -------
        Crop
            Padded outside the raster and on nodata, where `valid` is False. Windows over `MAX_READ_SIDE` are averaged over whole pixels.
            Crops of the same window that are read one after the other hold the same arrays.
        """
        if self._last is None or self._last[0] != window:
            self._last = (window, *self._picture(window))
        _, image, valid = self._last
        return Crop(row, window, np.clip(window.px_to_crop(box_px), 0, window.size), image, valid)

    def _picture(self, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
        """RGB (3, s, s) of a window and where it is valid (s, s)."""
        step = decimation_of(window)
        shape = self.source.grid.shape
        rows, cols = window.readable(shape)
        paste = window.paste(shape)
        side = window.size // step
        image = np.empty((3, side, side), dtype=np.uint8)
        image[:] = np.array(self.padding_rgb, dtype=np.uint8)[:, None, None]
        valid = np.zeros((side, side), dtype=bool)
        if rows.start < rows.stop and cols.start < cols.stop:
            if step == 1:
                pixels, good = self._pixels(rows, cols)
                image[:, paste[0], paste[1]] = np.where(good, pixels, image[:, paste[0], paste[1]])
                valid[paste] = good
            else:
                self._read_averaged(window, step, image, valid)
        return image, valid

    def _pixels(self, rows: slice, cols: slice) -> tuple[UInt8Array, BoolArray]:
        """Of a part of the raster: from what is held, else from the file."""
        if self._held is not None:
            held_rows, held_cols, pixels, valid = self._held
            if _lies_in(rows, held_rows) and _lies_in(cols, held_cols):
                inside = (
                    slice(rows.start - held_rows.start, rows.stop - held_rows.start),
                    slice(cols.start - held_cols.start, cols.stop - held_cols.start),
                )
                return pixels[:, inside[0], inside[1]], valid[inside]
        return self._fetch(rows, cols)

    def _fetch(self, rows: slice, cols: slice) -> tuple[UInt8Array, BoolArray]:
        values, valid = self.source.read(self.bands, rows, cols)
        return self.stretch.apply(values), valid

    def _read_averaged(self, window: CropWindow, step: int, image: UInt8Array, valid: BoolArray) -> None:
        """Fill image and valid from strips, so that memory holds a strip and not the window."""
        shape = self.source.grid.shape
        cells_a_strip = max(_STRIP_PX // step, 1)
        side = window.size // step
        for first in range(0, side, cells_a_strip):
            last = min(first + cells_a_strip, side)
            strip_rows = slice(window.row_off + first * step, window.row_off + last * step)
            rows = slice(max(strip_rows.start, 0), min(strip_rows.stop, shape[0]))
            cols = window.readable(shape)[1]
            if rows.start >= rows.stop:
                continue
            pixels, good = self._pixels(rows, cols)
            into = (
                slice(rows.start - strip_rows.start, rows.stop - strip_rows.start),
                slice(cols.start - window.col_off, cols.stop - window.col_off),
            )
            total = np.zeros((4, (last - first) * step, window.size), dtype=np.float32)
            total[:3, into[0], into[1]] = np.where(good, pixels, 0)
            total[3, into[0], into[1]] = good
            cells = total.reshape(4, last - first, step, side, step).sum(axis=(2, 4))
            some = cells[3] > 0
            mean = np.round(cells[:3] / np.maximum(cells[3], 1)).astype(np.uint8)
            image[:, first:last] = np.where(some, mean, image[:, first:last])
            valid[first:last] = cells[3] >= step * step / 2


def _lies_in(part: slice, whole: slice) -> bool:
    return bool(whole.start <= part.start <= part.stop <= whole.stop)


def open_reader(
    source: RasterSource,
    *,
    bands: tuple[Band, ...] | None,
    stretch: StretchRule,
    padding_rgb: tuple[int, int, int],
    quiet: bool = False,
) -> CropReader:
    """Choose bands, look for fill values and fit the stretch on the whole scene.

    Parameters
    ----------
    source : RasterSource
    bands : tuple of one or three int or str, or None
        See `choose_bands`.
    stretch : StretchRule
    padding_rgb : tuple of three int
        See `CropReader`.
    quiet : bool
        Nothing is warned of: the run was told already.

    Raises
    ------
    RasterError
        Complex bands.
    OptionError
        A band that the raster does not have.

    Warns
    -----
    PixelsWarning
        A value that no tag names is taken as nodata, or may have to be; the stretch leaves few grey levels.
    PlacementWarning
        Control points are missed, or heights were assumed.
    """
    chosen = choose_bands(source.count, source.colours, bands, source.name, source.names)
    for band in chosen:
        kind = source.dtypes[band - 1]
        if "complex" in kind:
            raise RasterError(
                f"{source.name}: band {band} is {kind}, which has no brightness. Write its magnitude to a real band first "
                "(for SAR: the amplitude in dB)."
            )
    placed = source.placement.warning(source.name) if source.placement is not None else None
    if placed and not quiet:
        warnings.warn(placed, PlacementWarning, stacklevel=2)
    kinds = {source.dtypes[b - 1] for b in chosen}
    scaling = [source.scaling[b - 1] for b in chosen]
    if kinds == {"uint8"} and stretch.kind != "percentile":
        # As it is, or as it was said: nothing is read for that.
        empty: npt.NDArray[Any] = np.zeros((3, 0, 0), dtype=np.uint8)
        return CropReader(source, chosen, fit_stretch(stretch, empty, np.zeros((0, 0), dtype=bool), scaling), padding_rgb)
    sample, valid = source.read_decimated(chosen, STATISTICS_SIDE)
    sampled = sample_scene(sample, valid, stretch, scaling, look=source.reading.fill is None and source.reading.nodata != ())
    for text in (*(fill.text(source.name) for fill in sampled.fills), *sampled.few_levels(source.name, stretch, scaling)):
        if not quiet:
            warnings.warn(text, PixelsWarning, stacklevel=2)
    if sampled.nodata:
        source = source.with_reading(source.reading.with_fill(sampled.nodata))
    return CropReader(source, chosen, sampled.stretch, padding_rgb, sampled.fills)
