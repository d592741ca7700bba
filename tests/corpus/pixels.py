"""Odd pixels: types, bands, nodata, alpha, masks, colour tables, scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp as C

from tests.corpus.ground import CRS, DARK, NORTH_UP, SHAPE, hole, picture
from tests.corpus.kinds import RGB, kind, write

for dtype in ("int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"):
    low, factor = {"int8": (-90, 0.7), "int16": (-7000, 40), "int32": (-7000, 40), "int64": (-7000, 40)}.get(dtype, (500, 40))
    if dtype.startswith("float"):
        low, factor = 0.05, 0.002

    @kind(f"type {dtype}")
    def of_type(folder: Path, dtype: str = dtype, low: float = low, factor: float = factor) -> Any:
        values = picture().astype(float) * factor + low
        return write(folder / "x.tif", (values if dtype.startswith("float") else values.round()).astype(dtype))


@kind("bands of two types", file=False)
def mixed(folder: Path) -> Any:
    with_types = [
        write(folder / f"{i}.tif", band[None].astype(t))
        for i, (band, t) in enumerate(zip(picture(), ("u1", "u2", "f4"), strict=True))
    ]
    bands = "".join(
        f'<VRTRasterBand dataType="{t}" band="{i}"><SimpleSource><SourceFilename>{name}</SourceFilename></SimpleSource></VRTRasterBand>'
        for i, (name, t) in enumerate(zip(with_types, ("Byte", "UInt16", "Float32"), strict=True), 1)
    )
    t = NORTH_UP
    (folder / "x.vrt").write_text(
        f'<VRTDataset rasterXSize="{SHAPE[1]}" rasterYSize="{SHAPE[0]}"><SRS>{CRS}</SRS>'
        f"<GeoTransform>{t.c}, {t.a}, 0, {t.f}, 0, {t.e}</GeoTransform>{bands}</VRTDataset>"
    )
    return str(folder / "x.vrt")


@kind("one band")
def grey(folder: Path) -> Any:
    return write(folder / "x.tif", picture()[:1])


@kind("blue, green, red by their marks")
def bgr(folder: Path) -> Any:
    return write(folder / "x.tif", picture()[::-1].copy(), colours=RGB[::-1])


@kind("bands by name", options={"bands": "B04,B03,B02"})
def named(folder: Path) -> Any:
    bands = np.concatenate([np.zeros((1, *SHAPE), np.uint8), picture()[::-1], np.zeros((2, *SHAPE), np.uint8)])
    return write(folder / "x.tif", bands, names=("B01", "B02", "B03", "B04", "B05", "B8A"))


@kind("bands named red, green and blue")
def named_colours(folder: Path) -> Any:
    bands = np.concatenate([np.full((1, *SHAPE), 9, np.uint8), picture()[::-1]])
    return write(folder / "x.tif", bands, names=("coastal", "Blue", "Green", "Red"))


def alpha_of(bands: np.ndarray) -> np.ndarray:
    return np.where(hole(), 0, 255)[None].astype(bands.dtype)


@kind("grey and alpha", holed=True)
def grey_alpha(folder: Path) -> Any:
    return write(folder / "x.tif", np.concatenate([picture()[:1], alpha_of(picture())]), colours=(C.gray, C.alpha))


@kind("alpha of four bands", holed=True)
def rgba(folder: Path) -> Any:
    return write(folder / "x.tif", np.concatenate([picture(), alpha_of(picture())]), colours=(*RGB, C.alpha))


@kind("alpha of five bands", holed=True)
def five(folder: Path) -> Any:
    bands = np.concatenate([picture(), picture()[:1], alpha_of(picture())])
    return write(folder / "x.tif", bands, colours=(*RGB, C.undefined, C.alpha))


@kind("alpha of six bands of 16 bits", holed=True)
def six(folder: Path) -> Any:
    deep = picture().astype(np.uint16) * 50
    bands = np.concatenate([np.where(hole(), 0, deep), deep[:2], alpha_of(deep)])
    return write(folder / "x.tif", bands, colours=(*RGB, C.undefined, C.undefined, C.alpha))


@kind("alpha first", holed=True)
def alpha_first(folder: Path) -> Any:
    return write(
        folder / "x.tif", np.concatenate([alpha_of(picture()), picture()]), colours=(C.alpha, *RGB), photometric="minisblack"
    )


@kind("alpha and a nodata tag", holed=True)
def alpha_and_tag(folder: Path) -> Any:
    return write(folder / "x.tif", np.concatenate([picture(), alpha_of(picture())]), colours=(*RGB, C.alpha), nodata=3)


@kind("nodata tag", holed=True)
def tagged(folder: Path) -> Any:
    return write(folder / "x.tif", np.where(hole(), 0, picture()).astype(np.uint8), nodata=0)


@kind("nodata tag of NaN", holed=True)
def tagged_nan(folder: Path) -> Any:
    return write(folder / "x.tif", np.where(hole(), np.nan, picture() / 255).astype(np.float32), nodata=np.nan)


@kind("NaN without a tag", holed=True)
def untagged_nan(folder: Path) -> Any:
    return write(folder / "x.tif", np.where(hole(), np.nan, picture() / 255).astype(np.float32))


@kind("lowest float as nodata tag", holed=True)
def lowest(folder: Path) -> Any:
    fill = np.finfo(np.float32).min
    return write(folder / "x.tif", np.where(hole(), fill, picture() / 255).astype(np.float32), nodata=float(fill))


for value, dtype in (
    (-9999, "int16"),
    (-32768, "int16"),
    (0, "uint16"),
    (-9999, "float32"),
    (3.4028235e38, "float32"),
    (1e20, "float64"),
):

    @kind(f"fill {value:g} in {dtype} without a tag", holed=True, warns="not tagged as nodata: they are taken as nodata")
    def filled(folder: Path, value: float = value, dtype: str = dtype) -> Any:
        values = picture().astype(float) * 10 + 9000 if dtype.endswith("16") else picture() / 255
        return write(folder / "x.tif", np.where(hole(), value, values).astype(dtype))


@kind("nodata that the user names", holed=True, options={"nodata": 7})
def user_nodata(folder: Path) -> Any:
    return write(folder / "x.tif", np.where(hole(), 7, picture()).astype(np.uint8))


@kind("wrong nodata tag", options={"nodata": "none"})
def wrong_tag(folder: Path) -> Any:
    return write(folder / "x.tif", picture()[:1], nodata=220)


@kind("internal mask", holed=True)
def internal_mask(folder: Path) -> Any:
    path = write(folder / "x.tif", picture())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as out:
        out.write_mask(~hole())
    return path


@kind("mask in a file beside it", holed=True)
def sidecar(folder: Path) -> Any:
    path = write(folder / "x.tif", picture())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as out:
        out.write_mask(~hole())
    assert Path(path + ".msk").exists()
    return path


@kind("colour table")
def palette(folder: Path) -> Any:
    return _palette(folder, np.zeros(SHAPE, bool))


@kind("colour table with a transparent entry", holed=True)
def clear_palette(folder: Path) -> Any:
    _palette(folder, hole())
    # A GeoTIFF's table has no transparency.
    rasterio.shutil.copy(folder / "x.tif", folder / "x.vrt", driver="VRT")
    text = (folder / "x.vrt").read_text()
    assert '<Entry c1="1" c2="2" c3="3" c4="255" />' in text
    (folder / "x.vrt").write_text(text.replace('<Entry c1="1" c2="2" c3="3" c4="255" />', '<Entry c1="1" c2="2" c3="3" c4="0" />'))
    return str(folder / "x.vrt")


def _palette(folder: Path, clear: np.ndarray) -> str:
    shades = np.random.default_rng(1).permutation(200)
    table = {int(shade): (i, i, i, 255) for i, shade in enumerate(shades, DARK - 10)} | {250: (1, 2, 3, 255)}
    indices = np.where(clear, 250, shades[picture()[0].clip(0, 229) - (DARK - 10)])[None].astype(np.uint8)
    path = write(folder / "x.tif", indices, photometric="palette")
    with rasterio.open(path, "r+") as out:
        out.write_colormap(1, table)
    return path


@kind("scale and offset", options={"stretch": "range:0.05,0.45"})
def scaled(folder: Path) -> Any:
    path = write(folder / "x.tif", (picture().astype(np.int16) * 20 + 1000))
    with rasterio.open(path, "r+") as out:
        out.scales, out.offsets = (1e-4,) * 3, (-0.1,) * 3
    return path
