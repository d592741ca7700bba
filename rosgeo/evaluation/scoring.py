"""How well a model segments labelled pictures: the whole line from crop to mask, scored on the pictures' own pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.evaluation.baselines import Baselines
from rosgeo.evaluation.metrics import ScoreAccumulator, Scores, on_picture
from rosgeo.geometry.plan import plan_windows
from rosgeo.geometry.windows import CropPolicy, clip_box
from rosgeo.inference.crops import Resampling
from rosgeo.inference.predict import Segmenter
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject, read_crop
from rosgeo.model.checkpoint import LoadedModel
from rosgeo.types import BoolArray, Crop, FloatArray, ObjectMask

__all__ = ["PIPELINE_ABLATION", "Evaluation", "Pipeline", "evaluate", "pipeline_ablation"]

SIZE_CLASSES = ("below 12 px", "small", "medium", "large")
"""Objects whose box is below 12 px long; COCO's classes of area (below 32 x 32, below 96 x 96, above), whichever the first class takes."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of N objects in M pictures.

    Attributes
    ----------
    objects : tuple of LabelledObject
    iou : float64 array (N,)
        Of mask and label on the picture's pixels, nodata and what is ignored left out.
    score : float64 array (N,)
        The model's own estimate.
    area : float64 array (N,)
        Of the labels, in pixels.
    image_iou, image_biou : float64 arrays (M,)
        IoU and Boundary IoU of the union of all masks and the union of all labels, a picture each, as the ROS-SAM reference counts.
    seconds_an_object : float
        Without those of the baselines.
    box, grabcut : Scores or None
        Of the boxes themselves and of GrabCut from them: what a model must beat. None where they were not asked for; GrabCut also
        where OpenCV cannot be imported.
    """

    objects: tuple[LabelledObject, ...]
    iou: FloatArray
    score: FloatArray
    area: FloatArray
    image_iou: FloatArray
    image_biou: FloatArray
    seconds_an_object: float
    box: Scores | None = None
    grabcut: Scores | None = None

    @property
    def box_iou(self) -> FloatArray | None:
        """IoU (N,) of the boxes themselves and the labels."""
        return None if self.box is None else self.box.iou

    @property
    def grabcut_iou(self) -> FloatArray | None:
        """IoU (N,) of what GrabCut finds and the labels."""
        return None if self.grabcut is None else self.grabcut.iou

    def by_class(self) -> dict[str, tuple[int, float]]:
        """Class -> number of objects and their mean IoU."""
        return _means([o.category for o in self.objects], self.iou)

    def by_size(self) -> dict[str, tuple[int, float]]:
        """One of `SIZE_CLASSES` -> number of objects and their mean IoU; classes without objects are left out."""
        sides = np.array([max(o.box_px[2] - o.box_px[0], o.box_px[3] - o.box_px[1]) for o in self.objects])
        sizes = np.where(sides < 12, 0, 1 + np.searchsorted([32.0**2, 96.0**2], self.area, side="right"))
        found = _means([SIZE_CLASSES[i] for i in sizes], self.iou)
        return {name: found[name] for name in SIZE_CLASSES if name in found}

    def calibration(self, bins: int = 10) -> list[dict[str, float]]:
        """Mean score and mean IoU of the objects in each of `bins` equal bins of the score; empty bins are left out."""
        bin_of = np.clip((self.score * bins).astype(int), 0, bins - 1)
        rows = [(i, bin_of == i) for i in range(bins)]
        return [
            {
                "from": i / bins,
                "objects": int(chosen.sum()),
                "score": round(float(self.score[chosen].mean()), 4),
                "iou": round(float(self.iou[chosen].mean()), 4),
            }
            for i, chosen in rows
            if chosen.any()
        ]

    def summary(self) -> dict[str, object]:
        """The figures as plain values."""

        def rows(groups: dict[str, tuple[int, float]]) -> dict[str, dict[str, float]]:
            return {name: {"objects": n, "iou": round(v, 4)} for name, (n, v) in groups.items()}

        compared = {name: scores and scores.means() for name, scores in (("box", self.box), ("grabcut", self.grabcut))}
        return {
            "objects": len(self.objects),
            **Scores(self.iou, self.image_iou, self.image_biou).means(),
            "baselines": compared if self.box is not None else None,
            "score_error": round(float(np.abs(self.iou - self.score).mean()), 4),
            "seconds_an_object": round(self.seconds_an_object, 3),
            "by_class": rows(self.by_class()),
            "by_size": rows(self.by_size()),
            "calibration": self.calibration(),
        }


def _means(groups: Sequence[str], values: FloatArray) -> dict[str, tuple[int, float]]:
    names = np.array(groups)
    return {str(n): (int((names == n).sum()), float(values[names == n].mean())) for n in np.unique(names)}


def evaluate(
    objects: Sequence[LabelledObject],
    segmenter: Segmenter,
    policy: CropPolicy | None = None,
    *,
    baselines: bool = False,
    on_object: Callable[[], None] | None = None,
    on_mask: Callable[[int, Crop, ObjectMask], None] | None = None,
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
    baselines : bool
        Whether to score the boxes and GrabCut from them too, which may take longer than the model.
    on_object : callable, optional
        Called after each object.
    on_mask : callable, optional
        Called with the row of each object, its crop and its mask.

    Raises
    ------
    TrainingDataError
        No objects.
    """
    if not objects:
        raise TrainingDataError("there is no object to evaluate on")
    started = time.monotonic()
    score, area = np.zeros(len(objects)), np.zeros(len(objects))
    model, others = ScoreAccumulator(len(objects)), Baselines(len(objects)) if baselines else None
    tallies: list[ScoreAccumulator | Baselines] = [model] if others is None else [model, others]
    crops: dict[int, Crop] = {}
    picture: object = None
    truth_all = np.zeros((1, 1), dtype=bool)
    for mask in segmenter.segment(_crops(objects, policy or CropPolicy(), crops)):
        labelled, crop = objects[mask.id], crops.pop(mask.id)
        shape = (labelled.height, labelled.width)
        if on_mask is not None:
            on_mask(mask.id, crop, mask)
        if labelled.image_path != picture:
            if picture is not None:
                for tally in tallies:
                    tally.close_picture(truth_all)
            picture, truth_all = labelled.image_path, np.zeros(shape, bool)
        counts = counted_pixels(labelled, crop)
        truth = polygon_mask(labelled.rings, shape) & counts
        truth_all |= truth
        score[mask.id], area[mask.id] = np.nan_to_num(mask.predicted_iou), truth.sum()
        model.add(mask.id, on_picture(mask.logits, mask.window, shape) & counts, truth)
        if others is not None:
            others.add(mask.id, labelled, crop, truth, counts)
        if on_object is not None:
            on_object()
    for tally in tallies:
        tally.close_picture(truth_all)
    found = model.scores()
    box, grabcut = (None, None) if others is None else others.scores()
    seconds = (time.monotonic() - started - (0.0 if others is None else others.seconds)) / len(objects)
    return Evaluation(tuple(objects), found.iou, score, area, found.image_iou, found.image_biou, seconds, box, grabcut)


