"""Outlines matched and scored as pycocotools matches and scores the same objects as masks."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rosgeo.evaluation.comparison import OutlineSet, compare_outlines
from rosgeo.evaluation.matching import SWEEP, Pairs, match_pairs, overlapping_pairs
from rosgeo.evaluation.outline_iou import outline_boundary_iou, outline_iou
from shapely import Polygon, box

SIDE = 15
SMALL = 20.0
"""Objects of a smaller area are ignored, by COCO's range of areas."""

# One or two rectangles on whole pixels: outlines with parts and overlaps whose areas are exact, and few enough that many are equally near.
_span = st.tuples(st.integers(0, 3), st.integers(1, 2)).map(lambda s: (3 * s[0], 3 * s[1]))
_part = st.tuples(_span, _span).map(lambda s: box(s[0][0], s[1][0], sum(s[0]), sum(s[1])))
_outline = st.lists(_part, min_size=1, max_size=2).map(shapely.union_all)
_labelled = st.tuples(_outline, st.sampled_from(["car", "ship"]))
_found = st.tuples(_labelled, st.sampled_from([0.2, 0.5, 0.9]))


def outline_set(labelled: list[tuple[Any, str]], scores: list[float] | None = None) -> OutlineSet:
    polygons = np.empty(len(labelled), dtype=object)
    polygons[:] = [polygon for polygon, _ in labelled]
    return OutlineSet(
        polygons,
        np.array([name for _, name in labelled], dtype="<U8"),
        np.arange(len(labelled)),
        None if scores is None else np.array(scores),
        ignored=shapely.area(polygons) < SMALL,
    )


def as_mask(outline: Any) -> dict[str, Any]:
    centres = np.arange(SIDE) + 0.5
    mask = shapely.contains_xy(outline, *np.meshgrid(centres, centres))
    return rle.encode(np.asfortranarray(mask.astype(np.uint8)))  # type: ignore[no-any-return]


def coco_evaluation(result: OutlineSet, truth: OutlineSet) -> COCOeval:
    """pycocotools on one picture, with objects below `SMALL` out of its range of areas."""
    names = {"car": 1, "ship": 2}
    coco = COCO()
    coco.dataset = {
        "images": [{"id": 1, "width": SIDE, "height": SIDE}],
        "categories": [{"id": i, "name": name} for name, i in names.items()],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": names[str(c)], "segmentation": as_mask(p), "area": p.area, "iscrowd": 0}
            for i, (p, c) in enumerate(zip(truth.polygons, truth.classes, strict=True))
        ],
    }
    assert result.scores is not None
    found = [
        {"image_id": 1, "category_id": names[str(c)], "segmentation": as_mask(p), "score": float(s)}
        for p, c, s in zip(result.polygons, result.classes, result.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "segm")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[SMALL, 1e10]], ["counted"]
        evaluation.params.maxDets = [1000]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@given(st.lists(_found, min_size=1, max_size=12), st.lists(_labelled, min_size=1, max_size=10))
def test_matches_and_precision_are_those_of_pycocotools(found: list[Any], labelled: list[Any]) -> None:
    result, truth = outline_set([f[0] for f in found], [f[1] for f in found]), outline_set(labelled)
    coco = coco_evaluation(result, truth)
    assert list(SWEEP) == coco.params.iouThrs.tolist()
    pairs = overlapping_pairs(result.polygons, truth.polygons)
    same = pairs.where(result.classes[pairs.result] == truth.classes[pairs.truth])
    for row, threshold in enumerate(SWEEP):
        ours = match_pairs(same, threshold, (len(result), len(truth)), scores=result.scores, ignored=truth.ignored)
        theirs = np.full(len(result), -1)
        for picture in filter(None, coco.evalImgs):
            theirs[np.array(picture["dtIds"], dtype=int) - 1] = picture["dtMatches"][row].astype(int) - 1
        assert ours.tolist() == theirs.tolist()
    compared = compare_outlines(result, truth)
    one = compared.tallies[0]
    counted = [
        (p["dtMatches"][0] > 0, p["dtIgnore"][0].astype(bool), np.array(p["gtIgnore"], dtype=bool))
        for p in filter(None, coco.evalImgs)
    ]
    assert one.right == sum(int((hit & ~ignored).sum()) for hit, ignored, _ in counted)
    assert one.made_up == sum(int((~hit & ~ignored).sum()) for hit, ignored, _ in counted)
    assert one.right + one.missed == sum(int((~ignored).sum()) for _, _, ignored in counted)
    precision = coco.eval["precision"][:, :, :, 0, 0]
    precision = np.where(precision < 0, np.nan, precision)
    assert compared.average_precision is not None
    for name, (at, over) in compared.average_precision.items():
        expected = precision[:, :, ["car", "ship"].index(name)]
        assert at == pytest.approx(expected[0].mean())
        assert over == pytest.approx(expected.mean())
    assert set(compared.average_precision) == {n for n, k in (("car", 0), ("ship", 1)) if np.isfinite(precision[0, 0, k])}


def pairs_of(*triples: tuple[int, int, float]) -> Pairs:
    return Pairs(*(np.array(column) for column in zip(*triples, strict=True)))


