"""A picture of a result: a map of the scene with boxes and outlines, legend and scale bar, and a sheet of the objects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFont

from rosgeo.errors import OutputError
from rosgeo.geometry.boxes import geometries_on
from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.inference.crops import PADDING_RGB, resample_image
from rosgeo.pictures.scale_bar import ScaleBar, ground_of_pixel, scale_bar
from rosgeo.pictures.scene_picture import SCORE_COLOURS, colour_of, read_picture
from rosgeo.raster.bands import Band, StretchRule
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource, open_source
from rosgeo.raster.upright import upright_source
from rosgeo.types import FloatArray
from rosgeo.vector.layers.write import check_output, writing

if TYPE_CHECKING:
    from rosgeo.run.pipeline import SegmentRun

__all__ = ["check_preview", "draw_preview", "worst_first"]

_SCENE_SIDE = 1600
_MOST_ENLARGED, _ENLARGED_SIDE = 4, 1000
"""Small scenes are enlarged, so that outlines of single pixels can be told apart."""
_CELL, _GAP = 200, 2
_MOST_OBJECTS = 64
_LEAST_COLUMNS = 5
"""Of the sheet, where there are as many objects: a narrow scene would have them all below each other."""
_PANEL, _MARGIN, _LINE, _TEXT = 250, 16, 24, 15
"""The legend's width, and its margins, lines and letters, in pixels."""
_SMOOTH = 2
"""Lines are drawn so many times as large and averaged, since Pillow draws them ragged."""
_BOX_COLOUR, _MISSED_COLOUR = "#ffffff", "#ff3cc8"
_BY_HAND = "#6cff6c"
"""Of outlines that a person corrected: white in QGIS, which is the boxes' colour here."""
_CASING = "#141414"
_PAPER, _INK, _SWATCH = "#ffffff", "#202020", "#8a8f88"

_Place = Callable[[FloatArray], FloatArray]
"""Points (n, 2) of the pixel frame to the picture's."""


