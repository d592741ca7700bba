"""Odd files: formats, blocks, overviews, archives, mosaics, sub-datasets."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine

from tests.corpus.ground import CRS, NORTH_UP, SHAPE, hole, picture
from tests.corpus.kinds import kind, write


@kind("cloud optimized")
def cog(folder: Path) -> Any:
    rasterio.shutil.copy(write(folder / "a.tif", picture()), folder / "x.tif", driver="COG", blocksize=128)
    return str(folder / "x.tif")


for name, profile in {
    "strips of one row": {"blockysize": 1},
    "small tiles": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "lzw", "predictor": 2},
    "bands apart": {"interleave": "band", "compress": "deflate"},
    "pixel by pixel": {"interleave": "pixel", "compress": "zstd"},
    "BigTIFF": {"bigtiff": "yes"},
    "as ENVI": {"driver": "ENVI"},
    "as ERDAS": {"driver": "HFA"},
    "as SAGA": {"driver": "SAGA"},
}.items():

    @kind(name)
    def formatted(folder: Path, profile: dict[str, Any] = profile) -> Any:
        bands = picture()[:1] if profile.get("driver") == "SAGA" else picture()
        extension = {"ENVI": "img", "HFA": "img", "SAGA": "sdat"}.get(str(profile.get("driver")), "tif")
        return write(folder / f"x.{extension}", bands, **profile)


@kind("with overviews")
def overviews(folder: Path) -> Any:
    path = write(folder / "x.tif", (picture().astype(np.uint16) * 40))
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4], rasterio.enums.Resampling.average)
    return path


@kind("sparse file", holed=True)
def sparse(folder: Path) -> Any:
    path = folder / "x.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=SHAPE[0], width=SHAPE[1], dtype="uint8", crs=CRS, transform=NORTH_UP,
        tiled=True, blockxsize=16, blockysize=16, sparse_ok=True, nodata=0,
    ) as out:  # fmt: skip
        bands = np.where(hole(), 0, picture()).astype(np.uint8)
        for _, window in out.block_windows(1):
            part = bands[:, window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
            if part.any():
                out.write(part, window=window)
    return str(path)


@kind("JPEG 2000, lossless")
def jp2(folder: Path) -> Any:
    made = write(folder / "a.tif", picture())
    rasterio.shutil.copy(made, folder / "x.jp2", driver="JP2OpenJPEG", quality="100", reversible="yes")
    return str(folder / "x.jp2")


@kind("in a zip file")
def zipped(folder: Path) -> Any:
    path = write(folder / "x.tif", picture())
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(path, "inner/x.tif")
    return f"/vsizip/{folder}/x.zip/inner/x.tif"


@kind("virtual mosaic of two tiles")
def mosaic(folder: Path) -> Any:
    bands = picture()
    names = [
        write(folder / "w.tif", bands[..., :70].copy()),
        write(folder / "e.tif", bands[..., 70:].copy(), NORTH_UP @ Affine.translation(70, 0)),
    ]
    sources = "".join(
        f"<VRTRasterBand dataType='Byte' band='{b}'><ColorInterp>{colour}</ColorInterp>"
        + "".join(
            f"<SimpleSource><SourceFilename>{name}</SourceFilename><SourceBand>{b}</SourceBand>"
            f"<SrcRect xOff='0' yOff='0' xSize='{w}' ySize='120'/><DstRect xOff='{x}' yOff='0' xSize='{w}' ySize='120'/></SimpleSource>"
            for name, x, w in zip(names, (0, 70), (70, 90), strict=True)
        )
        + "</VRTRasterBand>"
        for b, colour in enumerate(("Red", "Green", "Blue"), 1)
    )
    t = NORTH_UP
    (folder / "x.vrt").write_text(
        f"<VRTDataset rasterXSize='160' rasterYSize='120'><SRS>{CRS}</SRS>"
        f"<GeoTransform>{t.c}, {t.a}, 0, {t.f}, 0, {t.e}</GeoTransform>{sources}</VRTDataset>"
    )
    return str(folder / "x.vrt")


@kind("sub-dataset of netCDF", file=False)
def netcdf(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rasterio.shutil.copy(write(folder / "a.tif", picture()), folder / "x.nc", driver="netCDF")
    return f"netcdf:{folder}/x.nc:Band1"


@kind("page of a TIFF", file=False)
def page(folder: Path) -> Any:
    write(folder / "x.tif", picture())
    write(folder / "x.tif", picture()[:, ::-1].copy(), append_subdataset=True)
    return f"GTIFF_DIR:1:{folder}/x.tif"
