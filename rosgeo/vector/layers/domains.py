"""Field domains of a GeoPackage (its Schema extension, OGC 12-128r15, annex F.9): what the values of a column may be, and mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

__all__ = ["DOMAIN", "DOMAIN_NAME", "read_domain", "write_domains"]

DOMAIN_NAME = "GDAL:OGR:domain_name"
"""Where GDAL tells the name of a column's domain, in Arrow's metadata of it."""

DOMAIN = "rosgeo:domain"
"""Where `read_domain` is kept beside that."""

_EXTENSION = "http://www.geopackage.org/spec121/#extension_schema"
_COLUMNS = "constraint_type, value, min, min_is_inclusive, max, max_is_inclusive, description"


def read_domain(path: str | Path, name: str) -> str | None:
    """A domain as JSON; None where the file is no local GeoPackage, or has none of the name."""
    if Path(path).suffix.lower() != ".gpkg" or not Path(path).is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM gpkg_data_column_constraints WHERE lower(constraint_name) = lower(?)", (name,)
            ).fetchall()
    except sqlite3.Error:
        return None
    return json.dumps(rows) if rows else None


def write_domains(path: Path, layer: str, fields: Mapping[str, Mapping[str, str]]) -> None:
    """Give columns of a layer of a GeoPackage the domains that their metadata hold."""
    domains = {column: (field[DOMAIN_NAME], json.loads(field[DOMAIN])) for column, field in fields.items() if DOMAIN in field}
    if not domains:
        return
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            """CREATE TABLE IF NOT EXISTS gpkg_data_columns (
                table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT,
                constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name));
            CREATE TABLE IF NOT EXISTS gpkg_data_column_constraints (
                constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC, min_is_inclusive BOOLEAN,
                max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
                CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));"""
        )
        for table in ("gpkg_data_columns", "gpkg_data_column_constraints"):
            database.execute(
                """INSERT INTO gpkg_extensions SELECT :table, NULL, 'gpkg_schema', :definition, 'read-write'
                WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE table_name = :table)""",
                {"table": table, "definition": _EXTENSION},
            )
        for column, (name, rows) in domains.items():
            here = (name, layer, column)
            told = database.execute(
                "UPDATE gpkg_data_columns SET constraint_name = ? WHERE table_name = ? AND column_name = ?", here
            )
            if not told.rowcount:
                database.execute("INSERT INTO gpkg_data_columns (constraint_name, table_name, column_name) VALUES (?, ?, ?)", here)
            database.executemany(
                f"INSERT OR IGNORE INTO gpkg_data_column_constraints (constraint_name, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(name, *row) for row in rows],
            )
