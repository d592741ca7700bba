"""The network that a run starts from, and which of its parameters a stage trains."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rosgeo.errors import ConfigError, InputFileNotFoundError, TrainingDataError
from rosgeo.model.lora import LoraOptions, add_lora, merge_lora
from rosgeo.model.network import ModelConfig, RosSam
from rosgeo.model.registry import open_model
from rosgeo.training.config import LiveStage, Optimisation, TrainConfig

__all__ = ["is_encoder", "parameter_groups", "prepare_stage", "start_network"]

_NECK = "neck."


def start_network(config: TrainConfig) -> RosSam:
    """The network of `config.init`: a trained one, or an encoder's weights and all else initialised from the seed.

    A network without HQ token gets one where a stage trains it. An adapter is merged.

    Raises
    ------
    InputFileNotFoundError, TrainingDataError, ModelError, ConfigError
        No such file; weights that do not fit; a key of `model` that a trained model does not leave open.
    """
    if config.init.model is not None:
        return _trained(config)
    path = Path(str(config.init.backbone))
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such backbone weights (key 'init.backbone')")
    torch.manual_seed(config.seed)
    network = RosSam(ModelConfig(**config.model))
    if network.config.encoder != "dinov2":
        raise ConfigError(
            f"init.backbone takes weights of DINOv2; for an encoder of kind {network.config.encoder} name an init.model"
        )
    try:
        weights = {name: value.float() for name, value in load_file(path).items()}
        network.image_encoder.backbone.load_state_dict(weights)
    except SafetensorError as error:
        raise TrainingDataError(f"{path} is not a whole safetensors file: {error}") from error
    except RuntimeError as error:
        raise TrainingDataError(
            f"{path} does not fit the backbone of the configuration: {str(error).splitlines()[1].strip()}"
        ) from error
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _trained(config: TrainConfig) -> RosSam:
    loaded = open_model(str(config.init.model), input_size=config.model.get("input_size"))
    network = loaded.network
    for key, value in config.model.items():
        found = getattr(network.config, key)
        if key not in ("name", "input_size") and found != value:
            raise ConfigError(
                f"model.{key} is {value!r}, but {config.init.model}, which training starts from, has {found!r}. "
                "Only name and input_size can be changed in a trained model."
            )
    merge_lora(network.image_encoder)
    network.config = replace(network.config, name=str(config.model.get("name", network.config.name)))
    stages = [stage for stage in (config.stages.cached, config.stages.live) if stage is not None]
    if network.config.hq or all(stage.update == "sam" for stage in stages):
        return network
    torch.manual_seed(config.seed)
    with_hq = RosSam(replace(network.config, hq=True, mask_token="hq"))
    with_hq.load_state_dict(network.state_dict(), strict=False)
    return with_hq.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def is_encoder(name: str) -> bool:
    """Whether a parameter of the network belongs to its image encoder; the neck is counted to the decoder."""
    return name.startswith("image_encoder.") and not name.startswith(f"image_encoder.{_NECK}")


def prepare_stage(network: RosSam, stage: Optimisation, seed: int = 0) -> LoraOptions | None:
    """Freeze and free parameters as a stage wants them. Where it has LoRA, this is added; its options, None for no adapter."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(stage.learning_rate > 0 and not is_encoder(name))
    # SAM's positional encoding is a buffer, and stays as it is.
    if not isinstance(stage, LiveStage) or not (stage.rank > 0 or stage.last_block):
        return None
    torch.manual_seed(seed)
    options = LoraOptions(rank=stage.rank, alpha=stage.alpha, last_block=stage.last_block)
    add_lora(network.image_encoder, options)
    # peft freezes all else in what it wraps.
    for name, parameter in network.image_encoder.named_parameters():
        if name.startswith(_NECK):
            parameter.requires_grad_(stage.learning_rate > 0 and stage.neck)
    _freeze_first_blocks(network.image_encoder, stage)
    return options


def _freeze_first_blocks(encoder: nn.Module, stage: LiveStage) -> None:
    """With the adapters of the first blocks frozen at nothing, no gradient is computed below the others."""
    found = {name: re.match(r"(?:.*\.)?blocks\.(\d+)\.", name) for name, _ in encoder.named_parameters()}
    numbers = {name: int(match[1]) for name, match in found.items() if match}
    first = 0 if stage.lora_blocks is None else max(numbers.values()) + 1 - stage.lora_blocks
    for name, parameter in encoder.named_parameters():
        is_unused = "lora_" in name and stage.rank == 0
        if is_unused or numbers.get(name, first) < first:
            parameter.requires_grad_(False)


def parameter_groups(network: RosSam, stage: Optimisation) -> list[dict[str, Any]]:
    """Encoder and the rest, each with its peak learning rate under ``peak``."""
    encoder = [p for name, p in network.named_parameters() if p.requires_grad and is_encoder(name)]
    rest = [p for name, p in network.named_parameters() if p.requires_grad and not is_encoder(name)]
    encoder_rate = stage.encoder_rate if isinstance(stage, LiveStage) else 0.0
    groups = [{"params": encoder, "peak": encoder_rate}, {"params": rest, "peak": stage.learning_rate}]
    return [{**group, "lr": group["peak"]} for group in groups if group["params"]]
