"""The journal of a run: results of finished tiles, on disk beside the output, so that a killed run can go on.

A line of JSON for the run (what it was made from) and one for each finished tile. A line that a kill cut short is not taken.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import shapely

from rosgeo.errors import OutputError, ResumeError
from rosgeo.vector.result import ObjectResult

__all__ = ["Journal", "journal_path", "resume_hint"]

_FORMAT = 1


def journal_path(output: str | Path) -> Path:
    """Where the journal of an output lies: beside it, hidden."""
    path = Path(output)
    return path.with_name(f".{path.name}.rosgeo-journal")


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
        if resume and self.path.is_file():
            self.finished, self._good = _read(self.path, facts)

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
        """Close and delete the journal, once the output is in its place."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _append(self, record: dict[str, Any]) -> None:
        try:
            if self._file is None:
                # Not before there is something to go on from: a run that fails at once leaves nothing, and an older journal stays.
                self._file = self.path.open("r+b" if self._good else "wb")
                self._file.truncate(self._good)
                self._file.seek(self._good)
                if not self._good:
                    self._write({"rosgeo-journal": _FORMAT, "facts": self._facts})
            self._write(record)
            self._file.flush()
            os.fsync(self._file.fileno())
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
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            if good == 0:
                _require_same(record, facts, path)
            else:
                finished[int(record["tile"])] = [_from_list(values) for values in record["objects"]]
            good += len(line)
    return finished, good


def _require_same(record: Any, facts: dict[str, str], path: Path) -> None:
    if not isinstance(record, dict) or record.get("rosgeo-journal") != _FORMAT:
        raise ResumeError(f"{path} is no journal that this version of rosgeo reads; remove it, or run without --resume")
    old = record["facts"]
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
    polygon = None if shape is None else shapely.from_wkb(shape)
    return ObjectResult(row, status, polygon, *(float("nan") if v is None else v for v in (score, stability)))


def _number(value: float) -> float | None:
    return value if value == value else None
