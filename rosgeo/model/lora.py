"""LoRA (Hu et al. 2021) on the encoder's query and value projections, by peft, with the encoder's last block trained whole.

``h = W0 x + (alpha / rank) B A x`` on query and value of every block but the last, as ROS-SAM has it. The last block is trained itself,
so that low-rank terms on top of it would add nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError

if TYPE_CHECKING:
    from peft import PeftModel

    from rosgeo.model.encoder import ImageEncoder

__all__ = ["LoraOptions", "adapter_of", "adapter_off", "add_lora", "load_peft", "merge_lora", "save_peft"]

_HANDLE = "_rosgeo_peft"


@dataclass(frozen=True)
class LoraOptions:
    """What of an encoder is trained.

    Attributes
    ----------
    rank : int
        Rank of the update of a query or value projection; 0 for none.
    alpha : float or None
        The update is scaled by ``alpha / rank``; None: by 1, as in ROS-SAM's code.
    dropout : float
        On the update's input, while training.
    last_block : bool
        The last block is trained whole.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    last_block: bool = True

    def __post_init__(self) -> None:
        if self.rank < 0 or (self.rank == 0 and not self.last_block):
            raise OptionError(f"LoRA rank {self.rank}: expected at least 1, or 0 with the last block trained")

    def as_record(self) -> dict[str, Any]:
        """Plain values for a file's metadata."""
        return asdict(self)


def add_lora(encoder: ImageEncoder, options: LoraOptions) -> PeftModel:
    """Put LoRA into an encoder, in place; only the adapter and the last block are left trainable in it.

    Parameters
    ----------
    encoder : ImageEncoder
        With weights loaded. Its parameters are frozen.
    options : LoraOptions
        Rank, scale, last block.

    Returns
    -------
    peft.PeftModel
        A wrapper that shares the encoder's modules. The encoder itself goes on being used as it was.

    Raises
    ------
    ModelError
        The encoder has an adapter already.
    """
    from peft import LoraConfig, get_peft_model

    if adapter_of(encoder) is not None:
        raise ModelError("the encoder has an adapter already; merge it first")
    blocks = _blocks(encoder)
    depth = len({name.rsplit(".", 1)[1] for name in blocks})
    last = next(name for name in blocks if name.endswith(f".{depth - 1}") or name == f"blocks.{depth - 1}")
    adapted = "|".join(str(i) for i in range(depth - 1 if options.last_block else depth))
    config = LoraConfig(
        r=max(options.rank, 1),
        lora_alpha=options.rank if options.alpha is None else options.alpha,  # type: ignore[arg-type]
        lora_dropout=options.dropout,
        target_modules=rf"(?:.*\.)?blocks\.(?:{adapted})\.attn\.(?:query|value)",
        modules_to_save=[last] if options.last_block else None,
        bias="none",
    )
    with _without_torch_chatter():
        model = get_peft_model(encoder, config)  # type: ignore[arg-type]
    _keep(encoder, model)
    return model


def adapter_of(encoder: nn.Module) -> PeftModel | None:
    """The peft model that shares an encoder's modules; None where it has no adapter."""
    return encoder.__dict__.get(_HANDLE)


@contextmanager
def adapter_off(encoder: nn.Module) -> Iterator[None]:
    """The encoder as it is without its adapter, bit for bit; as it is where it has none."""
    model = adapter_of(encoder)
    if model is None:
        yield
        return
    # peft leaves the adapter trainable afterwards, whatever it was before.
    trainable = {name: p.requires_grad for name, p in encoder.named_parameters()}
    with model.disable_adapter():
        yield
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(trainable[name])


def merge_lora(encoder: nn.Module) -> None:
    """Fold the adapter into the encoder's own weights, in place; nothing where it has none.

    The encoder has plain linear layers afterwards, under its usual parameter names.
    """
    model = adapter_of(encoder)
    if model is None:
        return
    model.merge_and_unload()  # type: ignore[operator]
    del encoder.__dict__[_HANDLE]


def save_peft(encoder: nn.Module, folder: str | Path) -> None:
    """Write the adapter in peft's own format: ``adapter_config.json`` and ``adapter_model.safetensors``."""
    model = adapter_of(encoder)
    if model is None:
        raise ModelError("the encoder has no adapter to save")
    with _without_torch_chatter():
        model.save_pretrained(str(folder))


def load_peft(encoder: ImageEncoder, folder: str | Path, *, trainable: bool = False) -> PeftModel:
    """Put an adapter of peft's own format on an encoder, in place.

    Parameters
    ----------
    encoder : ImageEncoder
        The base, with weights loaded.
    folder : path
        With ``adapter_config.json`` and ``adapter_model.safetensors``.
    trainable : bool
        Whether the adapter may be trained on.

    Raises
    ------
    InputFileNotFoundError
        The folder or one of its two files is not there.
    ModelError
        The adapter does not fit the encoder.
    """
    from peft import PeftModel

    folder = Path(folder)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise InputFileNotFoundError(f"{folder} is not an adapter of peft: it has no {name}")
    try:
        with _without_torch_chatter():
            model = PeftModel.from_pretrained(encoder, str(folder), is_trainable=trainable)  # type: ignore[arg-type]
    except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), " ".join(str(error).split()))
        raise ModelError(f"the adapter {folder} does not fit this model: {reason[:300]}") from error
    _keep(encoder, model)
    return model


def _keep(encoder: nn.Module, model: PeftModel) -> None:
    # Not as a submodule: the model holds the encoder itself, and a module may not hold itself.
    encoder.__dict__[_HANDLE] = model


def _blocks(encoder: nn.Module) -> list[str]:
    """Names of the transformer blocks, in order."""
    return [name for name, _ in encoder.named_modules() if re.fullmatch(r"(?:.*\.)?blocks\.\d+", name)]


@contextmanager
def _without_torch_chatter() -> Iterator[None]:
    """Without peft's warnings on models that are not from transformers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="peft")
        warnings.filterwarnings("ignore", message=".*(base model|adapter|target_modules).*", category=UserWarning)
        yield
