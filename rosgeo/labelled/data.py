"""Labelled objects for training and evaluation: what one is, and how its pixels are read."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rosgeo.errors import TrainingDataError
from rosgeo.geometry.windows import decimation_of
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.types import BoolArray, CropWindow, FloatArray, UInt8Array

if TYPE_CHECKING:
    from rosgeo.raster.crops import CropReader

__all__ = ["UNREADABLE", "LabelledObject", "RasterPixels", "class_weights", "load_image", "picture_shape", "read_crop"]

UNREADABLE = (OSError, SyntaxError, ValueError)
"""What Pillow raises for a file that is no picture, or a torn one."""


@dataclass(frozen=True)
class RasterPixels:
    """How the pixels of a raster are read; a picture of 8-bit RGB needs none.

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
    """

    path: str
    bands: tuple[int | str, ...] | None = None
    stretch: str = "auto"
    nodata: float | str | None = None
    dem: str | None = None
    height: float | None = None


@dataclass(frozen=True)
class LabelledObject:
    """One object with its outline, in the pixel frame of its picture.

    Attributes
    ----------
    image_path : Path
        The picture.
    height, width : int
        Size of the picture in pixels.
    rings : tuple of float64 arrays (n, 2)
        Outlines, joined by union.
    category, source : str
        Class and data set, for sampling and tables.
    box : float64 array (4,) or None
        The prompt, xyxy in the pixel frame; None for the envelope of the outlines.
    raster : RasterPixels or None
        Where the picture is a raster. Its frame is then that of the upright raster.
    group : str
        Value of the column that train and validation are split by.
    hidden : tuple of (x_min, y_min, x_max, y_max)
        Parts of the picture that crops of this object must not show (ground of the other side), in whole pixels.
    ground : str
        What the picture shows, where several pictures show the same ground in the same pixels: the folder of a clip for its frames.
        Empty for a picture of its own.
    """

    image_path: Path
    height: int
    width: int
    rings: tuple[FloatArray, ...]
    category: str
    source: str
    box: FloatArray | None = None
    raster: RasterPixels | None = None
    group: str = ""
    hidden: tuple[tuple[int, int, int, int], ...] = ()
    ground: str = ""

    @property
    def ground_key(self) -> str:
        """Equal for pictures of the same ground, which no split may part."""
        return self.ground or str(self.image_path)

    @property
    def box_px(self) -> FloatArray:
        """The prompt, float64 (4,), xyxy in the pixel frame."""
        if self.box is not None:
            return self.box
        points = np.concatenate(self.rings)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])


def read_crop(labelled: LabelledObject, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
    """Read a window of an object's picture as inference reads it.

    Parameters
    ----------
    labelled : LabelledObject
        Whose picture.
    window : CropWindow
        May pass the picture's edge.

    Returns
    -------
    image : uint8 array (3, h, h)
        RGB, padded where it is not valid. h is the window's size over its decimation.
    valid : bool array (h, h)
        False outside the picture, on nodata and where the ground is hidden.
    """
    if labelled.raster is not None:
        crop = _reader(labelled.raster, os.getpid()).read(window, labelled.box_px, 0)
        image, valid = crop.image, crop.valid
    else:
        image, valid = _picture_crop(load_image(labelled.image_path), window)
    return _hide(image, valid, labelled.hidden, window) if labelled.hidden else (image, valid)


@lru_cache(maxsize=32)
def _reader(raster: RasterPixels, process: int) -> CropReader:
    """An open reader. One for each process, since an open file must not be shared with a forked one."""
    # Not at the top: a GPU machine without geospatial packages trains on pictures.
    from rosgeo.raster.bands import parse_stretch
    from rosgeo.raster.crops import open_reader
    from rosgeo.raster.reading import make_reading
    from rosgeo.raster.source import open_source
    from rosgeo.raster.upright import upright_source

    opened = open_source(raster.path, make_reading(raster.nodata, raster.dem, raster.height))
    reader = open_reader(
        upright_source(opened.__enter__()), bands=raster.bands, stretch=parse_stretch(raster.stretch), padding_rgb=PADDING_RGB
    )
    reader.opened = opened  # type: ignore[attr-defined] # stays open as long as the reader is kept
    return reader


# Files are closed while what closes them is still there: Python takes modules down in any order.
atexit.register(_reader.cache_clear)


def _picture_crop(picture: UInt8Array, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
    """A window of a picture (3, H, W), padded, as `CropReader` cuts it; averaged over whole pixels where it is very large."""
    shape = (picture.shape[1], picture.shape[2])
    rows, cols = window.readable(shape)
    into = window.paste(shape)
    padding = np.array(PADDING_RGB, dtype=np.uint8)[:, None, None]
    crop = np.broadcast_to(padding, (3, window.size, window.size)).copy()
    crop[:, into[0], into[1]] = picture[:, rows, cols]
    valid = np.zeros((window.size, window.size), dtype=bool)
    valid[into] = True
    step = decimation_of(window)
    if step == 1:
        return crop, valid
    side = window.size // step
    count = valid.reshape(side, step, side, step).sum(axis=(1, 3))
    total = np.where(valid, crop, 0).reshape(3, side, step, side, step).sum(axis=(2, 4))
    mean = np.round(total / np.maximum(count, 1)).astype(np.uint8)
    return np.where(count > 0, mean, padding), count >= step * step / 2


def _hide(
    image: UInt8Array, valid: BoolArray, hidden: Sequence[tuple[int, int, int, int]], window: CropWindow
) -> tuple[UInt8Array, BoolArray]:
    """Paint rectangles of the pixel frame as if they lay outside the picture."""
    scale = valid.shape[0] / window.size
    boxes = window.px_to_crop(np.array(hidden, dtype=np.float64)) * scale
    low, high = np.floor(boxes[:, :2]).clip(0).astype(int), np.ceil(boxes[:, 2:]).clip(0).astype(int)
    image, valid = image.copy(), valid.copy()
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        valid[top:bottom, left:right] = False
        image[:, top:bottom, left:right] = np.array(PADDING_RGB, dtype=np.uint8)[:, None, None]
    return image, valid


def picture_shape(path: Path) -> tuple[int, int]:
    """Height and width of an 8-bit picture, from its header.

    Raises
    ------
    TrainingDataError
        It is no picture, or has more than 8 bits, which `load_image` would cut off at 255.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            mode = image.mode
    except UNREADABLE as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {error}") from error
    if mode[0] in "IF":
        raise TrainingDataError(f"{path} holds numbers of more than 8 bits (Pillow's mode {mode}); expected a picture of 8 bits")
    return height, width


@lru_cache(maxsize=16)
def load_image(path: Path) -> UInt8Array:
    """Read an 8-bit picture as RGB.

    Returns
    -------
    uint8 array (3, H, W)
        Read-only, kept for the next call.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except UNREADABLE as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {error}") from error
    pixels.setflags(write=False)
    return pixels


def class_weights(objects: Sequence[LabelledObject], factors: dict[str, float] | None = None) -> FloatArray:
    """Drawing probabilities, float64 (N,): the inverse root of the class's count, times a factor a class."""
    names = [o.category for o in objects]
    counts = {name: names.count(name) for name in set(names)}
    unknown = sorted(set(factors or {}) - set(counts))
    if unknown:
        raise TrainingDataError(f"class factor for {unknown[0]!r}, but the data hold only {', '.join(sorted(counts))}")
    weights = np.array([(factors or {}).get(n, 1.0) / counts[n] ** 0.5 for n in names])
    normalised: FloatArray = weights / weights.sum()
    return normalised
