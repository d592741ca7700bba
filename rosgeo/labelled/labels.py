"""Labels as people have them in QGIS: a raster, and polygons or a raster of object numbers in any CRS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rosgeo.addresses.secrets import file_name
from rosgeo.errors import BoxesError, InputFileNotFoundError, OptionError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import LabelledObject, RasterPixels
from rosgeo.labelled.gate import admit_and_warn
from rosgeo.labelled.layouts import is_layer, is_raster
from rosgeo.labelled.outlines import rings_of
from rosgeo.types import FloatArray, RasterGrid
from rosgeo.vector.layers.style import GOOD_STATUS

if TYPE_CHECKING:
    import numpy.typing as npt

    from rosgeo.geometry.place import Placed
    from rosgeo.raster.source import RasterSource

__all__ = ["footprint", "label_candidates", "read_labels"]

_OTHER_STATUS = f"with another rosgeo_status than {' or '.join(GOOD_STATUS)}"


def read_labels(source: DataSource, column: str | None = None) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read polygons on a raster. Their envelopes in the pixels of the upright raster are the prompts, as in `rosgeo.segment`.

    Parameters
    ----------
    source : DataSource
        Of kind ``raster``.
    column : str, optional
        Column whose value becomes the `group` of its object.

    Returns
    -------
    objects : list of LabelledObject
        In the order of the layer, or by number. Polygons are clipped to the raster.
    left_out : dict
        Reason -> number of rows.

    Raises
    ------
    UserInputError
        One of its subclasses, for anything that raster, layer or options cannot give.
    """
    labels = admit_and_warn(label_candidates(source, column))
    return list(labels.objects), labels.report.counts()


@dataclass(frozen=True)
class _Table:
    """Labels before they lie on a raster.

    Attributes
    ----------
    geometries : object array (N,) of shapely polygons, multipolygons or None
    crs : CRS or None
        As a layer has it.
    classes, groups : list (N,)
        Values of their columns.
    names : list of str (N,)
    unwanted : list of str
        Names of rows that are left out by their status.
    in_pixels : bool
        They are in pixels of the raster as it is stored.
    """

    geometries: npt.NDArray[Any]
    crs: Any
    classes: list[Any]
    groups: list[Any]
    names: list[str]
    unwanted: list[str]
    in_pixels: bool = False


def label_candidates(source: DataSource, column: str | None = None) -> Read:
    """All rows or numbers of a source of kind ``raster``; see `read_labels`."""
    # Here and not at the top: a GPU machine without geospatial packages trains on COCO folders.
    try:
        from rosgeo.raster.bands import parse_bands, parse_stretch
        from rosgeo.raster.reading import make_reading
        from rosgeo.raster.source import open_source
        from rosgeo.raster.upright import upright_source
    except ModuleNotFoundError as error:
        raise TrainingDataError(
            f"{source.raster}: a source of kind raster needs the package {error.name}, which is not here"
        ) from error
    parse_stretch(source.stretch)
    if is_layer(source.raster):
        raise OptionError(
            f"{source.raster} is a layer of polygons and not a raster; expected the raster that the labels lie on. Two layers are compared "
            "by rosgeo compare"
        )
    reading = make_reading(source.nodata, source.dem, source.height, option="nodata")
    pixels = RasterPixels(
        source.raster, parse_bands(source.bands), source.stretch, nodata=source.nodata, dem=source.dem, height=source.height
    )
    with open_source(source.raster, reading) as opened:
        raster = upright_source(opened)
        table = _numbers(source, column, opened) if _is_numbers(source.labels) else _rows(source, column)
        picture = LabelledPicture(
            Path(source.raster),
            *raster.grid.shape,
            raster=pixels,
            source=Path(file_name(source.raster)).stem,
            area=_area(source, opened, raster),
        )
        candidates, repaired = _candidates(table, source, picture, opened, raster)
        layers = [name for name in source.ignore if is_layer(name)]
        for name in layers:
            candidates += _ignored(name, source, picture, opened, raster)
    return Read(
        source.name,
        tuple(candidates),
        tuple((_OTHER_STATUS, name) for name in table.unwanted),
        tuple(("repaired, since their outline crosses itself", name) for name in repaired),
        frozenset({_OTHER_STATUS}),
        f"Not one polygon of {source.labels} can be used: check the CRS of both, or the condition 'where'",
        "raster",
    )


