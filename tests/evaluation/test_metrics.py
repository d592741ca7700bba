"""Scores against values that the reference code gave."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rosgeo.evaluation.metrics import boundary_iou, boundary_of, mask_iou, on_picture
from rosgeo.types import CropWindow

from tests.conftest import DATA

GOLDEN = json.loads((DATA / "golden_metrics.json").read_text())


def ellipse(shape: tuple[int, int], cy: float, cx: float, ry: float, rx: float, theta: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    u = (x - cx) * np.cos(theta) + (y - cy) * np.sin(theta)
    v = -(x - cx) * np.sin(theta) + (y - cy) * np.cos(theta)
    return (u / rx) ** 2 + (v / ry) ** 2 < 1


@pytest.mark.parametrize("case", GOLDEN, ids=[f"{c['width']}x{c['height']}-{i}" for i, c in enumerate(GOLDEN)])
def test_the_reference_s_scores(case: dict) -> None:
    shape = case["height"], case["width"]
    truth, found = ellipse(shape, **case["gt"]), ellipse(shape, **case["pred"])
    assert (int(truth.sum()), int(found.sum())) == (case["gt_pixels"], case["pred_pixels"])
    assert mask_iou(truth, found) == pytest.approx(case["iou"], abs=1e-6)
    assert boundary_iou(truth, found) == pytest.approx(case["boundary_iou"], abs=1e-6)


def test_a_boundary_is_as_wide_as_asked_and_runs_along_the_picture_s_edge() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:, 10:25] = True
    boundary = boundary_of(mask, 3)
    wanted = mask.copy()
    wanted[8:17, 13:22] = False
    np.testing.assert_array_equal(boundary, wanted)
    assert mask_iou(np.zeros((3, 3), bool), np.zeros((3, 3), bool)) == 1
    assert boundary_iou(np.zeros((3, 3), bool), np.ones((3, 3), bool)) == 0


@pytest.mark.parametrize("cells", [20, 40, 120])
def test_a_mask_of_a_crop_lies_where_its_window_does(cells: int) -> None:
    """Coarser than the pixels (of a crop that was read averaged), as fine, and finer; logits and masks alike."""
    window = CropWindow(-6, 30, 40)
    inside = np.zeros((40, 40), dtype=bool)
    inside[4:24, 2:30] = True
    on_cells = inside[::2, ::2] if cells == 20 else np.repeat(np.repeat(inside, cells // 40, 0), cells // 40, 1)
    expected = np.zeros((50, 60), dtype=bool)
    expected[34:50, 0:24] = True
    assert np.array_equal(on_picture(on_cells, window, (50, 60)), expected)
    assert np.array_equal(on_picture(np.where(on_cells, 2.5, -0.5).astype(np.float32), window, (50, 60)), expected)


def test_a_pixel_is_inside_where_its_mean_cell_is() -> None:
    logits = np.array([[3, -1, 1, -3], [-1, 1.5, 2, -3]], dtype=np.float32).repeat(2, 0)
    assert on_picture(logits, CropWindow(0, 0, 2), (2, 2)).tolist() == [[True, False], [True, False]]
