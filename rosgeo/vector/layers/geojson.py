"""GeoJSON as RFC 7946 has it: WGS 84, rings by the right hand, cut at the antimeridian."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import antimeridian
import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

__all__ = ["DIGITS", "add_member", "in_wgs84", "names_no_crs", "on_the_globe", "tail_member"]

DIGITS = 8
"""Of a coordinate in degrees: 1.1 mm. RFC 7946 (11.2) asks for no more than the data bear; outlines follow a pixel to a hundredth."""

_TAIL_BYTES = 4 << 20


def in_wgs84(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """A layer with a CRS as RFC 7946 wants it.

    Returns
    -------
    GeoDataFrame
        All rows, in WGS 84: longitudes from -180 to 180, coordinates rounded to `DIGITS` without becoming invalid, outer rings
        counter-clockwise, polygons that cross the antimeridian cut along it (RFC 7946, 3.1.6 and 3.1.9).
    """
    moved = frame.to_crs(4326)
    moved.geometry = gpd.GeoSeries(on_the_globe(moved.geometry.to_numpy()), index=moved.index, crs=4326)
    return moved


def on_the_globe(polygons: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Polygons in degrees (N,), None among them, as `in_wgs84` describes."""
    cut = polygons.copy()
    low, _, high, _ = shapely.bounds(polygons).T
    with np.errstate(invalid="ignore"):
        crossing = (high - low > 180) | (high > 180) | (low < -180)
    for i in np.flatnonzero(crossing):
        # Straight lines in degrees, as RFC 7946 (3.1.1) understands them.
        shape = antimeridian.fix_shape(shapely.geometry.mapping(polygons[i]), great_circle=False)
        cut[i] = shapely.geometry.shape(shape)
    rounded = shapely.set_precision(shapely.make_valid(cut), 10.0**-DIGITS)
    return np.array([None if p is None else _polygonal(p) for p in rounded] + [None], dtype=object)[:-1]


def _polygonal(shape: Any) -> Polygon | MultiPolygon | None:
    """The polygons of a shape, turned by the right hand; what rounding made a line goes."""
    flat = [p for part in shapely.get_parts(shape) for p in shapely.get_parts(part)]
    parts = [p for p in shapely.orient_polygons(flat) if isinstance(p, Polygon) and p.area > 0]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def names_no_crs(path: str) -> bool:
    """Whether a GeoJSON file has no member ``crs``, so that its CRS is only that which RFC 7946 (4) gives to all.

    True too where the file is not a local one: files that name WGS 84 themselves are few.
    """
    if not Path(path).is_file() or not Path(path).stat().st_size:
        return not Path(path).exists()
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if text.find(b'"crs"') < 0:
            return True
    try:
        # It may be a property of a feature.
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError:
        return False
    return isinstance(content, dict) and "crs" not in content


def add_member(path: Path, name: str, value: Any) -> None:
    """Add a foreign member (RFC 7946, 6.1) at the end of a file that holds one JSON object."""
    with path.open("r+b") as file:
        file.seek(-min(64, path.stat().st_size), 2)
        place, tail = file.tell(), file.read()
        end = place + tail.rindex(b"}")
        file.seek(end)
        file.truncate()
        file.write(f',\n"{name}": {json.dumps(value)}\n}}\n'.encode())


def tail_member(path: str | Path, name: str) -> Any:
    """What `add_member` wrote, without reading the whole file; None where there is nothing of the name."""
    with Path(path).open("rb") as file:
        file.seek(-min(_TAIL_BYTES, Path(path).stat().st_size), 2)
        _, found, text = file.read().decode("utf-8", "replace").rpartition(f'\n"{name}": ')
    try:
        return json.JSONDecoder().raw_decode(text)[0] if found else None
    except ValueError:
        return None
