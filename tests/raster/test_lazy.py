"""Lazy arrays on a cluster: tiles that wait for chunks, and chunks that the cluster holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the accessor
import xarray as xr
from affine import Affine
from rosgeo.raster.lazy import pixels_of
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run

from tests.conftest import px_boxes

TRANSFORM = Affine(1, 0, 0, 0, -1, 2200)


@pytest.fixture(scope="module")
def client() -> Any:
    """Two workers of one thread: chunks that wait for a thread behind the tiles that wait for them would wait for ever."""
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        yield client


def scene(values: Any) -> xr.DataArray:
    return xr.DataArray(values, dims=("band", "y", "x")).rio.write_transform(TRANSFORM).rio.write_crs(32633)


def computed_once(block_info: Any = None) -> np.ndarray:
    (low, high), (left, right) = block_info[None]["array-location"][1:]
    rng = np.random.default_rng(low * 10_000 + left)
    return rng.integers(0, 255, (3, high - low, right - left), dtype=np.uint8)


@pytest.fixture(scope="module")
def lazy() -> da.Array:
    chunks = ((3,), (1100,) * 2, (1100,) * 2)
    return da.map_blocks(computed_once, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))


@pytest.mark.parametrize("kept", [False, True], ids=["lazy", "persisted"])
def test_many_tiles_on_few_threads(client: Any, lazy: da.Array, tiny_model: Path, kept: bool) -> None:
    corners = np.random.default_rng(0).uniform(10, 2100, (24, 2))
    boxes = px_boxes([(x, y, x + 30, y + 30) for x, y in corners], TRANSFORM, "EPSG:32633")
    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    there = segment_run(scene(client.persist(lazy) if kept else lazy), boxes, options, client=client).result
    here = segment_run(scene(lazy.compute(scheduler="synchronous")), boxes, options).result
    assert there["rosgeo_status"].tolist() == here["rosgeo_status"].tolist()
    np.testing.assert_allclose(there["rosgeo_score"], here["rosgeo_score"], atol=1e-5)


@pytest.mark.parametrize("kept", [False, True], ids=["lazy", "persisted"])
def test_pixels_within_a_task(client: Any, lazy: da.Array, kept: bool) -> None:
    array = scene(client.persist(lazy) if kept else lazy)
    part = array[:, 1000:1200, 1090:1110]
    found = client.submit(pixels_of, part, pure=False).result(timeout=60)
    np.testing.assert_array_equal(found, lazy[:, 1000:1200, 1090:1110].compute(scheduler="synchronous"))


def test_only_the_chunks_under_a_part_are_computed() -> None:
    seen: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        seen.append(block_info[None]["chunk-location"])
        return np.zeros((3, 100, 100), dtype=np.uint8)

    array = scene(
        da.map_blocks(block, chunks=((3,), (100,) * 4, (100,) * 4), dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))
    )
    with dask.config.set(scheduler="synchronous"):
        assert pixels_of(array[:, 90:110, 10:20]).shape == (3, 20, 10)
    assert sorted(set(seen)) == [(0, 0, 0), (0, 1, 0)]
