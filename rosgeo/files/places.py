"""How a whole new file takes the place of an old one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rosgeo.files.names import hidden_beside, real_path

__all__ = ["put", "sync_folder", "whole_file"]


def put(new: Path, place: Path) -> None:
    """Put a whole file in the place of another by one rename, with the mode, owner and extended attributes of that one.

    Raises
    ------
    OSError
        It cannot be; then `place` is as it was.
    """
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    _as_before(new, place)
    try:
        new.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A part of an output that is a link to another disk: copied there first.
        near = hidden_beside(place, "rosgeo-new")
        try:
            shutil.copy2(new, near)
            _as_before(near, place)
            near.replace(place)
        finally:
            near.unlink(missing_ok=True)
        new.unlink()


def _as_before(new: Path, place: Path) -> None:
    """Give a file the mode and owner of the one that it replaces, or those that a new file has here."""
    try:
        old = place.stat()
    except FileNotFoundError:
        # What the system gives a file that a program makes: drivers that go by way of SQLite give it less.
        probe = hidden_beside(new, "rosgeo-mode")
        probe.touch()
        new.chmod(stat.S_IMODE(probe.stat().st_mode))
        probe.unlink()
        return
    if hasattr(os, "chown"):
        for owner in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
            with suppress(OSError):  # only root gives files away, and only to groups of one's own without it
                os.chown(new, *owner)
                break
    if hasattr(os, "listxattr"):
        with suppress(OSError):  # a file system without them
            for name in os.listxattr(place):
                with suppress(OSError):
                    os.setxattr(new, name, os.getxattr(place, name))
    new.chmod(stat.S_IMODE(old.st_mode))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder brought to the disk, where the system does that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when it does not.

    For files of a folder that one run has to itself, as a training run's; outputs that a person names go through
    `rosgeo.vector.layers.place`, which looks at what is there before.
    """
    place = real_path(path)
    partial = place.with_name(f"{place.name}.partial")
    try:
        yield partial
        put(partial, place)
        sync_folder(place.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
