"""The whole line with the embedded model on the demonstration scene: the same outlines however scene and boxes are given."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import rosgeo
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.geometry.windows import CropPolicy, auto_window
from rosgeo.inference.predict import Segmenter, logits_on_crop, stability_of
from rosgeo.model.registry import open_model
from rosgeo.run.pipeline import SegmentOptions, segment_run

from tests.conftest import DATA, EllipseSegmenter, WriteRaster, px_boxes

DEMO = Path(str(files("rosgeo.demo")))
SCENE = DEMO / "rio.tif"
ROWS = [1, 2, 5, 12]


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter(open_model("rosgeo-small"), device="cpu", precision="float32")


@pytest.fixture(scope="session")
def boxes() -> gpd.GeoDataFrame:
    return gpd.read_file(DEMO / "rio_boxes.gpkg").iloc[ROWS].reset_index(drop=True)


Run = Callable[..., gpd.GeoDataFrame]


@pytest.fixture(scope="session")
def run(segmenter: Segmenter) -> Run:
    def segment(scene: object, boxes: gpd.GeoDataFrame, **options: object) -> gpd.GeoDataFrame:
        return segment_run(scene, boxes, SegmentOptions(**options), segmenter=segmenter).result  # type: ignore[arg-type]

    return segment


@pytest.fixture(scope="session")
def plain(run: Run, boxes: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return run(SCENE, boxes)


def ious(a: gpd.GeoDataFrame, b: gpd.GeoDataFrame) -> list[float]:
    """IoU of each row, in the CRS of the first."""
    if b.crs != a.crs and a.crs is not None:
        b = b.to_crs(a.crs)
    return [s.intersection(t).area / s.union(t).area for s, t in zip(a.geometry, b.geometry, strict=True)]


def test_outlines_fit_the_labels_of_the_demonstration_scene(plain: gpd.GeoDataFrame, boxes: gpd.GeoDataFrame) -> None:
    labels = gpd.read_file(DEMO / "rio_labels.gpkg").iloc[ROWS].reset_index(drop=True)
    assert (plain["rosgeo_status"] == "ok").all()
    assert plain.geometry.is_valid.all()
    assert np.mean(ious(plain, labels)) > np.mean(ious(boxes, labels)) + 0.1
    assert np.mean(ious(plain, labels)) > 0.7
    np.testing.assert_allclose(plain["rosgeo_area_m2"], plain.geometry.to_crs("EPSG:32723").area, rtol=2e-3)


def test_golden_outlines(plain: gpd.GeoDataFrame) -> None:
    """Recorded when the weights were landed; an outline that moves by a tenth of a pixel fails."""
    golden = gpd.read_file(DATA / "golden_rio.geojson")
    assert min(ious(plain, golden)) > 0.995


@pytest.mark.parametrize("crs", ["EPSG:32723", "EPSG:32618", "EPSG:3857"])
def test_boxes_of_any_crs_give_the_same_outlines(run: Run, boxes: gpd.GeoDataFrame, plain: gpd.GeoDataFrame, crs: str) -> None:
    # A box is a rectangle in the raster's CRS; in another it is the quadrilateral of the same ground, edges densified.
    dense = boxes.set_geometry(shapely.segmentize(boxes.geometry.to_numpy(), 1e-5)).to_crs(crs)
    result = run(SCENE, dense)
    assert result.crs == plain.crs
    assert min(ious(plain, result)) > 0.99


def test_a_clip_gives_the_same_polygons_bit_for_bit(
    run: Run, boxes: gpd.GeoDataFrame, plain: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    with rasterio.open(SCENE) as scene:
        px = boxes.geometry.bounds.to_numpy()
        windows = []
        for x0, y0, x1, y1 in px:
            (a, b), (c, d) = AffineMapping(scene.transform).to_px(np.array([[x0, y1], [x1, y0]]))
            windows.append(auto_window(np.array([a, b, c, d]), CropPolicy().factor, CropPolicy().min_side))
        # The smallest clip that holds all crops, moved by odd numbers.
        col = max(min(w.col_off for w in windows) - 3, 0)
        row = max(min(w.row_off for w in windows) - 7, 0)
        width = min(max(w.col_off + w.size for w in windows) + 5, scene.width) - col
        height = min(max(w.row_off + w.size for w in windows) + 1, scene.height) - row
        assert all(w.col_off >= 0 and w.row_off >= 0 for w in windows)
        assert width < scene.width
        window = Window(col, row, width, height)
        profile = {**scene.profile, "width": width, "height": height, "transform": scene.window_transform(window)}
        with rasterio.open(tmp_path / "clip.tif", "w", **profile) as clip:
            clip.write(scene.read(window=window))
    result = run(tmp_path / "clip.tif", boxes)
    assert [g.wkb for g in result.geometry] == [g.wkb for g in plain.geometry]
    assert result["rosgeo_score"].tolist() == plain["rosgeo_score"].tolist()


def test_south_up_gcps_and_arrays_give_the_same_outlines(
    run: Run, boxes: gpd.GeoDataFrame, plain: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    with rasterio.open(SCENE) as scene:
        pixels, profile = scene.read(), scene.profile
    t, height = profile["transform"], profile["height"]
    flipped = {**profile, "transform": Affine(t.a, 0, t.c, 0, -t.e, t.f + t.e * height)}
    with rasterio.open(tmp_path / "south_up.tif", "w", **flipped) as out:
        out.write(pixels[:, ::-1])
    assert min(ious(plain, run(tmp_path / "south_up.tif", boxes))) > 0.99

    gcps = [GroundControlPoint(row, col, t.c + col * t.a, t.f + row * t.e) for row in (0, 203, 406) for col in (0, 219, 438)]
    bare = {**profile, "transform": Affine.identity(), "crs": None}
    with rasterio.open(tmp_path / "gcps.tif", "w", **bare) as out:
        out.write(pixels)
        out.gcps = (gcps, profile["crs"])
    assert min(ious(plain, run(tmp_path / "gcps.tif", boxes))) > 0.99

    with rioxarray.open_rasterio(SCENE, chunks={"x": 256, "y": 256}) as array:
        lazy = run(array, boxes)
    assert [g.wkb for g in lazy.geometry] == [g.wkb for g in plain.geometry]


def test_the_python_call_takes_paths_and_open_data_sets(tiny_model: Path, write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster()
    with rasterio.open(path) as dataset:
        layer = px_boxes([(10, 10, 40, 30)], dataset.transform, "EPSG:32633", name=["a"])
        layer.to_file(tmp_path / "boxes.gpkg")
        by_path = rosgeo.segment(path, tmp_path / "boxes.gpkg", model=tiny_model, device="cpu")
        by_value = rosgeo.segment(dataset, layer, model=tiny_model, device="cpu")
        assert not dataset.closed
    assert by_path["rosgeo_score"].tolist() == by_value["rosgeo_score"].tolist()
    assert by_path["name"].tolist() == ["a"]


def test_outlines_stay_on_valid_ground(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    array = np.full((1, 60, 80), 100, dtype=np.uint8)
    array[:, :, 40:] = 0
    path = write_raster(array=array, nodata=0)
    layer = px_boxes(
        [(30, 20, 50, 40), (-10, 5, 10, 15), (-100, -100, 200, 200)], Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), "EPSG:32633"
    )
    result = segment_run(path, layer, SegmentOptions(), segmenter=ellipse_segmenter).result  # type: ignore[arg-type]
    assert (result["rosgeo_status"] == "ok").all()
    valid = shapely.box(500_000, 4_000_000 - 30, 500_000 + 20, 4_000_000)
    for polygon in result.geometry:
        assert polygon.difference(valid.buffer(1e-3)).area < 1e-3
    # Half of the first box is nodata: half of its ellipse is left.
    assert result.geometry.iloc[0].area == pytest.approx(np.pi * 10 * 10 / 2 / 4, rel=0.03)


def test_a_mask_lies_where_its_object_lies(write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    """The centre and area of an ellipse on a rotated, sheared raster, to a hundredth of a pixel."""
    transform = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.shear(8, 0) @ Affine.scale(0.5, -0.7)
    path = write_raster(transform=transform)
    box = shapely.transform(shapely.box(20.25, 30.5, 60.75, 55), lambda p: np.array([transform @ tuple(q) for q in p]))
    result = segment_run(
        path, gpd.GeoDataFrame(geometry=[box], crs="EPSG:32633"), SegmentOptions(), segmenter=ellipse_segmenter
    ).result  # type: ignore[arg-type]
    outline = shapely.transform(result.geometry.iloc[0], lambda p: np.array([~transform @ tuple(q) for q in p]))
    centre = outline.centroid
    assert (centre.x, centre.y) == pytest.approx((40.5, 42.75), abs=0.01)
    assert outline.area == pytest.approx(np.pi * 20.25 * 12.25, rel=0.005)


def test_logits_on_crop() -> None:
    import torch

    ramp = torch.linspace(-2, 2, 8).repeat(8, 1)
    valid = np.ones((3, 3), dtype=bool)
    valid[0] = False
    on_crop = logits_on_crop(ramp, valid)
    assert on_crop.shape == (9, 9)
    assert (on_crop[:3] < 0).all()
    assert (on_crop[3:, 5:] > 0).all()
    assert logits_on_crop(ramp, np.ones((20, 20), dtype=bool)).shape == (20, 20)
    assert stability_of(np.array([[2.0, 0.5], [-0.5, -2.0]], dtype=np.float32)) == pytest.approx(1 / 3)
    assert stability_of(np.full((2, 2), -5, dtype=np.float32)) == 0
