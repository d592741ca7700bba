"""Frames and tracked boxes in, outlines out: each frame as a scene, a row for each row, time told."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from affine import Affine
from pyproj import CRS
from rosgeo.clips.frames import open_frames
from rosgeo.clips.georef import Georeference
from rosgeo.errors import BoxesError, FrameWarning, OptionError, ResumeError, RunInterruptedError
from rosgeo.geometry.mapping import HomographyMapping
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.predict import Segmenter
from rosgeo.model.checkpoint import save_model
from rosgeo.model.network import RosSam
from rosgeo.model.registry import open_model
from rosgeo.run.executors import run_local
from rosgeo.run.journal import journal_path
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines, Tracks
from rosgeo.types import Crop, CropWindow, ObjectMask
from rosgeo.vector.layers.write import read_record
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import RESULT_COLUMNS
from rosgeo.video.pipeline import VideoOptions, VideoRun, segment_video, segment_video_run
from rosgeo.video.propagate import carry_mask

from tests.clip_site import BOX, make_tracks, moving_tracks, picture, write_frames, write_video
from tests.conftest import EllipseSegmenter, WriteRaster
from tests.model.test_checkpoints import BOXES, IMAGE, SIDE, assert_close, small_sam
from tests.model.test_lora import tiny_sam


def run(frames: Any, tracks: Tracks, segmenter: Any = None, video: VideoOptions | None = None, **more: Any) -> VideoRun:
    options = more.pop("options", SegmentOptions())
    return segment_video_run(frames, tracks, options, video, segmenter=segmenter or EllipseSegmenter(), **more)


# ---------------------------------------------------------------- a frame is a scene


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop": CropPolicy(share=3.0)},
        {"crop": CropPolicy(mode="paper", paper_side=64)},
        {"outline": OutlineOptions("pixel")},
    ],
)
def test_a_frame_is_segmented_as_a_scene(tmp_path: Path, tiny_model: Path, dtype: str, options: dict[str, Any]) -> None:
    """The same boxes, crops, model and polygons as of rosgeo segment on the file, with the clip's stretch."""
    folder = write_frames(tmp_path / "clip", 3, dtype=dtype, channels=1)
    tracks = moving_tracks(range(3), tracks=3)
    stretch = "none" if dtype == "uint8" else "range:2000,6000"
    chosen = SegmentOptions(stretch=stretch, **options)
    segmenter = Segmenter(open_model(str(tiny_model)), device="cpu", precision="float32")
    found = run(folder, tracks, segmenter, options=chosen)
    assert (found.result.rosgeo_status == "ok").any()
    for frame in range(3):
        rows = found.result[found.result.frame == frame]
        boxes = gpd.GeoDataFrame(geometry=shapely.box(*rows[list(BOX_COLUMNS)].to_numpy().T))
        scene = segment_run(folder / f"frame_{frame:06d}.png", boxes, chosen, segmenter=segmenter).result
        for column in ("rosgeo_status", "rosgeo_score", "rosgeo_stability"):
            assert rows[column].tolist() == scene[column].tolist()
        assert [g and g.wkb for g in rows.geometry] == [g and g.wkb for g in scene.geometry]


def test_the_embedded_model_and_a_georeferenced_frame(write_raster: WriteRaster) -> None:
    """Bit for bit, on the map."""
    scene = write_raster()
    boxes = np.array([[30.0, 20, 60, 55], [80, 60, 130, 100]])
    segmenter = Segmenter(open_model("rosgeo-small"), device="cpu", precision="float32")
    found = run(scene, make_tracks([(0, i, tuple(box)) for i, box in enumerate(boxes)]), segmenter).result
    layer = gpd.GeoDataFrame(geometry=shapely.box(*boxes.T))
    alone = segment_run(scene, layer, SegmentOptions(boxes_crs="pixel"), segmenter=segmenter).result
    assert found.crs == alone.crs
    assert [g.wkb for g in found.geometry] == [g.wkb for g in alone.geometry]
    assert found.rosgeo_area_m2.tolist() == alone.rosgeo_area_m2.tolist()


