"""One face for the rasters that rosgeo reads: files and data sets of rasterio, and xarray DataArrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import Resampling
from rasterio.env import getenv, hasenv
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from rosgeo.addresses.secrets import without_secrets
from rosgeo.errors import InputFileNotFoundError, RasterError
from rosgeo.geometry.mapping import PICTURE_MAPPING, AffineMapping, mapping_from_gcps
from rosgeo.raster.lazy import pixels_of
from rosgeo.raster.png import require_whole_png
from rosgeo.types import BoolArray, PixelMapping, RasterGrid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ArraySource", "RasterSource", "RasterioSource", "open_source"]

Bands = tuple[int, int, int]

_BLOCK_CACHE_BYTES = 64 * 1024**2


class RasterSource(Protocol):
    """What rosgeo needs of a raster. Bands count from 1.

    Attributes
    ----------
    name : str
        For messages and the record.
    grid : RasterGrid
    count : int
    dtypes, colours : tuple of str
        Of each band.
    georeferenced : bool
        False where the raster has no CRS, transform or control points. Its map frame is then x = column, y = -row.
    """

    name: str
    grid: RasterGrid
    count: int
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    georeferenced: bool

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """Values (3, h, w) and validity (h, w) of a part of the raster."""

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """The whole raster with at most `max_side` pixels a side, from overviews where there are any; validity by band (3, h, w)."""


class RasterioSource:
    """An open rasterio data set.

    Parameters
    ----------
    dataset : rasterio.io.DatasetReader
        Stays open; whoever opened it closes it.

    Attributes
    ----------
    taken : datetime or None
        What the file's EXIF or TIFF tags say of when it was taken, without time zone.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.name = without_secrets(str(dataset.name))
        self.count = int(dataset.count)
        self.dtypes = tuple(str(t) for t in dataset.dtypes)
        self.colours = tuple(c.name for c in dataset.colorinterp)
        crs, mapping, self.georeferenced = _georeferencing(dataset)
        self.grid = RasterGrid(int(dataset.height), int(dataset.width), mapping, crs)
        self.taken = _taken(dataset)
        self._palettes = {b: _palette(dataset, b) for b in range(1, self.count + 1)}
        self._is_whole = dataset.driver != "PNG" or not Path(self.name).is_file()

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        window = Window.from_slices(rows, cols)
        values, by_band = self._read(bands, window=window)
        # As GDAL's own mask of a data set: nodata only where every band says so, but alpha and mask bands are the same for all.
        return values, _together(values, by_band)

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        height, width = self.grid.shape
        step = max(height, width) / max_side
        shape = (height, width) if step <= 1 else (max(round(height / step), 1), max(round(width / step), 1))
        return self._read(bands, out_shape=shape, resampling=Resampling.nearest)

    def _read(self, bands: Bands, **how: Any) -> tuple[npt.NDArray[Any], BoolArray]:
        if not self._is_whole:
            # Before the first pixel, so that opening a file stays cheap.
            require_whole_png(self.name)
            self._is_whole = True
        unique = sorted(set(bands))
        if "out_shape" in how:
            one, how = how["out_shape"], {k: v for k, v in how.items() if k != "out_shape"}
            many: dict[str, Any] = {"out_shape": (len(unique), *one)}
        else:
            many = {}
        try:
            values = self._values(unique, {**how, **many})
            masks = self._dataset.read_masks(unique, **how, **many)
        except (RasterioError, OSError) as error:
            raise RasterError(
                f"{self.name} cannot be read ({_short(error.__cause__ or error)}). "
                "The file may be truncated or damaged; check it with gdalinfo -checksum."
            ) from error
        order = [unique.index(b) for b in bands]
        values, valid = values[order], masks[order] != 0
        palette = self._palettes[bands[0]]
        if palette is not None and len(unique) == 1:
            colours = palette[np.clip(values[0], 0, len(palette) - 1)]
            return colours[..., :3].transpose(2, 0, 1), valid & (colours[..., 3] != 0)
        return values, valid

    def _values(self, bands: list[int], how: dict[str, Any]) -> npt.NDArray[Any]:
        kinds = [self.dtypes[b - 1] for b in bands]
        if len(set(kinds)) == 1:
            values: npt.NDArray[Any] = self._dataset.read(bands, **how)
            return values
        # rasterio reads bands of different types one by one only.
        single = {**how, "out_shape": how["out_shape"][1:]} if "out_shape" in how else how
        return np.stack([self._dataset.read(b, **single) for b in bands]).astype(np.result_type(*kinds), copy=False)


