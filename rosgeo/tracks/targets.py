"""What the writers of tracks share: frames as the target counts them, ids as numbers, and what is lost in words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rosgeo.errors import OutputError
from rosgeo.tracks.build import RESERVED
from rosgeo.tracks.values import Tracks
from rosgeo.types import BoolArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FIRST_FRAME",
    "category_numbers",
    "dropped_columns",
    "each_its_own",
    "frame_file_name",
    "frames_from",
    "has_box",
    "numbered_tracks",
    "own_ids",
    "refuse_doubles",
    "with_frames",
]

FIRST_FRAME = "rosgeo_first_frame"
"""Column of a table or layer: `Tracks.first_frame`, the same in every row."""


def frames_from(tracks: Tracks, first: int) -> IntArray:
    """Frames (N,) in a format whose first frame is `first`: each keeps its place in the clip."""
    frames: IntArray = tracks.table["frame"].to_numpy(dtype=np.int64) - tracks.first_frame + first
    return frames


def with_frames(tracks: Tracks, table: pd.DataFrame) -> pd.DataFrame:
    """A table of N rows with all that tells which frame of a clip each row means, for targets that hold any column.

    Frames keep the source's own numbers, so that they match files that are named by them; ``frame_name`` is added where the source tells
    names, and `FIRST_FRAME` where the first frame is not 0, so that they match frames that are told by their place.
    """
    result = table.copy()
    if tracks.frame_names and "frame_name" not in result:
        result.insert(2, "frame_name", [tracks.frame_names.get(f, "") for f in result["frame"]])
    if tracks.first_frame and FIRST_FRAME not in result:
        result[FIRST_FRAME] = tracks.first_frame
    return result


def has_box(tracks: Tracks) -> BoolArray:
    """Rows (N,) with a box."""
    return np.asarray(np.isfinite(tracks.xyxy).all(axis=1), dtype=np.bool_)


def numbered_tracks(tracks: Tracks) -> tuple[IntArray, list[str]]:
    """Track ids (N,) as numbers, and what is lost by it: names are numbered from 1 in order of appearance."""
    import pandas as pd

    ids = tracks.table["track_id"]
    if pd.api.types.is_integer_dtype(ids):
        return ids.to_numpy(dtype=np.int64), []
    codes, _ = pd.factorize(ids)
    return codes.astype(np.int64) + 1, ["names of tracks (numbered from 1 in order)"]


def each_its_own(tracks: Tracks) -> tuple[Tracks, list[str]]:
    """Tracks in which rows of no track (id -1) are each a track of its own, for targets that hold one row of a track in a frame."""
    ids = tracks.table["track_id"].tolist()
    alone = sum(str(track) == "-1" for track in ids)
    if not alone:
        return tracks, []
    table = tracks.table.assign(track_id=own_ids(ids))
    return replace(tracks, table=table), [f"that {alone} rows are of no track (each is one of its own)"]


def own_ids(ids: Sequence[Any]) -> list[Any]:
    """Ids of tracks in which each -1, which is of no track, is a further one: a number after the largest, or ``alone 1`` among names."""
    whole = all(isinstance(i, int) for i in ids)
    following = itertools.count(max([0, *(i for i in ids if isinstance(i, int))]) + 1)

    def fresh() -> int | str:
        return next(following) if whole else f"alone {next(following)}"

    return [fresh() if str(track) == "-1" else track for track in ids]


def dropped_columns(tracks: Tracks, kept: set[str], *, corners: bool = False, names: bool = True) -> list[str]:
    """What a target does not hold, in words.

    Parameters
    ----------
    tracks : Tracks
    kept : set of str
        Columns beyond frame, track and box that it holds.
    corners : bool
        It holds the corners of oriented boxes.
    names : bool
        It holds the names of the frames' files.
    """
    lost = [str(c) for c in tracks.table.columns if c not in RESERVED and c not in kept]
    words = [f"column{'s' * (len(lost) > 1)} {', '.join(lost)}"] if lost else []
    if tracks.corners is not None and not corners:
        words.append("corners of oriented boxes (their envelopes are written)")
    if tracks.frame_names and not names:
        words.append("file names of frames")
    return words


def refuse_doubles(tracks: Tracks, target: str, chosen: BoolArray | None = None) -> None:
    """Raise OutputError where a track has two rows in a frame, for targets that hold one; `chosen` (N,) are the rows that are written."""
    doubled = tracks.table.duplicated(["frame", "track_id"], keep=False).to_numpy()
    if chosen is not None:
        doubled = doubled & chosen
    if doubled.any():
        first = int(np.flatnonzero(doubled)[0])
        track, frame = tracks.table["track_id"].iloc[first], tracks.table["frame"].iloc[first]
        same = (tracks.table["frame"] == frame) & (tracks.table["track_id"] == track)
        lines = tracks.lines[same.to_numpy()][:2]
        raise OutputError(
            f"{tracks.source}: track {track} has more than one row in frame {frame} "
            f"(lines {' and '.join(map(str, lines))}), and {target} holds one. Write csv, or take the doubled rows out."
        )


def frame_file_name(tracks: Tracks, frame: int) -> str:
    """The file of a frame by the source's number; made up of it where the source does not tell."""
    return tracks.frame_names.get(frame, f"{frame:06d}.png")


def category_numbers(tracks: Tracks) -> tuple[list[int], list[dict[str, Any]]]:
    """A category id for each row and COCO's list of them; one called object where the tracks have none."""
    if "category" not in tracks.table:
        return [1] * len(tracks), [{"id": 1, "name": "object"}]
    names = [c or "object" for c in tracks.table["category"].fillna("").astype(str)]
    numbers = {name: i for i, name in enumerate(sorted(set(names)), 1)}
    return [numbers[n] for n in names], [{"id": i, "name": name} for name, i in numbers.items()]
