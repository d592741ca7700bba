"""A clip and its frames, as values without pixels, and the order of their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Clip", "ClipFrame", "natural_key"]


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a clip.

    Attributes
    ----------
    index : int
        Its place in the clip, from 0.
    number : int
        As the tracks count.
    name : str
        Of its file without folder; of a frame of a video file ``000001.png`` and so on, by its number.
    time : datetime or None
        When it was taken.
    """

    index: int
    number: int
    name: str
    time: datetime | None = None


@dataclass(frozen=True)
class Clip:
    """What is known of a clip without its pixels.

    Attributes
    ----------
    name : str
    height, width : int
        Of every frame, in pixels.
    frames : tuple of ClipFrame
        In order.
    fps : float or None
        Frames a second.
    """

    name: str
    height: int
    width: int
    frames: tuple[ClipFrame, ...]
    fps: float | None = None


def natural_key(name: str) -> tuple[Any, ...]:
    """Sorts frame_2 before frame_10."""
    # Odd parts are the digits: re.split keeps what it splits at. Text and number never meet in a comparison.
    return tuple((int(part), part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name)))
