"""One piece of ground, of which every raster of the corpus is a picture, and a stand-in for a model that sees its objects.

The ground is a function of map coordinates (EPSG:32633), so that a raster of any grid can be made without the code that is tested. Its
objects are ellipses with a soft edge: their outline is where the brightness is half-way, whatever the pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import shapely
import torch
from affine import Affine
from rosgeo.types import Crop, ObjectMask

CRS = "EPSG:32633"
SHAPE = (120, 160)
PIXEL = 0.5
NORTH_UP = Affine(PIXEL, 0, 500_000, 0, -PIXEL, 4_000_000)
AREAS = np.pi * np.array([9 * 6, 7 * 7.5, 8 * 9, 10 * 8])
"""Of the objects, in square metres."""
OBJECTS = np.array([[15, 12, 9, 6], [55, 14, 7, 7.5], [22, 42, 8, 9], [60, 44, 10, 8]], dtype=float)
"""Middle (from the north-west corner, in metres) and half-axes."""
DARK, BRIGHT = 40, 220

Points = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Columns and rows of pixel points to map x and y."""


def brightness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the ground at map points, `DARK` to `BRIGHT`; half-way at the edge of an object."""
    out = np.zeros(np.shape(x))
    for cx, cy, rx, ry in OBJECTS:
        r = np.hypot((x - 500_000 - cx) / rx, (4_000_000 - y - cy) / ry)
        t = np.clip((1.2 - r) / 0.4, 0, 1)
        out = np.maximum(out, t * t * (3 - 2 * t))
    return DARK + (BRIGHT - DARK) * out


def picture(points: Affine | Points = NORTH_UP, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """The ground as 8-bit RGB (3, h, w) on a grid."""
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    if isinstance(points, Affine):
        t = points
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
    else:
        x, y = points(col, row)
    value = brightness(x, y)
    return np.stack([value, 0.8 * value + 10, 0.6 * value + 20]).round().astype(np.uint8)


def boxes() -> gpd.GeoDataFrame:
    """A box round each object, and one far from the ground."""
    shapes = [
        shapely.box(500_000 + cx - 1.2 * rx, 4_000_000 - cy - 1.2 * ry, 500_000 + cx + 1.2 * rx, 4_000_000 - cy + 1.2 * ry)
        for cx, cy, rx, ry in OBJECTS
    ]
    return gpd.GeoDataFrame(
        {"name": [*"abcd", "far"]}, geometry=[*shapes, shapely.box(500_900, 3_999_000, 500_910, 3_999_010)], crs=CRS
    )


def hole(points: Affine = NORTH_UP, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """True (h, w) round the first object, whose box then has no valid pixel."""
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = points.a * col + points.c - 500_000, 4_000_000 - (points.e * row + points.f)
    cx, cy, rx, ry = OBJECTS[0]
    return (np.abs(x - cx) < 1.3 * rx) & (np.abs(y - cy) < 1.3 * ry)


class HalfwaySegmenter:
    """Stands for a model: an object is what is brighter in its box than half-way between the darkest and the brightest there."""

    device = "cpu"
    dtype = torch.float32
    model = SimpleNamespace(name="halfway", kind="rosgeo", adapter=None, path=Path("halfway.safetensors"), sha256="0" * 64)
    input_size = 336

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        for crop in crops:
            side = crop.valid.shape[0]
            grey = crop.image.astype(float).mean(axis=0)
            at = (np.arange(4 * side) + 0.5) / 4 - 0.5
            fine = _along(_along(grey, at).T, at).T
            centres = (np.arange(4 * side) + 0.5) * crop.window.size / (4 * side)
            x_min, y_min, x_max, y_max = crop.box_crop
            inside = ((centres >= y_min) & (centres <= y_max))[:, None] & (centres >= x_min) & (centres <= x_max)
            inside &= np.repeat(np.repeat(crop.valid, 4, 0), 4, 1)
            seen = fine[inside] if inside.any() else np.zeros(1)
            logits = np.where(inside, (fine - (seen.min() + seen.max()) / 2) / 16, -5)
            yield ObjectMask(crop.id, crop.window, logits.astype(np.float32), 0.9, 0.8)


def _along(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of an array at places between their pixels."""
    first = np.clip(np.floor(at), 0, values.shape[1] - 2).astype(int)
    share = np.clip(at - first, 0, 1)
    mixed: np.ndarray = values[:, first] * (1 - share) + values[:, first + 1] * share
    return mixed
