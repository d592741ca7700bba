"""One test for each defect that a review found, so that none comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import rosgeo
import shapely
from affine import Affine
from click.testing import Result
from PIL import Image
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rosgeo.model.network import ModelConfig, RosSam
from rosgeo.pictures.preview import draw_preview
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.types import CropWindow
from rosgeo.vector.layers.read import read_boxes

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes


def test_a_malformed_ring_is_an_invalid_row(tmp_path: Path, write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter) -> None:
    good = shapely.geometry.mapping(px_boxes([(10, 10, 40, 30)], NORTH_UP, "EPSG:32633").geometry.iloc[0])
    bad = {"type": "Polygon", "coordinates": [[[500010, 3999990], [500020, 3999990]]]}
    features = [{"type": "Feature", "properties": {"n": i}, "geometry": g} for i, g in enumerate([good, bad])]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (tmp_path / "b.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    result = segment_run(write_raster(), tmp_path / "b.geojson", SegmentOptions(), segmenter=ellipse_segmenter).result  # type: ignore[arg-type]
    assert result["rosgeo_status"].tolist() == ["ok", "invalid"]


def test_an_empty_geometry_of_another_kind_is_no_reason_to_refuse() -> None:
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1), shapely.from_wkt("GEOMETRYCOLLECTION EMPTY"), None], crs=32633)
    assert len(read_boxes(frame)) == 3


def test_nodata_of_one_band_is_not_in_that_bands_percentiles(write_raster: WriteRaster) -> None:
    values = np.random.default_rng(0).integers(100, 1000, (3, 60, 60)).astype(np.int16)
    values[0, :15] = -9999
    with open_source(write_raster(array=values, nodata=-9999)) as source:
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
    assert reader.stretch.low is not None
    assert min(reader.stretch.low) > 100


def test_bands_of_different_types(tmp_path: Path, write_raster: WriteRaster) -> None:
    write_raster("a.tif", array=np.full((1, 30, 40), 7, dtype=np.uint8))
    write_raster("b.tif", array=np.arange(1200, dtype=np.uint16).reshape(1, 30, 40))
    band = (
        '<VRTRasterBand dataType="{}" band="{}"><SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    )
    bands = band.format("Byte", 1, "a.tif") + band.format("UInt16", 2, "b.tif") + band.format("Byte", 3, "a.tif")
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{bands}</VRTDataset>')
    with open_source(tmp_path / "mixed.vrt") as source:
        values, valid = source.read((1, 2, 3), slice(0, 30), slice(0, 40))
        assert values.dtype == np.uint16
        assert values[:, -1, -1].tolist() == [7, 1199, 7]
        assert valid.all()
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
        assert reader.read(CropWindow(0, 0, 20), np.array([1.0, 1, 9, 9]), 0).image.shape == (3, 20, 20)


def test_an_array_with_ground_control_points_lies_where_its_file_lies(write_raster: WriteRaster) -> None:
    path = write_raster("gcps.tif", transform=None, crs=None)
    gcps = [GroundControlPoint(r, c, 500_000 + 2 * c, 4_000_000 - 3 * r) for r in (0, 120) for c in (0, 160)]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (gcps, rasterio.CRS.from_epsg(32633))
    points = np.array([[0, 0], [40.5, 30.25]])
    with open_source(path) as file, rioxarray.open_rasterio(path) as array:
        wanted = file.grid.mapping.to_map(points)
        with open_source(array) as source:
            np.testing.assert_allclose(source.grid.mapping.to_map(points), wanted)
            assert source.grid.crs == file.grid.crs


def test_prompts_are_not_rounded_to_half_precision(tiny_config: ModelConfig) -> None:
    import torch

    network = RosSam(tiny_config).eval()
    seen: list[torch.dtype] = []
    network.prompt_encoder.register_forward_hook(lambda m, i, output: seen.append(output[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.zeros(1, 3, 56, 56), torch.tensor([[10.3, 11.7, 40.1, 50.9]]))
    assert seen == [torch.float32]


def test_a_preview_of_a_box_far_larger_than_the_scene(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter, tmp_path: Path
) -> None:
    path = write_raster()
    layer = px_boxes([(-50_000, -50_000, 50_000, 50_000), (10, 10, 60, 50)], NORTH_UP, "EPSG:32633")
    run = segment_run(path, layer, SegmentOptions(), segmenter=ellipse_segmenter)  # type: ignore[arg-type]
    draw_preview(path, run, tmp_path / "p.png", bands=None, stretch=StretchRule())
    with Image.open(tmp_path / "p.png") as picture:
        # Both objects are on the sheet; the first is drawn though its outline has parts or none of its box's corners on the scene.
        assert picture.height > 120 * 4
    assert run.result["rosgeo_status"].tolist() == ["ok", "ok"]


def test_crs_objects_are_taken_and_recorded(write_raster: WriteRaster, tiny_model: Path, tmp_path: Path) -> None:
    layer = px_boxes([(10, 10, 60, 50)], NORTH_UP, None)
    result = rosgeo.segment(
        write_raster(),
        layer,
        model=tiny_model,
        device="cpu",
        boxes_crs=CRS.from_epsg(32633),
        crs=CRS.from_epsg(3857),
        output=tmp_path / "o.gpkg",
    )
    assert result.crs == "EPSG:3857"


def test_the_all_outside_warning_names_the_crs_given_for_the_boxes(
    write_raster: WriteRaster, ellipse_segmenter: EllipseSegmenter
) -> None:
    layer = px_boxes([(10, 10, 60, 50)], Affine(1, 0, 0, 0, 1, 0), None)
    with pytest.warns(rosgeo.errors.NoOverlapWarning, match=r"the GeoDataFrame spans .* \(EPSG:3857"):
        segment_run(write_raster(), layer, SegmentOptions(boxes_crs="EPSG:3857"), segmenter=ellipse_segmenter)  # type: ignore[arg-type]


def test_crumbs_are_dropped_by_default_and_kept_on_demand(write_raster: WriteRaster) -> None:
    from rosgeo.types import ObjectMask
    from rosgeo.vector.polygonize import OutlineOptions, mask_to_polygon

    logits = np.full((40, 40), -2.0, dtype=np.float32)
    logits[10:30, 10:30] = 2
    logits[5, 20] = 2
    logits[20, 20] = -2
    mask = ObjectMask(0, CropWindow(0, 0, 40), logits, 1.0, 1.0)
    box = np.array([4.0, 4, 36, 36])
    default = mask_to_polygon(mask, box, OutlineOptions())
    assert default is not None
    assert default.geom_type == "Polygon"
    assert len(default.interiors) == 0
    everything = mask_to_polygon(mask, box, OutlineOptions(min_area=0))
    assert everything is not None
    assert shapely.get_num_geometries(everything) == 2
    # A mask of nothing but a crumb is still its best guess.
    logits[10:30, 10:30] = -2
    assert mask_to_polygon(mask, box, OutlineOptions()) is not None


def test_demo(cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    result = cli("demo", tmp_path)
    assert result.exit_code == 0, result.output
    assert "19 of 19 buildings" in result.stdout
    assert (tmp_path / "README.md").read_text() == "mine"
    assert len(gpd.read_file(tmp_path / "rio_masks.gpkg", layer="masks")) == 19
    assert (tmp_path / "rio_preview.png").stat().st_size > 100_000
    assert cli("demo", tmp_path / "README.md" / "x").exit_code == 2


def test_the_block_cache_of_gdal_is_bounded(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    import rasterio
    from rasterio.env import getenv

    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    path = write_raster()
    with open_source(path):
        assert getenv()["GDAL_CACHEMAX"] == 64 * 1024**2
    with rasterio.Env(GDAL_CACHEMAX=77_000_000), open_source(path):
        assert getenv()["GDAL_CACHEMAX"] == 77_000_000