@pytest.mark.parametrize(
    "outline", [OutlineOptions("pixel", simplify=1.0), OutlineOptions(orthogonal=True), OutlineOptions(fill_holes="all")]
)
def test_every_way_of_drawing_outlines(write_raster: WriteRaster, outline: OutlineOptions) -> None:
    """Bit for bit, two boxes that share an edge among them."""
    scene = write_raster()
    boxes = np.array([[30.0, 20, 60, 55], [60, 20, 90, 55], [80, 60, 130, 100]])
    chosen = SegmentOptions(outline=outline, boxes_crs="pixel")
    found = run(scene, make_tracks([(0, i, tuple(box)) for i, box in enumerate(boxes)]), options=chosen).result
    layer = gpd.GeoDataFrame(geometry=shapely.box(*boxes.T))
    alone = segment_run(scene, layer, chosen, segmenter=EllipseSegmenter()).result  # type: ignore[arg-type]
    assert [g.wkb for g in found.geometry] == [g.wkb for g in alone.geometry]


def test_frames_of_a_video_file(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 6)
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(6)), codec="ffv1")
    by_files, by_video = (run(frames, moving_tracks(range(6))) for frames in (folder, path))
    assert [g.wkb for g in by_files.result.geometry] == [g.wkb for g in by_video.result.geometry]
    assert [f.name for f in by_video.frames.clip.frames] == [f"{i:06d}.png" for i in range(1, 7)]


# ---------------------------------------------------------------- rows


