"""Figures and web maps of a result: everything where it is, to the pixel."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rosgeo
import shapely
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from PIL import Image
from pyproj import Transformer
from rosgeo.errors import CRSMismatchError, OptionError
from rosgeo.geometry.mapping import PICTURE_MAPPING
from rosgeo.pictures.scene_picture import SCORE_COLOURS, colour_of, picture_reader, read_picture
from rosgeo.raster.source import open_source

from tests.conftest import NORTH_UP, WriteRaster

SQUARE = (40, 30, 90, 70)
"""Columns and rows of the white square on black ground."""

TRANSFORMS = {
    "north-up": NORTH_UP,
    "south-up": Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000),
    "rotated": Affine.translation(500_000, 4_000_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
}


def square_array(dtype: str = "uint8", shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    array = np.zeros((3, *shape), dtype=dtype)
    array[:, SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = 255
    return array


def square_result(transform: Affine | None, crs: str | None, scores: tuple[float, ...] = (0.9,)) -> gpd.GeoDataFrame:
    corners = [(SQUARE[0], SQUARE[1]), (SQUARE[2], SQUARE[1]), (SQUARE[2], SQUARE[3]), (SQUARE[0], SQUARE[3])]
    polygon = shapely.Polygon([(transform or PICTURE_MAPPING.transform) * corner for corner in corners])
    n = len(scores)
    columns = {
        "rosgeo_id": range(n),
        "rosgeo_status": ["ok"] * n,
        "rosgeo_score": scores,
        "rosgeo_stability": [0.8] * n,
        "rosgeo_area_m2": [500.0] * n,
        "rosgeo_model": ["tiny"] * n,
    }
    return gpd.GeoDataFrame(columns, geometry=[polygon] * n, crs=crs)


def rendered(figure: Any) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


@pytest.mark.parametrize("shape", [(120, 160), (60, 240), (240, 60)])
def test_the_overview_fills_its_figure(shape: tuple[int, int], write_raster: WriteRaster) -> None:
    """No empty paper above and below a wide scene; a high one is as high as the figure."""
    scene = write_raster(array=np.full((3, *shape), 60, dtype=np.uint8))
    figure = rosgeo.plot(square_result(NORTH_UP, "EPSG:32633"), scene, objects=0, whole=True)
    dark = np.abs(rendered(figure) - 60).max(axis=2) < 3
    assert dark.any(axis=1).mean() > 0.75
    assert 2.5 <= figure.get_figheight() <= 8.0


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_outline_of_a_square_lies_on_its_edge_on_the_screen(name: str, write_raster: WriteRaster) -> None:
    transform = TRANSFORMS[name]
    scene = write_raster(array=square_array(), transform=transform)
    result = square_result(transform, "EPSG:32633")
    figure = rosgeo.plot(result, scene, objects=0, whole=True)
    axes = figure.axes[0]
    for line in [c for c in axes.collections if isinstance(c, LineCollection)]:
        line.set_visible(False)
    pixels = rendered(figure)
    ring = shapely.get_coordinates(result.geometry[0])
    centre = axes.transData.transform(ring[:-1].mean(axis=0))
    for corner in ring[:-1]:
        at = axes.transData.transform(corner)
        for share, expected in ((0.98, 255), (1.02, 0)):
            x, y = centre + (at - centre) * share
            assert pixels[int(pixels.shape[0] - y), int(x)].tolist() == [expected] * 3, (corner, share)
    # The drawn lines are the ring itself.
    drawn = next(c for c in axes.collections if isinstance(c, LineCollection)).get_segments()[0]
    np.testing.assert_allclose(drawn, ring)


def test_known_display_coordinates(write_raster: WriteRaster) -> None:
    """The axes hold the raster from edge to edge, so the square's corner is at its share of the axes' box."""
    scene = write_raster(array=square_array())
    figure = rosgeo.plot(square_result(NORTH_UP, "EPSG:32633"), scene, objects=0, whole=True)
    rendered(figure)
    axes = figure.axes[0]
    box = axes.get_window_extent()
    x, y = axes.transData.transform(NORTH_UP * (SQUARE[0], SQUARE[1]))
    assert (x - box.x0) / box.width == pytest.approx(SQUARE[0] / 160, abs=1e-9)
    assert (box.y1 - y) / box.height == pytest.approx(SQUARE[1] / 120, abs=1e-9)
    assert axes.get_xlim() == (500_000, 500_080)
    assert axes.get_ylim() == (3_999_940, 4_000_000)


def test_without_georeferencing_the_axes_are_those_of_qgis(write_raster: WriteRaster) -> None:
    scene = write_raster(array=square_array(), transform=None, crs=None)
    axes = rosgeo.plot(square_result(None, None), scene, objects=0, whole=True).axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 160), (-120, 0))


def test_the_sheet_has_the_worst_first_in_the_colour_of_their_score(write_raster: WriteRaster) -> None:
    scene = write_raster(array=square_array())
    result = square_result(NORTH_UP, "EPSG:32633", (0.9, 0.3, float("nan"), 0.96))
    result.loc[2, "geometry"] = None
    boxes = result[["geometry"]].copy()
    boxes["geometry"] = square_result(NORTH_UP, "EPSG:32633").geometry[0].buffer(3)
    figure = rosgeo.plot(result, scene, boxes=boxes, objects=3)
    assert [a.get_title() for a in figure.axes[1:]] == ["2: nan", "1: 0.30", "0: 0.90"]
    lines = [c for c in figure.axes[2].collections if isinstance(c, LineCollection)]
    assert [to_hex(c.get_colors()[0]) for c in lines] == ["#40c8ff", colour_of(0.3)]
    assert lines[0].get_linestyle()[0][1] is not None  # dashed
    assert lines[1].get_linestyle()[0][1] is None
    without = rosgeo.plot(result, scene, objects=9)
    assert [a.get_title() for a in without.axes[1:]] == ["1: 0.30", "0: 0.90", "3: 0.96"]


def test_a_result_of_another_crs_is_brought_to_the_scene(write_raster: WriteRaster) -> None:
    scene = write_raster(array=square_array())
    result = square_result(NORTH_UP, "EPSG:32633").to_crs(4326)
    axes = rosgeo.plot(result, scene, objects=0).axes[0]
    drawn = next(c for c in axes.collections if isinstance(c, LineCollection)).get_segments()[0]
    np.testing.assert_allclose(drawn[0], NORTH_UP * (SQUARE[0], SQUARE[1]), atol=1e-4)


def test_an_empty_result_is_drawn_too(write_raster: WriteRaster) -> None:
    scene = write_raster(array=square_array())
    assert len(rosgeo.plot(square_result(NORTH_UP, "EPSG:32633").iloc[:0], scene).axes) == 1
    assert "image/png" in rosgeo.view(square_result(NORTH_UP, "EPSG:32633").iloc[:0], scene).get_root().render()


@pytest.mark.parametrize(("around", "side"), [((37.2, 21.9, 96.4, 80.0), 1600), ((30, 20, 130, 110), 40), (None, 1600), (None, 50)])
def test_a_picture_says_where_it_lies(around: Any, side: int, write_raster: WriteRaster) -> None:
    with open_source(write_raster(array=square_array())) as source:
        picture = read_picture(picture_reader(source, None, "auto"), side, None if around is None else np.array(around))
    assert max(picture.valid.shape) <= side
    rows, cols = np.nonzero(picture.rgb[..., 0] > 127)
    low, high = picture.to_px * (cols.min(), rows.min()), picture.to_px * (cols.max() + 1, rows.max() + 1)
    cell = picture.to_px.a
    np.testing.assert_allclose([*low, *high], SQUARE, atol=cell)


def test_a_large_part_is_averaged_over_whole_pixels(write_raster: WriteRaster) -> None:
    array = np.zeros((3, 2600, 2700), dtype=np.uint8)
    array[:, 1000:1200, 600:900] = 200
    with open_source(write_raster(array=array)) as source:
        picture = read_picture(picture_reader(source, None, "auto"), 1000, np.array([1.0, 1.0, 2699.0, 2590.0]))
    rows, cols = np.nonzero(picture.rgb[..., 0] > 100)
    corners = [*(picture.to_px * (cols.min(), rows.min())), *(picture.to_px * (cols.max() + 1, rows.max() + 1))]
    np.testing.assert_allclose(corners, [600, 1000, 900, 1200], atol=picture.to_px.a)
    # Nothing is lost or doubled by the averaging.
    assert picture.rgb[..., 0].sum() * picture.to_px.a**2 == pytest.approx(200 * 200 * 300, rel=1e-3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_web_map_has_the_scene_under_the_outlines(name: str, write_raster: WriteRaster) -> None:
    scene = write_raster(array=square_array(), transform=TRANSFORMS[name])
    result = square_result(TRANSFORMS[name], "EPSG:32633")
    shown = rosgeo.view(result, scene, boxes=result[["geometry"]])
    overlay = next(c for c in shown._children.values() if type(c).__name__ == "ImageOverlay")
    (south, west), (north, east) = overlay.bounds
    rgba = np.asarray(Image.open(BytesIO(_bytes_of(overlay.url))))
    to_mercator = Transformer.from_crs(4326, 3857, always_xy=True)
    left, bottom = to_mercator.transform(west, south)
    right, top = to_mercator.transform(east, north)
    on_mercator = result.to_crs(3857).geometry[0]
    rows, cols = np.nonzero((rgba[..., 0] > 127) & (rgba[..., 3] > 127))
    x = left + (cols + 0.5) * (right - left) / rgba.shape[1]
    y = top - (rows + 0.5) * (top - bottom) / rgba.shape[0]
    inside = shapely.contains_xy(on_mercator, x, y)
    cell_area = (right - left) * (top - bottom) / (rgba.shape[0] * rgba.shape[1])
    assert inside.mean() > 0.96
    assert len(rows) * cell_area == pytest.approx(on_mercator.area, rel=0.05)


def _bytes_of(url: str) -> bytes:
    from base64 import b64decode

    assert url.startswith("data:image/png;base64,")
    return b64decode(url.split(",", 1)[1])


def test_the_web_map_colours_by_score_and_tells_the_columns() -> None:
    result = square_result(NORTH_UP, "EPSG:32633", (0.3, 0.96))
    shown = rosgeo.view(result)
    layer = next(c for c in shown._children.values() if type(c).__name__ == "GeoJson")
    properties = [feature["properties"] for feature in layer.data["features"]]
    assert [p["colour"] for p in properties] == [SCORE_COLOURS[0][2], SCORE_COLOURS[-1][2]]
    html = shown.get_root().render()
    assert all(column in html for column in ("rosgeo_id", "rosgeo_score", "rosgeo_stability", "rosgeo_area_m2", "rosgeo_model"))
    # No background is fetched unless it is asked for.
    assert "tile.openstreetmap" not in html
    assert "tile.openstreetmap" in rosgeo.view(result, tiles="OpenStreetMap").get_root().render()
    json.dumps(layer.data)


def test_explore_works_on_a_result() -> None:
    html = square_result(NORTH_UP, "EPSG:32633", (0.3, 0.96)).explore("rosgeo_score").get_root().render()
    assert "rosgeo_stability" in html


def test_what_has_no_place_on_the_world_is_said(write_raster: WriteRaster) -> None:
    with pytest.raises(CRSMismatchError, match=r"rosgeo\.plot"):
        rosgeo.view(square_result(None, None))
    scene = write_raster(transform=None, crs=None)
    with pytest.raises(CRSMismatchError, match="has no CRS"):
        rosgeo.view(square_result(NORTH_UP, "EPSG:32633"), scene)
    with pytest.raises(OptionError, match="2 rows and the result 1"):
        rosgeo.plot(
            square_result(NORTH_UP, "EPSG:32633"), scene, boxes=square_result(NORTH_UP, "EPSG:32633", (0.1, 0.2))[["geometry"]]
        )


@pytest.mark.parametrize(
    ("missing", "call", "extra"),
    [
        ("matplotlib", "rosgeo.plot(None, None)", "plot"),
        ("folium", "rosgeo.view(None)", "map"),
        ("anywidget", "import rosgeo.interactive.widget", "jupyter"),
    ],
)
def test_a_missing_extra_is_named_in_a_line(missing: str, call: str, extra: str) -> None:
    caught = f"try:\n    {call}\nexcept rosgeo.errors.OptionError as e:\n    print(e)"
    program = f"import sys; sys.modules[{missing!r}] = None\nimport rosgeo, rosgeo.errors\n{caught}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"pip install 'rosgeo[{extra}]'" in result.stdout, result.stderr
    assert result.stdout.count("\n") == 1


def test_colours_of_scores() -> None:
    assert [colour_of(s) for s in (0.0, 0.5, 1.0)] == [SCORE_COLOURS[0][2], SCORE_COLOURS[1][2], SCORE_COLOURS[-1][2]]
    assert colour_of(float("nan")) == "#bbbbbb"
    assert Path(rosgeo.__file__).parent.joinpath("interactive", "widget", "widget.js").is_file()
