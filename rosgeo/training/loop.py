"""Training of the decoder over a frozen backbone: one visible loop that resumes where it was killed."""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.model.checkpoint import save_model, sha256_of
from rosgeo.model.network import RosSam
from rosgeo.training.config import TrainConfig
from rosgeo.training.data import LabelledObject, read_coco
from rosgeo.training.features import CachedBatch, FeatureCache, fingerprint_of, write_shard
from rosgeo.training.losses import mask_iou, mask_loss, shrink_target

__all__ = ["TrainResult", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a finished run left.

    Attributes
    ----------
    weights : Path
        The float16 weights file.
    steps : int
        Optimizer steps in all.
    final : dict
        Means of the last checkpointed stretch: loss, iou_hq, iou_sam, iou_error.
    """

    weights: Path
    steps: int
    final: dict[str, float]


def build_network(config: TrainConfig) -> RosSam:
    """A network with the frozen backbone's weights and everything else freshly initialised from the seed."""
    path = Path(config.backbone)
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such backbone weights (key 'backbone')")
    torch.manual_seed(config.seed)
    network = RosSam(config.model)
    weights = {name: value.float() for name, value in load_file(path).items()}
    try:
        network.image_encoder.backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingDataError(f"{path} does not fit the backbone of the configuration: {str(error).splitlines()[1]}") from error
    network.image_encoder.backbone.requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def prepare_cache(config: TrainConfig, objects: list[LabelledObject]) -> FeatureCache:
    """Make the shards of the feature cache that are not there yet, in `config.cache.workers` processes."""
    cache = FeatureCache(Path(config.cache.folder), _fingerprint(config, objects))
    missing = [n for n in range(_shards(config)) if not cache.has(n)]
    if missing:
        logger.info("%d of %d feature files to make in %s", len(missing), _shards(config), cache.folder)
        with ProcessPoolExecutor(config.cache.workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_make_shard, [(config, cache, n) for n in missing]))
    return cache


def _shards(config: TrainConfig) -> int:
    return math.ceil(config.cache.crops / config.cache.crops_a_file)


def _fingerprint(config: TrainConfig, objects: list[LabelledObject]) -> str:
    return fingerprint_of(
        objects,
        config.augmentation,
        bytes.fromhex(sha256_of(config.backbone)),
        input_size=config.model.input_size,
        mask_size=config.model.detail_size,
        early_blocks=config.model.early_blocks,
        size=config.cache.crops_a_file,
        max_objects=config.cache.objects_a_crop,
        seed=config.seed,
        class_factors=config.class_factors,
    )


def _make_shard(job: tuple[TrainConfig, FeatureCache, int]) -> None:
    config, cache, number = job
    torch.set_num_threads(1)
    write_shard(
        cache,
        number,
        size=config.cache.crops_a_file,
        objects=read_coco(config.train)[0],
        augmentation=config.augmentation,
        class_factors=config.class_factors,
        encoder=build_network(config).image_encoder.eval(),
        mask_size=config.model.detail_size,
        max_objects=config.cache.objects_a_crop,
        seed=config.seed,
    )


