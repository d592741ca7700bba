"""Tiles of one mosaic as one raster, each opened when its pixels are asked for."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.errors import NoRpcsError
from rosgeo.geometry.mosaic import Mosaic, touching_groups
from rosgeo.raster.protocol import Bands, Placement, RasterSource
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.raster.source import open_source
from rosgeo.types import BoolArray, RasterGrid

__all__ = ["MosaicSource", "SceneHeader", "SceneMosaic", "join_scenes", "open_mosaic", "read_header", "read_headers"]

_OPEN_TILES = 32


@dataclass(frozen=True)
class SceneHeader:
    """What is known of a scene without its pixels.

    Attributes
    ----------
    scene : path, data set or DataArray
        What `open_source` takes.
    name : str
    grid : RasterGrid
    count : int
    dtypes, colours, names : tuple of str
    scaling : tuple of (float, float)
    georeferenced : bool
    reading : Reading
        See `RasterSource`.
    """

    scene: Any
    name: str
    grid: RasterGrid
    count: int
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str, ...]
    scaling: tuple[tuple[float, float], ...]
    georeferenced: bool
    reading: Reading = AS_TAGGED


def read_header(scene: Any, reading: Reading = AS_TAGGED) -> SceneHeader:
    """Open a scene, look at it, and close it again; raises as `open_source`."""
    with open_source(scene, reading) as source:
        return SceneHeader(
            scene,
            source.name,
            source.grid,
            source.count,
            source.dtypes,
            source.colours,
            source.names,
            source.scaling,
            source.georeferenced,
            reading,
        )


def read_headers(scenes: Sequence[Any], reading: Reading = AS_TAGGED) -> list[SceneHeader]:
    """`read_header` of several scenes; heights are for those that RPCs place, and an error where there is none of these."""
    headers: list[SceneHeader] = []
    refused: NoRpcsError | None = None
    for scene in scenes:
        try:
            headers.append(read_header(scene, reading))
        except NoRpcsError as error:
            refused = error
            headers.append(read_header(scene, reading.without_heights))
    if refused is not None and all(header.reading != reading for header in headers):
        raise refused
    return headers


@dataclass(frozen=True)
class SceneMosaic:
    """Scenes that are seen as one; one scene is a mosaic of one.

    Attributes
    ----------
    place : Mosaic
    tiles : tuple of SceneHeader
        Its members, in their order.
    """

    place: Mosaic
    tiles: tuple[SceneHeader, ...]

    @property
    def name(self) -> str:
        """For messages."""
        more = len(self.tiles) - 1
        return self.tiles[0].name + (f" and {more} more" if more else "")


def join_scenes(headers: Sequence[SceneHeader]) -> list[SceneMosaic]:
    """Scenes as mosaics: those of one grid, data type and bands that touch and do not overlap are one; see `touching_groups`."""
    kinds = [(h.count, h.dtypes, h.colours, h.names, h.scaling) if h.georeferenced else None for h in headers]
    groups = touching_groups([h.grid for h in headers], kinds)
    return [SceneMosaic(group, tuple(headers[n] for n in group.members)) for group in groups]


class MosaicSource:
    """A mosaic as a `RasterSource`. A place that no tile shows is not valid.

    Parameters
    ----------
    mosaic : SceneMosaic
        Tiles are opened when their pixels are asked for, and `_OPEN_TILES` at most are kept open. `close` closes them.
    """

    def __init__(self, mosaic: SceneMosaic) -> None:
        first = mosaic.tiles[0]
        self.name, self.grid, self.georeferenced = mosaic.name, mosaic.place.grid, True
        self.count, self.dtypes, self.colours = first.count, first.dtypes, first.colours
        self.names, self.scaling, self.reading = first.names, first.scaling, first.reading
        # Tiles have transforms: what control points or RPCs place is no tile of a grid.
        self.placement: Placement | None = None
        self._mosaic = mosaic
        self._open: OrderedDict[int, tuple[RasterSource, ExitStack]] = OrderedDict()

    def with_reading(self, reading: Reading) -> MosaicSource:
        """See `RasterSource`. Its tiles are open where they are open here."""
        other = copy(self)
        other.reading = reading
        return other

    def read(self, bands: Bands, rows: slice, cols: slice) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`."""
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        values: npt.NDArray[Any] | None = None
        valid = np.zeros(shape, dtype=bool)
        for number, of_tile, into in self._parts(rows, cols):
            part, good = self._tile(number).read(bands, *of_tile)
            if good.shape == shape:
                return part, good
            if values is None:
                values = np.zeros((3, *shape), dtype=part.dtype)
            values[:, into[0], into[1]] = part
            valid[into] = good
        return self._empty(bands, shape) if values is None else values, valid

    def read_decimated(self, bands: Bands, max_side: int) -> tuple[npt.NDArray[Any], BoolArray]:
        """See `RasterSource`. The nearest pixels of each tile."""
        height, width = self.grid.shape
        step = max(max(height, width) / max_side, 1.0)
        shape = (max(round(height / step), 1), max(round(width / step), 1))
        at_rows = ((np.arange(shape[0]) + 0.5) * height / shape[0]).astype(np.int64)
        at_cols = ((np.arange(shape[1]) + 0.5) * width / shape[1]).astype(np.int64)
        values: npt.NDArray[Any] | None = None
        valid = np.zeros((3, *shape), dtype=bool)
        for number, ((col, row), (w, h)) in enumerate(zip(self._mosaic.place.offsets, self._mosaic.place.sizes, strict=True)):
            rows = np.flatnonzero((at_rows >= row) & (at_rows < row + h))
            cols = np.flatnonzero((at_cols >= col) & (at_cols < col + w))
            if not len(rows) or not len(cols):
                continue
            part, good = self._tile(number).read_decimated(bands, math.ceil(max(h, w) / step))
            own_rows = ((at_rows[rows] - row) * part.shape[1] // h)[:, None]
            own_cols = ((at_cols[cols] - col) * part.shape[2] // w)[None, :]
            if values is None:
                values = np.zeros((3, *shape), dtype=part.dtype)
            values[:, rows[:, None], cols] = part[:, own_rows, own_cols]
            valid[:, rows[:, None], cols] = good[:, own_rows, own_cols]
        return self._empty(bands, shape) if values is None else values, valid

    def close(self) -> None:
        """Close the tiles that are open."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _empty(self, bands: Bands, shape: tuple[int, int]) -> npt.NDArray[Any]:
        return np.zeros((3, *shape), dtype=np.result_type(*(self.dtypes[b - 1] for b in bands)))

    def _parts(self, rows: slice, cols: slice) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
        """The tiles under a part of the mosaic: rows and columns of the tile, and where they go."""
        offsets, sizes = self._mosaic.place.offsets, self._mosaic.place.sizes
        low = np.maximum(offsets, (cols.start, rows.start))
        high = np.minimum(offsets + sizes, (cols.stop, rows.stop))
        for number in np.flatnonzero((high > low).all(axis=1)).tolist():
            (x0, y0), (x1, y1), (col, row) = low[number].tolist(), high[number].tolist(), offsets[number].tolist()
            yield (
                number,
                (slice(y0 - row, y1 - row), slice(x0 - col, x1 - col)),
                (slice(y0 - rows.start, y1 - rows.start), slice(x0 - cols.start, x1 - cols.start)),
            )

    def _tile(self, number: int) -> RasterSource:
        if number not in self._open:
            while len(self._open) >= _OPEN_TILES:
                self._open.popitem(last=False)[1][1].close()
            opened = ExitStack()
            tile = self._mosaic.tiles[number]
            self._open[number] = (opened.enter_context(open_source(tile.scene, tile.reading)), opened)
        self._open.move_to_end(number)
        return self._open[number][0].with_reading(self.reading)


@contextmanager
def open_mosaic(mosaic: SceneMosaic) -> Iterator[RasterSource]:
    """Open a mosaic; one of one scene is that scene."""
    if len(mosaic.tiles) == 1:
        with open_source(mosaic.tiles[0].scene, mosaic.tiles[0].reading) as source:
            yield source
        return
    joined = MosaicSource(mosaic)
    try:
        yield joined
    finally:
        joined.close()
