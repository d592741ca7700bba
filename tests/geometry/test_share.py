"""Crop windows that boxes share."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosgeo.errors import OptionError
from rosgeo.geometry import share
from rosgeo.geometry.plan import make_plan, plan_windows
from rosgeo.geometry.share import share_windows
from rosgeo.geometry.windows import MAX_READ_SIDE, CropPolicy, auto_window, plan_window
from rosgeo.run.options import crop_policy
from rosgeo.types import Boxes, FloatArray

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes


@st.composite
def crowds(draw: st.DrawFn) -> FloatArray:
    """Boxes of many sizes on 600 x 600 px, some of them twice."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 60))
    low = rng.uniform(0, 600, (count, 2))
    size = rng.uniform(2, draw(st.sampled_from([30, 300])), (count, 2))
    boxes = np.concatenate([low, low + size], axis=1)
    return np.round(np.concatenate([boxes, boxes[: count // 5]]) * 1024) / 1024


SHAPE = (2000, 2000)

policies = st.builds(CropPolicy, factor=st.sampled_from([1.5, 2.0]), share=st.sampled_from([2.5, 3.0, 6.0, 16.0]))


@given(crowds(), policies)
def test_each_box_keeps_its_scale_and_its_distance_from_the_edge(boxes: FloatArray, policy: CropPolicy) -> None:
    windows, order = share_windows(boxes, policy, SHAPE)
    assert sorted(order) == list(range(len(boxes)))
    assert len(windows) == len(boxes)
    sharers = Counter(windows)
    for box, window in zip(boxes, windows, strict=True):
        long = max(box[2] - box[0], box[3] - box[1])
        if sharers[window] == 1:
            assert window == auto_window(box, policy.factor, policy.min_side)
            continue
        assert window.size <= max(policy.share * long, policy.min_side)
        assert window.size >= policy.factor * long
        # Half a pixel: the window is of whole ones.
        margin = (policy.factor - 1) / 2 * long - 0.5
        assert window.col_off <= box[0] - margin
        assert window.row_off <= box[1] - margin
        assert window.col_off + window.size >= box[2] + margin
        assert window.row_off + window.size >= box[3] + margin


@given(crowds(), policies, st.integers(33, 70))
def test_a_shared_window_is_encoded_once(boxes: FloatArray, policy: CropPolicy, boxes_a_tile: int) -> None:
    ids = np.arange(len(boxes)) * 3
    plan = make_plan(Boxes(boxes, ids, "pixel"), np.ones(len(boxes), dtype=bool), (700, 700), policy, boxes_a_tile=boxes_a_tile)
    assert plan.planned + plan.outside.sum() == len(boxes)
    runs = [[w for i, w in enumerate(tile.windows) if i == 0 or w != tile.windows[i - 1]] for tile in plan.tiles]
    passes = [window for run in runs for window in run]
    shared = {w for tile in plan.tiles for w, n in Counter(tile.windows).items() if n > 1}
    # Boxes alone in a window may have one like another's by chance; a shared one comes in one piece.
    assert all(passes.count(window) == 1 for window in shared)
    assert all(1 <= len(tile) <= boxes_a_tile for tile in plan.tiles)


@given(crowds(), st.sampled_from([64, 256, 512]), st.booleans())
def test_under_paper_each_box_keeps_the_scale_it_has_alone(boxes: FloatArray, side: int, at_the_edge: bool) -> None:
    policy = CropPolicy("paper", paper_side=side, share=3.0)
    shape = (620, 640) if at_the_edge else SHAPE
    windows, order = share_windows(boxes, policy, shape)
    assert sorted(order) == list(range(len(boxes)))
    for box, window in zip(boxes, windows, strict=True):
        assert window.size == side
        if window == plan_window(box, shape, policy):
            continue
        # What a box and its surroundings have on the raster is in the window, or cut by less than two pixels, since it is of whole ones.
        margin = (policy.factor - 1) / 2 * max(box[2] - box[0], box[3] - box[1]) - 2
        low, high = np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, shape[::-1])
        assert (low >= [window.col_off, window.row_off]).all()
        rows, cols = window.readable(shape)
        assert (high <= [cols.stop, rows.stop]).all()


def test_a_scene_of_the_paper_s_size_is_one_window() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(30, 440, (30, 2))
    windows, _ = share_windows(np.concatenate([low, low + 20], axis=1), CropPolicy("paper", share=3.0), (512, 512))
    assert len(set(windows)) == 1


def test_a_row_of_ships_shares_as_many_as_fit() -> None:
    x = np.arange(12) * 20.0
    boxes = np.stack([x, np.full(12, 50.0), x + 16, np.full(12, 58.0)], axis=1)
    windows, order = share_windows(boxes, CropPolicy(share=4.1), SHAPE)
    # Room for 64 px: a box and its surroundings take 24, and each further one 20.
    assert list(Counter(windows).values()) == [3, 3, 3, 3]
    assert order.tolist() == list(range(12))
    assert len(set(share_windows(boxes, CropPolicy(share=16.0), SHAPE)[0])) == 1


def test_boxes_of_unlike_size_do_not_share() -> None:
    boxes = np.array([[0.0, 0, 100, 100], [40, 40, 50, 50]])
    assert len(set(share_windows(boxes, CropPolicy(share=3.0), SHAPE)[0])) == 2
    assert share_windows(np.empty((0, 4)), CropPolicy(share=3.0), SHAPE)[0] == []


def test_windows_stay_small_enough_to_be_read_whole() -> None:
    boxes = np.array([[i * 900.0, 0, i * 900 + 800, 800] for i in range(6)])
    windows, _ = share_windows(boxes, CropPolicy(share=16.0), SHAPE)
    assert max(window.size for window in windows) <= MAX_READ_SIDE


def test_many_boxes_on_one_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "_NEIGHBOURS", 40)
    boxes = np.repeat([[10.0, 10, 30, 30]], 150, axis=0)
    windows, order = share_windows(boxes, CropPolicy(share=3.0), SHAPE)
    assert sorted(order) == list(range(150))
    assert set(windows) == {auto_window(boxes[0], 1.5, 24)}


def test_nobody_shares_across_squares_of_the_raster() -> None:
    boxes = np.array([[1000.0, 10, 1020, 30], [1026, 10, 1046, 30]])
    assert len(set(share_windows(boxes, CropPolicy(share=8.0), SHAPE)[0])) == 1
    assert len(set(plan_windows(boxes, (2000, 2000), CropPolicy(share=8.0))[0])) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.5}, "share factor 1.5"),
        ({"share": 17.0}, "share factor 17.0"),
        ({"share": 3.0, "mode": "tiles"}, "'tiles' are shared as they are"),
        ({"share": 3.0, "mode": "whole"}, "'whole' are shared as they are"),
    ],
)
def test_shares_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CropPolicy(**options)


