"""SQLite files (GeoPackages): the log that lies beside them, and who has them open. Every connection of rosgeo's own is opened here.

A program that writes keeps what it has not yet brought into the file in a log beside it: ``-wal`` (with ``-shm``, its index; QGIS uses it
while a layer is edited) or ``-journal`` (what a write that was cut short has to be undone by). Whoever opens the file next reads it with
that log, also where another file has taken its place in the meantime. See https://sqlite.org/wal.html and
https://sqlite.org/howtocorrupt.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rosgeo.errors import BoxesError, OutputError, UserInputError
from rosgeo.files.locks import holders
from rosgeo.files.names import real_path

__all__ = ["held_alone", "open_database", "require_log", "sides_of", "tables_of"]

_SIDES = ("-wal", "-shm", "-journal")
_FORMAT_TABLES = ("gpkg_", "gpkgext_", "rtree_", "sqlite_", "ogr_empty_table")
_WAIT_S = 0.5
"""For a program that only looks something up."""
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_DATABASE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def sides_of(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a database, as far as they are there."""
    place = real_path(path)
    return [side for side in (place.with_name(place.name + end) for end in _SIDES) if side.exists()]


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to write by; what was written stays where the block ends well, and the file is closed then."""
    with closing(sqlite3.connect(path)) as database, database:
        yield database


def tables_of(path: Path) -> list[str]:
    """The tables of a GeoPackage, but those of the format's own; raises OutputError where it cannot be opened."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    try:
        with closing(_connect(real_path(path))) as database:
            names = [name for (name,) in database.execute(query)]
    except sqlite3.Error as error:
        raise OutputError(f"{path} cannot be read: {error}") from error
    return [name for name in names if not name.startswith(_FORMAT_TABLES)]


def _connect(place: Path, wait_s: float = _WAIT_S) -> sqlite3.Connection:
    return sqlite3.connect(f"{place.absolute().as_uri()}?mode=rw", uri=True, timeout=wait_s, isolation_level=None)


def _code(error: sqlite3.Error) -> int:
    """The primary result code; its refinements are in the higher bytes."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _with_log(place: Path) -> list[Path]:
    """Side files that hold rows."""
    return [side for side in sides_of(place) if not side.name.endswith("-shm") and side.stat().st_size]


@contextmanager
def held_alone(path: Path, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Bring a GeoPackage's log into it, and let nobody else open a transaction on it until the block ends.

    Of what is no SQLite file, or is not there, nothing is asked; but a log without its database is left alone.

    Parameters
    ----------
    path : path
        A file that is to be replaced; a symbolic link stands for what it leads to.
    wait_s : float
        For others that have a transaction open.

    Raises
    ------
    OutputError
        Another program holds it, the log cannot be brought in, or belongs to a file that is gone.
    """
    place = real_path(path)
    if place.suffix.lower() != ".gpkg":
        yield
        return
    log = _with_log(place)
    if not place.exists():
        if log:
            raise OutputError(
                f"{log[0]} is what was last saved to a {place.name} that is not there; a new file of this name would be read with it. "
                "Move it to where its file is, or remove it"
            )
        yield
        return
    opened = holders(sides_of(place))
    if opened:  # before SQLite is asked: its locks do not tell of programs on other machines, nor of other libraries in this one
        raise OutputError(_held(path, opened))
    database = _taken(path, place, log, wait_s)
    if database is None:
        yield
        return
    with closing(database):
        yield


def _taken(path: Path, place: Path, log: list[Path], wait_s: float) -> sqlite3.Connection | None:
    """A connection that holds a database alone; None where the file is none."""
    database = None
    try:
        database = _connect(place, wait_s)
        database.execute("PRAGMA journal_mode=DELETE")
        database.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        if _code(error) in _HELD:
            raise OutputError(_held(path, holders([place, *sides_of(place)]))) from error
        if _code(error) in _NO_DATABASE and not log:
            return None
        what = f"{_names(log)} holds what was last saved, and {error}. Move both away" if log else str(error)
        raise OutputError(f"{path} cannot be replaced: {what}") from error
    return database


def _held(path: Path, programs: list[str]) -> str:
    who = ", ".join(programs) or "another program"
    return (
        f"{path} is open in {who}, which edits or reads it; save and close it there (in QGIS: end the layer's edit session) first"
    )


def _names(log: list[Path]) -> str:
    return " and ".join(side.name for side in log)


def require_log(path: str | Path, error: type[UserInputError] = BoxesError) -> None:
    """See to it that a reader of a layer sees what is in the log beside its file.

    GDAL reads the log by itself where it can. Where it cannot (in a folder that takes no files, for a write that was cut short) it would
    read the file without the log, or not at all.

    Parameters
    ----------
    path : path
        Anything that GDAL opens; what has no log beside it is not looked at.
    error : type
        What to raise.

    Raises
    ------
    UserInputError
        There is a log that cannot be read; of the type `error`.
    """
    if "://" in str(path) or str(path).startswith("/vsi") or not Path(path).is_file():
        return
    place = real_path(path)
    log = _with_log(place)
    if not log:
        return
    try:
        with closing(_connect(place)) as database:
            # Reading takes in the log, or undoes what was cut short.
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as found:
        if _code(found) in _NO_DATABASE:
            return  # whoever reads it says what it is
        if _code(found) in _HELD:
            raise error(f"{path} cannot be read: {_held(Path(path), holders([place, *log]))}") from found
        raise error(
            f"{path} cannot be read as it was last saved: {_names(log)} holds what is not yet in it, and {found}. "
            "Copy both into a folder that can be written to, and take the copy"
        ) from found
