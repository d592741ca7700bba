"""What counts neither as object nor as ground has no part in targets, losses and scores; errors of workers are one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from rosgeo.errors import RasterError
from rosgeo.evaluation.scoring import evaluate
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.data import LabelledObject
from rosgeo.model.network import ModelConfig
from rosgeo.training.config import TrainConfig
from rosgeo.training.features import FeatureCache, write_shard
from rosgeo.training.losses import IGNORED, LossConfig, mask_iou, mask_loss, shrink_target
from rosgeo.training.samples import NO_AUGMENTATION, make_sample
from rosgeo.training.start import start_network
from rosgeo.training.stream import LiveSamples, ObjectDraw, live_batches

from tests.conftest import EllipseSegmenter
from tests.label_site import rings, save_picture, write_scene
from tests.training_site import HEIGHT, WIDTH, tiny_run, write_coco

VOID = np.array([[0.0, 0], [30, 0], [30, HEIGHT], [0, HEIGHT]])


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledObject:
    """An object of which the left half is ignored."""
    return LabelledObject(save_picture(tmp_path / "p.png"), HEIGHT, WIDTH, (rings()[0],), "a", "b", ignored=(VOID,))


@pytest.fixture
def run_config(tmp_path: Path, tiny_config: ModelConfig) -> TrainConfig:
    return tiny_run(tmp_path, write_coco(tmp_path / "coco"), tiny_config)


def sample_of(labelled: LabelledObject, **changes: float) -> np.ndarray:
    augmentation = replace(NO_AUGMENTATION, **changes)
    made = make_sample([labelled], 0, augmentation=augmentation, rng=np.random.default_rng(3), input_size=112, mask_size=56)
    return made.targets[0]


def test_targets_tell_what_is_ignored(labelled: LabelledObject) -> None:
    target, plain = sample_of(labelled), sample_of(replace(labelled, ignored=()))
    # The object's middle lies on the edge of what is ignored.
    assert (target[:, :27] == IGNORED).all()
    assert (target[:, 29:] == plain[:, 29:]).all()
    assert plain.min() == 0
    turned, plain = sample_of(labelled, rotate_any=1.0), sample_of(replace(labelled, ignored=()), rotate_any=1.0)
    assert 0.4 < (turned == IGNORED).mean() < 0.6
    assert (turned[turned >= 0] == plain[turned >= 0]).all()


@pytest.mark.parametrize("points", ["plain", "sampled"])
def test_ignored_cells_have_no_part_in_the_loss(points: str) -> None:
    config = LossConfig(points=points, count=4000)  # type: ignore[arg-type]
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    partly = target.clone()
    partly[..., :8] = IGNORED
    good = torch.where(target > 0, 8.0, -8.0)
    wrong = good.clone()
    wrong[..., :7] *= -1
    losses = []
    for logits, truth in ((good, target), (good, partly), (wrong, partly), (wrong, target)):
        torch.manual_seed(0)
        losses.append(float(mask_loss(logits, truth, config)))
    # A mask that is wrong on what is ignored is as good as one that is right there.
    assert losses[2] < 1.2 * losses[1] + 0.01 < 1.4 * losses[0] + 0.05
    assert losses[3] > losses[0] + 1
    assert mask_iou(wrong, partly).item() == 1
    assert mask_iou(wrong, target).item() < 0.7
    wrong.requires_grad_(True)
    mask_loss(wrong, partly, LossConfig()).backward()
    assert wrong.grad is not None
    assert (wrong.grad[..., :8] == 0).all()
    assert (wrong.grad[..., 8:] != 0).any()


def test_coarser_targets_ignore_what_is_mostly_ignored() -> None:
    target = torch.zeros(1, 4, 4)
    target[0, :2, :2] = torch.tensor([[1.0, IGNORED], [1.0, 0.0]])
    target[0, :2, 2:] = IGNORED
    assert torch.allclose(shrink_target(target, 2), torch.tensor([[[[2 / 3, IGNORED], [0, 0]]]]))


def test_kept_samples_keep_what_is_ignored(labelled: LabelledObject, run_config: TrainConfig, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "shards", "x")
    network = start_network(run_config).eval()
    settings: dict[str, Any] = {"network": network, "mask_size": 56, "max_objects": 2, "seed": 0}
    write_shard(cache, 0, size=4, objects=[labelled], augmentation=NO_AUGMENTATION, class_factors={}, **settings)
    (batch,) = cache.read([0], 4, np.random.default_rng(0))
    wanted = torch.from_numpy(sample_of(labelled))
    assert ((batch.target[0] < 0) == (wanted < 0)).all()
    assert (batch.target[0] - wanted).abs().max() < 0.01


def test_scores_leave_out_nodata_and_what_is_ignored(tmp_path: Path, ellipse_segmenter: EllipseSegmenter) -> None:
    from tests.training_site import picture

    array = np.maximum(picture(0)[0].transpose(2, 0, 1), 1)
    array[:, :, :30] = 0
    path = write_scene(tmp_path / "p.tif", array, nodata=0)
    box = np.array([[16.0, 31], [44, 31], [44, 49], [16, 49]])
    whole = LabelledObject(save_picture(tmp_path / "p.png"), HEIGHT, WIDTH, (box,), "a", "b")
    hidden = replace(whole, image_path=path)
    void = replace(whole, ignored=(VOID,))
    for labelled in (hidden, void):
        result = evaluate([labelled], ellipse_segmenter, baselines=True)  # type: ignore[arg-type]
        # Half of the rectangle counts, of which the ellipse holds pi / 4; the box itself is all of it.
        assert result.area.tolist() == [14 * 18]
        assert result.iou[0] == pytest.approx(np.pi / 4, abs=0.03)
        assert result.box_iou == pytest.approx(1.0)
    assert evaluate([whole], ellipse_segmenter).area.tolist() == [28 * 18]  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_is_the_same_one_line(workers: int, tmp_path: Path) -> None:
    objects, _ = read_coco(write_coco(tmp_path / "coco", pictures=1))
    (tmp_path / "coco" / "images" / "0.png").write_text("gone since")
    samples = LiveSamples(ObjectDraw(objects, {}), NO_AUGMENTATION, 56, 32, 0)
    with pytest.raises(RasterError) as caught:
        next(live_batches(samples, [0, 1], 2, workers))
    assert "\n" not in str(caught.value)
    assert "0.png is not a raster that GDAL can open" in str(caught.value)
    assert caught.value.__cause__ is None or "Traceback" not in str(caught.value.__cause__)


def test_the_command_names_all_torn_pictures_before_the_first_update(
    run_config: TrainConfig, cli: Callable[..., Result], tmp_path: Path
) -> None:
    for name in ("0.png", "2.png"):
        path = tmp_path / "coco" / "images" / name
        path.write_bytes(path.read_bytes()[:3000])
    (tmp_path / "c.yaml").write_text(f"train: {tmp_path / 'coco'}\ninit: {{model: rosgeo-small}}\noutput: {tmp_path / 'new'}\n")
    run = cli("train", tmp_path / "c.yaml")
    assert run.exit_code == 2
    assert "0.png cannot be read as a picture" in run.output
    assert "(2 pictures cannot be read, also 2.png)" in run.output
    assert len(run.output.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()
