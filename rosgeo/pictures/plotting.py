"""A result as a figure of matplotlib: the scene with boxes and outlines, and a sheet of the objects, worst scores first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

from rosgeo.errors import OptionError
from rosgeo.geometry.windows import CropPolicy, clip_box, plan_window
from rosgeo.pictures.scene_picture import (
    SCORE_COLOURS,
    ScenePicture,
    boxes_in,
    boxes_on,
    colour_of,
    on_grid,
    picture_reader,
    picture_transform,
    read_picture,
)
from rosgeo.raster.bands import Band
from rosgeo.raster.crops import CropReader
from rosgeo.raster.reading import make_reading
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray, RasterGrid

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

_COLUMNS = 6
_CELL_INCHES = 1.7
_OVERVIEW_INCHES, _LEAST_INCHES = 8.0, 2.5
"""The overview's height at most and at least; the legend needs some."""
_BESIDE_INCHES, _BELOW_INCHES = 2.0, 0.4
"""What legend and axes take of the overview's width and height."""
_BOX_COLOUR = "#40c8ff"
_AROUND = 0.05
"""Ground round the outlines that the overview shows, over their extent."""


def plot(
    result: gpd.GeoDataFrame,
    scene: Any,
    *,
    boxes: Any = None,
    objects: int = 18,
    whole: bool = False,
    bands: str | tuple[Band, ...] | None = None,
    stretch: str = "auto",
    nodata: str | float | Sequence[float] | None = None,
    dem: str | Path | None = None,
    height: float | None = None,
    max_side: int = 1600,
) -> Figure:
    """Draw a result over its scene.

    Parameters
    ----------
    result : GeoDataFrame
        See `rosgeo.segment`, in any CRS.
    scene : path, rasterio data set or DataArray
        Its scene.
    boxes : path or GeoDataFrame, optional
        The boxes that it was made from, a row each; drawn dashed.
    objects : int
        So many objects get a picture of their own below the overview, the lowest scores first; 0 for none.
    whole : bool
        The overview shows the whole scene, and not only the ground round outlines and boxes.
    bands, stretch, nodata, dem, height
        As for the run; see `rosgeo.segment`.
    max_side : int
        Pixels a side of the overview's picture, at most.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.axes[0]`` is the overview, the others are the objects. All are in the units of the raster's CRS (x = column, y = -row,
        where it has no georeferencing), so that more can be drawn on them. The raster is placed by its transform and not resampled: north
        is where the raster has it. Outlines are coloured by `rosgeo_score`; objects without an outline show their box alone.

    Raises
    ------
    OptionError
        matplotlib is not installed; or boxes of another number of rows.
    """
    figure_class = _figure_class()
    if objects < 0 or max_side < 1:
        raise OptionError(f"objects {objects}, max_side {max_side}: expected numbers of at least 0 and 1")
    prompts = None if boxes is None else boxes_in(boxes, result)
    with open_source(scene, make_reading(nodata, dem, height)) as source:
        reader = picture_reader(source, bands, stretch)
        grid = reader.source.grid
        outlines = on_grid(result, grid)
        asked = None if prompts is None else boxes_on(prompts, source)
        chosen = _worst(result, outlines, asked)[:objects]
        rows = math.ceil(len(chosen) / _COLUMNS)
        picture = read_picture(reader, max_side, None if whole else _extent_px(outlines, asked, grid))
        above = _overview_inches(picture, grid)
        figure = figure_class(figsize=(_COLUMNS * _CELL_INCHES, above + rows * (_CELL_INCHES + 0.25)), layout="constrained")
        cells = figure.add_gridspec(1 + rows, _COLUMNS, height_ratios=[above, *[_CELL_INCHES + 0.25] * rows])
        overview = figure.add_subplot(cells[0, :])
        _show(overview, picture, grid)
        scores = result["rosgeo_score"].to_numpy(dtype=np.float64)
        for row in range(len(result)):
            _draw(overview, outlines[row], None if asked is None else asked[row], scores[row], 1.0)
        _legend(overview, boxes is not None)
        ids = result["rosgeo_id"].to_numpy()
        for position, row in enumerate(chosen):
            cell = figure.add_subplot(cells[1 + position // _COLUMNS, position % _COLUMNS])
            _object(cell, reader, outlines[row], None if asked is None else asked[row], scores[row])
            cell.set_title(f"{ids[row]}: {scores[row]:.2f}", fontsize=8, pad=2)
    return figure


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError("rosgeo.plot needs matplotlib; install it with: pip install 'rosgeo[plot]'") from error

    class ShownFigure(Figure):
        """A figure that a notebook shows, and that pyplot does not hold."""

        def _repr_png_(self) -> bytes:
            png = BytesIO()
            self.savefig(png, format="png", dpi=100)
            return png.getvalue()

    return ShownFigure


def _worst(result: gpd.GeoDataFrame, outlines: Any, asked: Any) -> list[int]:
    """Rows with something to show, the lowest scores first, those without a score before them."""
    scores = np.nan_to_num(result["rosgeo_score"].to_numpy(dtype=np.float64), nan=-1.0)
    seen = ~shapely.is_missing(outlines) if asked is None else ~(shapely.is_missing(outlines) & shapely.is_missing(asked))
    return [int(row) for row in np.argsort(scores, kind="stable") if seen[row]]


def _extent_px(outlines: Any, asked: Any, grid: RasterGrid) -> FloatArray | None:
    """The part of the raster that holds all outlines and boxes, with some ground round them; None where there are none."""
    shapes = outlines if asked is None else np.concatenate([outlines, asked])
    points = shapely.get_coordinates(shapes)
    if not len(points):
        return None
    px = grid.mapping.to_px(points)
    low, high = px.min(axis=0), px.max(axis=0)
    margin = max(_AROUND * float((high - low).max()), 8.0)
    return np.concatenate([low - margin, high + margin])


def _show(axes: Axes, picture: ScenePicture, grid: RasterGrid) -> None:
    """Put a picture on axes in map units."""
    from matplotlib.transforms import Affine2D

    height, width = picture.valid.shape
    t = picture_transform(grid) * picture.to_px
    low, high = _map_extent(picture, grid)
    rgba = np.dstack([picture.rgb, np.where(picture.valid, 255, 0).astype(np.uint8)])
    # Cells of the picture, edge to edge, and from there to the map.
    to_map = Affine2D(np.array([[t.a, t.b, t.c], [t.d, t.e, t.f], [0, 0, 1]]))
    axes.imshow(rgba, extent=(0, width, height, 0), interpolation="nearest", transform=to_map + axes.transData, zorder=0)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect(_aspect(low, high, grid))
    axes.tick_params(labelsize=7)
    axes.ticklabel_format(useOffset=False, style="plain")


def _map_extent(picture: ScenePicture, grid: RasterGrid) -> tuple[FloatArray, FloatArray]:
    """The least and the largest x and y that a picture shows, in map units."""
    height, width = picture.valid.shape
    t = picture_transform(grid) * picture.to_px
    corners = np.array([t * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))])
    return corners.min(axis=0), corners.max(axis=0)


