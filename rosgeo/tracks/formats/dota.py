"""Oriented boxes a frame, as DOTA has them a picture: a folder of ``FRAME.txt``.

Layout: https://captain-whu.github.io/DOTA/dataset.html: ``x1 y1 x2 y2 x3 y3 x4 y4 category difficult`` a line, parted by spaces, after
optional lines ``imagesource:...`` and ``gsd:...``; files are named as their pictures. A further column is taken for the track's id;
that is no part of DOTA, whose rows belong to no track (id -1). The frame is the last number in the file's name; a file without rows
is a frame without objects. Pixels from 0, as development kits of DOTA read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, track_ids
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.text import bad_line, field_numbers, first_lines, frame_number, line_numbers, numbered_files, split, text_lines
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_EXPECTED = "x1 y1 x2 y2 x3 y3 x4 y4 category difficult, and a track id where there is one"


def _is_header(text: str) -> bool:
    return text.lower().replace("'", "").startswith(("imagesource:", "gsd:"))


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return False
    files = sorted(path.glob("*.txt"))
    lines = [line for file in files[:20] for line in first_lines(file) if not _is_header(line)][:20]
    return bool(lines) and 2 * sum(_is_row(line) for line in lines) >= len(lines)


def _is_row(line: str) -> bool:
    fields = split(line)
    return len(fields) in (9, 10, 11) and field_numbers(fields[:8]) is not None and line_numbers(fields[8]) is None


def _read(path: Path, options: ReadOptions) -> Tracks:
    if not path.is_dir():
        raise TracksError(f"{path} is no folder; expected one with a file FRAME.txt for each frame: {_EXPECTED}")
    files, others = numbered_files(path.glob("*.txt"))
    if not files:
        raise TracksError(f"{path} holds no .txt files; expected FRAME.txt for each frame: {_EXPECTED}")
    frames: list[int] = []
    lines: list[int] = []
    corners: list[list[float]] = []
    ids: list[str] = []
    columns: dict[str, list[Any]] = {"category": [], "difficult": [], "file": []}
    for file in files:
        for line, text in enumerate(text_lines(file), 1):
            fields = split(text)
            if not fields or _is_header(text):
                continue
            numbers = field_numbers(fields[:8])
            if len(fields) not in (9, 10, 11) or numbers is None or np.isnan(numbers).any():
                raise bad_line(file, line, text, f"expected {_EXPECTED}")
            frames.append(frame_number(file))
            lines.append(line)
            corners.append(numbers)
            columns["category"].append(fields[8])
            columns["difficult"].append(_difficulty(file, line, text, fields))
            columns["file"].append(file.name)
            ids.append(fields[10] if len(fields) == 11 else "-1")
    px = np.array(corners, dtype=np.float64).reshape(-1, 4, 2) - options.pixel
    return make_tracks(
        source=str(path),
        format="dota",
        frame=np.array(frames, dtype=np.int64),
        track_id=track_ids(ids),
        xyxy=corners_to_xyxy(px),
        lines=np.array(lines, dtype=np.int64),
        # Pictures without objects have files too, so that the first file is the first frame.
        first_frame=options.frame(frame_number(files[0])),
        columns=columns,
        corners=px,
        unread=others,
    )


def _difficulty(file: Path, line: int, text: str, fields: list[str]) -> int:
    if len(fields) == 9:
        return 0
    try:
        return int(fields[9])
    except ValueError as error:
        raise bad_line(file, line, text, f"{fields[9]!r} is no difficulty; expected {_EXPECTED}") from error


FORMAT = TrackFormat(
    "dota",
    "a folder of FRAME.txt with oriented boxes, as DOTA's labelTxt",
    "DOTA",
    Origin(0, None, "its development kits; frames by the names of files"),
    _recognise,
    _read,
)
