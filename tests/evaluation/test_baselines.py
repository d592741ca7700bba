"""What a model is compared with: the boxes themselves and GrabCut from them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from rosgeo.evaluation import baselines as baselines_module
from rosgeo.evaluation import scoring as evaluate_module
from rosgeo.evaluation.baselines import box_mask, grabcut_mask
from rosgeo.evaluation.metrics import boundary_iou, mask_iou
from rosgeo.evaluation.scoring import evaluate
from rosgeo.geometry.windows import CropPolicy, round_box
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.config import DataConfig, DataSource
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject, read_crop
from rosgeo.model.checkpoint import load_model
from rosgeo.model.network import ModelConfig
from rosgeo.training.config import InitConfig, TrainConfig, ValidationConfig
from rosgeo.training.validation import Validation
from rosgeo.types import BoolArray, Crop, CropWindow

from tests.conftest import EllipseSegmenter
from tests.training_site import write_coco


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Bright ellipses on dark ground."""
    return write_coco(tmp_path / "coco")


def crop_of(picture: np.ndarray, box: tuple[float, float, float, float], size: int | None = None) -> Crop:
    """A picture (h, h, 3) as the crop of a window of `size`."""
    window = CropWindow(0, 0, size or len(picture))
    return Crop(0, window, np.array(box, dtype=np.float64), picture.transpose(2, 0, 1), np.ones(picture.shape[:2], dtype=bool))


def disc(side: int, radius: float) -> tuple[np.ndarray, BoolArray]:
    """A bright disc in the middle of a dark picture (side, side, 3), and where it is."""
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    inside = np.hypot(x, y) < radius
    picture = np.random.default_rng(0).integers(0, 50, (side, side, 3)).astype(np.uint8)
    picture[inside] += np.array([180, 160, 60], dtype=np.uint8)
    return picture, inside


def around(labelled: LabelledObject) -> BoolArray:
    return box_mask(labelled.box_px, (labelled.height, labelled.width))


def test_grabcut_finds_what_stands_out_in_its_box() -> None:
    picture, inside = disc(80, 22)
    found = grabcut_mask(crop_of(picture, (17.6, 17.6, 62.4, 62.4)))
    assert mask_iou(found, inside) > 0.97
    # A crop that was read averaged holds fewer pixels than its window.
    small = grabcut_mask(crop_of(picture, (52.8, 52.8, 187.2, 187.2), size=240))
    assert np.array_equal(small, found)


def test_grabcut_is_the_same_each_time() -> None:
    """On patches of colours that object and ground share, where the clusters that it starts from decide."""
    inside = disc(64, 18)[1]
    for number in range(6):
        rng = np.random.default_rng(number)
        bright, dark = (rng.integers(*levels, (8, 8, 3)).repeat(8, 0).repeat(8, 1) for levels in ((60, 255), (0, 180)))
        crop = crop_of(np.where(inside[..., None], bright, dark).astype(np.uint8), (12, 12, 52, 52))
        masks = []
        for seed in range(5):
            cv2.setRNGSeed(seed)
            masks.append(grabcut_mask(crop))
        assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((10.0, 10.0, 10.0, 30.0), 0),
        ((10.1, 10.0, 10.3, 30.0), 0),
        ((40.0, 40.0, 40.0, 40.0), 0),
        ((0.0, 0.0, 40.0, 40.0), 1600),
        ((-3.0, 0.2, 60.0, 39.8), 1600),
    ],
    ids=["no width", "less than a pixel", "the corner", "the crop", "beyond the crop"],
)
def test_boxes_that_leave_grabcut_nothing_to_do(box: tuple[float, float, float, float], pixels: int) -> None:
    found = grabcut_mask(crop_of(disc(40, 10)[0], box))
    assert (found.shape, found.sum()) == ((40, 40), pixels)


