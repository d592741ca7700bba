"""Which outline of a result is which of the truth: pairs that overlap, by a spatial index, and their greedy matching as in COCO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from rosgeo.evaluation.outline_iou import Geometries, intersection_areas
from rosgeo.types import BoolArray, FloatArray, IntArray

__all__ = ["SWEEP", "Pairs", "match_pairs", "overlapping_pairs"]

SWEEP = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoU thresholds 0.50, 0.55, ... 0.95, with the digits of pycocotools' ``Params.iouThrs``."""

_ROWS_AT_ONCE = 8192
_UNREACHED = 1 - 1e-10
"""A threshold of 1 is lowered to this, as in pycocotools: two equal outlines have an IoU that rounding may leave below 1."""


@dataclass(frozen=True)
class Pairs:
    """Outlines of a result and of the truth that overlap.

    Attributes
    ----------
    result, truth : int64 arrays (P,)
        Places in the two arrays of outlines. No pair is there twice.
    iou : float64 array (P,)
        Above 0.
    """

    result: IntArray
    truth: IntArray
    iou: FloatArray

    def where(self, kept: BoolArray) -> Pairs:
        """Those of a mask (P,)."""
        return Pairs(self.result[kept], self.truth[kept], self.iou[kept])


def overlapping_pairs(
    result: Geometries,
    truth: Geometries,
    *,
    at_least: float = 0.0,
    result_group: IntArray | None = None,
    truth_group: IntArray | None = None,
    on_rows: Callable[[int, int], None] | None = None,
) -> Pairs:
    """All pairs with an IoU of at least `at_least`, found by a spatial index.

    Parameters
    ----------
    result, truth : object arrays (N,) and (M,) of valid polygons or multipolygons
        In one frame.
    at_least : float
        Smallest IoU; whatever its value, outlines that share no area are no pair. Pairs whose envelopes and areas allow no such IoU are
        left out before their intersection is computed.
    result_group, truth_group : int64 arrays (N,) and (M,), optional
        Outlines of different groups, as of frames of a clip, are no pair. Each group has an index of its own.
    on_rows : callable, optional
        Called now and then with the number of outlines of the result that are done, and N.

    Returns
    -------
    Pairs
        By the place in the result, group after group; none where either array is empty. Memory grows with the pairs, and not with N x M.
    """
    found: list[Pairs] = []
    done = 0
    for ours, theirs in _groups(len(result), len(truth), result_group, truth_group):
        tree = shapely.STRtree(truth[theirs])
        for start in range(0, len(ours), _ROWS_AT_ONCE):
            rows = ours[start : start + _ROWS_AT_ONCE]
            here, there = tree.query(result[rows])
            found.append(_with_iou(result, truth, rows[here], theirs[there], at_least))
            done += len(rows)
            if on_rows is not None:
                on_rows(done, len(result))
    none = Pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    found = found or [none]
    return Pairs(*(np.concatenate([getattr(p, name) for p in found]) for name in ("result", "truth", "iou")))


def _groups(
    results: int, truths: int, result_group: IntArray | None, truth_group: IntArray | None
) -> Iterator[tuple[IntArray, IntArray]]:
    """Places in both arrays of each group that both have."""
    if result_group is None or truth_group is None:
        yield np.arange(results), np.arange(truths)
        return
    ours, theirs = _by_group(result_group), _by_group(truth_group)
    yield from ((ours[group], theirs[group]) for group in ours if group in theirs)


def _by_group(group: IntArray) -> dict[int, IntArray]:
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(group) else []
    return {int(group[part[0]]): part for part in parts}


def _with_iou(result: Geometries, truth: Geometries, here: IntArray, there: IntArray, at_least: float) -> Pairs:
    areas = shapely.area(result[here]), shapely.area(truth[there])
    ours, theirs = shapely.bounds(result[here]), shapely.bounds(truth[there])
    sides = np.minimum(ours[:, 2:], theirs[:, 2:]) - np.maximum(ours[:, :2], theirs[:, :2])
    most = np.minimum(np.minimum(*areas), np.clip(sides, 0, None).prod(axis=1))
    total = areas[0] + areas[1]
    # Rounding must not take a pair away that reaches the least IoU just so.
    possible = (most > 0) & (most >= (at_least - 1e-9) * (total - most))
    here, there, total = here[possible], there[possible], total[possible]
    common = intersection_areas(result[here], truth[there])
    iou = common / (total - common)
    return Pairs(here, there, iou).where((common > 0) & (iou >= min(at_least, _UNREACHED)))


def match_pairs(
    pairs: Pairs, threshold: float, counts: tuple[int, int], *, scores: FloatArray | None = None, ignored: BoolArray | None = None
) -> IntArray:
    """Match outlines one to one, greedily.

    With scores as pycocotools' ``COCOeval.evaluateImg`` does: the outlines of the result choose one after the other, from the highest
    score to the lowest (equal scores: in the order of the result; no score: after all others). Each takes, of the outlines of the truth
    that nobody has taken, the one with the largest IoU, if that reaches the threshold. Of equal IoU the last in the order of the truth is
    taken; one that is `ignored` only where no other is left.

    Without scores the pairs are taken from the largest IoU to the smallest (equal ones: in the order of the result and then of the truth;
    those with an ignored truth last), so that the order of the rows decides nothing else. Above an IoU of 0.5 and without overlaps within
    a layer there is only one way to match.

    Parameters
    ----------
    pairs : Pairs
        Candidates: as far as classes count, those of one class.
    threshold : float
        Least IoU, 0 to 1.
    counts : (int, int)
        Numbers N and M of outlines of the result and of the truth.
    scores : float64 array (N,), optional
        NaN for none.
    ignored : bool array (M,), optional
        Outlines of the truth that count neither as found nor as missed.

    Returns
    -------
    int64 array (N,)
        Place in the truth; -1 for none. No place is there twice.
    """
    near = pairs.where(pairs.iou >= min(threshold, _UNREACHED))
    partner = np.full(counts[0], -1, dtype=np.int64)
    # Where neither has another candidate, no order decides: that is nearly all, and no loop.
    alone = (np.bincount(near.result, minlength=counts[0])[near.result] == 1) & (
        np.bincount(near.truth, minlength=counts[1])[near.truth] == 1
    )
    partner[near.result[alone]] = near.truth[alone]
    rest = near.where(~alone)
    order = _order(rest, scores, np.zeros(counts[1], dtype=bool) if ignored is None else ignored)
    taken: set[int] = set()
    for ours, theirs in zip(rest.result[order].tolist(), rest.truth[order].tolist(), strict=True):
        if theirs not in taken and partner[ours] < 0:
            partner[ours] = theirs
            taken.add(theirs)
    return partner


def _order(pairs: Pairs, scores: FloatArray | None, ignored: BoolArray) -> IntArray:
    """In which order pairs are taken; see `match_pairs`."""
    last = ignored[pairs.truth]
    if scores is None:
        return np.lexsort((pairs.truth, pairs.result, -pairs.iou, last))
    rank = np.empty(len(scores), dtype=np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))  # NaN comes last
    return np.lexsort((-pairs.truth, -pairs.iou, last, rank[pairs.result]))