def test_the_higher_score_chooses_first_and_no_score_comes_last() -> None:
    pairs = pairs_of((0, 0, 0.9), (1, 0, 0.6), (1, 1, 0.55), (2, 0, 0.7))
    match = match_pairs(pairs, 0.5, (3, 2), scores=np.array([np.nan, 0.4, 0.8]))
    assert match.tolist() == [-1, 1, 0]
    assert match_pairs(pairs, 0.5, (3, 2)).tolist() == [0, 1, -1]  # without scores, by IoU
    assert match_pairs(pairs, 0.58, (3, 2), scores=np.array([0.1, 0.9, 0.2])).tolist() == [-1, 0, -1]


@given(st.permutations(range(6)), st.permutations(range(5)), st.integers(0, 10**6))
def test_without_scores_the_order_of_rows_decides_nothing(ours: list[int], theirs: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    r, t = np.nonzero(rng.random((6, 5)) < 0.6)
    pairs = Pairs(r, t, rng.permutation(len(r)) / len(r))  # no two alike
    moved = Pairs(np.array(ours, dtype=int)[r], np.array(theirs, dtype=int)[t], pairs.iou)
    before, after = match_pairs(pairs, 0.3, (6, 5)), match_pairs(moved, 0.3, (6, 5))
    assert {(ours[i], theirs[j]) for i, j in enumerate(before) if j >= 0} == {(i, int(j)) for i, j in enumerate(after) if j >= 0}


@given(st.lists(_outline, max_size=12), st.lists(_outline, max_size=12), st.sampled_from([0.0, 0.3, 0.5]))
def test_the_index_finds_the_pairs_that_all_against_all_finds(a: list[Any], b: list[Any], least: float) -> None:
    ours, theirs = np.array(a, dtype=object), np.array(b, dtype=object)
    found = overlapping_pairs(ours, theirs, at_least=least)
    every = {(i, j): p.intersection(q).area / p.union(q).area for i, p in enumerate(a) for j, q in enumerate(b)}
    expected = {key: iou for key, iou in every.items() if iou > 0 and iou >= least - 1e-12}
    assert dict(
        zip(zip(found.result.tolist(), found.truth.tolist(), strict=True), found.iou.tolist(), strict=True)
    ) == pytest.approx(expected)


def test_groups_do_not_see_each_other() -> None:
    square = np.array([box(0, 0, 1, 1)] * 4, dtype=object)
    found = overlapping_pairs(square, square[:3], result_group=np.array([7, 1, 7, 2]), truth_group=np.array([1, 7, 3]))
    assert sorted(zip(found.result.tolist(), found.truth.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 1)]


def objects(*polygons: Any) -> np.ndarray:
    out = np.empty(len(polygons), dtype=object)
    out[:] = polygons
    return out


def test_boundary_iou_of_squares_by_hand() -> None:
    a, b = box(0, 0, 10, 10), box(1, 0, 11, 10)
    band = Polygon(a.exterior, [box(1, 1, 9, 9).exterior]), Polygon(b.exterior, [box(2, 1, 10, 9).exterior])
    expected = band[0].intersection(band[1]).area / band[0].union(band[1]).area
    assert outline_boundary_iou(objects(a), objects(b), 1.0) == pytest.approx([expected])
    assert outline_boundary_iou(objects(a, a), objects(a, box(20, 0, 30, 10)), 1.0) == pytest.approx([1, 0])
    # All band: the IoU itself.
    assert outline_boundary_iou(objects(a), objects(b), 6.0) == pytest.approx(outline_iou(objects(a), objects(b)))


def test_holes_have_a_boundary_and_a_scale_is_of_the_ground() -> None:
    ring = Polygon(box(0, 0, 30, 30).exterior, [box(10, 10, 20, 20).exterior])
    filled = box(0, 0, 30, 30)
    outer = 30**2 - 28**2
    hole = 12**2 - 10**2 - (4 - np.pi)  # the band turns round the hole's corners
    found = outline_boundary_iou(objects(ring), objects(filled), 1.0)
    assert found == pytest.approx([outer / (outer + hole)], rel=1e-3)
    in_degrees = shapely.transform(objects(ring, filled), lambda p: p / [50_000, 100_000])
    scaled = outline_boundary_iou(in_degrees[:1], in_degrees[1:], 1.0, scale=np.array([[50_000.0, 100_000.0]]))
    assert scaled == pytest.approx(found)


def test_the_edge_of_the_area_is_no_boundary() -> None:
    area = box(-5, -5, 5, 15)
    a, b = box(0, 0, 10, 10), box(0, 0, 10, 10.5)
    cut = outline_boundary_iou(objects(a), objects(b), 1.0, clip=objects(area))
    band = (a.difference(box(1, 1, 9, 9))).intersection(area), (b.difference(box(1, 1, 9, 9.5))).intersection(area)
    assert cut == pytest.approx([band[0].intersection(band[1]).area / band[0].union(band[1]).area])


@given(_outline, _outline, st.floats(0.3, 5))
def test_boundary_iou_is_a_share_and_the_same_both_ways(a: Any, b: Any, width: float) -> None:
    one, other = outline_boundary_iou(objects(a), objects(b), width)[0], outline_boundary_iou(objects(b), objects(a), width)[0]
    assert 0 <= one <= 1
    assert one == pytest.approx(other, abs=1e-9)
    assert outline_boundary_iou(objects(a), objects(a), width)[0] == pytest.approx(1)
