"""Rasters that are turned against the map, seen upright."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.geometry.upright import upright_grid
from rosgeo.pictures.preview import draw_preview
from rosgeo.pictures.scene_picture import colour_of
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.reading import AS_TAGGED
from rosgeo.raster.source import open_source
from rosgeo.raster.upright import UprightSource, upright_source
from rosgeo.run.pipeline import SegmentOptions, SegmentRun, segment_run
from rosgeo.types import RasterGrid

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

BANDS = (1, 2, 3)


class MapRamp:
    """A raster whose bands are its own map coordinates, so that a value tells where it was sampled."""

    name, count, dtypes, colours, georeferenced = "ramp", 3, ("float64",) * 3, ("undefined",) * 3, True

    def __init__(self, grid: RasterGrid, nodata: tuple[slice, slice] | None = None) -> None:
        self.grid = grid
        x, y = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
        points = grid.mapping.to_map(np.stack([x.ravel(), y.ravel()], axis=1)).T.reshape(2, *grid.shape)
        self.values = np.stack([*points, np.zeros(grid.shape)])
        self.names, self.scaling, self.placement, self.reading = ("", "", ""), ((1.0, 0.0),) * 3, None, AS_TAGGED
        self.valid = np.ones(grid.shape, dtype=bool)
        if nodata is not None:
            self.valid[nodata] = False
            self.values[:, ~self.valid] = np.nan

    def read(self, bands: Any, rows: slice, cols: slice) -> Any:
        assert 0 <= rows.start <= rows.stop <= self.grid.height
        assert 0 <= cols.start <= cols.stop <= self.grid.width
        return self.values[:, rows, cols], self.valid[rows, cols]

    def read_decimated(self, bands: Any, max_side: int) -> Any:
        step = max(int(np.ceil(max(self.grid.shape) / max_side)), 1)
        return self.values[:, ::step, ::step], np.stack([self.valid[::step, ::step]] * 3)


def ramp(transform: Affine, shape: tuple[int, int] = (40, 60), **options: Any) -> MapRamp:
    return MapRamp(RasterGrid(*shape, AffineMapping(transform), CRS.from_epsg(32633)), **options)


def whole(source: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, validity and the map coordinates of the pixels of a source."""
    height, width = source.grid.shape
    values, valid = source.read(BANDS, slice(0, height), slice(0, width))
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return values, valid, source.grid.mapping.to_map(np.stack([x.ravel(), y.ravel()], axis=1)).T.reshape(2, height, width)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarter_turns", range(4))
def test_mirrored_and_quarter_turned_rasters_are_reordered_exactly(flip: bool, quarter_turns: int) -> None:
    turned = Affine.translation(500, 900) @ Affine.rotation(90 * quarter_turns) @ Affine.scale(2, 3 if flip else -3)
    # Rotation by 90 degrees as a file holds it: without the 1e-16 of its cosine.
    stored = ramp(Affine(*(round(v, 9) for v in turned[:6])))
    source = upright_source(stored)  # type: ignore[arg-type]
    if not flip and quarter_turns == 0:
        assert source is stored
        return
    assert isinstance(source, UprightSource)
    assert source.exact
    values, valid, points = whole(source)
    np.testing.assert_array_equal(values[:2], points)
    assert valid.all()
    t = source.grid.mapping.transform  # type: ignore[attr-defined]
    assert (t.a > 0, t.b, t.d, t.e < 0) == (True, 0, 0, True)
    part, _ = source.read(BANDS, slice(3, 17), slice(5, 31))
    np.testing.assert_array_equal(part, values[:, 3:17, 5:31])
    decimated, mask = source.read_decimated(BANDS, 20)
    assert decimated.shape == mask.shape
    assert decimated[0, 0, 0] < decimated[0, 0, -1]
    assert decimated[1, 0, 0] > decimated[1, -1, 0]


@given(
    angle=st.floats(-180, 180),
    shear=st.floats(-25, 25),
    scale=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    mirrored=st.booleans(),
)
def test_resampled_values_are_those_of_their_place(angle: float, shear: float, scale: tuple[float, float], mirrored: bool) -> None:
    transform = (
        Affine.translation(4000.0, -900.0)
        @ Affine.rotation(angle)
        @ Affine.shear(shear, 0)
        @ Affine.scale(scale[0], scale[1] if mirrored else -scale[1])
    )
    stored = ramp(transform)
    source = upright_source(stored)  # type: ignore[arg-type]
    values, valid, points = whole(source)
    # Bilinear between the centres of pixels is exact on a ramp, but for the rounding of the sampling points to 1/256 px.
    base_px = stored.grid.mapping.to_px(points.reshape(2, -1).T).reshape(*source.grid.shape, 2)
    inner = ((base_px > 0.51) & (base_px < np.array([59.49, 39.49]))).all(axis=-1)
    off = stored.grid.mapping.to_px(values[:2].reshape(2, -1).T).reshape(*source.grid.shape, 2) - base_px
    assert valid[inner].all()
    assert not inner.any() or np.abs(off[inner]).max() <= 1 / 256
    outer = ((base_px < -0.01) | (base_px > np.array([60.01, 40.01]))).any(axis=-1)
    assert not valid[outer].any()
    # The upright grid holds the whole raster.
    corners = stored.grid.mapping.to_map(np.array([[0, 0], [60, 0], [0, 40], [60, 40]], dtype=float))
    px = source.grid.mapping.to_px(corners)
    assert (px >= -1e-6).all()
    assert (px <= np.array(source.grid.shape[::-1]) + 1e-6).all()


