"""Adapters on a base: rosgeo's own small file, and peft's folders.

rosgeo's file holds what a training run changed (LoRA pairs, last block, neck, prompt encoder, decoder) and a checksum of the encoder
that it was trained on, so that it is never put on another.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rosgeo.errors import ModelError
from rosgeo.files.places import whole_file
from rosgeo.model.checkpoint import LoadedModel, adjusted, sha256_of, tensors_digest
from rosgeo.model.foreign import describe_tensors, read_tensors
from rosgeo.model.lora import LoraOptions, adapter_of, add_lora, load_peft
from rosgeo.model.network import ModelConfig, RosSam

__all__ = ["ADAPTER_FORMAT", "base_of_adapter", "encoder_digest", "load_adapter", "save_adapter"]

ADAPTER_FORMAT = "rosgeo-adapter-1"
"""Value of ``format`` in the metadata of rosgeo's adapter files."""

_ENCODER = "image_encoder."
_NECK = "image_encoder.neck."
_ENCODER_FIELDS = ("encoder", "backbone_dim", "backbone_depth", "backbone_heads", "patch_size", "global_blocks", "window_size")


def encoder_digest(encoder: nn.Module) -> str:
    """Checksum of an encoder without its neck and without its adapter: what an adapter is trained on."""
    return tensors_digest({name: value for name, value in _base_state(encoder).items() if not name.startswith("neck.")})


def _base_state(encoder: nn.Module) -> dict[str, Tensor]:
    """The state of an encoder as it was before an adapter was put on it, under its usual names."""
    state = {}
    for name, value in encoder.state_dict().items():
        if "lora_" not in name and ".modules_to_save." not in name:
            state[name.replace(".base_layer.", ".").replace(".original_module.", ".")] = value
    return state


def save_adapter(
    network: RosSam,
    path: str | Path,
    *,
    base: str,
    lora: LoraOptions,
    card: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write all of a network but the base of its encoder, as one file of a few MB, whole or not at all.

    Parameters
    ----------
    network : RosSam
        With an adapter (`add_lora`).
    path : path
        The file (.safetensors).
    base : str
        Name of the base model, for whoever loads the file by itself.
    lora : LoraOptions
        With which the adapter was made.
    card : dict, optional
        Anything to keep with it, as JSON.
    dtype : torch.dtype
        Type of the stored tensors.
    """
    from peft import get_peft_model_state_dict

    model = adapter_of(network.image_encoder)
    if model is None:
        raise ModelError("the network has no adapter to save")
    own = {n: v for n, v in network.state_dict().items() if not n.startswith(_ENCODER) or n.startswith(_NECK)}
    tensors = {**own, **get_peft_model_state_dict(model)}
    stored = {name: value.detach().to(dtype).contiguous().cpu() for name, value in tensors.items()}
    metadata = {
        "format": ADAPTER_FORMAT,
        "config": network.config.to_json(),
        "base": base,
        "base_digest": encoder_digest(network.image_encoder),
        "lora": json.dumps(lora.as_record()),
        "digest": tensors_digest(stored),
        "card": json.dumps(card or {}),
    }
    with whole_file(path) as partial:
        save_file(stored, partial, metadata=metadata)


def base_of_adapter(path: str | Path) -> str | None:
    """The name of the base that one of rosgeo's adapter files is for; None where the file is no such file."""
    source = Path(path)
    if source.suffix != ".safetensors" or not source.is_file():
        return None
    metadata = read_tensors(source)[1]
    return metadata.get("base") if metadata.get("format") == ADAPTER_FORMAT else None


def load_adapter(
    base: LoadedModel, path: str | Path, *, input_size: int | None = None, mask_token: str | None = None
) -> LoadedModel:
    """Put an adapter on a base.

    Parameters
    ----------
    base : LoadedModel
        Its network is used up where the adapter is peft's.
    path : path
        rosgeo's adapter file, or a folder of peft.
    input_size : int, optional
        Side of the input in pixels. Default: the size that the adapter was trained at, or the base's for one of peft.
    mask_token : {"hq", "sam", "sum"}, optional
        Whose mask is served. Default: as the adapter says, or the base for one of peft.

    Raises
    ------
    InputFileNotFoundError
        There is no such file or folder, or the folder is no adapter.
    ModelError
        The file is no adapter, is damaged, or was trained on another base.
    """
    source = Path(path)
    if source.is_dir():
        load_peft(base.network.image_encoder, source)
        base.network.config = adjusted(base.network.config, None, mask_token)
        return _with(base, base.network, source, base.name, base.card)
    tensors, metadata = read_tensors(source)
    if metadata.get("format") != ADAPTER_FORMAT:
        raise ModelError(
            f"{source} is {describe_tensors(tensors)}, not an adapter of rosgeo (its metadata have no format {ADAPTER_FORMAT!r})"
        )
    if tensors_digest(tensors) != metadata.get("digest"):
        raise ModelError(f"{source} is damaged: its tensors do not have the checksum that its metadata name. Copy it anew.")
    config = adjusted(ModelConfig.from_json(metadata["config"]), input_size, mask_token)
    different = [f for f in _ENCODER_FIELDS if getattr(config, f) != getattr(base.network.config, f)]
    digest = encoder_digest(base.network.image_encoder)
    if different or digest != metadata["base_digest"]:
        raise ModelError(
            f"{source} was trained on {metadata['base']} (encoder {metadata['base_digest'][:12]}), not on {base.name} of {base.path.name} "
            f"(encoder {digest[:12]}). Pass the base that it was trained on with --model."
        )
    network = _assembled(base.network, config, tensors, LoraOptions(**json.loads(metadata["lora"])), source)
    return _with(base, network, source, config.name, json.loads(metadata.get("card", "{}")))


def _assembled(base: RosSam, config: ModelConfig, tensors: dict[str, Tensor], lora: LoraOptions, source: Path) -> RosSam:
    from peft import set_peft_model_state_dict

    network = RosSam(config)
    network.image_encoder.load_state_dict(base.image_encoder.state_dict(), strict=False)
    own = {name: value.float() for name, value in tensors.items() if not name.startswith("base_model.")}
    model = add_lora(network.image_encoder, lora)
    try:
        result = network.load_state_dict(own, strict=False)
        set_peft_model_state_dict(model, {n: v.float() for n, v in tensors.items() if n.startswith("base_model.")})
    except RuntimeError as error:
        raise ModelError(f"{source}: its tensors do not fit its own configuration: {' '.join(str(error).split())[:200]}") from error
    missing = [name for name in result.missing_keys if not name.startswith(_ENCODER) or name.startswith(_NECK)]
    if missing or result.unexpected_keys:
        raise ModelError(f"{source}: its tensors do not fit its own configuration: {(missing + result.unexpected_keys)[0]}")
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _with(base: LoadedModel, network: RosSam, source: Path, name: str, card: dict[str, Any]) -> LoadedModel:
    file = source / "adapter_model.safetensors" if source.is_dir() else source
    network.eval().requires_grad_(False)
    return replace(base, network=network, name=name, card=card, adapter={"file": source.name, "sha256": sha256_of(file)})
