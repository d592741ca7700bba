"""Who writes a file, and who has it open."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from rosgeo.errors import OutputError
from rosgeo.files.names import hidden_beside, real_path

__all__ = ["holders", "written_alone"]

logger = logging.getLogger(__name__)

_HERE: ContextVar[frozenset[Path]] = ContextVar("rosgeo outputs that are locked", default=frozenset())


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
