"""``rosgeo doctor``: what it tells, and that it sees what is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from rosgeo.diagnostics import doctor

Cli = Callable[..., Result]


def test_a_whole_installation(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"x" * 100_000)
    monkeypatch.setenv("ROSGEO_CACHE", str(tmp_path))
    monkeypatch.setenv("ROSGEO_MODELS_URL", "https://me:secret@example.org/models")
    run = cli("doctor", "--json")
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert report["ok"]
    assert [c["name"] for c in report["checks"]] == ["packages", "PROJ database", "writing", "model"]
    assert all(c["ok"] and not c["remedy"] for c in report["checks"])
    for name in ("rosgeo", "torch", "GDAL (rasterio)", "GDAL (pyogrio)", "PROJ (pyproj)", "GEOS (shapely)"):
        assert report["versions"][name][0].isdigit() or name == "rosgeo"
    assert report["devices"]["auto"].split()[0] in ("cpu", "cuda", "mps")
    assert report["cache"] == {"folder": str(tmp_path), "files": {"sam_vit_b_01ec64.pth": "0.1 MB, sam-vit-b"}}
    assert report["memory"]["memory"].endswith(" GB")
    assert report["environment"]["ROSGEO_MODELS_URL"] == "https://***@example.org/models"
    assert "secret" not in run.output


def test_what_is_broken_is_named_with_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"writing": doctor.CHECKS["writing"]})
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    run = cli("doctor")
    assert run.exit_code == 1
    assert isinstance(run.exception, SystemExit)
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: writing is broken (")
    assert line.endswith("To do: free some space there, or set TMPDIR to a folder that can be written to")
    assert any(x.startswith("  writing:") and "BROKEN" in x for x in run.stdout.splitlines())


def test_a_wrong_outline_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_IOU", 1.01)
    report = doctor.diagnose({"model": doctor.CHECKS["model"]})
    assert not report["ok"]
    assert "expected 1.01 or more" in report["checks"][0]["found"]


def test_another_database_of_proj_is_seen(tmp_path: Path) -> None:
    program = "from rosgeo.diagnostics import doctor; print(doctor._run('p', *doctor.CHECKS['PROJ database']))"
    broken = {**os.environ, "PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=broken)
    assert "ok=False" in result.stdout, result.stderr
    assert "unset PROJ_DATA" in result.stdout


def test_what_cannot_be_told_is_said_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cache", lambda: (_ for _ in ()).throw(PermissionError("not for you")))
    report = doctor.diagnose({})
    assert report["cache"] == {"error": "PermissionError: not for you"}
    assert report["ok"]
