"""Files and open data sets of rasterio as sources of pixels."""

from __future__ import annotations

import copy
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rosgeo.addresses.secrets import without_secrets
from rosgeo.errors import NoRpcsError, RasterError
from rosgeo.geometry.gcps import fit_points
from rosgeo.geometry.mapping import PICTURE_MAPPING, AffineMapping
from rosgeo.raster.png import require_whole_png
from rosgeo.raster.protocol import Bands, Placement, together
from rosgeo.raster.reading import AS_TAGGED, Reading, equals_any, require_holdable
from rosgeo.raster.rpc import RPC_CRS, rpc_placement
from rosgeo.types import BoolArray, PixelMapping, RasterGrid, UInt8Array

__all__ = ["RasterioSource", "as_pyproj", "colour_table", "in_colours", "short"]


class RasterioSource:
    """An open rasterio data set.

    Parameters
    ----------
    dataset : rasterio.io.DatasetReader
        Stays open; whoever opened it closes it.
    reading : Reading
        How it is read.

    Attributes
    ----------
    taken : datetime or None
        What the file's EXIF or TIFF tags say of when it was taken, without time zone.

    Raises
    ------
    RasterError
        It is closed, or not open for reading; its CRS, control points or RPCs cannot be used.
    OptionError
        It cannot hold the nodata value that `reading` names, or has no RPCs for its heights.
    """

    def __init__(self, dataset: Any, reading: Reading = AS_TAGGED) -> None:
        self._dataset = dataset
        self.name = without_secrets(str(dataset.name))
        self.reading = reading
        if dataset.closed:
            raise RasterError(f"the data set of {self.name} is closed; pass its path, or keep it open until the run is done")
        if dataset.mode == "w":
            raise RasterError(f"the data set of {self.name} is open for writing; close it, and pass its path")
        self.count = int(dataset.count)
        self.dtypes = tuple(str(t) for t in dataset.dtypes)
        self.colours = tuple(c.name for c in dataset.colorinterp)
        self.names = tuple(text or "" for text in dataset.descriptions)
        # A scale of 0 would make all measurements one.
        self.scaling = tuple((float(s) or 1.0, float(o)) for s, o in zip(dataset.scales, dataset.offsets, strict=True))
        crs, mapping, self.georeferenced, self.placement = _georeferencing(dataset, reading)
        self.grid = RasterGrid(int(dataset.height), int(dataset.width), mapping, crs)
        self.taken = _taken(dataset)
        self._flags = dataset.mask_flag_enums
        self._alpha = [b for b, colour in enumerate(self.colours, 1) if colour == "alpha"]
        self._palettes = {b: colour_table(dataset, b) for b in range(1, self.count + 1)}
        self._is_whole = dataset.driver != "PNG" or not Path(self.name).is_file()
        if reading.nodata:
            for kind in set(self.dtypes):
                require_holdable(reading.nodata, kind, self.name)

    def with_reading(self, reading: Reading) -> RasterioSource:
        """See `RasterSource`."""
        other = copy.copy(self)
        other.reading = reading
        return other

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        values, by_band = self._read(bands, window=Window.from_slices(rows, cols))
        return values, together(values, by_band)

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        height, width = self.grid.shape
        step = max(height, width) / max_side
        shape = (height, width) if step <= 1 else (max(round(height / step), 1), max(round(width / step), 1))
        return self._read(bands, out_shape=shape, resampling=Resampling.nearest)

    def valid(self, bands: list[int], values: npt.NDArray[Any], **how: Any) -> BoolArray:
        """Validity by band (B, h, w) of values that were read in some way: masks, alpha bands, nodata and fill.

        Parameters
        ----------
        bands : list of B int
        values : array (B, h, w)
            Of them.
        **how
            Of rasterio's `read`, for one band.
        """
        valid = np.ones(values.shape, dtype=bool)
        for number, band in enumerate(bands):
            flags = self._flags[band - 1]
            # GDAL hides the tag where there is a mask of another kind.
            if MaskFlags.all_valid not in flags and (MaskFlags.nodata not in flags or self.reading.nodata is None):
                valid[number] = self._dataset.read_masks(band, **how) != 0
            if MaskFlags.alpha not in flags and band not in self._alpha:
                # GDAL takes an alpha band for the mask in data sets of two or four bands, without a nodata tag.
                for alpha in self._alpha:
                    valid[number] &= self._dataset.read(alpha, **how) != 0
        return valid & ~equals_any(values, (*(self.reading.nodata or ()), *(self.reading.fill or ())))

    def _read(self, bands: Bands, **how: Any) -> tuple[npt.NDArray[Any], BoolArray]:
        if not self._is_whole:
            # Before the first pixel, so that opening a file stays cheap.
            require_whole_png(self.name)
            self._is_whole = True
        unique = sorted(set(bands))
        try:
            values = self._values(unique, how)
            valid = self.valid(unique, values, **how)
        except (RasterioError, OSError) as error:
            raise RasterError(
                f"{self.name} cannot be read ({short(error.__cause__ or error)}). "
                "The file may be truncated or damaged; check it with gdalinfo -checksum."
            ) from error
        order = [unique.index(b) for b in bands]
        values, valid = values[order], valid[order]
        palette = self._palettes[bands[0]]
        if palette is not None and len(unique) == 1:
            return in_colours(palette, values[0], valid[0])
        return values, valid

    def _values(self, bands: list[int], how: dict[str, Any]) -> npt.NDArray[Any]:
        kinds = [self.dtypes[b - 1] for b in bands]
        if len(set(kinds)) == 1:
            many = {"out_shape": (len(bands), *how["out_shape"])} if "out_shape" in how else {}
            values: npt.NDArray[Any] = self._dataset.read(bands, **{**how, **many})
            return values
        # rasterio reads bands of different types one by one only.
        return np.stack([self._dataset.read(b, **how) for b in bands]).astype(np.result_type(*kinds), copy=False)


