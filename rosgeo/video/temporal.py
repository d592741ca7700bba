"""What time tells of tracked boxes and outlines: boxes between labelled frames, and outlines that do not fit their track."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from rosgeo.errors import OptionError
from rosgeo.tracks.values import BOX_COLUMNS
from rosgeo.types import BoolArray, FloatArray

__all__ = [
    "INTERPOLATED",
    "OUTLIER",
    "OUTLIER_IOU",
    "TEMPORAL_IOU",
    "flag_outliers",
    "in_track",
    "interpolate_boxes",
    "temporal_iou",
]

INTERPOLATED, TEMPORAL_IOU, OUTLIER = "rosgeo_interpolated", "rosgeo_temporal_iou", "rosgeo_outlier"
"""Columns of a result."""

NEIGHBOURS = 2
"""Outlines before and after, each, that an outline is compared with."""

OUTLIER_IOU = 0.5
"""Outlines that fit their neighbours less than this are outliers in any track."""

_SPREADS, _LEAST_DROP, _LEAST_TRACK = 4.0, 0.1, 5
"""An outlier too is what lies so many robust standard deviations, and at least so much, below the median of a track of so many rows."""

_MAD_TO_STD = 1.4826


_NO_TRACK = "-1"
"""The id of rows that belong to no track, as detections."""


def in_track(track_ids: Iterable[Any]) -> BoolArray:
    """Which rows belong to a track: all but those of the id -1, which detections have."""
    return np.array([str(track) != _NO_TRACK for track in track_ids], dtype=bool)


def interpolate_boxes(table: pd.DataFrame, max_gap: int, *, frames: Iterable[int] | None = None) -> pd.DataFrame:
    """Boxes for the frames between two labelled ones of a track, linear in centre and size.

    Parameters
    ----------
    table : DataFrame (N rows)
        See `Tracks`.
    max_gap : int
        Frames without a box in a row, at most; over longer gaps nothing is done.
    frames : iterable of int, optional
        The numbers of the frames that there are: rows are added for these alone. None: for every number between.

    Returns
    -------
    DataFrame (N + M rows)
        The rows as given, those without a box (NaN) filled where they lie in such a gap, then the rows added, by track and frame. An added
        row has what all rows of its track have in common, and no score. ``rosgeo_interpolated`` is True on filled and added rows.

    Raises
    ------
    OptionError
        `max_gap` below 1.
    """
    if max_gap < 1:
        raise OptionError(f"interpolate {max_gap}: expected at least 1 frame")
    boxes = table[list(BOX_COLUMNS)].to_numpy(dtype=np.float64).copy()
    labelled = np.isfinite(boxes).all(axis=1) & in_track(table["track_id"])
    number = table["frame"].to_numpy()
    there = None if frames is None else set(frames)
    filled = np.zeros(len(table), dtype=bool)
    added: list[tuple[int, int, FloatArray]] = []
    for rows in table.groupby("track_id", sort=False).indices.values():
        known = rows[labelled[rows]]
        known = known[np.argsort(number[known], kind="stable")]
        has_row = {int(number[row]): row for row in rows}
        for before, after in itertools.pairwise(known):
            first, last = int(number[before]), int(number[after])
            if not 1 < last - first <= max_gap + 1:
                continue
            for frame in range(first + 1, last):
                box = _between(boxes[before], boxes[after], (frame - first) / (last - first))
                row = has_row.get(frame)
                if row is not None:
                    boxes[row], filled[row] = box, True
                elif there is None or frame in there:
                    added.append((int(before), frame, box))
    result = table.copy()
    result[list(BOX_COLUMNS)] = boxes
    result[INTERPOLATED] = filled
    return result if not added else _with_rows(result, added)


def _between(first: FloatArray, last: FloatArray, share: float) -> FloatArray:
    # Linear in the corners is linear in centre and size.
    mixed: FloatArray = (1 - share) * first + share * last
    return mixed


def _with_rows(table: pd.DataFrame, added: list[tuple[int, int, FloatArray]]) -> pd.DataFrame:
    rows = table.iloc[[before for before, _, _ in added]].copy()
    constant = table.drop(columns=[*BOX_COLUMNS, "frame", INTERPOLATED]).groupby("track_id", sort=False)
    for name, values in constant:
        own = np.flatnonzero((rows["track_id"] == name).to_numpy())
        if not len(own):
            continue
        for column in values.columns.difference(["track_id"]):
            told = values[column]
            if column == "score" or not (told == told.iloc[0]).all():
                rows[column] = _missing_at(rows[column], own)
    rows["frame"] = np.array([frame for _, frame, _ in added], dtype=np.int64)
    rows[list(BOX_COLUMNS)] = np.stack([box for _, _, box in added])
    rows[INTERPOLATED] = True
    return pd.concat([table, rows], ignore_index=True)


def _missing_at(column: pd.Series, where: npt.NDArray[np.intp]) -> pd.Series:
    """The column without the values at some places, in a type that can lack some."""
    if pd.api.types.is_integer_dtype(column.dtype):
        column = column.astype("Int64")
    elif pd.api.types.is_bool_dtype(column.dtype):
        column = column.astype("boolean")
    values = column.copy()
    values.iloc[where] = None
    return values


def temporal_iou(
    outlines: Sequence[Any], boxes: FloatArray, track_ids: Sequence[Any], frames: Sequence[int], *, neighbours: int = NEIGHBOURS
) -> FloatArray:
    """How well each outline fits those of the frames next to it in its track.

    Parameters
    ----------
    outlines : sequence of N Polygon, MultiPolygon or None
        In the pixel frame.
    boxes : float64 array (N, 4)
        Their boxes.
    track_ids, frames : sequences of N
    neighbours : int
        Outlines before, and after, that each is compared with.

    Returns
    -------
    float64 array (N,)
        Median IoU with up to `neighbours` outlines before and after it, each moved so that the centres of the boxes fall together and
        scaled by the root of the boxes' areas. NaN without an outline, without a track (id -1) or without another outline in it. The
        median of four lets a single bad neighbour pass, on either side.
    """
    shapes = np.empty(len(outlines), dtype=object)
    shapes[:] = list(outlines)
    there = ~shapely.is_missing(shapes) & in_track(track_ids)
    result = np.full(len(shapes), np.nan)
    table = pd.DataFrame({"track": list(track_ids), "frame": list(frames)})[there]
    for _, part in table.groupby("track", sort=False):
        rows = part.sort_values("frame", kind="stable").index.to_numpy()
        aligned = _aligned(shapes[rows], boxes[rows])
        pairs = [_neighbour_ious(aligned, step) for step in range(1, min(neighbours, len(rows) - 1) + 1)]
        if pairs:
            result[rows] = np.nanmedian(np.concatenate(pairs), axis=0)
    return result


def _aligned(shapes: npt.NDArray[Any], boxes: FloatArray) -> npt.NDArray[Any]:
    """Outlines about the centres of their boxes, in units of the root of the boxes' areas."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))

    def place(index: int) -> Callable[[FloatArray], FloatArray]:
        return lambda points: (points - centres[index]) / sizes[index]

    # Scaling may make a sliver touch itself.
    moved = [shapely.transform(shape, place(i)) for i, shape in enumerate(shapes)]
    return np.array([shape if shape.is_valid else shapely.make_valid(shape) for shape in moved], dtype=object)


