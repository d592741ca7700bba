"""Features of a frozen backbone, computed once and kept on disk, so that the decoder can be trained on two cores."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rosgeo.errors import ConfigError, TrainingDataError
from rosgeo.files.places import whole_file
from rosgeo.labelled.data import LabelledObject
from rosgeo.model.adapters import encoder_digest
from rosgeo.model.network import RosSam
from rosgeo.training.config import CachedStage, TrainConfig
from rosgeo.training.losses import IGNORED
from rosgeo.training.samples import Augmentation, Sample
from rosgeo.training.start import start_network
from rosgeo.training.stream import Batch, ObjectDraw

__all__ = ["FeatureCache", "cached_batches", "mask_size_of", "prepare_cache"]

logger = logging.getLogger(__name__)


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

    def read(self, numbers: Sequence[int], batch_size: int, rng: np.random.Generator, *, first: int = 0) -> Iterator[Batch]:
        """Batches, from the `first` on, of some shards in random order, one of the labelled objects of each crop drawn at random."""
        parts: dict[str, list[Tensor]] = {}
        for number in numbers:
            with safe_open(self.shard_path(number), "pt") as file:
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    parts.setdefault(key, []).append(file.get_tensor(key))
        tensors = {key: torch.cat(parts.pop(key)) for key in list(parts)}
        order = rng.permutation(len(tensors["count"]))
        draws = rng.random(len(order))
        for start in range(first * batch_size, len(order) - batch_size + 1, batch_size):
            rows = torch.from_numpy(order[start : start + batch_size])
            pick = (torch.from_numpy(draws[start : start + batch_size]) * tensors["count"][rows]).long()
            target = tensors["targets"][rows, pick].float() / 255
            yield Batch(
                image=tensors["image"][rows],
                last=tensors["last"][rows].float(),
                early=tensors["early"][rows].float(),
                boxes_model=tensors["boxes"][rows, pick],
                target=torch.where(tensors["ignored"][rows], IGNORED, target),
            )


def prepare_cache(config: TrainConfig, stage: CachedStage, network: RosSam, objects: Sequence[LabelledObject]) -> FeatureCache:
    """Make the shards that are not there yet, in `stage.workers` processes."""
    fingerprint = fingerprint_of(
        objects,
        config.augmentation,
        bytes.fromhex(encoder_digest(network.image_encoder)),
        input_size=network.config.input_size,
        mask_size=mask_size_of(network),
        early_blocks=network.config.early_blocks,
        size=stage.crops_a_file,
        max_objects=stage.objects_a_crop,
        seed=config.seed,
        class_factors=config.class_factors,
    )
    cache = FeatureCache(Path(stage.folder), fingerprint)
    missing = [n for n in range(shards_of(stage)) if not cache.has(n)]
    if missing:
        logger.info("%d of %d feature files to make in %s", len(missing), shards_of(stage), cache.folder)
        jobs = [(config, stage, cache, objects, n) for n in missing]
        if stage.workers == 0:
            for job in jobs:
                _make_shard(job, network)
        else:
            with ProcessPoolExecutor(stage.workers, mp_context=get_context("spawn")) as pool:
                list(pool.map(_make_shard, jobs))
    return cache


def cached_batches(cache: FeatureCache, stage: CachedStage, seed: int, numbers: range) -> Iterator[Batch]:
    """Batches of some numbers. They come in stretches of shards, drawn from an order that is new each time all have been seen."""
    count = shards_of(stage)
    at_once = min(stage.files_in_memory, count)
    a_stretch = at_once * stage.crops_a_file // stage.batch_size
    if a_stretch == 0:
        raise ConfigError(f"a batch of {stage.batch_size} is larger than the {at_once * stage.crops_a_file} cached crops in memory")
    stretch, position = -1, 0
    batches: Iterator[Batch] = iter(())
    for number in numbers:
        if number // a_stretch != stretch:
            stretch, position = number // a_stretch, number % a_stretch
            chosen = {_order(seed, i // count, count)[i % count] for i in range(stretch * at_once, (stretch + 1) * at_once)}
            batches = cache.read(sorted(chosen), stage.batch_size, np.random.default_rng([seed, 1, stretch]), first=position)
        while position < number % a_stretch:
            next(batches)
            position += 1
        yield next(batches)
        position += 1


def shards_of(stage: CachedStage) -> int:
    """Number of shards."""
    return math.ceil(stage.crops / stage.crops_a_file)


def mask_size_of(network: RosSam) -> int:
    """Side of the network's finest mask grid in cells."""
    return network.config.detail_size or 4 * network.image_encoder.grid_size


