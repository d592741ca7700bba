"""Clicks on masks, without a model: the clicked cell and pixel are in or out, and far ground stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rosgeo.inference.clicks import click_logits, click_mask
from rosgeo.types import CropWindow, ObjectMask
from rosgeo.vector.clicked import clicked_polygon
from rosgeo.vector.polygonize import OutlineOptions, mask_to_polygon

SIDE = 64
WINDOW = CropWindow(100, 200, 32)


def disc(radius: float = 16.0, centre: tuple[float, float] = (32, 32)) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return (radius - np.hypot(x - centre[0], y - centre[1])).astype(np.float32)


def mask_of(logits: np.ndarray) -> ObjectMask:
    return ObjectMask(0, WINDOW, logits, 0.9, 0.8)


clicks = st.lists(
    st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.booleans()), max_size=8, unique_by=lambda c: c[:2]
)


@given(clicks, st.sampled_from([3.0, 16.0, 60.0]))
def test_every_click_holds_whatever_came_after_it(made: list[tuple[int, int, bool]], radius: float) -> None:
    points, positive = np.array([c[:2] for c in made]).reshape(-1, 2) + 0.5, np.array([c[2] for c in made], dtype=bool)
    logits = click_logits(disc(radius), points, positive)
    for (x, y, inside), _ in zip(made, points, strict=True):
        assert (logits[y, x] > 0) == inside
    assert np.isfinite(logits).all()


def test_a_click_moves_the_outline_past_itself_and_leaves_far_ground_alone() -> None:
    before = disc()
    after = click_logits(before, np.array([[54.5, 32.5]]), np.array([True]))
    # The click is 6 cells off the outline; what lies between belongs to the object now, the far side of the disc is what it was.
    assert (after[32, 32:55] > 0).all()
    assert not after[32, 64 - 3 :].max() > 0
    np.testing.assert_allclose(after[:, :8], before[:, :8], atol=1e-3)
    assert (after >= before).all()


def test_a_click_that_the_mask_agrees_with_changes_nothing() -> None:
    before = disc()
    np.testing.assert_array_equal(click_logits(before, np.array([[32.0, 32.0], [1.0, 1.0]]), np.array([True, False])), before)
    np.testing.assert_array_equal(click_logits(before, np.empty((0, 2)), np.empty(0, dtype=bool)), before)


def test_the_last_of_two_clicks_in_a_cell_counts() -> None:
    out = click_logits(disc(), np.array([[50.2, 32.2], [50.8, 32.8]]), np.array([True, False]))
    assert out[32, 50] < 0


def test_clicks_do_not_mend_a_model_that_failed() -> None:
    failed = mask_of(np.full((SIDE, SIDE), np.nan, dtype=np.float32))
    assert click_mask(failed, np.array([[110.0, 210.0]]), np.array([True])) is failed


@pytest.mark.parametrize("outline", ["smooth", "pixel"])
@pytest.mark.parametrize("min_area", [None, 50.0])
@settings(max_examples=25)
@given(made=clicks, seed=st.integers(0, 3))
def test_the_pixel_of_each_click_is_wholly_in_or_out_of_the_polygon(
    outline: str, min_area: float | None, made: list[tuple[int, int, bool]], seed: int
) -> None:
    last = {(x // 2, y // 2): inside for x, y, inside in made}
    points = np.array([(x / 2 + 100.25, y / 2 + 200.25) for x, y, _ in made]).reshape(-1, 2)
    positive = np.array([inside for *_, inside in made], dtype=bool)
    noise = np.random.default_rng(seed).normal(0, 3, (SIDE, SIDE)).astype(np.float32) if seed else 0
    mask = click_mask(mask_of(disc() + noise), points, positive)
    options = OutlineOptions(outline=outline, min_area=min_area)
    polygon = clicked_polygon(mask, np.array([108.0, 208.0, 124.0, 224.0]), points, positive, options)
    for (column, row), inside in last.items():
        pixel = shapely.box(100 + column, 200 + row, 101 + column, 201 + row)
        covered = 0.0 if polygon is None else polygon.intersection(pixel).area
        assert covered == pytest.approx(1.0 if inside else 0.0, abs=1e-9)
    assert polygon is None or (polygon.is_valid and polygon.geom_type in {"Polygon", "MultiPolygon"})


def test_without_clicks_the_polygon_is_the_usual_one() -> None:
    box, options = np.array([108.0, 208.0, 124.0, 224.0]), OutlineOptions()
    polygon = clicked_polygon(mask_of(disc()), box, np.empty((0, 2)), np.empty(0, dtype=bool), options)
    usual = mask_to_polygon(mask_of(disc()), box, options)
    assert polygon is not None
    assert usual is not None
    assert polygon.equals_exact(usual, 0)


def test_a_small_part_that_was_clicked_is_kept_whole() -> None:
    logits = np.maximum(disc(), disc(2.0, (60.0, 5.0)))
    box, point = np.array([108.0, 208.0, 124.0, 224.0]), np.array([[130.0, 202.5]])
    usual = mask_to_polygon(mask_of(logits), box, OutlineOptions())
    clicked = clicked_polygon(mask_of(logits), box, point, np.array([True]), OutlineOptions())
    assert usual is not None
    assert clicked is not None
    assert usual.geom_type == "Polygon"
    # A disc with a radius of a pixel.
    assert clicked.area - usual.area == pytest.approx(np.pi, rel=0.15)
