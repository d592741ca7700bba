"""Columns to `Tracks`, with the checks that every format shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.errors import TracksError
from rosgeo.tracks.values import BOX_COLUMNS, Tracks
from rosgeo.types import FloatArray, IntArray

__all__ = ["RESERVED", "corners_to_xyxy", "make_tracks", "track_ids", "xywh_to_xyxy"]

RESERVED = ("frame", "track_id", *BOX_COLUMNS)
"""Columns that every table of tracks has."""


def xywh_to_xyxy(xywh: FloatArray, first_pixel: float = 0) -> FloatArray:
    """Boxes (N, 4) from left, top, width, height.

    Parameters
    ----------
    xywh : float64 array (N, 4)
    first_pixel : float
        What the source calls the first column and row; 1 in formats that come from Matlab, whose pixel (1, 1) is (0, 0) here. Sizes are
        lengths either way.
    """
    corner = xywh[:, :2] - first_pixel
    return np.concatenate([corner, corner + xywh[:, 2:4]], axis=1)


def corners_to_xyxy(corners: FloatArray) -> FloatArray:
    """Envelopes (N, 4) of corners (N, K, 2); NaN where a corner is NaN."""
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def make_tracks(
    *,
    source: str,
    format: str,
    frame: IntArray,
    track_id: npt.NDArray[Any],
    xyxy: FloatArray,
    lines: IntArray,
    first_frame: int,
    columns: Mapping[str, Any] | None = None,
    corners: FloatArray | None = None,
    frame_names: Mapping[int, str] | None = None,
    error: Callable[[int, str], TracksError] | None = None,
) -> Tracks:
    """Put N rows together.

    Parameters
    ----------
    source, format, lines, first_frame, corners, frame_names
        See `Tracks`.
    frame : int64 array (N,)
    track_id : int64 or str array (N,)
    xyxy : float64 array (N, 4)
        A row with any NaN becomes NaN as a whole: half a box is none.
    columns : mapping of str to N values, optional
        Further columns; those that clash with `RESERVED` get ``source_`` before their name.
    error : callable, optional
        Error about a row, by its number from 0. Default: names source and line.

    Raises
    ------
    TracksError
        A box whose far edge lies before its near edge, or with a coordinate that is not finite.
    """
    import pandas as pd

    about = error or (lambda row, what: TracksError(f"{source}, line {lines[row]}: {what}"))
    boxes = np.array(xyxy, dtype=np.float64).reshape(len(frame), 4)
    boxes[np.isnan(boxes).any(axis=1)] = np.nan
    with np.errstate(invalid="ignore"):
        flipped = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if len(flipped):
        raise about(int(flipped[0]), f"the box {_shown(boxes[flipped[0]])} ends before it begins; expected sizes of 0 or more")
    infinite = np.flatnonzero(np.isinf(boxes).any(axis=1))
    if len(infinite):
        raise about(int(infinite[0]), f"the box {_shown(boxes[infinite[0]])} is not finite")
    table = pd.DataFrame({"frame": np.asarray(frame, dtype=np.int64), "track_id": track_id})
    for name, values in zip(BOX_COLUMNS, boxes.T, strict=True):
        table[name] = values
    taken = {str(c) for c in table.columns}
    for name, values in _ordered(columns or {}):
        free = name
        while free in taken:
            free = f"source_{free}"
        taken.add(free)
        table[free] = values
    if corners is not None:
        corners = np.array(corners, dtype=np.float64).reshape(len(frame), 4, 2)
        corners[np.isnan(corners).any(axis=(1, 2))] = np.nan
    return Tracks(
        table=table,
        source=source,
        format=format,
        lines=np.asarray(lines, dtype=np.int64),
        corners=corners,
        first_frame=first_frame,
        frame_names=dict(frame_names or {}),
    )


def _ordered(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Category and score first, as `Tracks` lists them."""
    return sorted(columns.items(), key=lambda item: {"category": 0, "score": 1}.get(item[0], 2))


def _shown(box: FloatArray) -> str:
    return f"({', '.join(f'{v:g}' for v in box)})"


def track_ids(texts: list[str]) -> Any:
    """Ids as int64 where all of them are whole numbers, else as they stand; object array (N,) of str."""
    if all(t.removeprefix("-").isascii() and t.removeprefix("-").isdigit() and len(t) < 19 for t in texts):
        return np.array([int(t) for t in texts], dtype=np.int64)
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
