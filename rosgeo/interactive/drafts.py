"""One object on a scene, worked on by box and clicks: what is asked of scene and model, and nothing of what happens to it later."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import CRS

from rosgeo.errors import NoOverlapWarning, OptionError, PixelFrameWarning
from rosgeo.geometry.boxes import transform_points
from rosgeo.geometry.crs import parse_crs
from rosgeo.geometry.place import PIXEL_CRS, RASTER_CRS, Placed, place_geometries
from rosgeo.geometry.plan import make_plan
from rosgeo.inference.clicks import click_mask
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.inference.interactive import EncodedCrop, encode_crop, prompt_crop, takes_points
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.source import RasterSource, open_source
from rosgeo.run.options import SegmentOptions, make_options
from rosgeo.run.pipeline import open_segmenter, segment
from rosgeo.run.prompts import Prompts, prompts_of, require_reachable
from rosgeo.run.record import of_scene
from rosgeo.run.tiles import TileRunner
from rosgeo.types import BoolArray, Crop, CropWindow, FloatArray, ObjectMask, RasterGrid, Status, Tile
from rosgeo.vector.clicked import clicked_polygon
from rosgeo.vector.polygonize import AnyPolygon, map_precision, polygon_to_map

if TYPE_CHECKING:
    from rosgeo.inference.predict import Segmenter

__all__ = ["Draft", "Drafter", "session_options"]

_FOR_LAYERS = {"layer": None, "where": None, "boxes_crs": None, "y_axis": "auto", "box_format": None, "share": None}
"""Options of `rosgeo.segment` that say nothing of a box by itself, and what they are without one."""


@dataclass(frozen=True)
class Draft:
    """An object that is being worked on.

    Attributes
    ----------
    polygon : Polygon, MultiPolygon or None
        Its outline in the raster's CRS; None where there is none.
    status : str
        ``ok``, ``empty`` (no mask), ``nodata`` or ``failed``; see `rosgeo.segment`.
    score, stability : float
        As in the result. The score is what the model says of its own mask; a model that was not taught points says it before the clicks.
    box : Polygon
        The box, in the raster's CRS.
    points_map : float64 array (K, 2)
        Clicks in the raster's CRS, in order.
    positive : bool array (K,)
        True where the object is.
    """

    polygon: AnyPolygon | None
    status: Status
    score: float
    stability: float
    box: shapely.Polygon
    points_map: FloatArray
    positive: BoolArray
    place: Place = field(repr=False)


@dataclass(frozen=True)
class Place:
    """A draft's box in the pixel frame of `grid`, along `axes`; its crop and mask, None where it holds no valid pixel."""

    box_px: FloatArray
    grid: RasterGrid
    axes: str
    crop: Crop | None = None
    mask: ObjectMask | None = None


