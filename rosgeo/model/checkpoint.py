"""Weights files: safetensors with the network's configuration in the metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError
from rosgeo.model.network import ModelConfig, RosSam

__all__ = ["LoadedModel", "load_model", "save_model", "sha256_of"]

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
        The weights file.
    sha256 : str
        Of the file, hexadecimal.
    card : dict
        What the training run wrote: data, options, scores.
    """

    network: RosSam
    name: str
    path: Path
    sha256: str
    card: dict[str, Any]


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_model(
    network: RosSam, path: str | Path, *, card: dict[str, Any] | None = None, dtype: torch.dtype = torch.float16
) -> None:
    """Write a network as one safetensors file, whole or not at all.

    Parameters
    ----------
    network : RosSam
        The network; its configuration goes into the metadata.
    path : path
        The file.
    card : dict, optional
        Anything to keep with it, as JSON.
    dtype : torch.dtype
        Type of the stored tensors.
    """
    target = Path(path)
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in network.state_dict().items()}
    metadata = {"format": FORMAT, "config": network.config.to_json(), "card": json.dumps(card or {})}
    partial = target.with_name(target.name + ".partial")
    save_file(tensors, partial, metadata=metadata)
    partial.replace(target)


def load_model(path: str | Path, *, input_size: int | None = None) -> LoadedModel:
    """Read a weights file that `save_model` wrote.

    Parameters
    ----------
    path : path
        The file.
    input_size : int, optional
        Side of the input in pixels, a multiple of the encoder's patch of at least 8 patches. Default: the size in the file's
        configuration. Position embeddings are interpolated; mask grids with a detail branch keep their size.

    Raises
    ------
    InputFileNotFoundError
        There is no such file.
    ModelError
        The file is no safetensors file, is truncated, was not made by rosgeo, or its tensors do not fit its configuration.
    OptionError
        An input size that the encoder does not take.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileNotFoundError(f"{source}: no such weights file")
    try:
        with safe_open(source, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ModelError(
                f"{source} is a safetensors file, but not a rosgeo model (its metadata have no format {FORMAT!r}). "
                "Expected a file written by rosgeo train."
            )
        config = ModelConfig.from_json(metadata["config"])
        network = RosSam(config if input_size is None else _resized(config, input_size))
        tensors = {name: value.float() for name, value in load_file(source).items()}
    except SafetensorError as error:
        raise ModelError(
            f"{source} is not a whole safetensors file ({error}): it is truncated, or a file of another kind. Expected a model of rosgeo."
        ) from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ModelError(f"{source}: the tensors do not fit the file's own configuration: {first}") from error
    return LoadedModel(
        network=network.eval().requires_grad_(False).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        name=network.config.name,
        path=source,
        sha256=sha256_of(source),
        card=json.loads(metadata.get("card", "{}")),
    )


def _resized(config: ModelConfig, input_size: int) -> ModelConfig:
    if input_size % config.patch_size or input_size < 8 * config.patch_size:
        raise OptionError(
            f"input size {input_size}: {config.name} takes multiples of {config.patch_size} px from {8 * config.patch_size}; "
            f"it was trained at {config.input_size}"
        )
    return replace(config, input_size=input_size)
