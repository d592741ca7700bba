"""A Dataset of xarray as one array of bands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rosgeo.errors import RasterError
from rosgeo.raster.axes import plainly_named, spatial_dims

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["array_of_dataset"]

_RGB = {"red", "green", "blue"}


def array_of_dataset(dataset: xr.Dataset) -> xr.DataArray:
    """The variables of a Dataset as the bands of one array, named as they are.

    Parameters
    ----------
    dataset : xarray.Dataset
        Variables without the dimensions x and y do not count. One variable is taken as it is, with bands of its own.

    Raises
    ------
    RasterError
        No variable has x and y; several have bands of their own, or are of different types (those of red, green and blue are taken where
        there are such), or have different nodata values.
    """
    import rioxarray  # noqa: F401 - registers the accessor

    listed = f"Dataset with the variables {', '.join(map(str, dataset.data_vars)) or 'none'}"
    dataset = plainly_named(dataset)
    x, y = spatial_dims(dataset, listed)
    planes = {str(name): array for name, array in dataset.data_vars.items() if {x, y} <= set(map(str, array.dims))}
    if not planes:
        raise RasterError(f"{listed}: none of them has the dimensions {y} and {x}; expected bands")
    if len(planes) > 1:
        planes = _of_one_type({name: array.squeeze(drop=True) for name, array in planes.items()}, listed)
    first = next(iter(planes.values()))
    array = first if len(planes) == 1 else _stacked(planes, (x, y), listed)
    crs = dataset.rio.crs
    return array if array.rio.crs is not None or crs is None else array.rio.write_crs(crs)


def _of_one_type(planes: dict[str, xr.DataArray], listed: str) -> dict[str, xr.DataArray]:
    if len({array.dtype for array in planes.values()}) == 1:
        return planes
    colours = {name for name in planes if name.lower() in _RGB}
    kinds = {planes[name].dtype for name in colours}
    if {name.lower() for name in colours} == _RGB and len(kinds) == 1:
        return {name: array for name, array in planes.items() if array.dtype in kinds}
    types = ", ".join(f"{name} {array.dtype}" for name, array in planes.items())
    raise RasterError(
        f"{listed}: they are of different types ({types}); choose those of the picture, as in "
        f"dataset[{list(planes)[:3]!r}], or convert them"
    )


def _stacked(planes: dict[str, xr.DataArray], spatial: tuple[str, str], listed: str) -> xr.DataArray:
    deep = [name for name, array in planes.items() if set(map(str, array.dims)) != set(spatial)]
    further = sorted({str(d) for name in deep for d in planes[name].dims} - set(spatial))
    if deep and any(str(d) not in spatial for d in further) and len(further) > 1:
        raise RasterError(f"{listed}: they have the further dimensions {', '.join(further)}; expected (y, x) in each")
    if len({str(array.rio.nodata) for array in planes.values()}) > 1:
        raise RasterError(
            f"{listed}: they have different nodata values; mask them first, as in dataset.rio.mask_and_scale, or pass nodata"
        )
    import xarray as xr

    stacked = xr.concat(list(planes.values()), dim="band", coords="minimal", compat="override")
    first = next(iter(planes.values()))
    numbers = [re.fullmatch(r"band_(\d+)", name) for name in planes]
    if all(numbers):
        # rioxarray's band_as_variable: bands of a file, which can be asked for what they do not hold.
        stacked = stacked.assign_coords(band=[int(m[1]) for m in numbers if m])
        stacked.attrs["long_name"] = tuple(array.attrs.get("long_name", "") for array in planes.values())
        stacked.encoding = dict(first.encoding)
    else:
        stacked = stacked.assign_coords(band=list(planes))
        stacked.encoding = {}
    for many, one, default in (("scales", "scale_factor", 1.0), ("offsets", "add_offset", 0.0)):
        stacked.attrs[many] = tuple(float(array.attrs.get(one, default)) for array in planes.values())
    return stacked.rename(None)
