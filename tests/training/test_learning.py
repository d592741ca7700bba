"""Training: targets, samples, losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rosgeo.errors import ConfigError, RasterError, TrainingDataError
from rosgeo.evaluation.scoring import _crops
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import batch_crops
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.coverage import polygon_coverage, polygon_mask
from rosgeo.labelled.data import LabelledObject, class_weights, read_crop
from rosgeo.labelled.outlines import join_loops, mask_path
from rosgeo.training.losses import (
    LossConfig,
    mask_iou,
    mask_loss,
    plain_loss,
    point_loss,
    sample_points,
    shrink_target,
    uncertain_points,
)
from rosgeo.training.photometric import blur_picture, noise_picture
from rosgeo.training.samples import NO_AUGMENTATION, Augmentation, make_sample
from rosgeo.training.stream import LiveSamples, ObjectDraw, live_batches
from rosgeo.types import CropWindow

from tests.training_site import write_coco


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco")


# GEOS's own intersection is wrong for subnormal coordinates.
_SIDE = st.floats(-5, 25, allow_subnormal=False)


@given(
    st.lists(st.tuples(_SIDE, _SIDE), min_size=3, max_size=8),
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


@given(st.integers(0, 2**25 - 1))
@settings(max_examples=60)
def test_the_outline_of_a_mask_is_the_mask(bits: int) -> None:
    mask = np.array([bits >> i & 1 for i in range(25)], dtype=bool).reshape(5, 5)
    if mask.any():
        path = mask_path(mask)
        assert np.array_equal(polygon_mask([path + 1], (7, 7)), np.pad(mask, 1))
        np.testing.assert_allclose(polygon_coverage([path], (5, 5)), mask, atol=1e-6)


def test_holes_stay_holes() -> None:
    outer, hole, other = (np.array(shapely.box(*b).exterior.coords)[:-1] for b in ((1, 1, 9, 9), (3, 3, 5, 6), (6.5, 6, 8, 8)))
    coverage = polygon_coverage([join_loops([outer, hole, other])], (10, 10))
    assert coverage.sum() == pytest.approx(64 - 6 - 3)
    assert coverage[4, 4] == 0
    assert coverage[7, 6] == pytest.approx(0.5)


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_without_augmentation_training_and_inference_make_the_same_tensors(coco: Path, factor: float) -> None:
    objects, left_out = read_coco(coco)
    assert (len(objects), left_out) == (6, {})
    # Also one whose crop passes the edge of the picture, and one that is smaller than the smallest crop.
    ring = np.array([[100.25, 2.0], [119.5, 1.0], [118.0, 30.75]])
    objects += [replace(objects[0], rings=(ring,)), replace(objects[0], rings=(np.array([[50.0, 50], [54, 51], [52, 55]]),))]
    augmentation = replace(NO_AUGMENTATION, box_share=(1 / factor, 1 / factor))
    for index, labelled in enumerate(objects):
        rng = np.random.default_rng(index)
        sample = make_sample([labelled], 0, augmentation=augmentation, rng=rng, input_size=56, mask_size=32)
        batch = batch_crops(list(_crops([labelled], CropPolicy(factor=factor), {})), 56)
        assert np.array_equal(sample.image, batch.image[0])
        assert np.array_equal(sample.boxes_model, batch.boxes_model)
        window = batch.crops[0].window
        truth = polygon_coverage([window.px_to_crop(r) * (32 / window.size) for r in labelled.rings], (32, 32))
        np.testing.assert_allclose(sample.targets[0], truth * (sample.targets[0] > 0), atol=1e-6)


def test_very_large_crops_are_averaged_as_at_inference(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (300, 2600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    ring = np.array([[10.0, 20], [2500, 20], [2500, 280], [10, 280]])
    labelled = LabelledObject(tmp_path / "a.png", 300, 2600, (ring,), "a", "b")
    crop = next(_crops([labelled], CropPolicy(factor=2.0), {}))
    assert crop.image.shape == (3, crop.window.size // 3, crop.window.size // 3)
    sample = make_sample([labelled], 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=32)
    assert np.array_equal(sample.image, batch_crops([crop], 56).image[0])
    turned = replace(NO_AUGMENTATION, rotate_any=1.0)
    sample = make_sample([labelled], 0, augmentation=turned, rng=np.random.default_rng(0), input_size=56, mask_size=32)
    assert 0.02 < sample.targets.mean() < 0.04  # 2490 x 260 px of about 5000 x 5000, less what cells at the edge lose


def test_every_switch_has_its_effect_and_its_off_value(coco: Path) -> None:
    objects, _ = read_coco(coco)

    def sample(augmentation: Augmentation, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        made = make_sample(objects[:1], 0, augmentation=augmentation, rng=np.random.default_rng(seed), input_size=56, mask_size=32)
        return made.image, made.boxes_model

    plain = sample(NO_AUGMENTATION)
    assert all(np.array_equal(a, b) for a, b in zip(plain, sample(NO_AUGMENTATION, seed=1), strict=True))
    of_picture = {"photometric": 1.0, "grey": 1.0, "blur": 1.0, "noise": 1.0}
    low = {"low_resolution": 1.0, "low_resolution_px": (3.0, 5.0)}
    for change in ({k: v} for k, v in of_picture.items()):
        image, boxes = sample(replace(NO_AUGMENTATION, **change))
        assert not np.array_equal(image, plain[0]), change
        assert np.array_equal(boxes, plain[1])
    assert not np.array_equal(sample(replace(NO_AUGMENTATION, **low))[0], plain[0])
    image, boxes = sample(replace(NO_AUGMENTATION, box_jitter=0.1))
    assert np.array_equal(image, plain[0])
    moved = np.abs(boxes - plain[1]) / np.tile(plain[1][:, 2:] - plain[1][:, :2], 2)
    assert 0 < moved.max() <= 0.1
    for change in ({"shift": 0.2}, {"rotate_any": 1.0}, {"box_share": (0.2, 0.3)}):
        assert not np.array_equal(sample(replace(NO_AUGMENTATION, **change))[1], plain[1]), change
    for name in ("flip", "quarter_turns"):
        images = [sample(replace(NO_AUGMENTATION, **{name: True}), seed)[0] for seed in range(8)]
        assert any(not np.array_equal(image, plain[0]) for image in images), name


def test_the_box_stays_in_the_crop_however_far_it_is_shifted(coco: Path) -> None:
    objects, _ = read_coco(coco)
    augmentation = replace(NO_AUGMENTATION, shift=0.5, box_share=(0.3, 0.9))
    for seed in range(20):
        sample = make_sample(
            objects[:1], 0, augmentation=augmentation, rng=np.random.default_rng(seed), input_size=560, mask_size=32
        )
        x_min, y_min, x_max, y_max = sample.boxes_model[0]
        assert (x_max - x_min) / (y_max - y_min) == pytest.approx(14 / 9, rel=0.01)


@pytest.mark.parametrize("change", [{"box_share": (0.5, 0.2)}, {"box_share": (0.5, 1.2)}, {"blur_px": (0.0, 1.0)}, {"shift": -0.1}])
def test_augmentation_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(NO_AUGMENTATION, **change)


def test_blur_and_noise_are_as_strong_as_they_say() -> None:
    image = np.zeros((3, 41, 41), dtype=np.uint8)
    image[:, 20, 20] = 255
    image[:, 20, 21] = 255
    blurred = blur_picture(image, 1.5).astype(float)
    x = np.arange(41) - 20.5
    assert np.sqrt((blurred[0].sum(axis=0) * x**2).sum() / blurred[0].sum()) == pytest.approx(np.hypot(1.5, 0.5), abs=0.3)
    grey = np.full((3, 64, 64), 128, dtype=np.uint8)
    assert noise_picture(grey, 6.0, np.random.default_rng(0)).std() == pytest.approx(6, rel=0.05)


def test_hidden_ground_is_padding(coco: Path) -> None:
    objects, _ = read_coco(coco)
    window = CropWindow(10, 20, 40)
    seen, valid = read_crop(objects[0], window)
    image, shown = read_crop(replace(objects[0], hidden=((0, 32, 64, 64), (200, 200, 300, 300))), window)
    assert valid.all()
    assert np.array_equal(np.argwhere(~shown).min(axis=0), (12, 0))
    assert np.array_equal(image[:, :12], seen[:, :12])
    assert set(map(tuple, image[:, 12:].reshape(3, -1).T.tolist())) == {(124, 116, 104)}


def test_sample_n_depends_on_the_seed_and_n_alone(coco: Path) -> None:
    objects, _ = read_coco(coco)
    augmentation = Augmentation(blur=0.5, noise=0.5, box_share=(0.2, 0.4))
    samples = LiveSamples(ObjectDraw(objects, {}), augmentation, 56, 32, seed=4)
    alone = list(live_batches(samples, range(12), 4, workers=0))
    beside = list(live_batches(samples, range(4, 12), 2, workers=2))
    assert torch.equal(torch.cat([b.image for b in alone[1:]]), torch.cat([b.image for b in beside]))
    assert torch.equal(torch.cat([b.target for b in alone[1:]]), torch.cat([b.target for b in beside]))
    # More objects of the same crops: the first of each crop is the one that was asked for.
    several = LiveSamples(ObjectDraw(objects, {}), augmentation, 56, 32, seed=4, max_objects=2)
    more = next(live_batches(several, range(12), 12, workers=0))
    assert torch.equal(more.image, torch.cat([b.image for b in alone]))
    assert len(more.target) > 12
    assert more.crop_of is not None
    first = [int((more.crop_of == i).nonzero()[0]) for i in range(12)]
    assert torch.equal(more.target[first], torch.cat([b.target for b in alone]))
    other = LiveSamples(ObjectDraw(objects, {}), Augmentation(), 56, 32, seed=5)
    assert not torch.equal(other[0][0], alone[0].image[0])


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
    assert float(mask_loss(logits, shrunk, LossConfig())) == float(plain_loss(logits, shrunk))
    assert mask_iou(logits, shrunk).tolist() == [1.0, 1.0]
    assert mask_iou(-logits, shrunk).tolist() == [0.0, 0.0]
    assert shrink_target(target, 2).max() == 1.0 * 4 / 16


def test_sampled_points_are_the_most_uncertain() -> None:
    # Logits rise linearly from left to right and cross zero in the middle.
    logits = torch.linspace(-8, 8, 64).expand(2, 1, 64, 64)
    config = LossConfig(points="sampled", count=1000)
    torch.manual_seed(0)
    points = uncertain_points(logits, config)
    assert points.shape == (2, 1000, 2)
    near, rest = points[:, :750], points[:, 750:, 0]
    # A quarter of three times as many candidates is taken: an eighth of the width on each side of the middle. In the outer half of the
    # cells at the edge the logits fade to zero, in HQ-SAM as here.
    inner = near[((near[..., 1] - 0.5).abs() < 0.5 - 1 / 128)]
    assert len(inner) > 0.9 * 2 * 750
    assert (inner[:, 0] - 0.5).abs().max() == pytest.approx(0.125, abs=0.02)
    assert rest.min() < 0.02
    assert rest.max() > 0.98


def test_point_loss_is_the_weighted_loss_at_its_points() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 1, 16, 16), (torch.rand(3, 1, 32, 32) > 0.6).float()
    config = LossConfig(points="sampled", count=500)
    torch.manual_seed(7)
    loss = float(point_loss(logits, target, config))
    torch.manual_seed(7)
    points = uncertain_points(logits, config)
    z, t = sample_points(logits, points).double(), sample_points(target, points).double()
    p = torch.sigmoid(z)
    weight = torch.where(t > 0, 1 + 9 * t, torch.ones_like(t))
    cross_entropy = -(weight * (t * torch.log(p) + (1 - t) * torch.log(1 - p))).mean()
    dice = torch.stack([1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, t, strict=True)]).mean()
    assert loss == pytest.approx(float(cross_entropy + dice), rel=1e-5)


def test_points_are_bilinear_and_span_the_grid() -> None:
    grid = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]])
    assert sample_points(grid, points).tolist() == [[0.0, 1.0, 1.5, 2.0]]


def test_class_weights(coco: Path) -> None:
    objects, _ = read_coco(coco)
    weights = class_weights(objects, {"b": 2.0})
    assert weights.sum() == pytest.approx(1)
    names = np.array([o.category for o in objects])
    assert weights[names == "b"].sum() / weights[names == "a"].sum() == pytest.approx(2 * 2**0.5 / 4**0.5)
    with pytest.raises(TrainingDataError, match="'ship'"):
        class_weights(objects, {"ship": 2.0})


def test_unreadable_pictures_are_named(coco: Path) -> None:
    objects = [o for o in read_coco(coco)[0] if o.image_path.name == "0.png"]
    (coco / "images" / "0.png").write_text("no picture")
    (coco / "images" / "2.png").write_text("no picture either")
    with pytest.raises(TrainingDataError, match=r"0\.png cannot be read .*\(2 pictures cannot be read, also 2\.png\)"):
        read_coco(coco)
    with pytest.raises(RasterError, match=r"0\.png is not a raster"):
        make_sample(objects, 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=32)
    assert isinstance(objects[0], LabelledObject)
