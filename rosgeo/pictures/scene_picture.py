"""The scene as a picture for people: decimated, stretched as for the model, and where it lies; and the colours of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from rosgeo.errors import OptionError
from rosgeo.geometry.boxes import geometries_on
from rosgeo.geometry.crs import known_crs
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.geometry.place import place_geometries
from rosgeo.geometry.windows import MAX_READ_SIDE, decimation_of
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.raster.bands import Band, parse_bands, parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource
from rosgeo.raster.upright import upright_source
from rosgeo.types import BoolArray, CropWindow, FloatArray, RasterGrid, UInt8Array
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.style import SCORE_CLASSES

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = [
    "SCORE_COLOURS",
    "ScenePicture",
    "boxes_in",
    "boxes_on",
    "colour_of",
    "has_crs",
    "on_grid",
    "picture_reader",
    "picture_transform",
    "read_picture",
]

SCORE_COLOURS = tuple(
    (low, high, "#" + "".join(f"{int(part):02x}" for part in colour.split(","))) for low, high, colour, _ in SCORE_CLASSES
)
"""Score from (included), to (not included, but for 1), colour ``#rrggbb``: those of the style in QGIS."""

_UNSCORED = "#bbbbbb"

_CLOSE_UP_PX = 4096
"""Windows up to this side are read pixel by pixel and averaged; larger ones are the whole scene, decimated."""


@dataclass(frozen=True)
class ScenePicture:
    """A picture and where it lies.

    Attributes
    ----------
    rgb : uint8 array (h, w, 3)
    valid : bool array (h, w)
        False outside the raster and on nodata.
    to_px : Affine
        Picture (column, row) to the pixel frame of the source that it was read from.
    """

    rgb: UInt8Array
    valid: BoolArray
    to_px: Affine


def colour_of(score: float) -> str:
    """The colour ``#rrggbb`` of a score, 0 to 1; grey for NaN."""
    return next((colour for low, high, colour in SCORE_COLOURS if low <= score < high or score == high == 1.0), _UNSCORED)


def picture_reader(source: RasterSource, bands: str | tuple[Band, ...] | None, stretch: str) -> CropReader:
    """A reader of a scene whose picture can be laid on a map by an affine transform.

    Of the raster itself, but for one that is tied to the map by points: that is seen through its upright grid.
    """
    shown = source if source.grid.mapping.is_affine else upright_source(source)
    if not shown.grid.mapping.is_affine:
        raise OptionError(f"{source.name} folds the ground that it shows; it cannot be laid on a map")
    return open_reader(shown, bands=parse_bands(bands), stretch=parse_stretch(stretch), padding_rgb=PADDING_RGB)


def read_picture(reader: CropReader, max_side: int, around_px: FloatArray | None = None) -> ScenePicture:
    """Read a picture of the scene, or of a part.

    Parameters
    ----------
    reader : CropReader
        See `picture_reader`.
    max_side : int
        Pixels a side of the picture, at most.
    around_px : float64 array (4,), optional
        The part to show, in the pixel frame of the reader's source. None, or a part of more than `_CLOSE_UP_PX` a side: the whole scene.
    """
    height, width = reader.source.grid.shape
    if around_px is not None:
        x0, y0 = np.floor(np.clip(around_px[:2], 0, (width, height)))
        x1, y1 = np.ceil(np.clip(around_px[2:], 0, (width, height)))
        if x1 > x0 and y1 > y0 and max(x1 - x0, y1 - y0) <= _CLOSE_UP_PX:
            return _close_up(reader, (int(x0), int(y0), int(x1), int(y1)), max_side)
    values, by_band = reader.source.read_decimated(reader.bands, max_side)
    rgb = reader.stretch.apply(values).transpose(1, 2, 0)
    scale = Affine.scale(width / rgb.shape[1], height / rgb.shape[0])
    valid: BoolArray = np.logical_or.reduce(by_band)
    return ScenePicture(rgb, valid, scale)


def _close_up(reader: CropReader, box: tuple[int, int, int, int], max_side: int) -> ScenePicture:
    """A part of the scene, averaged over whole pixels."""
    x0, y0, x1, y1 = box
    step = math.ceil(max(x1 - x0, y1 - y0) / max_side)
    if max(x1 - x0, y1 - y0) + step > MAX_READ_SIDE:
        # A reader takes the mean of 2 x 2 pixels of such a crop, so that cells are whole.
        step += step % 2
    cols, rows = math.ceil((x1 - x0) / step), math.ceil((y1 - y0) / step)
    window = CropWindow(x0, y0, max(cols, rows) * step)
    crop = reader.read(window, np.array(box, dtype=np.float64), 0)
    rgb, valid = _averaged(crop.image, crop.valid, step // decimation_of(window))
    return ScenePicture(
        rgb[:rows, :cols],
        valid[:rows, :cols],
        Affine.translation(x0, y0) * Affine.scale(step),
    )


def _averaged(image: UInt8Array, valid: BoolArray, step: int) -> tuple[UInt8Array, BoolArray]:
    cells = len(valid) // step
    rgb = (
        np.round(image.reshape(3, cells, step, cells, step).mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8).transpose(1, 2, 0)
    )
    some: BoolArray = np.logical_or.reduce(valid.reshape(cells, step, cells, step), axis=(1, 3))
    return rgb, some


def picture_transform(grid: RasterGrid) -> Affine:
    """Pixel to map of a grid whose mapping is affine; see `picture_reader`."""
    assert isinstance(grid.mapping, AffineMapping)
    return grid.mapping.transform


def boxes_in(boxes: Any, result: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The layer of prompts of a result, in its CRS; raises OptionError where it has not as many rows."""
    frame = read_boxes(boxes)
    if len(frame) != len(result):
        raise OptionError(
            f"the boxes have {len(frame)} rows and the result {len(result)}; expected the boxes that it was made from"
        )
    return frame.to_crs(result.crs) if has_crs(frame) and has_crs(result) else frame


def has_crs(frame: gpd.GeoDataFrame) -> bool:
    """Whether a layer has a CRS; the undefined ones of a GeoPackage are none."""
    return known_crs(frame.crs) is not None


def on_grid(frame: gpd.GeoDataFrame, grid: RasterGrid) -> Any:
    """Geometries (N,) in the map frame of a grid."""
    return geometries_on(frame.geometry.to_numpy(), frame.crs, grid)


def boxes_on(frame: gpd.GeoDataFrame, source: RasterSource) -> Any:
    """Boxes, geometries (N,) in the map frame of a raster; without CRS it takes them as `rosgeo.segment` does, whatever CRS they have."""
    if source.grid.crs is not None:
        return on_grid(frame, source.grid)
    placed = place_geometries(
        frame.geometry.to_numpy(),
        None,
        source.grid,
        georeferenced=source.georeferenced,
        raster_name=source.name,
        boxes_name="the boxes",
    )
    return placed.to_map(source.grid)
