"""Outlines of a clip come back from their layer, as they were or as a person left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image
from pyproj import CRS
from rosgeo.clips.frames import FrameSequence, open_frames
from rosgeo.clips.georef import Georeference
from rosgeo.errors import CRSMismatchError, TracksError
from rosgeo.geometry.mapping import HomographyMapping
from rosgeo.labelled.sources import DataSource, read_source
from rosgeo.run.options import SegmentOptions
from rosgeo.tracks.sets import write_davis
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines
from rosgeo.video.clip_layer import read_outlines
from rosgeo.video.pipeline import VideoRun, segment_video_run
from rosgeo.video.prepare import VideoOptions, prepare_video

from tests.clip_site import moving_tracks, write_frames
from tests.conftest import EllipseSegmenter

HOMOGRAPHY = HomographyMapping(np.array([[0.5, 0.05, 500_000], [0.02, -0.6, 4_000_000], [1e-9, 2e-9, 1]]))


def run(frames: Any, output: Path, options: SegmentOptions | None = None, **columns: Any) -> VideoRun:
    tracks = moving_tracks(range(10, 13), first_frame=10, **columns)
    return segment_video_run(frames, tracks, options or SegmentOptions(), output=output, segmenter=EllipseSegmenter())


def assert_same(found: ClipOutlines, wanted: ClipOutlines, tolerance: float) -> None:
    assert found.clip == wanted.clip
    assert found.rows.crs is None
    assert list(found.rows.columns) == list(wanted.rows.columns)
    for column in ("frame", "track_id", "category", "rosgeo_status", "rosgeo_score", *BOX_COLUMNS):
        assert found.rows[column].tolist() == wanted.rows[column].tolist()
    for ours, theirs in zip(found.rows.geometry, wanted.rows.geometry, strict=True):
        assert ours.symmetric_difference(theirs).area < tolerance


def test_pixels_come_back(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 3)
    done = run(folder, tmp_path / "out.gpkg", category=["car", "ship"] * 3)
    assert_same(read_outlines(tmp_path / "out.gpkg", done.frames), done.outlines, 1e-6)
    assert_same(read_outlines(done.result, done.frames), done.outlines, 1e-6)
    # On another day.
    later = prepare_video(folder, moving_tracks(range(10, 13), first_frame=10), SegmentOptions(), VideoOptions()).frames
    assert_same(read_outlines(tmp_path / "out.gpkg", later), done.outlines, 1e-6)


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_the_map_comes_back(tmp_path: Path, crs: str | None) -> None:
    frames = open_frames(
        write_frames(tmp_path / "clip", 3), georef=Georeference(HOMOGRAPHY, CRS.from_epsg(32633), "homography.json")
    )
    done = run(frames, tmp_path / "out.gpkg", SegmentOptions(crs=crs))
    assert_same(read_outlines(tmp_path / "out.gpkg", done.frames), done.outlines, 0.01)


def corrected_layer(path: Path) -> gpd.GeoDataFrame:
    """Row 1 is another shape, row 2 rejected, row 3 without a shape, and one is drawn: as QGIS leaves them."""
    layer = gpd.read_file(path, layer="masks")
    layer.loc[1, "geometry"] = shapely.box(30, -20, 40, -10)
    layer.loc[[1, 2], "rosgeo_status"] = ["corrected", "rejected"]
    layer.loc[3, "geometry"] = None
    drawn = gpd.GeoDataFrame({"frame": [12], "track_id": [5]}, geometry=[shapely.box(50, -46, 60, -40)], crs=layer.crs)
    layer = pd.concat([layer, drawn], ignore_index=True)
    layer.to_file(path.with_name("corrected.gpkg"), layer="masks")
    return layer


@pytest.mark.filterwarnings("ignore:.*upright rectangles:rosgeo.errors.LabelsWarning")
def test_corrections_become_labels(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 3)
    done = run(folder, tmp_path / "out.gpkg")
    corrected_layer(tmp_path / "out.gpkg")
    every = read_outlines(tmp_path / "corrected.gpkg", done.frames)
    assert every.rows["rosgeo_status"].tolist() == ["ok", "corrected", "rejected", "ok", "ok", "ok", "corrected"]
    # The old prompt does not fit the new shape.
    assert every.rows[list(BOX_COLUMNS)].to_numpy()[[1, 6]].tolist() == [[30, 10, 40, 20], [50, 40, 60, 46]]
    assert every.rows[list(BOX_COLUMNS)].to_numpy()[0].tolist() == done.outlines.rows[list(BOX_COLUMNS)].to_numpy()[0].tolist()
    written = write_davis(every, tmp_path / "every")
    assert written.masks == 5
    first, last = (np.asarray(Image.open(tmp_path / "every" / "clip" / f"frame_{i:06d}.png")) for i in (0, 2))
    numbers = sorted(set(np.unique(first)) - {0})
    assert len(numbers) == 2
    assert (first[10:20, 30:40] == numbers[1]).all()
    assert np.unique(last[40:46, 50:60]).tolist() == [np.unique(last).max()]

    hand = read_outlines(tmp_path / "corrected.gpkg", done.frames, where="rosgeo_status = 'corrected' OR rosgeo_status IS NULL")
    write_davis(hand, tmp_path / "hand")
    objects, left_out = read_source(DataSource(kind="frames", path=str(folder), masks=str(tmp_path / "hand" / "clip")))
    assert [(o.image_path.name, o.box_px.tolist()) for o in objects] == [
        ("frame_000000.png", [30, 10, 40, 20]),
        ("frame_000002.png", [50, 40, 60, 46]),
    ]
    assert left_out == {}


def test_no_rows_of_the_clip_are_an_outline(tmp_path: Path) -> None:
    done = run(write_frames(tmp_path / "clip", 3), tmp_path / "out.gpkg")
    none = done.result.assign(geometry=None)
    rows = read_outlines(none, done.frames).rows
    assert len(rows) == 6
    assert rows.geometry.isna().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda layer: layer.drop(columns="track_id"), TracksError, "has no column track_id"),
        (lambda layer: layer.assign(frame=[10, None, 11, 11, 12, 12]), TracksError, "1 rows have no frame (the first is row 1)"),
        (lambda layer: layer.assign(frame=[10, 10, 11, 11, 12, 99]), TracksError, "outlines of frame 99 (1 such frames)"),
        (lambda layer: layer.set_crs(32633, allow_override=True), CRSMismatchError, "is in EPSG:32633, but the frames of"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, change: Any, error: type[Exception], message: str) -> None:
    done = run(write_frames(tmp_path / "clip", 3), tmp_path / "out.gpkg")
    with pytest.raises(error) as caught:
        read_outlines(change(done.result), done.frames)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frames_on_the_map_and_a_layer_in_pixels(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 3)
    run(folder, tmp_path / "out.gpkg")
    on_map: FrameSequence = open_frames(folder, georef=Georeference(HOMOGRAPHY, CRS.from_epsg(32633), "homography.json"))
    with pytest.raises(CRSMismatchError, match=r"is in pixels, but the frames of .* are in EPSG:32633"):
        read_outlines(tmp_path / "out.gpkg", on_map)