def in_colours(palette: UInt8Array, indices: npt.NDArray[Any], valid: BoolArray) -> tuple[UInt8Array, BoolArray]:
    """A band of indices (h, w) in the colours of its table (K, 4): RGB (3, h, w) and validity (3, h, w)."""
    colours = palette[np.clip(np.nan_to_num(indices), 0, len(palette) - 1).astype(np.int64)]
    return colours[..., :3].transpose(2, 0, 1), np.broadcast_to(valid & (colours[..., 3] != 0), (3, *indices.shape))


def _taken(dataset: Any) -> datetime | None:
    tags = dataset.tags()
    for tag in ("EXIF_DateTimeOriginal", "TIFFTAG_DATETIME"):
        try:
            return datetime.strptime(tags.get(tag, "").strip(), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
    return None


def _georeferencing(dataset: Any, reading: Reading) -> tuple[CRS | None, PixelMapping, bool, Placement | None]:
    """CRS, pixel mapping, whether the raster is georeferenced, and how well where that is by points or RPCs."""
    shape = (int(dataset.height), int(dataset.width))
    transform, of_heights = dataset.transform, reading.dem is not None or reading.height is not None
    if of_heights and dataset.rpcs is None:
        raise NoRpcsError(f"{dataset.name} holds no RPCs, so heights place nothing in it; leave --dem and --height out")
    gcps, gcp_crs = dataset.gcps
    if gcps and transform.is_identity and not of_heights:
        px = np.array([(g.col, g.row) for g in gcps], dtype=np.float64)
        target = np.array([(g.x, g.y) for g in gcps], dtype=np.float64)
        crs = as_pyproj(gcp_crs or dataset.crs, dataset.name)
        return crs, *_by_points(px, target, shape, crs)
    if dataset.rpcs is not None and (of_heights or transform.is_identity):
        mapping, fit = rpc_placement(dataset.rpcs, shape, str(dataset.name), reading)
        return RPC_CRS, mapping, True, fit
    crs = as_pyproj(dataset.crs, dataset.name)
    if transform.is_identity:
        return crs, PICTURE_MAPPING, crs is not None, None
    return crs, AffineMapping(transform), True, None


def _by_points(px: Any, target: Any, shape: tuple[int, int], crs: CRS | None) -> tuple[PixelMapping, bool, Placement]:
    mapping, fit = fit_points(px, target, shape, crs)
    return mapping, True, fit


def as_pyproj(crs: Any, name: str) -> CRS | None:
    """A CRS of rasterio as one of pyproj; None for none. Raises RasterError for one that PROJ does not understand."""
    if crs is None or not crs:
        return None
    try:
        # By its code where it has one, so that files written with it carry the code and not a copy of its definition.
        epsg = crs.to_epsg()
        return CRS.from_epsg(epsg) if epsg is not None else CRS.from_user_input(crs)
    except CRSError as error:
        raise RasterError(f"{name}: its CRS is not understood by PROJ: {error}") from error


def colour_table(dataset: Any, band: int) -> UInt8Array | None:
    """The colour table (K, 4) of a paletted band; None where it is none."""
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


def short(error: BaseException) -> str:
    """An error of GDAL on one line."""
    # Before it is cut, so that no half of a password is left.
    return without_secrets(" ".join(str(error).split()))[:300]