def _aspect(low: FloatArray, high: FloatArray, grid: RasterGrid) -> float:
    """How much longer a unit of y is than one of x: a degree of longitude is shorter than one of latitude."""
    geographic = grid.crs is not None and grid.crs.is_geographic
    return 1 / math.cos(math.radians(float((low + high)[1] / 2))) if geographic else 1.0


def _overview_inches(picture: ScenePicture, grid: RasterGrid) -> float:
    """As high as the picture is in the figure's width, so that a wide one has no empty paper above and below."""
    low, high = _map_extent(picture, grid)
    width, height = high - low
    shown = (_COLUMNS * _CELL_INCHES - _BESIDE_INCHES) * float(height / width) * _aspect(low, high, grid) + _BELOW_INCHES
    return min(max(shown, _LEAST_INCHES), _OVERVIEW_INCHES)


def _draw(axes: Axes, outline: Any, box: Any, score: float, width: float) -> None:
    from matplotlib.collections import LineCollection

    if box is not None and not shapely.is_missing(box):
        rings = [shapely.get_coordinates(ring) for part in shapely.get_parts(box) for ring in shapely.get_rings(part)]
        axes.add_collection(LineCollection(rings, colors=_BOX_COLOUR, linewidths=width * 0.8, linestyles="dashed"), autolim=False)
    if not shapely.is_missing(outline):
        rings = [shapely.get_coordinates(ring) for part in shapely.get_parts(outline) for ring in shapely.get_rings(part)]
        axes.add_collection(LineCollection(rings, colors=colour_of(score), linewidths=width * 1.4), autolim=False)


def _legend(axes: Axes, with_boxes: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, lw=2, label=f"{low:.2f} to {high:.2f}") for low, high, colour in SCORE_COLOURS]
    if with_boxes:
        handles.append(Line2D([], [], color=_BOX_COLOUR, lw=1, ls="dashed", label="box"))
    axes.legend(
        handles=handles,
        title="rosgeo_score",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=7,
        title_fontsize=8,
        facecolor="#888888",
    )


def _object(axes: Axes, reader: CropReader, outline: Any, box: Any, score: float) -> None:
    """One object with the ground that its crop shows."""
    grid = reader.source.grid
    shapes = [shape for shape in (outline, box) if shape is not None and not shapely.is_missing(shape)]
    px = grid.mapping.to_px(shapely.get_coordinates(shapes))
    around = clip_box(np.concatenate([px.min(axis=0), px.max(axis=0)]), grid.shape)
    window = plan_window(around, grid.shape, CropPolicy())
    crop = reader.read(window, around, 0)
    scale = window.size / crop.valid.shape[0]
    to_px = Affine.translation(window.col_off, window.row_off) * Affine.scale(scale)
    _show(axes, ScenePicture(crop.image.transpose(1, 2, 0), crop.valid, to_px), grid)
    _draw(axes, outline, box, score, 1.0)
    axes.set_xticks([])
    axes.set_yticks([])
