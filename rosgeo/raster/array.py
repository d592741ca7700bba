"""Arrays of xarray as sources of pixels."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

from rosgeo.errors import NoRpcsError, PixelsWarning, RasterError
from rosgeo.geometry.gcps import fit_points
from rosgeo.geometry.mapping import PICTURE_MAPPING, AffineMapping
from rosgeo.raster.axes import array_transform, bands_first, counts_pixels, plainly_named, spatial_dims
from rosgeo.raster.bands import COLOURS
from rosgeo.raster.dataset import as_pyproj, colour_table, in_colours
from rosgeo.raster.lazy import pixels_of
from rosgeo.raster.linked import PixelLink, link_pixels, masks_beside
from rosgeo.raster.protocol import Bands, Placement, together
from rosgeo.raster.reading import AS_TAGGED, Reading, equals_any, require_holdable
from rosgeo.raster.rpc import RPC_CRS, rpc_placement
from rosgeo.types import BoolArray, PixelMapping, RasterGrid, UInt8Array

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ArraySource"]


class ArraySource:
    """A DataArray with rioxarray's CRS and transform, in memory or backed by Dask; only the parts that are read are computed.

    Parameters
    ----------
    array : xarray.DataArray
        Dimensions (band, y, x) or (y, x), in any order.
    file : rasterio data set or None
        That it was read from, see `rosgeo.raster.linked.file_of`: its alpha band, masks, colour tables and band names count for the array.
    reading : Reading

    Raises
    ------
    RasterError
        Other dimensions, no numbers, or coordinates that are no even grid.
    OptionError
        The array cannot hold the nodata value that `reading` names, or has no RPCs for its heights.

    Warns
    -----
    PixelsWarning
        The file has a mask that the array does not hold, or the last band looks like an alpha band.
    """

    def __init__(self, array: xr.DataArray, file: Any = None, reading: Reading = AS_TAGGED) -> None:
        import rioxarray  # noqa: F401 - registers the accessor

        self.name = f"DataArray {array.name!r}" if array.name else "DataArray"
        self.reading = reading
        if array.dtype.kind not in "biufc":
            raise RasterError(
                f"{self.name} holds {array.dtype}, which are no pixels; expected numbers. Convert it, as in array.astype('float32')"
            )
        array = plainly_named(array)
        x, y = spatial_dims(array, self.name)
        self._array = bands_first(array, x, y, self.name)
        self.count, height, width = (int(n) for n in self._array.shape)
        if not self.count or not height or not width:
            raise RasterError(f"{self.name} is empty: {dict(array.sizes)}; expected at least one pixel")
        self._stored = _stored_type(array)
        self.dtypes = (str(self._stored or array.dtype),) * self.count
        self._nodata = array.rio.nodata
        self._in_file = _bands_in_file(self._array, file)
        transform = array_transform(array, x, y, self.name, None if file is None else (file.height, file.width))
        link = None if file is None else link_pixels(file, transform, (height, width))
        crs, mapping, self.georeferenced, self.placement = _georeferencing(
            array, transform, (height, width), self.name, file, link, reading
        )
        self.grid = RasterGrid(height, width, mapping, crs)
        self.names = _names(self._array, file, self._in_file)
        self.colours = _colours(self.names, file, self._in_file)
        self.scaling = _scaling(array, self._in_file, self.count)
        self._file, self._link, self._palette = file, link, _palette(file, self._in_file)
        self._masked = self._masks_of_file()
        if reading.nodata:
            require_holdable(reading.nodata, self.dtypes[0], self.name)
        self._warn_of_alpha()

    def with_reading(self, reading: Reading) -> ArraySource:
        """See `RasterSource`."""
        other = copy.copy(self)
        other.reading = reading
        return other

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        values, by_band = self._read(bands, rows, cols)
        return values, together(values, by_band)

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        step = max(int(np.ceil(max(self.grid.shape) / max_side)), 1)
        height, width = self.grid.shape
        return self._read(bands, slice(0, height, step), slice(0, width, step))

    def _read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        unique = sorted(set(bands))
        alpha = [b for b, colour in enumerate(self.colours, 1) if colour == "alpha" and b not in unique]
        planes = pixels_of(self._array[[b - 1 for b in (*unique, *alpha)], rows, cols])
        values = planes[: len(unique)]
        valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
        if self._stored is not None:
            values = np.where(valid, values, 0).astype(self._stored)
        valid = valid & (planes[len(unique) :] != 0).all(axis=0) if alpha else valid
        for number, band in enumerate(unique):
            if band in self._masked:
                valid[number] &= self._mask(self._masked[band], rows, cols)
        reading, tagged = self.reading, () if self._nodata is None else (float(self._nodata),)
        valid &= ~equals_any(values, (*(tagged if reading.nodata is None else reading.nodata), *(reading.fill or ())))
        order = [unique.index(b) for b in bands]
        palette = self._palette.get(bands[0])
        if palette is not None and len(unique) == 1:
            return in_colours(palette, values[0], valid[0])
        return values[order], valid[order]

    def _mask(self, band: int, rows: slice, cols: slice) -> BoolArray:
        assert self._link is not None
        step = rows.step or 1
        whole = self._link.mask(self._file, band, slice(rows.start, rows.stop), slice(cols.start, cols.stop))
        return whole[::step, ::step]

    def _masks_of_file(self) -> dict[int, int]:
        """Bands whose mask is read from the file, and their numbers there."""
        # With ``masked=True`` rioxarray has put NaN where the masks are.
        if self._file is None or self._array.encoding.get("dtype") is not None:
            return {}
        bands = {own: there for own, there in self._in_file.items() if masks_beside(self._file, there)}
        if bands and self._link is None:
            warnings.warn(
                f"{self.name}: the mask of {self._file.name} does not count, since the array shows other pixels than the file. Pass the "
                "file's path, or open it with rioxarray.open_rasterio(path, masked=True)",
                PixelsWarning,
                stacklevel=2,
            )
            return {}
        return bands

    def _warn_of_alpha(self) -> None:
        data = self._array.data
        if self._file is not None or self.count not in (2, 4, 5) or data.dtype != np.uint8 or not isinstance(data, np.ndarray):
            return
        last = data[-1]
        if "alpha" not in self.colours and np.isin(last, (0, 255)).all() and 0 < (last == 0).mean() < 1:
            warnings.warn(
                f"{self.name}: its last band holds only 0 and 255, as an alpha band does, but nothing says that it is one: it counts as a "
                "picture's band. Pass the file's path, or name the bands: array.assign_coords(band=['red', 'green', 'blue', 'alpha'])",
                PixelsWarning,
                stacklevel=2,
            )


def _stored_type(array: xr.DataArray) -> np.dtype[Any] | None:
    """The integer type of the file where rioxarray made real numbers of it to have NaN (``masked=True``), and has not scaled them."""
    encoding = array.encoding
    name = encoding.get("rasterio_dtype")
    if array.dtype.kind != "f" or "dtype" not in encoding or name is None or np.dtype(name).kind not in "iu":
        return None
    scales = encoding.get("scales", encoding.get("scale_factor", 1.0))
    offsets = encoding.get("offsets", encoding.get("add_offset", 0.0))
    if np.any(np.asarray(scales) != 1) or np.any(np.asarray(offsets) != 0):
        return None
    data = array.data
    if isinstance(data, np.ndarray):
        there = data[np.isfinite(data)]
        if (there != np.rint(there)).any():
            return None  # changed since, in place
    stored: np.dtype[Any] = np.dtype(name)
    return stored


def _bands_in_file(stacked: xr.DataArray, file: Any) -> dict[int, int]:
    """The number in the file of each band of the array, both from 1, where it is known."""
    if file is None:
        return {}
    dim = stacked.dims[0]
    numbers = np.atleast_1d(stacked.coords[dim].values) if dim in stacked.coords else np.atleast_1d(stacked.coords.get("band", []))
    if len(numbers) != stacked.sizes[dim] or numbers.dtype.kind not in "iu":
        return {1: 1} if stacked.sizes[dim] == file.count == 1 else {}
    return {own: int(there) for own, there in enumerate(numbers, 1) if 1 <= there <= file.count}


def _names(stacked: xr.DataArray, file: Any, in_file: dict[int, int]) -> tuple[str, ...]:
    dim = stacked.dims[0]
    count = stacked.sizes[dim]
    if dim in stacked.coords and stacked.coords[dim].dtype.kind in "UTO":
        return tuple(str(v) for v in stacked.coords[dim].values)
    if file is not None:
        return tuple((file.descriptions[in_file[b] - 1] or "") if b in in_file else "" for b in range(1, count + 1))
    told = stacked.attrs.get("long_name")
    if isinstance(told, list | tuple) and len(told) == count:
        return tuple("" if v is None else str(v) for v in told)
    return ("",) * count


def _colours(names: Sequence[str], file: Any, in_file: dict[int, int]) -> tuple[str, ...]:
    of_file = ["undefined"] if file is None else [c.name for c in file.colorinterp]
    told = [of_file[in_file[b] - 1] if b in in_file else "undefined" for b in range(1, len(names) + 1)]
    return tuple(n.lower() if n.lower() in COLOURS and c == "undefined" else c for n, c in zip(names, told, strict=True))


def _scaling(array: xr.DataArray, in_file: dict[int, int], count: int) -> tuple[tuple[float, float], ...]:
    """Of the array's values; what rioxarray has applied already is in the encoding, and no more here."""
    scales = np.atleast_1d(array.attrs.get("scales", array.attrs.get("scale_factor", 1.0))).astype(float)
    offsets = np.atleast_1d(array.attrs.get("offsets", array.attrs.get("add_offset", 0.0))).astype(float)

    def of(values: npt.NDArray[Any], band: int, default: float) -> float:
        number = in_file.get(band, band) if len(values) > 1 else 1
        return float(values[number - 1]) if number <= len(values) else default

    return tuple((of(scales, band, 1.0) or 1.0, of(offsets, band, 0.0)) for band in range(1, count + 1))


