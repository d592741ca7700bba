"""Other programs that have a GeoPackage open, for the tests: with QGIS's way of keeping a log, a transaction, or killed in the middle."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["WAL", "connect", "crashed", "elsewhere", "rows", "sides"]

WAL = "PRAGMA journal_mode=WAL"
"""What QGIS does when a layer is made editable."""

_SHAPES = ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")
"""Functions that the triggers of a GeoPackage call; they only have to be there."""

_PROGRAM = """
import os, sys
from tests.gpkg_site import connect
database = connect(sys.argv[1])
for statement in sys.argv[3:]:
    database.execute(statement)
print("ready", flush=True)
if sys.argv[2] == "crash":
    os._exit(1)
sys.stdin.read()
database.close()
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection without transactions of its own, and with what a GeoPackage's triggers need."""
    database = sqlite3.connect(path, isolation_level=None)
    for name in _SHAPES:
        database.create_function(name, 1, lambda _: 0)
    return database


def _program(path: Path, how: str, statements: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROGRAM, str(path), how, *statements]
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@contextmanager
def elsewhere(path: Path, *statements: str) -> Iterator[int]:
    """Another process that has a GeoPackage open after some statements, until the block ends; gives its number."""
    process = _program(path.resolve(), "stay", statements)
    try:
        yield process.pid
    finally:
        process.communicate("")


def crashed(path: Path, *statements: str) -> None:
    """What a process leaves that was killed after some statements."""
    _program(path.resolve(), "crash", statements).communicate()


def rows(path: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Rows of a table in order, by SQLite itself; the file has to be sound."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return database.execute(f"SELECT {columns} FROM {table} ORDER BY fid").fetchall()


def sides(path: Path) -> list[str]:
    """Names of the files beside a GeoPackage that begin with its own."""
    return sorted(p.name for p in path.parent.iterdir() if p.name.lstrip(".").startswith(path.name) and p != path)
