"""VISO, moving objects in satellite videos: ``mot/CATEGORY/NNN/gt/gt.txt`` beside ``img/000001.jpg``.

The data set (Yin et al., Detecting and Tracking Small and Dense Moving Objects in Satellite Videos, arXiv 2111.12960;
github.com/QingyongHu/VISO) documents no layout. What is read here is what an independent reader of it documents
(github.com/cosmosindex/esa_dlstem, datasets/viso.py): two layouts by category. Cars and trains:
``frame,id,x,y,w,h,conf,class,r1,r2`` parted by commas. Planes and ships: ``frame id x1 y1 x2 y2 r1 r2 r3 r4`` parted by spaces,
corners instead of sizes. The category is the folder's. Outside those folders a file parted by spaces can be VISO's or a tracker's
with sizes, where corners fit in every row: the user is asked then.

Not confirmed: whether the first pixel is 0 or 1 (taken as 0; ``first_pixel`` says otherwise), what the r columns mean (kept as r1,
r2, ...), and the XML of the detection part, whose layout no source showed; plain Pascal VOC XML is read as ``voc``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError
from rosgeo.tracks.build import make_tracks, xywh_to_xyxy
from rosgeo.tracks.mot_columns import named_columns
from rosgeo.tracks.mot_rows import read_mot_rows, sequence_file
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.text import read_number_rows
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_CATEGORIES = ("car", "plane", "ship", "train")
_FIRST = 1


def _category(file: Path) -> str:
    """The category that the folders above gt/gt.txt tell, or nothing."""
    parents = file.resolve().parts
    above = parents[-4] if len(parents) >= 4 and parents[-2] == "gt" else ""
    return above if above in _CATEGORIES else ""


def _recognise(path: Path) -> bool:
    return "viso" in mot_candidates(path)


def _read(path: Path, options: ReadOptions) -> Tracks:
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(f"{path} has no gt/gt.txt; expected the folder of a VISO sequence")
    rows = read_number_rows(file, 6, "frame,id,x,y,w,h,... or frame id x1 y1 x2 y2 ...")
    frame, track = read_mot_rows(rows)
    sized = "," in rows.texts[0]
    box = rows.values[:, 2:6]
    names = ("score", "class", "r1", "r2") if sized else ("r1", "r2", "r3", "r4")
    columns: dict[str, Any] = named_columns(rows.values[:, 6:], names)
    if category := _category(file):
        columns["category"] = np.full(len(frame), category, dtype=object)
    return make_tracks(
        source=str(file),
        format="viso",
        frame=frame,
        track_id=track,
        xyxy=xywh_to_xyxy(box, options.pixel) if sized else box - options.pixel,
        lines=rows.lines,
        first_frame=options.frame(_FIRST),
        columns=columns,
        error=rows.error,
    )


FORMAT = TrackFormat(
    "viso",
    "VISO gt.txt, or a sequence's folder",
    "VISO",
    Origin(0, _FIRST, "frames: an independent reader; pixels: not told, taken from 0"),
    _recognise,
    _read,
    family=FAMILY,
)
