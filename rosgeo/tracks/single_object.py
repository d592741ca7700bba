"""One object, a box a line, a line a frame: what the single-object sets that have such files share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.tracks.build import corners_to_xyxy, make_tracks, xywh_to_xyxy
from rosgeo.tracks.options import ReadOptions
from rosgeo.tracks.text import first_lines, line_numbers, read_number_rows, split
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["NONE", "numbers_a_line", "read_single"]

NONE = "none"
"""What SatSOT writes where the object cannot be seen."""

_FIRST = 1
_EXPECTED = {4: "left, top, width, height of a box", 8: "the corners of a box, x1,y1,x2,y2,x3,y3,x4,y4"}


def numbers_a_line(path: Path) -> int:
    """How many numbers most lines hold, lines of none and blank ones aside; 0 where that is no one number."""
    lines = [line for line in first_lines(path, 200) if {f.lower() for f in split(line)} != {NONE}]
    counts = [len(numbers) if (numbers := line_numbers(line)) is not None else 0 for line in lines]
    usual = max(set(counts), key=lambda c: (counts.count(c), c), default=0)
    return usual if 2 * counts.count(usual) >= len(counts) else 0


def read_single(file: Path, format: str, options: ReadOptions, *, width: int = 4, category: str = "", expected: str = "") -> Tracks:
    """Read boxes of 4 numbers, left, top, width and height, or of 8, the corners; there is one track, 1.

    Four zeros, NaN, the word none and a blank line before the last box mean that there is none in that frame.
    """
    rows = read_number_rows(file, width, expected or _EXPECTED[width], blank_is_row=True, none=NONE)
    values = _without_zeros(rows.values[:, :width])
    corners = (values - options.pixel).reshape(-1, 4, 2) if width == 8 else None
    first = options.frame(_FIRST)
    columns: dict[str, Any] = {f"column_{i + width + 1}": v for i, v in enumerate(rows.values[:, width:].T)}
    if category:
        columns["category"] = np.full(len(values), category, dtype=object)
    return make_tracks(
        source=str(file),
        format=format,
        frame=rows.lines - 1 + first,
        track_id=np.ones(len(values), dtype=np.int64),
        xyxy=corners_to_xyxy(corners) if corners is not None else xywh_to_xyxy(values, options.pixel),
        lines=rows.lines,
        first_frame=first,
        columns=columns,
        corners=corners,
        by_line=True,
        error=rows.error,
    )


def _without_zeros(values: FloatArray) -> FloatArray:
    """All zeros mean that there is no box; a box of no size elsewhere stays."""
    result = values.copy()
    result[(result == 0).all(axis=1)] = np.nan
    return result
