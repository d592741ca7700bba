"""Masks to polygons: sub-pixel outlines from the logits, or outlines along pixel edges."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import contourpy
import numpy as np
import rasterio.features
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from shapely import MultiPolygon, Polygon

from rosgeo.errors import OptionError
from rosgeo.geometry.mapping import pixel_size_map
from rosgeo.types import CropWindow, Float32Array, FloatArray, ObjectMask, PixelMapping, RasterGrid
from rosgeo.vector.orthogonal import orthogonal

__all__ = ["OutlineOptions", "geodesic_area_m2", "map_precision", "mask_to_polygon", "polygon_to_map", "polygon_to_px"]

AnyPolygon: TypeAlias = Polygon | MultiPolygon

_ORTHOGONAL_LEAST_PX = 1.0

_TRACING = threading.Lock()
"""One tracing at a time: rasterio silences a warning by the filters of the process (`warnings.catch_warnings`), which threads that do so at
once put back in the wrong order; the warning then comes, and is an error where somebody asked for that."""


@dataclass(frozen=True)
class OutlineOptions:
    """How masks become polygons.

    Attributes
    ----------
    outline : {"smooth", "pixel"}
        ``smooth``: the zero level of the logits, with sub-pixel vertices. ``pixel``: along the edges of raster pixels.
    parts : {"all", "largest"}
        Keep every part that touches the box, or the largest of them.
    min_area : float or None
        Smallest part and smallest hole that is kept, in square pixels; None: 1 % of the box, which takes away the crumbs of an unsure
        mask and leaves courtyards.
    simplify : float
        Tolerance in pixels; 0 keeps every vertex. Smooth outlines are simplified one by one (Douglas-Peucker, topology kept), pixel
        outlines together, so that neighbours keep their shared edges (`simplify_neighbours`); below 0.7 px these lose only vertices
        on straight lines.
    fill_holes : float, "all" or None
        Fill every hole, or those smaller than this, in square pixels. None: those that `min_area` takes away.
    orthogonal : bool
        Right angles on the ground, for buildings; see `orthogonal`. Its tolerance is `simplify`, of at least 1 px.
    """

    outline: Literal["smooth", "pixel"] = "smooth"
    parts: Literal["all", "largest"] = "all"
    min_area: float | None = None
    simplify: float = 0.05
    fill_holes: float | Literal["all"] | None = None
    orthogonal: bool = False

    def __post_init__(self) -> None:
        fill_holes = None if self.fill_holes == "all" else self.fill_holes
        for name, value in (("min_area", self.min_area), ("simplify", self.simplify), ("fill_holes", fill_holes)):
            if value is None:
                continue
            if isinstance(value, str) or not 0 <= value < np.inf:
                raise OptionError(f"{name} {value}: expected a number of at least 0{' or all' * (name == 'fill_holes')}")


def mask_to_polygon(
    mask: ObjectMask, box_px: FloatArray, options: OutlineOptions, to_ground: FloatArray | None = None
) -> AnyPolygon | None:
    """The polygon of a mask in the pixel frame.

    Parameters
    ----------
    mask : ObjectMask
        Logits over its window.
    box_px : float64 array (4,)
        The prompt; parts that do not touch it are dropped.
    options : OutlineOptions
        Outline, parts, smallest area, holes, simplification, right angles.
    to_ground : float64 array (2, 2), optional
        For right angles; see `ground_matrix`. Default: pixels lie square on the ground.

    Returns
    -------
    Polygon, MultiPolygon or None
        Valid, holes kept; None where nothing is left.
    """
    if not (mask.logits > 0).any():
        return None
    rough = _smooth_outline(mask.logits, mask.window) if options.outline == "smooth" else _pixel_outline(mask.logits, mask.window)
    simplified = shapely.simplify(rough, options.simplify if options.outline == "smooth" else 0.0)
    prompt = shapely.box(*box_px)
    min_area = 0.01 * prompt.area if options.min_area is None else options.min_area
    touching = [p for p in _polygons(simplified) if p.intersects(prompt)]
    parts = [p for p in touching if p.area > min_area]
    if options.min_area is None and touching and not parts:
        parts = [max(touching, key=lambda p: p.area)]
    if options.parts == "largest" and parts:
        parts = [max(parts, key=lambda p: p.area)]
    parts = _without_holes(parts, min_area, options.fill_holes)
    if not parts:
        return None
    if not options.orthogonal:
        return _joined(parts)
    return orthogonal(_joined(parts), np.eye(2) if to_ground is None else to_ground, max(options.simplify, _ORTHOGONAL_LEAST_PX))


def _without_holes(parts: list[Polygon], min_area: float, fill_holes: float | Literal["all"] | None) -> list[Polygon]:
    """The parts without holes of at most `min_area` or below `fill_holes`, in square pixels."""
    below = np.inf if fill_holes == "all" else max(min_area, fill_holes or 0.0)
    if below <= 0:
        return parts
    filled = [Polygon(p.exterior, [h for h in p.interiors if Polygon(h).area > below]) for p in parts]
    # A part that stood in a hole of another is in it now.
    return filled if below == min_area else _polygons(shapely.union_all(filled))


def _smooth_outline(logits: Float32Array, window: CropWindow) -> Any:
    # A border of cells as far below zero as the mask goes above it closes the outline, at most at the window's edge.
    padded = np.pad(logits.astype(np.float64), 1, constant_values=-float(logits.max()))
    rows, cols = logits.shape
    x = np.arange(-1, cols + 1) + 0.5
    y = np.arange(-1, rows + 1) + 0.5
    generator = contourpy.contour_generator(x, y, padded, fill_type=contourpy.FillType.OuterOffset)
    # OuterOffset: a list of points and a list of ring offsets, a polygon each.
    points, offsets = cast(tuple[list[FloatArray], list[Any]], generator.filled(0.0, np.inf))
    scale = np.array([window.size / cols, window.size / rows])
    polygons = []
    for ring_points, ring_offsets in zip(points, offsets, strict=True):
        rings = [window.crop_to_px(ring_points[a:b] * scale) for a, b in itertools.pairwise(ring_offsets)]
        polygons.append(Polygon(rings[0], rings[1:]))
    return shapely.union_all(shapely.make_valid(np.array(polygons, dtype=object)))


def _pixel_outline(logits: Float32Array, window: CropWindow) -> Any:
    cells = min(window.size, logits.shape[0])
    step = logits.shape[0] // cells
    means = logits.reshape(cells, step, cells, step).mean(axis=(1, 3))
    inside = (means > 0).astype(np.uint8)
    scale = window.size / cells
    transform = Affine(scale, 0, window.col_off, 0, scale, window.row_off)
    with _TRACING:
        shapes = list(rasterio.features.shapes(inside, mask=inside.astype(bool), connectivity=4, transform=transform))
    return shapely.union_all([shapely.geometry.shape(geometry) for geometry, _ in shapes])


def _polygons(geometry: Any) -> list[Polygon]:
    """The polygons in a geometry of any kind, made valid."""
    parts = shapely.get_parts(shapely.make_valid(geometry))
    flat = [p for part in parts for p in shapely.get_parts(part)]
    return [p for p in flat if isinstance(p, Polygon) and p.area > 0]


def _joined(parts: list[Polygon]) -> AnyPolygon:
    joined: AnyPolygon = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return joined


def map_precision(grid: RasterGrid) -> float:
    """Step to which map coordinates are rounded: a power of ten, between 1/1000 and 1/100 of a pixel in the raster's middle.

    A scene and a clip of it write the same vertex as sums of other numbers; rounding takes away the digits in which they differ.
    """
    # Rounded first: for pixels of 0.1 or 0.01 the logarithm is whole but for noise that differs between a scene and a clip.
    return float(10.0 ** np.ceil(np.round(np.log10(pixel_size_map(grid.mapping, grid.shape) * 1e-3), 6)))


def polygon_to_map(polygon: AnyPolygon, grid: RasterGrid, precision: float) -> AnyPolygon | None:
    """A polygon of the pixel frame in the raster's map frame.

    Parameters
    ----------
    polygon : Polygon or MultiPolygon
        In the pixel frame.
    grid : RasterGrid
        The raster.
    precision : float
        See `map_precision`.

    Returns
    -------
    Polygon, MultiPolygon or None
        Valid, outer rings counter-clockwise in (x, y); None where nothing larger than the precision is left.
    """
    moved = shapely.transform(polygon, grid.mapping.to_map)
    rounded = shapely.set_precision(shapely.make_valid(moved), precision)
    parts = [shapely.orient_polygons(p) for p in _polygons(rounded)]
    if not parts:
        return None
    return _joined(parts)


def polygon_to_px(polygon: AnyPolygon, mapping: PixelMapping) -> AnyPolygon | None:
    """A polygon of the map frame in the pixel frame, valid; None where nothing is left of it."""
    moved = shapely.transform(polygon, mapping.to_px)
    if moved.is_valid:
        return moved
    parts = _polygons(moved)
    return _joined(parts) if parts else None


def geodesic_area_m2(polygons: list[AnyPolygon | None], crs: CRS | None) -> FloatArray:
    """Areas on the WGS 84 ellipsoid, float64 (N,) in square metres.

    NaN for None, and for all where there is no CRS or none that leads to WGS 84.
    """
    areas = np.full(len(polygons), np.nan)
    if crs is None:
        return areas
    try:
        transformer = Transformer.from_crs(crs, 4326, always_xy=True)
    except ProjError:
        return areas
    geod = Geod(ellps="WGS84")

    def to_degrees(points: FloatArray) -> FloatArray:
        return np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1)

    for i, polygon in enumerate(polygons):
        if polygon is not None:
            areas[i] = abs(geod.geometry_area_perimeter(shapely.orient_polygons(shapely.transform(polygon, to_degrees)))[0])
    return areas
