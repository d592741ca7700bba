"""Reading rows of frame, track and box by a list of the columns after them, for the formats that differ in nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError
from rosgeo.tracks.build import make_tracks, xywh_to_xyxy
from rosgeo.tracks.mot_rows import file_names_of_sequence, read_mot_rows, sequence_file
from rosgeo.tracks.options import ReadOptions
from rosgeo.tracks.text import read_number_rows
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["MotColumns", "class_names", "named_columns", "read_mot_columns"]


@dataclass(frozen=True)
class MotColumns:
    """What follows frame, track, left, top, width and height in a row.

    Attributes
    ----------
    format : str
    names : tuple of str
        Of the columns, from the seventh on; further ones are called by their number.
    class_column : str
        Which of them is the class.
    classes : mapping of int to str
        Names of the classes.
    """

    format: str
    names: tuple[str, ...]
    class_column: str
    classes: Mapping[int, str] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """A row in words, for messages."""
        return ", ".join(("frame", "track", "left", "top", "width", "height", *self.names))


def read_mot_columns(layout: MotColumns, path: Path, options: ReadOptions, first: int) -> Tracks:
    """Read the file of a sequence whose columns are known; `first` is the format's first frame."""
    file = sequence_file(path)
    if file is None:
        raise InputFileNotFoundError(f"{path} has no gt/gt.txt; expected rows of {layout.expected}")
    rows = read_number_rows(file, 6, layout.expected)
    frame, track = read_mot_rows(rows)
    first = options.frame(first)
    columns = named_columns(rows.values[:, 6:], layout.names)
    if layout.class_column in columns:
        columns["category"] = class_names(columns[layout.class_column], layout.classes)
    return make_tracks(
        source=str(file),
        format=layout.format,
        frame=frame,
        track_id=track,
        xyxy=xywh_to_xyxy(rows.values[:, 2:6], options.pixel),
        lines=rows.lines,
        first_frame=first,
        columns=columns,
        frame_names=file_names_of_sequence(file, first),
        error=rows.error,
    )


def named_columns(values: FloatArray, names: tuple[str, ...], start: int = 7) -> dict[str, Any]:
    """Columns (N, C) by name; those after the last name by their number in the file, of which the first is `start`."""
    return {(names[i] if i < len(names) else f"column_{i + start}"): column for i, column in enumerate(values.T)}


def class_names(classes: FloatArray, names: Mapping[int, str]) -> list[str]:
    """The name of each class; its number where it has none, nothing for what is no class."""
    return ["" if not np.isfinite(c) or c < 0 else names.get(int(c), f"{c:g}") for c in classes]
