"""CSV with named columns, in any order, parted by commas, semicolons, tabs or spaces.

No standard: names are matched without regard to case, spaces, dots, dashes and underscores. A box is told by the first of these that is
there as a whole: ``x_min y_min x_max y_max`` (also ``xmin``, ``left top right bottom``, ``minx``), ``x0 y0 x1 y1``,
four corners ``x1 y1 ... x4 y4``, ``x1 y1 x2 y2``, ``left top width height`` (also ``bb_left``), ``x y w h`` (left, top), and
``cx cy w h`` (centre). All other columns are kept, so that ``x`` and ``y`` beside ``x0 y0 x1 y1`` stay as attributes. Pixels and frames
count from 0 unless ``first_pixel`` and ``first_frame`` say otherwise, or, of frames, a column ``rosgeo_first_frame``.
An empty cell, or NaN, in a box: no box in that row. Lines before the names that begin with # are comments.

As a target: ``frame`` (as the source counts), ``track_id``, ``frame_name`` where the source tells names, ``x_min y_min x_max y_max``, then
corners and all other columns, and ``rosgeo_first_frame`` where the clip's first frame is not 0. Both are read back.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, OptionError, TracksError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, track_ids, xywh_to_xyxy
from rosgeo.tracks.named_columns import COLUMN_NAMES, choose_columns, first_frame_of, names_of_frames
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import FIRST_FRAME, with_frames
from rosgeo.tracks.text import bad_line, first_lines, is_comment, line_numbers, text_lines
from rosgeo.tracks.values import BOX_COLUMNS, Tracks
from rosgeo.types import FloatArray, IntArray
from rosgeo.vector.detections.columns import BOX_KINDS, CORNERS, plain_name

__all__ = ["FORMAT"]

_NOTHING = {"", "nan", "na", "none", "null"}


def _choose_box(names: list[str], roles: Mapping[str, str], where: str) -> tuple[str, list[str]]:
    """The kind of a box, and its columns."""
    given = [roles.get(r) for r in BOX_COLUMNS]
    if all(given):
        return "xyxy", [str(g) for g in given]
    sized = [roles.get(r) for r in ("x_min", "y_min", "width", "height")]
    if all(sized):
        return "xywh", [str(s) for s in sized]
    plain = {plain_name(n): n for n in reversed(names) if n not in {roles[r] for r in roles if r in COLUMN_NAMES}}
    for kind, columns in BOX_KINDS:
        found = [next((plain[c] for c in choices if c in plain), None) for choices in columns]
        if all(found):
            return kind, [str(f) for f in found]
    raise TracksError(
        f"{where} has no columns for a box; it has: {', '.join(names)}. Expected x_min,y_min,x_max,y_max or x,y,w,h, or name them: "
        "--column x_min=NAME --column y_min=NAME --column x_max=NAME --column y_max=NAME"
    )


def _cells(lines: list[str], header: str) -> Any:
    """A reader of lines that are parted as the header is."""
    separator = max(",;\t", key=header.count)
    return csv.reader(lines, delimiter=separator if separator in header else " ", skipinitialspace=separator not in header)


def _recognise(path: Path) -> bool:
    lines = [line for line in (first_lines(path) if path.is_file() else []) if not is_comment(line)]
    if not lines or lines[0].lstrip().startswith(("{", "[", "<")) or line_numbers(lines[0]) is not None:
        return False
    names = [n.strip() for n in next(_cells([lines[0].strip()], lines[0]))]
    try:
        _choose_box(names, choose_columns(names, {}, ""), "")
    except (TracksError, OptionError):
        # A frame column alone tells a table too: what else is missing is then said by the reader.
        return any(s in lines[0] for s in ",;\t") and len(names) > 4 and any(plain_name(n) in COLUMN_NAMES["frame"] for n in names)
    return True


def _read(path: Path, options: ReadOptions) -> Tracks:
    header, rows, lines, texts = _rows(path)
    roles = choose_columns(header, options.columns, str(path))
    kind, box_names = _choose_box(header, roles, str(path))
    column = {name: [row[i] for row in rows] for i, name in enumerate(header)}

    def error(row: int, what: str) -> TracksError:
        return bad_line(path, int(lines[row]), texts[row], what)

    frame = _whole(column[roles["frame"]], error)
    values = np.stack([_floats(column[n], n, error) for n in box_names], axis=1) if rows else np.empty((0, len(box_names)))
    xyxy, corners = _boxes(kind, values, float(options.pixel))
    extra_corners = CORNERS if kind != "corners" and set(CORNERS) <= {plain_name(n) for n in header} else ()
    if extra_corners:
        named = {plain_name(n): n for n in header}
        corners = np.stack([_floats(column[named[c]], c, error) for c in CORNERS], axis=1).reshape(-1, 4, 2)
        corners -= options.pixel
    used = {FIRST_FRAME, roles["frame"], roles["track_id"], *box_names, *(n for n in header if plain_name(n) in extra_corners)}
    named_frames = names_of_frames(frame, column[roles["frame_name"]]) if "frame_name" in roles else {}
    return make_tracks(
        source=str(path),
        format="csv",
        frame=frame,
        track_id=track_ids([t.strip() for t in column[roles["track_id"]]]),
        xyxy=xyxy,
        lines=lines,
        first_frame=first_frame_of(_floats(column.get(FIRST_FRAME, []), FIRST_FRAME, error), options, error),
        columns=_attributes(column, roles, used | ({roles["frame_name"]} if named_frames else set())),
        corners=corners,
        frame_names=named_frames,
        error=error,
    )


def _rows(path: Path) -> tuple[list[str], list[list[str]], IntArray, list[str]]:
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such file; expected a table with named columns")
    texts = text_lines(path)
    start = next((i for i, t in enumerate(texts) if t.strip() and not is_comment(t)), None)
    if start is None:
        raise TracksError(f"{path} is empty; expected a table with named columns")
    spaces = not any(s in texts[start] for s in ",;\t")
    reader = _cells([t.strip() for t in texts[start:]] if spaces else texts[start:], texts[start])
    header: list[str] = []
    rows, lines = [], []
    for row in reader:
        line = start + reader.line_num
        if not header:
            header = _without_empty([n.strip() for n in row], 0)
            if len(set(header)) != len(header):
                raise bad_line(path, line, texts[line - 1], "two columns have the same name")
            continue
        if not any(f.strip() for f in row):
            continue
        row = _without_empty(row, len(header))
        if len(row) != len(header):
            raise bad_line(path, line, texts[line - 1], f"{len(row)} fields; expected {len(header)}, one for each column")
        rows.append(row)
        lines.append(line)
    return header, rows, np.array(lines, dtype=np.int64), [texts[line - 1] for line in lines]


def _without_empty(fields: list[str], least: int) -> list[str]:
    """Fields without the empty ones after the last column, which trailing separators make."""
    last = max((i for i, f in enumerate(fields, 1) if f.strip()), default=0)
    return fields[: max(last, least)]


def _floats(texts: list[str], name: str, error: Any) -> FloatArray:
    values = np.empty(len(texts))
    for i, text in enumerate(texts):
        field = text.strip()
        try:
            values[i] = np.nan if field.lower() in _NOTHING else float(field)
        except ValueError as wrong:
            raise error(i, f"{field!r} in column {name} is no number") from wrong
    return values


def _whole(texts: list[str], error: Any) -> IntArray:
    values = _floats(texts, "frame", error)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(values == np.round(values)) | (np.abs(values) >= 2**53))
    if len(wrong):
        raise error(int(wrong[0]), f"{texts[wrong[0]].strip()!r} is no frame number; expected a whole number")
    return values.astype(np.int64)


def _boxes(kind: str, values: FloatArray, first_pixel: float) -> tuple[FloatArray, FloatArray | None]:
    """Boxes (N, 4), and corners (N, 4, 2) where those are what the columns tell."""
    if kind == "corners":
        corners = values.reshape(-1, 4, 2) - first_pixel
        return corners_to_xyxy(corners), corners
    if kind == "xyxy":
        return values - first_pixel, None
    if kind == "cxcywh":
        values = np.concatenate([values[:, :2] - values[:, 2:] / 2, values[:, 2:]], axis=1)
    return xywh_to_xyxy(values, first_pixel), None


def _attributes(column: dict[str, list[str]], roles: Mapping[str, str], used: set[str]) -> dict[str, Any]:
    """All other columns, as numbers where every cell is one; category and score under these names."""
    renamed = {roles[r]: r for r in ("category", "score") if r in roles}
    result: dict[str, Any] = {}
    for name, texts in column.items():
        if name in used:
            continue
        role = renamed.get(name, name)
        result[role] = [t.strip() for t in texts] if role == "category" else _typed(texts)
    return result


def _typed(texts: list[str]) -> Any:
    """int64, float64 (empty cells NaN), or the texts."""
    fields = [t.strip() for t in texts]
    try:
        if all(f.removeprefix("-").isascii() and f.removeprefix("-").isdigit() and len(f) < 19 for f in fields):
            return np.array([int(f) for f in fields], dtype=np.int64)
        return np.array([np.nan if f.lower() in _NOTHING else float(f) for f in fields], dtype=np.float64)
    except ValueError:
        return list(texts)


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    table = with_frames(tracks, tracks.table)
    if tracks.corners is not None:
        flat = tracks.corners.reshape(len(table), 8)
        for i, name in enumerate(CORNERS):
            free = name if name not in table else f"corner_{name}"
            table.insert(table.columns.get_loc("y_max") + 1 + i, free, flat[:, i])
    table.to_csv(path, index=False, lineterminator="\n")
    return []


FORMAT = TrackFormat(
    "csv",
    "a table with named columns: frame, track_id, and a box",
    "a table with named columns",
    Origin(0, 0, "no standard: --first-pixel and --first-frame, or the column rosgeo_first_frame, say otherwise"),
    _recognise,
    _read,
    _write,
    (".csv", ".tsv"),
)
