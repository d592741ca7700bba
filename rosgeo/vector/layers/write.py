"""Results to files, in the format of each."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from rosgeo.errors import FormatLossWarning, OutputError
from rosgeo.files import real_path
from rosgeo.geometry.crs import is_local
from rosgeo.vector.layers.coco import Picture, write_coco
from rosgeo.vector.layers.columns import plain_columns
from rosgeo.vector.layers.database import require_log
from rosgeo.vector.layers.geojson import DIGITS, add_member, in_wgs84
from rosgeo.vector.layers.gpkg import finish_geopackage
from rosgeo.vector.layers.place import (
    Stamp,
    cannot_write,
    check_output,
    check_place,
    naming_errors,
    replacing,
    replacing_all,
    room_on_disk,
    writing,
)
from rosgeo.vector.layers.shapefile import fit_columns, require_small
from rosgeo.vector.layers.style import TimeOfRows

__all__ = [
    "LAYER",
    "UNDEFINED_CARTESIAN",
    "cannot_write",
    "check_columns",
    "check_output",
    "check_outputs",
    "check_place",
    "output_driver",
    "read_record",
    "read_written",
    "replacing",
    "room_on_disk",
    "write_result",
    "write_results",
    "writing",
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
    ".json": "COCO",
    ".fgb": "FlatGeobuf",
    ".shp": "ESRI Shapefile",
}


def output_driver(path: str | Path, *, of_one_picture: bool = True) -> str:
    """The format that a path's extension asks for; raises OutputError for an unknown one, and for COCO where there is no one picture."""
    suffix = Path(path).suffix.lower()
    if _DRIVERS.get(suffix) == "COCO" and not of_one_picture:
        raise OutputError(f"{path}: {suffix} is COCO with one picture, which a clip is not; see --coco, or write .geojson")
    if suffix not in _DRIVERS:
        raise OutputError(f"{path}: no output format for the extension {suffix!r}; expected one of {', '.join(_DRIVERS)}")
    return _DRIVERS[suffix]


def check_outputs(
    paths: Sequence[str | Path], *, overwrite: bool, added_to: bool = False, inputs: tuple[str, ...] = ()
) -> list[Path]:
    """`check_output` for the several files of one result, in formats that `output_driver` knows.

    With `added_to` the first may exist, whatever `overwrite` says.

    Raises
    ------
    OutputError
        One of them cannot be written, or two are the same.
    """
    for path in paths:
        output_driver(path)
    targets = [check_output(path, overwrite=overwrite or (added_to and not i), inputs=inputs) for i, path in enumerate(paths)]
    # Many disks, and the systems that results go to, do not tell names apart by the case of letters.
    places = [str(real_path(t)).casefold() for t in targets]
    doubled = next((t for i, t in enumerate(targets) if places[i] in places[:i]), None)
    if doubled is not None:
        raise OutputError(f"{doubled} is named twice as an output (upper and lower case are one); name each once")
    return targets


def write_result(
    result: gpd.GeoDataFrame,
    path: str | Path,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    *,
    time: TimeOfRows | None = None,
) -> None:
    """`write_results` of one file, not COCO."""
    write_results(result, [path], record, prompts, time=time)


def write_results(
    result: gpd.GeoDataFrame,
    paths: Sequence[str | Path],
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    *,
    time: TimeOfRows | None = None,
    picture: Picture | None = None,
    read: Stamp | None = None,
) -> None:
    """Write a result, each file in the format of its extension.

    Parameters
    ----------
    result : GeoDataFrame
        See `assemble_result`. Its index is not written.
    paths : sequence of path
        Existing files are replaced when all the new ones are whole.
    record : dict
        The run's record, JSON; goes into a GeoPackage and a FlatGeobuf as the layer's metadata (``rosgeo``), into a GeoParquet as pandas'
        attributes, into GeoJSON as a member of that name, into COCO as ``info.rosgeo``. A Shapefile has no place for it. A GeoPackage
        has a default QGIS style, too.
    prompts : GeoDataFrame, optional
        See `prompts_frame`; a GeoPackage gets them as a second layer.
    time : TimeOfRows, optional
        For that style.
    picture : Picture, optional
        The raster of the outlines, for COCO.
    read : Stamp, optional
        See `replacing_all`.

    Raises
    ------
    OutputError
        The format cannot hold a column, or a file cannot be written.

    Warns
    -----
    FormatLossWarning
        What a Shapefile cannot hold as it is.
    """
    targets = [Path(path) for path in paths]
    with replacing_all(targets, read=read) as partials:
        for target, partial in zip(targets, partials, strict=True):
            with naming_errors(target):
                _write_file(result, target, partial, record, prompts, time, picture)


def _write_file(
    result: gpd.GeoDataFrame,
    target: Path,
    partial: Path,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None,
    time: TimeOfRows | None,
    picture: Picture | None,
) -> None:
    driver = output_driver(target)
    if driver == "GeoParquet":
        _write_parquet(result, partial, record)
    elif driver == "COCO":
        if picture is None:
            raise OutputError(f"{target}: COCO needs the raster of the outlines")
        write_coco(result, partial, picture, record)
    else:
        lost = _write_layer(plain_columns(result, driver, target), partial, driver, record, prompts, time)
        require_whole(partial, len(result))
        if driver == "ESRI Shapefile":
            require_small(partial, target)
        if lost:
            warnings.warn(f"{target}: a Shapefile cannot hold all as it is: {'; '.join(lost)}", FormatLossWarning, stacklevel=2)