def _is_numbers(labels: str) -> bool:
    return is_raster(labels) and not is_layer(labels)


def _rows(source: DataSource, column: str | None) -> _Table:
    """The rows of a layer."""
    from rosgeo.vector.layers.read import read_polygons

    found, layer = read_polygons(source.labels, layer=source.layer, where=source.where, crs=source.labels_crs, what="labels")
    if len(found) == 0:
        where = f" where {source.where}" if source.where else ""
        raise BoxesError(f"{layer} holds no labels{where}; expected at least one polygon")
    frame, unwanted = _wanted(found, source)
    for name in (source.class_column, column):
        if name is not None and name not in frame.columns:
            columns = ", ".join(str(c) for c in frame.columns if c != frame.geometry.name)
            raise OptionError(f"{source.labels} has no column {name!r}; it has: {columns or 'none'}")
    classes = ["object"] * len(frame) if source.class_column is None else list(frame[source.class_column])
    groups = [""] * len(frame) if column is None else list(frame[column])
    names = [f"row {i}" for i in frame.index]
    return _Table(frame.geometry.to_numpy(), frame.crs, classes, groups, names, unwanted)


def _wanted(frame: Any, source: DataSource) -> tuple[Any, list[str]]:
    """The rows to learn from, and what is left out: of a layer that rosgeo wrote, what is no outline or was rejected in QGIS."""
    if source.where is not None or "rosgeo_status" not in frame.columns:
        return frame, []
    # A row that was drawn where QGIS did not set the status has none.
    wanted = frame["rosgeo_status"].isin(GOOD_STATUS) | frame["rosgeo_status"].isna()
    return frame[wanted], [f"row {i}" for i in frame.index[~wanted]]


def _numbers(source: DataSource, column: str | None, raster: RasterSource) -> _Table:
    """The numbers of a raster: objects, or classes where their parts are split."""
    import shapely

    from rosgeo.raster.numbers import read_numbers

    for key in ("layer", "where", "class_column", "labels_crs"):
        if getattr(source, key) is not None:
            raise OptionError(f"{source.labels} is a raster of object numbers, which has no {key}; leave it out")
    if column is not None:
        raise OptionError(f"{source.labels} is a raster of object numbers, which has no column {column!r} to split by")
    read = read_numbers(source.labels)
    if not read.georeferenced and read.grid.shape != raster.grid.shape:
        raise TrainingDataError(
            f"{source.labels} has shape {read.grid.shape} and no georeferencing; expected that of {source.raster}, or its shape "
            f"{raster.grid.shape}"
        )
    numbers = list(read.outlines)
    below = [n for n in numbers if n < 0 and str(n) not in source.ignore]
    if below:
        raise TrainingDataError(
            f"{source.labels} holds the number {below[0]}, which is below 0 and no object; expected 0 for the background. Set it as the "
            "nodata value of the file, or name it under ignore where it is neither object nor ground"
        )
    parts = [shapely.MultiPolygon([shapely.Polygon(rings[0], rings[1:]) for rings in read.outlines[n]]) for n in numbers]
    geometries = np.empty(len(parts), dtype=object)
    geometries[:] = parts
    if read.georeferenced:
        geometries = shapely.transform(geometries, read.grid.mapping.to_map)
    classes = [n if source.parts == "split" else str(n) if str(n) in source.ignore else "object" for n in numbers]
    names = [f"number {n}" for n in numbers]
    return _Table(geometries, read.grid.crs, classes, [""] * len(numbers), names, [], not read.georeferenced)


def _candidates(
    table: _Table, source: DataSource, picture: LabelledPicture, opened: RasterSource, raster: RasterSource
) -> tuple[list[Candidate], list[str]]:
    """A candidate for each row, and the names of those that had to be repaired."""
    outlines, boxes, repaired = _to_pixels(_placed(table, source, source.labels, opened, raster), raster.grid)
    candidates = [
        Candidate(
            name,
            picture,
            outlines.get(i, ()),
            category=table.classes[i],
            reason="" if i in outlines else "without a usable polygon",
            group=table.groups[i],
            envelope=boxes[i],
        )
        for i, name in enumerate(table.names)
    ]
    return candidates, [table.names[i] for i in repaired]


def _ignored(
    name: str, source: DataSource, picture: LabelledPicture, opened: RasterSource, raster: RasterSource
) -> list[Candidate]:
    """Polygons of a layer as what counts neither as object nor as ground."""
    return [
        Candidate(f"polygon {i} of {Path(name).name}", picture, rings, ignored=True)
        for i, rings in _polygons(name, source, opened, raster).items()
    ]


