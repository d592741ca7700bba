"""Models by name."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError

if TYPE_CHECKING:
    from rosgeo.model.checkpoint import LoadedModel

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "MODELS", "SERVED_AT", "ModelEntry", "cache_dir", "entry_of", "open_model", "resolve_model"]

DEFAULT_MODEL = "rosgeo-small"

EMBEDDED = {DEFAULT_MODEL: Path(__file__).parent / "weights" / "rosgeo-small.safetensors"}
"""Models that come with the package."""

SERVED_AT = {DEFAULT_MODEL: 336}
"""Side of the input, in pixels, at which an embedded model serves better and faster than at the size it was trained at (model card)."""

CACHE_VARIABLE = "ROSGEO_CACHE"
MIRROR_VARIABLE = "ROSGEO_MODELS_URL"


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a model before its file is there.

    Attributes
    ----------
    name : str
        Name on the command line.
    description : str
        One line.
    file : str
        Name of the weights file.
    url : str
        Where its makers offer the file; empty for an embedded model.
    hash : str
        Of the file, as pooch writes it: ``sha256:...`` or ``md5:...``; empty for an embedded model, which was installed with the code.
    size : int, optional
        Bytes, where known.
    licence, source : str
        Terms of the weights, and the page that states them.
    embedded : bool
        It comes with the package.
    """

    name: str
    description: str
    file: str
    url: str
    hash: str
    size: int | None
    licence: str
    source: str
    embedded: bool = False

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return EMBEDDED[self.name] if self.embedded else cache_dir() / self.file

    @property
    def address(self) -> str:
        """Where the file is fetched from: `url`, or the mirror in ``ROSGEO_MODELS_URL``."""
        mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
        return f"{mirror.rstrip('/')}/{self.file}" if mirror and not self.embedded else self.url

    @property
    def state(self) -> Literal["embedded", "downloaded", "not downloaded"]:
        """Whether the file is there; its hash is not looked at, which takes seconds a gigabyte."""
        if self.embedded:
            return "embedded"
        return "downloaded" if self.path.is_file() else "not downloaded"

    @property
    def by_hand(self) -> str:
        """What a user without network does."""
        return f"put {self.file} from {self.url} at {self.path}"


_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM_PAGE = "https://github.com/facebookresearch/segment-anything"
_HQ = "https://huggingface.co/lkeab/hq-sam/resolve/main/"
_HQ_PAGE = "https://huggingface.co/lkeab/hq-sam"

_ENTRIES = [
    ModelEntry(
        name=DEFAULT_MODEL,
        description="ROS-SAM's design on DINOv2 ViT-S/14; comes with the package",
        file=EMBEDDED[DEFAULT_MODEL].name,
        url="",
        hash="",
        size=None,
        licence="see the model card; parts of the training data are for research only",
        source=str(EMBEDDED[DEFAULT_MODEL].with_name("README.md")),
        embedded=True,
    ),
    *(
        ModelEntry(f"sam-vit-{size}", text, file, _SAM + file, f"sha256:{sha256}", length, "Apache-2.0", _SAM_PAGE)
        for size, text, file, sha256, length in [
            (
                "b",
                "Segment Anything with a ViT-B encoder, Meta AI",
                "sam_vit_b_01ec64.pth",
                "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
                375_042_383,
            ),
            (
                "l",
                "Segment Anything with a ViT-L encoder, Meta AI",
                "sam_vit_l_0b3195.pth",
                "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
                1_249_524_607,
            ),
            (
                "h",
                "Segment Anything with a ViT-H encoder, Meta AI",
                "sam_vit_h_4b8939.pth",
                "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
                2_564_550_879,
            ),
        ]
    ),
    *(
        ModelEntry(f"sam-hq-vit-{size}", text, file, _HQ + file, f"md5:{md5}", None, "Apache-2.0", _HQ_PAGE)
        for size, text, file, md5 in [
            ("b", "HQ-SAM with a ViT-B encoder", "sam_hq_vit_b.pth", "c6b8953247bcfdc8bb8ef91e36a6cacc"),
            ("l", "HQ-SAM with a ViT-L encoder", "sam_hq_vit_l.pth", "08947267966e4264fb39523eccc33f86"),
            ("h", "HQ-SAM with a ViT-H encoder", "sam_hq_vit_h.pth", "3560f6b6a5a6edacd814a1325c39640a"),
        ]
    ),
]