def test_a_raster_within_two_degrees_is_left_as_it_is() -> None:
    for angle in (0, 1.9, -1.9):
        assert upright_grid(ramp(Affine.rotation(angle) @ Affine.scale(0.5, -0.5)).grid) is None
    assert upright_grid(ramp(Affine.rotation(2.1) @ Affine.scale(0.5, -0.5)).grid) is not None


def test_nodata_is_not_mixed_into_its_neighbours() -> None:
    stored = ramp(Affine.rotation(30) @ Affine.scale(1, -1), nodata=(slice(10, 20), slice(10, 30)))
    values, valid, points = whole(upright_source(stored))  # type: ignore[arg-type]
    assert np.isfinite(values[:, valid]).all()
    # Beside nodata the mean is taken of the valid corners only, at most a pixel off.
    assert np.abs(values[:2] - points)[:, valid].max() < 1.5
    base = stored.grid.mapping.to_px(points.reshape(2, -1).T).reshape(*valid.shape, 2)
    deep = (base[..., 0] > 11) & (base[..., 0] < 29) & (base[..., 1] > 11) & (base[..., 1] < 19)
    assert deep.any()
    assert not valid[deep].any()


def test_integers_are_rounded_and_keep_their_type(write_raster: WriteRaster) -> None:
    path = write_raster(array=np.full((3, 40, 50), 65_535, dtype=np.uint16), transform=Affine.rotation(20) @ Affine.scale(1, -1))
    with open_source(path) as source:
        values, valid, _ = whole(upright_source(source))
    assert values.dtype == np.uint16
    assert (values[:, valid] == 65_535).all()


def test_ground_far_from_the_raster_is_not_read() -> None:
    source = upright_source(ramp(Affine.rotation(45) @ Affine.scale(1, -1)))  # type: ignore[arg-type]
    values, valid = source.read(BANDS, slice(0, 3), slice(0, 3))
    assert values.shape == (3, 3, 3)
    assert not valid.any()


ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)


def on_map(transform: Affine, x: float, y: float, width: float, height: float) -> shapely.Polygon:
    """A box along the map's axes, round a pixel point."""
    cx, cy = transform @ (x, y)
    return shapely.box(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)


def run(path: Path, boxes: gpd.GeoDataFrame, segmenter: EllipseSegmenter, **options: Any) -> SegmentRun:
    return segment_run(path, boxes, SegmentOptions(**options), segmenter=segmenter)  # type: ignore[arg-type]


