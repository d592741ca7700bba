"""``rosgeo evaluate``: figures of a stand-in model that can be computed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from rosgeo.cli.evaluate import ablation_table
from rosgeo.errors import TrainingDataError
from rosgeo.evaluation.metrics import boundary_iou, mask_iou
from rosgeo.evaluation.scoring import PIPELINE_ABLATION, SIZE_CLASSES, evaluate, pipeline_ablation
from rosgeo.geometry.windows import CropPolicy
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.model.checkpoint import load_model

from tests.conftest import NORTH_UP, EllipseSegmenter, px_boxes

BOXES = {
    "a.png": [("car", 10, 10, 8, 6), ("roof", 30, 20, 40, 30)],
    "b.png": [("roof", 5, 60, 110, 100), ("roof", 120, 20, 30, 60)],
}


# The labels here are rectangles, so that figures can be computed by hand.
pytestmark = pytest.mark.filterwarnings("ignore:.*upright rectangles:rosgeo.errors.LabelsWarning")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures with rectangles as labels."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "roof"}]}
    for i, (name, boxes) in enumerate(BOXES.items()):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (170, 160, 3), dtype=np.uint8)).save(root / "images" / name)
        content["images"].append({"id": i, "file_name": name, "height": 170, "width": 160})
        for category, x, y, w, h in boxes:
            ring = [x, y, x + w, y, x + w, y + h, x, y + h]
            content["annotations"].append(
                {"id": len(content["annotations"]), "image_id": i, "category_id": 1 if category == "car" else 2,
                 "segmentation": [ring], "bbox": [x, y, w, h], "iscrowd": 0}
            )  # fmt: skip
    (root / "instances.json").write_text(json.dumps(content))
    return root


def ellipse_mask(x: float, y: float, w: float, h: float) -> np.ndarray:
    cy, cx = np.mgrid[:170, :160] + 0.5
    return ((cx - x - w / 2) / (w / 2)) ** 2 + ((cy - y - h / 2) / (h / 2)) ** 2 < 1


@pytest.mark.parametrize("mode", ["auto", "tiles", "whole"])
def test_figures_of_ellipses_against_rectangles(coco: Path, ellipse_segmenter: EllipseSegmenter, mode: Any) -> None:
    objects, _ = read_coco(coco)
    result = evaluate(objects, ellipse_segmenter, CropPolicy(mode=mode, paper_side=1024), baselines=True)  # type: ignore[arg-type]
    wanted, images = [], []
    for boxes in BOXES.values():
        masks = [ellipse_mask(*box[1:]) for box in boxes]
        truths = [
            polygon_mask([np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)], (170, 160)) for _, x, y, w, h in boxes
        ]
        wanted += [mask_iou(a, b) for a, b in zip(masks, truths, strict=True)]
        union, truth = np.logical_or.reduce(masks), np.logical_or.reduce(truths)
        images.append((mask_iou(union, truth), boundary_iou(union, truth)))
    np.testing.assert_allclose(result.iou, wanted, atol=0.03)
    np.testing.assert_allclose(result.image_iou, [i for i, _ in images], atol=0.01)
    np.testing.assert_allclose(result.image_biou, [b for _, b in images], atol=0.03)
    assert result.by_class()["roof"] == (3, pytest.approx(result.iou[1:].mean()))
    assert {name: n for name, (n, _) in result.by_size().items()} == {SIZE_CLASSES[0]: 1, SIZE_CLASSES[2]: 2, SIZE_CLASSES[3]: 1}
    (bin_,) = result.calibration()
    assert (bin_["from"], bin_["objects"], bin_["score"]) == (0.9, 4, 0.9)
    # The labels are the boxes.
    np.testing.assert_allclose(result.box_iou, 1.0)  # type: ignore[arg-type]
    summary = result.summary()
    assert summary["score_error"] == pytest.approx(np.abs(result.iou - 0.9).mean(), abs=1e-4)
    json.dumps(summary)
    with pytest.raises(TrainingDataError, match="no object to evaluate on"):
        evaluate([], ellipse_segmenter)  # type: ignore[arg-type]


def test_the_order_of_the_objects_does_not_matter(coco: Path, ellipse_segmenter: EllipseSegmenter) -> None:
    objects, _ = read_coco(coco)
    shuffled = [objects[i] for i in (2, 0, 3, 1)]
    a, b = (evaluate(o, ellipse_segmenter) for o in (objects, shuffled))  # type: ignore[arg-type]
    np.testing.assert_array_equal(a.iou[[2, 0, 3, 1]], b.iou)
    np.testing.assert_array_equal(a.image_iou, b.image_iou)


def test_the_paper_s_tables_on_any_data(coco: Path, tiny_model: Path) -> None:
    objects, _ = read_coco(coco)
    rows = pipeline_ablation(objects, load_model(tiny_model), device="cpu")
    assert [row for row, _ in rows] == list(PIPELINE_ABLATION)
    assert all(len(result.iou) == 4 for _, result in rows)
    assert len(ablation_table(rows).splitlines()) == 2 + len(rows)
    # Each row cuts, enlarges or groups otherwise, so no two give the same masks.
    assert len({tuple(result.iou) for _, result in rows}) > 5


def test_the_command(coco: Path, tiny_model: Path, cli: Callable[..., Result], tmp_path: Path) -> None:
    run = cli("evaluate", coco, "--model", tiny_model, "--device", "cpu", "--json", tmp_path / "e.json")
    assert run.exit_code == 0, run.output
    figures = json.loads((tmp_path / "e.json").read_text())
    assert (figures["objects"], figures["model"], figures["data"]) == (4, "tiny", "data")
    assert f"| **all** | 4 | **{figures['object_iou']:.4f}** |" in run.stdout
    quiet = ("-q", "--json", tmp_path / "t.json")
    table = cli("evaluate", coco, "--model", tiny_model, "--device", "cpu", "--ablate", "pipeline", "--every", 2, *quiet)
    assert (table.exit_code, table.output) == (0, "")
    assert len(json.loads((tmp_path / "t.json").read_text())["rows"]) == len(PIPELINE_ABLATION)
    drawn = cli("evaluate", coco, "--model", tiny_model, "--device", "cpu", "--picture", tmp_path / "worst.png")
    assert drawn.exit_code == 0, drawn.output
    assert "| the boxes themselves | 1.0000 | 1.0000 | 1.0000 |" in drawn.stdout
    assert Image.open(tmp_path / "worst.png").width == 4 * 224
    missing = cli("evaluate", tmp_path / "nowhere", "-q")
    assert (missing.exit_code, "no such file; a COCO folder holds" in missing.output) == (2, True)


def test_a_raster_with_labels(site: Any, cli: Callable[..., Result], tmp_path: Path, tiny_model: Path) -> None:
    boxes = px_boxes([(10, 10, 40, 30), (60, 20, 90, 50)], NORTH_UP, "EPSG:32633", kind=["car", "roof"])
    boxes.to_crs(4326).to_file(tmp_path / "labels.gpkg")
    run = cli(
        "evaluate", "scene.tif", "--labels", "labels.gpkg", "--class-column", "kind", "--model", tiny_model, "--device", "cpu"
    )
    assert run.exit_code == 0, run.output
    assert "objects 2, pictures 1" in run.stdout
    assert "| car | 1 |" in run.stdout
    missing = cli("evaluate", "scene.tif", "--labels", "nowhere.gpkg", "-q")
    assert (missing.exit_code, "Traceback" in missing.output) == (2, False)
