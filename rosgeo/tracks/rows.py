"""Rows that a reader collects one by one, put together as `Tracks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, track_ids
from rosgeo.tracks.values import Tracks

__all__ = ["NO_BOX", "TrackRow", "tracks_of_rows"]

NO_BOX = (float("nan"),) * 4


@dataclass(frozen=True)
class TrackRow:
    """One object in one frame.

    Attributes
    ----------
    frame : int
    track : str
        Its id; -1 for a row of no track.
    xyxy : four numbers
        As the source counts pixels; `NO_BOX` where it has none.
    line : int
        Of the file, or the number of the annotation, from 1.
    columns : dict
        Everything else, by name.
    corners : four pairs of numbers, optional
        Of an oriented box, whose envelope is then the box.
    where : str
        For messages: the file, where there are several, and the place in it.
    """

    frame: int
    track: str
    xyxy: Sequence[float]
    line: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    corners: Any = None
    where: str = ""


def tracks_of_rows(
    rows: Sequence[TrackRow],
    *,
    source: str,
    format: str,
    first_pixel: float,
    first_frame: int,
    frame_names: Mapping[int, str] | None = None,
    unread: Iterable[str] = (),
) -> Tracks:
    """Tracks of N rows, in order; zero rows are tracks too.

    Parameters
    ----------
    rows : sequence of TrackRow
        A column that some rows do not have is None there, or NaN where the others are numbers.
    source, format, first_frame, frame_names, unread
        See `Tracks`.
    first_pixel : float
        What the source calls the first column and row.
    """
    xyxy = np.array([r.xyxy for r in rows], dtype=np.float64).reshape(-1, 4) - first_pixel
    turned = np.array([r.corners is not None for r in rows], dtype=bool)
    corners = None
    if turned.any():
        corners = np.stack([xyxy[:, i] for i in (0, 1, 2, 1, 2, 3, 0, 3)], axis=1).reshape(-1, 4, 2)
        corners[turned] = np.array([r.corners for r in rows if r.corners is not None], dtype=np.float64) - first_pixel
        xyxy[turned] = corners_to_xyxy(corners[turned])
    keys = list(dict.fromkeys(k for r in rows for k in r.columns))

    def error(row: int, what: str) -> TracksError:
        return TracksError(f"{rows[row].where or f'{source}, line {rows[row].line}'}: {what}")

    return make_tracks(
        source=source,
        format=format,
        frame=np.array([r.frame for r in rows], dtype=np.int64),
        track_id=track_ids([r.track for r in rows]),
        xyxy=xyxy,
        lines=np.array([r.line for r in rows], dtype=np.int64),
        first_frame=first_frame,
        columns={k: _column([r.columns.get(k) for r in rows], k) for k in keys},
        corners=corners,
        frame_names=frame_names,
        unread=unread,
        error=error,
    )


def _column(values: list[Any], name: str) -> Any:
    """Values as they are; categories as texts, numbers with gaps as float64."""
    if name == "category":
        return ["" if v is None else str(v) for v in values]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if numbers and len(numbers) + values.count(None) == len(values) and len(numbers) < len(values):
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return values
