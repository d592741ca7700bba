"""VIAME's CSV and DIVE's JSON, of Kitware's annotation tools.

``viame`` (viame.readthedocs.io, detection file conversions; kitware.github.io/dive, data formats): a row is ``track, name of the
picture or time, frame, left, top, right, bottom, confidence, length`` (-1 for none), then pairs of species and confidence, then
fields such as ``(poly) x y x y ...``, ``(atr) name value`` and ``(trk-atr) name value``; lines that begin with # are comments. The
best pair is the row's category and score. Polygons are kept as text (WKT) in the column ``poly``, attributes as columns; other
fields and further pairs are not read.

``dive`` (the same page): ``tracks`` by id with ``confidencePairs`` and ``features``, each with ``frame``, ``bounds`` [left, top,
right, bottom] and ``interpolate``: from such a feature the box goes to the next one on the straight way; these rows have False in
the column ``keyframe``. A feature without ``bounds`` is a row without a box; of one with a ``rotation`` the box is the envelope.

Frames and pixels count from 0.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import polygon_wkt
from rosgeo.tracks.json_source import expect, has_keys, load_json, number_or_nan
from rosgeo.tracks.key_frames import between
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.text import bad_line, field_numbers, first_lines, is_comment, text_lines
from rosgeo.tracks.values import Tracks

__all__ = ["DIVE", "VIAME"]

_EXPECTED = "track, picture, frame, left, top, right, bottom, confidence, length, and pairs of species and confidence"
_LEAST = 9


def _fields(line: str) -> list[str]:
    return [f.strip() for f in next(csv.reader([line], skipinitialspace=True), [])]


def _numbers(fields: list[str]) -> list[float] | None:
    """Track, frame, box, confidence and length of a row; None where it is none."""
    if len(fields) < _LEAST:
        return None
    numbers = field_numbers([fields[0], *fields[2:_LEAST]])
    return numbers if numbers is not None and numbers[0].is_integer() and numbers[1].is_integer() else None


def _recognise(path: Path) -> bool:
    lines = first_lines(path, 200) if path.is_file() else []
    if lines and lines[0].startswith("# 1: Detection or Track-id"):
        return True
    lines = [line for line in lines if not is_comment(line)]
    rows = [_fields(line) for line in lines if "," in line]
    ours = [r for r in rows if _numbers(r) is not None and _is_named(r)]
    return bool(ours) and 2 * len(ours) >= len(lines)


def _is_named(fields: list[str]) -> bool:
    """Whether the picture or the species is told by a word: else a row is one of numbers as any other."""
    return field_numbers([fields[1] or "x"]) is None or any(field_numbers([f]) is None for f in fields[_LEAST : _LEAST + 1])


def _read(path: Path, options: ReadOptions) -> Tracks:
    rows: list[TrackRow] = []
    pictures: list[tuple[int, str]] = []
    unread: set[str] = set()
    for line, text in enumerate(text_lines(path), 1):
        if not text.strip() or is_comment(text):
            continue
        fields = _fields(text)
        numbers = _numbers(fields)
        if numbers is None:
            raise bad_line(path, line, text, f"expected {_EXPECTED}")
        columns, left = _columns(fields[_LEAST:], options.pixel)
        columns = {"score": numbers[6], **columns, **({"target_length": numbers[7]} if numbers[7] >= 0 else {})}
        unread |= left
        frame = int(numbers[1])
        pictures.append((frame, fields[1]))
        rows.append(TrackRow(frame, str(int(numbers[0])), numbers[2:6], line, columns, where=f"{path}, line {line}"))
    return tracks_of_rows(
        rows,
        source=str(path),
        format="viame",
        first_pixel=options.pixel,
        first_frame=options.frame(0),
        frame_names=_names(pictures),
        unread=sorted(unread),
    )


def _names(pictures: list[tuple[int, str]]) -> dict[int, str]:
    """Names of pictures by frame; none where they are times of a video."""
    if any(not name or re.fullmatch(r"[\d:.]+", name) for _, name in pictures):
        return {}
    names = {frame: Path(name).name for frame, name in pictures}
    return names if len(set(names.values())) == len(names) else {}


def _columns(fields: list[str], pixel: float) -> tuple[dict[str, Any], set[str]]:
    """Columns of the fields after the ninth, and what of them is not read."""
    marks = next((i for i, f in enumerate(fields) if f.startswith("(")), len(fields))
    named = list(zip(fields[0:marks:2], fields[1:marks:2], strict=False))
    pairs = [(name, score) for name, text in named if name and (score := _score(text)) is not None]
    columns: dict[str, Any] = {}
    if pairs:
        best = max(pairs, key=lambda p: p[1])
        columns |= {"category": best[0], "score": best[1]}
    unread = {"further species of a row"} if len(pairs) > 1 else set()
    for field in fields[marks:]:
        mark, _, rest = field.partition(")")
        name, _, value = rest.strip().partition(" ")
        numbers = field_numbers(rest.split())
        if mark == "(poly" and numbers and len(numbers) >= 6 and len(numbers) % 2 == 0 and "poly" not in columns:
            columns["poly"] = polygon_wkt(np.array(numbers).reshape(-1, 2) - pixel)
        elif mark in ("(atr", "(trk-atr") and name:
            columns[name] = value.strip()
        elif field:
            unread.add(f"{mark}) fields")
    return columns, unread


def _score(text: str) -> float | None:
    numbers = field_numbers([text])
    return numbers[0] if numbers and not math.isnan(numbers[0]) else None


def _recognise_dive(path: Path) -> bool:
    return path.is_file() and any(has_keys(path, key, "features") for key in ("confidencePairs", "keyframe"))


def _read_dive(path: Path, options: ReadOptions) -> Tracks:
    data = expect(load_json(path), dict, str(path), "an object with tracks")
    # Before version 2 the tracks were the file.
    tracks = expect(data.get("tracks", data), dict, f'{path}: "tracks"', "tracks by their ids")
    rows: list[TrackRow] = []
    unread: set[str] = set()
    for name, track in tracks.items():
        if not isinstance(track, dict) or "features" not in track:
            continue
        rows += _track(f"{path}, track {name}", name, track, len(rows))
        if any(isinstance(f, dict) and f.get("geometry") for f in track["features"]):
            unread.add("geometry")
        if len(track.get("confidencePairs") or []) > 1:
            unread.add("further types of a track")
    if data.get("groups"):
        unread.add("groups")
    return tracks_of_rows(
        rows,
        source=str(path),
        format="dive",
        first_pixel=options.pixel,
        first_frame=options.frame(0),
        unread=sorted(unread),
    )


def _track(where: str, name: str, track: dict[str, Any], before: int) -> Iterator[TrackRow]:
    number = track.get("id", track.get("trackId", name))
    pairs = expect(track.get("confidencePairs") or [], list, f'{where}: "confidencePairs"', "a list of pairs")
    best = max((p for p in pairs if isinstance(p, list) and len(p) == 2), key=lambda p: p[1], default=("", None))
    own = {"category": str(best[0]), **({} if best[1] is None else {"score": best[1]}), **_plain(track.get("attributes"))}
    features = expect(track["features"], list, f'{where}: "features"', "a list of features")
    # The list is by frame in DIVE, and null where a frame has none.
    keys = [_feature(f"{where}, feature {n}", f) for n, f in enumerate(features, 1) if f is not None]
    keys.sort(key=lambda k: k[0])
    line = before
    for (frame, box, attributes, goes_on), following in zip_longest(keys, keys[1:]):
        line += 1
        columns = {**own, **attributes, "keyframe": True}
        yield TrackRow(frame, str(number), _envelope(box, attributes), line, columns, where=f"{where}, frame {frame}")
        if goes_on and following is not None and box is not None and following[1] is not None:
            for between_frame, values in between(box, following[1], frame, following[0]):
                line += 1
                yield TrackRow(
                    between_frame, str(number), values, line, {**own, "keyframe": False}, where=f"{where}, frame {between_frame}"
                )


def _feature(where: str, feature: Any) -> tuple[int, list[float] | None, dict[str, Any], bool]:
    expect(feature, dict, where, "an object with frame and bounds")
    frame = int(expect(feature.get("frame"), int, f'{where}: "frame"', "a whole number"))
    bounds = feature.get("bounds")
    if bounds is not None:
        expect(bounds, list, f'{where}: "bounds"', "[left, top, right, bottom]")
        if len(bounds) != 4:
            raise TracksError(f'{where}: "bounds" has {len(bounds)} numbers; expected [left, top, right, bottom]')
        bounds = [number_or_nan(v, f'{where}: "bounds"') for v in bounds]
        bounds = None if any(map(math.isnan, bounds)) else bounds
    return frame, bounds, _plain(feature.get("attributes")), bool(feature.get("interpolate"))


def _plain(attributes: Any) -> dict[str, Any]:
    return {k: v for k, v in attributes.items() if not isinstance(v, list | dict)} if isinstance(attributes, dict) else {}


def _envelope(box: list[float] | None, attributes: dict[str, Any]) -> Any:
    """The box; of one that is turned about its centre the envelope, which is the same whichever way it turns."""
    turn = attributes.get("rotation")
    if box is None or not isinstance(turn, int | float):
        return NO_BOX if box is None else box
    x0, y0, x1, y1 = box
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    half_x, half_y = ((x1 - x0) * cos + (y1 - y0) * sin) / 2, ((x1 - x0) * sin + (y1 - y0) * cos) / 2
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    return (cx - half_x, cy - half_y, cx + half_x, cy + half_y)


_SOURCE = "kitware.github.io/dive, data formats: its examples begin at frame 0 and pixel 0"
VIAME = TrackFormat("viame", "VIAME CSV", "VIAME CSV", Origin(0, 0, _SOURCE), _recognise, _read)
DIVE = TrackFormat("dive", "DIVE annotation JSON", "DIVE", Origin(0, 0, _SOURCE), _recognise_dive, _read_dive)
