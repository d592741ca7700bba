"""RPCs: where they place pixels, what heights do, and that every change of frame has its inverse."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
from rosgeo.errors import RasterError
from rosgeo.raster.reading import Reading
from rosgeo.raster.rpc import RpcMapping
from rosgeo.raster.source import open_source

from tests.corpus.grids import _rpcs, rpc_dem, rpc_height

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ANYWHERE = np.random.default_rng(0).uniform((-20, -20), (230, 190), (500, 2))


@pytest.mark.parametrize("height", [-50.0, 120.0, 900.0])
def test_pixels_lie_where_the_polynomials_put_them(height: float) -> None:
    rpc, ground = _rpcs()
    mapping = RpcMapping(rpc, height)
    lonlat = np.stack(ground(*ANYWHERE.T, height), axis=1)
    np.testing.assert_allclose(mapping.to_map(ANYWHERE), lonlat, rtol=0, atol=1e-11)
    np.testing.assert_allclose(mapping.to_px(lonlat), ANYWHERE, rtol=0, atol=1e-4)


@pytest.mark.parametrize("heights", ["one", "dem"])
def test_there_and_back(heights: str, tmp_path: Path) -> None:
    path = rpc_dem(tmp_path)
    reading = Reading(height=150.0) if heights == "one" else Reading(dem=str(tmp_path / "dem.tif"))
    with open_source(path, reading) as source:
        mapping: Any = source.grid.mapping
        there = mapping.to_map(ANYWHERE)
        np.testing.assert_allclose(mapping.to_px(there), ANYWHERE, rtol=0, atol=1e-5)
        again = pickle.loads(pickle.dumps(mapping))
        np.testing.assert_array_equal(again.to_map(ANYWHERE), there)
        assert mapping.to_map(np.empty((0, 2))).shape == mapping.to_px(np.empty((0, 2))).shape == (0, 2)
        assert not mapping.is_affine


def test_what_lies_far_away_does_not_come_back_into_the_picture(tmp_path: Path) -> None:
    with open_source(rpc_height(tmp_path), Reading(height=150.0)) as source:
        lon, lat = np.meshgrid(np.linspace(-179, 179, 60), np.linspace(-89, 89, 60))
        px = source.grid.mapping.to_px(np.stack([lon.ravel(), lat.ravel()], axis=1))
        assert np.isfinite(px).all()
        assert (np.abs(px) > 1e3).any(axis=1).all()


def test_what_is_said_of_heights(tmp_path: Path) -> None:
    path = rpc_dem(tmp_path)
    with open_source(path) as source:
        fit: Any = source.placement
        said = fit.warning("x.tif")
        assert "120 m above the ellipsoid is taken for all of it" in said
        # 10 m of 200 m are half of that of 110 px, by 0.5, and of 90 px, by 0.1.
        assert fit.shift_px == pytest.approx(np.hypot(110 * 0.5, 90 * 0.1) * 10 / 200, rel=0.01)
        assert fit.record()["bias_m"] == 2.0
        assert fit.text().endswith("error of the RPCs: 2 m bias and 0.5 m random")
    for reading in (Reading(height=5.0), Reading(dem=str(tmp_path / "dem.tif"))):
        with open_source(path, reading) as source:
            assert source.placement is not None
            assert source.placement.warning("x.tif") is None
            assert ("dem.tif" if reading.dem else "5 m above") in source.placement.text()


def test_a_part_of_an_array_keeps_its_place(tmp_path: Path) -> None:
    path = rpc_height(tmp_path)
    reading = Reading(height=150.0)
    whole = rioxarray.open_rasterio(path)
    with open_source(path, reading) as source, open_source(whole.isel(x=slice(30, 90), y=slice(20, None)), reading) as part:
        inside = np.array([[3.0, 4], [50, 100]])
        np.testing.assert_allclose(
            part.grid.mapping.to_map(inside), source.grid.mapping.to_map(inside + np.array([30, 20])), rtol=0, atol=1e-11
        )
    with (
        pytest.raises(RasterError, match=r"shows other pixels than .* whose RPCs"),
        open_source(whole.isel(x=slice(0, None, 2)), reading),
    ):
        raise AssertionError("it was opened")
