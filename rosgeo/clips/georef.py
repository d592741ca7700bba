"""One georeferencing for all frames of a clip, from a file of its own."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from rosgeo.errors import CRSMismatchError, InputFileNotFoundError, RasterError
from rosgeo.geometry.mapping import HomographyMapping, affine_from_points, homography_from_points
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray, PixelMapping

__all__ = ["Georeference", "read_georef"]

_KEYS = ("homography", "crs")
_AFFINE_RESIDUAL_PX = 0.1
"""As for the GCPs of a raster: points that an affine transform meets within this are taken as affine."""


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of every frame lie.

    Attributes
    ----------
    mapping : PixelMapping
    crs : CRS
    name : str
        Of the file.
    shape : (int, int) or None
        Height and width of the pictures that it is for, where the file tells.
    """

    mapping: PixelMapping
    crs: CRS
    name: str
    shape: tuple[int, int] | None = None


def read_georef(path: str | Path) -> Georeference:
    """Read one georeferencing.

    Parameters
    ----------
    path : path
        - ``.json``: ``{"homography": [[..], [..], [..]], "crs": "EPSG:32650"}``, the 3 x 3 matrix from pixel points (x, y, 1), with the
          centre of the top-left pixel at (0.5, 0.5), to map points.
        - ``.points``: ground control points as QGIS's georeferencer saves them for a picture without georeferencing (columns ``mapX``,
          ``mapY``, ``sourceX``, ``sourceY`` or ``pixelX``, ``pixelY``, y counted upwards and so negative, and ``enable``), with the line
          ``#CRS: ...`` before them. An affine transform where it meets them within 0.1 px or there are three, else the homography that
          meets them best: the view of a camera on flat ground.
        - Any raster that GDAL opens: its own grid.

    Raises
    ------
    InputFileNotFoundError, RasterError, CRSMismatchError
        No such file; not such a file; no CRS in it.
    """
    source = Path(path)
    if source.suffix.lower() in (".json", ".points") and not source.is_file():
        raise InputFileNotFoundError(
            f"{path}: no such file; expected a homography (.json), ground control points (.points) or a raster"
        )
    if source.suffix.lower() == ".json":
        return _of_json(source)
    if source.suffix.lower() == ".points":
        return _of_gcps(source)
    with open_source(path) as raster:
        if raster.grid.crs is None:
            raise CRSMismatchError(f"{path} has no CRS; expected a georeferenced raster")
        return Georeference(raster.grid.mapping, raster.grid.crs, str(path), raster.grid.shape)


def _of_json(path: Path) -> Georeference:
    example = '{"homography": [[..], [..], [..]], "crs": "EPSG:32650"}'
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RasterError(f"{path} is not JSON ({error}); expected {example}") from error
    unknown = [] if not isinstance(values, dict) else [key for key in values if key not in _KEYS]
    if not isinstance(values, dict) or unknown or "homography" not in values:
        found = f'the key "{unknown[0]}"' if unknown else "no homography"
        raise RasterError(f"{path} holds {found}; expected {example}")
    if "crs" not in values:
        raise CRSMismatchError(f'{path} has no "crs"; expected {example}')
    try:
        matrix = np.array(values["homography"], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise RasterError(f"{path}: the homography is not 3 x 3 numbers; expected {example}") from error
    return Georeference(_named(path, HomographyMapping, matrix), _crs(values["crs"], path), str(path))


def _of_gcps(path: Path) -> Georeference:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = file.read().splitlines()
    crs = next((line.removeprefix("#CRS:").strip() for line in lines if line.startswith("#CRS:")), "")
    if not crs:
        raise CRSMismatchError(f"{path} has no line that begins with #CRS:; add one before the points, as in #CRS: EPSG:32650")
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    header = next(csv.reader([rows[0][1]])) if rows else []
    pixel = "source" if "sourceX" in header else "pixel"
    columns = ("mapX", "mapY", f"{pixel}X", f"{pixel}Y")
    if any(column not in header for column in columns):
        raise RasterError(
            f"{path} is no file of ground control points of QGIS: expected the columns mapX, mapY, sourceX, sourceY, enable"
        )
    points = []
    for number, line in rows[1:]:
        row = dict(zip(header, next(csv.reader([line])), strict=False))
        try:
            if float(row.get("enable", 1)):
                points.append([float(row[column]) for column in columns])
        except (ValueError, KeyError) as error:
            raise RasterError(f"{path}, line {number}: expected numbers, found {line[:80]!r}") from error
    values = np.array(points, dtype=np.float64).reshape(-1, 4)
    return Georeference(_named(path, _fit, values[:, 2:] * (1, -1), values[:, :2]), _crs(crs, path), str(path))


def _fit(points_px: FloatArray, points_map: FloatArray) -> PixelMapping:
    affine, residual_px = affine_from_points(points_px, points_map)
    if len(points_px) == 3 or residual_px <= _AFFINE_RESIDUAL_PX:
        return affine
    return homography_from_points(points_px, points_map)


def _named(path: Path, make: Any, *values: FloatArray) -> Any:
    """What `make` makes of values; its errors with the file's name before them."""
    try:
        return make(*values)
    except RasterError as error:
        raise RasterError(f"{path}: {error}") from error


def _crs(text: Any, path: Path) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise RasterError(f"{path}: {str(text)[:80]!r} is no CRS that PROJ knows; expected something like EPSG:32650") from error
