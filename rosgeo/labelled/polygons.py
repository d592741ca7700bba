"""The ways in which people write polygons in JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from rosgeo.labelled.json_files import parse_json
from rosgeo.types import FloatArray

__all__ = ["rings_from"]

_NUMBERS = re.compile(r"[\d.eE+\-\s,;()\[\]]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_KEYS = (("x", "y"), ("X", "Y"), ("lng", "lat"), ("all_points_x", "all_points_y"), ("cx", "cy"))


def rings_from(value: Any) -> tuple[FloatArray, ...]:
    """Rings from whatever way to write a polygon leaves no doubt.

    Parameters
    ----------
    value : object
        ``[x, y, x, y, ...]``; ``[[x, y], ...]``; points with x and y by name; two lists by name (VIA); GeoJSON's Polygon or
        MultiPolygon, or a feature or collection of them; numbers as text; a text of numbers or of well-known text; points with a height,
        which is left out; or a list of any of these.

    Returns
    -------
    tuple of float64 arrays (n, 2)
        Each of at least three points; shorter ones are no outline and are dropped.

    Raises
    ------
    ValueError
        It is none of these; the message says what it holds.
    """
    return tuple(ring for ring in _rings(value, 0) if len(ring) >= 3)


def _rings(value: Any, depth: int) -> list[FloatArray]:
    if depth > 6:
        raise ValueError("lists in lists in lists")
    if isinstance(value, str):
        return _from_text(value, depth)
    if isinstance(value, dict):
        return _from_names(value, depth)
    if not isinstance(value, Sequence):
        raise ValueError(_kind(value))
    return _from_list(value, depth) if value else []


def _from_list(value: Sequence[Any], depth: int) -> list[FloatArray]:
    if all(_is_number(v) for v in value):
        return [_flat(value)]
    if len(value) > 2 and all(isinstance(v, str) and _NUMBER.fullmatch(v.strip()) for v in value):
        return [_flat([float(v) for v in value])]
    if all(_is_point(v) for v in value) or (len(value) > 2 and all(_is_point_with_height(v) for v in value)):
        return [np.array([_point(v) for v in value], dtype=np.float64)]
    if all(isinstance(v, list | tuple | dict | str) for v in value):
        return [ring for v in value for ring in _rings(v, depth + 1)]
    raise ValueError(f"a list of {_kind(value[0])} and others")


def _flat(numbers: Sequence[Any]) -> FloatArray:
    if len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers in a row, which are no pairs of x and y")
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_point(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_number(value.get(x)) and _is_number(value.get(y)) for x, y in _KEYS)
    return isinstance(value, list | tuple) and len(value) == 2 and all(_is_number(v) for v in value)


def _is_point_with_height(value: Any) -> bool:
    # Three numbers are no outline of their own, whose numbers are pairs.
    return isinstance(value, list | tuple) and len(value) == 3 and all(_is_number(v) for v in value)


def _point(value: Any) -> tuple[float, float]:
    if isinstance(value, dict):
        x, y = next((value[x], value[y]) for x, y in _KEYS if _is_number(value.get(x)) and _is_number(value.get(y)))
        return x, y
    return value[0], value[1]


def _from_names(value: dict[str, Any], depth: int) -> list[FloatArray]:
    kind = value.get("type")
    if kind == "Polygon" and isinstance(value.get("coordinates"), list):
        return _rings([[p[:2] for p in ring] for ring in value["coordinates"]], depth + 1)
    if kind == "MultiPolygon" and isinstance(value.get("coordinates"), list):
        return [r for part in value["coordinates"] for r in _from_names({"type": "Polygon", "coordinates": part}, depth + 1)]
    for name, key in (("Feature", "geometry"), ("FeatureCollection", "features"), ("GeometryCollection", "geometries")):
        if kind == name and isinstance(value.get(key), list | dict):
            return _rings(value[key], depth + 1)
    for x, y in _KEYS:
        xs, ys = value.get(x), value.get(y)
        if isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys) and all(map(_is_number, [*xs, *ys])):
            return [np.array([xs, ys], dtype=np.float64).T]
    for key in ("points", "polygon", "vertices", "segmentation", "exterior"):
        if key in value:
            return _rings(value[key], depth + 1)
    raise ValueError(f"an object with the keys {', '.join(map(str, list(value)[:6])) or 'none'}")


def _from_text(text: str, depth: int) -> list[FloatArray]:
    stripped = text.strip()
    if re.match(r"(?i)(multi)?polygon", stripped):
        import shapely

        try:
            geometry = shapely.from_wkt(stripped)
        except shapely.errors.ShapelyError as error:
            raise ValueError(f"a text that is no polygon: {stripped[:40]}") from error
        return _from_names(parse_json(shapely.to_geojson(geometry)), depth + 1)
    if stripped[:1] in "[{":
        try:
            return _rings(parse_json(stripped), depth + 1)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a text that is no polygon: {stripped[:40]}") from error
    if stripped and _NUMBERS.fullmatch(stripped) and len(re.split(r"[\s,;]+", stripped)) > 2:
        return [_flat([float(n) for n in re.split(r"[\s,;]+", stripped.strip(",; ")) if n])]
    raise ValueError(f"a text that is no polygon: {stripped[:40]}")


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:40]}"
