"""Two sets of outlines compared: what is right, missed and made up, and how well the right ones fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from rosgeo.errors import OptionError
from rosgeo.evaluation.matching import SWEEP, Pairs, match_pairs, overlapping_pairs
from rosgeo.evaluation.outline_iou import Geometries, outline_boundary_iou
from rosgeo.evaluation.tally import Matches, Tally, average_precisions, tallies
from rosgeo.geometry.crs import metres_per_unit
from rosgeo.types import BoolArray, FloatArray, IntArray

__all__ = ["Comparison", "OutlineSet", "compare_outlines", "within_area"]

EDGE_SHARE = 0.5
"""An outline with less of it than this in the compared area counts neither as found nor as missed."""

_WIDTH_SHARE = 0.1
"""Width of the boundary over the square root of the median area of the truth, where none is given. Cheng et al. chose 2 % of the diagonal
of COCO's pictures (some 15 px of 800), whose objects are some 100 px large."""


@dataclass(frozen=True)
class OutlineSet:
    """The outlines of one layer.

    Attributes
    ----------
    polygons : object array (N,)
        Valid polygons or multipolygons with an area, in the frame of the comparison.
    classes : str array (N,)
        Outlines of different classes are never matched.
    rows : int64 array (N,)
        Their numbers in the layer, from 0.
    scores : float64 array (N,) or None
        NaN where one has none.
    group : int64 array (N,) or None
        Outlines of different groups, such as frames, are never matched.
    whole : object array (N,) or None
        The polygons before they were cut to an area; None: they were not.
    ignored : bool array (N,) or None
        Count neither as found nor as missed; see `within_area`. None: none of them.
    """

    polygons: Geometries
    classes: np.ndarray
    rows: IntArray
    scores: FloatArray | None = None
    group: IntArray | None = None
    whole: Geometries | None = None
    ignored: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.polygons)

    @property
    def counted(self) -> BoolArray:
        """Which are not ignored (N,)."""
        return np.ones(len(self), dtype=bool) if self.ignored is None else ~self.ignored

    def take(self, rows: IntArray | BoolArray) -> OutlineSet:
        """Some of them."""
        arrays = {name: value[rows] for name, value in vars(self).items() if value is not None}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Best:
    """Of each outline, the one of the other layer with which it has the largest IoU, whatever its class.

    Attributes
    ----------
    place : int64 array (N,)
        -1 where none overlaps, or nobody asked.
    iou : float64 array (N,)
        0 where none overlaps, NaN where nobody asked.
    """

    place: IntArray
    iou: FloatArray


