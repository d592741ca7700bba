"""How well a model segments labelled pictures: the whole line from crop to mask, scored on the pictures' own pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.inference.predict import Segmenter
from rosgeo.training.coverage import polygon_mask
from rosgeo.training.data import LabelledObject, load_image
from rosgeo.training.samples import read_picture_crop
from rosgeo.types import BoolArray, Crop, FloatArray, ObjectMask

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Scores of N objects.

    Attributes
    ----------
    objects : tuple of LabelledObject
    iou : float64 array (N,)
        Of mask and label on the picture's pixels.
    score : float64 array (N,)
        The model's own estimate.
    image_iou : float64 array (M,)
        Of the union of all masks and the union of all labels, a picture each, as the ROS-SAM reference counts.
    seconds_an_object : float
    """

    objects: tuple[LabelledObject, ...]
    iou: FloatArray
    score: FloatArray
    image_iou: FloatArray
    seconds_an_object: float

    def by_class(self) -> dict[str, tuple[int, float]]:
        """Class -> number of objects and their mean IoU."""
        names = np.array([o.category for o in self.objects])
        return {str(n): (int((names == n).sum()), float(self.iou[names == n].mean())) for n in np.unique(names)}

    def summary(self) -> dict[str, object]:
        """The figures as plain values."""
        return {
            "objects": len(self.objects),
            "object_iou": round(float(self.iou.mean()), 4),
            "image_iou": round(float(self.image_iou.mean()), 4),
            "score_error": round(float(np.abs(self.iou - self.score).mean()), 4),
            "by_class": {name: {"objects": n, "iou": round(v, 4)} for name, (n, v) in self.by_class().items()},
        }


def evaluate(
    objects: Sequence[LabelledObject],
    segmenter: Segmenter,
    policy: CropPolicy | None = None,
    *,
    on_object: Callable[[], None] | None = None,
) -> Evaluation:
    """Segment each labelled object from its own box, and compare.

    Parameters
    ----------
    objects : sequence of LabelledObject
        All labelled objects of the pictures.
    segmenter : Segmenter
        The model.
    policy : CropPolicy, optional
        How crops are cut.
    on_object : callable, optional
        Called after each object.
    """
    policy = policy or CropPolicy()
    started = time.monotonic()
    iou, score = np.zeros(len(objects)), np.zeros(len(objects))
    unions: dict[object, list[BoolArray]] = {}
    for i, labelled in enumerate(objects):
        shape = (labelled.height, labelled.width)
        mask = next(segmenter.segment([_crop(labelled, i, policy)]))
        found, truth = _paste(mask, shape), polygon_mask(labelled.rings, shape)
        union = (found | truth).sum()
        iou[i] = (found & truth).sum() / union if union else 1.0
        score[i] = mask.predicted_iou
        both = unions.setdefault(labelled.image_path, [np.zeros(shape, bool), np.zeros(shape, bool)])
        both[0] |= found
        both[1] |= truth
        if on_object is not None:
            on_object()
    image_iou = np.array([(a & b).sum() / max((a | b).sum(), 1) for a, b in unions.values()])
    return Evaluation(tuple(objects), iou, score, image_iou, (time.monotonic() - started) / max(len(objects), 1))


def _crop(labelled: LabelledObject, row: int, policy: CropPolicy) -> Crop:
    shape = (labelled.height, labelled.width)
    box = clip_box(labelled.box_px, shape)
    window = plan_window(box, shape, policy)
    image, valid = read_picture_crop(load_image(labelled.image_path), window)
    return Crop(row, window, window.px_to_crop(box), image, valid)


def _paste(mask: ObjectMask, shape: tuple[int, int]) -> BoolArray:
    """The mask on the picture's pixels: those whose mean logit is above zero."""
    side, cells = mask.window.size, mask.logits.shape[0]
    if cells >= side:
        step = cells // side
        inside = mask.logits.reshape(side, step, side, step).mean(axis=(1, 3)) > 0
    else:
        inside = np.repeat(np.repeat(mask.logits > 0, side // cells, axis=0), side // cells, axis=1)
    full = np.zeros(shape, dtype=bool)
    rows, cols = mask.window.readable(shape)
    full[rows, cols] = inside[mask.window.paste(shape)]
    return full
