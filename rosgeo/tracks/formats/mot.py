"""MOTChallenge: ``gt.txt``, ``det.txt`` and results, and the folder of a sequence.

Layout: https://motchallenge.net/instructions (quoted in the readme of TrackEval, the official evaluation kit): a row is
``frame, id, bb_left, bb_top, bb_width, bb_height, conf, x, y, z``; "all frame numbers, target IDs and bounding boxes are 1-based".
Ground truth since MOT16 has ``conf, class, visibility`` after the box (Milan et al., MOT16, arXiv 1603.00831, table 2; Dendorfer et
al., MOT20, arXiv 2003.09003); conf is a flag there. ``seqinfo.ini`` and ``img1`` are the sequence's, ``labels.txt`` beside ``gt.txt``
is CVAT's list of class names, one a line, from 1 (docs.cvat.ai, format MOT). In ``det.txt`` every id is -1: such rows belong to no track.
"""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, OutputError
from rosgeo.tracks.build import make_tracks, xywh_to_xyxy
from rosgeo.tracks.options import ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import dropped_columns, frames_from, has_box, numbered_tracks
from rosgeo.tracks.text import NumberRows, first_lines, line_numbers, read_number_rows, text_lines, whole_numbers
from rosgeo.tracks.values import Tracks
from rosgeo.types import IntArray

__all__ = ["FORMAT", "is_mot_text", "read_mot_rows", "sequence_file"]

EXPECTED = "frame, id, left, top, width, height, confidence and so on, parted by commas"
_FIRST = 1


def sequence_file(path: Path) -> Path | None:
    """The annotations of a sequence's folder: ``gt/gt.txt``, else ``det/det.txt``; a file itself; None where there is neither."""
    if path.is_file():
        return path
    return next((f for f in (path / "gt" / "gt.txt", path / "det" / "det.txt") if f.is_file()), None)


def is_mot_text(path: Path, separator: str = ",") -> bool:
    """Whether the first lines are a frame, an id and four or more numbers (8 numbers are the corners of a box)."""
    lines = first_lines(path)
    rows = [line_numbers(line) for line in lines]
    return bool(rows) and all(
        r is not None and (len(r) in (6, 7) or len(r) >= 9) and all(float(v).is_integer() for v in r[:2]) for r in rows
    ) and all(("," in line) == (separator == ",") for line in lines)  # fmt: skip


def _recognise(path: Path) -> bool:
    file = sequence_file(path)
    return file is not None and is_mot_text(file)


def read_mot_rows(rows: NumberRows) -> tuple[IntArray, IntArray]:
    """Frames and track ids, int64 (N,) each, of rows that begin as MOTChallenge's do."""
    return whole_numbers(rows, 0, "frame number"), whole_numbers(rows, 1, "track id")


def _read(path: Path, options: ReadOptions) -> Tracks:
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(
            f"{path} has neither gt/gt.txt nor det/det.txt; expected the folder of a MOTChallenge sequence"
        )
    rows = read_number_rows(file, 6, EXPECTED)
    frame, track = read_mot_rows(rows)
    first_pixel = 1 if options.first_pixel is None else options.first_pixel
    first = _FIRST if options.first_frame is None else options.first_frame
    return make_tracks(
        source=str(file),
        format="mot",
        frame=frame,
        track_id=track,
        xyxy=xywh_to_xyxy(rows.values[:, 2:6], first_pixel),
        lines=rows.lines,
        first_frame=first,
        columns=_columns(rows, file),
        frame_names=_frame_names(file, first),
        error=rows.error,
    )


def _columns(rows: NumberRows, file: Path) -> dict[str, Any]:
    rest = rows.values[:, 6:].T
    columns: dict[str, Any] = {}
    if len(rest):
        columns["score"] = rest[0]
    if len(rest) == 3:
        columns["visibility"] = rest[2]
        columns["class"] = rest[1]
        columns["category"] = _categories(rest[1], file)
    else:
        names = ("x", "y", "z") if len(rest) == 4 else tuple(f"column_{i + 8}" for i in range(len(rest) - 1))
        columns.update(zip(names, rest[1:], strict=True))
    return columns


def _categories(classes: Any, file: Path) -> list[str]:
    """Names by CVAT's labels.txt where there is one; else the numbers, since those of MOT16 mean pedestrians and the like."""
    labels = file.with_name("labels.txt")
    names = [line.strip() for line in text_lines(labels)] if labels.is_file() else []
    named = {i: name for i, name in enumerate(names, 1) if name}
    return ["" if not np.isfinite(c) or c < 0 else named.get(int(c), f"{c:g}") for c in classes]


def _frame_names(file: Path, first: int) -> dict[int, str]:
    """File names of the frames as seqinfo.ini tells them."""
    info = file.parent.parent / "seqinfo.ini"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(info, encoding="utf-8-sig") or "Sequence" not in parser:
            return {}
        length = parser["Sequence"].getint("seqLength", 0)
    except (configparser.Error, ValueError, UnicodeDecodeError):
        return {}
    suffix = parser["Sequence"].get("imExt", ".jpg")
    return {first + i: f"{i + 1:06d}{suffix}" for i in range(length)}


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    there = has_box(tracks)
    frames = frames_from(tracks, _FIRST)
    if (frames < _FIRST).any():
        raise OutputError(f"{path}: frame {int(tracks.table['frame'].min())} lies before the first one; MOTChallenge counts from 1")
    ids, lost = numbered_tracks(tracks)
    classes, classes_lost = _class_numbers(tracks)
    score = _column(tracks, "score", 1.0)
    visibility = _column(tracks, "visibility", 1.0)
    boxes = tracks.xyxy.tolist()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for i in np.flatnonzero(there):
            x, y, right, bottom = boxes[i]
            numbers = (x + 1, y + 1, right - x, bottom - y, score[i])
            file.write(f"{frames[i]},{ids[i]},{','.join(map(_text, numbers))},{classes[i]},{_text(visibility[i])}\n")
    if not there.all():
        lost.append(f"{int((~there).sum())} rows without a box")
    return [*lost, *classes_lost, *dropped_columns(tracks, {"category", "score", "class", "visibility"})]


def _class_numbers(tracks: Tracks) -> tuple[IntArray, list[str]]:
    """A class for each row, -1 for none, and what is lost by it."""
    count = len(tracks)
    if "category" not in tracks.table:
        return np.full(count, -1, dtype=np.int64), []
    categories = tracks.table["category"].fillna("").astype(str).tolist()
    names = sorted({c for c in categories if c})
    if all(n.isascii() and n.isdigit() for n in names):
        return np.array([int(c) if c else -1 for c in categories], dtype=np.int64), []
    number = {name: i for i, name in enumerate(names, 1)}
    listed = ", ".join(f"{i} = {name}" for name, i in list(number.items())[:8])
    more = "" if len(number) <= 8 else f" and {len(number) - 8} more"
    return np.array([number.get(c, -1) for c in categories], dtype=np.int64), [f"names of categories (class {listed}{more})"]


def _column(tracks: Tracks, name: str, default: float) -> list[float]:
    import pandas as pd

    if name not in tracks.table:
        return [default] * len(tracks)
    values = pd.to_numeric(tracks.table[name], errors="coerce").fillna(default)
    return [float(v) for v in values]


def _text(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


FORMAT = TrackFormat("mot", "MOTChallenge gt.txt, det.txt, or a sequence's folder", _recognise, _read, _write, (".txt",))
