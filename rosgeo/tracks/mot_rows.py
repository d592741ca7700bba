"""Rows that begin with frame, track and a box, as those of MOTChallenge do: what the formats that share them have in common."""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np

from rosgeo.tracks.number_sample import NumberSample, sample_numbers, within
from rosgeo.tracks.text import NumberRows, text_lines, whole_numbers
from rosgeo.types import IntArray

__all__ = ["begins_as_mot", "class_labels", "file_names_of_sequence", "read_mot_rows", "sequence_file", "sequence_sample"]


def sequence_file(path: Path) -> Path | None:
    """A sequence's annotations: ``gt/gt.txt`` of its folder, else ``det/det.txt`` or ``gt.txt``; a file itself; or None."""
    if path.is_file():
        return path
    return next((f for f in (path / "gt" / "gt.txt", path / "det" / "det.txt", path / "gt.txt") if f.is_file()), None)


def sequence_sample(path: Path) -> tuple[Path, NumberSample] | None:
    """The file of a sequence and its rows, where they begin as MOTChallenge's do."""
    file = sequence_file(path)
    sample = None if file is None else sample_numbers(file)
    return (file, sample) if file is not None and sample is not None and begins_as_mot(sample) else None


def begins_as_mot(sample: NumberSample) -> bool:
    """Whether rows are a frame, an id and four or more numbers that are no parts of the picture."""
    if sample.count < 6:
        return False
    ids = np.ones(len(sample.values), dtype=bool)
    for column in (0, 1):
        ids &= within(sample.column(column), -(2**53), 2**53, whole=True)
    with np.errstate(invalid="ignore"):
        pixels = (np.abs(sample.values[:, 2:6]) > 1).any()
    # Bad ids are named by the reader, also those of a short file.
    return 2 * int(ids.sum()) >= len(ids) and bool(pixels)


def read_mot_rows(rows: NumberRows) -> tuple[IntArray, IntArray]:
    """Frames and track ids, int64 (N,) each, of rows that begin as MOTChallenge's do."""
    return whole_numbers(rows, 0, "frame number"), whole_numbers(rows, 1, "track id")


def class_labels(file: Path) -> list[str] | None:
    """The names of classes in the labels.txt beside a file, from 1, as CVAT and Datumaro write it; None where there is none.

    Other tools call the annotations themselves labels.txt.
    """
    labels = file.with_name("labels.txt")
    if not labels.is_file() or labels == file:
        return None
    rows = sample_numbers(labels)
    return None if rows is not None and rows.count > 1 else [line.strip() for line in text_lines(labels)]


def file_names_of_sequence(file: Path, first: int) -> dict[int, str]:
    """File names of the frames as the seqinfo.ini beside the folder of a file tells them, by frame number."""
    info = file.parent.parent / "seqinfo.ini"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(info, encoding="utf-8-sig") or "Sequence" not in parser:
            return {}
        length = parser["Sequence"].getint("seqLength", 0)
    except (configparser.Error, ValueError, UnicodeDecodeError):
        return {}
    suffix = parser["Sequence"].get("imExt", ".jpg")
    return {first + i: f"{i + 1:06d}{suffix}" for i in range(length)}
