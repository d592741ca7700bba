"""Results to files: built beside their place, put there by one rename."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from rosgeo.errors import OutputError, RosgeoError
from rosgeo.vector.gpkg import finish_geopackage
from rosgeo.vector.style import TimeOfRows

__all__ = [
    "LAYER",
    "UNDEFINED_CARTESIAN",
    "cannot_write",
    "check_columns",
    "check_output",
    "check_place",
    "output_driver",
    "read_record",
    "read_written",
    "write_result",
]

LAYER = "masks"
"""Name of the result's layer."""

UNDEFINED_CARTESIAN = CRS.from_wkt('LOCAL_CS["Undefined Cartesian SRS",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]')
"""What a GeoPackage calls the frame of results without CRS (srs_id -1); without it readers take pixels for degrees."""

_DRIVERS = {
    ".gpkg": "GPKG",
    ".parquet": "GeoParquet",
    ".geoparquet": "GeoParquet",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".fgb": "FlatGeobuf",
}

_LITTLE_ROOM_BYTES = 1e9


def output_driver(path: str | Path) -> str:
    """The format that a path's extension asks for; raises OutputError for an unknown one."""
    suffix = Path(path).suffix.lower()
    if suffix not in _DRIVERS:
        raise OutputError(f"{path}: no output format for the extension {suffix!r}; expected one of {', '.join(_DRIVERS)}")
    return _DRIVERS[suffix]


