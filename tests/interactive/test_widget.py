"""The widget: Python's end driven by its messages, the browser's end in a real browser where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image
from rosgeo.interactive.session import Session
from rosgeo.interactive.widget import SessionWidget

from tests.conftest import NORTH_UP, WriteRaster

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium (CI does)")


@pytest.fixture
def make_widget(write_raster: WriteRaster, tiny_model: Path) -> Callable[..., SessionWidget]:
    def make(transform: Affine = NORTH_UP, **options: Any) -> SessionWidget:
        return Session(write_raster(transform=transform), model=tiny_model).widget(**options)

    return make


def message(widget: SessionWidget, **content: Any) -> None:
    """A message as it comes from the browser."""
    widget._handle_custom_msg(content, [])


def test_the_scene_is_sent_with_its_place(make_widget: Callable[..., SessionWidget]) -> None:
    widget = make_widget(max_side=80)
    assert widget.scene["size"] == [160, 120]
    assert widget.scene["place"] == [0, 0, 160, 120]
    picture = Image.open(BytesIO(b64decode(widget.scene["png"].split(",")[1])))
    assert picture.size == (80, 60)
    assert (widget.draft, widget.rows, widget.message) == ({}, [], "")
    assert "export default" in str(widget._esm)


def test_the_scene_is_stretched_as_the_model_sees_it(write_raster: WriteRaster, tiny_model: Path) -> None:
    array = np.linspace(100, 5000, 3 * 120 * 160).reshape(3, 120, 160).astype(np.uint16)
    widget = Session(write_raster(array=array), model=tiny_model, stretch="range:0,10000").widget()
    picture = np.asarray(Image.open(BytesIO(b64decode(widget.scene["png"].split(",")[1]))))
    np.testing.assert_array_equal(picture[..., 0], np.round(array[0] * 255.0 / 10000))


@pytest.mark.parametrize("transform", [NORTH_UP, Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000)])
def test_messages_do_what_the_session_does(transform: Affine, make_widget: Callable[..., SessionWidget], tmp_path: Path) -> None:
    widget = make_widget(transform)
    session = widget.session
    message(widget, action="box", corners=[80, 30, 120, 70])
    assert widget.draft["status"] == "ok"
    ring = np.array(widget.draft["box"])
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([80, 30], [120, 70])
    message(widget, action="point", at=[100.5, 50.5], positive=True)
    message(widget, action="point", at=[90.5, 40.5], positive=False)
    assert widget.draft["points"] == [[100.5, 50.5, True], [90.5, 40.5, False]]
    outline = np.array(widget.draft["rings"][0])
    exterior = shapely.get_rings(shapely.get_parts(session.draft.polygon)[0])[0]
    expected = session.grid.mapping.to_px(shapely.get_coordinates(exterior))
    np.testing.assert_allclose(outline, expected, atol=0.0051)
    message(widget, action="undo")
    assert len(widget.draft["points"]) == 1
    message(widget, action="commit", label="roof")
    assert (widget.draft, widget.message) == ({}, "object 0 committed")
    assert [(row["id"], row["label"], row["status"]) for row in widget.rows] == [(0, "roof", "ok")]
    assert json.loads(json.dumps(widget.rows)) == widget.rows
    widget.path = str(tmp_path / "roofs.gpkg")
    message(widget, action="save")
    assert "1 objects written" in widget.message
    assert gpd.read_file(widget.path)["label"].tolist() == ["roof"]


def test_errors_are_said_and_nothing_is_lost(make_widget: Callable[..., SessionWidget]) -> None:
    widget = make_widget()
    said: list[str] = []
    widget.observe(lambda change: said.append(change["new"]), "message")
    for content, expected in [
        ({"action": "commit"}, "draw a box first"),
        ({"action": "commit"}, "draw a box first"),
        ({"action": "box", "corners": [900, 900, 950, 950]}, "on the raster"),
        ({"action": "point", "at": [1, 1], "positive": True}, "draw a box first"),
        ({"action": "save"}, "nothing to save"),
        ({"action": "fly"}, "no action 'fly'"),
    ]:
        message(widget, **content)
        assert expected in widget.message
    # The same error twice is said twice.
    assert sum("draw a box first" in text for text in said) == 3
    widget._handle_custom_msg("no dictionary", [])
    message(widget, action="box", corners=[80, 30, 120, 70])
    assert widget.message == ""


def test_ground_that_is_looked_at_closely_is_sent_anew(make_widget: Callable[..., SessionWidget]) -> None:
    widget = make_widget(max_side=40)
    message(widget, action="look", corners=[20.2, 30.7, 59.5, 60.1])
    assert widget.detail["place"] == [20, 30, 60, 61]
    picture = Image.open(BytesIO(b64decode(widget.detail["png"].split(",")[1])))
    assert picture.size == (40, 31)


def test_a_session_that_was_changed_elsewhere_is_shown_after_refresh(make_widget: Callable[..., SessionWidget]) -> None:
    widget = make_widget()
    widget.session.box(80, 30, 120, 70, crs="pixel")
    assert widget.draft == {}
    widget.refresh()
    assert widget.draft["status"] == "ok"


def in_browser(
    widget: SessionWidget,
    folder: Path,
    steps: list[dict[str, Any]],
    pixels: list[list[float]] | None = None,
) -> dict[str, Any]:
    """What the browser's end sends and shows when it is used."""
    assert CHROMIUM is not None
    state = {key: getattr(widget, key) for key in ("scene", "detail", "draft", "rows", "message", "path", "height")}
    module = b64encode((Path(__file__).parents[2] / "rosgeo" / "interactive" / "widget" / "widget.js").read_bytes()).decode()
    page = Path(__file__).with_name("widget_page.html").read_text(encoding="utf-8")
    values = {
        "STATE": json.dumps(state),
        "STEPS": json.dumps(steps),
        "PIXELS": json.dumps(pixels or []),
        "MODULE": module,
        "LEAVE": "false",
    }
    for key, value in values.items():
        page = page.replace(f"__{key}__", value)
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=800,760", "--force-device-scale-factor=1",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000"]  # fmt: skip
    ended = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<script id="out"[^>]*>(.+?)</script>', ended.stdout, re.DOTALL)
    assert found, ended.stdout[-2000:] + ended.stderr[-2000:]
    out: dict[str, Any] = json.loads(html.unescape(found.group(1)))
    return out


