"""BIRDSAI, animals and humans in thermal video from drones: ``annotations/SEQUENCE.csv``.

Layout: github.com/exb7900/BIRDSAI, README:
``frame-id,object-id,min-x,min-y,width,height,object_class,species,occluded,noisy-frame``, frames from 0 ("the frames in the
annotations as well as the files are 0-indexed"). Classes are 0 (animal) and 1 (human); the species of a human is 0 or unknown (-1).
Not confirmed: whether pixels count from 0 (taken so).
"""

from __future__ import annotations

from pathlib import Path

from rosgeo.tracks.mot_columns import MotColumns, read_mot_columns
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_LAYOUT = MotColumns("birdsai", ("object_class", "species", "occluded", "noisy_frame"), "object_class", {0: "animal", 1: "human"})
_ORIGIN = Origin(0, 0, "frames: its README; pixels: not told, taken from 0")


def _recognise(path: Path) -> bool:
    return "birdsai" in mot_candidates(path)


def _read(path: Path, options: ReadOptions) -> Tracks:
    return read_mot_columns(_LAYOUT, path, options, 0)


FORMAT = TrackFormat("birdsai", "BIRDSAI annotations", "BIRDSAI", _ORIGIN, _recognise, _read, family=FAMILY)
