"""What a reader or a writer of tracks may be told, and what a format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rosgeo.types import RasterGrid, YAxis

if TYPE_CHECKING:
    from rosgeo.tracks.values import Tracks

__all__ = ["ReadOptions", "TrackFormat", "WriteOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user knows of a file of tracks; each format takes what concerns it. See `rosgeo.tracks.read.read_tracks`."""

    sequence: str | None = None
    layer: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    first_pixel: int | None = None
    first_frame: int | None = None
    boxes_crs: str | None = None
    y_axis: YAxis = "auto"
    grid: RasterGrid | Mapping[int, RasterGrid | None] | None = None


@dataclass(frozen=True)
class WriteOptions:
    """What a target may need that `Tracks` does not hold. See `rosgeo.tracks.write.write_tracks`."""

    size: tuple[int, int] | None = None
    track: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class TrackFormat:
    """A format of tracked boxes.

    Attributes
    ----------
    name : str
        For ``--from`` and ``--to``.
    title : str
        One line for the help.
    recognise : callable
        Whether a path holds this format, by its content and its neighbours; never raises for a path that exists.
    read : callable
    write : callable or None
        Writes to a path that does not exist yet, and gives what of the tracks it could not hold, in words. None: not a target.
    suffixes : tuple of str
        Extensions that a target may have; the first is the usual one.
    """

    name: str
    title: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Tracks]
    write: Callable[[Tracks, Path, WriteOptions], list[str]] | None = None
    suffixes: tuple[str, ...] = ()