class Drafter:
    """Drafts objects on one scene with one model, one choice of bands and one stretch.

    Parameters
    ----------
    scene : path, rasterio data set or DataArray
        Opened for each new box and closed again, so that no file stays open in a session that is left alone.
    options : SegmentOptions
        See `session_options`.
    segmenter : Segmenter, optional
        A model that is loaded already.
    crops_kept : int
        Encoded crops that are kept: a box whose crop is among them costs the decoder alone.

    Raises
    ------
    UserInputError
        Scene, model or options cannot be used.
    """

    def __init__(self, scene: Any, options: SegmentOptions, *, segmenter: Segmenter | None = None, crops_kept: int = 8) -> None:
        if crops_kept < 1:
            raise OptionError(f"crops_kept {crops_kept}: expected at least 1")
        self.scene, self.options = scene, options
        rule = parse_stretch(options.stretch)
        self.out_crs = parse_crs(options.crs, "crs") if options.crs is not None else None
        with open_source(scene, options.reading) as source:
            self.name, self.grid, self._georeferenced = source.name, source.grid, source.georeferenced
            if self.out_crs is not None:
                require_reachable(source, self.out_crs)
            # Once, so that all crops are stretched alike.
            reader = open_reader(source, bands=options.bands, stretch=rule, padding_rgb=PADDING_RGB)
        self.bands, self.stretch, self.reading = reader.bands, reader.stretch, reader.source.reading
        self.of_scene = of_scene(reader)
        self.segmenter = segmenter or open_segmenter(options)
        self._crops_kept = crops_kept
        self._encoded: OrderedDict[tuple[str, CropWindow], EncodedCrop] = OrderedDict()

    def begin(self, x0: float, y0: float, x1: float, y1: float, crs: str | CRS | None) -> Draft:
        """The draft of a box; see `Session.box`."""
        corners = np.array([x0, y0, x1, y1], dtype=np.float64)
        said = "box " + " ".join(f"{v:.10g}" for v in corners)
        if not np.isfinite(corners).all() or x0 == x1 or y0 == y1:
            raise OptionError(f"{said}: expected two finite corners with an area between them")
        placed = self._placed(shapely.box(*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:])), crs)
        with open_source(self.scene, self.reading) as source, warnings.catch_warnings():
            # Is an error here, and says the same.
            warnings.simplefilter("ignore", NoOverlapWarning)
            prompts = prompts_of(
                source,
                placed,
                boxes_name="the box",
                axes=self.options.axes,
                resample=self.options.crop.mode == "auto" and self.options.outline.outline == "smooth",
            )
            plan = make_plan(prompts.boxes_px, prompts.usable, prompts.source.grid.shape, self.options.crop)
            if not plan.tiles:
                raise OptionError(
                    f"{said}: expected a box on the raster, of more than a speck; {self.name} spans {_span(source, placed)}"
                )
            place = self._place(prompts, plan.tiles[0])
        box = placed.to_map(self.grid)[0]
        return self._outlined(Draft(None, "nodata", np.nan, np.nan, box, np.empty((0, 2)), np.empty(0, dtype=bool), place))

    def click(self, draft: Draft, x: float, y: float, positive: bool, crs: str | CRS | None) -> Draft:
        """The draft with one click more; see `Session.point`."""
        place = draft.place
        if place.crop is None:
            raise OptionError("the box holds no valid pixel; draw another one")
        with warnings.catch_warnings():
            # What is assumed of coordinates was said of the box.
            warnings.simplefilter("ignore", PixelFrameWarning)
            placed = self._placed(shapely.Point(x, y), crs)
        point = shapely.get_coordinates(placed.to_map(self.grid)).reshape(1, 2)
        in_crop = place.crop.window.px_to_crop(place.grid.mapping.to_px(point))
        if not (np.isfinite(in_crop).all() and (in_crop >= 0).all() and (in_crop < place.crop.window.size).all()):
            raise OptionError(f"point {x:.10g} {y:.10g} is not in the crop of the box; draw a box that comes nearer to it")
        points = np.concatenate([draft.points_map, point])
        return self._outlined(replace(draft, points_map=points, positive=np.append(draft.positive, bool(positive))))

    def _placed(self, shape: shapely.Geometry, crs: str | CRS | None) -> Placed:
        """A box or a point as a user gives it; see `Session`."""
        in_pixels = isinstance(crs, str) and crs.lower() == PIXEL_CRS
        own = None if self.grid.crs is None else RASTER_CRS
        return place_geometries(
            np.array([shape], dtype=object),
            None,
            self.grid,
            georeferenced=self._georeferenced,
            raster_name=self.name,
            boxes_name="the box",
            boxes_crs=PIXEL_CRS if in_pixels else own if crs is None else parse_crs(crs, "crs"),
            y_axis="down" if in_pixels else "auto",
        )

    def _place(self, prompts: Prompts, tile: Tile) -> Place:
        """Read the crop of a box, and have the model see it."""
        place = Place(tile.boxes.xyxy[0], prompts.source.grid, prompts.axes)
        reader = CropReader(prompts.source, self.bands, self.stretch, PADDING_RGB)
        crop = next(iter(TileRunner(reader, self.segmenter, self.options.outline).crops(tile)))
        # What is no crop is a box without a valid pixel.
        if not isinstance(crop, Crop):
            return place
        mask = prompt_crop(self.segmenter, self._encode(place.axes, crop), place.box_px)
        return replace(place, crop=crop, mask=mask)

    def _encode(self, axes: str, crop: Crop) -> EncodedCrop:
        """The encoded crop, from those that are kept where it is among them."""
        key = (axes, crop.window)
        if key not in self._encoded:
            self._encoded[key] = encode_crop(self.segmenter, crop)
            while len(self._encoded) > self._crops_kept:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def _outlined(self, draft: Draft) -> Draft:
        """The draft with the outline of its box and clicks."""
        place, mask, clicks = draft.place, draft.place.mask, draft.positive
        if place.crop is None or mask is None:
            return draft
        points_px = place.grid.mapping.to_px(draft.points_map)
        if len(clicks) and takes_points(self.segmenter):
            mask = prompt_crop(self.segmenter, self._encode(place.axes, place.crop), place.box_px, points_px, clicks)
        mask = click_mask(mask, points_px, clicks)
        if not np.isfinite(mask.logits).all():
            return replace(draft, status="failed")
        polygon = clicked_polygon(mask, place.box_px, points_px, clicks, self.options.outline)
        on_map = None if polygon is None else polygon_to_map(polygon, place.grid, map_precision(place.grid))
        status: Status = "empty" if on_map is None else "ok"
        return replace(draft, polygon=on_map, status=status, score=mask.predicted_iou, stability=mask.stability)


def session_options(given: dict[str, Any]) -> SegmentOptions:
    """The options of a session, the others as `rosgeo.segment` has them; raises OptionError for one that it does not take."""
    fields = {*signature(make_options).parameters, *SegmentOptions.__dataclass_fields__} - {"as_given", *_FOR_LAYERS}
    known = {name: p.default for name, p in signature(segment).parameters.items() if name in fields}
    unknown = sorted(set(given) - set(known))
    if unknown:
        near = get_close_matches(unknown[0], known, 1)
        raise OptionError(
            f"a session has no option {unknown[0]!r}" + (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}")
        )
    return make_options(**{**_FOR_LAYERS, **known, **given})


def _span(source: RasterSource, placed: Placed) -> str:
    """Where a raster lies in the coordinates of a box, in words."""
    grid = source.grid
    corners = np.array([[0, 0], [grid.width, 0], [grid.width, grid.height], [0, grid.height]], dtype=np.float64)
    if not placed.in_pixels:
        corners = transform_points(grid.mapping.to_map(corners), grid.crs, placed.crs)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return f"x {x0:.10g} to {x1:.10g}, y {y0:.10g} to {y1:.10g}"
