"""Training: targets, samples, configuration, and a run that resumes where it was killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
import yaml
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rosgeo.errors import ConfigError, InputFileNotFoundError, TrainingDataError
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import batch_crops
from rosgeo.inference.predict import Segmenter
from rosgeo.model.checkpoint import load_model
from rosgeo.model.network import ModelConfig, RosSam
from rosgeo.training.config import CacheConfig, OptimConfig, TrainConfig, read_config
from rosgeo.training.coverage import polygon_coverage, polygon_mask
from rosgeo.training.data import LabelledObject, class_weights, read_coco
from rosgeo.training.evaluate import _crop, evaluate
from rosgeo.training.loop import learning_rate_at, train
from rosgeo.training.losses import mask_iou, mask_loss, shrink_target
from rosgeo.training.samples import NO_AUGMENTATION, Augmentation, make_sample
from safetensors.torch import save_file

CONFIGS = Path(__file__).parents[1] / "configs" / "train"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Three pictures of bright ellipses on dark ground, and an annotation file."""
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    y, x = np.mgrid[0:90, 0:120] + 0.5
    for i in range(3):
        pixels = rng.integers(0, 60, (90, 120, 3))
        for cx, cy, rx, ry in ((30 + 5 * i, 40, 14, 9), (85, 50 - 4 * i, 10, 16)):
            pixels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = rng.integers(150, 255, 3)
            t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            ring = np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1).ravel().tolist()
            annotations.append(
                {"id": len(annotations), "image_id": i, "category_id": 1 + i % 2, "segmentation": [ring], "iscrowd": 0}
            )
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 120, "height": 90})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@given(
    st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_coverage_is_the_polygons_area(points: list[tuple[float, float]]) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    if hull.geom_type != "Polygon":
        return
    ring = shapely.get_coordinates(hull)[:-1]
    coverage = polygon_coverage([ring], (20, 20), lines_per_cell=64)
    inside = shapely.intersection(hull, shapely.box(0, 0, 20, 20)).area
    assert coverage.min() >= -1e-6
    assert coverage.max() <= 1 + 1e-6
    assert coverage.sum() == pytest.approx(inside, abs=0.02 * hull.length + 1e-6)


def test_coverage_of_a_box_is_exact_and_rings_are_joined() -> None:
    box = np.array([[1.25, 1], [3.5, 1], [3.5, 2.5], [1.25, 2.5]])
    coverage = polygon_coverage([box], (4, 5))
    assert coverage[1].tolist() == [0, 0.75, 1, 0.5, 0]
    assert coverage[2].tolist() == [0, 0.375, 0.5, 0.25, 0]
    assert polygon_coverage([box, box], (4, 5)).max() == 1
    assert not polygon_coverage([], (4, 5)).any()
    assert polygon_mask([box], (4, 5)).sum() == 2  # the centres (2.5, 1.5) and (1.5, 1.5); 3.5 and 2.5 lie on the edge


def test_training_and_inference_make_the_same_tensor(coco: Path) -> None:
    objects, left_out = read_coco(coco)
    assert len(objects) == 6
    assert left_out == {}
    for index in range(2):
        sample = make_sample(
            objects[:2], index, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=32
        )
        batch = batch_crops([_crop(objects[index], index, CropPolicy(factor=2.0, min_side=1))], 56)
        assert np.array_equal(sample.image, batch.image[0])
        np.testing.assert_allclose(sample.boxes_model[0], batch.boxes_model[0], atol=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_augmented_targets_lie_on_the_object(coco: Path, seed: int) -> None:
    # The ellipses are bright and the ground is dark, so a target that is turned or moved wrongly covers dark pixels.
    objects, _ = read_coco(coco)
    augmentation = replace(Augmentation(), photometric=0.0, grey=0.0, low_resolution=0.0, rotate_any=float(seed % 2), shift=0.2)
    sample = make_sample(
        objects[2:4], seed % 2, augmentation=augmentation, rng=np.random.default_rng(seed), input_size=112, mask_size=112
    )
    bright = sample.image.max(axis=0) > 130
    bright &= (sample.image != np.array([124, 116, 104], dtype=np.uint8)[:, None, None]).any(axis=0)
    target = sample.targets[0] > 0.5
    assert (bright & target).sum() / target.sum() > 0.93
    rows, cols = np.nonzero(target)
    box = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(sample.boxes_model[0], box, atol=1.5)


def test_losses() -> None:
    target = torch.zeros(2, 8, 8)
    target[0, 2:6, 2:6] = 1
    logits = (target * 40 - 20)[:, None]
    shrunk = shrink_target(target, 8)
    assert float(mask_loss(logits, shrunk)) == pytest.approx(0, abs=1e-4)
    assert float(mask_loss(-logits, shrunk)) > 10
    assert mask_iou(logits, shrunk).tolist() == [1.0, 1.0]
    assert mask_iou(-logits, shrunk).tolist() == [0.0, 0.0]
    assert shrink_target(target, 2).max() == 1.0 * 4 / 16


def test_class_weights(coco: Path) -> None:
    objects, _ = read_coco(coco)
    weights = class_weights(objects, {"b": 2.0})
    assert weights.sum() == pytest.approx(1)
    names = np.array([o.category for o in objects])
    assert weights[names == "b"].sum() / weights[names == "a"].sum() == pytest.approx(2 * 2**0.5 / 4**0.5)
    with pytest.raises(TrainingDataError, match="'ship'"):
        class_weights(objects, {"ship": 2.0})


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [learning_rate_at(step, 100, 1e-3, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert np.argmax(rates) in (9, 10)
    assert rates[-1] < 2e-5


def test_coco_errors(tmp_path: Path, coco: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match=r"instances\.json"):
        read_coco(tmp_path)
    (coco / "images" / "1.png").unlink()
    with pytest.raises(InputFileNotFoundError, match=r"1\.png"):
        read_coco(coco)
    (coco / "instances.json").write_text("[]")
    with pytest.raises(TrainingDataError, match="not a COCO file"):
        read_coco(coco)


@pytest.fixture
def run_config(tmp_path: Path, coco: Path, tiny_config: ModelConfig) -> TrainConfig:
    torch.manual_seed(3)
    backbone = RosSam(tiny_config).image_encoder.backbone
    save_file({k: v.contiguous() for k, v in backbone.state_dict().items()}, tmp_path / "backbone.safetensors")
    return TrainConfig(
        train=str(coco),
        val=str(coco),
        backbone=str(tmp_path / "backbone.safetensors"),
        output=str(tmp_path / "run"),
        model=tiny_config,
        cache=CacheConfig(folder=str(tmp_path / "cache"), crops=16, crops_a_file=8, objects_a_crop=2, workers=1),
        optim=OptimConfig(samples=48, batch_size=4, files_in_memory=1, coarse_share=0.5),
    )


def test_a_killed_run_resumes_to_the_same_losses(run_config: TrainConfig, tmp_path: Path) -> None:
    whole: list[float] = []
    result = train(run_config, on_step=lambda step, steps, figures: whole.append(figures["loss"]))
    assert result.steps == 12
    assert result.final["loss"] == pytest.approx(np.mean(whole[-2:]))

    class KilledError(Exception):
        pass

    seen: list[float] = []

    def kill_at_seven(step: int, steps: int, figures: dict[str, float]) -> None:
        seen.append(figures["loss"])
        if step == 7:
            raise KilledError

    other = replace(run_config, output=str(tmp_path / "other"))
    with pytest.raises(KilledError):
        train(other, on_step=kill_at_seven)
    resumed: list[tuple[int, float]] = []
    train(other, resume=True, on_step=lambda step, steps, figures: resumed.append((step, figures["loss"])))
    assert resumed[0][0] == 7  # the stretch of two steps that was cut is done again
    assert [loss for _, loss in resumed] == pytest.approx(whole[6:])
    assert seen == pytest.approx(whole[:7])
    with pytest.raises(TrainingDataError, match="seed"):
        train(replace(other, seed=1, cache=replace(other.cache, folder=str(tmp_path / "cache2"))), resume=True)


def test_training_learns_and_its_file_serves(run_config: TrainConfig) -> None:
    config = replace(run_config, optim=replace(run_config.optim, samples=400, learning_rate=3e-3))
    losses: list[float] = []
    result = train(config, on_step=lambda step, steps, figures: losses.append(figures["loss"]))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    objects, _ = read_coco(config.train)
    evaluation = evaluate(objects, Segmenter(load_model(result.weights), device="cpu"))
    assert evaluation.summary()["objects"] == 6
    assert set(evaluation.by_class()) == {"a", "b"}
    assert ((evaluation.iou >= 0) & (evaluation.iou <= 1)).all()
    assert "/" not in json.dumps(load_model(result.weights).card["training"])


def test_a_cache_of_other_settings_is_refused(run_config: TrainConfig) -> None:
    small = replace(run_config, optim=replace(run_config.optim, samples=4))
    train(small)
    with pytest.raises(TrainingDataError, match="other data or settings"):
        train(replace(small, augmentation=replace(Augmentation(), shift=0.3)))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configurations_parse(path: Path) -> None:
    config = read_config(path, ("train=elsewhere", "optim.samples=80"))
    assert config.train == "elsewhere"
    assert config.optim.samples == 80


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("optim.sampels=80",), "unknown key 'sampels'; did you mean 'samples'"),
        (("optim.samples=many",), "samples: expected int, found 'many'"),
        (("optim=3",), "optim: expected a mapping"),
        (("seed",), "expected key=value"),
        (("augmentation.flip=1",), "flip: expected bool"),
    ],
)
def test_configuration_errors(change: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(CONFIGS / "rosgeo-small.yaml", change)


def test_configuration_needs_its_keys(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("train: x\nval: y\n")
    with pytest.raises(ConfigError, match="backbone"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("train: [\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_config(tmp_path / "a.yaml")


def test_unreadable_pictures_are_named(coco: Path, run_config: TrainConfig) -> None:
    (coco / "images" / "0.png").write_text("no picture")
    objects = [o for o in read_coco(coco)[0] if o.image_path.name == "0.png"]
    with pytest.raises(TrainingDataError, match=r"0\.png cannot be read"):
        make_sample(objects, 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=32)
    assert isinstance(objects[0], LabelledObject)


def test_the_train_command(run_config: TrainConfig, tmp_path: Path, cli: Callable[..., Result]) -> None:
    config = {**asdict(run_config), "output": str(tmp_path / "by_command")}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    result = cli("train", tmp_path / "run.yaml", "--set", "optim.samples=8")
    assert result.exit_code == 0, result.output
    weights = tmp_path / "by_command" / "tiny.safetensors"
    assert str(weights) in result.stdout
    assert load_model(weights).card["steps"] == 2
    refused = cli("train", tmp_path / "run.yaml", "--set", "optim.sampels=8")
    assert refused.exit_code == 2
    assert "did you mean 'samples'" in refused.stderr
