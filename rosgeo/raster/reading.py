"""What a user says of a raster that its file does not say, or says wrongly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.errors import OptionError
from rosgeo.types import BoolArray

__all__ = ["AS_TAGGED", "Reading", "equals_any", "make_reading", "parse_nodata", "require_holdable"]


@dataclass(frozen=True)
class Reading:
    """How a raster is read.

    Attributes
    ----------
    nodata : tuple of float, or None
        Values that are no measurement, in place of the file's nodata tag; none for an empty tuple. None: as the file is tagged.
    dem : str or None
        Heights of the ground (a raster), for a scene that is placed by RPCs.
    height : float or None
        One height for all of it, in metres, in place of `dem`.
    fill : tuple of float, or None
        Values that are no measurement beside those, as they were found; None: to be looked for, see `rosgeo.raster.fill`.
    """

    nodata: tuple[float, ...] | None = None
    dem: str | None = None
    height: float | None = None
    fill: tuple[float, ...] | None = None

    @property
    def without_heights(self) -> Reading:
        """The same for a scene that no RPCs place."""
        return replace(self, dem=None, height=None)

    def with_fill(self, values: Sequence[float]) -> Reading:
        """The same, with what was found."""
        return replace(self, fill=tuple(values))


AS_TAGGED = Reading()
"""As the file says."""


def make_reading(
    nodata: str | float | Sequence[float] | None = None, dem: Any = None, height: float | None = None, *, option: str = "--nodata"
) -> Reading:
    """A `Reading` from options as they are given; raises OptionError for values outside their choices."""
    if dem is not None and height is not None:
        raise OptionError("--dem and --height were both given; expected one of them")
    if height is not None and not math.isfinite(height):
        raise OptionError(f"--height {height}: expected metres")
    return Reading(parse_nodata(nodata, option), None if dem is None else str(dem), None if height is None else float(height))


def parse_nodata(text: str | float | Sequence[float] | None, option: str = "--nodata") -> tuple[float, ...] | None:
    """Values of ``--nodata``: a number, ``nan``, several with commas, or ``none``; None for what the file says.

    Raises
    ------
    OptionError
        Anything else.
    """
    if text is None:
        return None
    if isinstance(text, str) and text.strip().lower() == "none":
        return ()
    try:
        if isinstance(text, str):
            return tuple(float(part) for part in text.split(","))
        return tuple(float(v) for v in np.atleast_1d(np.asarray(text, dtype=np.float64)))
    except (ValueError, TypeError):
        raise OptionError(
            f"{option} {text!r}: expected a number as in -9999, nan, several as in -9999,0, or none where every value counts"
        ) from None


def require_holdable(values: Sequence[float], dtype: str, name: str) -> None:
    """Raise OptionError where a band of a type cannot hold a nodata value that was asked for."""
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        return
    limits = np.iinfo(kind)
    for value in values:
        if not (math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max):
            raise OptionError(
                f"--nodata {value:.15g}: {name} holds {kind} ({limits.min} to {limits.max}), which has no such value. "
                "rosgeo info shows what it holds"
            )


def equals_any(values: npt.NDArray[Any], wanted: Sequence[float]) -> BoolArray:
    """Where an array of numbers holds one of some values (NaN among them); real numbers to their last digits."""
    found = np.zeros(values.shape, dtype=bool)
    for value in wanted:
        if math.isnan(value):
            found |= np.isnan(values) if values.dtype.kind == "f" else False
        elif values.dtype.kind == "f" and math.isfinite(value):
            # A tag in decimals is seldom the binary number itself. What is huge, a subtraction would make infinite.
            near = abs(value) * 1e-6
            # The largest of all, as fills often are, and its neighbour is infinite.
            with np.errstate(over="ignore"):
                found |= (values >= value - near) & (values <= value + near)
        else:
            found |= values == value
    return found