def check_preview(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> None:
    """Raise OutputError where a preview cannot be written; see `check_output`."""
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise OutputError(f"{path}: a preview is a .png or .jpg file")
    check_output(path, overwrite=overwrite, inputs=inputs)


def draw_preview(scene: Any, run: SegmentRun, path: str | Path, *, bands: tuple[Band, ...] | None, stretch: StretchRule) -> None:
    """Draw a run's scene and objects into one picture.

    Parameters
    ----------
    scene : path, rasterio data set or DataArray
        The scene of the run.
    run : SegmentRun
        The run.
    path : path
        A .png or .jpg file; replaced where it exists.
    bands, stretch
        As for the run.

    Notes
    -----
    The scene is shown along the axes of the prompts, at most 1600 px a side, with outlines in the colours of their scores (those of the
    style in QGIS), boxes, a legend that counts them, and a scale bar. The sheet below shows 64 objects at most, worst first (see
    `worst_first`), each with its row number, its score or status, and a scale bar of its own.
    """
    with open_source(scene, run.reading) as stored:
        source = upright_source(stored) if run.axes == "map" else stored
        reader = open_reader(source, bands=bands, stretch=stretch, padding_rgb=PADDING_RGB, quiet=True)
        outlines = _outlines_px(run, source)
        rows = worst_first(run)
        overview = _overview(reader, run, outlines)
        panel = _panel(run, source, min(len(rows), _MOST_OBJECTS), len(rows), overview)
        width = max(overview.width + panel.width, min(len(rows), _LEAST_COLUMNS) * _CELL)
        sheet = _sheet(reader, run, rows[:_MOST_OBJECTS], outlines, width)
    head = max(overview.height, panel.height)
    picture = Image.new("RGB", (width, head + sheet.height), _PAPER)
    picture.paste(overview, (0, 0))
    picture.paste(panel, (overview.width, 0))
    picture.paste(sheet, (0, head))
    with writing(Path(path)) as partial:
        picture.save(partial)


def worst_first(run: SegmentRun) -> list[int]:
    """Rows that have a box on the raster: first those without an outline, then by score from the lowest, last what a person corrected.

    Rows of one score are in order.
    """
    status = run.result["rosgeo_status"].to_numpy(dtype=object)
    scores = np.nan_to_num(run.result["rosgeo_score"].to_numpy(dtype=np.float64), nan=-1.0)
    scores[status == "corrected"] = 2.0
    scores[np.asarray(run.result.geometry.isna())] = -2.0
    on_raster = ~np.isin(status, ("outside", "invalid"))
    return [int(row) for row in np.argsort(scores, kind="stable") if on_raster[row]]


def _outlines_px(run: SegmentRun, source: RasterSource) -> list[list[FloatArray]]:
    """Rings of each row in the pixel frame; none where there is no polygon."""
    rings = []
    for polygon in geometries_on(run.result.geometry.to_numpy(), run.result.crs, source.grid):
        # By part, since get_rings knows no multipolygons.
        lines = [] if polygon is None else list(shapely.get_rings(shapely.get_parts(polygon)))
        rings.append([source.grid.mapping.to_px(shapely.get_coordinates(line)) for line in lines])
    return rings


def _overview(reader: CropReader, run: SegmentRun, outlines: list[list[FloatArray]]) -> Image.Image:
    height, width = reader.source.grid.shape
    scene = read_picture(reader, _SCENE_SIDE)
    # Nodata as the crops of the sheet show it, and the model.
    pixels = Image.fromarray(np.where(scene.valid[..., None], scene.rgb, np.array(PADDING_RGB, dtype=np.uint8)))
    enlarge = max(1, min(_MOST_ENLARGED, _ENLARGED_SIDE // max(pixels.size)))
    size = (pixels.width * enlarge, pixels.height * enlarge)
    scale = np.array([size[0] / width, size[1] / height])
    marks = [(run.boxes_px.xyxy[row], outlines[row], _colour(run, row)) for row in reversed(worst_first(run))]
    return _drawn(pixels, size, marks, lambda xy: xy * scale)


def _sheet(reader: CropReader, run: SegmentRun, rows: list[int], outlines: list[list[FloatArray]], width: int) -> Image.Image:
    if not rows:
        return Image.new("RGB", (1, 1), _PAPER)
    columns = max(1, width // _CELL)
    cell = width // columns
    sheet = Image.new("RGB", (width, math.ceil(len(rows) / columns) * cell + _GAP), _PAPER)
    for position, row in enumerate(rows):
        picture = _object(reader, run, row, outlines[row], cell - 2 * _GAP)
        sheet.paste(picture, ((position % columns) * cell + _GAP, (position // columns) * cell + _GAP))
    return sheet


def _object(reader: CropReader, run: SegmentRun, row: int, rings: list[FloatArray], side: int) -> Image.Image:
    box = run.boxes_px.xyxy[row]
    shape = reader.source.grid.shape
    window = plan_window(clip_box(box, shape), shape, CropPolicy())
    crop = reader.read(window, box, row)
    pixels = Image.fromarray(resample_image(crop.image, side).transpose(1, 2, 0))
    cell = _drawn(
        pixels, pixels.size, [(box, rings, _colour(run, row))], lambda xy: window.crop_to_model(window.px_to_crop(xy), side)
    )
    draw = ImageDraw.Draw(cell)
    status = str(run.result["rosgeo_status"].iloc[row])
    said = f"{_score(run, row):.2f}" if rings and status == "ok" else status
    draw.text((6, 4), f"{row}  {said}", fill="white", stroke_width=2, stroke_fill=_CASING, font=ImageFont.load_default(_TEXT))
    middle = (box[:2] + box[2:]) / 2
    ground, unit = ground_of_pixel(reader.source.grid, middle)
    _draw_bar(draw, scale_bar(ground * window.size / side, unit, side / 3), (6, side - 8), "white", _CASING)
    return cell


def _score(run: SegmentRun, row: int) -> float:
    return float(run.result["rosgeo_score"].iloc[row])


def _colour(run: SegmentRun, row: int) -> str:
    """Of a row's outline, as in QGIS: by its score, or that of a person's work."""
    return _BY_HAND if run.result["rosgeo_status"].iloc[row] == "corrected" else colour_of(_score(run, row))


def _drawn(
    pixels: Image.Image, size: tuple[int, int], marks: list[tuple[FloatArray, list[FloatArray], str]], place: _Place
) -> Image.Image:
    """Boxes and outlines over a picture that is resized to `size`; the last lie on top."""
    large = pixels.resize((size[0] * _SMOOTH, size[1] * _SMOOTH), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for box, rings, _ in marks:
        if np.isfinite(box).all():
            _frame(draw, place(box.reshape(2, 2)), _BOX_COLOUR if rings else _MISSED_COLOUR)
    for _, rings, colour in marks:
        for ring in rings:
            _line(draw, place(ring), colour, 1.5)
    return large.reduce(_SMOOTH)


def _frame(draw: ImageDraw.ImageDraw, corners: FloatArray, colour: str) -> None:
    """A box with a dark casing, on whole pixels of the picture: between two of them a line is half as bright."""
    (x0, y0), (x1, y1) = np.floor(corners) * _SMOOTH
    for grow, width, ink in ((1, _SMOOTH + 2, _CASING), (0, _SMOOTH, colour)):
        outer = _SMOOTH - 1 + grow
        draw.rectangle((x0 - grow, y0 - grow, x1 + outer, y1 + outer), outline=ink, width=width)


def _line(draw: ImageDraw.ImageDraw, points: FloatArray, colour: str, width: float) -> None:
    """A line with a dark casing, so that it is seen on any ground."""
    # Pillow puts a pixel's centre at whole numbers, rosgeo at halves.
    path = [tuple(p) for p in points * _SMOOTH - 0.5]
    draw.line(path, fill=_CASING, width=round((width + 1.0) * _SMOOTH), joint="curve")
    draw.line(path, fill=colour, width=round(width * _SMOOTH), joint="curve")


def _legend(run: SegmentRun, shown: int, on_raster: int) -> tuple[list[tuple[str | None, str]], list[str]]:
    """Colours and words with counts, and what is said below the scale bar."""
    statuses = run.result["rosgeo_status"].to_numpy(dtype=object)
    without = np.asarray(run.result.geometry.isna())
    colours = [_colour(run, int(row)) for row in np.flatnonzero(~without)]
    count = len(statuses)
    lines: list[tuple[str | None, str]] = [(None, f"{count} box" if count == 1 else f"{count} boxes")]
    lines.append((None, "rosgeo_score of the outlines:"))
    lines += [(colour, f"{low:.2f} to {high:.2f}: {colours.count(colour)}") for low, high, colour in reversed(SCORE_COLOURS)]
    if unscored := colours.count(colour_of(math.nan)):
        lines.append((colour_of(math.nan), f"without a score: {unscored}"))
    if corrected := colours.count(_BY_HAND):
        lines.append((_BY_HAND, f"corrected by hand: {corrected}"))
    lines.append((_BOX_COLOUR, "box"))
    if without.any():
        lines.append((_MISSED_COLOUR, f"box without an outline: {int(without.sum())}"))
        lines += [(None, f"      {word}: {number}") for word, number in Counter(statuses[without]).items()]
    below = [f"Below: the {shown} worst of {on_raster}" if shown < on_raster else "Below: worst scores first"]
    return lines, [*below, "(row from 0, score or status)"] if on_raster else []


def _panel(run: SegmentRun, source: RasterSource, shown: int, on_raster: int, overview: Image.Image) -> Image.Image:
    """Legend with counts, scale bar of the overview, and what the sheet shows."""
    lines, below = _legend(run, shown, on_raster)
    bar_line = len(lines) + 1
    lines += [(None, "")] * 3 + [(None, words) for words in below]
    panel = Image.new("RGB", (_PANEL, _LINE * len(lines) + 2 * _MARGIN), _PAPER)
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(_TEXT)
    for number, (colour, words) in enumerate(lines):
        y = _MARGIN + number * _LINE
        if colour is not None:
            draw.rectangle((_MARGIN, y, _MARGIN + 30, y + _TEXT + 2), fill=_SWATCH)
            draw.line((_MARGIN + 3, y + 9, _MARGIN + 27, y + 9), fill=_CASING, width=5)
            draw.line((_MARGIN + 3, y + 9, _MARGIN + 27, y + 9), fill=colour, width=3)
        draw.text((_MARGIN + (40 if colour is not None else 0), y), words, fill=_INK, font=font)
    height, width = source.grid.shape
    ground, unit = ground_of_pixel(source.grid, np.array([width / 2, height / 2]))
    bar = scale_bar(ground * width / overview.width, unit, _PANEL - 4 * _MARGIN)
    _draw_bar(draw, bar, (_MARGIN, _MARGIN + bar_line * _LINE + _LINE), _INK, _PAPER)
    return panel


def _draw_bar(draw: ImageDraw.ImageDraw, bar: ScaleBar, at: tuple[float, float], colour: str, casing: str) -> None:
    """A scale bar whose left end is at a point, with its words above."""
    x, y = at
    for ink, width in ((casing, 4), (colour, 2)):
        draw.line([(x, y - 5), (x, y), (x + bar.length, y), (x + bar.length, y - 5)], fill=ink, width=width)
    draw.text((x + 3, y - 22), bar.words, fill=colour, stroke_width=2, stroke_fill=casing, font=ImageFont.load_default(_TEXT))
