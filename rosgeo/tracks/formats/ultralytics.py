"""Ultralytics ``save_txt``: a folder of ``CLIP_FRAME.txt``, as ``yolo track save_txt=True`` writes it.

Layout: docs.ultralytics.com, ``Results.save_txt``: a line is ``class x_center y_center width height``, parts of the picture's
width and height, then the confidence where ``save_conf`` is on, then the track's id; of a segmentation model ``class x1 y1 x2
y2 ...`` instead, of which the envelope is the box, and of oriented boxes their four corners, which are kept. Keypoints of a
pose model follow its box, each ``x y confidence``; they are not read. A frame without objects has no file. Frames are numbered
from 1 in the names of files. The size of the picture is in none of them: ``rosgeo video`` takes that of the frames, else
``--size`` says it.

Whether the last number is an id or a confidence is told by all rows together: ids are whole, and a confidence is in all rows or
in none. Rows without an id belong to no track (id -1). Names of classes are read from ``classes.txt`` in the folder, one a
line, from 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.json_source import one_of
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.picture_size import picture_size
from rosgeo.tracks.pose_rows import has_keypoints, pose_ends
from rosgeo.tracks.rows import TrackRow, tracks_of_rows
from rosgeo.tracks.text import bad_line, first_lines, line_numbers, text_lines
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_LABEL = "Ultralytics save_txt"
_EXPECTED = "class, centre x, centre y, width, height (parts of the picture), confidence and track id where there are any"
_NAMES = ("classes.txt", "labels.txt")
_ROUNDED = 1e-3


def _folder(path: Path) -> Path:
    return path / "labels" if (path / "labels").is_dir() and not _files(path) else path


def _files(path: Path) -> list[Path]:
    """The files of frames, whose names end in a number."""
    listed = [path] if path.is_file() else sorted(path.glob("*.txt"))
    return [f for f in listed if re.search(r"\d$", f.stem) and f.suffix == ".txt" and f.name not in _NAMES]


def _parts(line: str, least: float = -_ROUNDED) -> list[float] | None:
    """The numbers of a line of an object, none of them below `least`; None for any other line."""
    numbers = line_numbers(line) if "," not in line and ";" not in line else None
    if numbers is None or len(numbers) < 5 or not (numbers[0] >= 0 and numbers[0].is_integer()):
        return None
    inside = all(least <= v <= 1 + _ROUNDED for v in numbers[1:-2])
    return numbers if inside and all(v >= least for v in numbers[1:]) else None


def _recognise(path: Path) -> bool:
    files = _files(_folder(path)) if path.is_dir() else _files(path)
    lines = [line for file in files[:50] for line in first_lines(file)][:200]
    return bool(lines) and 2 * sum(_parts(line) is not None for line in lines) >= len(lines)


def _read(path: Path, options: ReadOptions) -> Tracks:
    folder = _folder(path) if path.is_dir() else path
    files = _files(folder)
    if not files:
        raise TracksError(f"{path} holds no files CLIP_FRAME.txt; expected one for each frame with {_EXPECTED}")
    height, width = picture_size(path, options.size, _LABEL)
    clips = list(dict.fromkeys(_clip(f) for f in files))
    clip = one_of(path, clips, options.sequence, "clips")
    names = _class_names(folder)
    lines = [line for f in sorted((f for f in files if _clip(f) == clip), key=_frame) for line in _lines(f)]
    numbers = [values for *_, values in lines]
    pose = has_keypoints(numbers)
    ends = pose_ends(numbers) if pose else _ends(numbers)
    rows = [_row(file, line, values, ends[len(values)], (width, height), names, pose) for file, line, values in lines]
    others = {f.name for f in folder.glob("*.txt")} - {f.name for f in files} - set(_NAMES) if folder.is_dir() else set()
    return tracks_of_rows(
        rows,
        source=str(path),
        format="ultralytics",
        first_pixel=options.pixel,
        first_frame=options.frame(1),
        unread=[*sorted(others), *(["keypoints"] if pose else [])],
    )


def _clip(file: Path) -> str:
    return re.sub(r"[_\-.]?\d+$", "", file.stem)


def _frame(file: Path) -> int:
    return int(re.findall(r"\d+", file.stem)[-1])


def _class_names(folder: Path) -> list[str]:
    beside = folder if folder.is_dir() else folder.parent
    file = next((beside / n for n in _NAMES if (beside / n).is_file()), None)
    return [line.strip() for line in text_lines(file)] if file is not None else []


def _lines(file: Path) -> list[tuple[Path, int, list[float]]]:
    """The lines of objects with their numbers; raises TracksError for any other."""
    found = []
    for line, text in enumerate(text_lines(file), 1):
        # A size below 0 is that of no box, whose row stays.
        numbers = _parts(text, -1)
        if numbers is not None:
            found.append((file, line, numbers))
        elif text.strip():
            raise bad_line(file, line, text, f"expected {_EXPECTED}")
    return found


def _is_id(row: list[float]) -> bool:
    return row[-1].is_integer() and row[-1] >= 1


def _ends(rows: list[list[float]]) -> dict[int, tuple[str, ...]]:
    """What follows box or outline in rows of each length: ``score``, ``track``, both or nothing.

    A run writes the confidence in all rows or in none, and the id in those that have one; a row with one more number has an id where all
    such numbers are whole.
    """
    lengths = {len(row) for row in rows}
    if max(lengths, default=0) <= 7 and all(_is_id(row) for row in rows if len(row) == 7):
        scored = 7 in lengths or any(not _is_id(row) for row in rows if len(row) == 6)
        return {5: (), 6: ("score",) if scored else ("track",), 7: ("score", "track")}
    # Of outlines only whether one number is too many can be told by the length.
    single = [row for row in rows if len(row) % 2 == 0]
    scored = any(not _is_id(row) for row in single)
    # That all outlines of a run end on the lower edge is less likely than that they end in an id.
    both = scored if single else all(_is_id(row) for row in rows)
    one, two = (("score",) if scored else ("track",)), (("score", "track") if both else ())
    return {n: two if n % 2 else one for n in lengths}


def _row(
    file: Path, line: int, numbers: list[float], ends: tuple[str, ...], size: tuple[int, int], names: list[str], pose: bool
) -> TrackRow:
    kind, count = int(numbers[0]), len(numbers) - len(ends)
    told = dict(zip(ends, numbers[count:], strict=True))
    columns: dict[str, Any] = {"category": names[kind] if kind < len(names) and names[kind] else str(kind), "class": kind}
    columns |= {"score": told["score"]} if "score" in told else {}
    track = str(int(told["track"])) if "track" in told else "-1"
    xyxy, corners = _place(numbers[1 : 5 if pose else count], size)
    return TrackRow(_frame(file), track, xyxy, line, {**columns, "file": file.name}, corners, f"{file}, line {line}")


def _place(values: list[float], size: tuple[int, int]) -> tuple[Any, Any]:
    """Box in pixels, and corners where there are four of them."""
    if len(values) == 4:
        cx, cy, w, h = (v * size[i % 2] for i, v in enumerate(values))
        return (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), None
    points = np.array(values).reshape(-1, 2) * size
    return (*points.min(axis=0), *points.max(axis=0)), points if len(points) == 4 else None


FORMAT = TrackFormat(
    "ultralytics",
    "Ultralytics save_txt: a folder of CLIP_FRAME.txt (needs the size of the frames)",
    _LABEL,
    Origin(0, 1, "docs.ultralytics.com, Results.save_txt: parts of the picture; files of a video begin at 1"),
    _recognise,
    _read,
)
