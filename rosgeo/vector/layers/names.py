"""Names of layers as QGIS writes them (``boxes.gpkg|layername=ships``), and of services that are no files (``PG:dbname=gis``)."""

from __future__ import annotations

import re
from typing import NamedTuple

import pyogrio
from pyogrio.errors import DataSourceError

from rosgeo.errors import BoxesError, InputFileNotFoundError, OptionError
from rosgeo.files.names import is_there

__all__ = ["LayerName", "file_of", "require_there", "split_name"]

_SERVICES = {
    "PG": "PostgreSQL",
    "POSTGRESQL": "PostgreSQL",
    "MYSQL": "MySQL",
    "MSSQL": "MSSQLSpatial",
    "OCI": "OCI",
    "WFS": "WFS",
    "OAPIF": "OAPIF",
    "ES": "Elasticsearch",
    "CARTO": "Carto",
    "MONGODBV3": "MongoDBv3",
    "ODBC": "ODBC",
    "HANA": "HANA",
}
"""Prefixes of names that GDAL gives to a driver."""

_NO_MATTER = ("geometrytype", "uniquegeometrytype", "option")


class LayerName(NamedTuple):
    """What a name says: file (or GDAL's name), layer and condition; None where it says nothing."""

    path: str
    layer: str | None = None
    where: str | None = None


def split_name(name: str, layer: str | None = None, where: str | None = None) -> LayerName:
    """Take a name of QGIS's apart: ``PATH|layername=NAME|subset=SQL``, also ``layerid=N``.

    Parameters
    ----------
    name : str
        A name without a bar, or of a file that is there, is a path.
    layer, where : str, optional
        What the user says besides.

    Raises
    ------
    OptionError
        A part that is not known, or one that says another thing than `layer` or `where`.
    """
    if "|" not in name or is_there(name):
        return LayerName(name, layer, where)
    path, *parts = name.split("|")
    said: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if not equals and said.get("subset") is not None:
            # A bar within the condition.
            said["subset"] += f"|{part}"
        elif not equals or (key not in ("layername", "layerid", "subset", *_NO_MATTER) and not key.startswith("option:")):
            raise OptionError(f"{name}: {part!r} is no part of a layer's name; expected {path}|layername=NAME, as QGIS writes it")
        else:
            said[key] = value
    if "layername" not in said and "layerid" in said:
        said["layername"] = _layer_of_number(path, said["layerid"])
    found = LayerName(path, said.get("layername"), said.get("subset"))
    for option, mine, theirs in (("--layer", layer, found.layer), ("--where", where, found.where)):
        if mine is not None and theirs is not None and mine != theirs:
            raise OptionError(f"{name} says {theirs!r}, but {option} says {mine!r}; leave one of them out")
    return LayerName(path, found.layer or layer, found.where or where)


def _layer_of_number(path: str, number: str) -> str:
    try:
        names = [str(layer) for layer, _ in pyogrio.list_layers(path)]
        return names[int(number)]
    except (DataSourceError, RuntimeError, ValueError, IndexError) as error:
        raise OptionError(f"{path} has no layer of the number {number}") from error


def file_of(name: str) -> str:
    """The file of a name of QGIS's, for whoever asks only which file is read."""
    return name if "|" not in name or is_there(name) else name.partition("|")[0]


def require_there(path: str, what: str = "boxes") -> None:
    """Raise where a name can be no layer of `what`: no such file, or a service whose driver this GDAL has not.

    Raises
    ------
    InputFileNotFoundError
        No such file.
    BoxesError
        This GDAL has no driver for it. What follows the prefix, which may hold a password, is not said.
    """
    if "://" in path or path.startswith("/vsi") or is_there(path):
        return
    prefix = re.match(r"([A-Za-z][A-Za-z0-9]+):", path)
    if prefix is None:
        raise InputFileNotFoundError(f"{path}: no such file; expected a layer of {what}")
    driver = _SERVICES.get(prefix[1].upper())
    if driver is not None and driver not in pyogrio.list_drivers():
        raise BoxesError(
            f"{prefix[1]}:...: this GDAL (that of pyogrio) has no driver {driver}. Export the layer to a GeoPackage (in QGIS: Export > "
            "Save Features As), or read it with geopandas and give rosgeo.segment the GeoDataFrame"
        )
    if driver is None and not re.match(r"[A-Za-z0-9]+:\"?[^\"]*", path[len(prefix[0]) :]):
        raise InputFileNotFoundError(f"{path}: no such file; expected a layer of {what}")
