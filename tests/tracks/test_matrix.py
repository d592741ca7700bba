"""The table of formats in the guide is of today, and what goes through two formats comes out as the words say."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosgeo.tracks.formats.registry import FORMATS, TARGETS
from rosgeo.tracks.read import read_tracks
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.write import write_tracks

from tests.tracks.matrix import PAGE, drawn, with_table
from tests.tracks.test_write import SIZE, SUFFIX, by_row, tracks_of

WORDS = {"category": ("column category", "columns category", "names of categories"), "score": ("score",), "speed": ("speed",)}
"""How what a target cannot hold is named, by column."""


def test_the_table_of_formats_is_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text, "draw it anew: python -m tests.tracks.matrix"


def test_the_table_has_every_format() -> None:
    rows = drawn().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(FORMATS)
    assert sum("| yes |" in row for row in rows) == len(TARGETS)


def a_clip() -> Tracks:
    rows = [(f, t, [10.25 * t + f, 20.5 + f, 10.25 * t + f + 12, 31.75 + f]) for f in range(4) for t in (1,)]
    names = {f: f"frame_{f:06d}.png" for f in range(4)}
    more: dict[str, Any] = {"category": ["ship"] * 4, "score": [0.5, 0.25, 0.75, 1.0], "speed": [1.5, 2.5, 3.5, 4.5]}
    return tracks_of(rows, columns=more, frame_names=names)


def through(tracks: Tracks, format: str, folder: Path) -> tuple[Tracks, str]:
    """Tracks after a file of a format, and what was said to be lost."""
    path = folder / f"{len(list(folder.iterdir()))}{SUFFIX[format]}"
    lost = write_tracks(tracks, path, format, size=SIZE)
    read = read_tracks(path, format=format, size=SIZE, y_axis="up")
    return read, "; ".join([*lost, *read.unread])


@pytest.mark.parametrize(("first", "second"), itertools.product(TARGETS, TARGETS))
def test_a_way_through_two_formats_loses_what_is_named(first: str, second: str, tmp_path: Path) -> None:
    source = a_clip()
    middle, lost_first = through(source, first, tmp_path)
    last, lost_second = through(middle, second, tmp_path)
    said = f"{lost_first}; {lost_second}"
    renamed = "names of tracks" in said
    places = [(f, "" if renamed else t) for f, t, _ in by_row(source, boxes_only=True)]
    assert [(f, "" if renamed else t) for f, t, _ in by_row(last, boxes_only=True)] == places
    boxes = [np.array([b for *_, b in by_row(t, boxes_only=True)]) for t in (source, last)]
    np.testing.assert_allclose(boxes[1], boxes[0], atol=1e-9)
    for column, words in WORDS.items():
        there = column in last.table and last.table[column].tolist() == source.table[column].tolist()
        assert there or any(word in said for word in words), f"{column} is gone, and nobody said so: {said}"
    names = {f - last.first_frame: n for f, n in last.frame_names.items()}
    assert names == source.frame_names or "file names of frames" in said
