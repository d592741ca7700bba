"""Where a source counts pixels and frames from: put into options, told in words, and checked against its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.options import ReadOptions, TrackFormat
from rosgeo.tracks.values import Tracks

__all__ = ["refuse_early_frames", "told_origin", "with_origin"]


def with_origin(options: ReadOptions, format: TrackFormat) -> ReadOptions:
    """Options with the format's first pixel where the user names none."""
    return options if options.first_pixel is not None else replace(options, first_pixel=format.origin.pixel)


def told_origin(options: ReadOptions, format: TrackFormat, tracks: Tracks) -> str:
    """One line such as ``pixels from 1, frames from 1: MOTChallenge``; what the user said is marked."""
    pixel = format.origin.pixel if options.first_pixel is None else options.first_pixel
    pixels = f"pixels from {pixel}{' (--first-pixel)' if options.first_pixel is not None else ''}"
    frames = f"frames from {tracks.first_frame}{' (--first-frame)' if options.first_frame is not None else ''}"
    return f"{pixels}, {frames}: {format.label}"


def refuse_early_frames(tracks: Tracks) -> None:
    """Raise TracksError where a row lies before the first frame of the clip, since then all others are misplaced too."""
    frames = tracks.table["frame"].to_numpy()
    early = np.flatnonzero(frames < tracks.first_frame)
    if len(early):
        row, first = int(early[0]), int(frames.min())
        raise TracksError(
            f"{tracks.source}, line {tracks.lines[row]}: frame {frames[row]}, but {tracks.label or tracks.format} counts frames from "
            f"{tracks.first_frame}; --first-frame {first} says that this file counts from {first}"
        )
