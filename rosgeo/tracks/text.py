"""Files of numbers, a row a line, with errors that name file, line and text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TracksError
from rosgeo.types import FloatArray, IntArray

__all__ = [
    "NumberRows",
    "bad_line",
    "field_numbers",
    "first_lines",
    "frame_number",
    "is_comment",
    "line_numbers",
    "numbered_files",
    "read_number_rows",
    "text_lines",
    "whole_numbers",
]

_HEAD_BYTES = 65_536
_SHOWN = 60


@dataclass(frozen=True)
class NumberRows:
    """Rows of numbers of a text file.

    Attributes
    ----------
    values : float64 array (N, C)
        Shorter rows are filled up with NaN.
    lines : int64 array (N,)
        The line of each, from 1.
    texts : list of N str
        The lines as they stand.
    name : str
        Of the file.
    """

    values: FloatArray
    lines: IntArray
    texts: list[str]
    name: str

    def error(self, row: int, what: str) -> TracksError:
        """An error about a row."""
        return bad_line(self.name, int(self.lines[row]), self.texts[row], what)


def bad_line(name: str | Path, line: int, text: str, expected: str) -> TracksError:
    """An error that names file, line and the offending text."""
    shown = text.strip()
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return TracksError(f"{name}, line {line}: {shown!r}: {expected}")


def text_lines(path: Path) -> list[str]:
    """All lines of a text file.

    Raises
    ------
    InputFileNotFoundError, TracksError
        No such file; it is no text in UTF-8, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputFileNotFoundError(f"{path}: no such file; expected tracked boxes") from error
    except UnicodeDecodeError as error:
        raise TracksError(f"{path} is not a text file in UTF-8 (byte {error.start}); expected tracked boxes as text") from error
    except OSError as error:
        raise TracksError(f"{path} cannot be read: {error.strerror or error}") from error


def first_lines(path: Path, count: int = 20) -> list[str]:
    """The first lines that are not blank, for recognising a format; none where the path is no readable text file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        # A cut in the middle of a character is no fault of the file.
        text = head.decode("utf-8-sig", errors="ignore" if len(head) == _HEAD_BYTES else "strict")
    except (OSError, UnicodeDecodeError):
        return []
    if "\0" in text:
        return []
    lines = text.splitlines()
    if len(head) == _HEAD_BYTES:
        lines = lines[:-1]
    return [line for line in lines if line.strip()][:count]


def line_numbers(line: str) -> list[float] | None:
    """The numbers of a line that holds nothing else; None for any other line."""
    return field_numbers(split(line))


def field_numbers(fields: list[str]) -> list[float] | None:
    """Fields as numbers, an empty one as NaN; None where one is anything else."""
    try:
        return [float(v) if v else float("nan") for v in fields]
    except ValueError:
        return None


def split(line: str) -> list[str]:
    """The fields of a line: parted by semicolons where it has any, else by commas, else by tabs and spaces.

    An empty field stays, so that those after it keep their column; those at the end of the line are trailing separators and no fields.
    """
    separator = next((s for s in ";," if s in line), None)
    fields = [v.strip() for v in line.strip().split(separator)]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def is_comment(line: str) -> bool:
    """Whether a line is one of words for people, as NumPy writes them, and no row."""
    return line.lstrip().startswith("#")


def read_number_rows(path: Path, least: int, expected: str, *, blank_is_row: bool = False, none: str | None = None) -> NumberRows:
    """Read a file of numbers.

    An empty field after those that a row needs is NaN. Lines that begin with # are comments, but for files whose lines are frames.

    Parameters
    ----------
    path : Path
    least : int
        Fewest numbers in a row.
    expected : str
        What a row should be, for messages.
    blank_is_row : bool
        A blank line before the last row that is not blank is a row of NaN, where frames are told by their line.
    none : str, optional
        A line that holds only this word (in any case, also several times) is a row of NaN.

    Raises
    ------
    InputFileNotFoundError, TracksError
        No such file; a field that is no number; a row that is too short; no row at all.
    """
    texts, lines, rows = [], [], []
    everything = text_lines(path)
    last = max((i for i, text in enumerate(everything) if text.strip()), default=-1)
    for number, text in enumerate(everything[: last + 1], 1):
        if not blank_is_row and (not text.strip() or is_comment(text)):
            continue
        fields = split(text)
        absent = (blank_is_row and not any(fields)) or (none is not None and {f.lower() for f in fields} == {none})
        numbers = [float("nan")] * least if absent else _numbers(path, number, text, fields, least, expected)
        texts.append(text)
        lines.append(number)
        rows.append(numbers)
    width = max((len(r) for r in rows), default=least)
    values = np.array([r + [np.nan] * (width - len(r)) for r in rows], dtype=np.float64).reshape(len(rows), width)
    if not rows:
        raise TracksError(f"{path} is empty; expected {expected}")
    return NumberRows(values, np.array(lines, dtype=np.int64), texts, str(path))


def _numbers(path: Path, number: int, text: str, fields: list[str], least: int, expected: str) -> list[float]:
    values = field_numbers(fields)
    if values is None:
        wrong = next(f for f in fields if field_numbers([f]) is None)
        raise bad_line(path, number, text, f"{wrong!r} is no number; expected {expected}")
    if "" in fields[:least]:
        raise bad_line(path, number, text, f"'' is no number; expected {expected}")
    if len(values) < least:
        raise bad_line(path, number, text, f"{len(values)} numbers; expected {expected}")
    return values


def whole_numbers(rows: NumberRows, column: int, what: str) -> IntArray:
    """A column as integers; raises TracksError where a value is none."""
    values = rows.values[:, column]
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2**53)))
    if len(wrong):
        raise rows.error(int(wrong[0]), f"{values[wrong[0]]:g} is no {what}; expected a whole number")
    return values.astype(np.int64)


def numbered_files(files: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Files whose names tell a frame, in order of these, and the names of the others; the only file may have any name."""
    listed = list(files)
    told = [f for f in listed if re.search(r"\d", f.stem) or len(listed) == 1]
    return sorted(told, key=frame_number), sorted(f.name for f in listed if f not in told)


def frame_number(path: Path) -> int:
    """The frame that a file's name tells: its last run of digits; raises TracksError where there is none."""
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise TracksError(f"{path}: its name tells no frame number; expected digits, as in 000001{path.suffix}")
    return int(digits[-1])
