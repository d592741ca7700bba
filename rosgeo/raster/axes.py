"""The dimensions and coordinates of an array: which are x, y and bands, and whether they are an even grid."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from affine import Affine

from rosgeo.errors import RasterError

if TYPE_CHECKING:
    import xarray as xr

_Object = TypeVar("_Object", "xr.DataArray", "xr.Dataset")

__all__ = ["array_transform", "bands_first", "counts_pixels", "plainly_named", "spatial_dims"]

_UNEVEN_PX = 0.1
"""Pixels may lie so far beside an even grid: coordinates in single precision, and sums of rounded steps."""
_ROUNDED_PX = 1.0
"""Coordinates in single precision may be rounded by so many pixels at most,"""
_ROUNDED_MORE = 1.5
"""and lie so many times that beside an even grid: it is rounded too."""

_OF_BANDS = {
    *(
        "band",
        "bands",
        "channel",
        "channels",
        "c",
        "variable",
        "wavelength",
        "wavelengths",
        "bidx",
        "spectral",
        "color",
        "colour",
        "rgb",
    ),
}
_LIKE_X_Y = (("lon", "lat"), ("easting", "northing"), ("eastings", "northings"))
"""Names of dimensions that rioxarray does not know."""
_OF_DATES = {"time", "times", "t", "date", "dates", "datetime", "valid_time", "year", "month", "day"}


def plainly_named(array: _Object) -> _Object:
    """The same with the dimensions x and y, where those that it has are plainly these by another name (lon and lat)."""
    dims = {str(d).lower(): d for d in array.dims}
    pair = next(((dims[x], dims[y]) for x, y in _LIKE_X_Y if x in dims and y in dims), None)
    taken = {"x", "y"} & {str(n) for n in (*array.coords, *array.dims)}
    return array if pair is None or taken else array.rename({pair[0]: "x", pair[1]: "y"})


def spatial_dims(array: xr.DataArray | xr.Dataset, name: str) -> tuple[str, str]:
    """The names of the dimensions x and y; raises RasterError where rioxarray does not know them."""
    from rioxarray.exceptions import RioXarrayError

    try:
        return str(array.rio.x_dim), str(array.rio.y_dim)
    except RioXarrayError as error:
        raise RasterError(
            f"{name} has the dimensions {tuple(array.dims)}; expected (band, y, x) or (y, x). Rename them, as in "
            "array.rename(row='y', column='x')"
        ) from error


def bands_first(array: xr.DataArray, x: str, y: str, name: str) -> xr.DataArray:
    """The array with the dimensions (band, y, x), whatever the first is called; dimensions of one entry are left out.

    Raises
    ------
    RasterError
        A further dimension that is no band: dates, or of no known name.
    """
    further = [d for d in array.dims if d not in (x, y)]
    single = [d for d in further if array.sizes[d] == 1 and str(d).lower() not in _OF_BANDS]
    array = array.isel(dict.fromkeys(single, 0))
    further = [d for d in further if d not in single]
    for dim in further:
        _require_bands(array, dim, name)
    if len(further) > 1:
        raise RasterError(f"{name} has the dimensions {tuple(array.dims)}; expected (band, {y}, {x}) or ({y}, {x})")
    return array.transpose(*further, y, x) if further else array.expand_dims("band").transpose("band", y, x)


def _require_bands(array: xr.DataArray, dim: Hashable, name: str) -> None:
    count = array.sizes[dim]
    values = array.coords[dim].values if dim in array.coords else None
    kind = "" if values is None else values.dtype.kind
    first = None if values is None or not count else values[0]
    if str(dim).lower() in _OF_DATES or kind in ("m", "M") or hasattr(first, "timetuple"):
        span = "" if values is None else f" ({_short(values[0])} to {_short(values[-1])})"
        raise RasterError(
            f"{name} holds {count} dates along {dim!r}{span}, and a picture has one: choose it, as in array.isel({dim}=0), or make one "
            f"of them, as in array.median({str(dim)!r})"
        )
    named = kind in ("U", "T") or isinstance(first, str)
    if str(dim).lower() not in _OF_BANDS and not named:
        raise RasterError(
            f"{name} has a dimension {dim!r} of {count}, which rosgeo does not know as bands: choose one, as in array.isel({dim}=0), or "
            f"say that they are bands: array.rename({{{str(dim)!r}: 'band'}})"
        )


def _short(value: Any) -> str:
    return str(value)[:10]


def array_transform(array: xr.DataArray, x: str, y: str, name: str, file_shape: tuple[int, int] | None = None) -> Affine:
    """The transform that the coordinates tell, since a stored one is out of date once an array has been sliced.

    Parameters
    ----------
    array : DataArray
    x, y : str
        Its spatial dimensions.
    name : str
        For messages.
    file_shape : (int, int), optional
        Height and width of the file that it was read from.

    Raises
    ------
    RasterError
        The coordinates are no even grid.
    """
    stored: Affine = _written_transform(array) or array.rio.transform()
    if stored.a == stored.e == 0:
        # rioxarray gives one coordinate to all pixels of a raster that is stored on its side.
        if file_shape == (array.sizes[y], array.sizes[x]):
            return stored
        raise RasterError(
            f"{name} is of a raster that is stored on its side, whose coordinates do not tell which part of it this is; pass the path "
            "of the file"
        )
    if x in array.coords and y in array.coords:
        dx, left = _even_axis(array, x, None if stored.is_identity else stored.a, name)
        dy, top = _even_axis(array, y, None if stored.is_identity else stored.e, name)
        return Affine(dx, 0, left, 0, dy, top)
    pair = _two_dimensional(array, x, y)
    if pair is None or (pair != ("xc", "yc") and not stored.is_identity):
        return stored
    return _even_plane(array, x, y, pair, name)


def _even_axis(array: xr.DataArray, dim: str, stored_step: float | None, name: str) -> tuple[float, float]:
    """Step and first edge of an axis."""
    given = array.coords[dim].values
    if given.dtype.kind not in "iuf":
        raise RasterError(f"{name}: the coordinates of {dim} are {given.dtype}; expected numbers, the centres of the pixels")
    at = given.astype(np.float64)
    if not np.isfinite(at).all():
        raise RasterError(f"{name}: the coordinates of {dim} are not all finite numbers; expected the centres of the pixels")
    if len(at) == 1:
        if stored_step is None and at[0] == 0.5:
            return 1.0, 0.0  # of a picture, whose coordinates count its pixels
        if stored_step is None:
            raise RasterError(
                f"{name} is one pixel long along {dim}, so that its coordinates do not tell how large the pixel is; write it: "
                "array.rio.write_transform(transform)"
            )
        return stored_step, float(at[0] - stored_step / 2)
    step, first = (at[-1] - at[0]) / (len(at) - 1), at[0]
    off = np.abs(at - (first + step * np.arange(len(at)))).max()
    if step and off > _UNEVEN_PX * abs(step):
        fitted = _rounded_axis(at, step)
        if fitted is not None:
            return fitted[0], fitted[1] - fitted[0] / 2
    if not step or off > _UNEVEN_PX * abs(step):
        steps = np.diff(at)[np.argsort(np.abs(np.diff(at)))]
        far = "" if not step else f" (up to {off / abs(step):.3g} px beside an even grid)"
        raise RasterError(
            f"{name}: {dim} is not evenly spaced: steps of {steps[0]:.3g} to {steps[-1]:.3g}{far}, "
            f"so that its pixels have no place on a grid. Regrid it, as in array.interp({dim}=...), or segment the parts"
        )
    return float(step), float(first - step / 2)


def _rounded_axis(at: npt.NDArray[np.float64], step: float) -> tuple[float, float] | None:
    """Step and first centre of even coordinates that single precision has rounded, by least squares; None for others.

    Longitudes near 180 are stored to 1.5e-5 degrees, which is more than a metre: no pixel has its own place then, but all together have.
    """
    rounding = float(np.spacing(np.float32(np.abs(at).max()))) / 2
    if (at != at.astype(np.float32)).any() or rounding > _ROUNDED_PX * abs(step):
        return None
    number = np.arange(len(at)) - (len(at) - 1) / 2
    slope = float((number * (at - at.mean())).sum() / (number**2).sum())
    first = float(at.mean() + slope * number[0])
    off = np.abs(at - (first + slope * np.arange(len(at)))).max()
    return (slope, first) if off <= _ROUNDED_MORE * rounding else None


def _two_dimensional(array: xr.DataArray, x: str, y: str) -> tuple[str, str] | None:
    """Names of coordinates that give the place of every pixel, x first; None where there are none."""
    names = {str(n).lower(): str(n) for n, c in array.coords.items() if set(c.dims) == {x, y} and c.dtype.kind in "iuf"}
    pairs = (("xc", "yc"), ("lon", "lat"), ("longitude", "latitude"), ("nav_lon", "nav_lat"), ("xlong", "xlat"), ("x", "y"))
    return next(((names[a], names[b]) for a, b in pairs if a in names and b in names), None)


def _even_plane(array: xr.DataArray, x: str, y: str, pair: tuple[str, str], name: str) -> Affine:
    """Of coordinates of every pixel: rioxarray gives them to rotated files, as xc and yc."""
    height, width = array.sizes[y], array.sizes[x]
    refused = RasterError(
        f"{name} places its pixels by coordinates of each ({pair[0]}, {pair[1]}) that are no even grid; regrid it first, or write ground "
        "control points to a file"
    )
    if height < 2 or width < 2:
        raise refused
    rows, cols = (np.unique(np.linspace(0, n - 1, min(n, 257)).astype(int)) for n in (height, width))
    planes = [array.coords[n].transpose(y, x).isel({y: rows, x: cols}).values.astype(np.float64) for n in pair]
    (a, d), (b, e) = (
        [(p[0, -1] - p[0, 0]) / (width - 1) for p in planes],
        [(p[-1, 0] - p[0, 0]) / (height - 1) for p in planes],
    )
    even = Affine(a, b, planes[0][0, 0] - (a + b) / 2, d, e, planes[1][0, 0] - (d + e) / 2)
    if not np.isfinite(even.determinant) or even.determinant == 0:
        raise refused
    col, row = np.meshgrid(cols + 0.5, rows + 0.5)
    off = [even.a * col + even.b * row + even.c - planes[0], even.d * col + even.e * row + even.f - planes[1]]
    if not np.hypot(*off).max() <= _UNEVEN_PX * abs(even.determinant) ** 0.5:
        raise refused
    return even


def _written_transform(array: xr.DataArray) -> Affine | None:
    """The transform of the file, as rioxarray keeps it; None where there is none."""
    name = array.rio.grid_mapping
    text = array.coords[name].attrs.get("GeoTransform") if name in array.coords else None
    return None if text is None else Affine.from_gdal(*map(float, text.split()))


def counts_pixels(array: xr.DataArray, transform: Affine) -> bool:
    """Whether coordinates only count pixels from a picture's top-left corner: of a part of it, or of every n-th pixel."""
    written = _written_transform(array)
    if written is not None and not written.is_identity:
        return False
    t = transform
    first = (t.c + t.a / 2, t.f + t.e / 2)
    return bool(t.b == t.d == 0 and t.a == t.e == round(t.a) >= 1 and min(first) >= 0)
