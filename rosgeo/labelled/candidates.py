"""What readers of labels hand to the gate: candidates for objects, and what their file claims of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rosgeo.labelled.pixels import RasterPixels
from rosgeo.types import FloatArray

__all__ = ["BoxForm", "Candidate", "Claims", "LabelledPicture", "Read", "Reading"]

BoxForm = Literal["xywh", "xyxy"]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture that labels lie on.

    Attributes
    ----------
    path : Path
    height, width : int
        As it is shown, in pixels.
    raster : RasterPixels or None
        See `LabelledObject`.
    plain : bool
        Every pixel is valid, so that nobody need look.
    ground, source : str
        See `LabelledObject`.
    area : tuple of float64 arrays (n, 2)
        See `LabelledObject`.
    """

    path: Path
    height: int
    width: int
    raster: RasterPixels | None = None
    plain: bool = False
    ground: str = ""
    source: str = ""
    area: tuple[FloatArray, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Reading:
    """Another way to read what a file says of an outline.

    Attributes
    ----------
    what : str
        For the report.
    make : callable
        Gives its outlines. It is called only where somebody looks, since a wrong reading may have very many corners.
    """

    what: str
    make: Callable[[], tuple[FloatArray, ...]]

    @cached_property
    def rings(self) -> tuple[FloatArray, ...]:
        """The outlines, as of a `Candidate`."""
        return self.make()


@dataclass(frozen=True)
class Claims:
    """What a file says of an object beside its outline.

    Attributes
    ----------
    box : float64 array (4,) or None
        In the order of `form`, in pixels of the picture as it is shown.
    form : {"xywh", "xyxy"}
    area : float or None
        Square pixels.
    others : tuple of Reading
        Outlines that the file may mean in place of the candidate's.
    """

    box: FloatArray | None = None
    form: BoxForm = "xywh"
    area: float | None = None
    others: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One labelled object as a reader finds it.

    Attributes
    ----------
    name : str
        For messages, as in ``annotation 12``.
    picture : LabelledPicture
    rings : tuple of float64 arrays (n, 2)
        Outlines in the picture's pixel frame, each a closed path that is filled by the even-odd rule; they are joined by union, but one
        that lies in another may be a hole (see `join_holes`).
    category : object
        Of any type; see `class_name`.
    reason : str
        Why it is no object, where the reader knows.
    claims : Claims
    box : float64 array (4,) or None
        A prompt that the file gives.
    group : object
        Value that train and validation are split by.
    ignored : bool
        Counts neither as object nor as ground.
    yields : bool
        Where it is ignored, objects that lie on it count all the same: a crowd.
    envelope : float64 array (4,) or None
        The prompt where it is not that of `rings` (of a polygon that was densified on the map).
    """

    name: str
    picture: LabelledPicture
    rings: tuple[FloatArray, ...] = ()
    category: Any = "object"
    reason: str = ""
    claims: Claims = field(default_factory=Claims)
    box: FloatArray | None = None
    group: Any = ""
    ignored: bool = False
    yields: bool = False
    envelope: FloatArray | None = None


@dataclass(frozen=True)
class Read:
    """All that a reader found in one source.

    Attributes
    ----------
    source : str
        Name for the report.
    candidates : tuple of Candidate
    left_out, changed : tuple of (what, which)
        Of what is no candidate, and of what the reader changed.
    quiet : frozenset of str
        Reasons that lose nothing that was meant to be an object.
    hint : str
        What to look at where nothing can be used.
    on : {"picture", "raster"}
        What labels lie on, in words.
    """

    source: str
    candidates: tuple[Candidate, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    quiet: frozenset[str] = frozenset()
    hint: str = ""
    on: Literal["picture", "raster"] = "picture"
