"""Boxes that are parts of the picture need its size."""

from __future__ import annotations

from pathlib import Path

from rosgeo.errors import OptionError

__all__ = ["picture_size"]


def picture_size(path: Path, size: tuple[int, int] | None, label: str) -> tuple[int, int]:
    """Height and width of a frame; raises OptionError where nobody says."""
    if size is None:
        raise OptionError(
            f"{path}: {label} tells boxes as parts of the picture, whose size is in no such file; give it: --size WIDTHxHEIGHT"
        )
    return size
