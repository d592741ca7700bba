"""Several scenes under one layer of boxes: on which of them each box is segmented, and what runs the tiles of all.

Scenes that touch as tiles of one grid are a mosaic, and a box on their seam is seen whole. Of several scenes that show a box, that which
shows it best is taken (`rosgeo.geometry.mosaic.best_scenes`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

from rosgeo.errors import BoxesError, CRSMismatchError, NoOverlapWarning
from rosgeo.geometry.boxes import boxes_to_px, usable_geometries
from rosgeo.geometry.crs import is_local, same_crs
from rosgeo.geometry.longitudes import x_period
from rosgeo.geometry.mapping import AffineMapping, pixel_size_map
from rosgeo.geometry.mosaic import best_scenes, box_shares
from rosgeo.geometry.place import Placed, check_frames, place_geometries
from rosgeo.geometry.plan import make_plan
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.inference.predict import Segmenter
from rosgeo.raster.bands import Stretch, parse_stretch
from rosgeo.raster.crops import CropReader, open_reader
from rosgeo.raster.mosaic import SceneHeader, SceneMosaic, open_mosaic
from rosgeo.raster.reading import Reading
from rosgeo.raster.source import RasterSource
from rosgeo.raster.upright import upright_source
from rosgeo.run.options import SegmentOptions
from rosgeo.run.prompts import prompts_of
from rosgeo.run.record import of_scene
from rosgeo.run.tiles import crops_of, mask_result
from rosgeo.types import BoolArray, Boxes, Crop, FloatArray, IntArray, ObjectMask, RasterGrid, Tile
from rosgeo.vector.layers.boxes import BoxLayer
from rosgeo.vector.orthogonal import ground_scale_m
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import ObjectResult

if TYPE_CHECKING:
    from rosgeo.run.cluster import ClusterJob

__all__ = ["Chosen", "SceneTile", "SceneView", "ScenesRunner", "choose", "open_scenes", "require_one_map", "view_of"]

_LARGEST_READ_PX = 2048
"""Windows up to this side are read to count invalid pixels; of larger ones a part in their middle."""


@dataclass(frozen=True)
class SceneView:
    """A mosaic as its boxes are segmented on it.

    Attributes
    ----------
    mosaic : SceneMosaic
    grid : RasterGrid
        Along the axes of its boxes.
    upright : bool
        See `UprightSource`.
    bands : tuple of three int
    stretch : Stretch
        Fitted on the whole of it.
    reading : Reading
        How it is read, with what was found of fill values.
    told : dict
        What the record says of it, see `of_scene`.
    """

    mosaic: SceneMosaic
    grid: RasterGrid
    upright: bool
    bands: tuple[int, int, int]
    stretch: Stretch
    reading: Reading
    told: dict[str, Any]


@dataclass(frozen=True)
class SceneTile(Tile):
    """A tile of one of several views; `view` is its number."""

    view: int = 0


@dataclass(frozen=True)
class Chosen:
    """On which mosaic each of N boxes is segmented.

    Attributes
    ----------
    mosaic : int64 array (N,)
        -1 for none.
    members : list of N tuples of int
        The scenes, by their number among all, that show a part of it there.
    map_geometries : object array (N,) or None
        Boxes in the map frame of their mosaic, where their format gives them in pixels of a picture; else None.
    crs : CRS or None
        Of the boxes; None where they are in the map frame of their mosaic.
    usable : bool array (N,)
        See `usable_geometries`.
    """

    mosaic: IntArray
    members: list[tuple[int, ...]]
    map_geometries: npt.NDArray[Any] | None
    crs: CRS | None
    usable: BoolArray


class _Candidate(NamedTuple):
    """Boxes that lie on a mosaic: their rows, the boxes in its pixel frame, and the share of each on each of its members."""

    rows: IntArray
    xyxy_px: FloatArray
    shares: FloatArray


def require_one_map(headers: Sequence[SceneHeader]) -> None:
    """Raise CRSMismatchError where several scenes have no common map: no CRS, or one of a site, of which not all are the same."""
    first = headers[0]
    for header in headers:
        crs, of_first = header.grid.crs, first.grid.crs
        both = crs is not None and of_first is not None
        related = both and not is_local(crs) and not is_local(of_first)  # type: ignore[arg-type]
        same = (crs is None and of_first is None) or (both and same_crs(crs, of_first))  # type: ignore[arg-type]
        if not header.georeferenced or not (related or same):
            raise CRSMismatchError(
                f"{header.name} has no CRS that relates it to {first.name}: several scenes of one command need one each. Georeference "
                "it, or segment it by itself"
            )


def choose(layer: BoxLayer, mosaics: Sequence[SceneMosaic], options: SegmentOptions) -> Chosen:
    """Choose the mosaic of each box.

    Headers alone are used where one mosaic shows more of a box than the others; pixels are read, to see how many are valid, only where
    several show it alike.

    Raises
    ------
    BoxesError, CRSMismatchError
        Boxes in pixels that do not say of which scene they are; see also `check_frames`.
    """
    geometries: npt.NDArray[Any] = np.asarray(layer.frame.geometry.to_numpy(), dtype=object)
    usable = usable_geometries(geometries)
    crs: CRS | None = None
    on_map: npt.NDArray[Any] | None = None
    if layer.picture is not None:
        on_map = _pictures_on_map(layer, mosaics, options)
        found = [_on_mosaic(on_map, None, m, np.flatnonzero(usable & _of_members(layer.picture, m))) for m in mosaics]
    else:
        crs = _crs_of(layer, mosaics, options)
        near = _Near(geometries, crs)
        found = [_on_mosaic(geometries, crs, m, np.flatnonzero(usable & near.rows(m.place.grid))) for m in mosaics]
    mosaic = _best(found, mosaics, options, len(geometries))
    members: list[tuple[int, ...]] = [()] * len(geometries)
    for number, (candidate, one) in enumerate(zip(found, mosaics, strict=True)):
        for row, shares in zip(candidate.rows.tolist(), candidate.shares, strict=True):
            if mosaic[row] == number:
                members[row] = tuple(one.place.members[i] for i in np.flatnonzero(shares > 0))
    return Chosen(mosaic, members, on_map, crs, usable)


def _crs_of(layer: BoxLayer, mosaics: Sequence[SceneMosaic], options: SegmentOptions) -> CRS | None:
    """The CRS of a layer; None where it is in the map frame of the scenes."""
    own, in_pixels = None, layer.coordinates != "layer" and options.boxes_crs is None
    for crs in dict.fromkeys(m.place.grid.crs for m in mosaics):
        first = next(m for m in mosaics if m.place.grid.crs == crs)
        if not in_pixels:
            own, in_pixels = check_frames(layer.frame.crs, options.boxes_crs, crs, first.name, layer.name)
        if in_pixels:
            raise BoxesError(
                f"{layer.name} holds boxes in pixels, or does not say that they are not, and not of which scene. Name the picture of each "
                "(a column image_path, COCO's images, YOLO's SCENE.txt), or pass --boxes-crs raster for coordinates of the scenes' map"
            )
    return own


def _of_members(picture: IntArray, mosaic: SceneMosaic) -> BoolArray:
    of: BoolArray = np.isin(picture, mosaic.place.members)
    return of


def _pictures_on_map(layer: BoxLayer, mosaics: Sequence[SceneMosaic], options: SegmentOptions) -> npt.NDArray[Any]:
    """Boxes in the map frame of the picture that each is on."""
    assert layer.picture is not None
    geometries: npt.NDArray[Any] = np.asarray(layer.frame.geometry.to_numpy(), dtype=object)
    on_map = geometries.copy()
    for mosaic in mosaics:
        for member, tile in zip(mosaic.place.members, mosaic.tiles, strict=True):
            rows = np.flatnonzero(layer.picture == member)
            if len(rows):
                placed = place_geometries(
                    geometries[rows],
                    layer.frame.crs,
                    tile.grid,
                    georeferenced=tile.georeferenced,
                    raster_name=tile.name,
                    boxes_name=layer.name,
                    boxes_crs=options.boxes_crs,
                    y_axis=options.y_axis,
                    coordinates=layer.coordinates,
                )
                on_map[rows] = placed.to_map(tile.grid)
    return on_map


class _Near:
    """Which boxes may lie on a grid, by their envelopes in its CRS, which are computed once for all grids of a CRS."""

    def __init__(self, geometries: npt.NDArray[Any], crs: CRS | None) -> None:
        self._geometries, self._crs = geometries, crs
        self._envelopes: dict[CRS | None, FloatArray] = {}

    def rows(self, grid: RasterGrid) -> BoolArray:
        if grid.crs not in self._envelopes:
            plane = RasterGrid(1, 1, AffineMapping(Affine(1, 0, 0, 0, 1, 0)), grid.crs)
            self._envelopes[grid.crs] = boxes_to_px(self._geometries, self._crs, plane).xyxy
        x0, y0, x1, y1 = self._envelopes[grid.crs].T
        along = np.linspace(0, 1, 9)
        edge = np.concatenate([np.stack([along, np.full(9, v)], axis=1) for v in (0.0, 1.0)])
        edge = grid.mapping.to_map(np.concatenate([edge, edge[:, ::-1]]) * (grid.width, grid.height))
        (left, bottom), (right, top) = np.nanmin(edge, axis=0), np.nanmax(edge, axis=0)
        # As much as a side bends between two points of it, and the grid that boxes are rounded to.
        slack = 0.1 * max(right - left, top - bottom) + 0.01
        turns = [0.0] if x_period(grid.crs) is None else [t * float(x_period(grid.crs) or 0) for t in (-2, -1, 0, 1, 2)]
        with np.errstate(invalid="ignore"):
            tall = (y1 > bottom - slack) & (y0 < top + slack)
            near: BoolArray = tall & np.logical_or.reduce([(x1 + t > left - slack) & (x0 + t < right + slack) for t in turns])
        return near


def _on_mosaic(geometries: npt.NDArray[Any], crs: CRS | None, mosaic: SceneMosaic, rows: IntArray) -> _Candidate:
    xyxy = boxes_to_px(geometries[rows], crs, mosaic.place.grid).xyxy
    shares = box_shares(xyxy, mosaic.place)
    there = shares.sum(axis=1) > 0
    return _Candidate(rows[there], xyxy[there], shares[there])


def _best(found: Sequence[_Candidate], mosaics: Sequence[SceneMosaic], options: SegmentOptions, count: int) -> IntArray:
    row = np.concatenate([c.rows for c in found])
    scene = np.repeat(np.arange(len(found)), [len(c.rows) for c in found])
    inside = np.concatenate([c.shares.sum(axis=1) for c in found])
    sizes = np.array([ground_scale_m(m.place.grid) or pixel_size_map(m.place.grid.mapping, m.place.grid.shape) for m in mosaics])
    most = np.zeros(count)
    np.maximum.at(most, row, inside)
    alike = inside >= np.minimum(most[row], 1) - 1e-6
    # Only where there is a choice.
    several = alike & (np.bincount(row[alike], minlength=count) > 1)[row]
    invalid = np.zeros(len(row))
    for number, (candidate, mosaic) in enumerate(zip(found, mosaics, strict=True)):
        mine = np.flatnonzero(scene == number)
        asked = np.flatnonzero(several[mine])
        if len(asked):
            with open_mosaic(mosaic) as source:
                # With the fill values that no tag names; they are told where the scene is planned.
                reader = open_reader(
                    source, bands=options.bands, stretch=parse_stretch(options.stretch), padding_rgb=PADDING_RGB, quiet=True
                )
                invalid[mine[asked]] = [_invalid_share(reader.source, reader.bands, candidate.xyxy_px[i]) for i in asked]
    return best_scenes(row, scene, inside, invalid, sizes[scene], count)


def _invalid_share(source: RasterSource, bands: tuple[int, int, int], box_px: FloatArray) -> float:
    """The share of a box (4,), or of its middle where it is large, without valid pixels."""
    height, width = source.grid.shape
    low = np.clip(np.floor(box_px[:2]), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(box_px[2:]), low + 1, (width, height)).astype(int)
    middle = (low + high) // 2
    low, high = np.maximum(low, middle - _LARGEST_READ_PX // 2), np.minimum(high, middle + _LARGEST_READ_PX // 2 + 1)
    _, valid = source.read(bands, slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    return float(1 - valid.mean())


def view_of(
    chosen: Chosen, number: int, mosaic: SceneMosaic, layer: BoxLayer, options: SegmentOptions
) -> tuple[SceneView, Boxes, list[Tile], IntArray]:
    """Plan the boxes of one mosaic, which is opened for that and closed again.

    Returns
    -------
    view : SceneView
    boxes_px : Boxes
        Those of it, with their rows as ids.
    tiles : list of Tile
    invalid : int64 array
        Rows whose box is no prompt there.
    """
    rows = np.flatnonzero(chosen.mosaic == number)
    geometries: npt.NDArray[Any] = np.asarray(layer.frame.geometry.to_numpy(), dtype=object)
    placed = Placed((geometries if chosen.map_geometries is None else chosen.map_geometries)[rows], chosen.crs, False)
    with open_mosaic(mosaic) as source, warnings.catch_warnings():
        # All of them lie on it.
        warnings.simplefilter("ignore", NoOverlapWarning)
        prompts = prompts_of(
            source,
            placed,
            boxes_name=layer.name,
            axes=options.axes,
            resample=options.crop.mode == "auto" and options.outline.outline == "smooth",
        )
        reader = open_reader(prompts.source, bands=options.bands, stretch=parse_stretch(options.stretch), padding_rgb=PADDING_RGB)
        upright = prompts.axes == "map"
        view = SceneView(
            mosaic, prompts.source.grid, upright, reader.bands, reader.stretch, reader.source.reading, of_scene(reader)
        )
    boxes_px = replace(prompts.boxes_px, ids=rows)
    plan = make_plan(boxes_px, prompts.usable, view.grid.shape, options.crop)
    return view, boxes_px, list(plan.tiles), rows[plan.invalid | plan.outside]


class ScenesRunner:
    """A `Runner` of the tiles of several views; the scenes of one are open at a time.

    Parameters
    ----------
    views : sequence of SceneView
    segmenter : Segmenter
    outline : OutlineOptions
    """

    def __init__(self, views: Sequence[SceneView], segmenter: Segmenter, outline: OutlineOptions) -> None:
        self.segmenter = segmenter
        self._views, self._outline = views, outline
        self._of: dict[int, int] = {}
        self._open: tuple[int, CropReader] | None = None
        self._opened = ExitStack()

    def crops(self, tile: Tile) -> Iterator[Crop | ObjectResult]:
        """See `Runner`."""
        assert isinstance(tile, SceneTile)
        self._of.update(dict.fromkeys(tile.boxes.ids.tolist(), tile.view))
        yield from crops_of(self._reader(tile.view), tile)

    def result(self, mask: ObjectMask, box_px: FloatArray) -> ObjectResult:
        """See `Runner`."""
        return mask_result(mask, box_px, self._views[self._of.pop(mask.id)].grid, self._outline)

    def close(self) -> None:
        """Close the scenes that are open."""
        self._open = None
        self._opened.close()

    def _reader(self, number: int) -> CropReader:
        if self._open is None or self._open[0] != number:
            self.close()
            view = self._views[number]
            source = self._opened.enter_context(open_mosaic(view.mosaic)).with_reading(view.reading)
            seen = upright_source(source) if view.upright else source
            self._open = (number, CropReader(seen, view.bands, view.stretch, PADDING_RGB))
        return self._open[1]


def open_scenes(job: ClusterJob, segmenter: Segmenter, opened: ExitStack) -> ScenesRunner:
    """The runner of the tiles of several scenes on a worker, where `job.scene` is their views."""
    runner = ScenesRunner(job.scene, segmenter, job.outline)
    opened.callback(runner.close)
    return runner
