"""Named columns of tables and layers: which of them is the frame, the track and so on, by the names that people use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rosgeo.errors import OptionError, TracksError
from rosgeo.tracks.options import ReadOptions
from rosgeo.tracks.targets import FIRST_FRAME
from rosgeo.tracks.values import BOX_COLUMNS
from rosgeo.types import FloatArray, IntArray
from rosgeo.vector.detections.columns import plain_name

__all__ = ["COLUMN_NAMES", "ROLES", "choose_columns", "first_frame_of", "names_of_frames"]

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "frame": ("frame", "frameid", "frameindex", "framenumber", "frameno", "framenum", "image", "imageid", "t"),
    "track_id": ("trackid", "track", "id", "objectid", "objid", "targetid", "instanceid", "trackerid", "tid"),
    "category": ("category", "class", "classname", "label", "categoryname", "type"),
    "score": ("score", "confidence", "conf", "probability"),
    "frame_name": ("framename", "filename", "imagename"),
}
ROLES = (*COLUMN_NAMES, *BOX_COLUMNS, "width", "height")
"""What a column can be said to be."""


def choose_columns(names: list[str], given: Mapping[str, str], where: str, expected: str = "") -> dict[str, str]:
    """Which column is what of frame, track, category, score and file name.

    Parameters
    ----------
    names : list of str
        All columns.
    given : mapping of role to name
        The user's word, names in any case.
    where : str
        For messages.
    expected : str
        What else is expected, for messages.

    Raises
    ------
    TracksError, OptionError
        No frame or no track column; no column of a given name.
    """
    plain = {plain_name(n): n for n in reversed(names)}
    chosen = {}
    for role, name in given.items():
        if role not in ROLES:
            raise OptionError(f"a column was named for {role!r}; expected one of {', '.join(ROLES)}")
        found = name if name in names else plain.get(plain_name(name))
        if found is None:
            raise OptionError(f"{where} has no column {name!r} (named for {role}); it has: {', '.join(names)}")
        chosen[role] = found
    for role, known in COLUMN_NAMES.items():
        match = next((plain[k] for k in known if k in plain and plain[k] not in chosen.values()), None)
        if role not in chosen and match is not None:
            chosen[role] = match
    for role in ("frame", "track_id"):
        if role not in chosen:
            raise TracksError(
                f"{where} has no column for the {role.removesuffix('_id')}; it has: {', '.join(names)}. "
                f"Name it with --{role.removesuffix('_id')}-column{expected}"
            )
    return chosen


def first_frame_of(values: FloatArray, options: ReadOptions, error: Any) -> int:
    """The first frame of the clip: the user's word, else what the column of it says in all rows, else 0."""
    if options.first_frame is not None or not len(values):
        return options.first_frame or 0
    wrong = np.flatnonzero((values != values[0]) | (values != np.round(values)) | ~(np.abs(values) < 2**53))
    if len(wrong):
        found = f"{values[wrong[0]]:g} in column {FIRST_FRAME}"
        raise error(int(wrong[0]), f"{found}; expected one whole number in all rows, or none and --first-frame")
    return int(values[0])


def names_of_frames(frame: IntArray, names: list[str]) -> dict[int, str]:
    """Names of the frames; none where one frame has two, which is no name of the frame then."""
    pairs = {(int(f), n.strip()) for f, n in zip(frame, names, strict=True) if n.strip()}
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}
