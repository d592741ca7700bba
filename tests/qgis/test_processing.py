"""The Processing script in a real QGIS, and its way there."""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from rosgeo.qgis.install import SCRIPT, SETTINGS, find_profiles, profile_homes, script_path
from rosgeo.run.journal import journal_path

from tests.cli_site import Cli
from tests.conftest import NORTH_UP, WriteRaster, px_boxes
from tests.qgis_site import in_qgis, needs_qgis

COUNT = 250


def profile(folder: Path, cli: Cli) -> Path:
    """A QGIS profile with the script."""
    path = folder / "profiles" / "default"
    path.mkdir(parents=True)
    result = cli("qgis", "install", "--profile", path)
    assert result.exit_code == 0, result.output
    assert str(path / "processing" / "scripts" / SCRIPT) in result.output
    return path


def test_the_script_in_qgis(
    tmp_path: Path, tiny_model: Path, write_raster: WriteRaster, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_qgis()
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    there = profile(tmp_path, cli)
    scene = write_raster()
    rng = np.random.default_rng(0)
    corners = rng.uniform(5, [120, 80], (COUNT, 2))
    boxes = px_boxes([(x, y, x + 20, y + 20) for x, y in corners], NORTH_UP, "EPSG:32633", kind=[f"k{i}" for i in range(COUNT)])
    boxes.to_file(tmp_path / "boxes.gpkg", layer="ships")
    layer = f"{tmp_path / 'boxes.gpkg'}|layername=ships"
    output, other = tmp_path / "out.gpkg", tmp_path / "selected.gpkg"
    given: dict[str, Any] = {"SCENE": str(scene), "MODEL": str(tiny_model), "DEVICE": "cpu", "OUTPUT": str(output)}
    runs = [
        {"parameters": given, "boxes": layer, "cancel": True},
        {"parameters": {**given, "RESUME": True}, "boxes": layer},
        {"parameters": {**given, "OUTPUT": str(other), "ADD_PROMPTS": True, "MIN_AREA": 0.5}, "boxes": layer, "memory": True,
         "select": [3, 7]},
        {"parameters": {**given, "EXTRA": "--no-such-option"}, "boxes": layer, "where": "kind = 'k5'"},
        {"parameters": {**given, "COMMAND": "/no/such/rosgeo"}, "boxes": layer},
        {"parameters": {**given, "OUTPUT": str(tmp_path / "out.shp")}, "boxes": layer},
    ]  # fmt: skip
    cancelled, resumed, selected, wrong, missing, refused = in_qgis(tmp_path, "process", profile=f"{there}/", runs=runs)

    assert not cancelled["success"]
    assert cancelled["cancel_s"] < 8
    assert any("Go on where a cancelled run was" in line for line in cancelled["errors"])
    assert not any("Traceback" in line for line in cancelled["lines"] + cancelled["errors"])
    assert not leftovers(output)

    assert resumed["success"], resumed["errors"]
    assert resumed["opened"]
    assert max(resumed["percent"]) <= 100
    assert gpd.read_file(output, layer="masks")["kind"].tolist() == boxes["kind"].tolist()
    assert not journal_path(output).exists()
    # A layer that is a file is given to rosgeo as it is.
    assert f"{tmp_path / 'boxes.gpkg'} --layer ships" in resumed["lines"][0]
    (opened,) = resumed["layers"].values()
    assert opened["source"] == f"{output}|layername=masks"

    assert selected["success"], selected["errors"]
    assert sorted(selected["layers"]) == ["scene outlines", "scene prompts"]
    outlines, prompts = selected["layers"]["scene outlines"], selected["layers"]["scene prompts"]
    assert (outlines["renderer"], prompts["renderer"], outlines["rows"], prompts["rows"]) == ("RuleRenderer", "RuleRenderer", 2, 2)
    assert gpd.read_file(other, layer="masks")["kind"].tolist() == ["k3", "k7"]
    assert selected["results"]["OUTPUT"] == f"{other}|layername=masks"
    assert "--min-area 0.5" in selected["lines"][0]

    assert not wrong["success"]
    assert wrong["errors"] == ["No such option: --no-such-option"] or "--no-such-option" in wrong["errors"][0]
    assert not missing["success"]
    assert "rosgeo qgis install" in missing["errors"][0]
    assert "expected a file that ends with .gpkg" in refused["refused"]
    assert not any(r.get("torch") for r in (cancelled, resumed, selected, wrong, missing))


def leftovers(output: Path) -> list[str]:
    """Programs that still run for an output, after a moment."""
    time.sleep(0.3)
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "rosgeo segment" in line and str(output) in line:
            found.append(line)
    return found


def test_the_script_is_python_of_the_oldest_qgis() -> None:
    """QGIS 3.22 came with Python 3.8 and 3.9; and nothing but QGIS and the standard library is imported."""
    tree = ast.parse(script_path().read_text(encoding="utf-8"), feature_version=(3, 8))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {"qgis", *sys.stdlib_module_names}


def test_install_and_remove(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    installed = cli("qgis", "install", "--folder", tmp_path)
    assert installed.exit_code == 0, installed.output
    assert (tmp_path / SCRIPT).read_bytes() == script_path().read_bytes()
    assert json.loads((tmp_path / SETTINGS).read_text()) == {"command": [sys.executable, "-m", "rosgeo"]}
    assert cli("qgis", "install", "--folder", tmp_path).exit_code == 0
    assert cli("qgis", "install", "--folder", tmp_path, "--remove").exit_code == 0
    assert list(tmp_path.iterdir()) == []
    assert "Nothing to remove" in cli("qgis", "install", "--folder", tmp_path, "--remove").output
    assert Path(cli("qgis", "path").output.strip()) == script_path()


def test_install_refuses(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QGIS_CUSTOM_CONFIG_PATH", str(tmp_path / "nowhere"))
    (tmp_path / SCRIPT).write_text("print('mine')")
    for arguments, message in (
        ((), "no QGIS profile was found"),
        (("--profile", tmp_path / "none"), "no such folder"),
        (("--profile", tmp_path, "--folder", tmp_path), "both given"),
        (("--folder", tmp_path), "is not rosgeo's script"),
        (("--folder", tmp_path, "--remove"), "is not rosgeo's script"),
    ):
        result = cli("qgis", "install", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == [SCRIPT]


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, ".local/share/QGIS/QGIS3/profiles"),
        ("linux", {}, ".var/app/org.qgis.qgis/data/QGIS/QGIS3/profiles"),
        ("linux", {"XDG_DATA_HOME": "{home}/data"}, "data/QGIS/QGIS4/profiles"),
        ("darwin", {}, "Library/Application Support/QGIS/QGIS3/profiles"),
        ("win32", {"APPDATA": "{home}/AppData/Roaming"}, "AppData/Roaming/QGIS/QGIS3/profiles"),
    ],
)
def test_profiles_are_found(tmp_path: Path, platform: str, variables: dict[str, str], folder: str) -> None:
    environment = {key: value.format(home=tmp_path) for key, value in variables.items()}
    assert find_profiles(platform, environment, tmp_path) == []
    assert tmp_path / folder in profile_homes(platform, environment, tmp_path)
    (tmp_path / folder / "default").mkdir(parents=True)
    assert find_profiles(platform, environment, tmp_path) == [tmp_path / folder / "default"]
    (tmp_path / folder / "work").mkdir()
    (tmp_path / folder / "profiles.ini").write_text("[core]\ndefaultProfile=work\n")
    assert find_profiles(platform, environment, tmp_path) == [tmp_path / folder / "work"]
    assert os.environ.get("QGIS_CUSTOM_CONFIG_PATH") is None
