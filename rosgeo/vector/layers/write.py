"""Results to files, in the format of each."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from shapely import MultiPolygon

from rosgeo.errors import FormatLossWarning, OutputError
from rosgeo.files.names import real_path
from rosgeo.geometry.crs import is_local
from rosgeo.vector.layers.arrow import layer_fids, read_layer
from rosgeo.vector.layers.coco import Picture, write_coco
from rosgeo.vector.layers.columns import fit_for_gdal, fit_for_json, fit_for_parquet, with_index
from rosgeo.vector.layers.database import require_log
from rosgeo.vector.layers.domains import DOMAIN, DOMAIN_NAME, write_domains
from rosgeo.vector.layers.geojson import in_wgs84, write_geojson
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
from rosgeo.vector.layers.shapefile import require_small
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
        See `assemble_result`. An index with a name, or of other numbers than the rows', is written as a column; see `with_index`.
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
        What a format cannot hold as it is; see `rosgeo.vector.layers.columns`.
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
    result = with_index(result)
    if driver == "GeoParquet":
        lost = _write_parquet(result, partial, record)
    elif driver == "COCO":
        if picture is None:
            raise OutputError(f"{target}: COCO needs the raster of the outlines")
        lost = write_coco(result, partial, picture, record)
    else:
        lost = _write_layer(result, partial, driver, record, prompts, time)
        require_whole(partial, len(result))
        if driver == "ESRI Shapefile":
            require_small(partial, target)
    if lost:
        warnings.warn(f"{target}: {_A_FILE[driver]} cannot hold all as it is: {'; '.join(lost)}", FormatLossWarning, stacklevel=2)


_A_FILE = {
    "GPKG": "a GeoPackage",
    "GeoParquet": "a GeoParquet file",
    "GeoJSON": "a GeoJSON file",
    "COCO": "a COCO file",
    "FlatGeobuf": "a FlatGeobuf file",
    "ESRI Shapefile": "a Shapefile",
}


def _write_parquet(result: gpd.GeoDataFrame, path: Path, record: dict[str, Any]) -> list[str]:
    fitted = fit_for_parquet(result)
    active = fitted.names[list(result.columns).index(result.geometry.name)]
    columns = pd.DataFrame(dict(enumerate(fitted.columns))).set_axis(fitted.names, axis=1)
    frame = gpd.GeoDataFrame(columns, geometry=active, crs=result.crs)
    frame.attrs = {"rosgeo": record} if record else {}
    # The covering is a column of this name; an input that has one keeps its own.
    frame.to_parquet(path, index=False, write_covering_bbox="bbox" not in frame.columns)
    if any(isinstance(t, pd.ArrowDtype) for t in frame.dtypes):
        _as_pandas_reads(path)
    return fitted.lost


def _as_pandas_reads(path: Path) -> None:
    """Take names of types out of what pandas keeps in a Parquet file that it would not understand (as of lists and decimals)."""
    table = pyarrow.parquet.read_table(path)
    metadata = dict(table.schema.metadata)
    told = json.loads(metadata[b"pandas"])
    for column in told["columns"]:
        try:
            pd.api.types.pandas_dtype(column["numpy_type"])
        except (TypeError, NotImplementedError):
            column["numpy_type"] = "object"
    metadata[b"pandas"] = json.dumps(told).encode()
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)


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
    """Find out before any work whether a format can hold the input's columns, by writing all of them elsewhere, without geometries.

    Raises
    ------
    OutputError
        It cannot.
    """
    driver = output_driver(path)
    rows = with_index(frame)
    rows = rows.set_geometry(gpd.GeoSeries([None] * len(rows), index=rows.index, crs=frame.crs, name=frame.geometry.name))
    try:
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / f"probe{Path(path).suffix}"
            if driver == "GeoParquet":
                _write_parquet(rows, probe, {})
            elif driver == "COCO":
                fit_for_json(rows, dates=False)
            else:
                _write_layer(rows, probe, driver, {})
    except OutputError as error:
        raise OutputError(f"{path} cannot hold the input's columns: {error}") from error
    except Exception as error:  # whatever a driver raises for a column that it cannot hold
        columns = ", ".join(f"{c} ({t})" for c, t in zip(rows.columns, rows.dtypes, strict=True) if c != frame.geometry.name)
        reason = " ".join(str(error).split())[:200] + room_on_disk(Path(tempfile.gettempdir(), "probe"))
        raise OutputError(f"{path} cannot hold the input's columns: {reason}. They are: {columns[:500]}") from error


def _write_layer(
    frame: gpd.GeoDataFrame,
    path: Path,
    driver: str,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    time: TimeOfRows | None = None,
) -> list[str]:
    """Write a layer; gives what the format cannot hold as it is, in words."""
    if driver == "GeoJSON":
        # Nothing leads from a site's own coordinates to degrees.
        on_earth = frame.crs is not None and not is_local(frame.crs)
        moved = in_wgs84(frame) if on_earth else frame
        fitted = fit_for_json(frame, dates=True)
        shapes, _ = _of_one_kind(moved.geometry.to_numpy())
        write_geojson(shapes, fitted.names, fitted.columns, path, record, on_earth=on_earth)
        return fitted.lost
    fitted = fit_for_gdal(frame, driver)
    names = {name.lower() for name in fitted.names}
    metadata = {"rosgeo": json.dumps(record)}
    options: dict[str, Any] = {}
    geometry_column = _free_name("geom", names)
    crs = frame.crs
    if driver == "GPKG":
        options = {
            "layer": LAYER,
            # A column of the input called fid is data, and need not be unique.
            "FID": _free_name("fid", names),
            "GEOMETRY_NAME": geometry_column,
            "layer_metadata": metadata,
            # The version that QGIS 3.22 and its contemporaries read without a warning.
            "VERSION": "1.2",
        }
        crs = crs or UNDEFINED_CARTESIAN
    elif driver == "FlatGeobuf":
        # The spatial index would sort the rows and refuse those without geometry.
        options = {"SPATIAL_INDEX": "NO", "layer_metadata": metadata}
    elif driver == "ESRI Shapefile":
        options = {"ENCODING": "UTF-8", "2GB_LIMIT": "YES"}
    shapes, kind = _of_one_kind(frame.geometry.to_numpy())
    # A Shapefile's polygon has any number of parts.
    kind = "Polygon" if driver == "ESRI Shapefile" else kind
    told = [{k: text for k, text in f.items() if k not in (DOMAIN, DOMAIN_NAME)} for f in fitted.fields]
    fields = [pa.field(n, v.type, metadata=m) for n, v, m in zip(fitted.names, fitted.columns, told, strict=True)]
    fields.append(pa.field(geometry_column, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}))
    table = pa.table([*fitted.columns, pa.array(shapely.to_wkb(shapes), pa.binary())], schema=pa.schema(fields))
    with warnings.catch_warnings():
        # What is lost is told in one line; that there is no CRS is meant.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")
        warnings.filterwarnings("ignore", message="'crs' was not provided", category=UserWarning)
        pyogrio.write_arrow(
            table, path, driver=driver, geometry_name=geometry_column, geometry_type=kind, crs=_crs_text(crs), **options
        )
    _require_columns(path, fitted.names)
    if driver == "GPKG":
        finish_geopackage(path, LAYER, geometry_column, record, prompts, no_crs=UNDEFINED_CARTESIAN, time=time)
        write_domains(path, LAYER, {name: field for name, (_, field) in fitted.by_name().items()})
    return fitted.lost


def _require_columns(path: Path, names: Sequence[str]) -> None:
    """Raise OutputError where a file has not the columns that were written: GDAL keeps quiet about rows too long for DBF."""
    try:
        found = pyogrio.read_info(path, layer=LAYER if path.suffix.lower() == ".gpkg" else None)["fields"].tolist()
    except Exception as error:  # as in `require_whole`
        raise OSError("what was written cannot be read back; the disk may be full") from error
    if names and found != list(names):  # without any, a Shapefile gets one of its own
        lost = [n for n in names if n not in found]
        raise OutputError(
            f"{len(lost)} of {len(names)} columns are not there when it is read back ({(lost or list(names))[0]}...): they are "
            "too many or too long for the format; leave some out, or choose another one"
        )


def _of_one_kind(shapes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], str]:
    """Polygons (N,), all with parts where one has; some readers take no mixture. And what they are."""
    kinds = {s.geom_type for s in shapes if s is not None}
    if kinds <= {"Polygon"}:
        return shapes, "Polygon"
    alike = np.empty(len(shapes), dtype=object)
    alike[:] = [MultiPolygon([s]) if s is not None and s.geom_type == "Polygon" else s for s in shapes]
    return alike, "MultiPolygon"


def _crs_text(crs: CRS | None) -> str | None:
    """A CRS as GDAL takes it: its code where it has one."""
    if crs is None:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt("WKT1_GDAL")


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
        frame = read_layer(path, layer, ids=False)
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"{path} has no layer {layer!r} of a rosgeo run: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise OutputError(f"{path}: its layer {layer!r} has no geometries; expected the outlines of a rosgeo run")
    frame.index = pd.Index(layer_fids(path, layer))
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
