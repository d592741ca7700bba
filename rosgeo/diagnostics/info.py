"""What a file is: a result of rosgeo, a scene, a layer of boxes, a STAC item. Weights files are the model room's to tell."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pyogrio
import rasterio
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rosgeo.addresses.secrets import without_secrets
from rosgeo.diagnostics.gathered import detections_facts, scenes_facts
from rosgeo.errors import InputFileNotFoundError, OptionError, RasterError, UserInputError
from rosgeo.files.names import is_there
from rosgeo.geometry.crs import crs_label
from rosgeo.geometry.mapping import pixel_size_map
from rosgeo.raster.bands import StretchRule, choose_bands
from rosgeo.raster.fill import find_fills, without_fills
from rosgeo.raster.names import is_gdal_name
from rosgeo.raster.protocol import RasterSource, together
from rosgeo.raster.rpc import RpcFit
from rosgeo.raster.sample import sample_scene
from rosgeo.raster.source import open_source
from rosgeo.vector.layers.database import require_log
from rosgeo.vector.layers.geojson import tail_member
from rosgeo.vector.layers.names import split_name
from rosgeo.vector.orthogonal import ground_scale_m

__all__ = ["describe", "may_be_weights"]

_COVERAGE_SIDE = 1024
_LAYER_KINDS = {"result", "layer"}
_RESULT_COLUMNS = {"rosgeo_id", "ros_status", "ros_model"}
"""By which the result of a run is known in a Shapefile, which cannot hold the record."""
_OF_WEIGHTS = ("*.safetensors", "adapter_config.json", "adapter_model.*", "*.bin")
"""Files in the folder of a training run or an adapter."""
_OF_LAYOUT = ("img", "boxes", "onehotmask")
"""Folders of the data on which the ROS-SAM reference trains."""

Facts = dict[str, Any]


def may_be_weights(path: str | Path) -> bool:
    """True where a file or folder begins as weights do: safetensors, a zip or a pickle of PyTorch, or a folder with such files."""
    file = Path(path)
    if file.is_dir():
        return any(next(file.glob(pattern), None) is not None for pattern in _OF_WEIGHTS)
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        head = stream.read(16)
    # safetensors: eight bytes of length, then JSON.
    return head[8:9] == b"{" or (head[:4] == b"PK\x03\x04" and file.suffix.lower() != ".zip") or head[:1] == b"\x80"


def describe(path: str | Path) -> Facts:
    """What a raster or vector file is.

    Parameters
    ----------
    path : path
        A file, a name that GDAL opens, a layer as QGIS names it (``boxes.gpkg|layername=ships``), or whatever else a run takes.

    Returns
    -------
    dict
        Plain values for JSON. ``kind``: ``result`` (with ``record``; a Shapefile holds none), ``mask raster`` (likewise), ``scene``,
        ``container`` (with ``sub_datasets``), ``scenes``, ``layer``, ``training layout`` or ``stac item``; what else there is depends on
        it.

    Raises
    ------
    InputFileNotFoundError
        No such file.
    UserInputError
        Nothing that is known here, or a file without the layer that is named.
    """
    name = str(path)
    named = split_name(name)
    if named.layer is not None and is_there(named.path):
        facts = _layer(named.path, named.layer)
        if facts is not None:
            return {"file": without_secrets(named.path), "bytes": Path(named.path).stat().st_size, **facts}
    is_name = is_gdal_name(name) or is_there(name) or "*" in name
    if not name.strip() or not is_name:
        raise InputFileNotFoundError(
            f"{name or 'the name'}: no such file; expected a result of rosgeo, a raster, a layer or weights"
        )
    attempts: tuple[Callable[[str], Facts | None], ...] = (
        _layout,
        _json,
        _parquet,
        scenes_facts,
        _raster,
        _layer,
        _container,
        detections_facts,
    )
    for attempt in attempts:
        facts = attempt(name)
        if facts is not None:
            return {"file": without_secrets(name), "bytes": Path(name).stat().st_size if Path(name).is_file() else None, **facts}
    raise UserInputError(
        f"{name} is nothing that rosgeo knows: no raster or layer that GDAL opens, no result, STAC item, model or adapter"
    )


def _head(name: str, count: int) -> bytes:
    if not Path(name).is_file():
        return b""
    with Path(name).open("rb") as stream:
        return stream.read(count)


def _layout(name: str) -> Facts | None:
    """A folder of the reference's training layout; told by its folders, its files are not opened."""
    if not all((Path(name) / part).is_dir() for part in _OF_LAYOUT):
        return None
    pictures, boxes, masks = (sum(not f.name.startswith(".") for f in (Path(name) / part).iterdir()) for part in _OF_LAYOUT)
    return {"kind": "training layout", "pictures": pictures, "box_files": boxes, "mask_files": masks}


