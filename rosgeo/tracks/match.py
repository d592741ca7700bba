"""Which frame of a clip a frame number of tracks means."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np

from rosgeo.clips.values import ClipFrame
from rosgeo.tracks.values import Tracks

__all__ = ["FrameNumbers", "number_frames"]


@dataclass(frozen=True)
class FrameNumbers:
    """Frames under the numbers that the tracks use.

    Attributes
    ----------
    frames : tuple of ClipFrame
    how : {"file name", "number in the file name", "place"}
        What told them.
    note : str
        The same as a sentence, for the user and the record.
    """

    frames: tuple[ClipFrame, ...]
    how: str
    note: str


def number_frames(
    frames: Sequence[ClipFrame], tracks: Tracks, *, first_frame: int | None = None, named: bool = True
) -> FrameNumbers:
    """Give the frames of a clip the numbers by which tracks call them.

    Parameters
    ----------
    frames : sequence of ClipFrame
        In order.
    tracks : Tracks
    first_frame : int, optional
        The number of the first frame: frames are counted on from it, whatever their names.
    named : bool
        False where the names of the frames are made up, as of a video file: they go by place then.

    Returns
    -------
    FrameNumbers
        By the file names where the tracks tell names and at least one is there. Else by the last number in each file name, where these
        are unique and mean at least as many of the tracks' frames as their place does; a clip whose files are numbered without a gap,
        but not as the tracks count, goes by place if that alone covers all. Else by place, from `Tracks.first_frame`. Frames that the
        tracks' names do not tell are numbered on from the largest number.
    """
    wanted = {int(number) for number in np.unique(tracks.table["frame"].to_numpy())}
    start = tracks.first_frame if first_frame is None else first_frame
    if first_frame is None and named:
        by_name = _by_name(frames, tracks, wanted)
        if by_name is not None:
            return _numbered(frames, by_name, "file name", f"frames by the file names in {tracks.source}")
        numbers = _numbers_in_names(frames)
        if numbers is not None and _numbers_fit(numbers, wanted, range(start, start + len(frames))):
            note = f"frames by the number in their file names ({frames[0].name} is frame {numbers[0]})"
            return _numbered(frames, numbers, "number in the file name", note)
    return _numbered(frames, list(range(start, start + len(frames))), "place", f"frames by their place, the first is {start}")


def _numbered(frames: Sequence[ClipFrame], numbers: Sequence[int], how: str, note: str) -> FrameNumbers:
    return FrameNumbers(tuple(replace(f, number=n) for f, n in zip(frames, numbers, strict=True)), how, note)


def _by_name(frames: Sequence[ClipFrame], tracks: Tracks, wanted: set[int]) -> list[int] | None:
    """Numbers by the names that the tracks tell, with and then without their suffix; None where not one frame has such a name."""
    by_name = {PurePath(name).name: number for number, name in tracks.frame_names.items()}
    by_stem = {PurePath(name).stem: number for number, name in tracks.frame_names.items()}
    found = [by_name.get(frame.name, by_stem.get(PurePath(frame.name).stem)) for frame in frames]
    known = [number for number in found if number is not None]
    if not known or len(set(known)) < len(known):
        return None
    # Rows may be of frames without a name; what has no name in the tracks is none of those.
    following = itertools.count(max(*tracks.frame_names, *known, *wanted) + 1)
    return [next(following) if number is None else number for number in found]


def _numbers_in_names(frames: Sequence[ClipFrame]) -> list[int] | None:
    """The last number in the name of each frame; None where one has none or two have the same."""
    digits = [re.findall(r"\d+", PurePath(frame.name).stem) for frame in frames]
    if not all(digits):
        return None
    numbers = [int(found[-1]) for found in digits]
    return numbers if len(set(numbers)) == len(numbers) else None


def _numbers_fit(numbers: Sequence[int], wanted: set[int], places: range) -> bool:
    in_names, by_place = len(wanted & set(numbers)), len(wanted & set(places))
    if in_names == len(wanted):
        return True
    without_gap = max(numbers) - min(numbers) + 1 == len(numbers)
    if without_gap and by_place == len(wanted):
        return False
    return in_names > 0 and in_names >= by_place
