"""What a reader or a writer of tracks may be told, and what a format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rosgeo.types import RasterGrid, YAxis

if TYPE_CHECKING:
    from rosgeo.tracks.values import Tracks

__all__ = ["Origin", "ReadOptions", "TrackFormat", "WriteOptions"]


@dataclass(frozen=True)
class Origin:
    """What a format calls the first pixel and the first frame.

    Attributes
    ----------
    pixel : int
        The first column and row, 0 or 1.
    frame : int or None
        The first frame of a clip; None where each file tells.
    source : str
        Who says so: a link, a paper, a reader; or that nobody does.
    """

    pixel: int
    frame: int | None
    source: str


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
    size: tuple[int, int] | None = None

    @property
    def pixel(self) -> int:
        """The number of the first column and row, which `read_tracks` fills in from the format; 0 where nobody says."""
        return self.first_pixel or 0

    def frame(self, default: int) -> int:
        """The number of the first frame: the user's word, else what the file or the format says."""
        return default if self.first_frame is None else self.first_frame


@dataclass(frozen=True)
class WriteOptions:
    """What a target may need that `Tracks` does not hold. See `rosgeo.tracks.write.write_tracks`; `target` is its path, for messages."""

    size: tuple[int, int] | None = None
    track: str | None = None
    name: str | None = None
    target: str = ""


@dataclass(frozen=True)
class TrackFormat:
    """A format of tracked boxes.

    Attributes
    ----------
    name : str
        For ``--from`` and ``--to``.
    title : str
        One line for the help.
    label : str
        What people call it, for the summary and for messages.
    origin : Origin
    recognise : callable
        Whether a path holds this format, by its content and its neighbours; never raises for a path that exists. A few bad lines do not
        hide a format: whoever reads it names them.
    read : callable
        Takes a path and options whose `first_pixel` is filled in.
    write : callable or None
        Writes to a path that does not exist yet, and gives what of the tracks it could not hold, in words. None: not a target.
    suffixes : tuple of str
        Extensions that a target may have; the first is the usual one.
    family : str
        Formats of one family exclude each other: where two of them fit a file, the user is asked. Of all others the first that fits is
        taken.
    """

    name: str
    title: str
    label: str
    origin: Origin
    recognise: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Tracks]
    write: Callable[[Tracks, Path, WriteOptions], list[str]] | None = None
    suffixes: tuple[str, ...] = ()
    family: str = ""
