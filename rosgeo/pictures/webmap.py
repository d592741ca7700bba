"""A result as a web map of folium, with the scene under it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rosgeo.errors import CRSMismatchError, OptionError
from rosgeo.pictures.scene_picture import (
    SCORE_COLOURS,
    ScenePicture,
    boxes_in,
    colour_of,
    has_crs,
    picture_reader,
    picture_transform,
    read_picture,
)
from rosgeo.raster.bands import Band
from rosgeo.raster.reading import Reading, make_reading
from rosgeo.raster.source import open_source
from rosgeo.types import RasterGrid, UInt8Array

if TYPE_CHECKING:
    import folium
    import geopandas as gpd

__all__ = ["view"]

_DEGREES = 4326
_MERCATOR = 3857
_BOX_COLOUR = "#40c8ff"


def view(
    result: gpd.GeoDataFrame,
    scene: Any = None,
    *,
    boxes: Any = None,
    bands: str | tuple[Band, ...] | None = None,
    stretch: str = "auto",
    nodata: str | float | Sequence[float] | None = None,
    dem: str | Path | None = None,
    height: float | None = None,
    max_side: int = 2048,
    tiles: str | None = None,
) -> folium.Map:
    """Show a result on a web map.

    Parameters
    ----------
    result : GeoDataFrame
        See `rosgeo.segment`.
    scene : path, rasterio data set or DataArray, optional
        Its scene; shown under the outlines, brought to Web Mercator.
    boxes : path or GeoDataFrame, optional
        The boxes that it was made from, a row each; drawn dashed.
    bands, stretch, nodata, dem, height
        As for the run; see `rosgeo.segment`.
    max_side : int
        Pixels a side of the scene's picture, at most.
    tiles : str, optional
        A background of folium's, as ``"OpenStreetMap"``, which the browser fetches. Default: none, so that no server of maps is told
        where the scene lies.

    Returns
    -------
    folium.Map
        Outlines coloured by `rosgeo_score`, each with rosgeo's columns as a tooltip. Scene and outlines are in the page; the script that
        shows it, Leaflet, is fetched from the network by the browser, as for every map of folium. `rosgeo.plot` needs none.

    Raises
    ------
    OptionError
        folium is not installed; or boxes of another number of rows.
    CRSMismatchError
        The result or the scene has no CRS, so that it has no place on a map of the world.
    """
    try:
        import folium
    except ImportError as error:
        raise OptionError("rosgeo.view needs folium; install it with: pip install 'rosgeo[map]'") from error
    if not has_crs(result):
        raise CRSMismatchError("the result has no CRS, so it has no place on a web map; draw it with rosgeo.plot")
    shown = folium.Map(tiles=tiles, zoom_control=True, max_zoom=24)
    if scene is not None:
        picture, bounds = _scene_on_mercator(scene, make_reading(nodata, dem, height), bands, stretch, max_side)
        folium.raster_layers.ImageOverlay(_png_url(picture), bounds, name="scene", mercator_project=False).add_to(shown)
    if boxes is not None:
        prompts = boxes_in(boxes, result).to_crs(_DEGREES)
        style = {"color": _BOX_COLOUR, "weight": 1, "dashArray": "4 4", "fill": False}
        there = prompts[~(prompts.geometry.isna() | prompts.geometry.is_empty)]
        folium.GeoJson(
            there[[there.geometry.name]].to_json(), name="boxes", style_function=lambda _: style, interactive=False
        ).add_to(shown)
    outlines = _for_tooltips(result)
    if len(outlines):
        columns = [c for c in outlines.columns if c != outlines.geometry.name and c != "colour"]
        folium.GeoJson(
            outlines.to_json(),
            name="outlines",
            style_function=lambda feature: {"color": feature["properties"]["colour"], "weight": 2, "fillOpacity": 0.08},
            highlight_function=lambda _: {"weight": 4},
            tooltip=folium.GeoJsonTooltip(columns),
        ).add_to(shown)
        shown.fit_bounds(_corners(outlines.total_bounds))
    elif scene is not None:
        shown.fit_bounds(bounds)
    page: Any = shown.get_root()
    page.html.add_child(folium.Element(_legend()))
    folium.LayerControl(collapsed=True).add_to(shown)
    return shown


def _for_tooltips(result: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Rows with an outline in degrees, rosgeo's columns rounded to what a person reads, and their colour."""
    own = [c for c in result.columns if str(c).startswith("rosgeo_")]
    frame = result[[*own, result.geometry.name]][~(result.geometry.isna() | result.geometry.is_empty)].to_crs(_DEGREES)
    frame["colour"] = [colour_of(score) for score in frame["rosgeo_score"]]
    for column, digits in (("rosgeo_score", 3), ("rosgeo_stability", 3), ("rosgeo_area_m2", 1)):
        if column in frame:
            frame[column] = frame[column].round(digits)
    return frame


