"""What a result's GeoPackage holds beside its outlines: the prompts, QGIS's styles and metadata."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pyproj import CRS

from rosgeo.types import Boxes, RasterGrid
from rosgeo.vector.layers.database import open_database
from rosgeo.vector.layers.qgis_metadata import QMD_URI, layer_qmd
from rosgeo.vector.layers.style import TimeOfRows, prompts_qml, result_qml

__all__ = ["PROMPTS_LAYER", "StyledLayer", "finish_geopackage", "outlines_layer", "prompts_frame", "style_layers"]

PROMPTS_LAYER = "prompts"
"""Name of the layer of boxes. It comes after the outlines, so that readers that take a file's first layer get these."""

_SEGMENTS_A_SIDE = 16


def prompts_frame(boxes_px: Boxes, grid: RasterGrid, rows: Sequence[int], statuses: Sequence[str]) -> gpd.GeoDataFrame:
    """The boxes as the model was given them: envelopes along the axes used, in the map frame of the raster.

    Parameters
    ----------
    boxes_px : Boxes
        N boxes in the pixel frame of `grid`; NaN for rows without a usable geometry.
    grid : RasterGrid
        The raster along the axes of the boxes.
    rows : sequence of N int
        For `prompt_row`: the row of the input's layer, as `rosgeo_id`.
    statuses : sequence of N str
        For `prompt_status`: what became of the box, as `rosgeo_status`.

    Returns
    -------
    GeoDataFrame
        N rows in the raster's CRS: a polygon (a rectangle along the map's axes on an upright raster; its sides have more vertices where
        straight lines in pixels are not straight on the map), or None. The columns have names of their own, so that the layer can
        be the boxes of another run.
    """
    xyxy = boxes_px.xyxy
    there = np.isfinite(xyxy).all(axis=1)
    boxes = shapely.box(*xyxy[there].T)
    if not grid.mapping.is_affine:
        longer = np.maximum(xyxy[there, 2] - xyxy[there, 0], xyxy[there, 3] - xyxy[there, 1])
        boxes = shapely.segmentize(boxes, np.maximum(longer, 1e-9) / _SEGMENTS_A_SIDE)
    geometry = np.full(len(xyxy), None, dtype=object)
    geometry[there] = shapely.transform(boxes, grid.mapping.to_map)
    columns = {"prompt_row": np.asarray(rows, dtype=np.int64), "prompt_status": list(statuses)}
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(geometry, crs=grid.crs))


def finish_geopackage(
    path: Path,
    layer: str,
    geometry_column: str,
    record: dict[str, Any],
    prompts: gpd.GeoDataFrame | None = None,
    *,
    no_crs: CRS | None = None,
    time: TimeOfRows | None = None,
) -> None:
    """Add to a GeoPackage with a layer of outlines: the prompts, styles and metadata for QGIS.

    Parameters
    ----------
    path : path
        The GeoPackage.
    layer, geometry_column : str
        The table of the outlines.
    record : dict
        The run's record, for QGIS's metadata.
    prompts : GeoDataFrame, optional
        See `prompts_frame`; becomes the layer `PROMPTS_LAYER`.
    no_crs : CRS, optional
        What prompts without CRS are written as.
    time
        See `result_qml`.
    """
    if prompts is not None:
        if prompts.crs is None and no_crs is not None:
            prompts = prompts.set_crs(no_crs)
        pyogrio.write_dataframe(prompts, path, layer=PROMPTS_LAYER, driver="GPKG", geometry_type="Polygon", GEOMETRY_NAME="geom")
    with open_database(path) as database:
        _make_tables(database)
        style = result_qml(time)
        _add_style(database, layer, geometry_column, style, "Outlines by score")
        _add_metadata(database, layer, layer_qmd(record, what="Outlines"))
        _describe(database, layer, "Outlines of objects, one row for each box (rosgeo)")
        if prompts is not None:
            _add_style(database, PROMPTS_LAYER, "geom", prompts_qml(), "Prompts, dashed")
            _add_metadata(database, PROMPTS_LAYER, layer_qmd(record, what="Prompts (boxes as the model was given them)"))
            _describe(database, PROMPTS_LAYER, "Boxes as the model was given them (rosgeo)")


