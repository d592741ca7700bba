"""The configuration of a training run: frozen dataclasses, read from YAML with strict keys."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from rosgeo.errors import ConfigError, InputFileNotFoundError
from rosgeo.model.network import ModelConfig
from rosgeo.training.samples import Augmentation

__all__ = ["TrainConfig", "read_config"]

T = TypeVar("T")


@dataclass(frozen=True)
class CacheConfig:
    """Features of the frozen backbone, computed once.

    Attributes
    ----------
    folder : str
        Where they are kept (about 3.2 MB a crop).
    crops : int
        How many training crops to make.
    crops_a_file : int
        Crops a shard.
    objects_a_crop : int
        At most so many objects of a crop are labelled.
    workers : int
        Processes of one thread that make them.
    """

    folder: str = "runs/features"
    crops: int = 6400
    crops_a_file: int = 160
    objects_a_crop: int = 3
    workers: int = 2


@dataclass(frozen=True)
class OptimConfig:
    """The decoder's optimisation.

    Attributes
    ----------
    samples : int
        Objects seen in all, over how often ever each cached crop comes.
    batch_size : int
        Objects a step.
    learning_rate : float
        Peak of a cosine schedule with a linear warm-up.
    warmup : float
        Share of the steps that warm up.
    weight_decay : float
        Of AdamW.
    clip_norm : float
        Largest norm of the gradient.
    coarse_share : float
        Share of the steps that train without the detail branch, which makes them about twice as fast.
    iou_weight : float
        Weight of the squared error of the predicted IoU.
    files_in_memory : int
        Shards that are shuffled together; also how often a checkpoint is written.
    """

    samples: int = 12800
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.03
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    coarse_share: float = 0.5
    iou_weight: float = 1.0
    files_in_memory: int = 5


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes
    ----------
    train, val : str
        COCO folders.
    backbone : str
        Weights of the DINOv2 backbone (safetensors).
    output : str
        Folder of the run: checkpoint, log, weights.
    seed : int
        Of everything that is drawn.
    class_factors : dict
        Class name -> factor on its drawing probability.
    model, augmentation, cache, optim
        See their classes.
    """

    train: str
    val: str
    backbone: str
    output: str = "runs/rosgeo-small"
    seed: int = 0
    class_factors: dict[str, float] = field(default_factory=dict)
    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: CacheConfig = field(default_factory=CacheConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def read_config(path: str | Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file; overrides are ``key=value`` with dots for nested keys and values in YAML.

    Raises
    ------
    InputFileNotFoundError
        No such file.
    ConfigError
        Not a YAML mapping, an unknown key (the message names the nearest known one), a missing key or a value of the wrong kind.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileNotFoundError(f"{source}: no such configuration file")
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of keys, found {type(values).__name__}")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r}: expected key=value")
        *parents, last = key.split(".")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = yaml.safe_load(text)
    return _build(TrainConfig, values, str(source))


def _build(cls: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from a mapping, nested ones included."""
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(names)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
    built = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return cls(**built)
    except TypeError as error:
        raise ConfigError(f"{where}: {str(error).split('() ')[-1]}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, found {value!r}")
        return _build(kind, value, where)
    origin = getattr(kind, "__origin__", kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list, found {value!r}")
        element = get_args(kind)[0]
        return tuple(_convert(element, v, where) for v in value)
    if origin is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if origin is dict and isinstance(value, dict):
        return {str(key): _convert(get_args(kind)[1], v, f"{where}.{key}") for key, v in value.items()}
    if not isinstance(value, origin) or (isinstance(value, bool) and origin is not bool):
        raise ConfigError(f"{where}: expected {origin.__name__}, found {value!r}")
    return value
