"""Counts and means of matched outlines: precision, recall, F1, IoU, average precision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rosgeo.types import BoolArray, FloatArray, IntArray

__all__ = ["Matches", "Tally", "average_precisions", "tallies"]

_RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads the curve of precision (``Params.recThrs``)."""


@dataclass(frozen=True)
class Matches:
    """What outlines are at one threshold.

    Attributes
    ----------
    right, made_up : bool arrays (N,)
        Of the result. One that is neither counts nowhere.
    missed, truth_counted : bool arrays (M,)
        Of the truth.
    result_class, truth_class : int64 arrays (N,) and (M,)
        Numbers of the classes.
    """

    right: BoolArray
    made_up: BoolArray
    missed: BoolArray
    truth_counted: BoolArray
    result_class: IntArray
    truth_class: IntArray


@dataclass(frozen=True)
class Tally:
    """Counts at one threshold, of all outlines or of a class.

    Attributes
    ----------
    name : str
        Of the class; ``all``.
    threshold : float
        Least IoU of a match.
    right, made_up, missed : int
        Matched; of the result alone; of the truth alone.
    mean_iou, mean_boundary_iou : float
        Over the matched; NaN where there is none, or nobody asked.
    """

    name: str
    threshold: float
    right: int
    made_up: int
    missed: int
    mean_iou: float
    mean_boundary_iou: float

    @property
    def precision(self) -> float:
        """Share of the result that is right; NaN for a result without outlines."""
        return _share(self.right, self.right + self.made_up)

    @property
    def recall(self) -> float:
        """Share of the truth that was found; NaN for a truth without outlines."""
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, as ``2 right / (2 right + made up + missed)``; NaN where there is no outline at all."""
        return _share(2 * self.right, 2 * self.right + self.made_up + self.missed)

    def figures(self) -> dict[str, Any]:
        """For JSON; None where one is not defined."""
        counts = {
            "truth": self.right + self.missed,
            "result": self.right + self.made_up,
            "right": self.right,
            "missed": self.missed,
            "made_up": self.made_up,
        }
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1, "mean_iou": self.mean_iou}
        shares["mean_boundary_iou"] = self.mean_boundary_iou
        return {**counts, **{key: round(value, 4) if np.isfinite(value) else None for key, value in shares.items()}}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def tallies(
    names: Sequence[str], threshold: float, matches: Matches, iou: FloatArray, boundary_iou: FloatArray | None = None
) -> list[Tally]:
    """Count matches of all outlines, and of each class.

    Parameters
    ----------
    names : sequence of C str
        Of the classes.
    threshold : float
        At which they were matched.
    matches : Matches
    iou, boundary_iou : float64 arrays (N,)
        Of each match. None: nobody asked.

    Returns
    -------
    list of C + 1 Tally
        The first of all outlines.
    """
    right = np.flatnonzero(matches.right)
    of_class = matches.result_class[right]

    def count(classes: IntArray) -> FloatArray:
        return np.bincount(classes, minlength=len(names)).astype(np.float64)

    def sums(values: FloatArray | None) -> FloatArray:
        asked = np.full(len(right), np.nan) if values is None else values[right]
        return np.bincount(of_class, weights=asked, minlength=len(names)).astype(np.float64)

    rows = [count(of_class), count(matches.result_class[matches.made_up]), count(matches.truth_class[matches.missed])]
    columns = np.stack([*rows, sums(iou), sums(boundary_iou)], axis=1)
    every = [("all", columns.sum(axis=0)), *zip(names, columns, strict=True)]
    return [_tally(name, threshold, *values.tolist()) for name, values in every]


def _tally(name: str, threshold: float, right: float, made_up: float, missed: float, iou: float, boundary_iou: float) -> Tally:
    means = (iou / right, boundary_iou / right) if right else (float("nan"), float("nan"))
    return Tally(name, threshold, int(right), int(made_up), int(missed), *means)


def average_precisions(names: Sequence[str], matches: Matches, scores: FloatArray) -> FloatArray:
    """Average precision of each class, as pycocotools' ``COCOeval.accumulate``: the mean of 101 points of the curve, made falling.

    Parameters
    ----------
    names : sequence of C str
        Of the classes.
    matches : Matches
    scores : float64 array (N,)
        Of the result.

    Returns
    -------
    float64 array (C,)
        NaN for a class of which the truth has nothing that counts.
    """
    takes_part = np.flatnonzero(matches.right | matches.made_up)
    order = takes_part[np.lexsort((-scores[takes_part], matches.result_class[takes_part]))]
    starts = np.searchsorted(matches.result_class[order], np.arange(len(names) + 1))
    positives = np.bincount(matches.truth_class[matches.truth_counted], minlength=len(names))
    hits = [matches.right[order[a:b]] for a, b in itertools.pairwise(starts)]
    return np.array([_average_precision(h, int(n)) if n else np.nan for h, n in zip(hits, positives, strict=True)])


def _average_precision(right: BoolArray, positives: int) -> float:
    """Of outlines by falling score, of which `right` are and `positives` are there to be found."""
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / positives, _RECALLS, side="left")
    return float(np.where(at < len(hits), precision[np.minimum(at, len(hits) - 1)], 0.0).mean())
