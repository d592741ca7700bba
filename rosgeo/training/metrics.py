"""Scores of masks: IoU, and Boundary IoU (Cheng et al., CVPR 2021) as the ROS-SAM reference computes it."""

from __future__ import annotations

import numpy as np

from rosgeo.types import BoolArray

__all__ = ["boundary_iou", "boundary_of", "mask_iou"]

BOUNDARY_RATIO = 0.02
"""Width of the boundary over the picture's diagonal."""


def mask_iou(a: BoolArray, b: BoolArray) -> float:
    """IoU of two masks (h, w); 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def boundary_iou(a: BoolArray, b: BoolArray, ratio: float = BOUNDARY_RATIO) -> float:
    """IoU of the boundaries of two masks (h, w); 1 where both are empty.

    Parameters
    ----------
    a, b : bool arrays (h, w)
    ratio : float
        Width of the boundary over the diagonal of the picture.
    """
    width = max(round(ratio * float(np.hypot(*a.shape))), 1)
    return mask_iou(boundary_of(a, width), boundary_of(b, width))


def boundary_of(mask: BoolArray, width: int) -> BoolArray:
    """The pixels of a mask within `width` pixels of its outside, across corners too; what lies beyond the picture is outside.

    The mask less its erosion by a square of ``2 width + 1``, as `width` erosions by 3 x 3 are.
    """
    span = 2 * width + 1
    padded = np.pad(mask.astype(np.int32), width)
    sums = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = sums[span:, span:] - sums[:-span, span:] - sums[span:, :-span] + sums[:-span, :-span]
    boundary: BoolArray = mask & (inside < span * span)
    return boundary
