"""Training runs side by side: what each one changed, what it cost, what it scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosgeo.errors import InputFileNotFoundError, ModelError
from rosgeo.evaluation.scoring import Evaluation

__all__ = ["TrainedRun", "find_run", "training_changes", "training_table"]

_APART = ("-last", "-adapter", "-last-adapter")


@dataclass(frozen=True)
class TrainedRun:
    """What a training run left.

    Attributes
    ----------
    name : str
        Of its folder, or of its file.
    weights : Path
        The weights that the run is for.
    """

    name: str
    weights: Path


def find_run(path: str | Path) -> TrainedRun:
    """The run of a folder that `rosgeo train` wrote, or of a weights file.

    Raises
    ------
    InputFileNotFoundError
        No such folder or file, or no weights in the folder.
    ModelError
        More than one weights file in the folder.
    """
    place = Path(path)
    if place.is_file():
        return TrainedRun(place.stem, place)
    if not place.is_dir():
        raise InputFileNotFoundError(f"{place}: no such folder of a training run, nor a weights file")
    found = [file for file in sorted(place.glob("*.safetensors")) if not file.stem.endswith(_APART)]
    if not found:
        raise InputFileNotFoundError(f"{place} holds no weights; is its run finished?")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ModelError(f"{place} holds {len(found)} weights files ({names}); name one of them")
    return TrainedRun(place.name, found[0])


def training_changes(first: dict[str, Any], other: dict[str, Any]) -> str:
    """In words, what the training of `other` has changed against that of `first`; both as in a weights file's card.

    Keys that are alike are left out, as are those that say where things lie. A section that only one of them has is named alone.
    """
    old, new = _flat(first.get("training", {})), _flat(other.get("training", {}))
    # A section that one of them leaves out holds None there and keys here.
    gone, come = (
        {key for key, value in one.items() if value is None and any(k.startswith(f"{key}.") for k in another)}
        for one, another in ((new, old), (old, new))
    )
    words = {**dict.fromkeys(gone, "left out"), **dict.fromkeys(come, "added")}
    for key in {*old, *new}:
        if old.get(key) != new.get(key) and not any(key.startswith(f"{section}.") for section in words):
            words.setdefault(key, "none" if new.get(key) is None else json.dumps(new[key]))
    return "; ".join(f"{key} {word}" for key, word in sorted(words.items())) or "-"


_PLACES = {"output", "folder", "workers", "device", "validation", "name"}


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {key: value}
    parts = (_flat(v, f"{key}.{k}" if key else str(k)) for k, v in value.items() if k not in _PLACES)
    return {k: v for part in parts for k, v in part.items()}


def training_table(rows: Sequence[tuple[TrainedRun, dict[str, Any], Evaluation]]) -> str:
    """Runs with their cards and scores as a Markdown table; changes are against the first."""
    lines = ["| run | changed | updates | training, min | image IoU | image BIoU | object IoU |", "|" + " --- |" * 7]
    for run, card, result in rows:
        cost = (card.get("steps", "?"), "?" if "seconds" not in card else f"{card['seconds'] / 60:.1f}")
        figures = (result.image_iou.mean(), result.image_biou.mean(), result.iou.mean())
        changed = training_changes(rows[0][1], card) if run is not rows[0][0] else "(the first)"
        lines.append(f"| {run.name} | {changed} | {cost[0]} | {cost[1]} | {' | '.join(f'{v:.4f}' for v in figures)} |")
    return "\n".join(lines)