def check_output(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> Path:
    """Find out before any work whether a file can be written.

    Parameters
    ----------
    path : path
        The file.
    overwrite : bool
        An existing file may be replaced.
    inputs : tuple of str
        Files that must not be the output.

    Raises
    ------
    OutputError
        It exists, is an input, or its folder is missing or not writable.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file")
    if any(Path(i).exists() and target.exists() and os.path.samefile(i, target) for i in inputs):
        raise OutputError(f"{target} is an input; name another output")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; pass --overwrite to replace it, or name another output")
    check_place(target)
    return target


def check_place(target: Path) -> None:
    """Raise OutputError where the folder of an output is missing or not writable."""
    folder = target.parent
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{target}: {folder} is a file, not a folder")
    if not folder.is_dir():
        raise OutputError(f"{target}: the folder {folder} does not exist; make it first")
    if not os.access(folder, os.W_OK) or not _takes_files(folder):
        raise OutputError(f"{target}: the folder {folder} is not writable")


def _takes_files(folder: Path) -> bool:
    """True where a file can be made in a folder; permissions alone do not tell, on read-only and special file systems."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when it does not."""
    try:
        folder = tempfile.mkdtemp(prefix=".rosgeo-", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    partial = Path(folder) / path.name
    try:
        yield partial
        partial.replace(path)
    finally:
        for left in Path(folder).iterdir():
            left.unlink()
        Path(folder).rmdir()


def write_result(
    result: gpd.GeoDataFrame,
    path: str | Path,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    *,
    time: TimeOfRows | None = None,
) -> None:
    """Write a result in the format of the path's extension.

    Parameters
    ----------
    result : GeoDataFrame
        See `assemble_result`. Its index is not written.
    path : path
        An existing file is replaced when the new one is whole.
    record : dict
        The run's record, JSON; goes into a GeoPackage as the layer's metadata (``rosgeo``), with a default QGIS style.
    prompts : GeoDataFrame, optional
        See `prompts_frame`; a GeoPackage gets them as a second layer.
    time : TimeOfRows, optional
        For that style.

    Raises
    ------
    OutputError
        The format cannot hold a column, or the file cannot be written.
    """
    target = Path(path)
    driver = output_driver(target)
    with writing(target) as partial:
        if driver == "GeoParquet":
            result.to_parquet(partial, index=False)
        else:
            _write_layer(_plain_columns(result, driver, target), partial, driver, record, prompts, time)
            require_whole(partial, len(result))


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """`replacing`, with whatever a driver raises as an OutputError that names the target."""
    room = ""
    try:
        with replacing(target) as partial:
            try:
                yield partial
            finally:
                # Before what is half written goes away and makes room.
                room = room_on_disk(target)
    except RosgeoError:
        raise
    except (RuntimeError, OSError, ValueError, TypeError, sqlite3.Error) as error:
        raise cannot_write(target, error, room) from error


def cannot_write(target: Path, error: Exception, room: str) -> OutputError:
    """What a driver raised as an error that names the target, and what is free on its disk."""
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{target} cannot be written: {' '.join(reason.split())[:300]}{room}")


def room_on_disk(path: Path) -> str:
    """What is free on the disk of a file to be, in words, where it is little: drivers seldom say that a disk is full."""
    folder = path.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return f" ({free / 1e6:.1f} MB are free on the disk of {folder.resolve()})" if free < _LITTLE_ROOM_BYTES else ""


def require_whole(partial: Path, rows: int) -> None:
    """Raise OSError where a file does not hold as many rows as were written: some drivers of GDAL keep quiet about a full disk."""
    layer = LAYER if partial.suffix.lower() == ".gpkg" else None
    try:
        found = len(pyogrio.raw.read(partial, layer=layer, columns=[])[2])
    except Exception as error:  # whatever a driver raises for a file that breaks off
        raise OSError("what was written cannot be read back; the disk may be full") from error
    if found != rows:
        raise OSError(f"{found} of {rows} rows could be read back; the disk may be full")


def check_columns(frame: gpd.GeoDataFrame, path: str | Path) -> None:
    """Find out before any work whether a format can hold the input's columns, by writing a few rows elsewhere.

    Raises
    ------
    OutputError
        It cannot.
    """
    driver = output_driver(path)
    rows = frame.head(3).set_geometry(gpd.GeoSeries([None] * min(len(frame), 3), index=frame.index[:3], crs=frame.crs))
    try:
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / f"probe{Path(path).suffix}"
            if driver == "GeoParquet":
                rows.to_parquet(probe, index=False)
            else:
                _write_layer(_plain_columns(rows, driver, Path(path)), probe, driver, {})
    except OutputError:
        raise
    except Exception as error:  # whatever a driver raises for a column that it cannot hold
        columns = ", ".join(f"{c} ({t})" for c, t in frame.drop(columns=frame.geometry.name).dtypes.items())
        reason = " ".join(str(error).split())[:200] + room_on_disk(Path(tempfile.gettempdir(), "probe"))
        raise OutputError(f"{path} cannot hold the input's columns {columns}: {reason}") from error


def _write_layer(
    frame: gpd.GeoDataFrame,
    path: Path,
    driver: str,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    time: TimeOfRows | None = None,
) -> None:
    options: dict[str, Any] = {}
    names = {str(c).lower() for c in frame.columns if c != frame.geometry.name}
    if driver == "GPKG":
        geometry_column = _free_name("geom", names)
        options = {
            "layer": LAYER,
            # A column of the input called fid is data, and need not be unique.
            "FID": _free_name("fid", names),
            "GEOMETRY_NAME": geometry_column,
            "layer_metadata": {"rosgeo": json.dumps(record)},
            # The version that QGIS 3.22 and its contemporaries read without a warning.
            "VERSION": "1.2",
        }
        if frame.crs is None:
            frame = frame.set_crs(UNDEFINED_CARTESIAN)
    elif driver == "FlatGeobuf":
        # The spatial index would sort the rows and refuse those without geometry.
        options = {"SPATIAL_INDEX": "NO"}
    elif driver == "GeoJSON":
        geographic = frame.crs is not None and frame.crs.is_geographic
        options = {"COORDINATE_PRECISION": 12 if geographic else 6}
    kinds = set(frame.geometry.dropna().geom_type)
    kind = kinds.pop() if len(kinds) == 1 else ("MultiPolygon" if kinds else "Polygon")
    # One type for the whole layer: some readers take no mixture.
    promote = {"promote_to_multi": kind == "MultiPolygon", "geometry_type": kind}
    pyogrio.write_dataframe(frame, path, driver=driver, **promote, **options)
    if driver == "GPKG":
        finish_geopackage(path, LAYER, geometry_column, record, prompts, no_crs=UNDEFINED_CARTESIAN, time=time)
    elif driver == "GeoJSON" and frame.crs is None:
        _say_no_crs(path)


def _say_no_crs(path: Path) -> None:
    """Write ``"crs": null``, without which readers take pixel coordinates for degrees."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("{", '{\n"crs": null,', 1), encoding="utf-8")


def _free_name(wanted: str, taken: set[str]) -> str:
    return wanted if wanted not in taken else _free_name(f"rosgeo_{wanted}", taken)


def _plain_columns(result: gpd.GeoDataFrame, driver: str, path: Path) -> gpd.GeoDataFrame:
    """Columns as GDAL's formats can hold them: names as text, lists and mappings as JSON, further geometries as WKT."""
    frame = result.copy()
    active = frame.geometry.name
    frame.columns = [str(c) for c in frame.columns]
    lower = [c.lower() for c in frame.columns if c != active]
    doubled = [c for c in frame.columns if c != active and lower.count(c.lower()) > 1]
    if doubled and driver == "GPKG":
        raise OutputError(
            f"{path}: a GeoPackage cannot tell the input's columns {' and '.join(doubled)} apart by case; write .parquet"
        )
    for column in frame.columns:
        if column == active:
            continue
        if isinstance(frame[column], gpd.GeoSeries):
            frame[column] = frame[column].to_wkt()
        elif frame[column].dtype == object:
            frame[column] = [_plain(v) for v in frame[column]]
        elif str(frame[column].dtype).startswith("timedelta"):
            frame[column] = frame[column].astype(str)
        elif str(frame[column].dtype) == "category":
            frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist(), default=str)
    return value


def read_record(path: str | Path) -> dict[str, Any]:
    """The run's record of a GeoPackage that `write_result` wrote; raises OutputError where there is none."""
    metadata = _metadata(path)
    if "rosgeo" not in metadata:
        raise OutputError(f"{path} holds no record of a rosgeo run")
    record: dict[str, Any] = json.loads(metadata["rosgeo"])
    return record


def read_written(path: str | Path, layer: str = LAYER) -> gpd.GeoDataFrame:
    """The rows of a layer of a GeoPackage that `write_result` wrote; raises OutputError where there is no such layer."""
    try:
        frame: gpd.GeoDataFrame = pyogrio.read_dataframe(path, layer=layer)
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"{path} has no layer {layer!r} of a rosgeo run: {' '.join(str(error).split())[:200]}") from error
    return frame


def _metadata(path: str | Path) -> dict[str, str]:
    try:
        return pyogrio.read_info(path, layer=LAYER).get("layer_metadata") or {}
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"{path} is no GeoPackage that rosgeo wrote: {' '.join(str(error).split())[:200]}") from error
