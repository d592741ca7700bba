"""Opening a scene, whatever it is given as."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import rasterio
from rasterio.env import getenv, hasenv
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rosgeo.errors import InputFileNotFoundError, RasterError
from rosgeo.files.names import is_there
from rosgeo.raster.array import ArraySource
from rosgeo.raster.dataset import RasterioSource, short
from rosgeo.raster.linked import file_of
from rosgeo.raster.names import is_gdal_name
from rosgeo.raster.protocol import RasterSource
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.raster.variables import array_of_dataset

__all__ = ["ArraySource", "RasterSource", "RasterioSource", "open_source"]

_BLOCK_CACHE_BYTES = 64 * 1024**2


@contextmanager
def open_source(scene: Any, reading: Reading = AS_TAGGED) -> Iterator[RasterSource]:
    """Open a raster.

    What was given open stays open.

    Parameters
    ----------
    scene : path, rasterio data set, DataArray or Dataset
        A path or GDAL name, an open rasterio data set, or a rioxarray DataArray; a Dataset has its bands in its variables.
    reading : Reading
        How it is read, where the file does not say or says it wrongly.

    Raises
    ------
    InputFileNotFoundError
        A path of no file.
    RasterError
        GDAL cannot open it, it holds no band, or it is of a kind that rosgeo does not know.
    OptionError
        `reading` does not fit it.
    """
    if isinstance(scene, str | os.PathLike):
        with _open_dataset(os.fspath(scene)) as dataset:
            yield RasterioSource(dataset, reading)
    elif isinstance(scene, rasterio.io.DatasetReader | rasterio.io.DatasetWriter | rasterio.vrt.WarpedVRT):
        yield RasterioSource(scene, reading)
    # By their attributes, so that xarray need not be imported; not by .values, which would compute a whole lazy array.
    elif hasattr(scene, "data_vars") and hasattr(scene, "coords"):
        with _open_array(array_of_dataset(scene), reading) as source:
            yield source
    elif hasattr(scene, "dims") and hasattr(scene, "coords") and hasattr(scene, "chunks"):
        with _open_array(scene, reading) as source:
            yield source
    else:
        raise RasterError(_no_scene(scene))


@contextmanager
def _open_array(array: Any, reading: Reading) -> Iterator[RasterSource]:
    with file_of(array) as file:
        yield ArraySource(array, file, reading)


def _no_scene(scene: Any) -> str:
    """What is wrong with a scene of another kind, and what to write instead."""
    expected = "a scene is a path, a rasterio data set, a DataArray or a Dataset; got"
    if isinstance(scene, np.ndarray):
        shape = " x ".join(map(str, scene.shape))
        return (
            f"{expected} an array of numpy ({shape}), which does not say where it lies: "
            "xarray.DataArray(array, dims=('band', 'y', 'x')).rio.write_crs(crs).rio.write_transform(transform)"
        )
    if isinstance(scene, list | tuple):
        kinds = ", ".join(sorted({type(s).__name__ for s in scene})) or "nothing"
        return f"{expected} a {type(scene).__name__} of {len(scene)} ({kinds}); pass one of them"
    if isinstance(scene, rasterio.io.MemoryFile):
        return f"{expected} a MemoryFile; pass its data set: with memory.open() as dataset"
    return f"{expected} {type(scene).__name__}"


@contextmanager
def _open_dataset(name: str) -> Iterator[Any]:
    if not name.strip():
        raise InputFileNotFoundError("the scene's name is empty; expected a raster")
    if not is_gdal_name(name) and not is_there(name):
        raise InputFileNotFoundError(f"{name}: no such file; expected a raster")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(name)
    except (RasterioError, OSError) as error:
        reason = short(error).removeprefix(f"'{name}' ").removeprefix(f"{name}: ").removeprefix(f"{name}:")
        raise RasterError(f"{name} is not a raster that GDAL can open: {reason}") from error
    # Not entered, where there is no environment yet: what rasterio enters then must be left by the same thread.
    with _bounded_cache(), closing(dataset):
        if dataset.count == 0:
            raise RasterError(
                f"{name} holds no bands itself; name one of its sub-datasets: {', '.join(dataset.subdatasets) or 'none'}"
            )
        yield dataset


@contextmanager
def _bounded_cache() -> Iterator[None]:
    """GDAL's block cache at a fixed size, unless the user chose one.

    By default it grows to a twentieth of the machine's memory, so that a run's memory would depend on the raster's size. Crops are read
    tile by tile, and need few blocks twice.
    """
    if "GDAL_CACHEMAX" in os.environ or (hasenv() and "GDAL_CACHEMAX" in getenv()):
        yield
        return
    environment = rasterio.Env(GDAL_CACHEMAX=_BLOCK_CACHE_BYTES)
    environment.__enter__()
    try:
        yield
    finally:
        # It belongs to the thread that entered it; another one, as at the exit of a cluster's worker, has none to leave.
        if hasenv():
            environment.__exit__()
