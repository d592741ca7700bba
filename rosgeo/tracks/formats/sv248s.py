"""SV248S, single objects in satellite videos: ``01/annotations/000000.rect`` with ``.poly``, ``.state`` and ``.abs`` beside it.

Layout: the data set's readme (github.com/xdai-dlgvv/SV248S; Li et al., IEEE GRSM 2022): ``.rect`` has left, top, width, height a
line (numbers such as 157.500,174.600,6.700,9.700 in github.com/Wprofessor/SV248S_toolkit); ``.poly`` the points of a tight polygon
a line; ``.state`` a flag a line, 0 seen, 1 invisible, 2 occluded; ``.abs`` is JSON with ``details.class_name``. Frames are
``sequences/000000/000001.tiff``, from 1.

Every row of ``.rect`` is kept with its box, also where the object is hidden: the column ``state`` tells. The polygon is kept as
text (WKT) in the column ``poly``; where there is no ``.rect`` the boxes are the envelopes of the polygons. The toolkit has the
boxes of a sequence as ``01_000000.txt``. There is one track, 1. Not confirmed: whether the first pixel is 0 or 1 (taken as 0, since
boxes begin at 0; ``first_pixel`` says otherwise), and whether the points of ``.poly`` stand in parentheses, as the readme writes
them: they are read with and without.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TracksError
from rosgeo.tracks.build import make_tracks, polygon_wkt, xywh_to_xyxy
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.single_object import numbers_a_line, read_single
from rosgeo.tracks.text import bad_line, first_lines, line_numbers, read_number_rows, text_lines
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["FORMAT"]

_SUFFIXES = (".rect", ".poly", ".state")
_FIRST = 1


def _of_toolkit(path: Path) -> bool:
    """Whether a file is one of the toolkit's, VIDEO_SEQUENCE.txt, or one of a sequence's number in a folder of the set."""
    placed = any("sv248s" in part.lower() for part in path.resolve().parts[:-1])
    named = re.fullmatch(r"\d{2}_\d{6}" + (r"|\d{6}" if placed else ""), path.stem) is not None
    return named and path.suffix == ".txt" and numbers_a_line(path) == 4


def _recognise(path: Path) -> bool:
    if path.is_file() and _of_toolkit(path):
        return True
    if path.is_dir():
        folder = path / "annotations" if (path / "annotations").is_dir() else path
        return next(folder.glob("*.rect"), None) is not None
    lines = first_lines(path)
    numbers = [line_numbers(_bare(t)) is not None for t in lines]
    return path.suffix.lower() in _SUFFIXES and bool(lines) and 2 * sum(numbers) >= len(numbers)


def _bare(text: str) -> str:
    # Points are parted as their numbers are, whatever stands between the brackets.
    return re.sub(r"[()\[\]]", " ", re.sub(r"[)\]]\s*[,;]?\s*[(\[]", ",", text))


def _stem(path: Path, sequence: str | None) -> Path:
    """The path of a sequence's annotations without suffix."""
    if not path.is_dir():
        return path.with_suffix("")
    folder = path / "annotations" if (path / "annotations").is_dir() else path
    names = sorted({p.stem for s in _SUFFIXES for p in folder.glob(f"*{s}")})
    if not names:
        raise TracksError(f"{folder} holds no .rect, .poly or .state; expected the annotations of SV248S")
    if sequence is not None and sequence in names:
        return folder / sequence
    if sequence is not None or len(names) != 1:
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise TracksError(f"{folder} holds {len(names)} sequences ({listed}); choose one with --sequence")
    return folder / names[0]


def _read(path: Path, options: ReadOptions) -> Tracks:
    if path.is_file() and path.suffix.lower() not in _SUFFIXES:
        return read_single(path, "sv248s", options)
    stem = _stem(path, options.sequence)
    files = {s: stem.with_suffix(s) for s in _SUFFIXES}
    there = {s: f for s, f in files.items() if f.is_file()}
    main = there.get(".rect", there.get(".poly"))
    if main is None:
        raise InputFileNotFoundError(f"{files['.rect']}: no such file, and no .poly either; expected boxes of SV248S")
    columns: dict[str, Any] = {}
    polygons = _polygons(there[".poly"], options.pixel) if ".poly" in there else None
    error = None
    if ".rect" in there:
        rows = read_number_rows(main, 4, "left, top, width, height", blank_is_row=True)
        xyxy, lines, error = xywh_to_xyxy(rows.values[:, :4], options.pixel), rows.lines, rows.error
    else:
        assert polygons is not None
        xyxy = np.array([[*p.min(axis=0), *p.max(axis=0)] if len(p) else [np.nan] * 4 for p in polygons]).reshape(-1, 4)
        lines = np.arange(1, len(polygons) + 1)
    if ".state" in there:
        columns["state"] = _states(there[".state"], len(lines), main)
    if polygons is not None:
        _same_length(there[".poly"], len(polygons), main, len(lines))
        columns["poly"] = [polygon_wkt(p) for p in polygons]
    if category := _class_name(stem.with_suffix(".abs")):
        columns["category"] = np.full(len(lines), category, dtype=object)
    first = options.frame(_FIRST)
    return make_tracks(
        source=str(main),
        format="sv248s",
        frame=lines - 1 + first,
        track_id=np.ones(len(lines), dtype=np.int64),
        xyxy=xyxy,
        lines=lines,
        first_frame=first,
        columns=columns,
        by_line=True,
        error=error,
    )


def _states(path: Path, count: int, main: Path) -> Any:
    rows = read_number_rows(path, 1, "a state: 0, 1 or 2")
    states = rows.values[:, 0]
    wrong = np.flatnonzero(~np.isin(states, (0, 1, 2)))
    if len(wrong):
        raise rows.error(int(wrong[0]), "expected a state: 0 (seen), 1 (invisible) or 2 (occluded)")
    _same_length(path, len(states), main, count)
    return states.astype(np.int64)


def _same_length(path: Path, found: int, main: Path, count: int) -> None:
    if found != count:
        raise TracksError(f"{path} has {found} lines, but {main} has {count}; expected one for each frame in both")


def _polygons(path: Path, first_pixel: float) -> list[FloatArray]:
    """Points (K, 2) of each line; none for a blank one."""
    texts = text_lines(path)
    while texts and not texts[-1].strip():
        texts.pop()
    result = []
    for line, text in enumerate(texts, 1):
        numbers = line_numbers(_bare(text))
        if numbers is None or len(numbers) % 2 or (numbers and len(numbers) < 6) or not np.isfinite(numbers).all():
            raise bad_line(path, line, text, "expected the points of a polygon, x1,y1,x2,y2,x3,y3,...")
        result.append(np.array(numbers, dtype=np.float64).reshape(-1, 2) - first_pixel)
    return result


def _class_name(path: Path) -> str:
    """The class in the .abs file; empty where there is none, since boxes are read without it."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8-sig"))["details"]["class_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


FORMAT = TrackFormat(
    "sv248s",
    "SV248S .rect, .poly and .state, or the toolkit's VIDEO_SEQUENCE.txt",
    "SV248S",
    Origin(0, _FIRST, "its boxes begin at x = -0.084 and y = 0.331; pixels: not told"),
    _recognise,
    _read,
)
