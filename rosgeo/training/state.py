"""What a killed run goes on from."""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rosgeo.errors import OutputError, TrainingDataError
from rosgeo.files.places import whole_file
from rosgeo.labelled.config import DataSource
from rosgeo.model.network import RosSam
from rosgeo.training.config import CachedStage, LiveStage, TrainConfig
from rosgeo.training.losses import LossConfig
from rosgeo.training.samples import Augmentation
from rosgeo.training.start import is_encoder

__all__ = ["Position", "RunIdentity", "load_state", "plain_config", "save_state"]

logger = logging.getLogger(__name__)

_PATHS = ("path", "masks", "raster", "labels", "area", "ignore", "images", "backbone", "model", "output", "folder")
"""Keys that hold a path."""

_PLACES = {"output", "folder", "workers", "device", "precision", "validation"}
"""Keys that say where and how a run is done or measured, and not what is learnt."""


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes
    ----------
    stage : str
        ``cached``, ``live`` or ``done``.
    step : int
        Updates of that stage that are done.
    total : int
        Updates of the whole run that are done.
    best : float
        Best validation IoU so far; -1 before the first.
    seconds : float
        Of training so far.
    """

    stage: str
    step: int
    total: int = 0
    best: float = -1.0
    seconds: float = 0.0


@dataclass(frozen=True)
class RunIdentity:
    """What must not change when a run is resumed.

    Attributes
    ----------
    config : dict
        Flat: ``stages.live.rank`` -> value; and the number of processes.
    data : dict
        See `TrainingData.fingerprints`.
    """

    config: dict[str, str]
    data: dict[str, str]

    @classmethod
    def of(cls, config: TrainConfig, data: dict[str, str], processes: int) -> RunIdentity:
        """Of a configuration, its data and the number of processes that share its samples."""
        return cls({**_flat(plain_config(config)), "processes": str(processes)}, data)

    def difference(self, other: RunIdentity) -> str:
        """In words, what differs in `other`; empty where nothing does. A key that came later counts as its default."""
        old, new = ({**_default_keys(side.config), **side.config} for side in (self, other))
        keys = sorted(k for k in {*old, *new} if _with_defaults(k, old.get(k)) != _with_defaults(k, new.get(k)))
        parts = [f"{k} was {old.get(k, 'not there')}, is {new.get(k, 'not there')}" for k in keys]
        sides = sorted(k for k in {*self.data, *other.data} if self.data.get(k) != other.data.get(k))
        parts += [f"{k} data: were {self.data.get(k)}, are {other.data.get(k)}" for k in sides]
        return "; ".join(parts)


def plain_config(config: TrainConfig) -> dict[str, Any]:
    """The resolved configuration for records: names of files, never their paths on this machine."""
    plain: dict[str, Any] = _without_paths(asdict(config))
    return plain


def _without_paths(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _without_paths(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(v, key) for v in value]
    is_path = key in _PATHS and isinstance(value, str)
    return Path(value).name if is_path else value


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if isinstance(value, dict) and value:
        parts = (_flat(v, f"{key}.{k}" if key else str(k)) for k, v in value.items() if k not in _PLACES)
        return {k: v for part in parts for k, v in part.items()}
    return {key: json.dumps(value)}


def _default_keys(config: dict[str, str]) -> dict[str, str]:
    """Defaults of the sections that a configuration has."""
    sections: dict[str, Any] = {
        "augmentation": Augmentation(),
        "loss": LossConfig(),
        "stages.cached": CachedStage(),
        "stages.live": LiveStage(),
    }
    flat = (_flat(asdict(values), name) for name, values in sections.items() if any(k.startswith(f"{name}.") for k in config))
    return {"processes": "1", **{key: value for part in flat for key, value in part.items()}}


def _with_defaults(key: str, value: str | None) -> Any:
    """The value of a key, sources of data with the keys that came later."""
    if value is None or key not in ("data.train", "data.val"):
        return value
    defaults = {f.name: f.default for f in fields(DataSource)}
    return [{**defaults, **source} for source in json.loads(value)]


def _kept(network: RosSam) -> dict[str, Tensor]:
    """All that training may have changed: everything but the frozen part of the encoder."""
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    return {name: value.detach().cpu() for name, value in network.state_dict().items() if name in trained or not is_encoder(name)}


def save_state(
    path: Path, network: RosSam, optimizer: torch.optim.Optimizer | None, position: Position, identity: RunIdentity
) -> None:
    """Write a checkpoint, whole or not at all; raises OutputError where it cannot be."""
    state = {
        "trained": _kept(network),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "position": asdict(position),
        "identity": asdict(identity),
    }
    try:
        with whole_file(path) as partial:
            torch.save(state, partial)
    except (OSError, RuntimeError) as error:  # torch's own for a full disk is a RuntimeError
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise OutputError(
            f"the checkpoint {path} cannot be written: {reason}; the one before it, if any, stays, and --resume goes on from there"
        ) from error


def load_state(path: Path, identity: RunIdentity) -> dict[str, Any] | None:
    """Read a checkpoint of the same run; None where there is none yet.

    Raises
    ------
    TrainingDataError
        It is damaged, or of another configuration or other data.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        found = RunIdentity(**state["identity"])
    except (RuntimeError, LookupError, TypeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingDataError(
            f"{path} is not a checkpoint of this version: {' '.join(str(error).split())[:200]}; start anew without --resume, or with "
            "another output"
        ) from error
    difference = found.difference(identity)
    if difference:
        raise TrainingDataError(f"{path} is of another run ({difference}); start anew without --resume, or with another output")
    return {**state, "position": Position(**state["position"])}
