"""Where results go: files checked before any work, built beside their place, put there by a rename."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rosgeo.errors import OutputError, RosgeoError
from rosgeo.files.locks import holders, written_alone
from rosgeo.files.names import hidden_beside, real_path
from rosgeo.files.places import put, sync_folder
from rosgeo.vector.layers.database import held_alone, sides_of
from rosgeo.vector.layers.shapefile import parts_of

__all__ = [
    "KEPT",
    "Stamp",
    "cannot_write",
    "check_output",
    "check_place",
    "naming_errors",
    "replacing",
    "replacing_all",
    "room_on_disk",
    "stamp_of",
    "temporary_folder",
    "writing",
]

_LITTLE_ROOM_BYTES = 1e9
_PARTING_MARKS = (";", "!")
"""pyogrio (0.13) takes what comes before them for an address, or an archive: the file would be written elsewhere."""
_BY_GDAL = (".gpkg", ".geojson", ".fgb", ".shp")
_RASTER_SIDES = (".ovr", ".msk", ".aux.xml")
"""What GDAL and QGIS put beside a GeoTIFF, and read with whatever file is there then."""
_PATIENCE_S = 5.0
"""For another program that reads the old file when the new one is whole."""


def check_output(path: str | Path, *, overwrite: bool, inputs: tuple[str, ...] = ()) -> Path:
    """Find out before any work whether a file can be written.

    What a GeoPackage's log holds is brought into the file, so that nothing is lost where it stays after all.

    Parameters
    ----------
    path : path
        The file; a symbolic link stands for what it leads to.
    overwrite : bool
        An existing file may be replaced.
    inputs : tuple of str
        Files that must not be the output.

    Raises
    ------
    OutputError
        It exists, is an input, is read-only or open in another program, or its folder is missing or not writable.
    """
    target = Path(path)
    try:
        _check_files(target, overwrite, inputs)
    except OutputError:
        raise
    except OSError as error:  # a name that is too long, links in a circle, a folder that may not be looked into
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error
    check_place(target)
    return target


def _check_files(target: Path, overwrite: bool, inputs: tuple[str, ...]) -> None:
    place = real_path(target)
    parted = [mark for mark in _PARTING_MARKS if mark in str(place)]
    if parted and target.suffix.lower() in _BY_GDAL:
        raise OutputError(
            f"{target} cannot be written: {place} has {' and '.join(parted)} in its name, where GDAL's reader parts it"
        )
    if place.is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file")
    if place.is_symlink():
        raise OutputError(f"{target} is a symbolic link that leads in a circle; name another output")
    there = _files_of(target)
    for file in there:
        if any(Path(i).exists() and os.path.samefile(i, file) for i in inputs):
            raise OutputError(f"{file} is an input; name another output")
        if not overwrite:
            raise OutputError(f"{file} exists; pass --overwrite to replace it, or name another output")
        _require_replaceable(file)
    with suppress(FileNotFoundError, NotADirectoryError):
        place.stat()  # names that are too long say so here
    programs = holders(there, writing=True) if there and place.suffix.lower() != ".gpkg" else []
    if programs:
        raise OutputError(f"{target} is open for writing in {', '.join(programs)}; save and close it there first")
    with held_alone(target):
        pass


def _require_replaceable(file: Path) -> None:
    """Raise OutputError for what is no regular file, or is kept from being changed; root may change it all the same, and should not."""
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OutputError(f"{file} is no regular file; name another output")
    if not mode & 0o222 or not os.access(file, os.W_OK):
        raise OutputError(f"{file} is read-only; allow that it is written to, or name another output")


def check_place(target: Path) -> None:
    """Raise OutputError where the folder of an output is missing or not writable."""
    for folder in dict.fromkeys((target.parent, real_path(target).parent)):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{target}: {folder} is a file, not a folder")
        if not folder.is_dir():
            raise OutputError(f"{target}: the folder {folder} does not exist; make it first")
        if not os.access(folder, os.W_OK) or not _takes_files(folder):
            raise OutputError(f"{target}: the folder {folder} is not writable")


def _files_of(target: Path) -> list[Path]:
    """The files that an output is made of, as far as they are there."""
    if target.suffix.lower() == ".shp":
        return parts_of(target)
    return [target] if target.exists() else []


def _takes_files(folder: Path) -> bool:
    """True where a file can be made in a folder; permissions alone do not tell, on read-only and special file systems."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class Stamp:
    """By what a file is known to be as it was: its number on the disk, size and time (ns)."""

    number: int
    size: int
    time: int


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file that is there, with no log beside it."""
    found = path.stat()
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when it does not."""
    with replacing_all([path]) as partials:
        yield partials[0]


