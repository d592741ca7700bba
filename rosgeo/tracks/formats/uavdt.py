"""UAVDT: ``M0203_gt_whole.txt`` and ``M0203_gt.txt`` of vehicles seen from drones.

Layout (Du et al., The Unmanned Aerial Vehicle Benchmark, ECCV 2018; the readme of its toolkit): ``gt_whole`` has
``frame_index,target_id, bbox_left,bbox_top,bbox_width,bbox_height,out-of-view,occlusion,object_category`` with categories 1 car, 2
truck, 3 bus; ``gt`` and ``gt_ignore`` have 1, -1, -1, -1 after the box. Pixels from 0: over all 50 sequences of 1024 x 540 pixels
many boxes begin at 0 and right ends pile up at 1023. Frames from 1.
"""

from __future__ import annotations

from pathlib import Path

from rosgeo.tracks.mot_columns import MotColumns, read_mot_columns
from rosgeo.tracks.mot_rows import sequence_sample
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_WHOLE = MotColumns("uavdt", ("out_of_view", "occlusion", "object_category"), "object_category", {1: "car", 2: "truck", 3: "bus"})
_PLAIN = MotColumns("uavdt", ("score", "x", "y", "z"), "")


def _recognise(path: Path) -> bool:
    return "uavdt" in mot_candidates(path)


def _read(path: Path, options: ReadOptions) -> Tracks:
    found = sequence_sample(path)
    plain = found is not None and found[1].count == 10
    return read_mot_columns(_PLAIN if plain else _WHOLE, path, options, 1)


FORMAT = TrackFormat(
    "uavdt",
    "UAVDT gt_whole.txt and gt.txt",
    "UAVDT",
    Origin(0, 1, "the boxes of its 50 sequences: left is 0 in thousands, right ends pile up at 1023 of 1024"),
    _recognise,
    _read,
    family=FAMILY,
)
