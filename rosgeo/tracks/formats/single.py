"""One box a line, one line a frame: OTB, SatSOT and OOTB.

``otb``: ``groundtruth_rect.txt`` of the Object Tracking Benchmark (Wu, Lim and Yang, PAMI 2015) and its many followers: left, top, width,
height, parted by commas, tabs or spaces, all three in one set (github.com/kumatheworld/tracking-sanity, Datasets.md). Written for Matlab:
pixels count from 1 (readers of it declare ``zero_based_index = False``), so 1 is taken off. NaN, or four zeros, or a blank line: no box in
that frame.

``satsot``: Xuan et al., SatSOT, IEEE TGRS 2022: ``car_01/groundtruth.txt`` beside ``car_01/img/0001.jpg``; x, y, w, h a line; the word
none where the object cannot be seen (github.com/cosmosindex/esa_dlstem, datasets/satsot.py). Its occlusions are attributes of a whole
sequence in SatSOT.json, there is no state file.

``ootb``: Chen et al., ISPRS J. 2024, github.com/YZCU/OOTB (its readme gives the folders): ``car_1/groundtruth.txt``; the four corners of an
oriented box a line, x1,y1,...,x4,y4. ``anno/car_1.txt`` holds attributes of the whole sequence and is not read.

The category is the folder's (car, plane, ship, train). There is one track, 1. Not confirmed: whether SatSOT and OOTB count pixels from 0 or
1; readers of them take the numbers as they stand, and so does this (``first_pixel`` says otherwise).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, OutputError, TracksError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, xywh_to_xyxy
from rosgeo.tracks.options import ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import dropped_columns, frames_from, refuse_doubles
from rosgeo.tracks.text import first_lines, line_numbers, read_number_rows, split
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["OOTB", "OTB", "SATSOT", "sequence_category"]

_FIRST = 1
_NAMES = ("groundtruth_rect.txt", "groundtruth.txt")
_NONE = "none"
_FIRST_PIXEL = {"otb": 1, "satsot": 0, "ootb": 0}
_EXPECTED = {
    "otb": "left, top, width, height of a box",
    "satsot": "x, y, width, height of a box, or none",
    "ootb": "the corners of a box, x1,y1,x2,y2,x3,y3,x4,y4",
}


def sequence_category(folder: Path) -> str:
    """What a sequence's folder such as car_01 says of its object; empty where it says nothing."""
    match = re.fullmatch(r"(car|plane|ship|train)_\d+", folder.resolve().name)
    return match[1] if match else ""


def _locate(path: Path, sequence: str | None) -> Path | None:
    """The annotations that a path means: itself, or those of a sequence's folder, or of one sequence in the folder of a set."""
    if path.is_file():
        return path
    folder = path / sequence if sequence is not None and (path / sequence).is_dir() else path
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def _columns_of(path: Path) -> int:
    """How many numbers every line holds, lines of none and blank ones aside; 0 where that is no one number."""
    lines = [line for line in first_lines(path) if {f.lower() for f in split(line)} != {_NONE}]
    counts = {len(numbers) if (numbers := line_numbers(line)) is not None else 0 for line in lines}
    return counts.pop() if len(counts) == 1 else 0


def _recognise(name: str, path: Path) -> bool:
    file = _locate(path, None)
    if file is None or file.suffix.lower() not in (".txt", ".csv", ""):
        return False
    count = _columns_of(file)
    if name == "ootb":
        return count == 8
    words = any(_NONE in line.lower() for line in first_lines(file, 100_000))
    satsot = words or (file.name == "groundtruth.txt" and bool(sequence_category(file.parent)))
    return count == 4 and satsot == (name == "satsot")


def _read(name: str, path: Path, options: ReadOptions) -> Tracks:
    file = _locate(path, options.sequence)
    if file is None:
        inside = sorted(p.name for p in path.iterdir() if p.is_dir() and _locate(p, None)) if path.is_dir() else []
        if inside:
            listed = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
            raise TracksError(f"{path} holds {len(inside)} sequences ({listed}); choose one with --sequence")
        raise InputFileNotFoundError(f"{path} has no {' or '.join(_NAMES)}; expected {_EXPECTED[name]} a line")
    width = 8 if name == "ootb" else 4
    rows = read_number_rows(file, width, _EXPECTED[name], blank_is_row=True, none=_NONE)
    first_pixel = _FIRST_PIXEL[name] if options.first_pixel is None else options.first_pixel
    values = _without_zeros(rows.values[:, :width])
    corners = (values - first_pixel).reshape(-1, 4, 2) if width == 8 else None
    first = _FIRST if options.first_frame is None else options.first_frame
    columns: dict[str, Any] = {f"column_{i + width + 1}": v for i, v in enumerate(rows.values[:, width:].T)}
    if category := sequence_category(file.parent):
        columns["category"] = np.full(len(values), category, dtype=object)
    return make_tracks(
        source=str(file),
        format=name,
        frame=rows.lines - 1 + first,
        track_id=np.ones(len(values), dtype=np.int64),
        xyxy=corners_to_xyxy(corners) if corners is not None else xywh_to_xyxy(values, first_pixel),
        lines=rows.lines,
        first_frame=first,
        columns=columns,
        corners=corners,
        error=rows.error,
    )


def _without_zeros(values: FloatArray) -> FloatArray:
    """All zeros mean that there is no box; a box of no size elsewhere stays."""
    result = values.copy()
    result[(result == 0).all(axis=1)] = np.nan
    return result


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    """One track as OTB: a line for each frame from the clip's first to the track's last, NaN where it has no box."""
    ids = tracks.table["track_id"].astype(str)
    track = options.track
    if track is None:
        if ids.nunique() > 1:
            listed = ", ".join(ids.unique()[:5])
            raise OutputError(
                f"{path}: otb holds one track, and there are {ids.nunique()} ({listed}, ...); choose one with --track"
            )
        chosen = np.ones(len(tracks), dtype=bool)
    else:
        chosen = (ids == track).to_numpy()
        if not chosen.any():
            raise OutputError(f"{tracks.source} has no track {track!r}; it has: {', '.join(ids.unique()[:10])}")
    refuse_doubles(tracks, "otb", chosen)
    places = frames_from(tracks, 0)[chosen]
    if len(places) and places.min() < 0:
        raise OutputError(f"{path}: frame {int(tracks.table['frame'][chosen].min())} lies before the first one of the clip")
    lines = ["NaN,NaN,NaN,NaN"] * (int(places.max()) + 1 if len(places) else 0)
    for place, (x, y, right, bottom) in zip(places, tracks.xyxy[chosen].tolist(), strict=True):
        if np.isfinite(x):
            lines[place] = ",".join(repr(v) for v in (x + 1, y + 1, right - x, bottom - y))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    lost = [] if chosen.all() else [f"{int((~chosen).sum())} rows of other tracks"]
    return [*lost, *dropped_columns(tracks, set())]


def _format(name: str, title: str, *, target: bool = False) -> TrackFormat:
    return TrackFormat(name, title, partial(_recognise, name), partial(_read, name), _write if target else None, (".txt",))


OTB = _format("otb", "one box a line, as groundtruth_rect.txt of OTB", target=True)
SATSOT = _format("satsot", "SatSOT groundtruth.txt, or a sequence's folder")
OOTB = _format("ootb", "OOTB groundtruth.txt (four corners a line), or a sequence's folder")