def _area(source: DataSource, opened: RasterSource, raster: RasterSource) -> tuple[FloatArray, ...]:
    """Outlines of the labelled area; none where it is the whole raster."""
    if not source.area:
        return ()
    from rosgeo.labelled.outlines import clip_rings

    rings = [ring for part in _polygons(source.area, source, opened, raster).values() for ring in part]
    on_raster = clip_rings(rings, raster.grid.shape) if rings else ()
    if not on_raster:
        raise TrainingDataError(f"{source.area}: the labelled area does not lie on {source.raster}; check the CRS of both")
    return on_raster


def _polygons(name: str, source: DataSource, opened: RasterSource, raster: RasterSource) -> dict[int, tuple[FloatArray, ...]]:
    """The polygons of another layer in pixels of the upright raster, by row."""
    from rosgeo.vector.layers.read import read_polygons

    frame, _ = read_polygons(name, what="polygons")
    table = _Table(frame.geometry.to_numpy(), frame.crs, [], [], [], [])
    return _to_pixels(_placed(table, source, name, opened, raster), raster.grid)[0]


def _placed(table: _Table, source: DataSource, name: str, opened: RasterSource, raster: RasterSource) -> Placed:
    """Where geometries lie: on the map, or in pixels of the upright raster."""
    from rosgeo.geometry.accuracy import warn_of_coarse_operation
    from rosgeo.geometry.place import Placed, place_geometries

    if table.in_pixels:
        placed = Placed(table.geometries, None, True)
    else:
        placed = place_geometries(
            table.geometries,
            table.crs,
            opened.grid,
            georeferenced=opened.georeferenced,
            raster_name=source.raster,
            boxes_name=name,
            boxes_crs=source.labels_crs if table.crs is None or name == source.labels else None,
            y_axis=source.y_axis,
        )
    warn_of_coarse_operation(placed.crs, opened.grid, name, source.raster)
    if placed.in_pixels and raster is not opened:
        # They are pixels of the raster as it is stored.
        placed = replace(placed, geometries=placed.to_map(opened.grid), in_pixels=False)
    return placed


def _to_pixels(placed: Placed, grid: RasterGrid) -> tuple[dict[int, tuple[FloatArray, ...]], FloatArray, list[int]]:
    """Outlines by row where there are some, the boxes of all rows (N, 4), and the rows whose outline was no valid polygon."""
    import shapely

    from rosgeo.geometry.boxes import boxes_to_px, geometries_on, usable_geometries

    geometries, crs, in_pixels = placed.geometries, placed.crs, placed.in_pixels
    boxes = boxes_to_px(geometries, crs, grid, in_pixels=in_pixels).xyxy
    rows = np.flatnonzero(usable_geometries(geometries) & np.isfinite(boxes).all(axis=1))
    moved = shapely.force_2d(geometries[rows])
    if not in_pixels:
        moved = shapely.transform(geometries_on(moved, crs, grid), grid.mapping.to_px)
    finite = np.isfinite(shapely.total_bounds(moved)).all() if len(moved) else True
    valid = shapely.is_valid(moved)
    mended = shapely.make_valid(moved) if finite else moved
    outlines = {int(row): rings for row, shape in zip(rows, mended, strict=True) if (rings := rings_of(shape))}
    return outlines, boxes, [int(row) for row in rows[~valid]]


def footprint(raster: str) -> Any:
    """The ground of a raster in degrees, as a shapely polygon; None where it has no CRS."""
    import shapely
    from pyproj import CRS

    from rosgeo.geometry.boxes import transform_points
    from rosgeo.raster.names import is_gdal_name
    from rosgeo.raster.source import open_source

    if not Path(raster).exists() and not is_gdal_name(raster):
        raise InputFileNotFoundError(f"{raster}: no such file; expected a raster")
    with open_source(raster) as source:
        grid = source.grid
        if grid.crs is None:
            return None
        height, width = grid.shape
        ring = shapely.segmentize(shapely.box(0, 0, width, height), max(height, width) / 16)
        points = transform_points(grid.mapping.to_map(shapely.get_coordinates(ring)), grid.crs, CRS.from_epsg(4326))
        return shapely.Polygon(points) if np.isfinite(points).all() else None
