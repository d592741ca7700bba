"""Crop windows: from a box in pixels to the square of whole pixels that is read for it. The only place that rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rosgeo.errors import OptionError
from rosgeo.types import CropWindow, FloatArray

__all__ = ["MAX_READ_SIDE", "CropPolicy", "auto_window", "clip_box", "decimation_of", "paper_window", "plan_window", "round_box"]

MAX_READ_SIDE = 2048
"""Pixels a side that a crop holds in memory at most; larger windows are read averaged over whole pixels."""


@dataclass(frozen=True)
class CropPolicy:
    """How the crop of a box is chosen.

    Attributes
    ----------
    mode : {"auto", "paper", "tiles", "whole"}
        ``auto``: a square of `factor` times the box's longer side, centred on the box. ``paper``: the fixed window of ROS-SAM, centred on
        the box. ``tiles``: the raster is cut into fixed windows, each shared by the boxes whose centre it holds. ``whole``: one window
        holds the whole raster. The last two are baselines of the paper's ablation, not meant for work.
    factor : float
        Side of the window over the longer side of the box, above 1. Chosen on the validation set (README).
    min_side : int
        Smallest side of an ``auto`` window, in raster pixels.
    paper_side : int
        Side of a ``paper`` or ``tiles`` window, in raster pixels (512 in the paper: twice enlarged, it fills SAM's input of 1024).
    share : float
        Boxes near each other share an ``auto`` window of at most this many times the longer side of each; 0: one object a window. The
        larger, the fewer encoder passes, and the smaller the objects that the model sees. Under ``paper`` any number above 0 lets the
        boxes share windows of the side that they have alone, so that objects keep their size. See `share_windows`.
    """

    mode: Literal["auto", "paper", "tiles", "whole"] = "auto"
    factor: float = 1.5
    min_side: int = 24
    paper_side: int = 512
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 1.0 < self.factor <= 16.0:
            raise OptionError(f"crop factor {self.factor}: expected a number above 1 and at most 16")
        if not 16 <= self.paper_side <= MAX_READ_SIDE:
            raise OptionError(f"crop side {self.paper_side}: expected 16 to {MAX_READ_SIDE} px")
        if self.share and not self.factor < self.share <= 16.0:
            raise OptionError(
                f"share factor {self.share}: expected more than the crop factor {self.factor} and at most 16, or 0 for none"
            )
        if self.share and self.mode in ("tiles", "whole"):
            raise OptionError(f"crops of mode {self.mode!r} are shared as they are. Leave --share out, or --crop.")


def clip_box(box_px: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """The part of a box (4,), or of each of some (N, 4), that lies on a raster of `shape` (height, width), in the pixel frame."""
    height, width = shape
    return np.clip(box_px, 0.0, np.array([width, height, width, height], dtype=np.float64))


def auto_window(box_px: FloatArray, factor: float, min_side: int = 1) -> CropWindow:
    """The square window of `factor` times the box's longer side, centred on the box.

    Parameters
    ----------
    box_px : float64 array (4,)
        Box in the pixel frame.
    factor : float
        Side of the window over the longer side of the box.
    min_side : int
        Smallest side in pixels.

    Returns
    -------
    CropWindow
        Its centre is at most half a pixel from the box's centre in each axis. A side over `MAX_READ_SIDE` is rounded up to a
        multiple of its decimation, so that every averaged pixel is whole.
    """
    x_min, y_min, x_max, y_max = (float(v) for v in box_px)
    side = max(math.ceil(factor * max(x_max - x_min, y_max - y_min)), min_side, 1)
    step = _decimation(side)
    side = math.ceil(side / step) * step
    return CropWindow(
        col_off=_round_half_up((x_min + x_max - side) / 2),
        row_off=_round_half_up((y_min + y_max - side) / 2),
        size=side,
    )


def paper_window(box_px: FloatArray, shape: tuple[int, int], side: int = 512) -> CropWindow:
    """The window that ROS-SAM's reference code cuts for a box: a fixed square, cut short and padded right and below at the edges.

    Parameters
    ----------
    box_px : float64 array (4,)
        Box in the pixel frame.
    shape : (int, int)
        Height and width of the raster.
    side : int
        Side of the crop in pixels.

    Returns
    -------
    CropWindow
        `width` and `height` below `side` where the raster's edge cuts the window.

    Notes
    -----
    ``start = max(int(c - side / 2), 0)``, ``end = min(int(c + side / 2), length)`` in each axis (``crop_images`` of the reference).
    """
    x_min, y_min, x_max, y_max = (float(v) for v in box_px)
    half = side // 2

    def span(centre: float, length: int) -> tuple[int, int]:
        start = max(int(centre - half), 0)
        return start, max(min(int(centre + half), length) - start, 1)

    col_off, width = span((x_min + x_max) / 2, shape[1])
    row_off, height = span((y_min + y_max) / 2, shape[0])
    return CropWindow(col_off, row_off, side, width=width, height=height)


def plan_window(box_px: FloatArray, shape: tuple[int, int], policy: CropPolicy) -> CropWindow:
    """The window of a box (4,) in the pixel frame, on a raster of `shape` (height, width), under a crop policy."""
    if policy.mode == "paper":
        return paper_window(box_px, shape, policy.paper_side)
    if policy.mode == "tiles":
        side = policy.paper_side
        column, row = (int((box_px[i] + box_px[i + 2]) / 2 // side) for i in (0, 1))
        return CropWindow(column * side, row * side, side)
    if policy.mode == "whole":
        step = _decimation(max(shape))
        return CropWindow(0, 0, math.ceil(max(shape) / step) * step)
    return auto_window(box_px, policy.factor, policy.min_side)


def round_box(box: FloatArray, side: int) -> tuple[int, int, int, int]:
    """The edges of pixels that are nearest to those of a box (4,) in a square of `side` pixels: x_min, y_min, x_max, y_max."""
    x_min, y_min, x_max, y_max = (min(max(_round_half_up(float(v)), 0), side) for v in box)
    return x_min, y_min, x_max, y_max


def decimation_of(window: CropWindow) -> int:
    """Raster pixels a crop pixel, in each axis: 1 up to `MAX_READ_SIDE`, then the smallest whole number that keeps below it."""
    return _decimation(window.size)


def _decimation(side: int) -> int:
    return max(math.ceil(side / MAX_READ_SIDE), 1)


def _round_half_up(value: float) -> int:
    # round() goes to the nearest even number, which would move the same box by a pixel from one clip of a scene to another.
    return math.floor(value + 0.5)