def _palette(file: Any, in_file: dict[int, int]) -> dict[int, UInt8Array]:
    if file is None:
        return {}
    tables = {own: colour_table(file, there) for own, there in in_file.items()}
    return {band: table for band, table in tables.items() if table is not None}


def _georeferencing(
    array: xr.DataArray,
    transform: Affine,
    shape: tuple[int, int],
    name: str,
    file: Any,
    link: PixelLink | None,
    reading: Reading,
) -> tuple[CRS | None, PixelMapping, bool, Placement | None]:
    """CRS, pixel mapping, whether the array is georeferenced, and how well where that is by points or RPCs."""
    crs = as_pyproj(array.rio.crs, name)
    stored_identity, of_heights = array.rio.transform().is_identity, reading.dem is not None or reading.height is not None
    gcps = array.rio.get_gcps() if stored_identity and not of_heights else None
    if gcps:
        # The points' pixels are those of the file; `transform` tells how the array was sliced where it has coordinates.
        file_px = np.array([(g.col, g.row) for g in gcps], dtype=np.float64)
        own_px = AffineMapping(transform).to_px(file_px)
        mapping, fit = fit_points(own_px, np.array([(g.x, g.y) for g in gcps], dtype=np.float64), shape, crs)
        return crs, mapping, True, fit
    rpcs = None if file is None else file.rpcs
    if rpcs is not None and (of_heights or (stored_identity and file.transform.is_identity)):
        if link is None or link.row_step != 1 or link.col_step != 1:
            raise RasterError(f"{name} shows other pixels than {file.name}, whose RPCs place those; pass the file's path")
        rpcs = copy.copy(rpcs)
        rpcs.line_off, rpcs.samp_off = rpcs.line_off - link.row, rpcs.samp_off - link.col
        return RPC_CRS, *_of_rpcs(rpcs, shape, name, reading)
    if of_heights:
        raise NoRpcsError(f"{name} has no RPCs, so heights place nothing in it; leave dem and height out")
    of_picture = transform.is_identity or (crs is None and counts_pixels(array, transform))
    if of_picture:
        # The coordinates of a picture count downwards, those of its map frame upwards.
        transform = PICTURE_MAPPING.transform @ transform
    return crs, AffineMapping(transform), not of_picture or crs is not None, None


def _of_rpcs(rpcs: Any, shape: tuple[int, int], name: str, reading: Reading) -> tuple[PixelMapping, bool, Placement]:
    mapping, fit = rpc_placement(rpcs, shape, name, reading)
    return mapping, True, fit
