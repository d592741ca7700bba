"""Pixels: bands, stretch, and crops of real files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine
from rasterio.enums import ColorInterp
from rosgeo.errors import InputFileNotFoundError, OptionError, PixelsWarning, RasterError
from rosgeo.geometry import windows
from rosgeo.raster import crops
from rosgeo.raster.bands import Stretch, StretchRule, choose_bands, fit_stretch, parse_bands, parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import open_source
from rosgeo.types import Crop, CropWindow

from tests.conftest import WriteRaster

PADDING = (124, 116, 104)
RGB = ("red", "green", "blue")
BOX = np.array([3.0, 4.0, 9.0, 11.0])


@contextmanager
def reader(scene: Any, rule: str = "auto", bands: tuple[int, ...] | None = None) -> Iterator[CropReader]:
    with open_source(scene) as source:
        yield open_reader(source, bands=bands, stretch=parse_stretch(rule), padding_rgb=PADDING)


def read(scene: Any, window: CropWindow, rule: str = "auto", bands: tuple[int, ...] | None = None) -> Crop:
    with reader(scene, rule, bands) as opened:
        return opened.read(window, BOX, 5)


def assert_same(a: Crop, b: Crop) -> None:
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.valid, b.valid)


def noise(dtype: str = "uint8", count: int = 3, low: float = 1, high: float = 255, side: tuple[int, int] = (30, 40)) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (count, *side)).astype(dtype)


# -- bands and stretch


@pytest.mark.parametrize(
    ("colours", "requested", "expected"),
    [
        (RGB, None, (1, 2, 3)),
        (("blue", "green", "red", "alpha"), None, (3, 2, 1)),
        (("alpha", "red", "green", "blue"), None, (2, 3, 4)),
        (("nir", "blue", "undefined", "red", "green"), None, (4, 5, 2)),
        (("gray", "undefined", "undefined", "undefined"), None, (1, 2, 3)),
        (("alpha", "gray", "undefined", "undefined"), None, (2, 3, 4)),
        (("red", "green", "undefined"), None, (1, 2, 3)),
        (("gray",), None, (1, 1, 1)),
        (("gray", "alpha"), None, (1, 1, 1)),
        (("alpha", "gray"), None, (2, 2, 2)),
        (("gray", "undefined"), None, (1, 1, 1)),
        (("blue", "green", "red", "alpha"), (1, 2, 3), (1, 2, 3)),
        (RGB, (2,), (2, 2, 2)),
        (RGB, (3, 3, 1), (3, 3, 1)),
    ],
)
def test_choose_bands(colours: tuple[str, ...], requested: tuple[int, ...] | None, expected: tuple[int, int, int]) -> None:
    assert choose_bands(len(colours), colours, requested) == expected


@pytest.mark.parametrize("requested", [(4,), (0, 1, 2), (-1,), (1, 2, 4)])
def test_a_band_that_is_not_there(requested: tuple[int, ...]) -> None:
    wrong = next(b for b in requested if not 1 <= b <= 3)
    with pytest.raises(OptionError, match=rf"band {wrong} .*scene\.tif has 3 bands"):
        choose_bands(3, RGB, requested, "scene.tif")


def test_an_alpha_band_is_no_picture() -> None:
    with pytest.raises(RasterError, match="alpha band only"):
        choose_bands(1, ("alpha",), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("4,3,2", (4, 3, 2)),
        (" 1 ", (1,)),
        ((3, 2, 1), (3, 2, 1)),
        ([7], (7,)),
        ("1, 2, 3", (1, 2, 3)),
        ("B04, B03,B02", ("B04", "B03", "B02")),
        ("nir", ("nir",)),
        ("-1", (-1,)),
    ],
)
def test_parse_bands(text: Any, expected: tuple[int, ...] | None) -> None:
    assert parse_bands(text) == expected


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "red,green", "1,,3", ",", (), (1, 2), 3, (1.5,), (None,)])
def test_parse_bands_refuses(text: Any) -> None:
    with pytest.raises(OptionError, match="one or three band numbers"):
        parse_bands(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", StretchRule()),
        ("none", StretchRule("none")),
        (" percentile:2,98", StretchRule("percentile", 2, 98)),
        ("percentile:0,100", StretchRule("percentile", 0, 100)),
        ("range:0,3000", StretchRule("range", 0, 3000)),
        ("range:-25.5,1e1", StretchRule("range", -25.5, 10)),
    ],
)
def test_parse_stretch(text: str, expected: StretchRule) -> None:
    assert parse_stretch(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "linear", "2,98", "auto:1,2", "none:1", "percentile", "percentile:2", "percentile:1,2,3", "percentile:98,2"),
        *("percentile:-1,98", "percentile:2,101", "range", "range:5,5", "range:9,1", "range:a,b", "range:0,inf", "range:nan,1"),
    ],
)
def test_parse_stretch_refuses(text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(repr(text))):
        parse_stretch(text)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_percentiles_leave_out_what_is_no_measurement(dtype: str) -> None:
    sample = noise(dtype, low=-900 if dtype != "uint16" else 100, high=3000, side=(50, 50))
    clean = sample.copy()
    valid = np.ones((50, 50), dtype=bool)
    valid[:10] = False
    sample[:, :10] = 30_000  # nodata
    if dtype == "float32":
        sample[:, 10:20], sample[0, 20] = np.nan, np.inf
    else:
        sample[:, 10:20] = sample[0, 20] = np.iinfo(dtype).max
    keep = [clean[0, 21:], clean[1, 20:], clean[2, 20:]]
    stretch = fit_stretch(StretchRule("percentile", 5, 90), sample, valid)
    np.testing.assert_allclose(np.transpose([stretch.low, stretch.high]), [np.percentile(k.astype(float), [5, 90]) for k in keep])


def test_stretch_of_no_contrast() -> None:
    none_valid = fit_stretch(StretchRule(), noise("uint16"), np.zeros((30, 40), dtype=bool))
    assert (none_valid.low, none_valid.high) == ((0, 0, 0), (1, 1, 1))
    flat = fit_stretch(StretchRule(), np.full((3, 4, 4), 7.0), np.ones((4, 4), dtype=bool))
    assert (flat.low, flat.high) == ((7, 7, 7), (8, 8, 8))
    saturated = fit_stretch(StretchRule(), np.full((3, 4, 4), 65535, np.uint16), np.ones((4, 4), dtype=bool))
    assert saturated.low == (65535,) * 3


def test_stretch_kinds() -> None:
    valid = np.ones((30, 40), dtype=bool)
    assert fit_stretch(StretchRule("auto"), noise("uint8"), valid) == Stretch()
    assert fit_stretch(StretchRule("none"), noise("uint16"), valid) == Stretch()
    assert fit_stretch(StretchRule("range", -5, 5), noise("uint16"), valid) == Stretch((-5,) * 3, (5,) * 3)
    assert fit_stretch(StretchRule("percentile", 0, 100), noise("uint8"), valid).low == tuple(noise("uint8").min(axis=(1, 2)))


def test_stretch_apply() -> None:
    values = np.array([[-1, 0, 40], [80, 1000, np.nan]])[None].repeat(3, axis=0)
    out = Stretch((0, 0, 50), (100, 200, 100)).apply(values)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, [[[0, 0, 102], [204, 255, 0]], [[0, 0, 51], [102, 255, 0]], [[0, 0, 0], [153, 255, 0]]])
    np.testing.assert_array_equal(Stretch().apply(values)[0], [[0, 0, 40], [80, 255, 0]])
    np.testing.assert_array_equal(Stretch().apply(noise()), noise())


# -- crops of files


@pytest.mark.parametrize("offset", [(5, 3), (-4, -6), (33, 22), (-30, 3), (3, 40), (100, 100)])
def test_crop_and_padding(write_raster: WriteRaster, offset: tuple[int, int]) -> None:
    array = noise()
    window = CropWindow(*offset, 20)
    crop = read(write_raster(array=array), window)
    canvas = np.empty((3, 230, 230), dtype=np.uint8)
    canvas[:] = np.array(PADDING)[:, None, None]
    canvas[:, 50:80, 50:90] = array
    inside = np.zeros((230, 230), dtype=bool)
    inside[50:80, 50:90] = True
    rows, cols = slice(50 + offset[1], 70 + offset[1]), slice(50 + offset[0], 70 + offset[0])
    np.testing.assert_array_equal(crop.image, canvas[:, rows, cols])
    np.testing.assert_array_equal(crop.valid, inside[rows, cols])
    np.testing.assert_array_equal(crop.box_crop, np.clip(BOX - np.tile(offset, 2), 0, 20))
    assert (crop.id, crop.window) == (5, window)


def hole_from(kind: str, array: np.ndarray, hole: np.ndarray, write_raster: WriteRaster) -> Path:
    """A file of `array` in which the pixels of `hole` are not valid."""
    if kind == "nodata":
        return write_raster(array=np.where(hole, 0, array).astype(array.dtype), nodata=0)
    if kind == "alpha":
        path = write_raster(array=np.concatenate([array, np.where(hole, 0, 255)[None].astype(array.dtype)]))
        with rasterio.open(path, "r+") as dataset:
            dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        return path
    if kind == "mask":
        path = write_raster(array=array)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(~hole)
        assert not path.with_name(path.name + ".msk").exists()
        return path
    return write_raster(array=np.where(hole, np.nan, array))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("nodata", "uint8"), ("nodata", "int16"), ("alpha", "uint8"), ("mask", "uint8"), ("nan", "float32"), ("nan", "float64")],
)
def test_what_is_not_valid_is_padding(write_raster: WriteRaster, kind: str, dtype: str) -> None:
    array = noise(dtype)
    hole = np.random.default_rng(1).random((30, 40)) < 0.3
    crop = read(hole_from(kind, array, hole, write_raster), CropWindow(-2, -2, 50), "none")
    expected = np.where(hole, np.array(PADDING)[:, None, None], np.round(array)).astype(np.uint8)
    np.testing.assert_array_equal(crop.image[:, 2:32, 2:42], expected)
    np.testing.assert_array_equal(crop.valid[2:32, 2:42], ~hole)


def test_nodata_in_one_band_alone_is_a_value(write_raster: WriteRaster) -> None:
    array = noise()
    array[0, 3, 4] = array[:, 5, 6] = 0
    crop = read(write_raster(array=array, nodata=0), CropWindow(0, 0, 30))
    assert crop.valid[3, 4]
    np.testing.assert_array_equal(crop.image[:, 3, 4], array[:, 3, 4])
    assert not crop.valid[5, 6]


@pytest.mark.parametrize(("dtype", "low"), [("uint16", 0), ("int16", -3000), ("float64", -1e-3)])
def test_deep_values_are_stretched_alike_in_every_crop(write_raster: WriteRaster, dtype: str, low: float) -> None:
    array = noise(dtype, low=low, high=9000)
    path = write_raster(array=array)
    limits = [np.percentile(band.astype(float), [2, 98]) for band in array]
    expected = [
        np.clip(np.round((b - lo) * (255 / (hi - lo))), 0, 255) for b, (lo, hi) in zip(array.astype(float), limits, strict=True)
    ]
    for window in (CropWindow(0, 0, 30), CropWindow(7, 9, 12)):
        crop = read(path, window)
        np.testing.assert_array_equal(crop.image, np.array(expected)[:, *window.readable((30, 40))])
    with pytest.warns(PixelsWarning, match="the stretch 0 to 255 leaves [12] grey levels? to nine tenths"):
        by_range = read(path, CropWindow(0, 0, 30), "range:0,255").image
    np.testing.assert_array_equal(by_range, np.clip(np.round(array.astype(float)), 0, 255)[:, :, :30])


def test_palette(write_raster: WriteRaster) -> None:
    array = noise(count=1, low=0, high=4)
    path = write_raster(array=array, photometric="palette")
    colours = {0: (1, 2, 3, 255), 1: (10, 20, 30, 255), 2: (200, 100, 0, 255), 3: (9, 8, 7, 255)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    crop = read(path, CropWindow(2, 3, 20))
    table = np.array([colours[i][:3] for i in range(4)])
    np.testing.assert_array_equal(crop.image, table[array[0, 3:23, 2:22]].transpose(2, 0, 1))
    assert crop.valid.all()


def test_colours_and_requested_bands(write_raster: WriteRaster) -> None:
    array = noise(count=4)
    path = write_raster(array=array)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    window = CropWindow(0, 0, 30)
    np.testing.assert_array_equal(read(path, window).image, array[[2, 1, 0], :, :30])
    np.testing.assert_array_equal(read(path, window, bands=(4, 1, 1)).image, array[[3, 0, 0], :, :30])
    np.testing.assert_array_equal(read(path, window, bands=(2,)).image, array[[1, 1, 1], :, :30])
    with pytest.raises(OptionError, match="band 5"):
        read(path, window, bands=(5,))


@pytest.mark.parametrize("strip", [1024, 8])
def test_large_windows_are_averaged(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    monkeypatch.setattr(windows, "MAX_READ_SIDE", 16)
    monkeypatch.setattr(crops, "_STRIP_PX", strip)
    array = noise(side=(60, 80))
    array[:, np.random.default_rng(2).random((60, 80)) < 0.3] = 0
    window = windows.auto_window(np.array([20.0, 10, 43.5, 20]), 2.0)
    assert (window.size, windows.decimation_of(window)) == (48, 3)
    crop = read(write_raster(array=array, nodata=0), window)
    canvas = np.zeros((3, 200, 200))
    canvas[:, 50:110, 50:130] = array
    part = canvas[:, 50 + window.row_off :, 50 + window.col_off :][:, :48, :48].reshape(3, 16, 3, 16, 3)
    count = (part != 0).any(axis=0).sum(axis=(1, 3))
    np.testing.assert_array_equal(crop.valid, count >= 4.5)
    mean = np.round(part.sum(axis=(2, 4)) / np.maximum(count, 1))
    np.testing.assert_array_equal(crop.image[:, crop.valid], mean[:, crop.valid])
    np.testing.assert_array_equal(crop.image[:, count == 0], np.repeat(np.array(PADDING)[:, None], (count == 0).sum(), 1))
    assert (count == 0).any()


def test_large_windows_are_the_same_on_a_clip(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_READ_SIDE", 16)
    array = noise(side=(60, 80))
    scene, clip = write_raster(array=array), write_raster("clip.tif", array=array[:, 5:, 11:])
    box = np.array([30.0, 20.25, 49.5, 30])
    here, there = windows.auto_window(box, 2.0), windows.auto_window(box - [11, 5, 11, 5], 2.0)
    assert windows.decimation_of(here) == 3
    assert_same(read(scene, here), read(clip, there))


@pytest.mark.parametrize(
    ("dtype", "rule"), [("uint8", "auto"), ("uint16", "auto"), ("int16", "percentile:1,90"), ("float32", "auto")]
)
def test_path_dataset_and_array_give_the_same_crop(write_raster: WriteRaster, dtype: str, rule: str) -> None:
    array = noise(dtype, low=3, high=250)
    array[:, 4:9, 4:9] = 1
    path = write_raster(array=array, nodata=1)
    window = CropWindow(-3, 2, 24)
    expected = read(path, window, rule)
    assert not expected.valid.all()
    assert_same(read(str(path), window, rule), expected)
    with rasterio.open(path) as dataset:
        assert_same(read(dataset, window, rule), expected)
        assert not dataset.closed
    for chunks in (None, {"x": 7, "y": 11}):
        with rioxarray.open_rasterio(path, chunks=chunks) as lazy:
            assert_same(read(lazy, window, rule), expected)
            assert_same(read(lazy.transpose("y", "x", "band"), window, rule), expected)


def test_only_the_chunks_that_are_read_are_computed() -> None:
    computed = []

    def block(block_info: Any = None) -> np.ndarray:
        computed.append(tuple(block_info[None]["chunk-location"]))
        return np.ones(block_info[None]["chunk-shape"], dtype=np.uint8)

    lazy = da.map_blocks(block, chunks=((3,), (20,) * 5, (20,) * 5), dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))
    array = xr.DataArray(lazy, dims=("band", "y", "x")).rio.write_transform(Affine(2, 0, 7, 0, -2, 9)).rio.write_crs(32633)
    crop = read(array, CropWindow(45, 62, 10))
    assert (crop.image == 1).all()
    assert set(computed) == {(0, 3, 2)}


@pytest.mark.parametrize(
    "transform",
    [Affine(0.3, 0, 500_000.1, 0, -0.3, 4_000_000.7), Affine(0.5, 0, 5, 0, 0.5, 9), Affine(0.4, 0.3, 5e5, 0.3, -0.4, 4e6)],
    ids=["north-up", "south-up", "rotated"],
)
def test_an_array_lies_where_its_file_lies(write_raster: WriteRaster, transform: Affine) -> None:
    path = write_raster(array=noise(), transform=transform)
    points = np.array([[0, 0], [40, 30], [13.5, 7.25]])
    with open_source(path) as file, rioxarray.open_rasterio(path) as array, open_source(array) as source:
        assert file.grid.shape == source.grid.shape == (30, 40)
        assert file.grid.crs == source.grid.crs
        assert file.georeferenced
        assert source.georeferenced
        np.testing.assert_allclose(source.grid.mapping.to_px(file.grid.mapping.to_map(points)), points, rtol=0, atol=1e-4)
        with open_source(array.isel(x=slice(6, None), y=slice(3, 20))) as part:
            np.testing.assert_allclose(
                part.grid.mapping.to_px(file.grid.mapping.to_map(points)), points - [6, 3], rtol=0, atol=1e-4
            )


def test_gcps_and_no_georeferencing(write_raster: WriteRaster) -> None:
    gcps = [rasterio.control.GroundControlPoint(r, c, 500 + c, 900 - r) for r in (0, 30) for c in (0, 40)]
    path = write_raster("gcps.tif", array=noise(), transform=None, crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (gcps, rasterio.CRS.from_epsg(32633))
    with open_source(path) as source:
        assert source.georeferenced
        assert source.grid.crs == "EPSG:32633"
        np.testing.assert_allclose(source.grid.mapping.to_map(np.array([[20.0, 10.0]])), [[520, 890]])
    with open_source(write_raster("plain.tif", transform=None, crs=None)) as source:
        assert not source.georeferenced
        assert source.grid.crs is None
        np.testing.assert_array_equal(source.grid.mapping.to_map(np.array([[20.0, 10.0]])), [[20, -10]])


# -- files that cannot be read


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_bands_are_refused(write_raster: WriteRaster, dtype: str) -> None:
    path = write_raster(array=noise(dtype, count=2))
    with pytest.raises(RasterError, match=f"band 2 is {dtype}"):
        read(path, CropWindow(0, 0, 8), bands=(2,))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_truncated_file(write_raster: WriteRaster, dtype: str) -> None:
    path = write_raster(array=noise(dtype, side=(200, 200)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(RasterError, match=r"scene\.tif"):
        read(path, CropWindow(150, 150, 50))


@pytest.mark.parametrize("content", [b"", b"This is no raster.\n", b"II*\x00garbage"])
def test_not_a_raster(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(content)
    with pytest.raises(RasterError, match=r"scene\.tif is not a raster"), open_source(path):
        raise AssertionError("it was opened")


@pytest.mark.parametrize("kind", [str, Path])
def test_missing_file(tmp_path: Path, kind: type) -> None:
    with pytest.raises(InputFileNotFoundError, match="no such file"), open_source(kind(tmp_path / "none.tif")):
        raise AssertionError("it was opened")


@pytest.mark.parametrize("scene", [None, 5, np.zeros((3, 5, 5))])
def test_not_a_scene(scene: Any) -> None:
    with pytest.raises(RasterError, match="a scene is a path"), open_source(scene):
        raise AssertionError("it was opened")


def test_a_tile_is_read_in_one_go_where_its_crops_lie_close(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    close = [CropWindow(x, y, 24) for x in range(-6, 120, 18) for y in range(-6, 90, 18)]
    far = [CropWindow(0, 0, 24), CropWindow(130, 90, 24)]
    with open_source(write_raster(nodata=7)) as source:
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(124, 116, 104))
        box = np.array([3.0, 3, 20, 20])
        want = [reader.read(window, box, 0) for window in (*close, *far)]
        reads = []
        read = source.read
        monkeypatch.setattr(source, "read", lambda *where: reads.append(where) or read(*where))
        reader.hold(close)
        got = [reader.read(window, box, 0) for window in close]
        assert len(reads) == 1
        reader.hold(far)
        got += [reader.read(window, box, 0) for window in far]
        assert len(reads) == 3
        reader.hold([])
        reader.hold([CropWindow(500, 500, 24), CropWindow(600, 500, 24)])
        assert len(reads) == 3
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.valid, b.valid)
