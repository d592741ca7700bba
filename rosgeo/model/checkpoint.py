"""Weights files: rosgeo's own single file, and whatever else `load_model` takes."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError
from rosgeo.files.places import whole_file
from rosgeo.model.foreign import Foreign, Tensors, read_foreign, read_tensors
from rosgeo.model.lora import LoraOptions, adapter_of, add_lora, merge_lora
from rosgeo.model.network import ModelConfig, RosSam

__all__ = ["LoadedModel", "adjusted", "load_model", "save_model", "sha256_of", "tensors_digest"]

FORMAT = "rosgeo-model-1"
"""Value of ``format`` in the metadata of rosgeo's own files."""


@dataclass(frozen=True)
class LoadedModel:
    """A network and what is known of its file.

    Attributes
    ----------
    network : RosSam
        In evaluation mode, float32, on the CPU.
    name : str
        Name of the model.
    path : Path
        The weights file (or folder).
    sha256 : str
        Of the file, hexadecimal; of all its weights files for a folder.
    card : dict
        What the training run wrote: data, options, scores.
    kind : str
        ``rosgeo``, ``SAM``, ``HQ-SAM`` or ``ROS-SAM``.
    adapter : dict or None
        File and SHA-256 of the adapter on top of it.
    """

    network: RosSam
    name: str
    path: Path
    sha256: str
    card: dict[str, Any]
    kind: str = "rosgeo"
    adapter: dict[str, Any] | None = None


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal; of a folder: of the SHA-256 of its weights files in the order of their names."""
    source = Path(path)
    if source.is_dir():
        files = sorted(f for f in source.iterdir() if f.suffix in (".safetensors", ".bin", ".pth", ".pt"))
        return hashlib.sha256("".join(sha256_of(f) for f in files).encode()).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 values, whatever file and type they were stored in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().float().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def save_model(
    network: RosSam, path: str | Path, *, card: dict[str, Any] | None = None, dtype: torch.dtype = torch.float16
) -> None:
    """Write a network as one safetensors file, whole or not at all.

    Parameters
    ----------
    network : RosSam
        The network; its configuration goes into the metadata. An adapter is merged into the file; the network keeps it.
    path : path
        The file.
    card : dict, optional
        Anything to keep with it, as JSON.
    dtype : torch.dtype
        Type of the stored tensors.

    Raises
    ------
    ModelError
        A weight is not finite in `dtype`.
    """
    target = Path(path)
    if adapter_of(network.image_encoder) is not None:
        network = deepcopy(network)
        merge_lora(network.image_encoder)
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModelError(
                f"{target} is not written: {name} holds values that are not finite in {str(dtype).removeprefix('torch.')}"
            )
    metadata = {"format": FORMAT, "config": network.config.to_json(), "card": json.dumps(card or {})}
    with whole_file(target) as partial:
        save_file(tensors, partial, metadata=metadata)


def load_model(path: str | Path, *, input_size: int | None = None, mask_token: str | None = None) -> LoadedModel:
    """Read a model: rosgeo's own file, a SAM or HQ-SAM checkpoint, or the folder of a ROS-SAM run.

    Parameters
    ----------
    path : path
        The file or folder. What it is is recognised from what it holds.
    input_size : int, optional
        Side of the input in pixels, a multiple of the encoder's patch of at least 8 patches. Default: the size that the weights were
        trained at. Position embeddings are interpolated; mask grids with a detail branch keep their size.
    mask_token : {"hq", "sam", "sum"}, optional
        Whose mask is served. Default: the HQ token's alone for rosgeo's models and ROS-SAM, the sum for HQ-SAM, SAM's for SAM.

    Raises
    ------
    InputFileNotFoundError
        There is no such file.
    ModelError
        The file is of no kind that rosgeo knows, is truncated, or its tensors do not fit its configuration.
    OptionError
        An input size that the encoder does not take, or the HQ token of a model that has none.
    """
    source = Path(path)
    if not source.exists():
        raise InputFileNotFoundError(f"{source}: no such weights file")
    tensors, metadata = ({}, {}) if source.is_dir() else read_tensors(source)
    if metadata.get("format") == FORMAT:
        kind, config, card = "rosgeo", ModelConfig.from_json(metadata["config"]), json.loads(metadata.get("card", "{}"))
        network = _filled(adjusted(config, input_size, mask_token), {n: v.float() for n, v in tensors.items()}, source)
    else:
        foreign = read_foreign(source)
        kind, card = foreign.kind, {}
        network = _from_foreign(foreign, adjusted(foreign.config, input_size, mask_token), source)
    return LoadedModel(
        network=network.eval().requires_grad_(False).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        name=network.config.name,
        path=source,
        sha256=sha256_of(source),
        card=card,
        kind=kind,
    )


def adjusted(config: ModelConfig, input_size: int | None, mask_token: str | None) -> ModelConfig:
    """A configuration with another input size or mask token (None: its own); raises OptionError where it cannot have them."""
    if input_size is not None:
        if input_size % config.patch_size or input_size < 8 * config.patch_size:
            raise OptionError(
                f"input size {input_size}: {config.name} takes multiples of {config.patch_size} px from {8 * config.patch_size}; "
                f"it was trained at {config.input_size}"
            )
        config = replace(config, input_size=input_size)
    return config if mask_token is None else replace(config, mask_token=mask_token)  # type: ignore[arg-type]


def _filled(config: ModelConfig, tensors: Tensors, source: Path) -> RosSam:
    # Built without memory of its own, so that a large model is held once, and nothing is drawn at random that is replaced at once.
    with torch.device("meta"):
        network = RosSam(config)
    try:
        result = network.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        first = next((line.strip() for line in str(error).splitlines()[1:]), str(error))
        raise ModelError(f"{source}: the tensors do not fit {config.name}: {first}") from error
    missing, unexpected = result.missing_keys, result.unexpected_keys
    if missing or unexpected:
        found = [
            f"{len(names)} {word} (first: {names[0]})" for word, names in (("missing", missing), ("too many", unexpected)) if names
        ]
        raise ModelError(f"{source}: the tensors do not fit {config.name}: {', '.join(found)}")
    # The buffers that no file holds.
    network.image_encoder.reset_normalisation()
    return network


def _from_foreign(foreign: Foreign, config: ModelConfig, source: Path) -> RosSam:
    network = _filled(config, {name: value.float() for name, value in foreign.tensors.items()}, source)
    if foreign.lora:
        _put_lora(network, foreign, source)
    return network


def _put_lora(network: RosSam, foreign: Foreign, source: Path) -> None:
    """ROS-SAM's pairs as a peft adapter on every block, unscaled as in its code."""
    rank = next(value for (_, _, side), value in foreign.lora.items() if side == "A").shape[0]
    # On every block: the checkpoint's last block is the trained one already.
    add_lora(network.image_encoder, LoraOptions(rank=rank, alpha=rank, last_block=False))
    named = dict(network.image_encoder.named_parameters())
    try:
        for (block, projection, side), value in foreign.lora.items():
            named[f"blocks.{block}.attn.{projection}.lora_{side}.default.weight"].data.copy_(value)
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{source}: its LoRA pairs do not fit {foreign.config.name}: {error}") from error
    if len(foreign.lora) != 4 * network.config.backbone_depth:
        raise ModelError(
            f"{source}: {len(foreign.lora)} LoRA matrices for {network.config.backbone_depth} blocks; "
            "expected 4 a block (query and value, A and B)"
        )
