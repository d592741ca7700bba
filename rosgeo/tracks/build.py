"""Columns to `Tracks`, with the checks that every format shares."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rosgeo.errors import TracksError, TracksWarning
from rosgeo.tracks.values import BOX_COLUMNS, Tracks
from rosgeo.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RESERVED",
    "corners_to_xyxy",
    "make_tracks",
    "polygon_wkt",
    "refuse_degrees",
    "track_ids",
    "turned_boxes",
    "turned_to_xyxy",
    "xywh_to_xyxy",
]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")

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


def turned_boxes(cxcywh: FloatArray, angle: FloatArray) -> FloatArray:
    """Corners (N, 4, 2) of boxes (N, 4) of centre and size, each turned about its centre by an angle (N,) in radians, from x towards y."""
    centre, half = cxcywh[:, :2], cxcywh[:, 2:4] / 2
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * half[:, :1]
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * half[:, 1:]
    corners: FloatArray = np.stack(
        [centre - along - across, centre + along - across, centre + along + across, centre - along + across], axis=1
    )
    return corners


def refuse_degrees(angle: FloatArray, about: Callable[[int, str], TracksError]) -> None:
    """Raise the error of the first row whose angle (N,) is more than a turn, and so none in radians."""
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(np.abs(angle) > 2 * np.pi + 1e-6)
    if len(wrong):
        first = int(wrong[0])
        what = f"the angle {angle[first]:g} is more than a turn; expected radians, at most 6.283: convert degrees by pi / 180"
        raise about(first, what)


def turned_to_xyxy(corners: FloatArray, sizes: FloatArray) -> FloatArray:
    """Envelopes (N, 4) of turned boxes; one of a size (N, 2) below 0 ends before it begins, so that `make_tracks` finds it."""
    xyxy = corners_to_xyxy(corners)
    with np.errstate(invalid="ignore"):
        wrong = (sizes < 0).any(axis=1)
    xyxy[wrong] = xyxy[wrong][:, [2, 3, 0, 1]]
    return xyxy


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
    unread: Iterable[str] = (),
    by_line: bool = False,
    error: Callable[[int, str], TracksError] | None = None,
) -> Tracks:
    """Put N rows together.

    Parameters
    ----------
    source, format, lines, first_frame, corners, frame_names, unread, by_line
        See `Tracks`.
    frame : int64 array (N,)
    track_id : int64 or str array (N,)
    xyxy : float64 array (N, 4)
        A row with any NaN becomes NaN as a whole: half a box is none. So does a box whose far edge lies before its near edge, or that
        is not finite: the row stays, without a box.
    columns : mapping of str to N values, optional
        Further columns; those that clash with `RESERVED` get ``source_`` before their name.
    error : callable, optional
        Error about a row, by its number from 0. Default: names source and line.

    Raises
    ------
    TracksError
        Not one box is usable.

    Warns
    -----
    TracksWarning
        Rows whose box is no usable one; how many, and the first of them.
    """
    import pandas as pd

    about = error or (lambda row, what: TracksError(f"{source}, line {lines[row]}: {what}"))
    boxes = np.array(xyxy, dtype=np.float64).reshape(len(frame), 4)
    unusable = _without_unusable(boxes, about)
    table = pd.DataFrame({"frame": np.asarray(frame, dtype=np.int64), "track_id": track_id})
    for name, values in zip(BOX_COLUMNS, boxes.T, strict=True):
        table[name] = values
    _add_columns(table, columns or {})
    if corners is not None:
        corners = np.array(corners, dtype=np.float64).reshape(len(frame), 4, 2)
        corners[~np.isfinite(corners).all(axis=(1, 2)) | unusable] = np.nan
    return Tracks(
        table=table,
        source=source,
        format=format,
        lines=np.asarray(lines, dtype=np.int64),
        corners=corners,
        first_frame=first_frame,
        frame_names=dict(frame_names or {}),
        unread=tuple(unread),
        by_line=by_line,
    )


def _add_columns(table: pd.DataFrame, columns: Mapping[str, Any]) -> None:
    taken = {str(c) for c in table.columns}
    for name, values in _ordered(columns):
        free = name
        while free in taken:
            free = f"source_{free}"
        taken.add(free)
        table[free] = values


def _without_unusable(boxes: FloatArray, about: Callable[[int, str], TracksError]) -> BoolArray:
    """Make boxes (N, 4) that are none NaN, in place, and say how many; which of them (N,) had four numbers, and those of no box."""
    told: BoolArray = np.logical_not(np.isnan(boxes).any(axis=1))
    boxes[~told] = np.nan
    with np.errstate(invalid="ignore"):
        infinite: BoolArray = np.logical_and(told, np.isinf(boxes).any(axis=1))
        flipped: BoolArray = np.logical_and(told & ~infinite, (boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if told.any() and (flipped | infinite)[told].all():
        # Not one box to trust: the columns are others.
        first = int(np.flatnonzero(told)[0])
        raise about(
            first, f"the box {_shown(boxes[first])} {'is not finite' if infinite[first] else 'ends before it begins'}, as all do"
        )
    for wrong, what in ((flipped, "ends before it begins"), (infinite, "is not finite")):
        if wrong.any():
            first, count = int(np.flatnonzero(wrong)[0]), int(wrong.sum())
            more = f"; {count} such rows, all are read" if count > 1 else "; the row is read"
            warnings.warn(
                str(about(first, f"the box {_shown(boxes[first])} {what}{more} as without a box")), TracksWarning, stacklevel=4
            )
    boxes[infinite | flipped] = np.nan
    return infinite | flipped


def polygon_wkt(points: FloatArray) -> str:
    """A ring of points (K, 2) as text (WKT), for a column; an empty polygon for none."""
    if not len(points):
        return "POLYGON EMPTY"
    ring = [*points.tolist(), points[0].tolist()]
    return f"POLYGON (({', '.join(f'{x:.10g} {y:.10g}' for x, y in ring)}))"


def _ordered(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Category and score first, as `Tracks` lists them."""
    return sorted(columns.items(), key=lambda item: {"category": 0, "score": 1}.get(item[0], 2))


def _shown(box: FloatArray) -> str:
    return f"({', '.join(f'{v:g}' for v in box)})"


def track_ids(texts: list[str]) -> Any:
    """Ids as int64 where all of them are whole numbers, as 7 and 7.0, else as they stand; object array (N,) of str.

    007 is a name, since another track may be called 7.
    """
    plain = [re.sub(r"\.0+$", "", t) for t in texts]
    if all(_WHOLE.fullmatch(t) for t in plain):
        return np.array([int(t) for t in plain], dtype=np.int64)
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