class StyledLayer(NamedTuple):
    """A layer of a GeoPackage and how QGIS shows it.

    Attributes
    ----------
    name, geometry_column : str
        Its table.
    qml : str
        The style.
    style, description : str
        What the style and the layer are, in words.
    """

    name: str
    geometry_column: str
    qml: str
    style: str
    description: str


def style_layers(path: Path, layers: Sequence[StyledLayer]) -> None:
    """Add default styles and descriptions to layers of a GeoPackage that has none yet."""
    with open_database(path) as database:
        _make_tables(database)
        for layer in layers:
            _add_style(database, layer.name, layer.geometry_column, layer.qml, layer.style)
            _describe(database, layer.name, layer.description)


def _make_tables(database: sqlite3.Connection) -> None:
    """QGIS's table of styles, as QGIS makes it, and the metadata extension's (OGC 12-128r15, annex F.8), where GDAL has not made them."""
    database.executescript(
        """CREATE TABLE IF NOT EXISTS layer_styles (
            id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
            f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
            useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
            update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));
        INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles');
        CREATE TABLE IF NOT EXISTS gpkg_metadata (
            id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL, md_scope TEXT NOT NULL DEFAULT 'dataset',
            md_standard_uri TEXT NOT NULL, mime_type TEXT NOT NULL DEFAULT 'text/xml', metadata TEXT NOT NULL DEFAULT '');
        CREATE TABLE IF NOT EXISTS gpkg_metadata_reference (
            reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT, row_id_value INTEGER,
            timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), md_file_id INTEGER NOT NULL,
            md_parent_id INTEGER, CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
            CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id));
        CREATE TABLE IF NOT EXISTS gpkg_extensions (
            table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL, scope TEXT NOT NULL,
            CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));"""
    )
    for table in ("gpkg_metadata", "gpkg_metadata_reference"):
        # The unique constraint does not hold where the column is null.
        database.execute(
            """INSERT INTO gpkg_extensions SELECT :table, NULL, 'gpkg_metadata', 'http://www.geopackage.org/spec120/#extension_metadata',
                'read-write' WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE table_name = :table)""",
            {"table": table},
        )


def _add_style(database: sqlite3.Connection, layer: str, geometry_column: str, qml: str, description: str) -> None:
    """QGIS loads from ``layer_styles`` the row with ``useAsDefault`` for the table and the geometry column."""
    database.execute(
        """INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, styleSLD,
            useAsDefault, description, owner) VALUES ('', '', ?, ?, 'rosgeo', ?, '', 1, ?, '')""",
        (layer, geometry_column, qml, description),
    )


def _add_metadata(database: sqlite3.Connection, layer: str, qmd: str) -> None:
    row = database.execute(
        "INSERT INTO gpkg_metadata (md_scope, md_standard_uri, mime_type, metadata) VALUES ('dataset', ?, 'text/xml', ?)",
        (QMD_URI, qmd),
    ).lastrowid
    database.execute(
        "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES ('table', ?, ?)", (layer, row)
    )


def _describe(database: sqlite3.Connection, layer: str, description: str) -> None:
    database.execute("UPDATE gpkg_contents SET description = ? WHERE table_name = ?", (description, layer))


def outlines_layer(path: str, layers: Sequence[str]) -> str | None:
    """Which of a file's layers holds the outlines of a rosgeo run, by its record.

    Parameters
    ----------
    path : str
        A file that GDAL opens.
    layers : sequence of str
        Its layers with geometries.

    Returns
    -------
    str or None
        None where there is none, or more than one.
    """
    if PROMPTS_LAYER not in layers:
        return None
    found = [name for name in layers if _is_record((pyogrio.read_info(path, layer=name).get("layer_metadata") or {}).get("rosgeo"))]
    return found[0] if len(found) == 1 else None


def _is_record(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except ValueError:
        return False