def _write_parquet(result: gpd.GeoDataFrame, path: Path, record: dict[str, Any]) -> None:
    frame = result.copy(deep=False)
    frame.attrs = {"rosgeo": record} if record else {}
    # The covering is a column of this name; an input that has one keeps its own.
    frame.to_parquet(path, index=False, write_covering_bbox="bbox" not in frame.columns)


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
                _write_parquet(rows, probe, {})
            elif driver != "COCO":  # which holds whatever JSON can, as text where it must
                _write_layer(plain_columns(rows, driver, Path(path)), probe, driver, {})
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
) -> list[str]:
    """Write a layer with a driver of GDAL; gives what the format cannot hold as it is, in words."""
    options: dict[str, Any] = {}
    lost: list[str] = []
    metadata = {"rosgeo": json.dumps(record)}
    names = {str(c).lower() for c in frame.columns if c != frame.geometry.name}
    if driver == "GPKG":
        geometry_column = _free_name("geom", names)
        options = {
            "layer": LAYER,
            # A column of the input called fid is data, and need not be unique.
            "FID": _free_name("fid", names),
            "GEOMETRY_NAME": geometry_column,
            "layer_metadata": metadata,
            # The version that QGIS 3.22 and its contemporaries read without a warning.
            "VERSION": "1.2",
        }
        if frame.crs is None:
            frame = frame.set_crs(UNDEFINED_CARTESIAN)
    elif driver == "FlatGeobuf":
        # The spatial index would sort the rows and refuse those without geometry.
        options = {"SPATIAL_INDEX": "NO", "layer_metadata": metadata}
    elif driver == "GeoJSON" and (frame.crs is None or is_local(frame.crs)):
        # Nothing leads from a site's coordinates to degrees.
        frame, options = frame.set_crs(None, allow_override=True), {"COORDINATE_PRECISION": 6}
    elif driver == "GeoJSON":
        frame = in_wgs84(frame)
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": DIGITS}
    elif driver == "ESRI Shapefile":
        frame, lost = fit_columns(frame)
        options = {"ENCODING": "UTF-8", "2GB_LIMIT": "YES"}
    kinds = set(frame.geometry.dropna().geom_type)
    kind = kinds.pop() if len(kinds) == 1 else ("MultiPolygon" if kinds else "Polygon")
    # One type for the whole layer: some readers take no mixture. A Shapefile's polygon has any number of parts.
    promote = {"promote_to_multi": kind == "MultiPolygon", "geometry_type": kind} if driver != "ESRI Shapefile" else {}
    with warnings.catch_warnings():
        # What a Shapefile loses is told by `lost`, in one line.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")
        pyogrio.write_dataframe(frame, path, driver=driver, **promote, **options)
    if driver == "GPKG":
        finish_geopackage(path, LAYER, geometry_column, record, prompts, no_crs=UNDEFINED_CARTESIAN, time=time)
    elif driver == "GeoJSON":
        if frame.crs is None:
            _say_no_crs(path)
        add_member(path, "rosgeo", record)
    return lost


def _say_no_crs(path: Path) -> None:
    """Write ``"crs": null``, without which readers take pixel coordinates for degrees."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("{", '{\n"crs": null,', 1), encoding="utf-8")


def _free_name(wanted: str, taken: set[str]) -> str:
    return wanted if wanted not in taken else _free_name(f"rosgeo_{wanted}", taken)


def read_record(path: str | Path) -> dict[str, Any]:
    """The run's record of a GeoPackage or FlatGeobuf that `write_result` wrote; raises OutputError where there is none."""
    metadata = _metadata(path)
    if "rosgeo" not in metadata:
        raise OutputError(f"{path} holds no record of a rosgeo run")
    record: dict[str, Any] = json.loads(metadata["rosgeo"])
    return record


def read_written(path: str | Path, layer: str = LAYER) -> gpd.GeoDataFrame:
    """The rows of a layer of a GeoPackage that `write_result` wrote, by their fid; raises OutputError where there is no such layer."""
    require_log(path, OutputError)
    try:
        frame: gpd.GeoDataFrame = pyogrio.read_dataframe(path, layer=layer, fid_as_index=True)
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"{path} has no layer {layer!r} of a rosgeo run: {' '.join(str(error).split())[:200]}") from error
    return frame


def _metadata(path: str | Path) -> dict[str, str]:
    layer = LAYER if Path(path).suffix.lower() == ".gpkg" else None
    require_log(path, OutputError)
    try:
        return pyogrio.read_info(path, layer=layer).get("layer_metadata") or {}
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(
            f"{path} is no {'GeoPackage' if layer else 'layer'} that rosgeo wrote: {' '.join(str(error).split())[:200]}"
        ) from error
