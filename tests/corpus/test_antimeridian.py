"""On a raster past 180 degrees: labels, tracks, clicks and results are where they belong, whatever turn they are written in."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from pyproj import CRS
from rosgeo.interactive.session import Session
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.labels import read_labels
from rosgeo.outputs.mask_raster import write_mask_raster
from rosgeo.pictures.preview import draw_preview
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.source import open_source
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.tracks.formats.layer import tracks_from_layer
from rosgeo.tracks.options import ReadOptions

from tests.conftest import EllipseSegmenter
from tests.corpus.layers import BOXES_PX, plain_boxes, write_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path, "past 180")


def elsewhere(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The same boxes a turn before."""
    return frame.set_geometry(frame.geometry.translate(xoff=-360))


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_labels(scene: Path, tmp_path: Path) -> None:
    pyogrio.write_dataframe(elsewhere(plain_boxes("past 180")), tmp_path / "labels.gpkg")
    objects, lost = read_labels(DataSource(kind="raster", raster=str(scene), labels=str(tmp_path / "labels.gpkg")))
    assert lost == {}
    for found, box in zip(objects, BOXES_PX, strict=True):
        np.testing.assert_allclose(np.concatenate([found.rings[0].min(axis=0), found.rings[0].max(axis=0)]), box, atol=1e-3)
        np.testing.assert_allclose(found.box, box, atol=1e-3)


def test_tracks(scene: Path) -> None:
    with open_source(scene) as source:
        grid = source.grid
    frame = elsewhere(plain_boxes("past 180")).assign(frame=0, track_id=[1, 2, 3, 4])
    tracks = tracks_from_layer(frame, "tracks", ReadOptions(grid=grid))
    np.testing.assert_allclose(tracks.xyxy, BOXES_PX, atol=1e-3)
    tracks = tracks_from_layer(frame.set_crs(None, allow_override=True), "tracks", ReadOptions(grid=grid, boxes_crs="raster"))
    np.testing.assert_allclose(tracks.xyxy, BOXES_PX, atol=1e-3)


def test_boxes_and_clicks_of_a_session(scene: Path, tiny_model: Path) -> None:
    x0, y0, x1, y1 = plain_boxes("past 180").geometry[1].bounds
    session = Session(scene, model=tiny_model)
    here = session.box(x0, y0, x1, y1)
    there = session.box(x0 - 360, y0, x1 - 360, y1)
    assert there.place.box_px.tolist() == here.place.box_px.tolist()
    draft = session.point((x0 + x1) / 2 - 360, (y0 + y1) / 2)
    np.testing.assert_allclose(draft.points_map, [[(x0 + x1) / 2, (y0 + y1) / 2]])


def test_outlines_go_out_as_the_format_has_them_and_come_back(scene: Path, tmp_path: Path) -> None:
    segmenter = EllipseSegmenter()
    outputs = [tmp_path / "out.gpkg", tmp_path / "out.geojson"]
    plain = segment_run(scene, plain_boxes("past 180"), SegmentOptions(), output=outputs, segmenter=segmenter).result  # type: ignore[arg-type]
    assert plain.geometry[1].bounds[0] < 180 < plain.geometry[1].bounds[2]
    written = gpd.read_file(outputs[0], layer="masks")
    assert written.geometry[1].equals(plain.geometry[1])
    cut = gpd.read_file(outputs[1])
    assert cut.geometry[1].geom_type == "MultiPolygon"
    assert cut.total_bounds[0] >= -180
    assert cut.total_bounds[2] <= 180
    boxes = cut[["name", "geometry"]]
    again = segment_run(scene, boxes, SegmentOptions(), segmenter=segmenter).result  # type: ignore[arg-type]
    for one, other in zip(plain.geometry, again.geometry, strict=True):
        assert one.intersection(other).area / one.union(other).area > 0.98
    for crs in ("EPSG:3857", "EPSG:4269", "EPSG:32701"):
        moved = segment_run(scene, plain_boxes("past 180"), SegmentOptions(crs=crs), segmenter=segmenter).result  # type: ignore[arg-type]
        assert moved.crs == CRS(crs)
        assert moved.geometry.is_valid.all()
        assert moved.geometry.area.max() < 1.1 * moved.geometry.convex_hull.area.max()
        np.testing.assert_allclose(moved["rosgeo_area_m2"], plain["rosgeo_area_m2"], rtol=1e-6)


def test_what_is_written_beside_the_result_lies_on_the_scene(scene: Path, tmp_path: Path) -> None:
    segmenter = EllipseSegmenter()
    covered = []
    for crs in (None, "EPSG:3857", "EPSG:4269"):
        coco = tmp_path / f"{crs}.json".replace(":", "")
        options = SegmentOptions(crs=crs)
        run = segment_run(scene, plain_boxes("past 180"), options, output=coco, segmenter=segmenter)  # type: ignore[arg-type]
        write_mask_raster(scene, run.result, tmp_path / f"{coco.stem}.tif")
        draw_preview(scene, run, tmp_path / f"{coco.stem}.png", bands=None, stretch=StretchRule())
        with rasterio.open(tmp_path / f"{coco.stem}.tif") as mask:
            covered.append(mask.read(1).sum())
        found = [a["bbox"] for a in json.loads(coco.read_text())["annotations"]]
        np.testing.assert_allclose(np.array(found)[:, :2], BOXES_PX[:, :2], atol=0.5)
    assert covered[0] > 2000
    np.testing.assert_allclose(covered, covered[0], atol=20)
