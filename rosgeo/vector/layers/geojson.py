"""GeoJSON as RFC 7946 has it: WGS 84, rings by the right hand, cut at the antimeridian."""

from __future__ import annotations

import gc
import json
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import antimeridian
import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

__all__ = ["DIGITS", "in_wgs84", "names_no_crs", "on_the_globe", "read_properties", "tail_member", "write_geojson"]

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


def write_geojson(
    polygons: npt.NDArray[Any], names: Sequence[str], columns: Sequence[Sequence[Any]], path: Path, record: Any, *, on_earth: bool
) -> None:
    """Write features.

    Not by GDAL, which gives a number 15 digits, a column one type, and takes some names for ids.

    Parameters
    ----------
    polygons : object array (N,)
        In WGS 84, see `in_wgs84`; None where there is none.
    names : sequence of str
        Of the properties, each once.
    columns : sequence of sequences (N,)
        Their plain values.
    path : path
    record : JSON
        Added as the foreign member ``rosgeo`` (RFC 7946, 6.1) at the end.
    on_earth : bool
        False: ``"crs": null``, without which readers take pixel coordinates for degrees.
    """
    shapes = (None if p is None else shapely.to_geojson(p) for p in polygons)
    rows = zip(*columns, strict=True) if columns else ((),) * len(polygons)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{\n"type": "FeatureCollection",\n' + ("" if on_earth else '"crs": null,\n'))
        file.write(f'"name": {json.dumps(path.stem, ensure_ascii=False)},\n"features": [')
        for i, (shape, values) in enumerate(zip(shapes, rows, strict=True)):
            properties = json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, allow_nan=False)
            file.write(f'{"," * (i > 0)}\n{{"type": "Feature", "properties": {properties}, "geometry": {shape or "null"}}}')
        file.write(f'\n],\n"rosgeo": {json.dumps(record)}\n}}\n')


def read_properties(path: str | Path) -> tuple[list[dict[str, Any]], list[Any]] | None:
    """The properties of a file's features and their ids, None where a feature has none; None where it is no local GeoJSON."""
    file = Path(path)
    if file.suffix.lower() not in (".geojson", ".json") or not file.is_file():
        return None
    try:
        with _no_collection():
            content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError):
        return None
    features = content.get("features") if isinstance(content, dict) and content.get("type") == "FeatureCollection" else None
    if not isinstance(features, list) or not all(_is_feature(f) for f in features):
        return None
    return [f["properties"] or {} for f in features], [f.get("id") for f in features]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for cycles, which takes three quarters of the time in which many small objects are made."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _is_feature(value: Any) -> bool:
    # GDAL takes other members for properties where these are missing.
    return isinstance(value, dict) and value.get("type") == "Feature" and isinstance(value.get("properties", 0), dict | None)


def tail_member(path: str | Path, name: str) -> Any:
    """What `write_geojson` wrote of a record, without reading the whole file; None where there is nothing of the name."""
    with Path(path).open("rb") as file:
        file.seek(-min(_TAIL_BYTES, Path(path).stat().st_size), 2)
        _, found, text = file.read().decode("utf-8", "replace").rpartition(f'\n"{name}": ')
    try:
        return json.JSONDecoder().raw_decode(text)[0] if found else None
    except ValueError:
        return None