def _taken(dataset: Any) -> datetime | None:
    tags = dataset.tags()
    for tag in ("EXIF_DateTimeOriginal", "TIFFTAG_DATETIME"):
        try:
            return datetime.strptime(tags.get(tag, "").strip(), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
    return None


def _together(values: npt.NDArray[Any], by_band: BoolArray) -> BoolArray:
    """Validity (h, w) of a picture from that of its bands (3, h, w): any band there, and every value finite."""
    finite = np.isfinite(values).all(axis=0) if np.issubdtype(values.dtype, np.floating) else True
    valid: BoolArray = np.logical_and(by_band.any(axis=0), finite)
    return valid


def _georeferencing(dataset: Any) -> tuple[CRS | None, PixelMapping, bool]:
    """CRS, pixel mapping, and whether the raster is georeferenced."""
    gcps, gcp_crs = dataset.gcps
    if gcps and dataset.transform.is_identity:
        px = np.array([(g.col, g.row) for g in gcps], dtype=np.float64)
        target = np.array([(g.x, g.y) for g in gcps], dtype=np.float64)
        return _as_pyproj(gcp_crs or dataset.crs, dataset.name), mapping_from_gcps(px, target), True
    if dataset.transform.is_identity and dataset.rpcs is not None:
        raise RasterError(
            f"{dataset.name} is georeferenced by RPCs alone, which rosgeo does not read. Orthorectify it first: gdalwarp -rpc IN OUT."
        )
    crs = _as_pyproj(dataset.crs, dataset.name)
    if dataset.transform.is_identity:
        return crs, PICTURE_MAPPING, crs is not None
    return crs, AffineMapping(dataset.transform), True


def _as_pyproj(crs: Any, name: str) -> CRS | None:
    if crs is None or not crs:
        return None
    try:
        # By its code where it has one, so that files written with it carry the code and not a copy of its definition.
        epsg = crs.to_epsg()
        return CRS.from_epsg(epsg) if epsg is not None else CRS.from_user_input(crs)
    except CRSError as error:
        raise RasterError(f"{name}: its CRS is not understood by PROJ: {error}") from error


def _palette(dataset: Any, band: int) -> npt.NDArray[np.uint8] | None:
    """The colour table (256, 4) of a paletted band."""
    if dataset.colorinterp[band - 1].name != "palette":
        return None
    try:
        table = dataset.colormap(band)
    except ValueError:
        return None
    palette = np.zeros((max(table) + 1, 4), dtype=np.uint8)
    for index, colour in table.items():
        palette[index] = colour
    return palette


class ArraySource:
    """A rioxarray DataArray, in memory or backed by Dask; only the parts that are read are computed.

    Parameters
    ----------
    array : xarray.DataArray
        Dimensions (band, y, x) or (y, x), with rioxarray's CRS and transform.

    Raises
    ------
    RasterError
        Other dimensions.
    """

    def __init__(self, array: xr.DataArray) -> None:
        import rioxarray  # noqa: F401 - registers the accessor

        self.name = f"DataArray {array.name!r}" if array.name else "DataArray"
        x, y = _spatial_dims(array, self.name)
        extra = [d for d in array.dims if d not in (x, y)]
        if len(extra) > 1:
            raise RasterError(f"{self.name} has the dimensions {tuple(array.dims)}; expected (band, {y}, {x}) or ({y}, {x})")
        stacked = array.transpose(*extra, y, x) if extra else array.expand_dims("band").transpose("band", y, x)
        self._array = stacked
        self.count = int(stacked.shape[0])
        self.dtypes = (str(stacked.dtype),) * self.count
        self.colours = ("undefined",) * self.count
        self._nodata = array.rio.nodata
        transform = _array_transform(array, x, y)
        crs = _as_pyproj(array.rio.crs, self.name)
        gcps = array.rio.get_gcps() if array.rio.transform().is_identity else None
        of_picture = not gcps and (transform.is_identity or (crs is None and _counts_pixels(array, transform)))
        if of_picture:
            # The coordinates of a picture count downwards, those of its map frame upwards.
            transform = PICTURE_MAPPING.transform * transform
        mapping = _array_gcp_mapping(gcps, transform) if gcps else AffineMapping(transform)
        self.georeferenced = not of_picture or crs is not None
        self.grid = RasterGrid(int(stacked.shape[1]), int(stacked.shape[2]), mapping, crs)

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        values, by_band = self._read(bands, rows, cols)
        return values, _together(values, by_band)

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        step = max(int(np.ceil(max(self.grid.shape) / max_side)), 1)
        return self._read(bands, slice(None, None, step), slice(None, None, step))

    def _read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        unique = sorted(set(bands))
        part = pixels_of(self._array[[b - 1 for b in unique], rows, cols])
        values = part[[unique.index(b) for b in bands]]
        if self._nodata is None or np.isnan(self._nodata):
            return values, np.ones(values.shape, dtype=bool)
        return values, values != self._nodata


def _array_gcp_mapping(gcps: Any, transform: Affine) -> PixelMapping:
    """The mapping of ground control points, whose pixels are those of the file.

    `transform` tells how the array was sliced where it has coordinates; rioxarray gives none to such files, so slice them with GDAL.
    """
    file_px = np.array([(g.col, g.row) for g in gcps], dtype=np.float64)
    own_px = AffineMapping(transform).to_px(file_px)
    return mapping_from_gcps(own_px, np.array([(g.x, g.y) for g in gcps], dtype=np.float64))


def _array_transform(array: xr.DataArray, x: str, y: str) -> Affine:
    """The transform that the coordinates tell, since a stored one is out of date once an array has been sliced."""
    stored: Affine = array.rio.transform()
    if x in array.coords and y in array.coords:
        recalculated: Affine = array.rio.transform(recalc=True)
        return recalculated
    height, width = array.sizes[y], array.sizes[x]
    if "xc" not in array.coords or "yc" not in array.coords or height < 2 or width < 2:
        return stored
    # Rotated: rioxarray gives the centre of each pixel in two-dimensional coordinates.
    corners = [
        np.array([float(array.coords[name].isel({y: row, x: col})) for name in ("xc", "yc")])
        for row, col in ((0, 0), (0, -1), (-1, 0))
    ]
    (a, d), (b, e) = (corners[1] - corners[0]) / (width - 1), (corners[2] - corners[0]) / (height - 1)
    return Affine(a, b, corners[0][0] - (a + b) / 2, d, e, corners[0][1] - (d + e) / 2)


def _counts_pixels(array: xr.DataArray, transform: Affine) -> bool:
    """Whether coordinates only count pixels from a picture's top-left corner: of a part of it, or of every n-th pixel."""
    name = array.rio.grid_mapping
    stored = array.coords[name].attrs.get("GeoTransform") if name in array.coords else None
    if stored is not None and not Affine.from_gdal(*map(float, stored.split())).is_identity:
        return False
    t = transform
    first = (t.c + t.a / 2, t.f + t.e / 2)
    return bool(t.b == t.d == 0 and t.a == t.e == round(t.a) >= 1 and min(first) >= 0)


def _spatial_dims(array: xr.DataArray, name: str) -> tuple[str, str]:
    from rioxarray.exceptions import RioXarrayError

    try:
        return str(array.rio.x_dim), str(array.rio.y_dim)
    except RioXarrayError as error:
        raise RasterError(f"{name} has the dimensions {tuple(array.dims)}; expected (band, y, x) or (y, x): {error}") from error


@contextmanager
def open_source(scene: Any) -> Iterator[RasterSource]:
    """Open a raster: a path or GDAL name, an open rasterio data set, or a rioxarray DataArray.

    What was given open stays open.

    Raises
    ------
    InputFileNotFoundError
        A path of no file.
    RasterError
        GDAL cannot open it, it holds no band, or it is of a kind that rosgeo does not know.
    """
    if isinstance(scene, str | Path):
        with _open_dataset(str(scene)) as dataset:
            yield RasterioSource(dataset)
    elif isinstance(scene, rasterio.io.DatasetReader | rasterio.vrt.WarpedVRT):
        yield RasterioSource(scene)
    # By its attributes, so that xarray need not be imported; not by .values, which would compute a whole lazy array.
    elif hasattr(scene, "dims") and hasattr(scene, "coords") and hasattr(scene, "chunks"):
        yield ArraySource(scene)
    else:
        raise RasterError(f"a scene is a path, a rasterio data set or a DataArray; got {type(scene).__name__}")


@contextmanager
def _open_dataset(name: str) -> Iterator[Any]:
    if not name.strip():
        raise InputFileNotFoundError("the scene's name is empty; expected a raster")
    is_local = "://" not in name and not name.startswith("/vsi") and ":" not in name[2:]
    if is_local and not Path(name).exists():
        raise InputFileNotFoundError(f"{name}: no such file; expected a raster")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(name)
    except (RasterioError, OSError) as error:
        reason = _short(error).removeprefix(f"'{name}' ").removeprefix(f"{name}: ").removeprefix(f"{name}:")
        raise RasterError(f"{name} is not a raster that GDAL can open: {reason}") from error
    with _bounded_cache(), dataset:
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


def _short(error: BaseException) -> str:
    # Before it is cut, so that no half of a password is left.
    return without_secrets(" ".join(str(error).split()))[:300]
