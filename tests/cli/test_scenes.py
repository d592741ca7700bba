"""Odd scenes on the command line: names, nodata, placement, what ``rosgeo info`` tells of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio.shutil
import shapely
from click.testing import Result
from rosgeo.clips.frames import open_frames
from rosgeo.errors import OptionError, PixelsWarning
from rosgeo.interactive.session import Session
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import read_crop
from rosgeo.labelled.sources import read_source
from rosgeo.raster.reading import Reading
from rosgeo.training.parse import read_config
from rosgeo.types import CropWindow

from tests.cli_site import BOX, TRANSFORM, Site
from tests.conftest import WriteRaster
from tests.corpus import ground
from tests.corpus.grids import gcps_ridges, rpc_dem
from tests.corpus.kinds import write
from tests.corpus.pixels import named, scaled

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def facts(run: Result) -> dict[str, Any]:
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)[0]
    return found


def filled(folder: Path, name: str = "filled.tif") -> str:
    values = np.random.default_rng(0).uniform(0, 0.4, (3, 120, 160)).astype(np.float32)
    values[:, :8] = -9999
    return write(folder / name, values, TRANSFORM)


def test_sub_datasets(site: Site) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rasterio.shutil.copy("scene.tif", "scene.nc", driver="netCDF")
    for name, variable in (("netcdf:scene.nc:Band1", "Band1"), ('NETCDF:"scene.nc":Band2', "Band2")):
        assert site.run(name, "boxes.gpkg").exit_code == 0
        assert Path(f"scene_{variable}_masks.gpkg").exists()
        assert facts(site.cli("info", "--json", name))["kind"] == "scene"
    container = facts(site.cli("info", "--json", "scene.nc"))
    assert (container["kind"], container["format"]) == ("container", "netCDF")
    assert container["sub_datasets"] == [f"netcdf:scene.nc:Band{i}" for i in (1, 2, 3)]
    assert "sub datasets:     netcdf:scene.nc:Band1, " in site.cli("info", "scene.nc").stdout
    missing = site.cli("info", "netcdf:none.nc:Band1")
    assert missing.exit_code == 2
    assert "netcdf:none.nc:Band1 is nothing that rosgeo knows" in missing.stderr


def test_fill_is_found_and_named(site: Site) -> None:
    scene = filled(site.folder)
    run = site.run(scene, "boxes.gpkg", "-o", "a.gpkg", "--json")
    assert "6.7 % of " in run.stderr
    assert "are -9999" in run.stderr
    assert json.loads(run.stdout)["fill"] == [{"value": -9999.0, "share": 0.0667, "nodata": True}]
    named_so = site.run(scene, "boxes.gpkg", "-o", "b.gpkg", "--json", "--nodata", "-9999")
    assert "-9999" not in named_so.stderr
    record = json.loads(named_so.stdout)
    assert record["options"]["reading"] == {"nodata": [-9999.0]}
    assert "fill" not in record
    assert record["stretch"] == json.loads(run.stdout)["stretch"]
    told = facts(site.cli("info", "--json", scene))
    assert told["fill"] == [{"value": -9999.0, "share": 0.0667, "nodata": True}]
    assert told["valid_share"] == pytest.approx(1 - 8 / 120, abs=1e-4)
    assert "fill:             -9999 in 6.7 % of the pixels, and not tagged (taken as nodata)" in site.cli("info", scene).stdout


def test_a_session_takes_nodata(site: Site) -> None:
    scene = filled(site.folder)
    named_so = Session(scene, model=site.model, nodata=-9999)
    assert named_so.reading == Reading(nodata=(-9999.0,))
    with pytest.warns(PixelsWarning, match="are -9999"):
        found = Session(scene, model=site.model)
    assert found.reading.fill == (-9999.0,)
    assert found.stretch == named_so.stretch
    # The box lies on fill.
    assert found.box(500_005, 3_999_997, 500_015, 3_999_999.5).status == "nodata"


def test_what_was_found_goes_to_the_workers(site: Site) -> None:
    pytest.importorskip("distributed")
    scene = filled(site.folder)
    site.boxes([BOX, (10, 1, 30, 7), (40, 4, 60, 30)], name=["a", "b", "c"])
    for name, more in (("here.gpkg", ()), ("there.gpkg", ("--workers", 1))):
        assert site.run(scene, "boxes.gpkg", "-o", name, *more).exit_code == 0
    here, there = (gpd.read_file(name, layer="masks") for name in ("here.gpkg", "there.gpkg"))
    assert here["rosgeo_status"][1] == "nodata"
    assert list(here["rosgeo_status"]) == list(there["rosgeo_status"])
    assert all(a is None or a.equals(b) for a, b in zip(here.geometry, there.geometry, strict=True))


def test_evaluate_and_training_data_take_nodata(site: Site, write_raster: WriteRaster) -> None:
    scene = filled(site.folder)
    run = site.cli("evaluate", scene, "--labels", "boxes.gpkg", "--model", site.model, "--no-baselines", "--nodata", "-9999", "-q")
    assert run.exit_code == 0, run.output
    refused = site.cli("evaluate", site.folder, "--height", "5", "--model", site.model)
    assert refused.exit_code == 2
    assert "--height goes with --labels on a raster" in refused.output
    source = DataSource(kind="raster", raster=scene, labels="boxes.gpkg", nodata=-9999)
    (labelled,), _ = read_source(source)
    image, valid = read_crop(labelled, CropWindow(0, 0, 40))
    assert not valid[:8].any()
    assert valid[8:].all()
    assert image[:, 8:].std() > 50
    with pytest.warns(PixelsWarning, match="-9999"):
        (unnamed,), _ = read_source(DataSource(kind="raster", raster=scene, labels="boxes.gpkg"))
    found, there = read_crop(unnamed, CropWindow(0, 0, 40))
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(there, valid)


@pytest.mark.parametrize(
    ("text", "value"), [("-9999", -9999.0), ("none", "none"), (".nan", float("nan")), ("'-9999,0'", "-9999,0")]
)
def test_nodata_in_a_training_file(text: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(
        f"init: {{model: a}}\ndata:\n  train:\n  - kind: raster\n    raster: a.tif\n    labels: a.gpkg\n    nodata: {text}\n"
    )
    (source,) = read_config(path).data.train
    assert source.nodata == value or (value != value and source.nodata != source.nodata)


def test_frames_take_nodata(tmp_path: Path) -> None:
    for i in range(3):
        filled(tmp_path, f"frame_{i}.tif")
    with pytest.warns(PixelsWarning, match="are -9999"):
        found = open_frames(tmp_path)
    given = open_frames(tmp_path, reading=Reading(nodata=(-9999.0,)))
    for frames in (found, given, given.portable()):
        assert frames.stretch == given.stretch
        with frames.source(0, tmp_path / "frame_0.tif") as source:
            _, valid = source.read(frames.bands, slice(0, 20), slice(0, 9))
            assert list(valid.all(axis=1)) == [False] * 8 + [True] * 12
    (tmp_path / "bytes").mkdir()
    write(tmp_path / "bytes" / "a.tif", np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(OptionError, match="has no such value"):
        open_frames(tmp_path / "bytes", reading=Reading(nodata=(-9999.0,)))


def test_bands_by_name(site: Site) -> None:
    scene = named(site.folder)
    record = json.loads(site.run(scene, "boxes.gpkg", "-o", "a.gpkg", "--json", "--bands", "B04,b3,B02").stdout)
    assert record["bands"] == [4, 3, 2]
    told = site.cli("info", scene).stdout
    assert "1 uint8 red (B01), 2 uint8 green (B02)" in told or "1 uint8 gray (B01), 2 uint8 undefined (B02)" in told
    unknown = site.run(scene, "boxes.gpkg", "-o", "b.gpkg", "--bands", "nir")
    assert unknown.exit_code == 2
    assert "has 6 bands: 1 B01, 2 B02, 3 B03, 4 B04, 5 B05, 6 B8A" in unknown.stderr


def test_measurements_in_info(site: Site) -> None:
    told = facts(site.cli("info", "--json", scaled(site.folder)))
    assert told["bands"][0]["scale"] == pytest.approx(1e-4)
    assert told["bands"][0]["offset"] == pytest.approx(-0.1)
    # Stored 1800 and up.
    assert told["stretch"]["low"][0] == pytest.approx(0.08, abs=0.01)
    assert "1 int16 gray x 0.0001 + -0.1" in site.cli("info", scaled(site.folder)).stdout


def on_ground(cli: Callable[..., Result], folder: Path, scene: str, model: Path, *options: object) -> tuple[dict[str, Any], Any]:
    """Segment the ground of the corpus; its record and the mask raster in the pixels of the scene."""
    ground.boxes().to_file(folder / "ground.gpkg")
    beside = ("--mask-raster", folder / "mask.tif", "--preview", folder / "preview.png", "--stac", "--datetime", "2024-05-01")
    given = (scene, folder / "ground.gpkg", "-o", folder / "out.gpkg", "--json", "--overwrite", "--model", model, *beside, *options)
    run = cli("segment", *given)
    assert run.exit_code == 0, run.output
    with rasterio.open(folder / "mask.tif") as mask:
        return json.loads(run.stdout), mask.read(1)


def test_how_well_points_are_met_is_recorded(site: Site) -> None:
    scene = gcps_ridges(site.folder)
    record, _ = on_ground(site.cli, site.folder, scene, site.model)
    assert record["placement"]["kind"] == "thin plate spline"
    assert record["placement"]["points"] == 289
    assert record["placement"]["max_px"] < 0.1
    assert record["placement"]["polynomial_max_px"] > 3
    told = facts(site.cli("info", "--json", scene))
    assert told["georeferenced_by"] == "ground control points"
    assert told["placement"]["max_px"] == record["placement"]["max_px"]
    assert "placement:        289 ground control points, thin plate spline, missed by" in site.cli("info", scene).stdout


def test_points_that_are_missed_are_warned_of(site: Site) -> None:
    points = [(r, c) for r in np.linspace(0, 120, 4) for c in np.linspace(0, 160, 4)]
    rng = np.random.default_rng(0)
    gcps = [
        rasterio.control.GroundControlPoint(r, c, 500_000 + c / 2 + x, 4_000_000 - r / 2 + y)
        for (r, c), (x, y) in zip(points, rng.normal(0, 40, (16, 2)).tolist(), strict=True)
    ]
    write(site.folder / "bad.tif", ground.picture(), None, None)
    with rasterio.open("bad.tif", "r+") as out:
        out.gcps = (gcps, rasterio.CRS.from_epsg(32633))
    run = site.run("bad.tif", "boxes.gpkg", "-o", "bad.gpkg")
    assert run.exit_code == 0
    assert "bad.tif: the polynomial mapping misses its 16 ground control points by" in run.stderr


def test_heights_place_every_output(site: Site) -> None:
    scene = rpc_dem(site.folder)
    record, mask = on_ground(site.cli, site.folder, scene, site.model, "--dem", site.folder / "dem.tif")
    assert record["placement"]["dem"].endswith("dem.tif")
    assert facts(site.cli("info", "--json", scene))["georeferenced_by"] == "RPCs"
    result = gpd.read_file("out.gpkg", layer="masks")
    assert result.crs == "EPSG:4326"
    # The mask raster is in the scene's pixels: its objects have their area.
    outlines = result.geometry[result.geometry.notna()].to_crs(ground.CRS)
    assert mask.sum() * 0.25 == pytest.approx(shapely.union_all(outlines.to_numpy()).area, rel=0.2)
    with rasterio.open("mask.tif") as written:
        assert len(written.gcps[0]) >= 25