def _json(name: str) -> Facts | None:
    """COCO, YouTube-VIS and STAC; GeoJSON is left to GDAL."""
    if not _head(name, 64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") or Path(name).suffix.lower() != ".json":
        return None
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
    except ValueError:
        return None
    if "stac_version" in content and content.get("type") == "Feature":
        return _stac_facts(content)
    if {"images", "annotations", "categories"} <= set(content):
        return _coco_facts(content)
    if {"videos", "categories"} <= set(content) and isinstance(content["videos"], list):
        return _ytvis_facts(content)
    return None


def _ytvis_facts(content: Facts) -> Facts:
    tracks = content.get("annotations") or []
    return {
        "kind": "layer",
        "format": "YouTube-VIS",
        "rows": len(tracks),
        "videos": len(content["videos"]),
        "frames": sum(len(v.get("file_names") or ()) for v in content["videos"]),
        "with_outline": sum(any(s is not None for s in t.get("segmentations") or ()) for t in tracks),
        "classes": [c.get("name") for c in content["categories"]],
    }


def _stac_facts(item: Facts) -> Facts:
    properties = item.get("properties", {})
    return {
        "kind": "stac item",
        "id": item.get("id"),
        "stac_version": item["stac_version"],
        "datetime": properties.get("datetime"),
        "start_datetime": properties.get("start_datetime"),
        "end_datetime": properties.get("end_datetime"),
        "crs": properties.get("proj:code"),
        "bbox": item.get("bbox"),
        "assets": {key: asset["href"] for key, asset in item.get("assets", {}).items()},
    }


def _coco_facts(content: Facts) -> Facts:
    info = content.get("info")
    record = info.get("rosgeo") if isinstance(info, dict) else None
    rows = len(content["annotations"]) + len(content.get("rosgeo_rows", []))
    return {
        "kind": "layer" if record is None else "result",
        "format": "COCO",
        "rows": rows,
        "with_outline": len(content["annotations"]),
        "pictures": len(content["images"]),
        "classes": [c.get("name") for c in content["categories"]],
        **({} if record is None else {"record": record}),
    }


def _parquet(name: str) -> Facts | None:
    if _head(name, 4) != b"PAR1":
        return None
    try:
        file = pyarrow.parquet.ParquetFile(name)
    except (ValueError, OSError):
        return None
    metadata = file.schema_arrow.metadata or {}
    geo = json.loads(metadata.get(b"geo", b"{}"))
    if not geo:
        return None
    own = json.loads(metadata.get(b"PANDAS_ATTRS", b"{}"))
    column = geo["columns"][geo["primary_column"]]
    covering = column.get("covering", {}).get("bbox", {}).get("xmin", [None])[0]
    columns = [c for c in file.schema_arrow.names if c not in (geo["primary_column"], covering)]
    crs = column.get("crs")
    return _vector_facts(
        "GeoParquet", file.metadata.num_rows, columns, "OGC:CRS84" if "crs" not in column else _projjson_label(crs),
        column.get("geometry_types", []), column.get("bbox"), own.get("rosgeo"),
    )  # fmt: skip


def _projjson_label(crs: Facts | None) -> str | None:
    if crs is None:
        return None
    code = crs.get("id")
    return f"{code['authority']}:{code['code']}" if code else crs.get("name")


def _vector_facts(
    driver: str, rows: int, columns: list[str], crs: str | None, kinds: list[str], extent: Any, record: Facts | None
) -> Facts:
    """The same facts in the same order, whatever the format."""
    return {
        "kind": "layer" if record is None else "result",
        "format": driver,
        "rows": rows,
        "geometry": kinds,
        "crs": crs,
        "extent": None if extent is None else [float(v) for v in extent],
        "columns": columns,
        **({} if record is None else {"record": record}),
    }


def _raster(name: str) -> Facts | None:
    try:
        with open_source(name) as source:
            grid = source.grid
            facts: Facts = {
                "kind": "scene",
                "width": grid.width,
                "height": grid.height,
                "bands": _bands(source),
                "crs": None if grid.crs is None else crs_label(grid.crs),
                "georeferenced_by": _georeferencing(source),
                "placement": None if source.placement is None else source.placement.record() | {"text": source.placement.text()},
                "coordinates": None if source.georeferenced else "x = column, y = -row, where QGIS shows it",
                "pixel_size": pixel_size_map(grid.mapping, grid.shape),
                "gsd_m": ground_scale_m(grid),
                **_pixels(source),
            }
    except (RasterError, InputFileNotFoundError):
        return None
    with rasterio.open(name) as dataset:
        record = _record_of(dataset.tags().get("rosgeo"))
        return {
            **facts,
            **({} if record is None else {"kind": "mask raster", "values": dataset.descriptions[0], "record": record}),
            "format": dataset.driver,
            "nodata": [None if v is None else float(v) for v in dataset.nodatavals],
            "block": list(dataset.block_shapes[0]),
            "overviews": dataset.overviews(1),
        }


def _record_of(text: str | None) -> Facts | None:
    """A run's record from a file's metadata; None where it is somebody else's text."""
    try:
        record = json.loads(text or "")
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _georeferencing(source: Any) -> str | None:
    if not source.georeferenced:
        return None
    if isinstance(source.placement, RpcFit):
        return "RPCs"
    return "transform" if source.placement is None else "ground control points"


def _bands(source: RasterSource) -> list[Facts]:
    """A band's number, type and colour; its name, scale and offset where it has them."""
    told = zip(source.dtypes, source.colours, source.names, source.scaling, strict=True)
    return [
        {
            "band": i,
            "type": kind,
            "colour": colour,
            **({"name": name} if name else {}),
            **({} if scaling == (1.0, 0.0) else {"scale": scaling[0], "offset": scaling[1]}),
        }
        for i, (kind, colour, name, scaling) in enumerate(told, 1)
    ]


def _pixels(source: RasterSource) -> Facts:
    """What a run would make of the pixels: bands, stretch (measurements), fill values, valid share, and how few grey levels."""
    bands = choose_bands(source.count, source.colours, None, source.name, source.names)
    sample, by_band = source.read_decimated(bands, _COVERAGE_SIDE)
    if np.iscomplexobj(sample):
        raise RasterError(f"{source.name} holds complex numbers")
    scaling = [source.scaling[b - 1] for b in bands]
    sampled = sample_scene(sample, by_band, StretchRule(), scaling)
    fills = sampled.fills or find_fills(sample, np.broadcast_to(by_band, sample.shape))
    valid = together(sample, without_fills(sample, by_band, [fill for fill in sampled.fills if fill.certain]))
    stretch = sampled.stretch.record()
    if sampled.stretch.low is not None and sampled.stretch.high is not None:
        stretch = {
            key: tuple(value * scale + offset for value, (scale, offset) in zip(values, scaling, strict=True))
            for key, values in stretch.items()
        }
    return {
        "bands_used": list(bands),
        "stretch": stretch if sampled.stretch.low is not None else None,
        "fill": [{"value": f.value, "share": round(f.share, 4), "nodata": f.certain and f in sampled.fills} for f in fills],
        "grey_levels": sampled.levels if sampled.few_levels(source.name, StretchRule(), scaling) else None,
        "valid_share": round(float(np.mean(valid)), 4),
    }


def _container(name: str) -> Facts | None:
    """A file that holds rasters, and none itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(name) as dataset:
                if not dataset.subdatasets:
                    return None
                return {"kind": "container", "format": dataset.driver, "sub_datasets": list(dataset.subdatasets)}
    except (RasterioError, OSError):
        return None


def _layer(name: str, chosen: str | None = None) -> Facts | None:
    require_log(name)
    try:
        layers = [str(layer) for layer, kind in pyogrio.list_layers(name) if kind is not None]
        if not layers:
            return None
        if chosen is not None and chosen not in layers:
            raise OptionError(f"{name} has no layer {chosen!r}; it has: {', '.join(layers)}")
        infos = [pyogrio.read_info(name, layer=layer, force_feature_count=True, force_total_bounds=True) for layer in layers]
    except (DataSourceError, DataLayerError, RuntimeError):
        return None
    records = [(info.get("layer_metadata") or {}).get("rosgeo") for info in infos]
    main = next((i for i, record in enumerate(records) if record), 0) if chosen is None else layers.index(chosen)
    info = infos[main]
    text = records[main]
    record = json.loads(text) if text else None
    if record is None and info["driver"] == "GeoJSON" and Path(name).is_file():
        record = tail_member(name, "rosgeo")
    facts = _vector_facts(
        info["driver"], int(info["features"]), [str(f) for f in info["fields"]], info["crs"], [info["geometry_type"]],
        info["total_bounds"], record,
    )  # fmt: skip
    if record is None and set(facts["columns"]) >= _RESULT_COLUMNS:
        facts |= {"kind": "result", "note": "without the run's record, which this file does not hold"}
    return {**facts, "layer": layers[main], "further_layers": [x for i, x in enumerate(layers) if i != main]}
