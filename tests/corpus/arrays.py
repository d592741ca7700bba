"""Odd objects: data sets, arrays and Datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from affine import Affine

from tests.corpus.grids import elsewhere
from tests.corpus.ground import NORTH_UP, picture
from tests.corpus.kinds import KINDS, Odd, kind, write
from tests.corpus.pixels import clear_palette, five, internal_mask


@kind("warped data set", file=False)
def warped(folder: Path) -> Any:
    return rasterio.vrt.WarpedVRT(rasterio.open(write(folder / "x.tif", picture())), crs="EPSG:32633")


@kind("data set in memory", file=False)
def in_memory(folder: Path) -> Any:
    memory = rasterio.io.MemoryFile(Path(write(folder / "x.tif", picture())).read_bytes())
    return memory.open()


def plain(folder: Path, **options: Any) -> Any:
    return rioxarray.open_rasterio(write(folder / "x.tif", picture()), **options)


def computed(array: xr.DataArray) -> xr.DataArray:
    """Without the file behind it."""
    array = array.copy()
    array.encoding = {}
    return array


ARRAYS: dict[str, Callable[[Path], Any]] = {
    "computed": lambda f: computed(plain(f)),
    "of chunks": lambda f: plain(f, chunks={"x": 33, "y": 50}),
    "upside down": lambda f: plain(f).isel(y=slice(None, None, -1)),
    "mirrored": lambda f: plain(f).isel(x=slice(None, None, -1)),
    "computed, mirrored": lambda f: computed(plain(f).isel(x=slice(None, None, -1))),
    "of dims x, y, band": lambda f: plain(f).transpose("x", "y", "band"),
    "of coordinates in single precision": lambda f: _local(plain(f)),
    "of one date": lambda f: plain(f).expand_dims(time=np.array(["2024-05-01"], dtype="datetime64[ns]")),
    "of dims lat and lon": lambda f: _in_degrees(f),
    "of colours by name": lambda f: computed(plain(f).isel(band=[2, 1, 0])).assign_coords(band=["blue", "green", "red"]),
    "without band": lambda f: computed(plain(f)[0].drop_vars("band")),
    "of truth values": lambda f: computed(plain(f)[:1] > 130),
    "masked": lambda f: plain(f, masked=True),
    "a Dataset of variables": lambda f: computed(plain(f)).to_dataset("band").rename({1: "red", 2: "green", 3: "blue"}),
    "a Dataset in another order": lambda f: (
        computed(plain(f)).to_dataset("band").rename({3: "blue", 2: "green", 1: "red"})[["blue", "green", "red"]]
    ),
    "a Dataset of one variable": lambda f: computed(plain(f)).to_dataset(name="band_data"),
    "a Dataset with a further float": lambda f: (
        computed(plain(f)).to_dataset("band").rename({1: "red", 2: "green", 3: "blue"}).assign(ndvi=plain(f)[0] * 1.0)
    ),
    "a Dataset of a file's bands": lambda f: plain(f, band_as_variable=True),
}
for name, make in ARRAYS.items():
    KINDS[f"array {name}"] = Odd(make, file=False)


def _local(array: xr.DataArray) -> xr.DataArray:
    return computed(array).assign_coords(x=array.x.astype(np.float32), y=array.y.astype(np.float32))


def _in_degrees(folder: Path) -> xr.DataArray:
    t, bands = elsewhere("EPSG:4326", 4e-6)
    lon, lat = t.c + t.a * (np.arange(bands.shape[2]) + 0.5), t.f + t.e * (np.arange(bands.shape[1]) + 0.5)
    array = xr.DataArray(bands, dims=("band", "latitude", "longitude"), coords={"latitude": lat, "longitude": lon})
    return array.rio.write_crs(4326)


@kind("array of a part", file=False, options={})
def part(folder: Path) -> Any:
    large = NORTH_UP @ Affine.translation(-30, -20)
    path = write(folder / "x.tif", picture(large, (160, 220)), large)
    return rioxarray.open_rasterio(path).isel(x=slice(30, 190), y=slice(20, 140))


for name, make in {"alpha": five, "an internal mask": internal_mask, "a clear colour table": clear_palette}.items():

    @kind(f"array of a part of a file with {name}", file=False, holed=True)
    def part_of(folder: Path, make: Callable[[Path], Any] = make) -> Any:
        return rioxarray.open_rasterio(make(folder)).isel(x=slice(None, None, -1), y=slice(1, 119))
