"""Rows of a pose model as Ultralytics writes them: a box, keypoints, and what may follow."""

from __future__ import annotations

import numpy as np

__all__ = ["has_keypoints", "pose_ends"]

_BEFORE = 5
"""Class, centre, width, height."""

_SEEN = 0.5
_LEAST_POINTS = 3
"""With fewer a row is as long as that of an oriented box with confidence and id."""


def has_keypoints(rows: list[list[float]]) -> bool:
    """Whether rows are boxes with keypoints and no outlines: all of about one length, and what is seen of the points lies in the boxes."""
    lengths = {(len(row) - _BEFORE) // 3 for row in rows}
    if len(lengths) != 1 or lengths.pop() < _LEAST_POINTS:
        return False
    return all(_inside(row) for row in rows)


def pose_ends(rows: list[list[float]]) -> dict[int, tuple[str, ...]]:
    """What follows the keypoints in rows of each length: ``score``, ``track``, both or nothing."""
    single = [row for row in rows if (len(row) - _BEFORE) % 3 == 1]
    scored = any((len(row) - _BEFORE) % 3 == 2 for row in rows) or not all(row[-1].is_integer() and row[-1] >= 1 for row in single)
    ends: tuple[tuple[str, ...], ...] = ((), ("score",) if scored else ("track",), ("score", "track"))
    return {len(row): ends[(len(row) - _BEFORE) % 3] for row in rows}


def _inside(row: list[float]) -> bool:
    """Whether the keypoints (K, 3) of a row that are seen lie in its box, give or take a half of it."""
    count = (len(row) - _BEFORE) // 3
    points = np.array(row[_BEFORE : _BEFORE + 3 * count]).reshape(count, 3)
    seen = points[points[:, 2] >= _SEEN]
    centre, size = np.array(row[1:3]), np.array(row[3:5])
    valid = bool(((points >= 0) & (points <= 1)).all())
    return valid and bool((np.abs(seen[:, :2] - centre) <= size).all())
