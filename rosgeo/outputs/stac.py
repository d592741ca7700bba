"""A STAC item for a result: what it shows, where, when, and its files."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import antimeridian
import numpy as np
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning

from rosgeo.addresses.secrets import file_name, without_secrets
from rosgeo.errors import OptionError, OutputError
from rosgeo.geometry.boxes import transform_points
from rosgeo.geometry.crs import is_local
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray, RasterGrid
from rosgeo.vector.layers.geojson import on_the_globe
from rosgeo.vector.layers.write import check_output, writing

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["check_stac", "scene_times", "stac_item", "write_stac"]

# Versions of https://github.com/radiantearth/stac-spec and of the extensions at https://stac-extensions.github.io
_VERSION = "1.1.0"
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"

_MEDIA_TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".parquet": "application/vnd.apache.parquet",
    ".geoparquet": "application/vnd.apache.parquet",
    ".geojson": "application/geo+json",
    ".json": "application/json",
    ".fgb": "application/vnd.flatgeobuf",
    ".shp": "application/vnd.shp",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".tiff": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
_POINTS_A_SIDE = 21
_DEGREES = 1e-7


def check_stac(scene: str, path: str | Path, scene_time: str | None, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> None:
    """Find out before any work whether an item can be written.

    Raises
    ------
    OutputError
        See `check_output`.
    OptionError
        See `scene_times`.
    """
    if str(path) in inputs:
        raise OutputError(f"{path} is named twice as an output; name each once")
    check_output(path, overwrite=overwrite, inputs=inputs)
    scene_times(scene, scene_time)


def scene_times(scene: str, given: str | None) -> dict[str, str | None]:
    """When a scene was taken, as STAC's properties.

    Parameters
    ----------
    scene : str
        Path of the scene. What it tells: ``ACQUISITIONDATETIME`` of GDAL's IMAGERY metadata, else TIFF's date.
    given : str or None
        The user's word: a date, a time (UTC where it names no zone), or two of them as START/END. A date is the whole day.

    Returns
    -------
    dict
        ``datetime``; or ``datetime`` null with ``start_datetime`` and ``end_datetime``, since STAC lets none of them be unknown.

    Raises
    ------
    OptionError
        Neither tells, or `given` is no time.
    """
    text = given if given is not None else _told_by(scene)
    if text is None:
        raise OptionError(
            f"--stac needs to know when the scene was taken, and {scene} does not tell. Pass --datetime TIME, as in 2024-05-01, "
            "2024-05-01T10:30:00Z, or START/END"
        )
    first, slash, last = text.partition("/")
    try:
        begin, end = _moments(first.strip())[0], _moments((last if slash else first).strip())[1]
    except ValueError:
        raise OptionError(
            f"--datetime {text!r}: expected a date or time, or two as START/END, as in 2024-05-01 or 2024-05-01T10:30:00Z"
        ) from None
    if begin > end:
        raise OptionError(f"--datetime {text!r}: the end is before the start")
    if begin == end:
        return {"datetime": _rfc3339(begin)}
    return {"datetime": None, "start_datetime": _rfc3339(begin), "end_datetime": _rfc3339(end)}


def _told_by(scene: str) -> str | None:
    with warnings.catch_warnings(), rasterio.open(scene) as dataset:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        text = dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME") or dataset.tags().get("TIFFTAG_DATETIME") or ""
    # TIFF writes dates with colons.
    text = re.sub(r"^(\d{4})[:-](\d\d)[:-](\d\d)\b", r"\1-\2-\3", text.strip())
    try:
        _moments(text)
    except ValueError:
        return None
    return text


def _moments(text: str) -> tuple[datetime, datetime]:
    """First and last moment of a date, or one time twice."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        day = date.fromisoformat(text)
        return datetime.combine(day, time(0, 0, 0), UTC), datetime.combine(day, time(23, 59, 59), UTC)
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment, moment


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def write_stac(
    path: str | Path,
    scene: str,
    record: Mapping[str, Any],
    *,
    outlines: Sequence[str],
    scene_time: str | None,
    reading: Reading = AS_TAGGED,
    **further: str | None,
) -> None:
    """Write the item of a result beside it.

    Parameters
    ----------
    path : path
        The item; replaced where it exists.
    scene : str
        Path of the scene.
    record : mapping
        The run's record.
    outlines : sequence of str
        The files of the result.
    scene_time : str or None
        See `scene_times`.
    reading : Reading
        How the run read the scene.
    **further : str or None
        ``mask_raster`` and ``preview``, where there are any.
    """
    target = Path(path)
    with open_source(scene, reading) as source:
        grid = source.grid
    item = stac_item(
        target.name.removesuffix(".stac.json"), scene, grid, record, times=scene_times(scene, scene_time), folder=target.parent,
        outlines=outlines, **further,
    )  # fmt: skip
    with writing(target) as partial:
        partial.write_text(json.dumps(item, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def stac_item(
    name: str,
    scene: str,
    grid: RasterGrid,
    record: Mapping[str, Any],
    *,
    times: Mapping[str, str | None],
    folder: Path,
    outlines: Sequence[str],
    mask_raster: str | None = None,
    preview: str | None = None,
) -> dict[str, Any]:
    """The item of a result, for a file in `folder`.

    Returns
    -------
    dict
        ``geometry`` and ``bbox`` are the ground of the scene in WGS 84, null and absent where it has no CRS. Every ``href`` is relative to
        `folder`, but for a scene that is no local file.
    """
    footprint = _footprint(grid)
    properties = {
        "title": f"Outlines of objects in {file_name(scene)}",
        **times,
        "created": record["finished"],
        **_projection(grid),
        "processing:software": {k: v for k, v in record["versions"].items() if v != "not installed"},
        "rosgeo:model": record["model"]["name"],
        "rosgeo:model_sha256": record["model"]["sha256"],
        "rosgeo:counts": dict(record["counts"]),
    }
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [_PROJECTION, _PROCESSING],
        "id": name,
        "geometry": None if footprint is None else shapely.geometry.mapping(footprint),
        "properties": properties,
        "links": [{"rel": "via", "href": without_secrets(_href(scene, folder)), "title": "The scene"}],
        "assets": _assets(folder, outlines, mask_raster, preview),
    }
    if footprint is not None:
        item["bbox"] = list(antimeridian.bbox(shapely.geometry.mapping(footprint)))
    return item


def _footprint(grid: RasterGrid) -> Any:
    """The ground of a raster, in degrees; None without CRS."""
    if grid.crs is None or is_local(grid.crs):
        return None
    points = transform_points(grid.mapping.to_map(_edge_px(grid)), grid.crs, _wgs84())
    ring = shapely.simplify(shapely.orient_polygons(shapely.Polygon(points)), _DEGREES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", antimeridian.FixWindingWarning)
        return on_the_globe(np.array([ring], dtype=object))[0]


def _wgs84() -> CRS:
    from pyproj import CRS

    return CRS.from_epsg(4326)


def _edge_px(grid: RasterGrid) -> FloatArray:
    """Points along the raster's edge, so that what is straight there may be bent on the globe."""
    along = np.linspace(0, 1, _POINTS_A_SIDE)[:-1]
    zero, one = np.zeros_like(along), np.ones_like(along)
    x = np.concatenate([along, one, 1 - along, zero]) * grid.width
    y = np.concatenate([zero, along, one, 1 - along]) * grid.height
    return np.stack([x, y], axis=1)


def _projection(grid: RasterGrid) -> dict[str, Any]:
    """Fields of the projection extension, of the scene."""
    fields: dict[str, Any] = {"proj:code": None, "proj:shape": list(grid.shape)}
    if grid.crs is None:
        return fields
    authority = grid.crs.to_authority()
    if authority:
        fields["proj:code"] = ":".join(authority)
    else:
        fields["proj:projjson"] = grid.crs.to_json_dict()
    corners = grid.mapping.to_map(_edge_px(grid))
    fields["proj:bbox"] = [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
    if isinstance(grid.mapping, AffineMapping):
        fields["proj:transform"] = list(grid.mapping.transform)[:6]
    return fields


def _assets(folder: Path, outlines: Sequence[str], mask_raster: str | None, preview: str | None) -> dict[str, Any]:
    assets = {}
    for i, path in enumerate(outlines):
        key = "outlines" if i == 0 else f"outlines_{Path(path).suffix[1:].lower()}"
        key = key if key not in assets else f"{key}_{i + 1}"
        assets[key] = _asset(path, folder, "Outlines", "data")
    if mask_raster is not None:
        assets["mask"] = _asset(mask_raster, folder, "Mask of the outlines", "data")
    if preview is not None:
        assets["preview"] = _asset(preview, folder, "The scene and its objects", "overview")
    return assets


def _asset(path: str, folder: Path, title: str, role: str) -> dict[str, Any]:
    return {"href": _href(path, folder), "type": _MEDIA_TYPES[Path(path).suffix.lower()], "title": title, "roles": [role]}


def _href(path: str, folder: Path) -> str:
    if not Path(path).exists():
        return path
    relative = Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
    return relative if relative.startswith("../") else f"./{relative}"
