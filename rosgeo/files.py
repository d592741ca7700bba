"""Files in their place: who writes them, who holds them, and how a whole new one takes the place of an old one."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from filelock import FileLock, Timeout

from rosgeo.errors import OutputError

__all__ = [
    "hidden_beside",
    "holders",
    "legal_name",
    "put",
    "real_path",
    "stem_of",
    "sync_folder",
    "whole_file",
    "written_alone",
]

logger = logging.getLogger(__name__)

_MOST_NAME_BYTES = 255
"""Of a file's name, on every usual file system."""

_MOST_STEM = 100

_HERE: ContextVar[frozenset[Path]] = ContextVar("rosgeo outputs that are locked", default=frozenset())

_SYSTEM_MARKS = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
"""What no file's name may hold on Windows."""


def real_path(path: str | Path) -> Path:
    """Where a file is or is to be, through all symbolic links: what is written there leaves the links as they are."""
    return Path(os.path.realpath(path))


def hidden_beside(path: Path, ending: str) -> Path:
    """A hidden file beside another, by whose name it is known; names that would get too long are cut, and told apart by a hash."""
    name = f".{path.name}.{ending}"
    if len(os.fsencode(name)) > _MOST_NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        name = f".{os.fsencode(path.name)[:100].decode(errors='ignore')}-{digest}.{ending}"
    return path.with_name(name)


def legal_name(text: str) -> str:
    """A text as part of a file's name that every system takes; ``_`` where there are characters that one of them does not."""
    return _SYSTEM_MARKS.sub("_", text).strip(" ._")[:_MOST_STEM] or "_"


def stem_of(name: str) -> str:
    """What an output is called by default, after its input.

    Parameters
    ----------
    name : str
        A path, an address or the name of a sub-dataset as GDAL has it (``NETCDF:"scene.nc":Band1``).

    Returns
    -------
    str
        The stem of the file, of an address without what it is asked with; of a sub-dataset the stem of its file and the parts of its name,
        joined by ``_``. Every system takes it as a file's name.
    """
    if Path(name).exists():
        return legal_name(Path(name).stem)
    # /vsicurl/ stands before an address, and zip:// before the name of a file in an archive.
    address = urlsplit(name[name.index("http") :] if name.startswith("/vsi") and "http" in name else name)
    text = (address.path or address.netloc) if "://" in name else name
    parts = _SUBDATASET.fullmatch(name)
    if parts is None or "://" in name.partition('"')[0]:
        return legal_name(Path(text.rpartition("!")[2].replace("\\", "/")).stem)
    named = [quoted or plain for quoted, plain in _PART.findall(parts["rest"])]
    stems = [Path(part).stem if "." in part else part.strip("/") for part in named]
    return "_".join(legal_name(stem) for stem in stems if stem)


# The driver's name is longer than that of a Windows disk.
_SUBDATASET = re.compile(r"[A-Za-z0-9_]{2,}:(?P<rest>.+)")
_PART = re.compile(r'"([^"]*)"|([^":]+)')


@contextmanager
def written_alone(paths: Iterable[str | Path]) -> Iterator[None]:
    """Keep other runs from writing the same files until the block ends.

    A lock file stands beside each (hidden, ``.NAME.rosgeo-lock``), which the system unlocks when its process ends in whatever way. What is
    held by the caller already is not locked again.

    Raises
    ------
    OutputError
        Another run writes one of them, with what is known of it.
    """
    places = {real_path(path) for path in paths} - _HERE.get()
    with ExitStack() as stack:
        for place in sorted(places):
            stack.enter_context(_lock(place))
        token = _HERE.set(_HERE.get() | places)
        try:
            yield
        finally:
            _HERE.reset(token)


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    path = hidden_beside(place, "rosgeo-lock")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(f"{place} is being written by {_owner(path)}; wait for its end, or name another output") from None
    except (OSError, NotImplementedError) as error:
        if not isinstance(error, NotImplementedError) and not path.parent.is_dir():
            raise OutputError(f"{place} cannot be written: {error.strerror or error}") from error
        # A file system without locks, or a lock of another user's: better an unlocked run than none.
        logger.warning("%s cannot be locked against other runs: %s", place, error)
        yield
        return
    try:
        with suppress(OSError):  # on a full disk the name is missing, and nothing else
            path.write_text(
                f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n", "utf-8"
            )
        yield
    finally:
        # Before it is unlocked, so that nobody waits at a file that is gone. Windows does not remove what is open.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _owner(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, ValueError):  # Windows lets nobody read what is locked
        text = ""
    return "another run of rosgeo" + (f" ({text})" if text else "")


def holders(paths: Sequence[Path], *, writing: bool = False) -> list[str]:
    """Programs that have one of several files open, as far as the system tells.

    Parameters
    ----------
    paths : sequence of Path
    writing : bool
        Only those that may write to it.

    Returns
    -------
    list of str
        As in ``qgis.bin (process 4711)``; empty where nobody has, or where the system does not tell (Windows, other users' programs).
    """
    if os.name == "nt":  # where asking for the open files of others may block
        return []
    wanted = {str(real_path(path)) for path in paths}
    found = []
    for process in psutil.process_iter(["pid", "name"]):
        with suppress(psutil.Error, OSError):
            if any(f.path in wanted and not (writing and getattr(f, "mode", "r+") == "r") for f in process.open_files()):
                found.append(f"{process.info['name']} (process {process.info['pid']})")
    return found


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
