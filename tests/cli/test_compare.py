"""``rosgeo compare`` as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pytest
from shapely import box

from tests.cli_site import Cli


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    truth = [box(500_000 + x, 4_000_000, 500_010 + x, 4_000_010) for x in (0, 20, 40)]
    kinds = {"kind": ["car", "car", "ship"]}
    gpd.GeoDataFrame(kinds, geometry=truth, crs="EPSG:32633").to_file("truth.gpkg")
    found = gpd.GeoDataFrame({**kinds, "p": [0.5, 0.9, 0.1]}, geometry=truth, crs="EPSG:32633").translate(0.2, 0)
    columns = {"what": kinds["kind"], "p": [0.5, 0.9, 0.1]}
    gpd.GeoDataFrame(columns, geometry=found).iloc[:2].to_crs(4326).to_file("result.geojson")
    return tmp_path


def test_tables_json_and_geopackage(layers: Path, cli: Cli) -> None:
    names = ("--class-column", "what", "--truth-class-column", "kind", "--score-column", "p")
    done = cli("compare", "result.geojson", "truth.gpkg", *names, "-o", "pairs.gpkg", "--json", "figures.json")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:2] == ['result: result.geojson (layer "result"), 2 outlines', 'truth: truth.gpkg (layer "truth"), 3 outlines']
    assert lines[2] == "compared in EPSG:32633: matched by score, at an IoU of at least 0.5; boundary within 1 m of the outline"
    assert "| all | 3 | 2 | 2 | 1 | 0 | 1.0000 | 0.6667 | 0.8000 | 0.9608 | " in done.stdout
    assert "| ship | 1 | 0 | 0 | 1 | 0 | – | 0.0000 | 0.0000 | – | – | 0.0000 |" in lines
    assert "| 0.95 | 2 | 1.0000 | 0.6667 | 0.8000 | 0.9608 |" in lines
    assert lines[-1] == "pairs.gpkg"
    figures = json.loads(Path("figures.json").read_text(encoding="utf-8"))
    assert (figures["right"], figures["missed"], figures["made_up"]) == (2, 1, 0)
    assert figures["classes"]["car"]["average_precision"] == 1.0
    assert figures["average_precision"] == 0.5
    printed = cli("compare", "result.geojson", "truth.gpkg", *names, "--json")
    assert {**json.loads(printed.stdout), "output": "pairs.gpkg"} == figures
    quiet = cli("compare", "result.geojson", "truth.gpkg", "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no.gpkg", "truth.gpkg"), "no.gpkg: no such file; expected a layer of outlines"),
        (("result.geojson", "truth.gpkg", "--class-column", "x"), "--class-column 'x'"),
        (("result.geojson", "truth.gpkg", "--by", "x"), "--by 'x'"),
        (("result.geojson", "truth.gpkg", "--truth-layer", "x"), "truth.gpkg has no layer 'x'"),
        (("result.geojson", "truth.gpkg", "--iou", "1.5"), "IoU threshold 1.5"),
        (("result.geojson", "truth.gpkg", "--json", "result.geojson", "--overwrite"), "is an input"),
        (("result.geojson", "truth.gpkg", "--json", "old.json"), "exists; pass --overwrite"),
        (("result.geojson", "truth.gpkg", "--area", "no.gpkg"), "no.gpkg: no such file; expected a layer of areas"),
        (("result.geojson", "truth.gpkg", "--area-layer", "x"), "--area-layer is of --area"),
        (("result.geojson", "truth.gpkg", "--truth-class-column", "kind"), "beside --class-column"),
        (("result.geojson", "truth.gpkg", "--result-crs", "EPSG:32633"), "--result-crs says EPSG:32633"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(layers: Path, cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    Path("old.json").write_text("{}")
    before = {p: p.read_bytes() for p in layers.iterdir()}
    done = cli("compare", *arguments, "-o", "pairs.gpkg")
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert {p: p.read_bytes() for p in layers.iterdir()} == before
