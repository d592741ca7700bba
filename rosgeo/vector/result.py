"""The result: one row for every input row, in order, with the input's columns and rosgeo's."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS

from rosgeo.errors import BoxesError
from rosgeo.geometry.boxes import transform_geometries
from rosgeo.types import IntArray, Status
from rosgeo.vector.polygonize import AnyPolygon, geodesic_area_m2

__all__ = ["RESULT_COLUMNS", "SCENE_COLUMN", "ObjectResult", "assemble_result", "refuse_clashing_columns"]

RESULT_COLUMNS = (
    "rosgeo_id",
    "rosgeo_status",
    "rosgeo_score",
    "rosgeo_stability",
    "rosgeo_area_m2",
    "rosgeo_model",
)

SCENE_COLUMN = "rosgeo_scene"
"""The scene, or the tiles of a mosaic, that a box was segmented on; there where a run had several."""


@dataclass(frozen=True)
class ObjectResult:
    """What became of one box.

    Attributes
    ----------
    id : int
        Row of the input.
    status : {"ok", "empty", "outside", "nodata", "invalid", "failed", "missing"}
        ``failed``: the model gave no number, or the frame of a clip cannot be read. ``missing``: the clip has no such frame.
    polygon_map : Polygon, MultiPolygon or None
        In the raster's map frame.
    score, stability : float
        NaN where the model was not asked.
    """

    id: int
    status: Status
    polygon_map: AnyPolygon | None = None
    score: float = float("nan")
    stability: float = float("nan")


def refuse_clashing_columns(frame: gpd.GeoDataFrame, name: str) -> None:
    """Raise BoxesError where an input column has the name of one of rosgeo's, in any case of letters."""
    clashing = [str(c) for c in frame.columns if str(c).lower() in (*RESULT_COLUMNS, SCENE_COLUMN)]
    if clashing:
        raise BoxesError(
            f"{name} has the column{'s' * (len(clashing) > 1)} {', '.join(clashing)}, which rosgeo writes itself. "
            "Rename or drop them in the input."
        )


def assemble_result(
    frame: gpd.GeoDataFrame,
    objects: list[ObjectResult],
    crs: CRS | None,
    model: str,
    *,
    out_crs: CRS | None = None,
    rows: IntArray | None = None,
) -> gpd.GeoDataFrame:
    """Put the results beside the input's columns.

    Parameters
    ----------
    frame : GeoDataFrame
        The input, N rows.
    objects : list of ObjectResult
        In any order, one for each row of the input.
    crs : CRS or None
        Of the polygons.
    model : str
        Name of the model, for `rosgeo_model`.
    out_crs : CRS, optional
        Transform the polygons to this.
    rows : int64 array (N,), optional
        For `rosgeo_id`: the row of the input's layer that each row is. Default: 0..N-1.

    Returns
    -------
    GeoDataFrame
        N rows, the input's index and columns, the polygons as the active geometry under the input's name for it.
    """
    if sorted(o.id for o in objects) != list(range(len(frame))):
        raise AssertionError(f"{len(frame)} input rows, but results for the rows {sorted(o.id for o in objects)[:10]}...")
    ordered = sorted(objects, key=lambda o: o.id)
    polygons = [o.polygon_map for o in ordered]
    # Pixel boxes of a format that always has a CRS must not hand it on to polygons in pixels.
    result = frame.set_crs(None, allow_override=True) if crs is None else frame.copy()
    geometry = np.empty(len(polygons), dtype=object)
    geometry[:] = polygons
    result = result.set_geometry(gpd.GeoSeries(geometry, index=frame.index, crs=crs, name=frame.geometry.name))
    result["rosgeo_id"] = np.arange(len(frame), dtype=np.int64) if rows is None else rows
    result["rosgeo_status"] = [o.status for o in ordered]
    result["rosgeo_score"] = np.array([o.score for o in ordered], dtype=np.float64)
    result["rosgeo_stability"] = np.array([o.stability for o in ordered], dtype=np.float64)
    result["rosgeo_area_m2"] = geodesic_area_m2(polygons, crs)
    result["rosgeo_model"] = model
    if out_crs is not None and crs is not None:
        result = _reproject(result, out_crs)
    return result


def _reproject(result: gpd.GeoDataFrame, crs: CRS) -> gpd.GeoDataFrame:
    # By rosgeo's own transformation, which keeps an outline across the antimeridian in one piece.
    moved = transform_geometries(result.geometry.to_numpy(), result.crs, crs)
    # Rounding in another CRS can make a sliver touch itself.
    geometry = gpd.GeoSeries(shapely.make_valid(moved), index=result.index, crs=crs, name=result.geometry.name)
    return result.set_geometry(geometry)
