"""A picture of a result: the scene with boxes and outlines, and a sheet of the objects."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from PIL import Image, ImageDraw

from rosgeo.errors import OutputError
from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.inference.crops import PADDING_RGB, resample_image
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource, open_source
from rosgeo.raster.upright import upright_source
from rosgeo.types import FloatArray
from rosgeo.vector.write import check_output, writing

if TYPE_CHECKING:
    from rosgeo.pipeline import SegmentRun

__all__ = ["check_preview", "draw_preview"]

_SCENE_SIDE = 1600
_CELL = 200
_COLUMNS = 8
_MOST_OBJECTS = 64
_BOX_COLOUR = (64, 200, 255)
_OUTLINE_COLOUR = (255, 40, 90)


def check_preview(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> None:
    """Raise OutputError where a preview cannot be written; see `check_output`."""
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise OutputError(f"{path}: a preview is a .png or .jpg file")
    check_output(path, overwrite=overwrite, inputs=inputs)


def draw_preview(scene: Any, run: SegmentRun, path: str | Path, *, bands: tuple[int, ...] | None, stretch: StretchRule) -> None:
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
    The scene is shown along the axes of the prompts, at most 1600 px a side; the sheet below shows the first 64 objects that have an
    outline, each with its row number and score.
    """
    with open_source(scene) as stored:
        source = upright_source(stored) if run.axes == "map" else stored
        reader = open_reader(source, bands=bands, stretch=stretch, padding_rgb=PADDING_RGB)
        outlines = _outlines_px(run, source)
        upper = _scene_picture(reader, run.boxes_px.xyxy, outlines)
        lower = _object_sheet(reader, run, outlines)
    width = max(upper.width, lower.width)
    picture = Image.new("RGB", (width, upper.height + lower.height), "white")
    picture.paste(upper, (0, 0))
    picture.paste(lower, (0, upper.height))
    with writing(Path(path)) as partial:
        picture.save(partial)


def _outlines_px(run: SegmentRun, source: RasterSource) -> list[list[FloatArray]]:
    """Rings of each row in the pixel frame; none where there is no polygon."""
    frame = run.result
    if source.grid.crs is not None and frame.crs is not None:
        frame = frame.to_crs(source.grid.crs)
    rings = []
    for polygon in frame.geometry:
        # By part, since get_rings knows no multipolygons.
        lines = [] if polygon is None else list(shapely.get_rings(shapely.get_parts(polygon)))
        rings.append([source.grid.mapping.to_px(shapely.get_coordinates(line)) for line in lines])
    return rings


def _scene_picture(reader: CropReader, boxes: FloatArray, outlines: list[list[FloatArray]]) -> Image.Image:
    height, width = reader.source.grid.shape
    values, _ = reader.source.read_decimated(reader.bands, _SCENE_SIDE)
    pixels = reader.stretch.apply(values).transpose(1, 2, 0)
    # Small scenes are enlarged, so that outlines of single pixels can be told apart.
    enlarge = max(1, min(4, 1000 // max(pixels.shape[:2])))
    picture = Image.fromarray(pixels).resize((pixels.shape[1] * enlarge, pixels.shape[0] * enlarge), Image.Resampling.NEAREST)
    scale = np.array([picture.width / width, picture.height / height])
    draw = ImageDraw.Draw(picture)
    for box, rings in zip(boxes, outlines, strict=True):
        _draw(draw, box, rings, lambda xy: xy * scale, 1)
    return picture


def _object_sheet(reader: CropReader, run: SegmentRun, outlines: list[list[FloatArray]]) -> Image.Image:
    rows = [i for i, rings in enumerate(outlines) if rings][:_MOST_OBJECTS]
    if not rows:
        return Image.new("RGB", (1, 1), "white")
    columns = min(_COLUMNS, len(rows))
    sheet = Image.new("RGB", (columns * _CELL, math.ceil(len(rows) / columns) * _CELL), "white")
    for position, row in enumerate(rows):
        cell = _object_cell(reader, run, row, outlines[row])
        sheet.paste(cell, ((position % columns) * _CELL, (position // columns) * _CELL))
    return sheet


def _object_cell(reader: CropReader, run: SegmentRun, row: int, rings: list[FloatArray]) -> Image.Image:
    box = run.boxes_px.xyxy[row]
    shape = reader.source.grid.shape
    window = plan_window(clip_box(box, shape), shape, CropPolicy())
    crop = reader.read(window, box, row)
    cell = Image.fromarray(resample_image(crop.image, _CELL - 4).transpose(1, 2, 0))
    draw = ImageDraw.Draw(cell)
    _draw(draw, box, rings, lambda xy: window.crop_to_model(window.px_to_crop(xy), cell.width), 2)
    draw.text((4, 2), f"{row}  {run.result['rosgeo_score'].iloc[row]:.2f}", fill="white", stroke_width=1, stroke_fill="black")
    return cell


def _draw(draw: ImageDraw.ImageDraw, box: FloatArray, rings: list[FloatArray], place: Any, width: int) -> None:
    if np.isfinite(box).all():
        corners = place(box.reshape(2, 2)) - 0.5
        draw.rectangle([tuple(corners[0]), tuple(corners[1])], outline=_BOX_COLOUR, width=1)
    for ring in rings:
        # Pillow puts a pixel's centre at whole numbers, rosgeo at halves.
        draw.line([tuple(p) for p in place(ring) - 0.5], fill=_OUTLINE_COLOUR, width=width, joint="curve")