@pytest.mark.parametrize("box", [(20.0, 20.0, 21.0, 21.0), (0.0, 0.0, 39.0, 40.0), (38.6, 38.6, 40.0, 40.0)])
def test_small_large_and_flat_do_not_crash(box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = round_box(np.array(box), 40)
    for picture in (disc(40, 10)[0], np.full((40, 40, 3), 7, np.uint8)):
        found = grabcut_mask(crop_of(picture, box))
        found[top:bottom, left:right] = False
        assert not found.any()


def test_boxes_are_rounded_to_the_nearest_edges_of_pixels() -> None:
    assert round_box(np.array([1.5, 1.49, 7.5, 12.0]), 10) == (2, 1, 8, 10)
    assert round_box(np.array([-2.0, -0.6, 0.4, 0.5]), 10) == (0, 0, 0, 1)


def test_all_three_are_scored_alike(coco: Path, ellipse_segmenter: EllipseSegmenter) -> None:
    objects, _ = read_coco(coco)
    policy = CropPolicy(factor=2.0)
    result = evaluate(objects, ellipse_segmenter, policy, baselines=True)  # type: ignore[arg-type]
    assert result.box is not None
    assert result.grabcut is not None
    shape = (objects[0].height, objects[0].width)
    truths = [polygon_mask(o.rings, shape) for o in objects]
    boxes = [around(o) for o in objects]
    np.testing.assert_allclose(result.box.iou, [mask_iou(b, t) for b, t in zip(boxes, truths, strict=True)])
    np.testing.assert_allclose(result.box_iou, np.pi / 4, atol=0.03)  # type: ignore[arg-type]
    pairs = [(boxes[i] | boxes[i + 1], truths[i] | truths[i + 1]) for i in (0, 2, 4)]
    np.testing.assert_allclose(result.box.image_iou, [mask_iou(*pair) for pair in pairs])
    np.testing.assert_allclose(result.box.image_biou, [boundary_iou(*pair) for pair in pairs])
    # On the object, also where the crop passes the picture's edge.
    assert result.grabcut_iou is not None
    assert result.grabcut_iou.min() > 0.9
    assert result.grabcut.image_iou.shape == (3,)
    assert result.grabcut.image_iou.min() > 0.9
    assert result.summary()["baselines"] == {"box": result.box.means(), "grabcut": result.grabcut.means()}


def test_grabcut_sees_the_crop_of_the_model(
    coco: Path, ellipse_segmenter: EllipseSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, _ = read_coco(coco)
    seen: list[Crop] = []

    def watched(crop: Crop) -> BoolArray:
        seen.append(crop)
        return grabcut_mask(crop)

    monkeypatch.setattr(baselines_module, "grabcut_mask", watched)
    given: dict[int, Crop] = {}
    evaluate(objects, ellipse_segmenter, baselines=True, on_mask=lambda row, crop, _: given.update({row: crop}))  # type: ignore[arg-type]
    assert sorted(crop.id for crop in seen) == list(range(len(objects)))
    for crop in seen:
        assert crop is given[crop.id]
        assert np.array_equal(crop.image, read_crop(objects[crop.id], crop.window)[0])


def test_baselines_are_left_out_unless_asked_for(coco: Path, ellipse_segmenter: EllipseSegmenter) -> None:
    result = evaluate(read_coco(coco)[0], ellipse_segmenter)  # type: ignore[arg-type]
    assert (result.box, result.grabcut, result.box_iou, result.grabcut_iou) == (None, None, None, None)
    assert result.summary()["baselines"] is None


def test_their_time_is_not_the_model_s(coco: Path, ellipse_segmenter: EllipseSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(crop: Crop) -> BoolArray:
        time.sleep(0.3)
        return np.zeros(crop.valid.shape, dtype=bool)

    monkeypatch.setattr(baselines_module, "grabcut_mask", slow)
    result = evaluate(read_coco(coco)[0], ellipse_segmenter, baselines=True)  # type: ignore[arg-type]
    assert result.seconds_an_object < 0.25


def test_training_does_without_them(
    coco: Path, tmp_path: Path, tiny_model: Path, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise AssertionError("baselines are of no use while training")

    monkeypatch.setattr(evaluate_module, "Baselines", refuse)
    config = TrainConfig(
        data=DataConfig(train=(DataSource(path=str(coco)),)), init=InitConfig(model="m"), validation=ValidationConfig(objects=2)
    )
    loaded = load_model(tiny_model)
    figures = Validation(config, read_coco(coco)[0]).run(loaded.network, "cpu", tmp_path, 1, "hq")  # type: ignore[arg-type]
    assert figures["objects"] == 2


def score(cli: Callable[..., Result], coco: Path, model: Path, json_path: Path, *options: str) -> tuple[list[str], Any]:
    run = cli("evaluate", coco, "--model", model, "--device", "cpu", "--json", json_path, *options)
    assert run.exit_code == 0, run.output
    return run.stdout.splitlines(), json.loads(json_path.read_text())


def test_the_command_compares(coco: Path, tiny_model: Path, cli: Callable[..., Result], tmp_path: Path) -> None:
    lines, figures = score(cli, coco, tiny_model, tmp_path / "e.json")
    start = lines.index("| | object IoU | image IoU | image BIoU |")
    rows = {"**the model**": figures, "the boxes themselves": figures["baselines"]["box"]}
    rows["GrabCut from the box"] = figures["baselines"]["grabcut"]
    wanted = [
        f"| {name} | " + " | ".join(f"{row[k]:.4f}" for k in ("object_iou", "image_iou", "image_biou")) + " |"
        for name, row in rows.items()
    ]
    assert lines[start + 2 : start + 5] == wanted
    assert len({row["object_iou"] for row in rows.values()}) == 3
    lines, figures = score(cli, coco, tiny_model, tmp_path / "e.json", "--no-baselines")
    assert figures["baselines"] is None
    assert not [line for line in lines if "boxes themselves" in line or "GrabCut" in line]
    assert any(line.startswith("| **the model** |") for line in lines)


def test_without_opencv_the_table_says_so(
    coco: Path, tiny_model: Path, cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    lines, figures = score(cli, coco, tiny_model, tmp_path / "e.json")
    assert figures["baselines"]["grabcut"] is None
    assert figures["baselines"]["box"]["object_iou"] > 0.7
    assert [line for line in lines if "GrabCut" in line] == [
        "| GrabCut from the box | needs OpenCV: pip install 'rosgeo[grabcut]' | | |"
    ]