def _scene_on_mercator(
    scene: Any, reading: Reading, bands: Any, stretch: str, max_side: int
) -> tuple[UInt8Array, list[list[float]]]:
    """The scene's picture in Web Mercator, RGBA (h, w, 4), and its corners [[south, west], [north, east]] in degrees."""
    with open_source(scene, reading) as source:
        if source.grid.crs is None:
            raise CRSMismatchError(
                f"{source.name} has no CRS, so it has no place on a web map; leave the scene out, or use rosgeo.plot"
            )
        reader = picture_reader(source, bands, stretch)
        return _to_mercator(read_picture(reader, max_side), reader.source.grid, max_side)


def _to_mercator(picture: ScenePicture, grid: RasterGrid, max_side: int) -> tuple[UInt8Array, list[list[float]]]:
    import rasterio
    from pyproj import Transformer
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    height, width = picture.valid.shape
    rgba = np.concatenate([picture.rgb.transpose(2, 0, 1), np.where(picture.valid, 255, 0)[None].astype(np.uint8)])
    assert grid.crs is not None
    src_crs, dst_crs = rasterio.CRS.from_wkt(grid.crs.to_wkt()), rasterio.CRS.from_epsg(_MERCATOR)
    t = picture_transform(grid) * picture.to_px
    corners = np.array([t * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))])
    (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
    # Of the upright envelope, for a raster that is turned against the map.
    transform, columns, rows = calculate_default_transform(src_crs, dst_crs, width, height, left, bottom, right, top)
    grow = max(1.0, max(columns, rows) / max_side)
    columns, rows = max(int(columns / grow), 1), max(int(rows / grow), 1)
    transform = transform * transform.scale(grow)
    out = np.zeros((4, rows, columns), dtype=np.uint8)
    reproject(rgba, out, src_transform=t, src_crs=src_crs, dst_transform=transform, dst_crs=dst_crs, resampling=Resampling.bilinear)
    to_degrees = Transformer.from_crs(_MERCATOR, _DEGREES, always_xy=True)
    west, north = to_degrees.transform(transform.c, transform.f)
    east, south = to_degrees.transform(transform.c + columns * transform.a, transform.f + rows * transform.e)
    return out.transpose(1, 2, 0), [[south, west], [north, east]]


def _corners(bounds: Any) -> list[list[float]]:
    west, south, east, north = (float(v) for v in bounds)
    return [[south, west], [north, east]]


def _png_url(rgba: UInt8Array) -> str:
    png = BytesIO()
    Image.fromarray(rgba).save(png, "png")
    return "data:image/png;base64," + b64encode(png.getvalue()).decode()


_LEGEND_STYLE = (
    "position:fixed;bottom:24px;left:12px;z-index:9999;background:#444c;color:#fff;"
    "padding:6px 10px;font:12px sans-serif;border-radius:4px"
)


def _legend() -> str:
    classes = (
        f'<div><span style="color:{colour}">&#9632;</span> {low:.2f} to {high:.2f}</div>' for low, high, colour in SCORE_COLOURS
    )
    return f'<div style="{_LEGEND_STYLE}"><b>rosgeo_score</b>{"".join(classes)}</div>'
