"""Coordinates of arrays that single precision has rounded."""

from __future__ import annotations

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the accessor
import xarray as xr
from rosgeo.errors import RasterError
from rosgeo.raster.source import open_source


def placed(first: float, step: float, count: int = 300, bend: float = 0.0) -> xr.DataArray:
    """An array with the same coordinates, in single precision, on both axes; `bend` is added to the second half of x."""
    at = first + step * np.arange(count)
    x = at + np.where(np.arange(count) < count // 2, 0, bend)
    coords = {"y": at[::-1].astype(np.float32), "x": x.astype(np.float32)}
    return xr.DataArray(np.zeros((3, count, count), dtype=np.uint8), dims=("band", "y", "x"), coords=coords)


@pytest.mark.parametrize(("first", "step"), [(15, 1e-5), (15, 1e-6), (179, 1e-5), (4_000_000, 0.3), (-179, 2e-5)])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_rounded_coordinates_are_an_even_grid(first: float, step: float, given: type) -> None:
    array = placed(first, step)
    array = array.assign_coords({d: array[d].values.astype(given) for d in "xy"})
    with open_source(array.rio.write_crs(4326 if first < 180 else 32633)) as source:
        centres = source.grid.mapping.to_map(np.array([[0.5, 299.5], [299.5, 0.5]]))
    assert np.abs(centres - [[first, first], [first + 299 * step] * 2]).max() < 0.1 * step


@pytest.mark.parametrize(("first", "step", "bend"), [(179, 1e-5, 3e-5), (15, 1e-5, 1e-5), (0, 1, 1), (179, 5e-6, 0)])
def test_what_rounding_does_not_explain_is_uneven(first: float, step: float, bend: float) -> None:
    with pytest.raises(RasterError, match="is not evenly spaced"), open_source(placed(first, step, bend=bend).rio.write_crs(4326)):
        pass


@pytest.mark.parametrize(("x", "y"), [("lon", "lat"), ("Easting", "Northing"), ("longitude", "latitude")])
def test_dimensions_that_are_plainly_x_and_y(x: str, y: str) -> None:
    array = placed(15, 1e-3).rio.write_crs(4326)
    named = array.rename(x=x, y=y)
    with open_source(array) as source, open_source(named) as same, open_source(named.to_dataset(name="v")) as of_dataset:
        assert same.grid == source.grid == of_dataset.grid
    with pytest.raises(RasterError, match="has the dimensions"), open_source(array.rename(x="column", y="row")):
        pass
