"""Crop windows and the plan."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosgeo.geometry import windows
from rosgeo.geometry.boxes import on_raster
from rosgeo.geometry.plan import Plan, make_plan
from rosgeo.geometry.windows import CropPolicy, auto_window, clip_box, decimation_of, paper_window, plan_window
from rosgeo.types import Boxes, CropWindow, FloatArray

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "golden_crops.json").read_text())
GOLDEN_CASES = [
    pytest.param(group, case, id=f"{group['width']}x{group['height']}-{i}")
    for group in GOLDEN
    for i, case in enumerate(group["cases"])
]

# Boxes as boxes_to_px gives them: multiples of 1/1024 px.
coordinate = st.integers(-3_000 * 1024, 8_000 * 1024).map(lambda n: n / 1024)
side = st.integers(0, 6_000 * 1024).map(lambda n: n / 1024)


@st.composite
def boxes_px(draw: st.DrawFn) -> FloatArray:
    x, y = draw(coordinate), draw(coordinate)
    return np.array([x, y, x + draw(side), y + draw(side)])


@st.composite
def crop_windows(draw: st.DrawFn) -> CropWindow:
    size = draw(st.integers(1, 40))
    low = st.integers(-60, 60)
    cut = st.integers(1, size)
    return CropWindow(draw(low), draw(low), size, width=draw(cut), height=draw(cut))


# -- auto windows


@given(boxes_px(), st.floats(1.01, 16), st.integers(0, 64))
def test_auto_window_size_and_centre(box: FloatArray, factor: float, min_side: int) -> None:
    window = auto_window(box, factor, min_side)
    wanted = max(math.ceil(factor * max(box[2] - box[0], box[3] - box[1])), min_side, 1)
    step = math.ceil(wanted / windows.MAX_READ_SIDE)
    assert decimation_of(window) == step
    assert window.size % step == 0
    assert wanted <= window.size < wanted + step
    assert (window.width, window.height) == (window.size, window.size)
    assert abs(window.col_off + window.size / 2 - (box[0] + box[2]) / 2) <= 0.5
    assert abs(window.row_off + window.size / 2 - (box[1] + box[3]) / 2) <= 0.5


@pytest.mark.parametrize(
    ("box", "factor", "expected"),
    [
        ((10, 10, 20, 20), 2.0, (5, 5, 20)),
        ((10, 10, 21, 15), 2.0, (5, 2, 22)),  # 4.5 and 1.5 round up
        ((-10, -10, -1, -1), 2.0, (-14, -14, 18)),  # -14.5 rounds up as well
        ((0, 0, 2000, 10), 2.0, (-1000, -1995, 4000)),
        ((0, 0, 2048.5, 10), 2.0, (-1025, -2044, 4098)),  # over 2 x 2048: whole blocks of 3 px
        ((5, 5, 5, 5), 2.0, (5, 5, 1)),
    ],
)
def test_auto_window_by_hand(box: tuple[float, ...], factor: float, expected: tuple[int, int, int]) -> None:
    assert auto_window(np.array(box), factor) == CropWindow(*expected)


@given(boxes_px(), st.floats(1.01, 16), st.integers(-20_000, 20_000), st.integers(-20_000, 20_000))
def test_auto_window_moves_with_its_box(box: FloatArray, factor: float, dx: int, dy: int) -> None:
    here = auto_window(box, factor, 24)
    shifted = box + np.array([dx, dy, dx, dy])
    there = auto_window(shifted, factor, 24)
    assert there == CropWindow(here.col_off + dx, here.row_off + dy, here.size)
    np.testing.assert_array_equal(there.px_to_crop(shifted), here.px_to_crop(box))


@pytest.mark.parametrize("factor", [1.0, 0.5, 16.5, math.nan])
def test_policy_refuses_factors(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        CropPolicy(factor=factor)


def test_plan_window_follows_the_policy() -> None:
    box = np.array([700.0, 600.0, 710.0, 620.0])
    assert plan_window(box, (1000, 1000), CropPolicy(factor=3.0)) == auto_window(box, 3.0, 24)
    assert plan_window(box, (1000, 1000), CropPolicy(min_side=100)).size == 100
    assert plan_window(box, (1000, 1000), CropPolicy(mode="paper", paper_side=256)) == paper_window(box, (1000, 1000), 256)


# -- windows as values


@given(crop_windows(), st.integers(1, 50), st.integers(1, 50))
def test_what_is_read_is_what_is_pasted(window: CropWindow, height: int, width: int) -> None:
    raster = np.arange(1, height * width + 1).reshape(height, width)
    rows, cols = window.readable(raster.shape)
    crop = np.zeros((window.size, window.size), dtype=int)
    crop[window.paste(raster.shape)] = raster[rows, cols]
    # Pixel by pixel, without slices.
    expected = np.zeros_like(crop)
    for i in range(window.height):
        for j in range(window.width):
            row, col = window.row_off + i, window.col_off + j
            if 0 <= row < height and 0 <= col < width:
                expected[i, j] = raster[row, col]
    np.testing.assert_array_equal(crop, expected)


@pytest.mark.parametrize("offset", [(-30, 2), (2, -30), (60, 2), (2, 60), (-10, -10), (50, 40)])
def test_a_window_wholly_outside_reads_nothing(offset: tuple[int, int]) -> None:
    window = CropWindow(*offset, 10)
    rows, cols = window.readable((40, 50))
    assert (rows.stop - rows.start) * (cols.stop - cols.start) == 0
    assert np.zeros((40, 50))[rows, cols].size == 0
    assert np.zeros((10, 10))[window.paste((40, 50))].size == 0


@given(crop_windows(), boxes_px(), st.sampled_from([56, 224, 512, 1024]))
def test_frames_round_trip(window: CropWindow, box: FloatArray, model_side: int) -> None:
    np.testing.assert_array_equal(window.crop_to_px(window.px_to_crop(box)), box)
    points = box.reshape(2, 2)
    np.testing.assert_array_equal(window.px_to_crop(points).ravel(), window.px_to_crop(box))
    crop = window.px_to_crop(box[None])
    model = window.crop_to_model(crop, model_side)
    np.testing.assert_allclose(window.model_to_crop(model, model_side), crop, rtol=1e-14)


def test_frames_by_hand() -> None:
    window = CropWindow(-10, 20, 40)
    np.testing.assert_array_equal(window.px_to_crop(np.array([[0.5, 20.25]])), [[10.5, 0.25]])
    np.testing.assert_array_equal(window.crop_to_model(np.array([10.0, 20.0, 30.0, 40.0]), 80), [20, 40, 60, 80])


@pytest.mark.parametrize("bad", [{"size": 0}, {"size": -3}, {"size": 5, "width": 6}, {"size": 5, "height": 6}])
def test_impossible_windows(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        CropWindow(0, 0, **bad)


# -- the reference's windows


@pytest.mark.parametrize(("group", "case"), GOLDEN_CASES)
def test_paper_window_is_the_references(group: dict[str, Any], case: dict[str, Any]) -> None:
    box = np.array(case["box"])
    window = paper_window(box, (group["height"], group["width"]), group["crop"])
    found = {"col_off": window.col_off, "row_off": window.row_off, "width": window.width, "height": window.height}
    assert found == case["window"]
    assert window.size == group["crop"]
    np.testing.assert_allclose(np.clip(window.px_to_crop(box), 0, group["crop"]), case["box_in_crop"], rtol=0, atol=1e-9)


# -- the plan


@st.composite
def layers(draw: st.DrawFn) -> tuple[Boxes, np.ndarray]:
    count = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = rng.uniform(-500, 4500, (count, 2))
    xyxy = np.concatenate([low, low + rng.uniform(0, 900, (count, 2))], axis=1)
    xyxy[rng.random(count) < 0.2] = np.nan
    usable = rng.random(count) < 0.8
    ids = rng.permutation(1000)[:count]
    return Boxes(xyxy, ids, "pixel"), usable


@given(
    layers(),
    st.integers(1, 7),
    st.sampled_from([CropPolicy(), CropPolicy(mode="paper")]),
    st.sampled_from([(3000, 4000), (500, 700)]),
)
def test_the_plan_loses_no_box(
    layer: tuple[Boxes, np.ndarray], boxes_a_tile: int, policy: CropPolicy, shape: tuple[int, int]
) -> None:
    boxes, usable = layer
    plan = make_plan(boxes, usable, shape, policy, boxes_a_tile=boxes_a_tile)
    planned = np.concatenate([t.boxes.ids for t in plan.tiles]) if plan.tiles else np.empty(0, dtype=int)
    every = np.concatenate([planned, boxes.ids[plan.invalid], boxes.ids[plan.outside]])
    np.testing.assert_array_equal(np.sort(every), np.sort(boxes.ids))
    assert plan.planned == len(planned)
    np.testing.assert_array_equal(plan.invalid, ~usable)
    np.testing.assert_array_equal(plan.outside, usable & ~on_raster(boxes, shape))
    rows = {id_: row for row, id_ in enumerate(boxes.ids)}
    for tile in plan.tiles:
        assert 1 <= len(tile) <= boxes_a_tile
        for id_, box, window in zip(tile.boxes.ids, tile.boxes.xyxy, tile.windows, strict=True):
            given_box = boxes.xyxy[rows[id_]]
            np.testing.assert_array_equal(box, clip_box(given_box, shape))
            assert window == plan_window(given_box if policy.mode == "paper" else box, shape, policy)


@given(layers(), st.integers(1, 7))
def test_tiles_follow_the_raster(layer: tuple[Boxes, np.ndarray], boxes_a_tile: int) -> None:
    boxes, usable = layer
    plan = make_plan(boxes, usable, (3000, 4000), CropPolicy(), boxes_a_tile=boxes_a_tile)
    order = [box for tile in plan.tiles for box in tile.boxes.xyxy]
    cells = [((b[1] + b[3]) / 2 // 1024, (b[0] + b[2]) / 2 // 1024) for b in order]
    assert cells == sorted(cells)


@pytest.mark.parametrize("usable", [[], [False, False], [True, True]])
def test_a_plan_of_nothing(usable: list[bool]) -> None:
    boxes = Boxes(np.full((len(usable), 4), np.nan), np.arange(len(usable)), "pixel")
    plan = make_plan(boxes, np.array(usable, dtype=bool), (100, 100), CropPolicy())
    assert isinstance(plan, Plan)
    assert plan.tiles == ()
    assert plan.planned == 0
    assert plan.outside.sum() == sum(usable)
    assert plan.invalid.sum() == len(usable) - sum(usable)


def test_a_box_over_the_edge_is_clipped_before_its_window_is_cut() -> None:
    boxes = Boxes(np.array([[-80.0, 40.0, 20.0, 60.0]]), np.array([7]), "pixel")
    ((tile,)) = make_plan(boxes, np.array([True]), (100, 100), CropPolicy(factor=2.0)).tiles
    np.testing.assert_array_equal(tile.boxes.xyxy, [[0, 40, 20, 60]])
    assert tile.windows == (CropWindow(-10, 30, 40),)