@pytest.mark.parametrize("with_gcps", [False, True])
def test_a_box_on_the_map_is_prompt_as_it_is_on_a_rotated_raster(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter, with_gcps: bool
) -> None:
    path = write_raster(transform=ROTATED)
    if with_gcps:
        gcps = [GroundControlPoint(r, c, *(ROTATED @ (c, r))) for r in (0, 60, 120) for c in (0, 80, 160)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = write_raster("gcps.tif", transform=None, crs=None)
        with rasterio.open(path, "r+") as dataset:
            dataset.gcps = (gcps, rasterio.CRS.from_epsg(32633))
    box = on_map(ROTATED, 80, 60, 20, 12)
    result = run(path, gpd.GeoDataFrame(geometry=[box], crs="EPSG:32633"), ellipse_segmenter)
    assert result.axes == result.record["axes"] == "map"
    outline = result.result.geometry.iloc[0]
    assert outline.bounds == pytest.approx(box.bounds, abs=0.02)
    assert outline.area == pytest.approx(np.pi * 10 * 6, rel=0.005)
    loose = run(path, gpd.GeoDataFrame(geometry=[box], crs="EPSG:32633"), ellipse_segmenter, axes="raster")
    assert loose.axes == "raster"
    assert loose.result.geometry.iloc[0].area > 1.5 * outline.area


def test_boxes_along_the_raster_stay_along_the_raster(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    path = write_raster(transform=ROTATED)
    boxes = [(20, 20, 60, 50), (70, 40, 130, 100)]
    by_map = run(path, px_boxes(boxes, ROTATED, "EPSG:32633"), ellipse_segmenter)
    in_pixels = gpd.GeoDataFrame(geometry=[shapely.box(*b) for b in boxes])
    by_pixel = run(path, in_pixels, ellipse_segmenter, boxes_crs="pixel")
    assert by_map.axes == by_pixel.axes == "raster"
    np.testing.assert_allclose(by_map.boxes_px.xyxy, boxes)
    assert [g.wkb for g in by_map.result.geometry] == [g.wkb for g in by_pixel.result.geometry]
    turned = run(path, in_pixels, ellipse_segmenter, boxes_crs="pixel", axes="map")
    assert turned.axes == "map"
    assert turned.result.geometry.iloc[0].area > 1.2 * by_pixel.result.geometry.iloc[0].area


def test_what_follows_the_raster_s_pixels_is_not_resampled(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    from rosgeo.geometry.windows import CropPolicy
    from rosgeo.vector.polygonize import OutlineOptions

    path = write_raster(transform=ROTATED)
    box = gpd.GeoDataFrame(geometry=[on_map(ROTATED, 80, 60, 20, 12)], crs="EPSG:32633")
    pixel = run(path, box, ellipse_segmenter, outline=OutlineOptions(outline="pixel"))
    assert pixel.axes == run(path, box, ellipse_segmenter, crop=CropPolicy(mode="paper")).axes == "raster"
    corners = AffineMapping(ROTATED).to_px(shapely.get_coordinates(pixel.result.geometry.iloc[0]))
    np.testing.assert_allclose(corners, np.round(corners), atol=0.01)
    south_up = write_raster("south_up.tif", transform=Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000))
    box = px_boxes([(20, 20, 60, 50)], Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000), "EPSG:32633")
    assert run(south_up, box, ellipse_segmenter, outline=OutlineOptions(outline="pixel")).axes == "map"


def test_a_south_up_raster_gives_the_same_bits_as_the_north_up_one(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter
) -> None:
    array = np.random.default_rng(1).integers(1, 255, (3, 120, 160), dtype=np.uint8)
    north = write_raster("north.tif", array=array)
    south = write_raster("south.tif", array=array[:, ::-1], transform=Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000 - 60))
    boxes = px_boxes([(20.3, 20, 60, 50.7), (90, 70, 120, 119), (-5, -5, 20, 20)], NORTH_UP, "EPSG:32633")
    a, b = run(north, boxes, ellipse_segmenter), run(south, boxes, ellipse_segmenter)
    np.testing.assert_array_equal(a.boxes_px.xyxy, b.boxes_px.xyxy)
    assert [g.wkb for g in a.result.geometry] == [g.wkb for g in b.result.geometry]


def test_a_clip_of_a_rotated_raster_gives_the_same_crops(write_raster: WriteRaster) -> None:
    path = write_raster(transform=ROTATED)
    with rasterio.open(path) as scene:
        window = Window(31, 17, 110, 90)
        transform = scene.transform @ Affine.translation(31, 17)
        clip = write_raster("clip.tif", array=scene.read(window=window), transform=transform)
    with open_source(path) as a, open_source(clip) as b:
        scene_up, clip_up = upright_source(a), upright_source(b)
        shift = scene_up.grid.mapping.to_px(clip_up.grid.mapping.to_map(np.array([[0.0, 0.0]])))[0]
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-6)
        dx, dy = np.round(shift).astype(int)
        height, width = clip_up.grid.shape
        wanted, _ = scene_up.read(BANDS, slice(dy, dy + height), slice(dx, dx + width))
        found, valid = clip_up.read(BANDS, slice(0, height), slice(0, width))
    # Away from the clip's edge, where it has no neighbours to mix in.
    inner = valid & np.roll(valid, 2, 0) & np.roll(valid, -2, 0) & np.roll(valid, 2, 1) & np.roll(valid, -2, 1)
    assert inner.sum() > 5000
    np.testing.assert_array_equal(found[:, inner], wanted[:, inner])


def test_the_preview_of_a_rotated_raster_shows_outlines_where_they_are(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter, tmp_path: Path
) -> None:
    from PIL import Image

    path = write_raster(array=np.full((3, 120, 160), 90, dtype=np.uint8), transform=ROTATED)
    box = gpd.GeoDataFrame(geometry=[on_map(ROTATED, 80, 60, 20, 12)], crs="EPSG:32633")
    result = run(path, box, ellipse_segmenter)
    draw_preview(path, result, tmp_path / "preview.png", bands=None, stretch=StretchRule())
    pixels = np.asarray(Image.open(tmp_path / "preview.png").convert("RGB")).astype(int)
    with open_source(path) as source:
        height, width = upright_source(source).grid.shape
    scale = max(1, min(4, 1000 // max(height, width)))
    assert pixels[: height * scale].shape[1] >= width * scale
    colour = colour_of(result.result["rosgeo_score"].iloc[0])
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    rows, cols = np.nonzero((pixels[: height * scale, : width * scale] == wanted).all(axis=-1))
    assert (cols.min(), rows.min(), cols.max(), rows.max()) == pytest.approx(result.boxes_px.xyxy[0] * scale, abs=2)
