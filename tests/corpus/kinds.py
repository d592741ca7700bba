"""Kinds of raster that people have: how each is made, and what a run is to say of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp as C

from tests.corpus.ground import CRS, NORTH_UP

RGB = (C.red, C.green, C.blue)


@dataclass(frozen=True)
class Odd:
    """A kind of raster.

    Attributes
    ----------
    make : callable
        Makes it in a folder; gives the scene as it is handed to `rosgeo.segment`.
    options : dict
        Of `rosgeo.segment`.
    holed : bool
        The ground of the first box is not there: its status is ``nodata``.
    warns : str or None
        What a warning says.
    file : bool
        It is a file, which gives the same pixels as an open data set and as an array of rioxarray.
    """

    make: Callable[[Path], Any]
    options: dict[str, Any] = field(default_factory=dict)
    holed: bool = False
    warns: str | None = None
    file: bool = True


KINDS: dict[str, Odd] = {}


def kind(name: str, **more: Any) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    def register(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
        KINDS[name] = Odd(make, **more)
        return make

    return register


def write(path: Path, bands: np.ndarray, transform: Affine | None = NORTH_UP, crs: Any = CRS, **profile: Any) -> str:
    """A raster of bands (C, h, w)."""
    colours = profile.pop("colours", None)
    names = profile.pop("names", None)
    placed = {} if transform is None else {"transform": transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", **{"driver": "GTiff", **profile}, count=len(bands), height=bands.shape[1], width=bands.shape[2],
            dtype=bands.dtype, crs=crs, **placed,
        ) as out:  # fmt: skip
            if colours:
                out.colorinterp = colours
            if names:
                out.descriptions = names
            out.write(bands)
    return str(path)
