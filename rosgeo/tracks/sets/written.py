"""What a segmentation set holds, for messages."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Written"]


@dataclass(frozen=True)
class Written:
    """Counts of a segmentation set.

    Attributes
    ----------
    masks : int
        Objects in frames that are in the set.
    without_pixels : int
        Outlines that hold the centre of no pixel, and so have no mask.
    hidden : int
        Masks behind others in all their pixels, in sets in which a pixel is of one object.
    """

    masks: int
    without_pixels: int = 0
    hidden: int = 0
