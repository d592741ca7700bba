"""VisDrone: ``annotations/uav0000013_00000_v.txt`` of its video and tracking sets.

Layout: github.com/VisDrone/VisDrone2018-MOT-toolkit, README:
``frame_index,target_id,bbox_left,bbox_top,bbox_width,bbox_height,score, object_category,truncation,occlusion``; a score of 0 is
a box that the evaluation leaves out, categories are 0 (region to ignore) to 11 (others), truncation 0 or 1, occlusion 0 to 2;
of results both are -1. Pixels from 0 ("the coordinates of the top left in txt are from 0 not 1", pull request 2 of
VisDrone2018-VID-toolkit), frames from 1. Of its set of single objects, ``uav0000003_00000_s.txt``, a line is
``left,top,width,height``.
"""

from __future__ import annotations

import re
from pathlib import Path

from rosgeo.tracks.mot_columns import MotColumns, read_mot_columns
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.single_object import numbers_a_line, read_single
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_NAMES = (
    "ignored regions",
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
    "others",
)
_LAYOUT = MotColumns(
    "visdrone", ("score", "object_category", "truncation", "occlusion"), "object_category", dict(enumerate(_NAMES))
)
_ORIGIN = Origin(0, 1, "pull request 2 of VisDrone2018-VID-toolkit; its readers count frames from 1")


def _of_one_object(path: Path) -> bool:
    return re.fullmatch(r"uav\d{7}_\d{5}_s", path.stem) is not None and path.is_file() and numbers_a_line(path) == 4


def _recognise(path: Path) -> bool:
    return _of_one_object(path) or "visdrone" in mot_candidates(path)


def _read(path: Path, options: ReadOptions) -> Tracks:
    if _of_one_object(path):
        return read_single(path, "visdrone", options)
    return read_mot_columns(_LAYOUT, path, options, 1)


FORMAT = TrackFormat("visdrone", "VisDrone annotations of video", "VisDrone", _ORIGIN, _recognise, _read, family=FAMILY)
