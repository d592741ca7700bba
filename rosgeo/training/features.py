"""Features of a frozen backbone, computed once and kept on disk, so that the decoder can be trained on two cores."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rosgeo.errors import TrainingDataError
from rosgeo.model.dinov2 import DinoV2Encoder
from rosgeo.training.data import LabelledObject, class_weights
from rosgeo.training.samples import Augmentation, Sample, make_sample

__all__ = ["CachedBatch", "FeatureCache", "write_shard"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedBatch:
    """B crops with the features of the frozen backbone, one object each.

    Attributes
    ----------
    image : uint8 Tensor (B, 3, S, S)
    last : float Tensor (B, C, s, s)
    early : float Tensor (B, E, s, s)
    boxes_model : float32 Tensor (B, 4)
    target : float32 Tensor (B, G, G)
        Area coverage, 0 to 1.
    """

    image: Tensor
    last: Tensor
    early: Tensor
    boxes_model: Tensor
    target: Tensor


@dataclass(frozen=True)
class FeatureCache:
    """A folder of shards of cached samples, each written whole or not at all.

    Attributes
    ----------
    folder : Path
        Where the shards lie.
    fingerprint : str
        Of everything that the samples depend on; a shard with another one is refused.
    """

    folder: Path
    fingerprint: str

    def shard_path(self, number: int) -> Path:
        """Path of shard `number`."""
        return self.folder / f"shard-{number:04d}.safetensors"

    def has(self, number: int) -> bool:
        """True where shard `number` is there and made of the same data and settings."""
        path = self.shard_path(number)
        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt") as file:
                found = (file.metadata() or {}).get("fingerprint")
        except SafetensorError as error:
            raise TrainingDataError(f"{path} is damaged: {error}. Delete it and run again.") from error
        if found != self.fingerprint:
            raise TrainingDataError(
                f"{path} was made with other data or settings (fingerprint {found}, expected {self.fingerprint}). "
                "Name another cache folder, or delete this one."
            )
        return True

    def read(self, numbers: Sequence[int], batch_size: int, rng: np.random.Generator) -> list[CachedBatch]:
        """Batches of some shards in random order, one of the labelled objects of each crop drawn at random."""
        parts: dict[str, list[Tensor]] = {}
        for number in numbers:
            with safe_open(self.shard_path(number), "pt") as file:
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    parts.setdefault(key, []).append(file.get_tensor(key))
        tensors = {key: torch.cat(values) for key, values in parts.items()}
        order = rng.permutation(len(tensors["count"]))
        batches = []
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = torch.from_numpy(order[start : start + batch_size])
            pick = torch.tensor([int(rng.integers(int(tensors["count"][row]))) for row in rows])
            batches.append(
                CachedBatch(
                    image=tensors["image"][rows],
                    last=tensors["last"][rows].float(),
                    early=tensors["early"][rows].float(),
                    boxes_model=tensors["boxes"][rows, pick],
                    target=tensors["targets"][rows, pick].float() / 255,
                )
            )
        return batches


def fingerprint_of(objects: Sequence[LabelledObject], augmentation: Augmentation, backbone: bytes, **settings: object) -> str:
    """A short hash of objects, augmentation, backbone weights and settings."""
    digest = hashlib.sha256(backbone)
    for o in objects:
        digest.update(f"{o.image_path.name} {o.category} {[r.tolist() for r in o.rings]}".encode())
    digest.update(json.dumps([asdict(augmentation), settings], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def write_shard(
    cache: FeatureCache,
    number: int,
    *,
    size: int,
    objects: Sequence[LabelledObject],
    augmentation: Augmentation,
    class_factors: dict[str, float],
    encoder: DinoV2Encoder,
    mask_size: int,
    max_objects: int,
    seed: int,
    on_sample: Callable[[], None] | None = None,
) -> None:
    """Make `size` samples, encode them with the frozen backbone and write them as one shard.

    The samples depend on `seed` and `number` alone, so shards may be made in any order and by several processes.
    """
    rng = np.random.default_rng([seed, number])
    weights = class_weights(objects, class_factors)
    by_picture: dict[Path, list[LabelledObject]] = {}
    for o in objects:
        by_picture.setdefault(o.image_path, []).append(o)
    rows: dict[str, list[Tensor]] = {key: [] for key in ("image", "last", "early", "boxes", "targets", "count")}
    for choice in rng.choice(len(objects), size=size, p=weights):
        own = objects[int(choice)]
        group = by_picture[own.image_path]
        sample = make_sample(
            group,
            next(i for i, o in enumerate(group) if o is own),
            augmentation=augmentation,
            rng=rng,
            input_size=encoder.input_size,
            mask_size=mask_size,
            max_objects=max_objects,
        )
        for key, value in _encode(sample, encoder, max_objects).items():
            rows[key].append(value)
        if on_sample is not None:
            on_sample()
    cache.folder.mkdir(parents=True, exist_ok=True)
    path = cache.shard_path(number)
    partial = path.with_suffix(".partial")
    save_file({k: torch.stack(v) for k, v in rows.items()}, partial, metadata={"fingerprint": cache.fingerprint})
    partial.replace(path)
    logger.info("wrote %s", path)


@torch.inference_mode()
def _encode(sample: Sample, encoder: DinoV2Encoder, max_objects: int) -> dict[str, Tensor]:
    image = torch.from_numpy(sample.image)
    last, early = encoder.backbone(encoder.normalise(image[None]))
    count = len(sample.boxes_model)
    boxes = torch.zeros(max_objects, 4)
    boxes[:count] = torch.from_numpy(sample.boxes_model)
    targets = torch.zeros(max_objects, *sample.targets.shape[1:], dtype=torch.uint8)
    targets[:count] = torch.from_numpy((sample.targets * 255 + 0.5).astype(np.uint8))
    return {
        "image": image,
        "last": last[0].half().clone(),
        "early": early[0].half().clone(),
        "boxes": boxes,
        "targets": targets,
        "count": torch.tensor(count),
    }
