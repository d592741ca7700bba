"""The polygons of a layer whose geometries are of any kind."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from rosgeo.errors import BoxesError, GeometryWarning

__all__ = ["only_polygons"]

_AREAL = (-1, 3, 6)
"""Null, Polygon, MultiPolygon."""


def only_polygons(frame: gpd.GeoDataFrame, name: str) -> gpd.GeoDataFrame:
    """A layer whose geometries are polygons, multipolygons or null.

    Polygons are taken out of collections. A row of points or lines stays, with a null geometry, which makes it ``invalid``.

    Parameters
    ----------
    frame : GeoDataFrame (N rows)
    name : str
        For messages.

    Raises
    ------
    BoxesError
        No row has a polygon, and some have another geometry.

    Warns
    -----
    GeometryWarning
        Rows that have no polygon, by their kind.
    """
    geometries = np.asarray(frame.geometry.to_numpy(), dtype=object)
    kinds = shapely.get_type_id(geometries)
    other = np.flatnonzero(~np.isin(kinds, _AREAL) & ~shapely.is_empty(geometries))
    if not len(other):
        return frame
    taken = geometries.copy()
    for row in other:
        taken[row] = _polygons_in(geometries[row])
    lost = [int(row) for row in other if taken[row] is None]
    if lost:
        found = Counter(str(geometries[row].geom_type) for row in lost)
        if not (np.isin(shapely.get_type_id(taken), (3, 6)) & ~shapely.is_empty(taken)).any():
            raise BoxesError(
                f"{name} holds {' and '.join(sorted(found))} geometries ({len(lost)} of {len(frame)} rows, first in row {lost[0]}); "
                "expected polygons. Buffer points or lines to polygons first."
            )
        kinds_of = ", ".join(f"{n} {kind}" for kind, n in sorted(found.items()))
        warnings.warn(
            f"{name}: {len(lost)} of {len(frame)} rows are no polygons ({kinds_of}; first in row {lost[0]}) and become invalid.",
            GeometryWarning,
            stacklevel=5,
        )
    return frame.set_geometry(gpd.GeoSeries(taken, index=frame.index, crs=frame.crs, name=frame.geometry.name))


def _polygons_in(geometry: Any) -> Any:
    """The polygons of a collection, as one geometry; None where it has none."""
    parts = [part for part in _flat(geometry) if part.geom_type == "Polygon" and not part.is_empty]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _flat(geometry: Any) -> list[Any]:
    if not hasattr(geometry, "geoms"):
        return [geometry]
    return [part for inner in geometry.geoms for part in _flat(inner)]
