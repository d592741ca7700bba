"""``--dry-run`` and the progress of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from rosgeo.cli.progress import ProgressBar
from rosgeo.errors import NoOverlapWarning
from rosgeo.geometry.windows import CropPolicy
from rosgeo.run.estimate import estimate_run
from rosgeo.run.pipeline import SegmentOptions, segment_run

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

BOXES = [(10, 10, 40, 30), (60, 20, 90, 50), (100, 60, 140, 100), (-300, 0, -200, 50), (0, 0, 20, 20)]


def test_a_dry_run_says_what_a_run_would_do(write_raster: WriteRaster, tiny_model: Path, tmp_path: Path) -> None:
    layer = px_boxes(BOXES, NORTH_UP, "EPSG:32633")
    options = SegmentOptions(model=str(tiny_model), device="cpu", crop=CropPolicy(factor=2.0))
    figures = estimate_run(write_raster(array=np.ones((3, 120, 160), dtype=np.uint16)), layer, options)
    wanted = {"boxes": 5, "planned": 4, "invalid": 0, "outside": 1, "tiles": 1, "crops": 4, "encoder_passes": 4}
    assert {key: figures[key] for key in wanted} == wanted
    # Windows of 60, 60, 80 and 40 px round their boxes, cut at the raster's edge; three bands of two bytes.
    sides = [(55, 50), (60, 60), (80, 80), (30, 30)]
    assert figures["bytes_to_read"] == sum(h * w for w, h in sides) * 6
    assert figures["seconds"] == pytest.approx(4 * figures["seconds_an_object"], abs=0.1)
    assert 5e7 < figures["peak_memory_bytes"] < 5e9
    assert json.loads(json.dumps(figures)) == figures
    shared = estimate_run(write_raster(), layer, SegmentOptions(model=str(tiny_model), device="cpu", crop=CropPolicy(mode="whole")))
    assert (shared["crops"], shared["encoder_passes"]) == (4, 1)
    with pytest.warns(NoOverlapWarning):
        nothing = estimate_run(write_raster(), layer.iloc[[3]], options)
    assert (nothing["planned"], nothing["seconds"]) == (0, None)


def test_a_dry_run_writes_nothing(site: Any, cli: Callable[..., Result], tmp_path: Path, tiny_model: Path) -> None:
    layer = px_boxes(BOXES, NORTH_UP, "EPSG:32633")
    layer.to_file(tmp_path / "boxes.gpkg")
    before = sorted(tmp_path.iterdir())
    run = cli("segment", "scene.tif", "boxes.gpkg", "--model", tiny_model, "--device", "cpu", "--dry-run")
    assert run.exit_code == 0, run.output
    assert "boxes: 5 (4 planned, 1 outside, 0 invalid)" in run.output
    assert "encoder passes: 4" in run.output
    as_json = cli("segment", "scene.tif", "boxes.gpkg", "--model", tiny_model, "--device", "cpu", "--dry-run", "--json")
    assert json.loads(as_json.stdout)["planned"] == 4
    assert sorted(tmp_path.iterdir()) == before


def test_progress_counts_by_status(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    told: list[tuple[int, int, dict[str, int]]] = []
    layer = px_boxes(BOXES, NORTH_UP, "EPSG:32633")
    segment_run(write_raster(), layer, SegmentOptions(), segmenter=ellipse_segmenter, progress=lambda *a: told.append(a))  # type: ignore[arg-type]
    assert told[0] == (1, 5, {"outside": 1})
    assert told[-1] == (5, 5, {"outside": 1, "ok": 4})
    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5]


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("rosgeo.cli.progress.time.monotonic", lambda: clock[0])
    with ProgressBar() as progress:
        for done in range(0, 41):
            progress(done, 40, {"ok": done})
            clock[0] += 1.0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "10 of 40 objects, 1.00 a second, 30 s left (10 ok)",
        "20 of 40 objects, 1.00 a second, 20 s left (20 ok)",
        "30 of 40 objects, 1.00 a second, 10 s left (30 ok)",
    ]
    with ProgressBar(shown=False) as progress:
        for done in range(41):
            progress(done, 40, {})
            clock[0] += 100
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with ProgressBar() as progress:
        progress(2, 10, {"ok": 2})
        progress(10, 10, {"ok": 9, "empty": 1})
    assert "10/10" in capsys.readouterr().err
