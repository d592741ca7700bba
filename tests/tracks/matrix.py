"""The table of formats in docs/guide/tracks.md, made of the registry and of what the readers keep of the fixtures.

``python -m tests.tracks.matrix`` draws it anew; `tests.tracks.test_matrix` fails where it is not of today.
"""

from __future__ import annotations

import warnings

import numpy as np
from rosgeo.errors import TracksWarning
from rosgeo.tracks.build import RESERVED
from rosgeo.tracks.formats.registry import FORMATS
from rosgeo.tracks.options import TrackFormat
from rosgeo.tracks.read import read_tracks
from rosgeo.tracks.values import Tracks

from tests.rooms import ROOT
from tests.tracks.test_read import CASES, SIZE, TRACKS

__all__ = ["PAGE", "drawn", "with_table"]

PAGE = ROOT.parent / "docs" / "guide" / "tracks.md"
_MARKS = ("<!-- formats: drawn by python -m tests.tracks.matrix -->", "<!-- /formats -->")
_OWN = {"csv", "layer"}
"""Formats without columns of their own: they keep whatever is there."""


def samples(format: str) -> list[Tracks]:
    """The fixtures of a format, read."""
    names = [c[0] for c in CASES if c[1] == format] or ["aicity/track1.txt"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracksWarning)
        return [read_tracks(TRACKS / n, size=SIZE, sequence="41" if format == "aicity" else None) for n in names]


def kept(format: str) -> str:
    """What its reader keeps beside frame and box."""
    found = samples(format)
    columns = list(dict.fromkeys(str(c) for t in found for c in t.table.columns if c not in RESERVED))
    tracked = any((t.table["track_id"].astype(str) != "-1").any() for t in found)
    words = ["track"] * tracked + (["every column"] if format in _OWN else columns)
    words += ["corners"] * any(t.corners is not None for t in found)
    words += ["names of frames"] * any(bool(t.frame_names) for t in found)
    words += ["rows without a box"] * any(bool(np.isnan(t.xyxy).any()) for t in found)
    return ", ".join(words)


def origin(format: TrackFormat) -> str:
    frames = "as each file says" if format.origin.frame is None else f"from {format.origin.frame}"
    return f"from {format.origin.pixel} | {frames}"


def drawn() -> str:
    rows = [
        "| `--from`, `--to` | format | written | pixels | frames | kept beside frame and box |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for f in sorted(FORMATS.values(), key=lambda f: f.name):
        rows.append(f"| `{f.name}` | {f.title} | {'yes' if f.write else ''} | {origin(f)} | {kept(f.name)} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """A page with the table of today between its marks."""
    start, end = _MARKS
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{drawn()}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
