"""Small labelled data and a small run for the tests of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rosgeo.labelled.config import DataConfig, DataSource
from rosgeo.model.network import ModelConfig, RosSam
from rosgeo.training.config import CachedStage, InitConfig, LiveStage, Stages, TrainConfig, ValidationConfig
from safetensors.torch import save_file

ELLIPSES = ((30, 40, 14, 9), (85, 50, 10, 16))
HEIGHT, WIDTH = 90, 120


def ellipse(cx: float, cy: float, rx: float, ry: float, points: int = 40) -> np.ndarray:
    """Its outline (n, 2)."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1)


def picture(number: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Bright ellipses on dark ground (H, W, 3), and their outlines."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 3))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rings = []
    for i, (cx, cy, rx, ry) in enumerate(ELLIPSES):
        cx, cy = cx + 5 * number * (i == 0), cy - 4 * number * (i == 1)
        pixels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = rng.integers(150, 255, 3)
        rings.append(ellipse(cx, cy, rx, ry))
    return pixels.astype(np.uint8), rings


def write_coco(folder: Path, pictures: int = 3) -> Path:
    """A COCO folder with two objects a picture, of the classes a and b by turns."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(pictures):
        pixels, rings = picture(i)
        for ring in rings:
            entry = {"id": len(annotations), "image_id": i, "category_id": 1 + i % 2, "iscrowd": 0}
            annotations.append({**entry, "segmentation": [ring.ravel().tolist()]})
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT, "city": "x" if i == 0 else "y"})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def write_masks(folder: Path, pictures: int = 2) -> Path:
    """The same in the layout of the ROS-SAM reference."""
    for name in ("img", "boxes", "onehotmask"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    for i in range(pictures):
        pixels, rings = picture(i)
        Image.fromarray(pixels).save(folder / "img" / f"{i}.png")
        centres, radii = [(r.max(axis=0) + r.min(axis=0)) / 2 for r in rings], [np.ptp(r, axis=0) / 2 for r in rings]
        masks = [((x - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 < 1 for c, r in zip(centres, radii, strict=True)]
        np.save(folder / "onehotmask" / f"{i}.npy", (np.stack(masks) * 255).astype(np.float32))
        np.save(folder / "boxes" / f"{i}.npy", np.array([[*r.min(axis=0), *r.max(axis=0)] for r in rings]))
    return folder


def write_frames(folder: Path, clips: int = 2, frames: int = 3) -> DataSource:
    """Clips of the same objects, which move: every second frame a JPEG, masks with a palette; of DAVIS the folders too."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    for clip in range(clips):
        for name in ("JPEGImages", "Annotations"):
            (folder / name / f"clip{clip}").mkdir(parents=True)
        for i in range(frames):
            pixels, rings = picture(i)
            numbers = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            for number, ring in enumerate(rings, start=1):
                centre, radius = (ring.max(axis=0) + ring.min(axis=0)) / 2, np.ptp(ring, axis=0) / 2
                numbers[((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 < 1] = 5 * number
            Image.fromarray(pixels).save(folder / "JPEGImages" / f"clip{clip}" / f"{i:05d}.{'png' if i % 2 else 'jpg'}", quality=95)
            mask = Image.fromarray(numbers)
            # Colours that are not the indices.
            mask.putpalette([(7 * i) % 256 for i in range(768)])
            mask.save(folder / "Annotations" / f"clip{clip}" / f"{i:05d}.png")
    return DataSource(kind="frames", path=str(folder / "JPEGImages"), masks=str(folder / "Annotations"))


def write_backbone(path: Path, config: ModelConfig) -> Path:
    """Random weights of an encoder's backbone."""
    torch.manual_seed(3)
    backbone = RosSam(config).image_encoder.backbone
    save_file({k: v.contiguous() for k, v in backbone.state_dict().items()}, path)
    return path


def tiny_run(tmp_path: Path, coco: Path, model: ModelConfig) -> TrainConfig:
    """Both stages, twelve updates and eight, on a COCO folder that is used for validation too."""
    source = (DataSource(path=str(coco)),)
    return TrainConfig(
        data=DataConfig(train=source, val=source, same_ground=True),
        init=InitConfig(backbone=str(write_backbone(tmp_path / "backbone.safetensors", model))),
        output=str(tmp_path / "run"),
        model=dict(vars(model)),
        stages=Stages(
            cached=CachedStage(
                folder=str(tmp_path / "cache"), crops=16, crops_a_file=8, objects_a_crop=2, files_in_memory=1, workers=0,
                samples=48, batch_size=4,
            ),
            live=LiveStage(samples=32, batch_size=4, rank=2, workers=0),
        ),
        validation=ValidationConfig(every=0, objects=4, overlays=2, checkpoint_every=5),
    )  # fmt: skip