MODELS = {entry.name: entry for entry in _ENTRIES}
"""Every model that has a name."""


def cache_dir() -> Path:
    """The folder of downloaded weights: ``ROSGEO_CACHE``, else the system's place for caches."""
    chosen = os.environ.get(CACHE_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    import pooch  # type: ignore[import-untyped]

    return Path(pooch.os_cache("rosgeo"))


def entry_of(name: str) -> ModelEntry:
    """The entry of a model's name; raises ModelError for an unknown one."""
    if name not in MODELS:
        raise ModelError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}.{_hint(name)}")
    return MODELS[name]


def open_model(
    model: str | Path,
    *,
    adapter: str | Path | None = None,
    input_size: int | None = None,
    mask_token: str | None = None,
) -> LoadedModel:
    """Load a model by its name or path.

    Parameters
    ----------
    model : str or Path
        See `resolve_model`. An adapter file of rosgeo is put on the base that it names.
    adapter : str or Path, optional
        An adapter file of rosgeo, or an adapter's folder of peft, to put on the model.
    input_size : int, optional
        Side of the model's input in pixels. Default: see `SERVED_AT`, else the size that the weights were trained at.
    mask_token : {"hq", "sam", "sum"}, optional
        See `load_model`.

    Raises
    ------
    InputFileNotFoundError, ModelError, OptionError
        See `resolve_model`, `load_model` and `load_adapter`.
    """
    # Here, so that whoever only asks for names does not wait for torch.
    from rosgeo.model.adapters import base_of_adapter, load_adapter
    from rosgeo.model.checkpoint import load_model

    path = resolve_model(model)
    base = base_of_adapter(path)
    if base is not None:
        if adapter is not None:
            raise OptionError(f"{path} is an adapter itself, for {base}; pass one adapter only")
        model, adapter, path = base, path, resolve_model(base)
    size = SERVED_AT.get(str(model)) if input_size is None else input_size
    if adapter is None:
        return load_model(path, input_size=size, mask_token=mask_token)
    of_peft = Path(adapter).is_dir()
    # One of rosgeo's brings a size of its own, and may bring the HQ token that a mask token asks for.
    loaded = load_model(path, input_size=size if of_peft else None)
    return load_adapter(loaded, adapter, input_size=input_size, mask_token=mask_token)


def resolve_model(model: str | Path) -> Path:
    """The weights file of a model's name, or the path itself. Nothing is downloaded.

    Parameters
    ----------
    model : str or Path
        A name in `MODELS`, or the path of a weights file or folder.

    Raises
    ------
    ModelError
        Neither a known name nor a path of an existing file, or the name of a model that is yet to be downloaded.
    InputFileNotFoundError
        It looks like a path, and there is no such file.
    """
    if str(model) in MODELS:
        entry = MODELS[str(model)]
        if entry.state == "not downloaded":
            raise ModelError(
                f"model {entry.name!r} is not on this machine: run rosgeo models download {entry.name}, or {entry.by_hand}"
            )
        return entry.path
    path = Path(model)
    if path.exists():  # a folder as well: what a run of ROS-SAM leaves
        return path
    if path.suffix or len(path.parts) > 1:
        raise InputFileNotFoundError(f"model {str(model)!r}: no such weights file; known names: {', '.join(MODELS)}")
    raise ModelError(
        f"unknown model {str(model)!r}: expected one of {', '.join(MODELS)}, or the path of a weights file.{_hint(str(model))}"
    )


def _hint(name: str) -> str:
    close = difflib.get_close_matches(name.lower().replace("_", "-"), MODELS, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
