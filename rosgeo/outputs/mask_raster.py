"""Outlines back to a raster on the scene's own grid: a Cloud Optimized GeoTIFF, written block by block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import rasterio.shutil
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.windows import Window

from rosgeo.errors import OptionError, OutputError
from rosgeo.geometry.boxes import geometries_on
from rosgeo.geometry.gcps import fit_points
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray, RasterGrid
from rosgeo.vector.layers.write import check_output, replacing, room_on_disk

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["check_mask_raster", "write_mask_raster"]

_BLOCK = 512
_GCPS_A_SIDE = (5, 11, 21, 31)
"""Ground control points that are tried, till they tell the mapping to within `_GCP_ERROR_PX`; GDAL holds some thousands at most."""
_GCP_ERROR_PX = 0.1
_DESCRIPTIONS = {"mask": "1 inside an outline", "row": "rosgeo_id + 1"}


def check_mask_raster(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> None:
    """Raise OutputError where a mask raster cannot be written; see `check_output`."""
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{path}: a mask raster is a .tif file")
    check_output(path, overwrite=overwrite, inputs=inputs)


def write_mask_raster(
    scene: Any,
    result: gpd.GeoDataFrame,
    path: str | Path,
    *,
    values: Literal["mask", "row"] = "mask",
    record: dict[str, Any] | None = None,
    reading: Reading = AS_TAGGED,
    block: int = 4 * _BLOCK,
) -> None:
    """Write the outlines of a result as a Cloud Optimized GeoTIFF on the grid of its scene.

    Parameters
    ----------
    scene : path, rasterio data set or DataArray
        The scene of the result.
    result : GeoDataFrame
        See `rosgeo.segment`, in any CRS.
    path : path
        The file; an existing one is replaced when the new one is whole.
    values : {"mask", "row"}
        ``mask``: uint8, 1 inside an outline. ``row``: uint32, the row's ``rosgeo_id`` plus 1, the later one where two overlap. Both 0
        elsewhere, which is the file's nodata.
    record : dict, optional
        The run's record, kept in the file's metadata under ``rosgeo``.
    reading : Reading
        How the run read the scene: heights move its pixels on the map.
    block : int
        Pixels a side of what is held in memory at once.

    Raises
    ------
    OptionError
        Another kind of values.
    OutputError
        The file cannot be written, or is the scene.

    Notes
    -----
    A pixel is inside where its centre is. For zero outlines the raster is all 0.
    """
    if values not in ("mask", "row"):
        raise OptionError(f"mask raster values {values!r}: expected mask or row")
    with open_source(scene, reading) as source:
        grid, georeferenced = source.grid, source.georeferenced
        check_output(path, overwrite=True, inputs=(source.name,))
    there = result[~(result.geometry.isna() | result.geometry.is_empty)]
    polygons = shapely.transform(geometries_on(there.geometry.to_numpy(), there.crs, grid), grid.mapping.to_px)
    if values == "row" and (there["rosgeo_id"].isna().any() or there["rosgeo_id"].duplicated().any()):
        raise OptionError(
            "the mask raster cannot tell rows apart by rosgeo_id: some are the same or have none, since boxes of several files were "
            "added to one result, or rows were drawn by hand; write mask values instead"
        )
    burnt = np.ones(len(there), dtype=np.uint32) if values == "mask" else there["rosgeo_id"].to_numpy(dtype=np.uint32) + 1
    kind = "uint8" if values == "mask" else "uint32"
    tree = shapely.STRtree(polygons)

    def burn(block_info: Any = None) -> npt.NDArray[Any]:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        shape = (bottom - top, right - left)
        hits = np.sort(tree.query(shapely.box(left, top, right, bottom)))
        if not len(hits):
            return np.zeros(shape, dtype=kind)
        shapes = zip(polygons[hits], burnt[hits].tolist(), strict=True)
        return rasterio.features.rasterize(shapes, out_shape=shape, transform=Affine.translation(left, top), dtype=kind)  # type: ignore[no-any-return]

    lazy = da.map_blocks(burn, chunks=da.core.normalize_chunks(block, shape=grid.shape), dtype=kind, meta=np.empty((0, 0), kind))  # type: ignore[no-untyped-call]
    target = Path(path)
    with replacing(target) as partial:
        blocks = partial.with_name("blocks.tif")
        try:
            with rasterio.open(blocks, "w", **_profile(grid, kind)) as dataset:
                _georeference(dataset, grid, georeferenced)
                dataset.set_band_description(1, _DESCRIPTIONS[values])
                if record is not None:
                    dataset.update_tags(rosgeo=json.dumps(record))
                with dask.config.set(scheduler="threads"):
                    # One writer at a time, while other threads burn the next blocks.
                    target_band: Any = _Band(dataset)
                    da.store(lazy, target_band, lock=True)  # type: ignore[no-untyped-call]
            rasterio.shutil.copy(blocks, partial, driver="COG", compress="deflate", overview_resampling="mode")
            blocks.unlink()
            _read_through(partial)
        except Exception as error:  # GDAL's own errors among them, which rasterio does not always make its own
            raise OutputError(f"{target} cannot be written: {' '.join(str(error).split())[:200]}{room_on_disk(target)}") from error


def _read_through(path: Path) -> None:
    """Raise where a block cannot be read: GDAL keeps quiet about a disk that is full just before the end."""
    with rasterio.open(path) as dataset:
        levels = len(dataset.overviews(1))
    for level in range(-1, levels):
        with rasterio.open(path, **({} if level < 0 else {"overview_level": level})) as dataset:
            for _, window in dataset.block_windows(1):
                dataset.read(1, window=window)


class _Band:
    """The band of an open data set, as Dask stores into it."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __setitem__(self, key: tuple[slice, slice], value: npt.NDArray[Any]) -> None:
        self._dataset.write(value, 1, window=Window.from_slices(*key))


def _profile(grid: RasterGrid, kind: str) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": 1,
        "dtype": kind,
        "nodata": 0,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }


def _georeference(dataset: Any, grid: RasterGrid, georeferenced: bool) -> None:
    if not georeferenced:
        return
    crs = None if grid.crs is None else rasterio.CRS.from_wkt(grid.crs.to_wkt())
    if isinstance(grid.mapping, AffineMapping):
        dataset.transform, dataset.crs = grid.mapping.transform, crs
        return
    for side in _GCPS_A_SIDE:
        px = _lattice(grid, side)
        told, _ = fit_points(px, grid.mapping.to_map(px), grid.shape, grid.crs)
        between = _lattice(grid, 3 * side)
        if np.abs(told.to_px(grid.mapping.to_map(between)) - between).max() <= _GCP_ERROR_PX:
            break
    points = [
        GroundControlPoint(row, col, x, y) for (col, row), (x, y) in zip(px.tolist(), grid.mapping.to_map(px).tolist(), strict=True)
    ]
    dataset.gcps = (points, crs)


def _lattice(grid: RasterGrid, side: int) -> FloatArray:
    """`side` x `side` pixel points (N, 2) over a raster."""
    x, y = np.meshgrid(np.linspace(0, grid.width, side), np.linspace(0, grid.height, side))
    return np.stack([x.ravel(), y.ravel()], axis=1)
