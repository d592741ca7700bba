"""The ways into rosgeo: its import, its commands, and the plug-in of rio."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import rosgeo
from click.testing import Result


def process(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)


def test_import_of_the_package_is_light() -> None:
    heavy = "{'torch', 'geopandas', 'rasterio', 'shapely', 'pyproj', 'dask', 'xarray', 'numpy'}"
    result = process("-c", f"import sys, rosgeo; dir(rosgeo); print(*sorted({heavy} & set(sys.modules)))")
    assert (result.stdout, result.stderr) == ("\n", "")


def test_help_and_version() -> None:
    for arguments in (["--help"], ["segment", "--help"], ["train", "--help"]):
        result = process("-m", "rosgeo", *arguments)
        assert result.returncode == 0, result.stderr
        assert "Usage: " in result.stdout
    assert process("-m", "rosgeo", "--version").stdout.strip().endswith(rosgeo.__version__)
    assert process("-X", "importtime", "-m", "rosgeo", "--help").stderr.count(" torch\n") == 0
    bad = process("-m", "rosgeo", "segmnt")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "segmnt" in bad.stderr


def test_rio_plugin() -> None:
    rio = str(Path(sys.executable).parent / "rio")
    for command in ([rio, "rosgeo", "--help"], [rio, "rosgeo", "segment", "--help"]):
        result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"})
        assert result.returncode == 0, result.stderr
        assert "Usage: rio rosgeo" in result.stdout
        assert result.stderr == ""


def test_examples_in_help_stand_on_lines_of_their_own(cli: Callable[..., Result]) -> None:
    for command in (("segment",), ("train",), ("evaluate",), ("models", "convert")):
        text = cli(*command, "--help").output
        assert "\\b" not in text
        assert any(line.startswith(f"  rosgeo {' '.join(command)} ") for line in text.splitlines()), text


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in ``rosgeo models list | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run([sys.executable, "-m", "rosgeo", "models", "list"], stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert run.stderr == b""
