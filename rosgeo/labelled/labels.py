"""Labels as people have them in QGIS: a raster and a layer of polygons in any CRS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rosgeo.addresses.secrets import file_name
from rosgeo.errors import InputFileNotFoundError, OptionError, TrainingDataError
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import LabelledObject, RasterPixels
from rosgeo.labelled.outlines import join_loops
from rosgeo.types import FloatArray, RasterGrid
from rosgeo.vector.layers.style import GOOD_STATUS

if TYPE_CHECKING:
    from rosgeo.geometry.place import Placed
    from rosgeo.raster.source import RasterSource

__all__ = ["footprint", "read_labels"]

_MIN_SIDE_PX = 2.0
"""Objects that are shorter than this in both directions have no outline to learn."""


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
        In the order of the layer. Polygons are clipped to the raster.
    left_out : dict
        Reason -> number of rows.

    Raises
    ------
    UserInputError
        One of its subclasses, for anything that raster, layer or options cannot give.
    """
    # Here and not at the top: a GPU machine without geospatial packages trains on COCO folders.
    try:
        from rosgeo.raster.source import open_source
        from rosgeo.raster.upright import upright_source
        from rosgeo.vector.layers.read import read_boxes
        from rosgeo.vector.layers.values import class_names
    except ModuleNotFoundError as error:
        raise TrainingDataError(
            f"{source.raster}: a source of kind raster needs the package {error.name}, which is not here"
        ) from error
    from rosgeo.raster.bands import parse_bands, parse_stretch
    from rosgeo.raster.reading import make_reading

    parse_stretch(source.stretch)
    frame, unwanted = _wanted(
        read_boxes(source.labels, layer=source.layer, where=source.where, boxes_crs=source.labels_crs), source
    )
    for name in (source.class_column, column):
        if name is not None and name not in frame.columns:
            columns = ", ".join(str(c) for c in frame.columns if c != frame.geometry.name)
            raise OptionError(f"{source.labels} has no column {name!r}; it has: {columns or 'none'}")
    classes = ["object"] * len(frame) if source.class_column is None else class_names(frame[source.class_column])
    groups = [""] * len(frame) if column is None else class_names(frame[column], "")
    reading = make_reading(source.nodata, source.dem, source.height, option="nodata")
    pixels = RasterPixels(source.raster, parse_bands(source.bands), source.stretch, source.nodata, source.dem, source.height)
    with open_source(source.raster, reading) as opened:
        raster = upright_source(opened)
        placed = _placed(frame, opened, source)
        if placed.in_pixels and raster is not opened:
            # They are pixels of the raster as it is stored.
            placed = replace(placed, geometries=placed.to_map(opened.grid), in_pixels=False)
        outlines, boxes, lost = _to_pixels(placed, raster.grid)
        height, width = raster.grid.shape
    objects = [
        LabelledObject(
            image_path=Path(source.raster),
            height=height,
            width=width,
            rings=outlines[row],
            category=classes[row],
            source=Path(file_name(source.raster)).stem,
            box=boxes[row],
            raster=pixels,
            group=groups[row],
        )
        for row in outlines
    ]
    lost |= {f"with another rosgeo_status than {' or '.join(GOOD_STATUS)}": unwanted} if unwanted else {}
    if not objects:
        raise TrainingDataError(
            f"not one polygon of {source.labels} can be used on {source.raster} ({lost}); check the CRS of both, or the condition 'where'"
        )
    return objects, lost


def _wanted(frame: Any, source: DataSource) -> tuple[Any, int]:
    """The rows to learn from, and how many are left out: of a layer that rosgeo wrote, what is no outline or was rejected in QGIS."""
    if source.where is not None or "rosgeo_status" not in frame.columns:
        return frame, 0
    # A row that was drawn where QGIS did not set the status has none.
    wanted = frame["rosgeo_status"].isin(GOOD_STATUS) | frame["rosgeo_status"].isna()
    return frame[wanted].reset_index(drop=True), int((~wanted).sum())


def _placed(frame: Any, raster: RasterSource, source: DataSource) -> Placed:
    from rosgeo.geometry.accuracy import warn_of_coarse_operation
    from rosgeo.geometry.place import place_geometries

    placed = place_geometries(
        frame.geometry.to_numpy(),
        frame.crs,
        raster.grid,
        georeferenced=raster.georeferenced,
        raster_name=source.raster,
        boxes_name=source.labels,
        boxes_crs=source.labels_crs,
        y_axis=source.y_axis,
    )
    warn_of_coarse_operation(placed.crs, raster.grid, source.labels, source.raster)
    return placed


def _to_pixels(placed: Placed, grid: RasterGrid) -> tuple[dict[int, tuple[FloatArray, ...]], FloatArray, dict[str, int]]:
    """Outlines by row, the boxes of all rows (N, 4), and reason -> number of rows without an outline."""
    import shapely

    from rosgeo.geometry.boxes import boxes_to_px, geometries_on, usable_geometries

    geometries, crs, in_pixels = placed.geometries, placed.crs, placed.in_pixels
    height, width = grid.shape
    raster_box = np.array([width, height, width, height], dtype=np.float64)
    boxes = np.clip(boxes_to_px(geometries, crs, grid, in_pixels=in_pixels).xyxy, 0, raster_box)
    usable = usable_geometries(geometries)
    good = usable & np.isfinite(boxes).all(axis=1)
    moved = geometries.copy()
    if not in_pixels:
        moved[good] = shapely.transform(geometries_on(geometries[good], crs, grid), grid.mapping.to_px)
    outlines: dict[int, tuple[FloatArray, ...]] = {}
    lost: dict[str, int] = {}
    for row in range(len(geometries)):
        reason = "without a usable polygon"
        if good[row]:
            clipped = shapely.intersection(shapely.make_valid(moved[row]), shapely.box(0, 0, width, height))
            rings = _rings(clipped)
            small = rings and np.ptp(np.concatenate(rings), axis=0).max() < _MIN_SIDE_PX
            if rings and not small:
                outlines[row] = rings
                continue
            reason = f"shorter than {_MIN_SIDE_PX:g} px" if small else "outside the raster"
        lost[reason] = lost.get(reason, 0) + 1
    return outlines, boxes, lost


def _rings(geometry: Any) -> tuple[FloatArray, ...]:
    """One closed path for each polygon of a geometry, its holes included."""
    import shapely

    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if p.geom_type == "Polygon" and p.area > 0]
    loops = ([ring.coords for ring in (part.exterior, *part.interiors)] for part in parts)
    return tuple(join_loops([np.array(ring, dtype=np.float64)[:-1, :2] for ring in part]) for part in loops)


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
