"""AI City Challenge, vehicles over several cameras: ``track1.txt`` of results, and ``S01/c001/gt/gt.txt``.

Layout: aicitychallenge.org, evaluation and submission of the track on multi-camera tracking: ``camera_id obj_id frame_id xmin ymin
width height xworld yworld`` parted by spaces, frames from 1; the ground truth of a camera is as MOTChallenge's,
``frame,id,left,top,width, height,1,-1,-1,-1``. A camera is a sequence: where a file holds several, one is chosen by its number. Not
confirmed: whether pixels count from 0 (taken so, as detectors give them).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TracksError
from rosgeo.tracks.build import make_tracks, xywh_to_xyxy
from rosgeo.tracks.mot_columns import MotColumns, read_mot_columns
from rosgeo.tracks.mot_rows import sequence_file
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.number_sample import sample_numbers
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.text import read_number_rows, whole_numbers
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_ONE_CAMERA = MotColumns("aicity", ("score", "x", "y", "z"), "")
_EXPECTED = "camera_id obj_id frame_id xmin ymin width height xworld yworld"


def _recognise(path: Path) -> bool:
    return "aicity" in mot_candidates(path)


def _read(path: Path, options: ReadOptions) -> Tracks:
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(
            f"{path} has no gt/gt.txt; expected a camera of the AI City Challenge, or a file of {_EXPECTED}"
        )
    sample = sample_numbers(file)
    if sample is not None and sample.count == 10:
        return read_mot_columns(_ONE_CAMERA, path, options, 1)
    rows = read_number_rows(file, 9, _EXPECTED)
    camera, track, frame = (whole_numbers(rows, i, what) for i, what in enumerate(("camera", "track id", "frame number")))
    cameras = np.unique(camera)
    chosen = [str(c) for c in cameras] if options.sequence is None else [options.sequence]
    if len(chosen) > 1 or chosen[0] not in {str(c) for c in cameras}:
        listed = ", ".join(str(c) for c in cameras[:8])
        raise TracksError(f"{file} holds {len(cameras)} cameras ({listed}); choose one with --sequence")
    used = np.flatnonzero(camera == int(chosen[0]))
    return make_tracks(
        source=str(file),
        format="aicity",
        frame=frame[used],
        track_id=track[used],
        xyxy=xywh_to_xyxy(rows.values[used, 3:7], options.pixel),
        lines=rows.lines[used],
        first_frame=options.frame(1),
        columns={"camera": camera[used], "x_world": rows.values[used, 7], "y_world": rows.values[used, 8]},
        error=lambda row, what: rows.error(int(used[row]), what),
    )


FORMAT = TrackFormat(
    "aicity",
    "AI City Challenge: results over cameras, or gt.txt of one",
    "AI City Challenge",
    Origin(0, 1, "frames: aicitychallenge.org; pixels: not told, taken from 0"),
    _recognise,
    _read,
    family=FAMILY,
)
