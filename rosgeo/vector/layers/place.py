"""Where results go: files checked before any work, built beside their place, put there by a rename."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rosgeo.errors import OutputError, RosgeoError
from rosgeo.vector.layers.shapefile import parts_of

__all__ = ["cannot_write", "check_output", "check_place", "naming_errors", "replacing", "replacing_all", "room_on_disk", "writing"]

_LITTLE_ROOM_BYTES = 1e9


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
    for there in _files_of(target):
        if any(Path(i).exists() and os.path.samefile(i, there) for i in inputs):
            raise OutputError(f"{there} is an input; name another output")
        if not overwrite:
            raise OutputError(f"{there} exists; pass --overwrite to replace it, or name another output")
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when it does not."""
    with replacing_all([path]) as partials:
        yield partials[0]


@contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """A temporary path beside each path; all take their places when the block ends well, or none does.

    Each file is put there by one rename. Where one of them fails, those before it are taken back.
    """
    folders: list[Path] = []
    try:
        for path in paths:
            try:
                folders.append(Path(tempfile.mkdtemp(prefix=".rosgeo-", dir=path.parent)))
            except OSError as error:
                raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        partials = [folder / path.name for folder, path in zip(folders, paths, strict=True)]
        yield partials
        try:
            _put_in_place(partials, paths)
        except OSError as error:
            names = ", ".join(map(str, paths))
            raise OutputError(f"{names} cannot be put in place: {error.strerror or error}; nothing was changed") from error
    finally:
        for folder in folders:
            shutil.rmtree(folder)


def _put_in_place(partials: Sequence[Path], paths: Sequence[Path]) -> None:
    done: list[tuple[Path, Path | None]] = []
    try:
        for partial, path in zip(partials, paths, strict=True):
            new = {path.with_name(p.name): p for p in _files_of(partial)}
            kept = partial.parent / "old"
            kept.mkdir()
            # A part of an older Shapefile that has no successor goes as well.
            for place in [*(p for p in _files_of(path) if p not in new), *new]:
                old = kept / place.name if place.exists() else None
                if old is not None:
                    _keep(place, old)
                done.append((place, old))
                if place in new:
                    new[place].replace(place)
                else:
                    place.unlink()
    except BaseException:
        for place, old in reversed(done):
            with suppress(OSError):
                place.unlink(missing_ok=True) if old is None else old.replace(place)
        raise


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
