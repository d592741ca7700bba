"""One box a line, one line a frame: OTB, SatSOT and OOTB.

``otb``: ``groundtruth_rect.txt`` of the Object Tracking Benchmark (Wu, Lim and Yang, PAMI 2015) and its many followers: left, top,
width, height, parted by commas, tabs or spaces, all three in one set (github.com/kumatheworld/tracking-sanity, Datasets.md).
Written for Matlab: pixels count from 1 (readers of it declare ``zero_based_index = False``), so 1 is taken off. NaN, or four zeros,
or a blank line: no box in that frame. A clip with several objects has ``groundtruth_rect.1.txt`` and so on, of which one is chosen
by its number.

``satsot``: Xuan et al., SatSOT, IEEE TGRS 2022: ``car_01/groundtruth.txt`` beside ``car_01/img/0001.jpg``; x, y, w, h a line; the
word none where the object cannot be seen (github.com/cosmosindex/esa_dlstem, datasets/satsot.py). Its occlusions are attributes of
a whole sequence in SatSOT.json, there is no state file.

``ootb``: Chen et al., ISPRS J. 2024, github.com/YZCU/OOTB (its readme gives the folders): ``car_1/groundtruth.txt``; the four
corners of an oriented box a line, x1,y1,...,x4,y4. ``anno/car_1.txt`` holds attributes of the whole sequence and is not read.

LaSOT's ``groundtruth.txt`` is as OTB's, and counts from 1 (its author in issue 14 of github.com/HengLan/LaSOT_Evaluation_Toolkit,
but for 150 later videos); a box of a size below 0 means there that the object is not in sight.

The category is the folder's (car, plane, ship, train). There is one track, 1. SatSOT counts pixels from 0: in copies of its frames
(github.com/liyangfan0/DOCPF) what moves lies there. Not confirmed: whether OOTB does; readers of it take the numbers as they stand,
and so does this (``first_pixel`` says otherwise).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from rosgeo.errors import InputFileNotFoundError, OutputError, TracksError
from rosgeo.tracks.corner_shapes import go_round, there
from rosgeo.tracks.mot_rules import mot_candidates
from rosgeo.tracks.number_sample import most, sample_numbers
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.single_object import NONE, numbers_a_line, read_single
from rosgeo.tracks.targets import dropped_columns, frames_from, refuse_doubles
from rosgeo.tracks.text import first_lines
from rosgeo.tracks.values import Tracks

__all__ = ["OOTB", "OTB", "SATSOT", "sequence_category"]

_FIRST = 1
_NAMES = ("groundtruth_rect.txt", "groundtruth.txt")
_EXPECTED = {
    "otb": "left, top, width, height of a box",
    "satsot": "x, y, width, height of a box, or none",
    "ootb": "the corners of a box, x1,y1,x2,y2,x3,y3,x4,y4",
}


def sequence_category(folder: Path) -> str:
    """What a sequence's folder such as car_01 or 1_Car_01 says of its object; empty where it says nothing."""
    return _category_named(folder.resolve().name)


def _category_named(name: str) -> str:
    match = re.fullmatch(r"(?:\d+_)?(car|plane|ship|train)_\d+", name.lower())
    return match[1] if match else ""


def _category_beside(file: Path) -> str:
    """What the names of a file and of its folder say of its object."""
    return (sequence_category(file.parent) if file.stem == "groundtruth" else "") or _category_named(file.stem)


def _locate(path: Path, sequence: str | None) -> Path | None:
    """The annotations that a path means: itself, or those of a sequence's folder, or of one sequence in the folder of a set."""
    if path.is_file():
        return path
    folder = path / sequence if sequence is not None and (path / sequence).is_dir() else path
    return next((f for f in [*(folder / name for name in _NAMES), *_of_objects(folder, sequence)] if f.is_file()), None)


def _of_objects(folder: Path, sequence: str | None) -> list[Path]:
    """Files of a clip with several objects, as of Jogging in OTB; only that of one where its number is named."""
    found = sorted(folder.glob("groundtruth_rect.*.txt"))
    return [f for f in found if sequence in (None, f.name.split(".")[1])] if folder.is_dir() else []


def _recognise(name: str, path: Path) -> bool:
    file = _locate(path, None)
    if file is None or file.suffix.lower() not in (".txt", ".csv", ""):
        return False
    count = numbers_a_line(file)
    if name == "ootb":
        return count == 8 and _has_corners(file)
    return count == 4 and _is_satsot(file) == (name == "satsot")


