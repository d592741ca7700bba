"""rosgeo as a plug-in of rio, and the completion of commands in a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
from click.testing import Result

from tests.cli_site import Site

RIO = str(Path(sys.executable).parent / "rio")
Cli = Callable[..., Result]


def rio(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RIO, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_rio_runs_it(site: Site) -> None:
    run = rio("rosgeo", "segment", "scene.tif", "boxes.gpkg", "-o", "r.gpkg", "--model", site.model, "-q")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert len(gpd.read_file("r.gpkg", layer="masks")) == 1


def test_help_under_rio_is_that_of_the_command_alone() -> None:
    run = rio("rosgeo", "segment", "--help")
    assert (run.returncode, run.stderr) == (0, "")
    alone = subprocess.run([sys.executable, "-m", "rosgeo", "segment", "--help"], capture_output=True, text=True, check=True)
    assert run.stdout == alone.stdout.replace("Usage: rosgeo", "Usage: rio rosgeo")
    assert "\nMost used:\n" in run.stdout
    assert "\nWhere and how it runs:\n" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("segment", "missing.tif", "boxes.gpkg"), "missing.tif: no such file"),
        (("info", "boxes.txt"), "boxes.txt is nothing that rosgeo knows"),
    ],
)
def test_errors_under_rio_are_one_line(site: Site, arguments: tuple[str, ...], words: str) -> None:
    (site.folder / "boxes.txt").write_text("nothing")
    run = rio("rosgeo", *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


def test_bash_completes(cli: Cli, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None, "this test needs bash"
    script = cli("completion", "bash").stdout
    program = f"""
{script}
answer() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _rosgeo_completion rosgeo; echo "${{COMPREPLY[@]}}"; }}
answer rosgeo se
answer rosgeo segment --orth
answer rosgeo segment --crop p
answer rosgeo video --mask-token h
answer rosgeo evaluate --no-b
complete -p rosgeo
"""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "rosgeo").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from rosgeo.cli.main import main; main(prog_name=\'rosgeo\')" "$@"\n'
    )
    (folder / "rosgeo").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    # A name for a function of its own, as an interactive bash has; no files of the user's are read.
    run = subprocess.run([bash, "--norc", "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert run.stderr == ""
    words = run.stdout.splitlines()
    assert words[:5] == ["segment", "--orthogonal", "paper", "hq", "--no-baselines"]
    assert "_rosgeo_completion" in words[5]


@pytest.mark.parametrize(
    "words", ["segment", "video a b --georef", "evaluate --labels", "convert tracks", "train", "models verify"]
)
def test_files_are_completed_as_files(words: str) -> None:
    given = ["rosgeo", *words.split(), "sc"]
    environment = {
        **os.environ, "_ROSGEO_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(given), "COMP_CWORD": str(len(given) - 1)
    }  # fmt: skip
    run = subprocess.run([sys.executable, "-c", "from rosgeo.cli.main import main; main(prog_name='rosgeo')"],
                         capture_output=True, text=True, check=False, env=environment)  # fmt: skip
    assert (run.stdout, run.stderr) == ("file,sc\n", "")


@pytest.mark.parametrize(("shell", "words"), [("zsh", "#compdef rosgeo"), ("fish", "function _rosgeo_completion")])
def test_the_other_shells(cli: Cli, shell: str, words: str) -> None:
    run = cli("completion", shell)
    assert run.exit_code == 0
    assert run.stdout.strip().startswith(words)
    assert "_ROSGEO_COMPLETE" in run.stdout