@pytest.mark.parametrize("number", [3.0, 2])
def test_the_paper_s_crops_have_one_side_to_share(number: float) -> None:
    common: dict[str, Any] = {"crop": "paper", "crop_factor": None, "crop_side": None}
    assert crop_policy(share=True, **common).share > 0
    assert crop_policy(share=0, **common).share == 0
    with pytest.raises(OptionError, match="have one side"):
        crop_policy(share=number, **common)


@pytest.mark.parametrize("mode", ["auto", "paper"])
def test_shared_and_unshared_runs_have_the_same_rows_and_nearly_the_same_outlines(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter, mode: Literal["auto", "paper"]
) -> None:
    from rosgeo.run.pipeline import SegmentOptions, segment_run

    scene = write_raster()
    cells = [(x, y, x + 9.0, y + 7.0) for x in range(4, 50, 12) for y in range(4, 40, 10)]
    boxes = px_boxes(cells, NORTH_UP, "EPSG:32633")
    runs = [
        segment_run(
            scene,
            boxes,
            SegmentOptions(crop=CropPolicy(mode, min_side=8, paper_side=64, share=factor)),
            segmenter=ellipse_segmenter,
        ).result
        for factor in (0.0, 4.0)
    ]
    assert [run["rosgeo_status"].tolist() for run in runs] == [["ok"] * len(cells)] * 2
    alone, shared = (run.geometry for run in runs)
    iou = alone.intersection(shared).area / alone.union(shared).area
    assert iou.min() > 0.9
