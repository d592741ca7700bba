"""MOTChallenge: ``gt.txt``, ``det.txt`` and results, and the folder of a sequence.

``mot``: https://motchallenge.net/instructions (quoted in the readme of TrackEval, the official evaluation kit): a row is ``frame,
id, bb_left, bb_top, bb_width, bb_height, conf, x, y, z``; "all frame numbers, target IDs and bounding boxes are 1-based". Ground
truth since MOT16 has ``conf, class, visibility`` after the box (Milan et al., MOT16, arXiv 1603.00831, table 2; Dendorfer et al.,
MOT20, arXiv 2003.09003); conf is a flag there. ``seqinfo.ini`` and ``img1`` are the sequence's. In ``det.txt`` every id is -1: such
rows belong to no track. Trackers write their results in these columns, those of the DeepSORT family parted by spaces, many of them
with pixels from 0 and some with frames from 0, which nothing in the file tells: the summary says what was taken, and
``first_pixel`` and ``first_frame`` say otherwise.

``cvat-mot``: the same columns as CVAT ("MOT 1.1", docs.cvat.ai) and Datumaro (plugins/data_formats/mot.py) write them:
``labels.txt`` beside ``gt.txt`` has the names of classes, one a line, from 1, and pixels count from 0.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TracksWarning
from rosgeo.tracks.build import make_tracks, xywh_to_xyxy
from rosgeo.tracks.mot_columns import class_names, named_columns
from rosgeo.tracks.mot_rows import class_labels, file_names_of_sequence, read_mot_rows, sequence_file
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.number_sample import within
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import dropped_columns, frames_from, has_box, numbered_tracks
from rosgeo.tracks.text import NumberRows, read_number_rows
from rosgeo.tracks.values import Tracks
from rosgeo.types import IntArray

__all__ = ["CVAT_MOT", "MOT"]

EXPECTED = "frame, id, left, top, width, height, confidence and so on"
_FIRST = 1
_MOST_COLUMNS = 11
"""One more than the format has: some trackers add the number of a stream, which ``--from mot`` reads."""


def _recognise(name: str, path: Path) -> bool:
    return name in mot_candidates(path)


def _read(name: str, path: Path, options: ReadOptions) -> Tracks:
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(
            f"{path} has neither gt/gt.txt nor det/det.txt; expected the folder of a MOTChallenge sequence"
        )
    rows = read_number_rows(file, 6, EXPECTED)
    width = rows.values.shape[1]
    if width > _MOST_COLUMNS:
        row = int(np.flatnonzero(np.isfinite(rows.values[:, -1]))[0])
        raise rows.error(row, f"{width} numbers; expected at most 10: {EXPECTED}")
    frame, track = read_mot_rows(rows)
    first = options.frame(_FIRST)
    return make_tracks(
        source=str(file),
        format=name,
        frame=frame,
        track_id=track,
        xyxy=xywh_to_xyxy(rows.values[:, 2:6], options.pixel),
        lines=rows.lines,
        first_frame=first,
        columns=_columns(rows, file),
        frame_names=file_names_of_sequence(file, first),
        error=rows.error,
    )


def _columns(rows: NumberRows, file: Path) -> dict[str, Any]:
    rest = rows.values[:, 6:]
    if rest.shape[1] == 3:
        wrong = np.flatnonzero(~(within(rest[:, 2], 0, 1) | (rest[:, 2] == -1) | np.isnan(rest[:, 2])))
        if len(wrong):
            about = f"{rest[wrong[0], 2]:g} is no visibility, which is 0 to 1; the columns after the box are kept as column_7 to column_9"
            warnings.warn(str(rows.error(int(wrong[0]), about)), TracksWarning, stacklevel=4)
            return named_columns(rest, ())
        columns = named_columns(rest, ("score", "class", "visibility"))
        columns["category"] = _categories(rest[:, 1], file)
        return columns
    if rest.shape[1] == 2:
        columns = named_columns(rest, ("score", "class"))
        columns["category"] = _categories(rest[:, 1], file)
        return columns
    return named_columns(rest, ("score", "x", "y", "z") if rest.shape[1] == 4 else ("score",))


def _categories(classes: Any, file: Path) -> list[str]:
    """Names by CVAT's labels.txt where there is one; else the numbers, since those of MOT16 mean pedestrians and the like."""
    return class_names(classes, {i: name for i, name in enumerate(class_labels(file) or [], 1) if name})


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    there = has_box(tracks)
    frames = frames_from(tracks, _FIRST)
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
    return [*lost, *classes_lost, *dropped_columns(tracks, {"category", "score", "class", "visibility"}, names=False)]


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


MOT = TrackFormat(
    "mot",
    "MOTChallenge gt.txt, det.txt, or a sequence's folder; trackers' results in its columns",
    "MOTChallenge",
    Origin(1, _FIRST, "motchallenge.net/instructions"),
    partial(_recognise, "mot"),
    partial(_read, "mot"),
    _write,
    (".txt",),
    family=FAMILY,
)
CVAT_MOT = TrackFormat(
    "cvat-mot",
    "MOT 1.1 of CVAT and Datumaro: gt.txt beside labels.txt",
    "MOT of CVAT and Datumaro (labels.txt beside it)",
    Origin(0, _FIRST, "Datumaro's mot_seq writes x and y as they are; its test file has x = 0"),
    partial(_recognise, "cvat-mot"),
    partial(_read, "cvat-mot"),
    family=FAMILY,
)