@contextmanager
def replacing_all(paths: Sequence[Path], *, read: Stamp | None = None) -> Iterator[list[Path]]:
    """A temporary path beside each path; all take their places when the block ends well, or none does.

    Each file is put there by one rename, under the mode and owner of the one that it replaces. Where one of them fails, those before it are
    taken back. No other run of rosgeo writes the same files meanwhile, and no other program has a GeoPackage open while it is replaced.

    Parameters
    ----------
    paths : sequence of path
    read : Stamp, optional
        Of the first, where the new one is made from what it held: it must not have been changed since.
    """
    with ExitStack() as stack, ExitStack() as looking:
        stack.enter_context(written_alone(paths))
        folders = [stack.enter_context(temporary_folder(path)) for path in paths]
        partials = [folder / path.name for folder, path in zip(folders, paths, strict=True)]
        yield partials
        try:
            for path in paths:
                # Windows renames nothing over a file that is open, to us neither: there the look is all.
                (stack if os.name != "nt" else looking).enter_context(held_alone(path, wait_s=_PATIENCE_S))
            looking.close()
            _require_as_read(paths[0], read)
            _put_in_place(partials, paths)
        except RosgeoError:
            raise
        except OSError as error:
            names = ", ".join(map(str, paths))
            notes = getattr(error, "__notes__", [])
            end = "; ".join(notes) if notes else "nothing was changed"
            raise OutputError(f"{names} cannot be put in place: {_reason(error)}; {end}") from error


def _require_as_read(path: Path, read: Stamp | None) -> None:
    if read is not None and stamp_of(path) != read:
        raise OutputError(f"{path} was changed by another program while the new rows were written")


def _reason(error: OSError) -> str:
    """Why a file cannot be put in place; Windows renames nothing over a file that is open."""
    held = isinstance(error, PermissionError) and os.name == "nt"
    return f"{error.strerror or error}" + (" (it is open in another program: close it there)" if held else "")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside what is to be put at `path`, gone when the block ends; what killed runs left there of the same output goes first."""
    place = real_path(path)
    mark = hidden_beside(place, "rosgeo-xxxxxxxx").name.removesuffix("xxxxxxxx")
    try:
        _sweep(place, mark)
        folder = Path(tempfile.mkdtemp(prefix=mark, dir=place.parent))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        # Where even an old file could not be brought back, it is still in there.
        if not (folder / KEPT).exists() or not any((folder / KEPT).iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


KEPT = "old"
"""Name of the folder where old files are in a temporary folder, until all new ones are in their places."""


def _sweep(place: Path, mark: str) -> None:
    """Remove the folders of runs that were killed; what was replaced by then only in part gets its old files back."""
    for folder in place.parent.glob(f"{_escaped(mark)}*"):
        if not re.fullmatch(r"[a-z0-9_]{8}", folder.name.removeprefix(mark)) or not folder.is_dir() or folder.is_symlink():
            continue
        kept = folder / KEPT
        unfinished = kept.is_dir() and any(f != kept for f in folder.iterdir())
        for old in kept.iterdir() if unfinished or (kept.is_dir() and not place.exists()) else ():
            name = real_path(place.with_name(old.name))
            # A folder is renamed away before the new one comes.
            if old.is_file() or not name.exists():
                old.replace(name)
        shutil.rmtree(folder, ignore_errors=True)


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _put_in_place(partials: Sequence[Path], paths: Sequence[Path]) -> None:
    done: list[tuple[Path, Path | None]] = []
    try:
        for partial, path in zip(partials, paths, strict=True):
            new = {path.with_name(p.name): p for p in _files_of(partial)}
            kept = partial.parent / KEPT
            kept.mkdir()
            for file in _files_of(path):
                _require_replaceable(file)
            # A part of an older Shapefile that has no successor goes as well, an empty log, and what tells of an older raster.
            for name in [*(p for p in (*_files_of(path), *_stale_sides(path)) if p not in new), *new]:
                place = real_path(name)
                old = kept / place.name if place.exists() else None
                if old is not None:
                    _keep(place, old)
                done.append((place, old))
                if name in new:
                    put(new[name], place)
                else:
                    place.unlink()
            sync_folder(real_path(path).parent)
    except BaseException as error:
        _take_back(done, error)
        raise
    for _, old in done:
        if old is not None:
            with suppress(OSError):
                old.unlink()


def _stale_sides(path: Path) -> list[Path]:
    """What is left beside a GeoPackage that is held alone, and so has no log; overviews and statistics of an older raster."""
    if path.suffix.lower() in (".tif", ".tiff"):
        place = real_path(path)
        return [side for side in (place.with_name(place.name + end) for end in _RASTER_SIDES) if side.is_file()]
    return sides_of(path) if path.suffix.lower() == ".gpkg" else []


def _take_back(done: Sequence[tuple[Path, Path | None]], error: BaseException) -> None:
    for place, old in reversed(done):
        try:
            if old is None:
                place.unlink(missing_ok=True)
            elif old.exists():
                old.replace(place)
                # Two names of one file are left both by a rename.
                old.unlink(missing_ok=True)
        except OSError:
            error.add_note(f"{place} could not be brought back" + ("" if old is None else f"; it is kept in {old}"))


def _keep(place: Path, old: Path) -> None:
    """A second name for a file, so that it can come back; the first stays, and there is no moment without it."""
    try:
        os.link(place, old)
    except OSError:  # a file system without hard links
        shutil.copy2(place, old)


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """`replacing`, with whatever a driver raises as an OutputError that names the target."""
    with replacing(target) as partial, naming_errors(target):
        yield partial


@contextmanager
def naming_errors(target: Path) -> Iterator[None]:
    """Whatever a driver raises, as an OutputError that names the target; before what is half written goes away and makes room."""
    try:
        yield
    except RosgeoError:
        raise
    except (RuntimeError, OSError, ValueError, TypeError, sqlite3.Error) as error:
        raise cannot_write(target, error, room_on_disk(target)) from error


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
