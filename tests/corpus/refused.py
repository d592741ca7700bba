"""What is no scene, or not with these options, and in which words that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from affine import Affine

from tests.corpus.arrays import computed, plain
from tests.corpus.grids import rpc_height
from tests.corpus.ground import NORTH_UP, picture
from tests.corpus.kinds import write
from tests.corpus.pixels import named


def stack(folder: Path, dim: str = "time", coords: Any = None) -> xr.DataArray:
    one = computed(plain(folder))[0].drop_vars("band")
    stacked = xr.concat([one] * 12, dim=dim)
    return stacked if coords is None else stacked.assign_coords({dim: coords})


MONTHS = np.arange("2024-01", "2025-01", dtype="datetime64[M]").astype("datetime64[ns]")


def uneven(folder: Path) -> xr.DataArray:
    scene = plain(folder)
    return xr.concat([scene.isel(y=slice(0, 40)), scene.isel(y=slice(80, None))], dim="y")


def swath(folder: Path) -> xr.DataArray:
    array = computed(plain(folder)).drop_vars(["x", "y", "spatial_ref"])
    lon, lat = np.meshgrid(np.linspace(15, 15.1, 160), np.linspace(36.1, 36, 120))
    return array.assign_coords(lon=(("y", "x"), lon + 5 * (lat - 36) ** 2), lat=(("y", "x"), lat))


def closed(folder: Path) -> Any:
    with rasterio.open(write(folder / "x.tif", picture())) as dataset:
        return dataset


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "twelve dates": (lambda f: stack(f, "time", MONTHS), {}, r"12 dates along 'time' \(2024-01-01 to 2024-12-01\).*array\.isel\(time=0\)"),
    "dates by type": (lambda f: stack(f, "when", MONTHS), {}, r"12 dates along 'when'.*array\.isel\(when=0\)"),
    "months": (lambda f: stack(f, "month", np.arange(12)), {}, r"12 dates along 'month'"),
    "levels": (lambda f: stack(f, "level"), {}, r"'level' of 12.*isel\(level=0\).*rename\({'level': 'band'}\)"),
    "bands of dates": (lambda f: plain(f).expand_dims(time=2), {}, r"2 dates along 'time'"),
    "two further dimensions": (lambda f: plain(f).expand_dims(channel=2), {}, r"expected \(band, y, x\)"),
    "a gap in y": (uneven, {}, r"y is not evenly spaced: steps of -0\.5 to -20\.5 \(up to .* px beside an even grid\)"),
    "x out of order": (lambda f: plain(f).isel(x=[0, 2, 1, 3]), {}, r"x is not evenly spaced"),
    "the same x twice": (lambda f: plain(f).isel(x=[5, 5]), {}, r"x is not evenly spaced"),
    "a coordinate that is no number": (
        lambda f: plain(f).assign_coords(y=np.where(np.arange(120) == 7, np.nan, np.arange(120.0))), {}, "y are not all finite",
    ),
    "coordinates of text": (
        lambda f: plain(f).assign_coords(y=[str(i) for i in range(120)]), {}, r"coordinates of y are .*expected numbers",
    ),
    "coordinates of each pixel": (swath, {}, r"coordinates of each \(lon, lat\).*regrid"),
    "dimensions of other names": (lambda f: computed(plain(f)).drop_vars(["x", "y"]).rename(x="u", y="v"), {}, r"Rename them, as in"),
    "one pixel of unknown size": (
        lambda f: xr.DataArray(np.zeros((1, 1)), dims=("y", "x"), coords={"y": [4e6], "x": [5e5]}).rio.write_crs(32633), {},
        r"one pixel long along x.*write_transform",
    ),
    "objects": (lambda f: plain(f).astype(object), {}, r"holds object, which are no pixels.*astype"),
    "dates as pixels": (lambda f: plain(f).astype("datetime64[ns]"), {}, r"holds datetime64\[ns\]"),
    "no pixel": (lambda f: plain(f).isel(x=slice(0, 0)), {}, "is empty"),
    "complex numbers": (lambda f: write(f / "x.tif", picture().astype(np.complex64)), {}, r"band 1 is complex64"),
    "a complex array": (lambda f: computed(plain(f)).astype(np.complex64), {}, r"band 1 is complex64"),
    "a Dataset without bands": (lambda f: xr.Dataset({"a": ("t", [1, 2])}), {}, r"Dataset with the variables a"),
    "a Dataset of types": (
        lambda f: xr.Dataset({"a": plain(f)[0].drop_vars("band"), "b": plain(f)[1].drop_vars("band") * 0.5}), {},
        r"different types \(a uint8, b float64\).*dataset\[\['a', 'b'\]\]",
    ),
    "a Dataset of dates": (
        lambda f: xr.Dataset({c: stack(f, "time", MONTHS) for c in ("red", "green")}), {}, r"12 dates along 'time'",
    ),
    "a closed data set": (closed, {}, r"is closed; pass its path, or keep it open"),
    "a data set that is written": (
        lambda f: rasterio.open(f / "x.tif", "w", driver="GTiff", count=1, height=5, width=5, dtype="uint8"), {}, r"open for writing",
    ),
    "an array of numpy": (lambda f: picture(), {}, r"array of numpy \(3 x 120 x 160\).*xarray\.DataArray"),
    "a number": (lambda f: 5, {}, r"a scene is a path.*got int"),
    "a file in memory": (lambda f: rasterio.io.MemoryFile(Path(write(f / "x.tif", picture())).read_bytes()), {}, r"with memory\.open\(\)"),
    "only alpha": (
        lambda f: write(f / "x.tif", picture()[:1], colours=(rasterio.enums.ColorInterp.alpha,)), {}, r"alpha band only",
    ),
    "no such name of a band": (lambda f: named(f), {"bands": "B11,B04,B02"}, r"band B11 .* 6 bands: 1 B01, 2 B02"),
    "no names at all": (lambda f: write(f / "x.tif", picture()), {"bands": "nir"}, r"band nir .*none of them has a name"),
    "a name twice": (lambda f: write(f / "x.tif", picture(), names=("a", "b", "a")), {"bands": "a"}, r"bands 1, 3 .*ask by number"),
    "nodata of another type": (lambda f: write(f / "x.tif", picture()), {"nodata": -9999}, r"--nodata -9999: .* uint8 \(0 to 255\)"),
    "heights without RPCs": (lambda f: write(f / "x.tif", picture()), {"height": 5}, r"holds no RPCs"),
    "heights of an array without RPCs": (lambda f: plain(f), {"height": 5}, r"has no RPCs"),
    "two heights": (lambda f: rpc_height(f), {"height": 5, "dem": "dem.tif"}, r"both given"),
    "no such DEM": (lambda f: rpc_height(f), {"dem": "none.tif"}, r"none\.tif: no such file; expected a raster of heights"),
    "a DEM of elsewhere": (
        lambda f: (write(f / "dem.tif", np.zeros((1, 9, 9), np.float32), NORTH_UP @ Affine.translation(9e4, 0)), rpc_height(f))[1],
        {"dem": "dem.tif"}, r"no height under 81 of 81 points",
    ),
}  # fmt: skip
