"""Whether numbers are the corners of boxes, for telling formats apart."""

from __future__ import annotations

import numpy as np

from rosgeo.types import BoolArray, FloatArray

__all__ = ["are_boxes", "go_round", "there"]

_LEAST_AREA = 0.02
"""Of its envelope, of a thin box turned by 45 degrees; points out of order enclose less."""

_ROUNDED = 1.5
"""Pixels by which corners that were rounded may miss those of a rectangle."""


def there(corners: FloatArray) -> FloatArray:
    """Those of N quadrilaterals (N, 4, 2) that are not all zero, as where there is no object, and are finite."""
    return corners[np.isfinite(corners).all(axis=(1, 2)) & corners.any(axis=(1, 2))]


def go_round(corners: FloatArray) -> BoolArray:
    """Which of N quadrilaterals (N, 4, 2) have their points in order round an area, without a dent."""
    edges = np.roll(corners, -1, axis=1) - corners
    after = np.roll(edges, -1, axis=1)
    with np.errstate(invalid="ignore"):
        turns = edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0]
        following = np.roll(corners, -1, axis=1)
        area = np.abs((corners[..., 0] * following[..., 1] - corners[..., 1] * following[..., 0]).sum(axis=1)) / 2
        sides = corners.max(axis=1) - corners.min(axis=1)
        one_way = (turns >= 0).all(axis=1) | (turns <= 0).all(axis=1)
        result: BoolArray = one_way & (area > 0) & (area >= _LEAST_AREA * sides.prod(axis=1))
    return result


def are_boxes(corners: FloatArray) -> BoolArray:
    """Which of N quadrilaterals (N, 4, 2) are boxes, oriented in any way: both diagonals have one middle and one length."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(axis=1)
        lengths = np.linalg.norm(np.stack([corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]], axis=1), axis=2)
        result: BoolArray = (apart <= 2 * _ROUNDED) & (np.abs(lengths[:, 0] - lengths[:, 1]) <= 2 * _ROUNDED)
    return result & go_round(corners)
