"""Checkpoints of others: SAM, HQ-SAM, ROS-SAM's runs. What a file is is read from its tensors, never from its name.

No pickle is executed: ``.pth`` files are read with ``weights_only``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from rosgeo.errors import InputFileNotFoundError, ModelError
from rosgeo.model.network import SAM_CONFIGS, ModelConfig

__all__ = ["Foreign", "Tensors", "describe_tensors", "read_foreign", "read_tensors"]

Tensors = dict[str, Tensor]

_EXPECTED = "Expected a model of rosgeo, SAM, HQ-SAM or ROS-SAM."


@dataclass(frozen=True)
class Foreign:
    """A checkpoint of SAM's family, sorted out.

    Attributes
    ----------
    kind : {"SAM", "HQ-SAM", "ROS-SAM"}
    config : ModelConfig
        The network that its tensors are for.
    tensors : dict
        State of that network under rosgeo's names; fused projections are left fused, which the encoder takes.
    lora : dict
        LoRA pairs as ``(block, "query" or "value", "A" or "B")`` -> Tensor; empty where there are none.
    """

    kind: str
    config: ModelConfig
    tensors: Tensors
    lora: dict[tuple[int, str, str], Tensor]


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors of a weights file of any kind, and the metadata of a safetensors file.

    Wrappers (``{"model": ...}``, ``{"state_dict": ...}``) and the prefix ``module.`` are taken off.

    Raises
    ------
    InputFileNotFoundError
        There is no such file.
    ModelError
        Not a weights file, truncated, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such weights file")
    with path.open("rb") as file:
        head = file.read(64)
    if head[:1] in (b"<", b"\n") and b"<" in head:
        raise ModelError(f"{path} is a web page, not a weights file: the download went wrong. Download it again.")
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a Git LFS pointer, not the weights themselves. Fetch them with git lfs pull.")
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if head[:2] not in (b"PK", b"\x80\x02"):
        raise ModelError(f"{path} is neither a safetensors file nor a PyTorch checkpoint. {_EXPECTED}")
    return _read_torch(path, mapped=head[:2] == b"PK"), {}


def _read_safetensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
        return load_file(path), metadata
    except SafetensorError as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}): it is truncated or damaged. {_EXPECTED}") from error


def _read_torch(path: Path, *, mapped: bool) -> Tensors:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, OSError and more for damaged files
        reason = " ".join(str(error).split())
        if "weights_only" in reason or "Unsupported global" in reason or "WeightsUnpickler" in reason:
            raise ModelError(f"{path} is a pickle that holds more than tensors; rosgeo does not execute it. {_EXPECTED}") from error
        raise ModelError(
            f"{path} is not a whole PyTorch checkpoint: it is truncated or damaged ({reason[:120]}). {_EXPECTED}"
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"{path} is a PyTorch file, but holds no state dict. {_EXPECTED}")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def describe_tensors(tensors: Tensors) -> str:
    """What a state dict is of, in words, for messages."""
    names = set(tensors)
    for wanted, words in _MARKS:
        if any(re.match(wanted, name) for name in names):
            return words
    return "a model that rosgeo does not know"


_MARKS = (
    (r"base_model\.model\.", "an adapter of peft; pass its folder with --adapter"),
    (r"image_encoder\.trunk\.|sam_mask_decoder\.", "a SAM 2 checkpoint, which rosgeo does not run"),
    (r"image_encoder\.(patch_embed\.seq|layers)\.", "a MobileSAM (TinyViT) checkpoint, which rosgeo does not run"),
    (r"image_encoder\..*qkv\.linear_a_q", "a ROS-SAM encoder with LoRA, without its HQ decoder"),
    (r"(mask_decoder\.)?hf_token\.", "an HQ decoder alone, without its image encoder"),
    (r"image_encoder\.", "a checkpoint of SAM's family with an image encoder that rosgeo does not know"),
    (r"blocks\.0\.ls1\.gamma", "a DINOv2 backbone alone, without a decoder"),
    (r"(vision_encoder|backbone|model|encoder)\.", "a model of another layout"),
)


def read_foreign(path: Path) -> Foreign:
    """Read a checkpoint of SAM, HQ-SAM or a ROS-SAM run.

    Parameters
    ----------
    path : Path
        A file, or the folder that ``accelerate`` wrote for a ROS-SAM run: one file with the HQ decoder, one with SAM and LoRA.

    Raises
    ------
    InputFileNotFoundError, ModelError
        See `read_tensors`; or it is none of these.
    """
    if path.is_dir():
        return sort_out(_read_run(path), str(path))
    return sort_out(read_tensors(path)[0], str(path))


def _read_run(folder: Path) -> Tensors:
    files = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("pytorch_model*.bin"))
    parts = [read_tensors(file)[0] for file in files]
    encoders = [part for part in parts if any(name.startswith("image_encoder.") for name in part)]
    decoders = [part for part in parts if "hf_token.weight" in part]
    if len(encoders) != 1 or len(decoders) != 1:
        found = (
            "; ".join(f"{file.name} is {describe_tensors(part)}" for file, part in zip(files, parts, strict=True)) or "no weights"
        )
        raise ModelError(
            f"{folder} is not a ROS-SAM run: expected one file with the HQ decoder (model.safetensors) and one with SAM and LoRA "
            f"(model_1.safetensors), found {found}"
        )
    # SAM's own decoder is in the encoder's file as well; the run trains the HQ decoder's copy of it.
    merged = {name: value for name, value in encoders[0].items() if not name.startswith("mask_decoder.")}
    return merged | {f"mask_decoder.{name}": value for name, value in decoders[0].items()}


def sort_out(tensors: Tensors, name: str) -> Foreign:
    """Recognise the state dict of a whole model of SAM's family.

    Raises
    ------
    ModelError
        It is something else, or parts of it are missing.
    """
    base, lora = _take_lora(tensors)
    patch = base.get("image_encoder.patch_embed.proj.weight")
    if patch is None or "image_encoder.pos_embed" not in base or "image_encoder.blocks.0.attn.rel_pos_h" not in base:
        raise ModelError(f"{name} is {describe_tensors(tensors)}. {_EXPECTED}")
    hq = "mask_decoder.hf_token.weight" in base
    config = _config_of(base, name)
    kind = "ROS-SAM" if lora else "HQ-SAM" if hq else "SAM"
    if hq:
        token = "hq" if lora else "sum"
        prefix = "ros-sam" if lora else "sam-hq"
        config = replace(config, name=config.name.replace("sam", prefix, 1), hq=True, mask_token=token)  # type: ignore[arg-type]
    elif lora:
        raise ModelError(f"{name} is {describe_tensors(tensors)}. Pass the run's folder, which holds both files.")
    return Foreign(kind, config, base, lora)


def _config_of(tensors: Tensors, name: str) -> ModelConfig:
    dim = tensors["image_encoder.patch_embed.proj.weight"].shape[0]
    depth = 1 + max(int(m[1]) for key in tensors if (m := re.match(r"image_encoder\.blocks\.(\d+)\.", key)))
    known = next((c for c in SAM_CONFIGS.values() if (c.backbone_dim, c.backbone_depth) == (dim, depth)), None)
    if known is not None:
        return known
    # Not a published size: heads and global blocks follow from the relative positions' shapes.
    spans = [tensors[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)]
    side = tensors["image_encoder.pos_embed"].shape[1]
    wide = tuple(i for i, span in enumerate(spans) if span[0] == 2 * side - 1)
    narrow = {span[0] for i, span in enumerate(spans) if i not in wide}
    if not wide or len(narrow) > 1 or dim % spans[0][1]:
        raise ModelError(f"{name} is of SAM's family, but its image encoder (width {dim}, depth {depth}) is none that rosgeo runs")
    patch = tensors["image_encoder.patch_embed.proj.weight"].shape[-1]
    return replace(
        SAM_CONFIGS["b"],
        name=f"sam-vit-{dim}x{depth}",
        input_size=side * patch,
        backbone_dim=dim,
        backbone_depth=depth,
        backbone_heads=dim // spans[0][1],
        patch_size=patch,
        position_grid=side,
        early_blocks=wide[:1],
        global_blocks=wide,
        window_size=(narrow.pop() + 1) // 2 if narrow else 14,
        embed_dim=tensors["image_encoder.neck.0.weight"].shape[0],
        decoder_mlp_dim=tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
    )


def _take_lora(tensors: Tensors) -> tuple[Tensors, dict[tuple[int, str, str], Tensor]]:
    """Part ROS-SAM's LoRA pairs from the rest: ``attn.qkv.{qkv, linear_a_q, linear_b_q, linear_a_v, linear_b_v}``."""
    base: Tensors = {}
    lora: dict[tuple[int, str, str], Tensor] = {}
    for name, value in tensors.items():
        pair = re.fullmatch(r"image_encoder\.blocks\.(\d+)\.attn\.qkv\.linear_([ab])_([qv])(?:\.weight)?", name)
        if pair is not None:
            lora[int(pair[1]), {"q": "query", "v": "value"}[pair[3]], pair[2].upper()] = value
        else:
            base[name.replace(".attn.qkv.qkv.", ".attn.qkv.")] = value
    return base, lora
