"""Fetching weights files: into the cache, taken up where they broke off, used only with the right hash."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rosgeo.errors import DownloadError
from rosgeo.model.registry import CACHE_VARIABLE, MIRROR_VARIABLE, ModelEntry, cache_dir

if TYPE_CHECKING:
    import requests

__all__ = ["OFFLINE_VARIABLE", "Progress", "download", "is_downloaded", "is_offline"]

OFFLINE_VARIABLE = "ROSGEO_OFFLINE"

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole file, where the server tells."""

TIMEOUTS_S = (10, 60)
"""For the connection, and for each read."""

BLOCK = 1 << 16
"""Bytes a read; of a connection that breaks, less than this is lost."""


def is_offline() -> bool:
    """Whether ``ROSGEO_OFFLINE`` forbids downloads."""
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() not in ("", "0", "false")


def is_downloaded(entry: ModelEntry) -> bool:
    """Whether a model's file is there with the right hash."""
    import pooch  # type: ignore[import-untyped]

    if entry.embedded:
        return True
    algorithm, _, digest = entry.hash.partition(":")
    with _one_line(entry):
        return entry.path.is_file() and bool(pooch.file_hash(str(entry.path), alg=algorithm) == digest)


def download(entry: ModelEntry, *, progress: Progress | None = None) -> Path:
    """Fetch a model's file into the cache, unless it is there.

    Parameters
    ----------
    entry : ModelEntry
        The model.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Path
        The file, whose hash is right.

    Raises
    ------
    DownloadError
        No network, no such file on the server, a broken connection, a wrong hash, or a cache that cannot be written. After a broken
        connection the part that came is kept, and the next call goes on from there.
    """
    import pooch

    if is_downloaded(entry):
        return entry.path
    if is_offline():
        raise DownloadError(f"{entry.name}: {OFFLINE_VARIABLE} forbids downloads; unset it, or {entry.by_hand}")

    def fetch(_url: str, target: str, _pooch: object) -> None:
        part = entry.path.with_name(f"{entry.file}.part")
        _fetch(entry, part, progress or (lambda done, total: None))
        part.replace(target)

    with _one_line(entry), _no_messages_below_warning(pooch.get_logger()):
        cache_dir().mkdir(parents=True, exist_ok=True)
        pooch.retrieve(entry.address, known_hash=entry.hash, fname=entry.file, path=cache_dir(), downloader=fetch)
    return entry.path


def _fetch(entry: ModelEntry, part: Path, progress: Progress) -> None:
    """Fetch the file into `part`, from where that ends."""
    import requests

    have = part.stat().st_size if part.is_file() else 0
    try:
        response = _ask(entry.address, have)
    except requests.RequestException as error:
        raise DownloadError(
            f"{entry.name}: {_server(entry)} cannot be reached ({_reason(error)}); try again, or {entry.by_hand}"
        ) from error
    with response:
        if response.status_code not in (200, 206):
            status = f"{response.status_code} {response.reason}".strip()
            raise DownloadError(f"{entry.name}: {_server(entry)} answers {status}; try again later, or {entry.by_hand}")
        done = have if response.status_code == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else entry.size
        if entry.size and total != entry.size:  # before the part is harmed: a page of some gateway, as a rule
            raise DownloadError(
                f"{entry.name}: {_server(entry)} offers a file of {total:,} bytes, expected {entry.size:,}: another file; {entry.by_hand}"
            )
        reason = "it ended too early"
        with open(part, "ab" if done else "wb") as file:
            progress(done, total)
            try:
                for block in response.iter_content(BLOCK):
                    file.write(block)
                    done += len(block)
                    progress(done, total)
            except requests.RequestException as error:
                reason = _reason(error)
                total = total or done + 1  # of an unknown length, but not whole
    if total is not None and done < total:
        raise DownloadError(
            f"{entry.name}: the connection to {_server(entry)} broke ({reason}); {done:,} bytes are kept in {part}: "
            f"run rosgeo models download {entry.name} again to go on from there"
        )


def _ask(url: str, have: int) -> requests.Response:
    """The server's answer to a request for what comes after the first `have` bytes, or for the whole file where it does not do that."""
    import requests

    # Without compression on the way, so that lengths and ranges are those of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS_S)
    other_range = response.status_code == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if have and (other_range or response.status_code == 416):
        response.close()
        return _ask(url, 0)
    return response


def _server(entry: ModelEntry) -> str:
    if entry.address == entry.url:
        return entry.url.split("/")[2]
    return f"{entry.address} (from {MIRROR_VARIABLE})"


def _reason(error: BaseException) -> str:
    """The system's words for what is at the bottom of an error of requests, which itself fills several lines."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    words = " ".join(str(error).split())
    if "IncompleteRead" in words:
        return "it ended too early"
    return "it timed out" if "timed out" in words else words[:200]


@contextmanager
def _one_line(entry: ModelEntry) -> Iterator[None]:
    """Errors of pooch and of the disk as ours."""
    try:
        yield
    except DownloadError:
        raise
    except ValueError as error:
        # Of pooch, which has removed the file; the message names the hash that was expected, and the one that was found.
        digests = re.findall(r"\b[0-9a-f]{32,64}\b", str(error))
        if len(digests) != 2:
            raise
        raise DownloadError(
            f"{entry.name}: the file from {_server(entry)} is not the one that was asked for: expected {entry.hash}, found "
            f"{digests[1]}; it was removed; run rosgeo models download {entry.name} again, or {entry.by_hand}"
        ) from error
    except OSError as error:
        reason = "a file is where the folder should be" if isinstance(error, FileExistsError) else _reason(error)
        raise DownloadError(
            f"{entry.name}: {error.filename or entry.path} cannot be read or written ({reason}); "
            f"set {CACHE_VARIABLE} to a folder that can"
        ) from error


@contextmanager
def _no_messages_below_warning(logger: logging.Logger) -> Iterator[None]:
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
