"""Training runs side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from rosgeo.errors import InputFileNotFoundError, ModelError
from rosgeo.evaluation.ablation import find_run, training_changes
from rosgeo.model.checkpoint import load_model, save_model

from tests.training_site import write_coco


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Bright ellipses on dark ground."""
    return write_coco(tmp_path / "coco")


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> list[Path]:
    """Two finished runs."""
    folders = [tmp_path / "runs" / name for name in ("joint", "alternate")]
    for folder, update, steps in zip(folders, ("both", "alternate"), (10, 20), strict=True):
        folder.mkdir(parents=True)
        loaded = load_model(tiny_model)
        stage = {"update": update, "samples": 80, "folder": str(folder)}
        card = {"training": {"stages": {"cached": stage}, "output": folder.name}, "steps": steps, "seconds": 90}
        loaded.network.config = replace(loaded.network.config, name="row")
        save_model(loaded.network, folder / "row.safetensors", card=card)
        shutil.copy(folder / "row.safetensors", folder / "row-last.safetensors")
    return folders


def test_runs_are_compared_with_what_they_changed_and_cost(
    runs: list[Path], coco: Path, cli: Callable[..., Result], tmp_path: Path, tiny_model: Path
) -> None:
    said = cli(
        *("evaluate", coco, "--ablate", "training", "--run", runs[0], "--run", runs[1], "--run", tiny_model),
        *("--device", "cpu", "--json", tmp_path / "rows.json"),
    )
    assert said.exit_code == 0, said.output
    _, _, first, second, third = said.stdout.strip().splitlines()
    assert first.startswith("| joint | (the first) | 10 | 1.5 | ")
    assert second.startswith('| alternate | stages.cached.update "alternate" | 20 | 1.5 | ')
    # A file that says nothing of its training.
    assert third.startswith("| tiny | stages.cached.samples none; stages.cached.update none | ? | ? | ")
    # The same weights score the same.
    assert first.split(" | ")[4:] == second.split(" | ")[4:]
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["run"] for row in rows] == ["joint", "alternate", "tiny"]
    assert rows[0]["by_class"]


def test_one_kind_of_ablation_at_a_time(runs: list[Path], coco: Path, cli: Callable[..., Result]) -> None:
    assert "--ablate training and --run come together" in cli("evaluate", coco, "--run", runs[0]).output
    said = cli("evaluate", coco, "--ablate", "training")
    assert (said.exit_code, "--ablate training and --run come together" in said.output) == (2, True)


def test_runs_that_cannot_be_compared(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match="no such folder of a training run"):
        find_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFileNotFoundError, match="holds no weights; is its run finished"):
        find_run(tmp_path / "empty")
    shutil.copy(runs[0] / "row.safetensors", runs[0] / "other.safetensors")
    with pytest.raises(ModelError, match="holds 2 weights files"):
        find_run(runs[0])
    assert find_run(runs[1]).weights.name == "row.safetensors"


def test_changes_name_keys_and_new_values() -> None:
    first = {"training": {"seed": 0, "stages": {"live": {"rank": 16}}, "loss": {"points": "plain"}}}
    other = {"training": {"seed": 0, "stages": {"live": None}, "loss": {"points": "sampled"}}}
    assert training_changes(first, other) == 'loss.points "sampled"; stages.live left out'
    assert training_changes(other, first) == 'loss.points "plain"; stages.live added'
    assert training_changes(first, first) == "-"