@dataclass(frozen=True)
class Comparison:
    """What `compare_outlines` found.

    Attributes
    ----------
    result, truth : OutlineSet
        N and M outlines, as compared.
    threshold : float
        Least IoU of a match.
    width : float or None
        Of the boundary, in metres on the ground, or in units where there is no CRS; None where the truth is empty and none was given.
    truth_of : int64 array (N,)
        Place in the truth of each outline of the result; -1 for none.
    iou, boundary_iou : float64 arrays (N,)
        Of the match; NaN where there is none.
    result_best, truth_best : Best
        Of those that have no match.
    tallies : tuple of Tally
        At `threshold`: of all outlines, and then of each class, by its name.
    sweep : tuple of Tally
        Of all outlines at each of `rosgeo.evaluation.matching.SWEEP`.
    average_precision : dict or None
        Class of the truth -> average precision at `threshold` and its mean over the sweep, as pycocotools'; None where an outline of
        the result has no score.
    """

    result: OutlineSet
    truth: OutlineSet
    threshold: float
    width: float | None
    truth_of: IntArray
    iou: FloatArray
    boundary_iou: FloatArray
    result_best: Best
    truth_best: Best
    tallies: tuple[Tally, ...]
    sweep: tuple[Tally, ...]
    average_precision: dict[str, tuple[float, float]] | None

    def kinds(self) -> tuple[np.ndarray, np.ndarray]:
        """What each outline of the result is (N,), and each of the truth (M,): ``right``, ``made up``, ``missed``, or ``not counted``."""
        right, made_up, missed = _sides(self.result, self.truth, self.truth_of)
        ours = np.select([right, made_up], ["right", "made up"], "not counted")
        theirs = np.select([missed, self.truth.counted], ["missed", "right"], "not counted")
        return ours, theirs

    def of_another_class(self) -> int:
        """Missed outlines that the result has, at `threshold`, as another class."""
        _, kinds = self.kinds()
        near = self.truth_best.iou >= self.threshold
        other = np.zeros(len(self.truth), dtype=bool)
        other[near] = self.result.classes[self.truth_best.place[near]] != self.truth.classes[near]
        return int((other & (kinds == "missed")).sum())

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON; None where one is not defined."""
        everything, *classes = self.tallies
        precisions = self.average_precision
        by_class = {tally.name: {**tally.figures(), **_precisions(precisions, tally.name)} for tally in classes}
        return {
            "iou_threshold": self.threshold,
            "matched_by": "score" if self.result.scores is not None else "iou",
            "boundary_width": self.width,
            **everything.figures(),
            **_precisions(precisions, None),
            "missed_that_have_another_class": self.of_another_class(),
            "classes": by_class,
            "sweep": [{"iou": round(tally.threshold, 2), **tally.figures()} for tally in self.sweep],
        }


def _precisions(values: dict[str, tuple[float, float]] | None, name: str | None) -> dict[str, float | None]:
    """Of one class, or as COCO's the mean over all classes of the truth."""
    found = [] if values is None else [v for key, v in values.items() if name in (None, key)]
    pair = np.mean(found, axis=0).tolist() if found else (None, None)
    return dict(zip(("average_precision", "average_precision_of_sweep"), (_rounded(v) for v in pair), strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def within_area(outlines: OutlineSet, area: Any) -> OutlineSet:
    """The outlines cut to an area.

    Those without a part of some area in it are left out; those with less than half of their own area in it are `ignored`: matched with
    one they are not wrong, without one they are neither missed nor made up. So an outline that was cut at the edge in one layer and drawn
    whole, or left out, in the other, spoils no figure.

    Parameters
    ----------
    outlines : OutlineSet
    area : polygon or multipolygon
        Valid, in the same frame.

    Returns
    -------
    OutlineSet
        With `whole` and `ignored`.
    """
    shapely.prepare(area)
    touching = outlines.take(shapely.intersects(area, outlines.polygons))
    inside = shapely.covers(area, touching.polygons)
    cut = touching.polygons.copy()
    cut[~inside] = shapely.intersection(cut[~inside], area)
    share = shapely.area(cut) / shapely.area(touching.polygons)
    bounded = replace(touching, polygons=cut, whole=touching.polygons, ignored=share < EDGE_SHARE)
    return bounded.take(share > 0)


def compare_outlines(
    result: OutlineSet,
    truth: OutlineSet,
    *,
    threshold: float = 0.5,
    width: float | None = None,
    crs: CRS | None = None,
    area: Any = None,
    on_rows: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Match two sets of outlines and score the one by the other.

    Outlines of one class (and of one group) are matched by `match_pairs`: by score where the result has scores, and else by IoU.

    Parameters
    ----------
    result, truth : OutlineSet
        N and M outlines in one frame; either may be empty.
    threshold : float
        Least IoU of a match, above 0 and up to 1.
    width : float, optional
        Width of the boundary for Boundary IoU (`outline_boundary_iou`), above 0: metres on the ground, or units where there is no CRS.
        Default: a tenth of the square root of the median area of the truth, to two digits; so it does not depend on the result.
    crs : CRS, optional
        Of the frame.
    area : polygon or multipolygon, optional
        See `within_area`.
    on_rows : callable, optional
        See `overlapping_pairs`.

    Returns
    -------
    Comparison

    Raises
    ------
    OptionError
        A threshold or a width out of range.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"IoU threshold {threshold:g}: expected a number above 0 and up to 1")
    if width is not None and not 0 < width < np.inf:
        raise OptionError(f"boundary width {width:g}: expected a number above 0")
    if area is not None:
        result, truth = within_area(result, area), within_area(truth, area)
    groups = {"result_group": result.group, "truth_group": truth.group}
    least = min(threshold, *SWEEP)
    pairs = overlapping_pairs(result.polygons, truth.polygons, at_least=least, on_rows=on_rows, **groups)
    same = pairs.where(result.classes[pairs.result] == truth.classes[pairs.truth])
    truth_of, iou = _matched(same, threshold, result, truth)
    sweep = [_matched(same, t, result, truth) for t in SWEEP]
    width = width if width is not None else _default_width(truth, crs)
    boundary = _boundary(result, truth, truth_of, width, crs, area)
    scored = result.scores is not None and bool(np.isfinite(result.scores).all())
    names, codes = _class_numbers(result, truth)
    at, *swept = (_matches(result, truth, match, codes) for match in (truth_of, *(match for match, _ in sweep)))
    one = tallies(names, threshold, at, iou, boundary)
    over = [tallies(names, t, m, found)[0] for t, m, (_, found) in zip(SWEEP, swept, sweep, strict=True)]
    return Comparison(
        result, truth, threshold, width, truth_of, iou, boundary,
        _best(result, truth, truth_of < 0), _best(truth, result, ~np.isin(np.arange(len(truth)), truth_of)),
        tuple(one), tuple(over), _average_precisions(names, at, swept, result.scores) if scored else None,
    )  # fmt: skip


def _sides(result: OutlineSet, truth: OutlineSet, truth_of: IntArray) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Which outlines of the result are right and made up, and which of the truth are missed."""
    matched = truth_of >= 0
    right = matched & truth.counted[truth_of] if len(truth) else matched
    missed = truth.counted
    missed[truth_of[matched]] = False
    return right, ~matched & result.counted, missed


def _class_numbers(result: OutlineSet, truth: OutlineSet) -> tuple[list[str], tuple[IntArray, IntArray]]:
    """The names of all classes, and the number of each outline's."""
    names, codes = np.unique(np.concatenate([result.classes, truth.classes]), return_inverse=True)
    return [str(name) for name in names], (codes[: len(result)], codes[len(result) :])


def _matches(result: OutlineSet, truth: OutlineSet, truth_of: IntArray, classes: tuple[IntArray, IntArray]) -> Matches:
    right, made_up, missed = _sides(result, truth, truth_of)
    return Matches(right, made_up, missed, truth.counted, *classes)


def _matched(pairs: Pairs, threshold: float, result: OutlineSet, truth: OutlineSet) -> tuple[IntArray, FloatArray]:
    """The place of each outline's match, and its IoU."""
    truth_of = match_pairs(pairs, threshold, (len(result), len(truth)), scores=result.scores, ignored=truth.ignored)
    iou = np.full(len(result), np.nan)
    chosen = truth_of[pairs.result] == pairs.truth
    iou[pairs.result[chosen]] = pairs.iou[chosen]
    return truth_of, iou


def _average_precisions(
    names: Sequence[str], at: Matches, sweep: Sequence[Matches], scores: FloatArray | None
) -> dict[str, tuple[float, float]]:
    assert scores is not None
    one, over = average_precisions(names, at, scores), np.mean([average_precisions(names, m, scores) for m in sweep], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(names, one, over, strict=True) if np.isfinite(a)}


def _default_width(truth: OutlineSet, crs: CRS | None) -> float | None:
    counted = truth.polygons[truth.counted]
    if not len(counted):
        return None
    scale = _scale(counted, crs)
    size = float(np.sqrt(np.median(shapely.area(counted) * scale.prod(axis=1))))
    return float(f"{_WIDTH_SHARE * size:.2g}")


def _scale(polygons: Geometries, crs: CRS | None) -> FloatArray:
    return metres_per_unit(shapely.get_coordinates(shapely.centroid(polygons)), crs)


def _boundary(
    result: OutlineSet, truth: OutlineSet, truth_of: IntArray, width: float | None, crs: CRS | None, area: Any
) -> FloatArray:
    """Boundary IoU of each outline of the result that has a match; NaN for the others."""
    values = np.full(len(result), np.nan)
    ours = np.flatnonzero(truth_of >= 0)
    if width is None or not len(ours):
        return values
    a, b = result.take(ours), truth.take(truth_of[ours])
    clip = None
    if area is not None and a.whole is not None and b.whole is not None:
        cut = (a.polygons != a.whole) | (b.polygons != b.whole)
        clip = np.full(len(ours), None, dtype=object)
        clip[cut] = area
        a, b = replace(a, polygons=a.whole), replace(b, polygons=b.whole)
    values[ours] = outline_boundary_iou(a.polygons, b.polygons, width, scale=_scale(b.polygons, crs), clip=clip)
    return values


def _best(ones: OutlineSet, others: OutlineSet, asked: BoolArray) -> Best:
    """See `Best`, of those that are asked for."""
    best = Best(np.full(len(ones), -1, dtype=np.int64), np.where(asked, 0.0, np.nan))
    rows = np.flatnonzero(asked)
    some = ones.take(rows)
    pairs = overlapping_pairs(some.polygons, others.polygons, result_group=some.group, truth_group=others.group)
    # The last that is written stays: the largest, and of equal ones the first.
    order = np.lexsort((-pairs.truth, pairs.iou))
    best.place[rows[pairs.result[order]]] = pairs.truth[order]
    best.iou[rows[pairs.result[order]]] = pairs.iou[order]
    return best
