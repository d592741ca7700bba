"""Rasters whose values are numbers of objects or classes: the outline of each along its pixel edges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.features

from rosgeo.errors import RasterError
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray, RasterGrid

__all__ = ["NumberedOutlines", "read_numbers"]


@dataclass(frozen=True)
class NumberedOutlines:
    """The outlines of the numbers of a raster.

    Attributes
    ----------
    grid : RasterGrid
    georeferenced : bool
    outlines : dict
        Number -> its parts, each of rings (n, 2) of its pixel edges in the raster's pixel frame, the outer one first and then its holes.
        Pixels that touch at a corner are of one part. 0, nodata and NaN are no number.
    """

    grid: RasterGrid
    georeferenced: bool
    outlines: dict[int, list[list[FloatArray]]]


def read_numbers(path: str | Path) -> NumberedOutlines:
    """Read the first band of a raster of whole numbers, whatever its colours.

    Raises
    ------
    InputFileNotFoundError, RasterError
        No such file; it is no raster, or its values are no whole numbers.
    """
    with open_source(path) as source:
        values, valid = _first_band(source)
        grid, georeferenced = source.grid, source.georeferenced
    there = values[valid]
    if values.dtype.kind not in "iub" and not (np.isfinite(there).all() and (there == np.round(there)).all()):
        wrong = there[~(there == np.round(there))][:1]
        raise RasterError(
            f"{path} holds values such as {wrong[0]:.4g}: no numbers of objects. Expected whole numbers, 0 for the background "
            "(resample masks with the nearest neighbour)"
        )
    found, index = np.unique(np.where(valid, values, 0), return_inverse=True)
    places = index.reshape(values.shape).astype(np.int32)
    outlines: dict[int, list[list[FloatArray]]] = {}
    wanted = np.isin(places, np.flatnonzero(found != 0))
    for geometry, place in rasterio.features.shapes(places, mask=wanted, connectivity=8):
        rings = [np.array(ring, dtype=np.float64)[:-1] for ring in geometry["coordinates"]]
        outlines.setdefault(int(found[int(place)]), []).append(rings)
    return NumberedOutlines(grid, georeferenced, dict(sorted(outlines.items())))


def _first_band(source: object) -> tuple[np.ndarray, np.ndarray]:
    """Values (h, w) and where they are no nodata; of a palette the indices and not their colours."""
    dataset = source._dataset  # type: ignore[attr-defined]
    if dataset.count > 1:
        kinds = "bands of colours" if dataset.count in (3, 4) else "bands"
        raise RasterError(f"{dataset.name} has {dataset.count} {kinds}; expected one band of object numbers")
    values, tagged = dataset.read(1), dataset.read_masks(1) != 0
    # NaN is nodata in every other raster too, tagged or not.
    return values, tagged & ~np.isnan(values) if values.dtype.kind == "f" else tagged
