"""The journal of a run: results of finished tiles, on disk beside the output, so that a killed run can go on.

A line of JSON for the run (what it was made from) and one for each finished tile. A line that a kill cut short is not taken.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, get_args

import shapely

from rosgeo.errors import OutputError, ResumeError
from rosgeo.files.names import hidden_beside
from rosgeo.files.places import sync_folder
from rosgeo.types import Status
from rosgeo.vector.result import ObjectResult

__all__ = ["Journal", "journal_path", "resume_hint"]

logger = logging.getLogger(__name__)

_FORMAT = 1


def journal_path(output: str | Path) -> Path:
    """Where the journal of an output lies: beside it, hidden."""
    return hidden_beside(Path(output), "rosgeo-journal")


class Journal:
    """The journal of one run; its file is made with the first finished tile.

    Parameters
    ----------
    output : path
        The run's output.
    facts : dict of str to str
        Everything that decides the results, as text by name.
    resume : bool
        Take what a killed run of the same facts left; else what is there is thrown away.

    Attributes
    ----------
    finished : dict of int to list of ObjectResult
        Results of the tiles that an earlier run finished, by number.

    Raises
    ------
    ResumeError
        `resume`, and the journal is of a run of other facts.
    OutputError
        The journal cannot be written.
    """

    def __init__(self, output: str | Path, facts: dict[str, str], *, resume: bool) -> None:
        self.path = journal_path(output)
        self.finished: dict[int, list[ObjectResult]] = {}
        self._facts = facts
        self._good = 0
        self._file: BinaryIO | None = None
        if self.path.exists() and not self.path.is_file():
            raise OutputError(f"{self.path} is where the run's journal is to be, and no file; remove it, or name another output")
        if resume and self.path.is_file():
            try:
                self.finished, self._good = _read(self.path, facts)
            except OSError as error:
                raise ResumeError(
                    f"the journal {self.path} cannot be read: {error.strerror or error}. Start anew without --resume"
                ) from error

    def keep_only(self, rows: Mapping[int, Sequence[int]]) -> None:
        """Give up what is finished of tiles that hold other rows than those of this run's tiles, by number: another version's plan."""
        self.finished = {
            n: results for n, results in self.finished.items() if sorted(o.id for o in results) == sorted(rows.get(n, ()))
        }

    def add(self, number: int, results: Iterable[ObjectResult]) -> None:
        """Keep the results of a finished tile."""
        self._append({"tile": number, "objects": [_as_list(result) for result in results]})

    @property
    def holds_tiles(self) -> bool:
        """True where there is something on disk to go on from."""
        return self._good > 0 and self.path.is_file()

    def close(self) -> None:
        """Close the file; it stays on disk."""
        if self._file is not None:
            # Each tile was brought to the disk when it was added; what could not be then is no error a second time.
            with suppress(OSError):
                self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close and delete the journal, once the output is in its place; one that stays is of no harm."""
        self.close()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the journal %s of the finished run cannot be removed: %s", self.path, error)

    def _append(self, record: dict[str, Any]) -> None:
        try:
            if self._file is None:
                # Not before there is something to go on from: a run that fails at once leaves nothing, and an older journal stays.
                if not self._good:
                    # Not written over: an older one may be another user's, or may not be written to.
                    self.path.unlink(missing_ok=True)
                self._file = self.path.open("r+b" if self._good else "wb")
                self._file.truncate(self._good)
                self._file.seek(self._good)
                if not self._good:
                    self._write({"rosgeo-journal": _FORMAT, "facts": self._facts})
            self._write(record)
            self._file.flush()
            os.fsync(self._file.fileno())
            if not self._good:
                sync_folder(self.path.parent)
            self._good = self._file.tell()
        except OSError as error:
            if not self._good and self._file is not None:
                # Not one whole tile: nothing to go on from.
                self.remove()
            raise OutputError(f"the journal {self.path} cannot be written: {error.strerror or error}") from error

    def _write(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(record).encode() + b"\n")


@contextmanager
def resume_hint(journal: Journal | None) -> Iterator[None]:
    """Whatever error ends the block says how to go on, where a journal holds something to go on from."""
    try:
        yield
    except Exception as error:
        if journal is not None and journal.holds_tiles:
            error.add_note(f"What is finished is in {journal.path}; run the same command with --resume to go on")
        raise


def _read(path: Path, facts: dict[str, str]) -> tuple[dict[int, list[ObjectResult]], int]:
    """Finished tiles, and how many bytes of the file are good."""
    finished: dict[int, list[ObjectResult]] = {}
    good = 0
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                # A line that is whole and says something else was damaged by whatever cut short the ones after it.
                number, results = _tile_of(record) if good else (0, [])
            except (ValueError, TypeError, LookupError, shapely.errors.ShapelyError):
                break
            if not line.endswith(b"\n"):
                break
            if good == 0:
                _require_same(record, facts, path)
            else:
                finished[number] = results
            good += len(line)
    return finished, good


def _tile_of(record: dict[str, Any]) -> tuple[int, list[ObjectResult]]:
    return int(record["tile"]), [_from_list(values) for values in record["objects"]]


def _require_same(record: Any, facts: dict[str, str], path: Path) -> None:
    if not isinstance(record, dict) or record.get("rosgeo-journal") != _FORMAT:
        raise ResumeError(f"{path} is no journal that this version of rosgeo reads; remove it, or run without --resume")
    old = record.get("facts")
    if not isinstance(old, dict):
        raise ResumeError(f"{path} does not say what run it is of; remove it, or run without --resume")
    changed = [key for key in {**old, **facts} if old.get(key) != facts.get(key)]
    if changed:
        what = "; ".join(f"{key} was {old.get(key, 'not given')}, is {facts.get(key, 'not given')}" for key in changed[:3])
        raise ResumeError(
            f"the journal {path.name} is of another run ({what}). Run it as it was begun, or start anew without --resume"
        )


def _as_list(result: ObjectResult) -> list[Any]:
    shape = None if result.polygon_map is None else shapely.to_wkb(result.polygon_map, hex=True)
    return [result.id, result.status, shape, _number(result.score), _number(result.stability)]


def _from_list(values: list[Any]) -> ObjectResult:
    row, status, shape, score, stability = values
    if status not in get_args(Status):
        raise ValueError(f"no status: {status!r}")
    polygon = None if shape is None else shapely.from_wkb(shape)
    return ObjectResult(int(row), status, polygon, *(float("nan") if v is None else float(v) for v in (score, stability)))


def _number(value: float) -> float | None:
    return value if value == value else None
