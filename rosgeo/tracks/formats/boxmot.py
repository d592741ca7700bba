"""Oriented boxes of BoxMOT and MMOT, with tracks: their corners are kept.

``mmot`` (multispectral drone tracking; rows as in ``assets/mmot-mini`` of github.com/mikel-brostrom/boxmot):
``frame,id,x1,y1,x2,y2,x3,y3,x4, y4,confidence,class,truncation``, 13 columns; a confidence of -1 is none. Rows that end earlier
are read where their points are rectangles.

``boxmot`` (``gt_obb.txt`` in ``assets/DOTA8-MOT`` of the same repository):
``frame,id,cx,cy,w,h,angle,confidence,class,visibility``, the angle in radians from the x axis towards y (clockwise as one sees
it); results leave the last out, or write -1. ``gt.txt`` beside it has the envelopes in MOTChallenge's columns, but with the
same pixels.

Pixels from 0 in both, as the two files of one object show, and as detectors give them; frames from 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rosgeo.errors import InputFileNotFoundError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, refuse_degrees, turned_boxes, turned_to_xyxy
from rosgeo.tracks.mot_columns import MotColumns, class_names, named_columns, read_mot_columns
from rosgeo.tracks.mot_rows import read_mot_rows, sequence_file
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates, oriented
from rosgeo.tracks.number_sample import sample_numbers
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.text import NumberRows, read_number_rows
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["BOXMOT", "MMOT"]

_UPRIGHT = MotColumns("boxmot", ("score", "class", "visibility"), "class")
_TURNED = "frame, track, centre x, centre y, width, height, angle, confidence, class, visibility"
_CORNERS = "frame, track, x1, y1, x2, y2, x3, y3, x4, y4, confidence, class, truncation"


def _recognise_boxmot(path: Path) -> bool:
    return "boxmot" in mot_candidates(path)


def _recognise_mmot(path: Path) -> bool:
    return "mmot" in mot_candidates(path)


def _file(path: Path, expected: str) -> Path:
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(f"{path} has no gt/gt.txt; expected rows of {expected}")
    return file


def _read_boxmot(path: Path, options: ReadOptions) -> Tracks:
    file = _file(path, _TURNED)
    if not oriented(file, sample_numbers(file)):
        return read_mot_columns(_UPRIGHT, path, options, 1)
    rows = read_number_rows(file, 9, _TURNED)
    refuse_degrees(rows.values[:, 6], rows.error)
    corners = turned_boxes(rows.values[:, 2:6], rows.values[:, 6]) - options.pixel
    return _tracks(
        "boxmot",
        rows,
        corners,
        turned_to_xyxy(corners, rows.values[:, 4:6]),
        rows.values[:, 7:],
        ("score", "class", "visibility"),
        options,
    )


def _read_mmot(path: Path, options: ReadOptions) -> Tracks:
    rows = read_number_rows(_file(path, _CORNERS), 10, _CORNERS)
    corners = rows.values[:, 2:10].reshape(-1, 4, 2) - options.pixel
    return _tracks("mmot", rows, corners, corners_to_xyxy(corners), rows.values[:, 10:], ("score", "class", "truncation"), options)


def _tracks(
    format: str,
    rows: NumberRows,
    corners: FloatArray,
    xyxy: FloatArray,
    rest: FloatArray,
    names: tuple[str, ...],
    options: ReadOptions,
) -> Tracks:
    frame, track = read_mot_rows(rows)
    columns = named_columns(rest, names, start=rows.values.shape[1] - rest.shape[1] + 1)
    if "class" in columns:
        columns["category"] = class_names(np.asarray(columns["class"]), {})
    return make_tracks(
        source=rows.name,
        format=format,
        frame=frame,
        track_id=track,
        xyxy=xyxy,
        lines=rows.lines,
        first_frame=options.frame(1),
        columns=columns,
        corners=corners,
        error=rows.error,
    )


_SOURCE = "gt.txt and gt_obb.txt of one sequence in BoxMOT's assets; detectors count from 0"
BOXMOT = TrackFormat(
    "boxmot",
    "BoxMOT gt_obb.txt: centre, size and angle",
    "BoxMOT",
    Origin(0, 1, _SOURCE),
    _recognise_boxmot,
    _read_boxmot,
    family=FAMILY,
)
MMOT = TrackFormat(
    "mmot", "MMOT: four corners with tracks", "MMOT", Origin(0, 1, _SOURCE), _recognise_mmot, _read_mmot, family=FAMILY
)