def learning_rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear warm-up over `warmup` of the steps, then half a cosine down to 1 % of the peak."""
    warm = max(int(steps * warmup), 1)
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(steps - warm, 1)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def train_step(
    network: RosSam, batch: CachedBatch, optimizer: torch.optim.Optimizer, config: TrainConfig, *, refine: bool
) -> dict[str, float]:
    """One update on both mask tokens and the predicted IoU; returns loss and IoUs of the batch."""
    normalised = network.image_encoder.normalise(batch.image)
    output = network.decode(
        _channels_last(batch.last), _channels_last(batch.early), _channels_last(normalised), batch.boxes_model, refine=refine
    )
    target_hq = shrink_target(batch.target, output.hq_logits.shape[-1])
    target_sam = shrink_target(batch.target, output.sam_logits.shape[-1])
    iou = mask_iou(output.hq_logits.detach(), target_hq)
    iou_error = (output.iou - iou).square().mean()
    loss = mask_loss(output.hq_logits, target_hq) + mask_loss(output.sam_logits, target_sam)
    total = loss + config.optim.iou_weight * iou_error
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_((p for g in optimizer.param_groups for p in g["params"]), config.optim.clip_norm)
    optimizer.step()
    return {
        "loss": float(loss.detach()),
        "iou_hq": float(iou.mean()),
        "iou_sam": float(mask_iou(output.sam_logits.detach(), target_sam).mean()),
        "iou_error": float((output.iou.detach() - iou).abs().mean()),
    }


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def train(
    config: TrainConfig, *, resume: bool = False, on_step: Callable[[int, int, dict[str, float]], None] | None = None
) -> TrainResult:
    """Run a configuration to its end.

    Parameters
    ----------
    config : TrainConfig
        The run.
    resume : bool
        Go on from the run's last checkpoint; without one, start.
    on_step : callable, optional
        Called with step, steps and the figures of each update.

    Returns
    -------
    TrainResult

    Notes
    -----
    The crops of a stretch of shards are shuffled by a generator that depends on the seed and the stretch's number alone, and a
    checkpoint is written after each stretch, so a killed run that is resumed sees the same batches as one that was not.
    """
    objects, left_out = read_coco(config.train)
    logger.info("%d objects in %s, left out: %s", len(objects), config.train, left_out or "none")
    cache = prepare_cache(config, objects)
    network = build_network(config).train()
    network.image_encoder.backbone.eval()
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.optim.learning_rate, weight_decay=config.optim.weight_decay)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    steps = config.optim.samples // config.optim.batch_size
    state: dict[str, Any] = _resume(folder / "checkpoint.pt", network, optimizer, config) if resume else {"step": 0, "stretch": 0}
    step, stretch = int(state["step"]), int(state["stretch"])
    means: dict[str, float] = dict(state.get("means", {}))
    while step < steps:
        figures: list[dict[str, float]] = []
        started = time.monotonic()
        for batch in _stretch(cache, config, stretch)[: steps - step]:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, steps, config.optim.learning_rate, config.optim.warmup)
            refine = step >= steps * config.optim.coarse_share
            figures.append(train_step(network, batch, optimizer, config, refine=refine))
            step += 1
            if on_step is not None:
                on_step(step, steps, figures[-1])
        stretch += 1
        means = {key: float(np.mean([f[key] for f in figures])) for key in figures[0]}
        _log(folder / "log.csv", {"step": step, "seconds": round(time.monotonic() - started, 1), **means})
        _save_checkpoint(folder / "checkpoint.pt", network, optimizer, config, step, stretch, means)
    weights = folder / f"{config.model.name}.safetensors"
    card = {"training": _plain(asdict(config)), "objects": len(objects), "steps": steps, "final": means}
    save_model(network, weights, card=card)
    return TrainResult(weights, steps, means)


def _plain(value: Any) -> Any:
    """A configuration for the model card: names of folders, never their paths on this machine."""
    if isinstance(value, dict):
        paths = ("train", "val", "backbone", "output", "folder")
        return {k: Path(v).name if k in paths and isinstance(v, str) else _plain(v) for k, v in value.items()}
    return value


def _stretch(cache: FeatureCache, config: TrainConfig, stretch: int) -> list[CachedBatch]:
    """The batches of one stretch: shards taken in turn from an order that is drawn anew each time all have been seen."""
    count, at_once = _shards(config), min(config.optim.files_in_memory, _shards(config))
    first = stretch * at_once
    chosen = [_order(config.seed, i // count, count)[i % count] for i in range(first, first + at_once)]
    rng = np.random.default_rng([config.seed, 1, stretch])
    return cache.read(sorted(set(chosen)), config.optim.batch_size, rng)


def _order(seed: int, epoch: int, count: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, 2, epoch]).permutation(count)]


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    logger.info("%s", json.dumps(row))


def _save_checkpoint(
    path: Path,
    network: RosSam,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    step: int,
    stretch: int,
    means: dict[str, float],
) -> None:
    trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    buffers = {name: b for name, b in network.named_buffers() if not name.startswith("image_encoder")}
    state = {
        "trained": {**trained, **buffers},
        "optimizer": optimizer.state_dict(),
        "step": step,
        "stretch": stretch,
        "means": means,
        "config": _identity(config),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _identity(config: TrainConfig) -> str:
    """What must not change when a run is resumed: everything but where things lie."""
    placed = replace(config, output="", cache=replace(config.cache, folder="", workers=1))
    return json.dumps(_plain(asdict(placed)), sort_keys=True)


def _resume(path: Path, network: RosSam, optimizer: torch.optim.Optimizer, config: TrainConfig) -> dict[str, Any]:
    if not path.is_file():
        return {"step": 0, "stretch": 0}
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["config"] != _identity(config):
        old, new = json.loads(state["config"]), json.loads(_identity(config))
        changed = [key for key in new if old.get(key) != new[key]]
        raise TrainingDataError(f"{path} is of another configuration (changed: {', '.join(changed)}); start anew without --resume")
    network.load_state_dict(state["trained"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    logger.info("resumed at step %d", state["step"])
    return state