def _order(seed: int, epoch: int, count: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, 2, epoch]).permutation(count)]


def _make_shard(
    job: tuple[TrainConfig, CachedStage, FeatureCache, Sequence[LabelledObject], int], network: RosSam | None = None
) -> None:
    config, stage, cache, objects, number = job
    if network is None:
        torch.set_num_threads(1)
        network = start_network(config)
    write_shard(
        cache,
        number,
        size=stage.crops_a_file,
        objects=objects,
        augmentation=config.augmentation,
        class_factors=config.class_factors,
        network=network.eval(),
        mask_size=mask_size_of(network),
        max_objects=stage.objects_a_crop,
        seed=config.seed,
    )


def fingerprint_of(objects: Sequence[LabelledObject], augmentation: Augmentation, backbone: bytes, **settings: object) -> str:
    """A short hash of objects, augmentation, backbone weights and settings."""
    digest = hashlib.sha256(backbone)
    for o in objects:
        digest.update(f"{o.image_path.name} {o.category} {o.hidden}".encode())
        digest.update(Path(o.ground).name.encode())
        for ring in (*o.rings, *o.ignored, *o.area):
            digest.update(ring.tobytes())
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
    network: RosSam,
    mask_size: int,
    max_objects: int,
    seed: int,
    on_sample: Callable[[], None] | None = None,
) -> None:
    """Make `size` samples, encode them with the frozen backbone and write them as one shard.

    The samples depend on `seed` and `number` alone, so shards may be made in any order and by several processes.
    """
    draw = ObjectDraw(objects, class_factors)
    rng = np.random.default_rng([seed, number])
    rows: dict[str, list[Tensor]] = {key: [] for key in ("image", "last", "early", "boxes", "targets", "ignored", "count")}
    for _ in range(size):
        sample = draw.sample(
            rng, augmentation=augmentation, input_size=network.config.input_size, mask_size=mask_size, max_objects=max_objects
        )
        for key, value in _encode(sample, network, max_objects).items():
            rows[key].append(value)
        if on_sample is not None:
            on_sample()
    cache.folder.mkdir(parents=True, exist_ok=True)
    path = cache.shard_path(number)
    with whole_file(path) as partial:
        save_file({k: torch.stack(v) for k, v in rows.items()}, partial, metadata={"fingerprint": cache.fingerprint})
    logger.info("wrote %s", path)


@torch.inference_mode()
def _encode(sample: Sample, network: RosSam, max_objects: int) -> dict[str, Tensor]:
    image = torch.from_numpy(sample.image)
    last, early = network.image_encoder.backbone(network.image_encoder.normalise(image[None]))
    count = len(sample.boxes_model)
    boxes = torch.zeros(max_objects, 4)
    boxes[:count] = torch.from_numpy(sample.boxes_model)
    targets = torch.zeros(max_objects, *sample.targets.shape[1:], dtype=torch.uint8)
    targets[:count] = torch.from_numpy((sample.targets.clip(0) * 255 + 0.5).astype(np.uint8))
    return {
        "image": image,
        "last": last[0].half().clone(),
        "early": early[0].half().clone(),
        "boxes": boxes,
        "targets": targets,
        # Of the crop's ground, so that all its objects have the same.
        "ignored": torch.from_numpy(sample.targets[0] < 0),
        "count": torch.tensor(count),
    }
