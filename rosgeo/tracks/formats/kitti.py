"""KITTI tracking: ``label_02/0000.txt``, an object in a frame a line.

Layout: github.com/JonathonLuiten/TrackEval, docs/KITTI-format.txt, and the development kit of KITTI tracking: ``frame track_id type
truncated occluded alpha left top right bottom height width length x y z rotation_y`` and, of results, ``score``, parted by spaces;
"2D bounding box of object in the image (0-based index)", frames from 0. A region of the type DontCare has the track -1; a box
of four times -1 is none. Values of the third dimension are kept as columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosgeo.errors import TracksError
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.text import bad_line, field_numbers, first_lines, text_lines
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_BEFORE = ("truncated", "occluded", "alpha")
_AFTER = ("height_3d", "width_3d", "length_3d", "x_3d", "y_3d", "z_3d", "rotation_y", "score")
_EXPECTED = "frame track_id type truncated occluded alpha left top right bottom, and the values in 3D"
_LEAST, _MOST = 10, 18


def _fields(line: str) -> tuple[int, int, str, list[float]] | None:
    """Frame, track, type and the numbers after it; None for any other line."""
    fields = line.split()
    if not _LEAST <= len(fields) <= _MOST:
        return None
    ids, numbers = field_numbers(fields[:2]), field_numbers(fields[3:])
    if ids is None or numbers is None or field_numbers(fields[2:3]) is not None or not all(v.is_integer() for v in ids):
        return None
    return int(ids[0]), int(ids[1]), fields[2], numbers


def _recognise(path: Path) -> bool:
    lines = first_lines(path, 200) if path.is_file() else []
    return bool(lines) and 2 * sum(_fields(line) is not None for line in lines) >= len(lines)


def _read(path: Path, options: ReadOptions) -> Tracks:
    rows = []
    for line, text in enumerate(text_lines(path), 1):
        if not text.strip():
            continue
        found = _fields(text)
        if found is None:
            raise bad_line(path, line, text, f"expected {_EXPECTED}")
        frame, track, kind, numbers = found
        columns: dict[str, Any] = {"category": kind, **dict(zip(_BEFORE, numbers, strict=False))}
        columns |= dict(zip(_AFTER, numbers[7:], strict=False))
        box = NO_BOX if numbers[3:7] == [-1] * 4 else numbers[3:7]
        rows.append(TrackRow(frame, str(track), box, line, columns, where=f"{path}, line {line}"))
    if not rows:
        raise TracksError(f"{path} is empty; expected {_EXPECTED}")
    return tracks_of_rows(rows, source=str(path), format="kitti", first_pixel=options.pixel, first_frame=options.frame(0))


FORMAT = TrackFormat(
    "kitti",
    "KITTI tracking label_02",
    "KITTI tracking",
    Origin(0, 0, "TrackEval, docs/KITTI-format.txt: 0-based index"),
    _recognise,
    _read,
)
