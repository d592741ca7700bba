"""Outlines as a raster on the scene's grid."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from click.testing import Result
from rasterio.control import GroundControlPoint
from rosgeo.errors import OptionError, OutputError
from rosgeo.geometry.mapping import PICTURE_MAPPING, AffineMapping
from rosgeo.outputs.mask_raster import check_mask_raster, write_mask_raster

from tests.conftest import NORTH_UP, WriteRaster, px_boxes, small_files

ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)


def outlines(transform: Affine = NORTH_UP, crs: str | None = "EPSG:32633") -> gpd.GeoDataFrame:
    """Two overlapping discs over several blocks, one far away, and two rows without outline."""
    frame = px_boxes([(0, 0, 1, 1)] * 5, transform, crs)
    discs = [shapely.Point(60, 50).buffer(40), shapely.Point(100, 70).buffer(30), shapely.Point(5000, 0).buffer(9)]
    to_map = AffineMapping(transform).to_map
    geometry = [shapely.transform(disc, to_map) for disc in discs]
    frame.geometry = [geometry[0], None, geometry[1], geometry[2], shapely.Polygon()]
    return frame.assign(rosgeo_id=np.arange(5))


def wanted(values: str) -> np.ndarray:
    discs = [(shapely.Point(60, 50).buffer(40), 1), (shapely.Point(100, 70).buffer(30), 1 if values == "mask" else 3)]
    return rasterio.features.rasterize(discs, out_shape=(120, 160))


@pytest.mark.parametrize("values", ["mask", "row"])
@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED], ids=["north-up", "rotated"])
def test_blocks_are_one_raster(write_raster: WriteRaster, tmp_path: Path, transform: Affine, values: Any) -> None:
    scene = write_raster(transform=transform)
    write_mask_raster(scene, outlines(transform), tmp_path / "mask.tif", values=values, block=32)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        # A vertex is moved by the last digits of the map's coordinates at most.
        assert (mask.read(1) != wanted(values)).sum() <= 4
        assert mask.dtypes == ({"mask": "uint8", "row": "uint32"}[values],)
        assert (mask.crs.to_epsg(), mask.nodata, mask.shape) == (32633, 0, (120, 160))
        assert mask.transform.almost_equals(transform, 1e-6)
        assert mask.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
        assert mask.descriptions == ({"mask": "1 inside an outline", "row": "rosgeo_id + 1"}[values],)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mask.tif", "scene.tif"]


def test_other_frames(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster()
    in_degrees = outlines().to_crs(4326)
    write_mask_raster(scene, in_degrees, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as mask:
        assert (mask.read(1) != wanted("mask")).mean() < 0.002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = write_raster("plain.tif", transform=None, crs=None)
        gcps = write_raster("gcps.tif", transform=None, crs=None)
        # Bent, so that no affine transform will do.
        points = [
            GroundControlPoint(r, c, 500_000 + c / 2 + 1e-3 * c * c, 4_000_000 - r / 2) for r in (0, 60, 120) for c in (0, 80, 160)
        ]
        with rasterio.open(gcps, "r+") as dataset:
            dataset.gcps = (points, rasterio.CRS.from_epsg(32633))
        write_mask_raster(plain, outlines(PICTURE_MAPPING.transform, None), tmp_path / "b.tif")
        with rasterio.open(tmp_path / "b.tif") as mask:
            np.testing.assert_array_equal(mask.read(1), wanted("mask"))
            assert mask.crs is None
        from rosgeo.raster.source import open_source

        with open_source(gcps) as source:
            frame = outlines(Affine.identity(), None).drop(index=3)
            frame.geometry = [g and shapely.transform(g, source.grid.mapping.to_map) for g in frame.geometry]
            write_mask_raster(gcps, frame.set_crs(32633), tmp_path / "c.tif")
            with open_source(tmp_path / "c.tif") as written:
                px = np.array([[3.0, 4], [100, 50], [159, 119]])
                np.testing.assert_allclose(written.grid.mapping.to_map(px), source.grid.mapping.to_map(px), atol=0.01)
        with rasterio.open(tmp_path / "c.tif") as mask:
            assert (mask.read(1) != wanted("mask")).sum() <= 4
    write_mask_raster(scene, outlines().iloc[:0], tmp_path / "none.tif")
    with rasterio.open(tmp_path / "none.tif") as mask:
        assert not mask.read(1).any()


def test_what_cannot_be_written(write_raster: WriteRaster, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected mask or row"):
        write_mask_raster(write_raster(), outlines(), tmp_path / "a.tif", values="both")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match=r"a mask raster is a \.tif file"):
        check_mask_raster(tmp_path / "a.png", overwrite=False)
    (tmp_path / "old.tif").touch()
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        check_mask_raster(tmp_path / "old.tif", overwrite=False)


def test_the_command_writes_it(site: Any, cli: Callable[..., Result], tmp_path: Path, tiny_model: Path) -> None:
    px_boxes([(10, 10, 40, 30)], NORTH_UP, "EPSG:32633").to_file(tmp_path / "boxes.gpkg")
    common = ("--model", tiny_model, "--device", "cpu")
    run = cli("segment", "scene.tif", "boxes.gpkg", *common, "--mask-raster", "mask.tif", "--mask-values", "row")
    assert run.exit_code == 0, run.output
    assert "Mask raster: mask.tif" in run.output
    with rasterio.open("mask.tif") as mask:
        assert set(np.unique(mask.read(1))) <= {0, 1}
    again = cli("segment", "scene.tif", "boxes.gpkg", *common, "-o", "other.gpkg", "--mask-raster", "mask.tif")
    assert (again.exit_code, Path("other.gpkg").exists()) == (2, False)


def test_a_full_disk_leaves_what_was_there(write_raster: WriteRaster, tmp_path: Path) -> None:
    """GDAL keeps quiet where the last bytes of a COG do not fit."""
    scene = write_raster(array=np.ones((1, 700, 700), dtype=np.uint8))
    rng = np.random.default_rng(0)
    discs = [shapely.Point(x, y).buffer(9) for x, y in rng.uniform(0, 700, (200, 2))]
    frame = gpd.GeoDataFrame(geometry=[shapely.transform(d, AffineMapping(NORTH_UP).to_map) for d in discs], crs="EPSG:32633")
    frame, path = frame.assign(rosgeo_id=np.arange(len(frame))), tmp_path / "mask.tif"
    write_mask_raster(scene, frame, path, values="row")
    before, size = path.read_bytes(), path.stat().st_size
    for limit in (size // 4, size // 2, size - 200, size - 2):
        with small_files(limit), pytest.raises(OutputError, match=r"mask.tif cannot be written: ") as caught:
            write_mask_raster(scene, frame, path, values="row")
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert sorted(p.name for p in tmp_path.iterdir()) == ["mask.tif", "scene.tif"]


def test_the_scene_is_no_output(write_raster: WriteRaster) -> None:
    scene = write_raster()
    before = scene.read_bytes()
    with pytest.raises(OutputError, match=r"scene\.tif is an input"):
        write_mask_raster(scene, gpd.GeoDataFrame({"rosgeo_id": []}, geometry=[], crs="EPSG:32633"), scene)
    assert scene.read_bytes() == before


def test_overviews_and_statistics_of_an_older_file_go_with_it(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, path = write_raster(), tmp_path / "mask.tif"
    stale = [path.with_name(path.name + end) for end in (".ovr", ".msk", ".aux.xml")]
    for file in (path, *stale, path.with_suffix(".qml")):
        file.write_text("old")
    write_mask_raster(scene, gpd.GeoDataFrame({"rosgeo_id": []}, geometry=[], crs="EPSG:32633"), path)
    assert not any(file.exists() for file in stale)
    assert path.with_suffix(".qml").read_text() == "old"
