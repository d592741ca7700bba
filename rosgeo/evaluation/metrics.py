"""Scores of masks: IoU, and Boundary IoU (Cheng et al., CVPR 2021) as the ROS-SAM reference computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rosgeo.types import BoolArray, CropWindow, Float32Array, FloatArray

__all__ = ["ScoreAccumulator", "Scores", "boundary_iou", "boundary_of", "mask_iou", "on_picture"]

BOUNDARY_RATIO = 0.02
"""Width of the boundary over the picture's diagonal."""


@dataclass(frozen=True)
class Scores:
    """Of masks of N objects in M pictures.

    Attributes
    ----------
    iou : float64 array (N,)
        Of mask and label on the picture's pixels.
    image_iou, image_biou : float64 arrays (M,)
        IoU and Boundary IoU of the union of all masks and the union of all labels, a picture each, as the ROS-SAM reference counts.
    """

    iou: FloatArray
    image_iou: FloatArray
    image_biou: FloatArray

    def means(self) -> dict[str, float]:
        """The three, over all objects and all pictures."""
        values = {"object_iou": self.iou, "image_iou": self.image_iou, "image_biou": self.image_biou}
        return {name: round(float(value.mean()), 4) for name, value in values.items()}


class ScoreAccumulator:
    """Collects `Scores` object by object, all of one picture and then those of the next.

    Parameters
    ----------
    objects : int
        How many there are in all.
    """

    def __init__(self, objects: int) -> None:
        self._iou: FloatArray = np.zeros(objects)
        self._pictures: list[tuple[float, float]] = []
        self._union: BoolArray | None = None

    def add(self, row: int, found: BoolArray, truth: BoolArray) -> None:
        """The mask (h, w) of object `row` on its picture, and its label."""
        self._iou[row] = mask_iou(found, truth)
        self._union = found if self._union is None else self._union | found

    def close_picture(self, truth: BoolArray) -> None:
        """All objects of a picture have been added, and the union of their labels is `truth`."""
        assert self._union is not None
        self._pictures.append((mask_iou(self._union, truth), boundary_iou(self._union, truth)))
        self._union = None

    def scores(self) -> Scores:
        """Of all that was added."""
        images = np.array(self._pictures)
        return Scores(self._iou, images[:, 0], images[:, 1])


def on_picture(cells: Float32Array | BoolArray, window: CropWindow, shape: tuple[int, ...]) -> BoolArray:
    """The mask of a crop on the pixels of its picture.

    Parameters
    ----------
    cells : float32 or bool array (k, k)
        Logits, or a mask, on the crop's window; a whole number of cells a pixel, or of pixels a cell.
    window : CropWindow
        Where the crop lies.
    shape : (int, int)
        Height and width of the picture.

    Returns
    -------
    bool array (height, width)
        The pixels whose mean cell is above zero.
    """
    side, count = window.size, cells.shape[0]
    if count >= side:
        step = count // side
        inside = cells.reshape(side, step, side, step).mean(axis=(1, 3)) > 0
    else:
        inside = np.repeat(np.repeat(cells > 0, side // count, axis=0), side // count, axis=1)
    full = np.zeros(shape, dtype=bool)
    rows, cols = window.readable((shape[0], shape[1]))
    full[rows, cols] = inside[window.paste((shape[0], shape[1]))]
    return full


def mask_iou(a: BoolArray, b: BoolArray) -> float:
    """IoU of two masks (h, w); 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def boundary_iou(a: BoolArray, b: BoolArray, ratio: float = BOUNDARY_RATIO) -> float:
    """IoU of the boundaries of two masks (h, w); 1 where both are empty.

    Parameters
    ----------
    a, b : bool arrays (h, w)
    ratio : float
        Width of the boundary over the diagonal of the picture.
    """
    width = max(round(ratio * float(np.hypot(*a.shape))), 1)
    return mask_iou(boundary_of(a, width), boundary_of(b, width))


def boundary_of(mask: BoolArray, width: int) -> BoolArray:
    """The pixels of a mask within `width` pixels of its outside, across corners too; what lies beyond the picture is outside.

    The mask less its erosion by a square of ``2 width + 1``, as `width` erosions by 3 x 3 are.
    """
    span = 2 * width + 1
    padded = np.pad(mask.astype(np.int32), width)
    sums = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = sums[span:, span:] - sums[:-span, span:] - sums[span:, :-span] + sums[:-span, :-span]
    boundary: BoolArray = mask & (inside < span * span)
    return boundary
