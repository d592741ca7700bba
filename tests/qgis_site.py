"""QGIS for the tests: its own Python, in which a function of ``qgis_inside.py`` is run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

__all__ = ["held_in_qgis", "in_qgis", "needs_qgis", "why_not"]

PYTHON = os.environ.get("ROSGEO_QGIS_PYTHON", "/usr/bin/python3")
"""The Python that has QGIS's modules; they belong to the system, not to a virtual environment."""

_CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key != "VIRTUAL_ENV"}


@cache
def why_not() -> str:
    """Why nothing can be run in QGIS here; empty where it can."""
    try:
        found = subprocess.run(
            [PYTHON, "-c", "from qgis.core import Qgis; print(Qgis.QGIS_VERSION)"],
            env=_CLEAN,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return f"{PYTHON} cannot be run ({error.strerror}); ROSGEO_QGIS_PYTHON names the Python that has QGIS"
    if found.returncode:
        return (
            f"{PYTHON} has no QGIS (on Debian and Ubuntu: apt-get install --no-install-recommends python3-qgis qgis-providers); "
            "ROSGEO_QGIS_PYTHON names another Python"
        )
    return ""


def needs_qgis() -> None:
    """Skip where there is no QGIS, or fail where ROSGEO_REQUIRE_QGIS says that there must be."""
    if why_not():
        if os.environ.get("ROSGEO_REQUIRE_QGIS"):
            pytest.fail(f"QGIS is required here: {why_not()}")
        pytest.skip(f"no QGIS: {why_not()}")


def in_qgis(tmp_path: Path, name: str, **arguments: Any) -> Any:
    """What a function of ``qgis/qgis_inside.py`` returns, called in QGIS's Python."""
    command, environment, answer = _call(tmp_path, name, arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert answer.exists(), done.stdout + done.stderr
    return json.loads(answer.read_text(encoding="utf-8"))


def _call(tmp_path: Path, name: str, arguments: dict[str, Any]) -> tuple[list[str], dict[str, str], Path]:
    given, answer = tmp_path / "qgis_in.json", tmp_path / "qgis_out.json"
    given.write_text(json.dumps(arguments), encoding="utf-8")
    answer.unlink(missing_ok=True)
    home = tmp_path / "qgis_home"
    home.mkdir(exist_ok=True)
    environment = {**_CLEAN, "QT_QPA_PLATFORM": "offscreen", "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LC_ALL": "C.UTF-8"}
    command = [PYTHON, str(Path(__file__).parent / "qgis" / "qgis_inside.py"), name, str(given), str(answer)]
    return command, environment, answer


@contextmanager
def held_in_qgis(tmp_path: Path, path: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """QGIS with a result open until the block ends; `how` as of ``hold`` in ``qgis/qgis_inside.py``."""
    command, environment, _ = _call(tmp_path, "hold", {"path": str(path), "how": how})
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    # QGIS itself says this and that before.
    assert any(line == "ready\n" for line in iter(process.stdout.readline, ""))
    try:
        yield process
    finally:
        process.communicate("")