def counted_pixels(labelled: LabelledObject, crop: Crop) -> BoolArray:
    """The pixels (H, W) of a picture that count in the score of one object: all but nodata that its crop shows and what is ignored."""
    counts = ~on_picture(~crop.valid, crop.window, (labelled.height, labelled.width))
    if labelled.ignored:
        counts &= ~polygon_mask(labelled.ignored, counts.shape)
    return counts


def _crops(objects: Sequence[LabelledObject], policy: CropPolicy, pending: dict[int, Crop]) -> Iterator[Crop]:
    """The crops of the objects, picture by picture, those of one window one after the other with the same arrays; also in `pending`."""
    pictures: dict[str, list[int]] = {}
    for row, labelled in enumerate(objects):
        pictures.setdefault(str(labelled.image_path), []).append(row)
    jobs = []
    for path, rows in pictures.items():
        shape = (objects[rows[0]].height, objects[rows[0]].width)
        boxes = clip_box(np.stack([objects[row].box_px for row in rows]), shape)
        windows, _order = plan_windows(boxes, shape, policy)
        jobs += [(path, w.row_off, w.col_off, w.size, row, w, box) for row, w, box in zip(rows, windows, boxes, strict=True)]
    jobs.sort(key=lambda job: job[:5])
    last: tuple[object, Crop] | None = None
    for *key, row, window, box in jobs:
        box_crop = np.clip(window.px_to_crop(box), 0, window.size)
        if last is not None and last[0] == key:
            crop = replace(last[1], id=row, box_crop=box_crop)
        else:
            crop = Crop(row, window, box_crop, *read_crop(objects[row], window))
        last = (key, crop)
        pending[row] = crop
        yield crop


@dataclass(frozen=True)
class Pipeline:
    """One row of the paper's ablation of the inference pipeline (its Tables 1 and 2).

    Attributes
    ----------
    name : str
    mode : {"whole", "tiles", "paper", "auto"}
        See `CropPolicy`: the whole picture, crops with many objects, or one object a crop.
    rate : int
        How much crops are enlarged: their side is the model's input over this.
    resample : {"bicubic", "bilinear"}
    """

    name: str
    mode: Literal["auto", "paper", "tiles", "whole"]
    rate: int
    resample: Resampling


PIPELINE_ABLATION = (
    Pipeline("whole picture (Table 1)", "whole", 1, "bicubic"),
    Pipeline("no sampling, many objects a crop (Table 2, baseline)", "tiles", 1, "bicubic"),
    Pipeline("x2 bilinear, many objects a crop", "tiles", 2, "bilinear"),
    Pipeline("x2 bicubic, many objects a crop", "tiles", 2, "bicubic"),
    Pipeline("x4 bilinear, many objects a crop", "tiles", 4, "bilinear"),
    Pipeline("x4 bicubic, many objects a crop", "tiles", 4, "bicubic"),
    Pipeline("x2 bicubic, one object a crop (ROS-SAM)", "paper", 2, "bicubic"),
    Pipeline("x4 bicubic, one object a crop", "paper", 4, "bicubic"),
    Pipeline("rosgeo: crop as large as the box asks for", "auto", 1, "bicubic"),
)


def pipeline_ablation(
    objects: Sequence[LabelledObject],
    model: LoadedModel,
    *,
    rows: Sequence[Pipeline] = PIPELINE_ABLATION,
    device: str = "auto",
    precision: str = "auto",
    on_object: Callable[[], None] | None = None,
) -> list[tuple[Pipeline, Evaluation]]:
    """Evaluate a model with each row's pipeline: Tables 1 and 2 of the paper on any labelled data.

    Parameters
    ----------
    objects : sequence of LabelledObject
    model : LoadedModel
    rows : sequence of Pipeline
    device, precision : str
        See `Segmenter`.
    on_object : callable, optional
        Called after each object of each row.
    """
    results = []
    for row in rows:
        segmenter = Segmenter(model, device=device, precision=precision, resample=row.resample)
        policy = CropPolicy(mode=row.mode, paper_side=max(segmenter.input_size // row.rate, 16))
        results.append((row, evaluate(objects, segmenter, policy, on_object=on_object)))
    return results