@needs_browser
def test_the_mouse_draws_boxes_and_clicks_where_it_points(make_widget: Callable[..., SessionWidget], tmp_path: Path) -> None:
    widget = make_widget(height=520)
    # 160 x 120 pixels on a canvas of 800 x 520: 4.333 screen pixels each, with a margin left and right.
    scale, left = 520 / 120, (800 - 160 * 520 / 120) / 2
    steps = [
        {"drag": [left + 80 * scale, 30 * scale, left + 120 * scale, 70 * scale]},
        {"drag": [left + 100 * scale, 50 * scale, left + 100 * scale, 50 * scale], "keys": {"shiftKey": True}},
        {"drag": [left + 90 * scale, 40 * scale, left + 90 * scale, 40 * scale], "keys": {"ctrlKey": True}},
        {"press": "[data-mode=no]"},
        {"drag": [left + 85 * scale, 35 * scale, left + 85 * scale, 35 * scale]},
        {"press": "[data-mode=box]"},
        {"drag": [10, 10, 11, 11]},  # too short for a box
        {"key": "u"},
        {"type": ["label", "roof"]},
        {"key": "Enter"},
        {"type": ["file", "roofs.gpkg"]},
        {"press": "[data-action=save]"},
    ]
    out = in_browser(widget, tmp_path, steps)
    assert [m["action"] for m in out["sent"]] == ["box", "point", "point", "point", "undo", "commit", "save"]
    np.testing.assert_allclose(out["sent"][0]["corners"], [80, 30, 120, 70], atol=0.15)
    np.testing.assert_allclose([m["at"] for m in out["sent"][1:4]], [[100, 50], [90, 40], [85, 35]], atol=0.15)
    assert [m["positive"] for m in out["sent"][1:4]] == [True, False, False]
    assert out["sent"][5] == {"action": "commit", "label": "roof"}
    assert out["path"] == "roofs.gpkg"
    # And what it sends is what Python takes.
    for content in out["sent"][:-1]:
        message(widget, **content)
    assert [row["label"] for row in widget.rows] == ["roof"]


@needs_browser
def test_the_browser_shows_scene_outline_and_table_where_they_are(
    write_raster: WriteRaster, tiny_model: Path, tmp_path: Path
) -> None:
    array = np.zeros((3, 120, 160), dtype=np.uint8)
    array[1, 30:70, 40:90] = 200
    widget = Session(write_raster(array=array), model=tiny_model).widget()
    ring = [[100.0, 80.0], [140.0, 80.0], [140.0, 110.0], [100.0, 110.0]]
    widget.draft = {"rings": [ring], "box": ring, "points": [[120.0, 95.0, True]], "status": "ok", "score": 0.9}
    widget.rows = [
        {"id": 0, "status": "ok", "score": 0.912, "area": 12.3, "colour": "#78e1f5", "label": "<b>roof</b>", "rings": []}
    ]
    scale, left = 520 / 120, (800 - 160 * 520 / 120) / 2

    def screen(x: float, y: float) -> list[float]:
        return [left + x * scale, y * scale]

    out = in_browser(widget, tmp_path, [{"set": ["message", "said"]}], [
        screen(41, 31), screen(89, 69), screen(39, 31), screen(89, 71), screen(100, 95), screen(120, 95), screen(105, 85), [5, 260],
    ])  # fmt: skip
    assert out["canvas"] == [800, 520]
    assert out["pixels"][:4] == [[0, 200, 0], [0, 200, 0], [0, 0, 0], [0, 0, 0]]
    edge, click, within, beside = out["pixels"][4:]
    assert edge[0] > 128
    assert click == [0x2E, 0xE6, 0x6B]
    assert within[0] > 20  # tinted
    assert beside == [0, 0, 0]
    assert out["rows"][1] == ["0", "ok", "0.912", "12.3", "<b>roof</b>"]
    assert out["message"] == "said"


@needs_browser
def test_the_wheel_zooms_about_the_pointer_and_asks_for_a_closer_picture(
    write_raster: WriteRaster, tiny_model: Path, tmp_path: Path
) -> None:
    widget = Session(write_raster(), model=tiny_model).widget(max_side=80)
    scale, left = 520 / 120, (800 - 160 * 520 / 120) / 2
    x, y = left + 100 * scale, 50 * scale
    out = in_browser(widget, tmp_path, [
        {"wheel": [-400, x, y], "wait": 400},
        {"drag": [x, y, x, y], "keys": {"shiftKey": True}},
        {"press": "[data-mode=pan]"},
        {"drag": [x, y, x + 50, y]},
        {"drag": [x + 50, y, x + 50, y], "keys": {"shiftKey": True}},
    ])  # fmt: skip
    look, point = out["sent"][:2]
    assert look["action"] == "look"
    assert look["corners"][2] - look["corners"][0] == pytest.approx(800 / scale / np.e, rel=1e-3)
    np.testing.assert_allclose(point["at"], [100, 50], atol=0.1)
