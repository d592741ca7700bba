"""The rows of a file of numbers, for telling by their values which format it cannot be."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from rosgeo.tracks.text import is_comment, line_numbers
from rosgeo.types import BoolArray, FloatArray

__all__ = ["NumberSample", "most", "sample_numbers", "within"]

_MOST_BYTES = 2 << 20
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class NumberSample:
    """Rows of a file that have its usual count of numbers.

    Attributes
    ----------
    values : float64 array (N, C)
    commas : bool
        The numbers are parted by commas or semicolons.
    """

    values: FloatArray
    commas: bool

    @property
    def count(self) -> int:
        """Numbers in a row."""
        return int(self.values.shape[1])

    def column(self, index: int) -> FloatArray:
        """A column (N,)."""
        values: FloatArray = self.values[:, index]
        return values


def sample_numbers(path: Path) -> NumberSample | None:
    """The rows of a file, of a large one those of its first 2 MB; None where fewer than half of its lines are such rows.

    So that a few bad lines, wherever they are, do not hide what a file is.
    """
    try:
        facts = path.stat()
        return _sample(os.fspath(path), facts.st_size, facts.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4)
def _sample(path: str, size: int, changed: int) -> NumberSample | None:
    with open(path, "rb") as file:
        head = file.read(_MOST_BYTES)
    if b"\0" in head:
        return None
    lines = [line for line in head.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    if size > len(head):
        lines = lines[:-1]
    lines = [line for line in lines if not is_comment(line)]
    rows = [(line, line_numbers(line)) for line in lines]
    counts = Counter(len(numbers) for _, numbers in rows if numbers)
    if not counts:
        return None
    usual = max(counts, key=lambda c: (counts[c], c))
    fitting = [(line, numbers) for line, numbers in rows if numbers and len(numbers) == usual]
    if len(fitting) < _LEAST_SHARE * len(lines):
        return None
    commas = sum("," in line or ";" in line for line, _ in fitting) * 2 > len(fitting)
    return NumberSample(np.array([numbers for _, numbers in fitting], dtype=np.float64), commas)


def most(condition: BoolArray) -> bool:
    """Whether it holds for nine of ten rows: a few bad ones do not count."""
    return bool(condition.mean() >= 0.9) if len(condition) else False


def within(values: FloatArray, low: float, high: float, *, whole: bool = False) -> BoolArray:
    """Which values lie between two, both included, and are whole numbers where that is asked; NaN does not."""
    with np.errstate(invalid="ignore"):
        inside: BoolArray = (values >= low) & (values <= high)
        return inside & (values == np.round(values)) if whole else inside