def _neighbour_ious(shapes: npt.NDArray[Any], step: int) -> FloatArray:
    """IoU (2, N) with the shape `step` before and after; NaN where there is none."""
    common = shapely.area(shapely.intersection(shapes[:-step], shapes[step:]))
    areas = shapely.area(shapes)
    iou = common / (areas[:-step] + areas[step:] - common)
    both = np.full((2, len(shapes)), np.nan)
    both[0, step:], both[1, :-step] = iou, iou
    return both


def flag_outliers(iou: FloatArray, track_ids: Sequence[Any]) -> BoolArray:
    """Which outlines do not fit their track.

    Parameters
    ----------
    iou : float64 array (N,)
        Of `temporal_iou`.
    track_ids : sequence of N

    Returns
    -------
    bool array (N,)
        True below 0.5, and, in a track of five outlines or more, where it lies four robust standard deviations (of the median absolute
        deviation) and 0.1 below the track's median: an outline of a small object never fits its neighbours as one of a large one does.
        False for NaN.
    """
    table = pd.DataFrame({"track": list(track_ids), "iou": iou})
    by_track = table.groupby("track", sort=False)["iou"]
    median = by_track.transform("median")
    spread = (table["iou"] - median).abs().groupby(table["track"], sort=False).transform("median") * _MAD_TO_STD
    limit = (median - np.maximum(_SPREADS * spread, _LEAST_DROP)).where(by_track.transform("count") >= _LEAST_TRACK, -np.inf)
    flagged: BoolArray = (iou < OUTLIER_IOU) | (iou < limit.to_numpy())
    return flagged
