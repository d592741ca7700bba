"""The notebooks run as they are stored, quickly, and are stored without outputs."""

from __future__ import annotations

import resource
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WANTED = {"quick_start", "detector_boxes_to_map", "large_raster_dask", "fine_tune", "uncertainty", "video"}

_SECONDS = 120
"""Of computing, for a notebook and all processes that it starts."""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def test_they_are_all_there() -> None:
    assert {path.stem for path in NOTEBOOKS} >= WANTED


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    # As a writer would write them anew, so that a difference between two versions shows what was changed and nothing else.
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook, indent=1) + "\n"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_open_with_a_question_and_end_with_a_check(path: Path) -> None:
    cells = read(path).cells
    title = cells[0].source.splitlines()[0]
    assert title.startswith("# ")
    assert title.endswith("?")
    assert cells[-2].source == "## Check"
    assert "assert " in cells[-1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSGEO_OFFLINE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    used = _children()
    notebook = read(path)
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not any("Warning" in text for text in said), said
    assert any("image/png" in output.get("data", {}) for output in outputs) or path.stem == "large_raster_dask"
    assert _children() - used < _SECONDS


def _children() -> float:
    """Seconds that ended child processes have computed."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
