"""The picture beside a result: lines where the objects are, in the colours of their scores; legend, scale bar, worst first."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rosgeo
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS
from rosgeo.errors import NoOverlapWarning
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.pictures.preview import _legend, draw_preview, worst_first
from rosgeo.pictures.scale_bar import ground_of_pixel, scale_bar
from rosgeo.pictures.scene_picture import colour_of
from rosgeo.raster.bands import StretchRule
from rosgeo.types import ObjectMask, RasterGrid

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

PANEL = 250


class Scores(EllipseSegmenter):
    """The ellipse in each box, with scores in the order of the rows; NaN logits where the score is NaN."""

    def __init__(self, scores: dict[int, float]) -> None:
        self.scores = scores

    def segment(self, crops: Any) -> Any:
        for mask in super().segment(crops):
            score = self.scores[mask.id]
            logits = np.full_like(mask.logits, np.nan) if math.isnan(score) else mask.logits
            yield ObjectMask(mask.id, mask.window, logits, score, 0.8)


BOXES = [(10.0, 10.0, 50.0, 40.0), (80.0, 20.0, 140.0, 100.0), (20.0, 60.0, 60.0, 110.0), (500.0, 500.0, 520.0, 520.0)]


def drawn(write_raster: WriteRaster, tmp_path: Path, scores: dict[int, float], **raster: Any) -> tuple[rosgeo.SegmentRun, Any]:
    array = np.full((3, 120, 160), 90, dtype=np.uint8)
    scene = write_raster(array=array, **raster)
    transform = raster.get("transform", NORTH_UP)
    crs = raster.get("crs", "EPSG:32633")
    boxes = px_boxes(BOXES, transform or Affine.identity(), crs)
    run = rosgeo.segment_run(scene, boxes, rosgeo.SegmentOptions(stretch="range:0,255"), segmenter=Scores(scores))
    draw_preview(scene, run, tmp_path / "out.png", bands=None, stretch=StretchRule())
    return run, np.asarray(Image.open(tmp_path / "out.png").convert("RGB")).astype(int)


def near(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Where a picture has a colour, or nearly."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    found: np.ndarray = np.abs(pixels - rgb).max(axis=-1) <= 12
    return found


def test_outlines_lie_where_their_objects_are_in_the_colour_of_their_score(write_raster: WriteRaster, tmp_path: Path) -> None:
    _, pixels = drawn(write_raster, tmp_path, {0: 0.3, 1: 0.97, 2: 0.9})
    overview = pixels[:480, :640]  # four times the scene
    for (x0, y0, x1, y1), score in zip(BOXES, (0.3, 0.97, 0.9), strict=False):
        rows, cols = np.nonzero(near(overview, colour_of(score)))
        # The ellipse's ends; pixel centres at halves.
        np.testing.assert_allclose((cols.min() + 0.5, cols.max() + 0.5), (4 * x0, 4 * x1), atol=2.0)
        np.testing.assert_allclose((rows.min() + 0.5, rows.max() + 0.5), (4 * y0, 4 * y1), atol=2.0)


def test_a_box_without_an_outline_is_seen_and_comes_first(write_raster: WriteRaster, tmp_path: Path) -> None:
    run, pixels = drawn(write_raster, tmp_path, {0: 0.9, 1: math.nan, 2: 0.4})
    assert run.result["rosgeo_status"].tolist() == ["ok", "failed", "ok", "outside"]
    assert worst_first(run) == [1, 2, 0]
    missed = near(pixels[:480, :640], "#ff3cc8")
    rows, cols = np.nonzero(missed)
    np.testing.assert_allclose((cols.min(), cols.max(), rows.min(), rows.max()), (320, 560, 80, 400), atol=3)
    first, second = pixels[480:, :220], pixels[480:, 225:440]
    assert near(first, "#ff3cc8").any()
    assert not near(second, "#ff3cc8").any()
    assert near(second, colour_of(0.4)).any()


def test_the_legend_counts_by_class_and_the_bar_is_as_long_as_it_says(write_raster: WriteRaster, tmp_path: Path) -> None:
    run, pixels = drawn(write_raster, tmp_path, {0: 0.9, 1: 0.9, 2: 0.4})
    panel = pixels[:480, 640 : 640 + PANEL]
    assert near(panel, colour_of(0.9)).any()
    # A pixel of the picture is a quarter of one of the scene, which is half a metre on the map, a little more on the ground.
    ground = 0.5 / 0.9996 / 4
    bar = scale_bar(ground, "m", PANEL - 64)
    assert bar.words == "20 m"
    lengths = [length for row in near(panel, "#202020") for length in runs(row)]
    assert max(lengths) == pytest.approx(20 / ground, rel=0.02)
    assert len(run.result) == 4


def runs(row: np.ndarray) -> list[int]:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
    return [int(n) for n in edges[1::2] - edges[::2]]


@pytest.mark.parametrize(
    "raster",
    [
        {"transform": None, "crs": None},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 12, 0, -1e-5, 50)},
        {"transform": Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)},
    ],
    ids=["no CRS", "degrees", "rotated"],
)
def test_scenes_of_any_kind(write_raster: WriteRaster, tmp_path: Path, raster: dict[str, Any]) -> None:
    _, pixels = drawn(write_raster, tmp_path, {0: 0.3, 1: 0.97, 2: 0.9}, **raster)
    assert near(pixels[:, :-PANEL], colour_of(0.3)).any()


def test_nothing_on_the_raster(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster()
    boxes = px_boxes([(500.0, 500.0, 520.0, 520.0)], NORTH_UP, "EPSG:32633")
    with pytest.warns(NoOverlapWarning):
        run = rosgeo.segment_run(scene, boxes, rosgeo.SegmentOptions(), segmenter=Scores({}))
    draw_preview(scene, run, tmp_path / "out.png", bands=None, stretch=StretchRule())
    assert Image.open(tmp_path / "out.png").size[0] == 640 + PANEL


def test_more_objects_than_the_sheet_has_room_for(write_raster: WriteRaster, tmp_path: Path) -> None:
    """The worst are those that are shown, wherever their rows are."""
    scene = write_raster(array=np.full((3, 120, 160), 90, dtype=np.uint8))
    boxes = px_boxes([(5.0 + i, 10.0, 35.0 + i, 40.0) for i in range(80)], NORTH_UP, "EPSG:32633")
    scores = {i: 0.4 if i == 79 else 0.97 for i in range(80)}
    run = rosgeo.segment_run(scene, boxes, rosgeo.SegmentOptions(), segmenter=Scores(scores))
    draw_preview(scene, run, tmp_path / "out.png", bands=None, stretch=StretchRule())
    pixels = np.asarray(Image.open(tmp_path / "out.png").convert("RGB")).astype(int)
    width = pixels.shape[1]
    cell = width // (width // 200)
    assert pixels.shape[0] == 480 + math.ceil(64 / (width // cell)) * cell + 2
    assert near(pixels[480 : 480 + cell, :cell], colour_of(0.4)).any()
    assert worst_first(run)[:2] == [79, 0]


def test_boxes_are_as_bright_on_all_sides(write_raster: WriteRaster, tmp_path: Path) -> None:
    """Lines between two pixels would be grey: the legend shows white ones."""
    _, pixels = drawn(write_raster, tmp_path, {0: 0.9, 1: 0.9, 2: 0.9})
    x0, y0, x1, y1 = (round(4 * v) for v in BOXES[0])
    for side in (pixels[y0, x0:x1], pixels[y1, x0:x1], pixels[y0:y1, x0], pixels[y0:y1, x1]):
        assert (near(side, "#ffffff").mean()) > 0.7  # the ellipse touches each in the middle


def test_nodata_is_not_drawn_as_dark_ground(write_raster: WriteRaster, tmp_path: Path) -> None:
    array = np.full((3, 120, 160), 90, dtype=np.uint8)
    array[:, 70:, 70:] = 0
    scene = write_raster(array=array, nodata=0)
    run = rosgeo.segment_run(
        scene, px_boxes(BOXES[:1], NORTH_UP, "EPSG:32633"), rosgeo.SegmentOptions(), segmenter=Scores({0: 0.9})
    )
    draw_preview(scene, run, tmp_path / "out.png", bands=None, stretch=StretchRule())
    pixels = np.asarray(Image.open(tmp_path / "out.png").convert("RGB")).astype(int)
    assert pixels[4 * 100, 4 * 100].tolist() == list(PADDING_RGB)
    assert pixels[4 * 60, 4 * 60].tolist() == [90] * 3


def test_a_narrow_scene_has_its_objects_side_by_side(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster(array=np.full((3, 900, 40), 90, dtype=np.uint8))
    boxes = px_boxes([(5.0, 50.0 * i, 35.0, 50.0 * i + 40) for i in range(12)], NORTH_UP, "EPSG:32633")
    run = rosgeo.segment_run(scene, boxes, rosgeo.SegmentOptions(), segmenter=Scores(dict.fromkeys(range(12), 0.9)))
    draw_preview(scene, run, tmp_path / "out.png", bands=None, stretch=StretchRule())
    width, height = Image.open(tmp_path / "out.png").size
    assert width == 1000
    assert height == 900 + 3 * 200 + 2


def test_the_legend_tells_of_rows_as_they_are(write_raster: WriteRaster, tmp_path: Path) -> None:
    """Rows of a person have an outline and perhaps no score: a colour of their own, behind all others in the sheet."""
    run, _ = drawn(write_raster, tmp_path, {0: 0.9, 1: 0.9, 2: math.nan})
    run.result.loc[0, "rosgeo_status"] = "corrected"
    run.result.loc[0, "rosgeo_score"] = math.nan
    words = [text.strip() for _, text in _legend(run, 3, 3)[0]]
    assert words[0] == "4 boxes"
    assert "0.85 to 0.95: 1" in words
    assert "corrected by hand: 1" in words
    assert worst_first(run) == [2, 1, 0]
    assert words[-3:] == ["box without an outline: 2", "failed: 1", "outside: 1"]
    assert _legend(run, 2, 3)[1][0] == "Below: the 2 worst of 3"


def test_append_draws_all_rows(
    write_raster: WriteRaster, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_raster()
    boxes = px_boxes(BOXES, NORTH_UP, "EPSG:32633")
    boxes[:2].to_file("few.gpkg")
    boxes.to_file("all.gpkg")
    assert cli("segment", "scene.tif", "few.gpkg", "-o", "out.gpkg").exit_code == 0
    result = cli("segment", "scene.tif", "all.gpkg", "-o", "out.gpkg", "--append", "--preview", "out.png")
    assert result.exit_code == 0, result.stderr
    assert len(gpd.read_file("out.gpkg", layer="masks")) == 4
    pixels = np.asarray(Image.open("out.png").convert("RGB")).astype(int)
    cell = pixels.shape[1] // (pixels.shape[1] // 200)
    for column in range(3):  # three objects on the raster
        part = pixels[480 : 480 + cell, column * cell : (column + 1) * cell]
        assert not near(part, "#ffffff").mean() > 0.9, column


# ---------------------------------------------------------------- scale bars


@given(st.floats(1e-6, 1e6), st.floats(10, 2000))
def test_a_bar_is_round_and_fills_at_least_two_fifths_of_its_room(ground: float, longest: float) -> None:
    bar = scale_bar(ground, "m", longest)
    assert 0.4 * longest * (1 - 1e-9) <= bar.length <= longest * (1 + 1e-9)
    number, unit = bar.words.split()
    metres = float(number) * {"cm": 0.01, "m": 1, "km": 1000}[unit]
    assert metres == pytest.approx(bar.length * ground, rel=1e-5)
    mantissa = metres / 10 ** math.floor(math.log10(metres) + 1e-9)
    assert min(abs(mantissa - n) for n in (1, 2, 5)) < 1e-3


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        # At the equator and half-way to the pole: Web Mercator shows the ground twice as large at 60 degrees.
        ("EPSG:3857", Affine(1, 0, 0, 0, -1, 0), 1.0),
        ("EPSG:3857", Affine(1, 0, 0, 0, -1, 8_399_737.9), 0.5 * 1.0025),
        ("EPSG:32633", NORTH_UP, 0.5 / 0.9996),
        ("EPSG:4326", Affine(1e-5, 0, 12, 0, -1e-5, 60), 1.1131949 * 0.5 * 1.0025),
        ("EPSG:32633", Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5), 0.5 / 0.9996),
    ],
)
def test_ground_of_a_pixel(crs: str, transform: Affine, expected: float) -> None:
    grid = RasterGrid(10, 10, AffineMapping(transform), CRS.from_user_input(crs))
    width, unit = ground_of_pixel(grid, np.array([5.0, 0.0]))
    assert unit == "m"
    assert width == pytest.approx(expected, rel=1e-3)


def test_ground_of_a_pixel_that_is_nowhere() -> None:
    assert ground_of_pixel(RasterGrid(10, 10, AffineMapping(Affine.identity())), np.array([5.0, 5.0])) == (1.0, "px")
    far = RasterGrid(10, 10, AffineMapping(Affine(1e9, 0, 1e12, 0, -1e9, 0)), CRS.from_epsg(32633))
    assert ground_of_pixel(far, np.array([5.0, 5.0])) == (1.0, "px")
