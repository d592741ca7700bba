"""What a model must beat: the box itself, and GrabCut (Rother et al., 2004) from the box."""

from __future__ import annotations

import time

import numpy as np

from rosgeo.evaluation.metrics import ScoreAccumulator, Scores, on_picture
from rosgeo.geometry.windows import round_box
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject
from rosgeo.types import BoolArray, Crop, FloatArray

__all__ = ["Baselines", "box_mask", "grabcut_mask", "has_opencv"]

_ITERATIONS = 5


class Baselines:
    """Scores of the baselines, collected beside those of a model.

    Parameters
    ----------
    objects : int
        How many there are in all.

    Attributes
    ----------
    seconds : float
        Spent on them so far, which is no time of the model's.
    """

    def __init__(self, objects: int) -> None:
        self._box = ScoreAccumulator(objects)
        self._grabcut = ScoreAccumulator(objects) if has_opencv() else None
        self.seconds = 0.0

    def add(self, row: int, labelled: LabelledObject, crop: Crop, truth: BoolArray, counts: BoolArray) -> None:
        """Segment and score an object, from the crop that the model saw, on the pixels (H, W) that count."""
        started = time.monotonic()
        self._box.add(row, box_mask(labelled.box_px, truth.shape) & counts, truth)
        if self._grabcut is not None:
            self._grabcut.add(row, on_picture(grabcut_mask(crop), crop.window, truth.shape) & counts, truth)
        self.seconds += time.monotonic() - started

    def close_picture(self, truth: BoolArray) -> None:
        """Score the picture, whose labels' union is `truth`."""
        started = time.monotonic()
        self._box.close_picture(truth)
        if self._grabcut is not None:
            self._grabcut.close_picture(truth)
        self.seconds += time.monotonic() - started

    def scores(self) -> tuple[Scores, Scores | None]:
        """Of the boxes, and of GrabCut; None where OpenCV cannot be imported."""
        return self._box.scores(), self._grabcut.scores() if self._grabcut is not None else None


def has_opencv() -> bool:
    """Whether OpenCV, which is no dependency, can be imported."""
    try:
        import cv2  # noqa: F401
    except ImportError:
        return False
    return True


def box_mask(box_px: FloatArray, shape: tuple[int, ...]) -> BoolArray:
    """The pixels of a picture of `shape` (height, width) whose centres lie in a box (4,)."""
    x0, y0, x1, y1 = box_px
    return polygon_mask([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])], (shape[0], shape[1]))


def grabcut_mask(crop: Crop) -> BoolArray:
    """What GrabCut finds in the box of a crop: five iterations from the box's rectangle, the same mask each time.

    Parameters
    ----------
    crop : Crop
        As the model sees it, its padding included.

    Returns
    -------
    bool array (h, w)
        Of the crop's picture. Empty where the box has no whole pixel; the box where it leaves no pixel of the crop to learn the background
        from.
    """
    import cv2

    side = crop.image.shape[1]
    left, top, right, bottom = round_box(crop.box_crop * (side / crop.window.size), side)
    if right <= left or bottom <= top:
        return np.zeros((side, side), dtype=bool)
    if (right - left, bottom - top) == (side, side):
        return np.ones((side, side), dtype=bool)
    labels = np.zeros((side, side), dtype=np.uint8)
    picture = np.ascontiguousarray(crop.image.transpose(1, 2, 0))
    # It starts from clusters of random seeds.
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, labels, (left, top, right - left, bottom - top), *models, _ITERATIONS, cv2.GC_INIT_WITH_RECT)
    found: BoolArray = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return found
