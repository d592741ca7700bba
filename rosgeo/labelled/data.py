"""Labelled objects for training and evaluation: what one is, and the crop that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.geometry.pixels import polygon_mask
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.labelled.pixels import RasterPixels, load_image, read_window
from rosgeo.types import BoolArray, CropWindow, FloatArray, UInt8Array

__all__ = ["LabelledObject", "RasterPixels", "class_weights", "ignored_cells", "load_image", "pixels_of", "read_crop"]


@dataclass(frozen=True)
class LabelledObject:
    """One object with its outline, in the pixel frame of its picture as it is shown.

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
        How the picture is read; None: as `rosgeo.segment` reads one without options, turned as its EXIF says. Of a georeferenced raster
        the frame is that of the upright raster.
    group : str
        Value of the column that train and validation are split by.
    hidden : tuple of (x_min, y_min, x_max, y_max)
        Parts of the picture that crops of this object must not show (ground of the other side), in whole pixels.
    ground : str
        What the picture shows, where several pictures show the same ground in the same pixels: the folder of a clip for its frames.
        Empty for a picture of its own.
    ignored : tuple of float64 arrays (n, 2)
        Outlines on the picture of what counts neither as object nor as ground.
    area : tuple of float64 arrays (n, 2)
        Outlines of the labelled part of the picture, outside of which crops show nothing; empty: all of it.
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
    ignored: tuple[FloatArray, ...] = ()
    area: tuple[FloatArray, ...] = ()

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


def pixels_of(labelled: LabelledObject) -> RasterPixels:
    """How an object's picture is read."""
    return labelled.raster or RasterPixels(str(labelled.image_path), upright=False)


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
        False outside the picture and its labelled area, on nodata and where the ground is hidden.
    """
    image, valid = read_window(pixels_of(labelled), window)
    if labelled.hidden:
        image, valid = _hide(image, valid, _hidden_cells(labelled.hidden, window, len(valid)))
    if labelled.area:
        image, valid = _hide(image, valid, ~_cells(labelled.area, window, len(valid)))
    return image, valid


def ignored_cells(labelled: LabelledObject, window: CropWindow, side: int) -> BoolArray:
    """Where on a grid of `side` x `side` cells over a window nothing counts, neither as object nor as ground."""
    return _cells(labelled.ignored, window, side)


def _cells(rings: Sequence[FloatArray], window: CropWindow, side: int) -> BoolArray:
    """The cells of a grid over a window that outlines of the pixel frame hold."""
    return polygon_mask([window.px_to_crop(ring) * (side / window.size) for ring in rings], (side, side))


def _hidden_cells(hidden: Sequence[tuple[int, int, int, int]], window: CropWindow, side: int) -> BoolArray:
    """The cells that rectangles of the pixel frame touch."""
    boxes = window.px_to_crop(np.array(hidden, dtype=np.float64)) * (side / window.size)
    low, high = np.floor(boxes[:, :2]).clip(0).astype(int), np.ceil(boxes[:, 2:]).clip(0).astype(int)
    cells = np.zeros((side, side), dtype=bool)
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        cells[top:bottom, left:right] = True
    return cells


def _hide(image: UInt8Array, valid: BoolArray, cells: BoolArray) -> tuple[UInt8Array, BoolArray]:
    """Paint cells as if they lay outside the picture."""
    padding = np.array(PADDING_RGB, dtype=np.uint8)[:, None, None]
    return np.where(cells, padding, image), valid & ~cells


def class_weights(objects: Sequence[LabelledObject], factors: dict[str, float] | None = None) -> FloatArray:
    """Drawing probabilities, float64 (N,): the inverse root of the class's count, times a factor a class."""
    counts = Counter(o.category for o in objects)
    unknown = sorted(set(factors or {}) - set(counts))
    if unknown:
        raise TrainingDataError(f"class factor for {unknown[0]!r}, but the data hold only {', '.join(sorted(counts))}")
    weights = np.array([(factors or {}).get(o.category, 1.0) / counts[o.category] ** 0.5 for o in objects])
    normalised: FloatArray = weights / weights.sum()
    return normalised