def test_one_row_for_each_row_whatever_becomes_of_it(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 4)
    (folder / "frame_000001.png").write_bytes(b"")
    truncated = (folder / "frame_000002.png").read_bytes()
    (folder / "frame_000002.png").write_bytes(truncated[: len(truncated) // 2])
    nan = (np.nan,) * 4
    rows = [
        (3, "a", BOX),
        (0, "a", BOX),
        (0, "b", nan),
        (0, "c", (10, 10, 10, 20)),
        (0, "d", (20, 20, 10, 10)),
        (0, "e", (70, 10, 90, 20)),
        (0, "f", (-5, -5, 8, 8)),
        (0, "g", (np.inf, 0, 1, 1)),
        (9, "a", BOX),
        (1, "a", BOX),
        (1, "b", nan),
        (2, "a", (2, 30, 20, 46)),
        (3, "b", (0, 0, 0.0001, 5)),
    ]
    tracks = make_tracks(rows, note=[f"row {i}" for i in range(len(rows))])
    with pytest.warns(FrameWarning) as warned:
        found = run(folder, tracks)
    expected = [
        "ok",
        "ok",
        "invalid",
        "invalid",
        "invalid",
        "outside",
        "ok",
        "invalid",
        "missing",
        "failed",
        "failed",
        "failed",
        "invalid",
    ]
    assert found.result.rosgeo_status.tolist() == expected
    assert found.result.note.tolist() == [f"row {i}" for i in range(len(rows))]
    assert found.result.rosgeo_id.tolist() == list(range(len(rows)))
    assert [g is not None for g in found.result.geometry] == [s == "ok" for s in expected]
    assert found.outlines.rows.rosgeo_status.tolist() == expected
    # Said once each.
    said = sorted(str(w.message) for w in warned if issubclass(w.category, FrameWarning))
    assert len(said) == 3
    assert said[0].startswith("1 of 13 rows of tracks.csv are of frames that")
    assert "1 of 4 frames cannot be read (frame_000001.png" in said[1]
    assert "frame_000002.png" in said[2]
    assert found.record["counts"] == {"ok": 3, "invalid": 5, "outside": 1, "missing": 1, "failed": 3}


def test_no_row_is_of_a_frame(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 2)
    with pytest.raises(OptionError, match=r"frames 70 to 71, the frames are 0 \(frame_000000\.png\) to 1 .*--first-frame"):
        run(folder, moving_tracks([70, 71]))
    found = run(folder, moving_tracks([70, 71]), video=VideoOptions(first_frame=70))
    assert (found.result.rosgeo_status == "ok").all()
    assert found.record["frames"]["numbers"] == "frames by their place, the first is 70"


def test_no_rows_and_columns_that_clash(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 1)
    with pytest.raises(BoxesError, match="no boxes"):
        run(folder, make_tracks([]))
    for column in ("rosgeo_score", "rosgeo_outlier"):
        with pytest.raises(BoxesError, match=column):
            run(folder, make_tracks([(0, 1, BOX)], **{column: [1]}))


def test_columns(tmp_path: Path) -> None:
    tracks = moving_tracks(range(2), category=["car"] * 4, score=[0.5] * 4)
    result = run(write_frames(tmp_path / "clip", 2), tracks).result
    assert list(result.columns) == [
        *("frame", "track_id", *BOX_COLUMNS, "category", "score", "geometry"),
        *RESULT_COLUMNS,
        "rosgeo_temporal_iou",
        "rosgeo_outlier",
    ]
    pd.testing.assert_frame_equal(pd.DataFrame(result[tracks.table.columns]), tracks.table)


def test_outlines_in_pixels(tmp_path: Path, write_raster: WriteRaster) -> None:
    """For the formats of segmentation sets, wherever the frames lie."""
    bare = run(write_frames(tmp_path / "clip", 2), moving_tracks(range(2), category=["car", None, "car", "ship"]))
    assert isinstance(bare.outlines, ClipOutlines)
    assert bare.outlines.rows.crs is None
    assert list(bare.outlines.rows.columns) == [
        *("frame", "track_id", "category", *BOX_COLUMNS, "rosgeo_status", "rosgeo_score", "geometry")
    ]
    assert bare.outlines.rows.category.tolist() == ["car", "object", "car", "ship"]
    for outline, box in zip(bare.outlines.rows.geometry, bare.outlines.rows[list(BOX_COLUMNS)].to_numpy(), strict=True):
        # The ellipse in its box.
        np.testing.assert_allclose(outline.bounds, box, atol=0.1)
    turned = Affine.translation(500_000, 4_000_000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
    scene = write_raster(transform=turned)
    on_map = run(scene, make_tracks([(0, 1, BOX)]))
    assert on_map.outlines.rows.category.tolist() == ["object"]
    np.testing.assert_allclose(on_map.outlines.rows.geometry[0].bounds, BOX, atol=0.1)
    back = shapely.transform(on_map.outlines.rows.geometry[0], lambda xy: np.array([turned @ tuple(p) for p in xy]))
    assert back.symmetric_difference(on_map.result.geometry[0]).area < 0.01


def test_frames_by_a_homography(tmp_path: Path) -> None:
    mapping = HomographyMapping(np.array([[0.5, 0.05, 500_000], [0.02, -0.6, 4_000_000], [1e-9, 2e-9, 1]]))
    frames = open_frames(write_frames(tmp_path / "clip", 1), georef=Georeference(mapping, CRS.from_epsg(32633), "h.json"))
    found = run(frames, make_tracks([(0, 1, BOX)]))
    assert found.result.crs.to_epsg() == 32633
    expected = shapely.transform(shapely.box(*BOX), mapping.to_map)
    outline = found.result.geometry[0]
    assert outline.within(expected.buffer(0.1))
    assert outline.area / expected.area == pytest.approx(np.pi / 4, rel=0.02)
    assert found.result.rosgeo_area_m2[0] == pytest.approx(outline.area, rel=2e-3)
    degrees = run(frames, make_tracks([(0, 1, BOX)]), options=SegmentOptions(crs="EPSG:4326")).result
    assert degrees.crs.to_epsg() == 4326
    assert degrees.to_crs(32633).geometry[0].symmetric_difference(outline).area < 0.1


# ---------------------------------------------------------------- time


def test_missing_boxes_are_filled(tmp_path: Path) -> None:
    """Rows without a box are filled in their place, frames without a row get one at the end."""
    every = moving_tracks(range(5), tracks=1, kind=[7] * 5)
    table = every.table.drop(index=2).reset_index(drop=True)
    table.loc[1, list(BOX_COLUMNS)] = np.nan
    tracks = replace(every, table=table, lines=every.lines[:4])
    folder = write_frames(tmp_path / "clip", 5)
    plain = run(folder, tracks).result
    assert plain.rosgeo_status.tolist() == ["ok", "invalid", "ok", "ok"]
    assert "rosgeo_interpolated" not in plain
    found = run(folder, tracks, video=VideoOptions(interpolate=2))
    assert found.result.frame.tolist() == [0, 1, 3, 4, 2]
    assert found.result.rosgeo_interpolated.tolist() == [False, True, False, False, True]
    assert found.result.kind.tolist() == [7] * 5
    whole = run(folder, every).result.sort_values("frame")
    filled = found.result.sort_values("frame")
    assert [g.wkb for g in filled.geometry] == [g.wkb for g in whole.geometry]


class OneBad(EllipseSegmenter):
    """The mask of one row fills its whole crop."""

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for mask in super().segment(crops):
            yield replace(mask, logits=np.ones_like(mask.logits)) if mask.id == 8 else mask


def test_an_outlier_is_flagged(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 8)
    result = run(folder, moving_tracks(range(8)), OneBad()).result
    assert result.index[result.rosgeo_outlier].tolist() == [8]
    assert (result.rosgeo_temporal_iou.drop(index=8) > 0.97).all()
    # What the frame's edge cuts is another shape in every frame.
    cut = run(folder, make_tracks([(i, 1, (-8.0 + 2 * i, 10, 4.0 + 2 * i, 20)) for i in range(8)])).result
    assert np.isnan(cut.rosgeo_temporal_iou).tolist() == [True] * 4 + [False] * 4


def temporal(path: Path) -> ElementTree.Element | None:
    with closing(sqlite3.connect(path)) as database:
        ((qml,),) = database.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = 'masks'").fetchall()
    return ElementTree.fromstring(qml.partition("\n")[2]).find("temporal")


def test_a_geopackage_with_times(tmp_path: Path) -> None:
    folder, output = write_frames(tmp_path / "clip", 3), tmp_path / "out.gpkg"
    start = datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
    run(folder, moving_tracks(range(3)), video=VideoOptions(fps=4, start=start), output=output)
    frame = gpd.read_file(output, layer="masks")
    assert frame.time.tolist() == [start + pd.Timedelta(seconds=i / 4) for i in (0, 0, 1, 1, 2, 2)]
    with closing(sqlite3.connect(output)) as database:
        kinds = {name: kind for _, name, kind, *_ in database.execute("PRAGMA table_info(masks)")}
    assert kinds["time"] == "DATETIME"
    element = temporal(output)
    assert element is not None
    assert {k: element.get(k) for k in ("enabled", "mode", "startField", "fixedDuration", "durationUnit")} == {
        "enabled": "1", "mode": "1", "startField": "time", "fixedDuration": "249", "durationUnit": "ms",
    }  # fmt: skip
    record = read_record(output)
    assert record["inputs"] == {"frames": str(folder), "tracks": "tracks.csv", "format": "csv", "origin": "", "georef": None}
    assert record["frames"]["count"] == 3
    assert record["options"]["fps"] == 4


def test_a_geopackage_without_times(tmp_path: Path) -> None:
    """Frames follow each other second by second from 1970 on; there is no column that tells a time nobody knows."""
    output = tmp_path / "out.gpkg"
    run(write_frames(tmp_path / "clip", 2, first=100), moving_tracks([100, 101]), output=output)
    assert "time" not in gpd.read_file(output, layer="masks")
    element = temporal(output)
    assert element is not None
    assert element.get("mode") == "4"
    assert element.get("startExpression") == 'make_datetime(1970,1,1,0,0,0) + make_interval(seconds:="frame" - 100)'
    assert element.get("endExpression") == 'make_datetime(1970,1,1,0,0,0) + make_interval(seconds:="frame" - 99)'


def test_a_scene_has_no_temporal_style(write_raster: WriteRaster, tmp_path: Path) -> None:
    layer = gpd.GeoDataFrame(geometry=[shapely.box(*BOX)])
    options = SegmentOptions(boxes_crs="pixel")
    segment_run(write_raster(), layer, options, output=tmp_path / "out.gpkg", segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    assert temporal(tmp_path / "out.gpkg") is None


def test_tracks_with_a_time_of_their_own_keep_it(tmp_path: Path) -> None:
    folder, start = write_frames(tmp_path / "clip", 1), datetime(2024, 5, 1, tzinfo=UTC)
    tracks = make_tracks([(0, 1, BOX)], Time=["noon"])
    found = run(folder, tracks, video=VideoOptions(fps=1, start=start), output=tmp_path / "out.gpkg").result
    assert found.Time.tolist() == ["noon"]
    assert found.rosgeo_time.tolist() == [start]
    element = temporal(tmp_path / "out.gpkg")
    assert element is not None
    assert element.get("startField") == "rosgeo_time"


# ---------------------------------------------------------------- the run


class Stopping(EllipseSegmenter):
    """Stops after some crops, or counts them."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.seen = after, 0

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for mask in super().segment(crops):
            if self.seen == self.after:
                raise KeyboardInterrupt
            self.seen += 1
            yield mask


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    folder, output, tracks = write_frames(tmp_path / "clip", 12), tmp_path / "out.gpkg", moving_tracks(range(12))
    whole = run(folder, tracks).result
    with pytest.raises(RunInterruptedError, match=r"interrupted with \d+ of 24 objects done; run the same command with --resume"):
        run(folder, tracks, Stopping(15), output=output)
    assert not output.exists()
    with pytest.raises(ResumeError, match="option interpolate"):
        run(folder, tracks, output=output, resume=True, video=VideoOptions(interpolate=1))
    counting = Stopping()
    again = run(folder, tracks, counting, output=output, resume=True).result
    assert counting.seen < 24
    assert [g.wkb for g in again.geometry] == [g.wkb for g in whole.geometry]
    assert not journal_path(output).exists()
    with pytest.raises(RunInterruptedError):
        run(folder, tracks, Stopping(15), output=output, overwrite=True)
    os.utime(folder / "frame_000003.png", (1, 1))
    with pytest.raises(ResumeError, match="files of the frames"):
        run(folder, tracks, output=output, overwrite=True, resume=True)


def test_progress_tells_frames_and_objects(tmp_path: Path) -> None:
    told: list[tuple[int, int, dict[str, int]]] = []
    tracks = make_tracks([(0, 1, BOX), (0, 2, (200, 0, 210, 10)), (1, 1, BOX), (2, 1, (np.nan,) * 4)])
    run(write_frames(tmp_path / "clip", 3), tracks, progress=lambda *a: told.append(a))  # type: ignore[arg-type]
    assert told[0] == (2, 4, {"outside": 1, "invalid": 1, "frames": 1})
    assert told[-1] == (4, 4, {"outside": 1, "invalid": 1, "ok": 2, "frames": 3})


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize("video", [False, True])
def test_on_a_cluster(tmp_path: Path, tiny_model: Path, client: Any, video: bool) -> None:
    frames = write_frames(tmp_path / "clip", 7)
    if video:
        frames = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(7)), codec="ffv1")
    else:
        data = (frames / "frame_000005.png").read_bytes()
        (frames / "frame_000005.png").write_bytes(data[:100])
    tracks = moving_tracks(range(7))
    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    with pytest.warns(FrameWarning) if not video else _nothing():
        here, there = (segment_video_run(frames, tracks, options, client=c).result for c in (None, client))
    assert here.rosgeo_status.tolist() == there.rosgeo_status.tolist()
    assert (here.rosgeo_status == "failed").sum() == (0 if video else 2)
    assert [g and g.wkb for g in here.geometry] == [g and g.wkb for g in there.geometry]


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_the_python_call(tmp_path: Path, tiny_model: Path) -> None:
    folder = write_frames(tmp_path / "clip", 2)
    found = segment_video(folder, moving_tracks(range(2)), model=tiny_model, device="cpu", outline="pixel", fps=2)
    assert len(found) == 4
    with pytest.raises(OptionError, match="outline"):
        segment_video(folder, moving_tracks(range(2)), outline="wavy")


# ---------------------------------------------------------------- the mask before as a prompt


def test_a_mask_prompt_is_segment_anythings(tmp_path: Path) -> None:
    sam = small_sam()
    path = tmp_path / "sam.pth"
    torch.save(sam.state_dict(), path)
    network = open_model(str(path)).network
    masks = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(3)) * 5
    embedding = sam.image_encoder(sam.preprocess(IMAGE.float()))

    def theirs(prompts: torch.Tensor | None) -> torch.Tensor:
        sparse, dense = sam.prompt_encoder(points=None, boxes=BOXES, masks=prompts)
        logits: torch.Tensor = sam.mask_decoder(
            image_embeddings=embedding, image_pe=sam.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=False,
        )[0]  # fmt: skip
        return logits

    encoded = network.encode(IMAGE)
    ours = network.decode(*encoded, BOXES, masks=masks).sam_logits
    assert_close(ours, theirs(masks))
    assert float((ours - theirs(None)).abs().max()) > 0.1
    # One object with and one without a mask, in one batch.
    mixed = masks.clone()
    mixed[1] = torch.nan
    assert_close(network.decode(*encoded, BOXES, masks=mixed).sam_logits, torch.cat([theirs(masks)[:1], theirs(None)[1:]]))


def test_the_segmenter_hands_masks_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(RosSam(tiny_sam()), tmp_path / "sam.safetensors")
    segmenter = Segmenter(open_model(str(tmp_path / "sam.safetensors")), device="cpu", precision="float32", batch_size=2)
    image = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8)
    box = np.array([20.0, 30, 90, 100])
    crop = Crop(0, CropWindow(0, 0, SIDE), box, image, np.ones((SIDE, SIDE), bool))
    prompt = np.random.default_rng(1).normal(0, 5, (256, 256)).astype(np.float32)
    with_mask = replace(crop, id=1, mask_logits=prompt)
    plain, prompted = segmenter.segment([crop, with_mask])
    alone = next(iter(segmenter.segment([crop])))
    np.testing.assert_allclose(plain.logits, alone.logits, atol=1e-4)
    assert np.abs(prompted.logits - plain.logits).max() > 1e-4
    other = replace(crop, image=image.copy(), mask_logits=prompt)
    np.testing.assert_allclose(next(iter(segmenter.segment([other]))).logits, prompted.logits, atol=1e-4)


def test_a_carried_mask_lies_where_the_object_lies() -> None:
    """An ellipse that moves and grows with its box is the ellipse in the next box."""
    segmenter = EllipseSegmenter()

    def ellipse(box: np.ndarray, window: CropWindow) -> ObjectMask:
        valid = np.ones((window.size, window.size), dtype=bool)
        image = np.zeros((3, window.size, window.size), np.uint8)
        return next(iter(segmenter.segment([Crop(0, window, window.px_to_crop(box), image, valid)])))

    before, after = np.array([10.0, 20, 40, 40]), np.array([15.0, 30, 60, 54])
    first = ellipse(before, CropWindow(2, 7, 46))
    window = CropWindow(3, 8, 68)
    carried = carry_mask(first, before, after, window, side=272)
    wanted = ellipse(after, window).logits
    both = carried > -9
    assert both.mean() > 0.8
    # At the edge of the mask's own crop it fades to what lies outside.
    np.testing.assert_allclose(carried[wanted > -2.5], wanted[wanted > -2.5], atol=0.15)
    assert ((carried > 0) != (wanted > 0)).mean() < 0.002


class Prompted(EllipseSegmenter):
    """Keeps the mask prompts that it is given."""

    def __init__(self) -> None:
        self.prompts: dict[int, Any] = {}
        network = type("Network", (), {"takes_masks": True})
        self.model = type(EllipseSegmenter.model)(**vars(EllipseSegmenter.model), network=network)

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for crop in crops:
            self.prompts[crop.id] = crop.mask_logits
            yield from super().segment([crop])


def test_masks_are_handed_from_frame_to_frame(tmp_path: Path) -> None:
    folder, segmenter = write_frames(tmp_path / "clip", 15), Prompted()
    rows = [(0, "a", BOX), (0, "b", (30, 5, 50, 20)), (1, "a", BOX), (3, "a", BOX), (14, "a", BOX), (14, "b", (100, 0, 110, 9))]
    tracks = make_tracks(rows)
    found = run(folder, tracks, segmenter, VideoOptions(propagate=True)).result
    assert [g and g.wkb for g in found.geometry] == [g and g.wkb for g in run(folder, tracks).result.geometry]
    # None before the first frame of a track, nor after a gap of more than ten.
    assert {row: prompt is not None for row, prompt in segmenter.prompts.items()} == {
        0: False,
        1: False,
        2: True,
        3: True,
        4: False,
    }
    assert segmenter.prompts[2].shape == (256, 256)


def test_what_cannot_be_propagated(tmp_path: Path, tiny_model: Path) -> None:
    folder, tracks = write_frames(tmp_path / "clip", 2), moving_tracks(range(2))
    propagate = VideoOptions(propagate=True)
    with pytest.raises(OptionError, match=r"--propagate needs a model that takes a mask .*; tiny takes the box"):
        segment_video_run(folder, tracks, SegmentOptions(model=str(tiny_model), device="cpu"), propagate)
    with pytest.raises(OptionError, match="--workers"):
        run(folder, tracks, video=propagate, client=object())
    with pytest.raises(OptionError, match="--resume"):
        run(folder, tracks, video=propagate, resume=True)


def test_a_sam_model_with_propagation(tmp_path: Path) -> None:
    torch.save(small_sam().state_dict(), tmp_path / "sam.pth")
    options = SegmentOptions(model=str(tmp_path / "sam.pth"), device="cpu", precision="float32")
    folder, tracks = write_frames(tmp_path / "clip", 3), moving_tracks(range(3), tracks=1)
    plain, carried = (segment_video_run(folder, tracks, options, VideoOptions(propagate=p)).result for p in (False, True))
    assert plain.rosgeo_status.tolist() == carried.rosgeo_status.tolist()
    same = (plain.rosgeo_stability == carried.rosgeo_stability).tolist()
    assert same == [True, False, False]


def test_a_video_file_goes_by_place(tmp_path: Path) -> None:
    """Its frames have made-up names from 1, which the tracks' own count from 0 must not be mistaken for."""
    path = write_video(tmp_path / "clip.mkv", (picture(i) for i in range(3)), codec="ffv1")
    found = run(path, make_tracks([(1, 1, BOX), (2, 1, BOX)]))
    assert [f.number for f in found.frames.clip.frames] == [0, 1, 2]
    assert "place" in found.record["frames"]["numbers"]


@pytest.mark.parametrize("first", [None, 11])
def test_a_layer_on_the_map_and_frames_that_fail(tmp_path: Path, write_raster: WriteRaster, first: int | None) -> None:
    """A status a row: of a frame that is missing, one that cannot be read, and under numbers that no file name tells."""
    (tmp_path / "map").mkdir()
    array = np.repeat(picture(0)[None], 3, axis=0)
    for i in (1, 2, 3):
        write_raster(f"map/f{i}.tif", array=array)
    (tmp_path / "map" / "f2.tif").write_bytes(b"")
    start = first or 1
    box = shapely.transform(shapely.box(*BOX), lambda xy: xy * (0.5, -0.5) + (500_000, 4_000_000))
    numbers = [start, start + 1, start + 2, start + 40]
    layer = gpd.GeoDataFrame({"frame": numbers, "track_id": ["a"] * 4}, geometry=[box] * 4, crs="EPSG:32633")
    layer.to_file(tmp_path / "cars.gpkg", layer="cars")
    with pytest.warns(FrameWarning):
        found = run(tmp_path / "map", str(tmp_path / "cars.gpkg"), video=VideoOptions(first_frame=first)).result  # type: ignore[arg-type]
    assert found.rosgeo_status.tolist() == ["ok", "failed", "ok", "missing"]
    np.testing.assert_allclose(found[list(BOX_COLUMNS)].iloc[[0, 2]], [BOX, BOX], atol=1e-2)


def test_pixel_outlines_are_simplified(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 2)
    corners = []
    for simplify in (0.0, 1.5):
        options = SegmentOptions(outline=OutlineOptions(outline="pixel", simplify=simplify))
        found = run(folder, moving_tracks(range(2)), options=options)
        assert (found.result.rosgeo_status == "ok").all()
        corners.append(shapely.get_num_coordinates(found.outlines.rows.geometry.to_numpy()).sum())
    assert corners[1] < corners[0] / 1.3


def test_propagation_keeps_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: Any, **_more: Any) -> None:
        raise AssertionError("a journal was opened")

    folder = write_frames(tmp_path / "clip", 2)
    monkeypatch.setattr("rosgeo.video.pipeline.Journal", refused)
    monkeypatch.setattr("rosgeo.video.pipeline.require_mask_prompts", lambda _segmenter: None)
    monkeypatch.setattr("rosgeo.video.pipeline.run_in_order", lambda tiles, runner, _tracks: run_local(tiles, runner))
    run(folder, moving_tracks(range(2)), video=VideoOptions(propagate=True), output=tmp_path / "o.gpkg")
    assert (tmp_path / "o.gpkg").exists()