def _has_corners(file: Path) -> bool:
    """Whether eight numbers a line go round boxes, lines of zeros and of no numbers aside."""
    sample = sample_numbers(file)
    if sample is None or mot_candidates(file):
        return False
    corners = there(sample.values.reshape(-1, 4, 2))
    return not len(corners) or most(go_round(corners))


def _is_satsot(file: Path) -> bool:
    """By the word none, or by names: that of a sequence as SatSOT calls it, of its folder or its file, or that of the set's folder."""
    above = [part.lower() for part in file.resolve().parts[:-1]]
    named = bool(_category_beside(file)) or "satsot" in above
    return named or any(NONE in line.lower() for line in first_lines(file, 100_000))


def _read(name: str, path: Path, options: ReadOptions) -> Tracks:
    file = _locate(path, options.sequence)
    if file is None:
        inside = sorted(p.name for p in path.iterdir() if p.is_dir() and _locate(p, None)) if path.is_dir() else []
        if inside:
            listed = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
            raise TracksError(f"{path} holds {len(inside)} sequences ({listed}); choose one with --sequence")
        raise InputFileNotFoundError(f"{path} has no {' or '.join(_NAMES)}; expected {_EXPECTED[name]} a line")
    objects = _of_objects(path, None)
    if len(objects) > 1 and file in objects and options.sequence is None:
        listed = ", ".join(f.name.split(".")[1] for f in objects)
        raise TracksError(f"{path} holds the boxes of {len(objects)} objects ({listed}); choose one with --sequence")
    category = sequence_category(file.parent) or _category_named(file.stem)
    return read_single(file, name, options, width=8 if name == "ootb" else 4, category=category, expected=_EXPECTED[name])


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    """One track as OTB: a line for each frame from the clip's first to the track's last, NaN where it has no box."""
    ids = tracks.table["track_id"].astype(str)
    track = options.track
    if track is None:
        if ids.nunique() > 1:
            listed = ", ".join(ids.unique()[:5])
            raise OutputError(
                f"{options.target}: otb holds one track, and there are {ids.nunique()} ({listed}, ...); choose one with --track"
            )
        chosen = np.ones(len(tracks), dtype=bool)
    else:
        chosen = (ids == track).to_numpy()
        if not chosen.any():
            raise OutputError(f"{tracks.source} has no track {track!r}; it has: {', '.join(ids.unique()[:10])}")
    refuse_doubles(tracks, "otb", chosen)
    places = frames_from(tracks, 0)[chosen]
    lines = ["NaN,NaN,NaN,NaN"] * (int(places.max()) + 1 if len(places) else 0)
    for place, (x, y, right, bottom) in zip(places, tracks.xyxy[chosen].tolist(), strict=True):
        if np.isfinite(x):
            lines[place] = ",".join(repr(v) for v in (x + 1, y + 1, right - x, bottom - y))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    lost = [] if set(ids[chosen]) <= {"1"} else ["the track's id"]
    lost += [] if chosen.all() else [f"{int((~chosen).sum())} rows of other tracks"]
    return [*lost, *dropped_columns(tracks, set(), names=False)]


OTB = TrackFormat(
    "otb",
    "one box a line, as groundtruth_rect.txt of OTB, groundtruth.txt of LaSOT",
    "OTB and LaSOT, one box a line",
    Origin(1, _FIRST, "written for Matlab; LaSOT's author in issue 14 of LaSOT_Evaluation_Toolkit"),
    partial(_recognise, "otb"),
    partial(_read, "otb"),
    _write,
    (".txt",),
)
SATSOT = TrackFormat(
    "satsot",
    "SatSOT groundtruth.txt, or a sequence's folder",
    "SatSOT",
    Origin(0, _FIRST, "what moves in its frames lies where boxes counted from 0 are"),
    partial(_recognise, "satsot"),
    partial(_read, "satsot"),
)
OOTB = TrackFormat(
    "ootb",
    "OOTB groundtruth.txt (four corners a line), or a sequence's folder",
    "OOTB",
    Origin(0, _FIRST, "pixels: not told, readers take the numbers as they stand"),
    partial(_recognise, "ootb"),
    partial(_read, "ootb"),
)
