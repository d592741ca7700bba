"""Values that stand for no measurement and are not tagged as such, and stretches that leave the rest no contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.raster.reading import equals_any
from rosgeo.types import BoolArray, UInt8Array

__all__ = ["Fill", "find_fills", "grey_levels", "without_fills"]

_LEAST_SHARE = 0.01
_LEAST_REST = 16
"""Pixels that must be left to compare with."""
_LEAST_VALUES = 8
"""Different ones among them."""
_FAR = 3.0
"""A value is far outside where the gap to all others is so many times as wide as those lie apart (percentiles 2 to 98)."""
_FAR_SENTINEL = 0.25
_BETWEEN = 0.1
"""At most this part of its pixels may lie in the half of the gap next to it: an edge that was resampled."""
_SENTINELS = frozenset(sign * v for v in (9999, 99999, 999999, 9999999, 32767, 32768) for sign in (-1, 1)) | {-999, -2147483648}
_HUGE = 1e15
_AT_MOST = 3
_FEW_SHARE = 0.9


@dataclass(frozen=True)
class Fill:
    """A value that stands for no measurement.

    Attributes
    ----------
    value : float
    share : float
        Of the sampled pixels, 0 to 1.
    below : bool
        It lies below all other values, else above.
    certain : bool
        False where it may be saturation: the pixels then count, but do not decide the stretch.
    """

    value: float
    share: float
    below: bool
    certain: bool

    def text(self, name: str) -> str:
        """In words, for a warning."""
        side = "below" if self.below else "above"
        told = f"{100 * self.share:.2g} % of {name} are {self.value:.10g}, far {side} all other values, and not tagged as nodata"
        if self.certain:
            return f"{told}: they are taken as nodata. Pass --nodata {self.value:.10g} to say so, or --nodata none where they count"
        return f"{told}: they may be saturated, and count as pixels. Pass --nodata {self.value:.10g} where they are no measurements"


def find_fills(sample: npt.NDArray[Any], valid: BoolArray) -> tuple[Fill, ...]:
    """Single values far outside the rest that hold more than a per cent.

    Parameters
    ----------
    sample : array (B, h, w)
        Bands of the whole scene, decimated.
    valid : bool array (B, h, w)

    Returns
    -------
    tuple of Fill
        Each value once, with the share of the band where it is largest; the most frequent first.
    """
    found: dict[float, Fill] = {}
    for band, good in zip(sample, valid, strict=True):
        values = band[good & np.isfinite(band)].astype(np.float64)
        for _ in range(_AT_MOST):
            fill = _outlier(values, band.size, band.dtype)
            if fill is None:
                break
            there = found.get(fill.value)
            found[fill.value] = fill if there is None or there.share < fill.share else there
            values = values[values != fill.value]
    return tuple(sorted(found.values(), key=lambda fill: -fill.share))


def _outlier(values: npt.NDArray[np.float64], size: int, dtype: np.dtype[Any]) -> Fill | None:
    """The lowest or highest value where it is such a one."""
    if len(values) < _LEAST_REST:
        return None
    if _is_sentinel(values.max(), dtype) and (values == values.max()).all():
        # Nothing to compare with, and a picture of nothing but such a value is none.
        return Fill(float(values.max()), len(values) / size, bool(values.max() < 0), certain=not _is_top(values.max(), dtype))
    for below, value in ((True, values.min()), (False, values.max())):
        rest = values[values != value]
        held = len(values) - len(rest)
        if held < _LEAST_SHARE * size or len(rest) < _LEAST_REST:
            continue
        # What is huge leaves no digits to the others where it is taken along.
        low, high = np.percentile(rest, [2, 98])
        gap = low - value if below else value - high
        between = (rest < low - gap / 2).sum() if below else (rest > high + gap / 2).sum()
        sentinel = _is_sentinel(value, dtype)
        far = _FAR_SENTINEL if sentinel else _FAR
        # Where the rest is a few values too, as of classes or of a mask, this may be one of them.
        many = sentinel or len(np.unique(rest)) >= _LEAST_VALUES
        if many and gap > 0 and gap >= far * (high - low) and between <= _BETWEEN * held:
            return Fill(float(value), held / size, below, certain=bool((below or sentinel) and not _is_top(value, dtype)))
    return None


def _is_sentinel(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a value is one that people write where nothing was measured."""
    return bool(value in _SENTINELS or abs(value) >= _HUGE or (dtype.kind == "i" and value == np.iinfo(dtype).min))


def _is_top(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a value is where an integer type saturates."""
    return bool(dtype.kind in "iu" and value == np.iinfo(dtype).max)


def without_fills(sample: npt.NDArray[Any], valid: BoolArray, fills: Sequence[Fill]) -> BoolArray:
    """Validity (B, h, w) of a sample without the pixels of fill values."""
    return valid & ~equals_any(sample, [fill.value for fill in fills])


def grey_levels(sample: npt.NDArray[Any], picture: UInt8Array, valid: BoolArray) -> int | None:
    """How many grey levels nine tenths of the valid pixels have at most, in the band with the most.

    Parameters
    ----------
    sample : array (3, h, w)
        Values.
    picture : uint8 array (3, h, w)
        The same after the stretch.
    valid : bool array (3, h, w)

    Returns
    -------
    int or None
        None where another stretch, of the percentiles 25 and 75, would not leave four times as many.
    """
    most, possible = 0, 0
    for values, greys, good in zip(sample, picture, valid, strict=True):
        if not good.any():
            return None
        most = max(most, _fewest(greys[good]))
        there = values[good].astype(np.float64)
        low, high = np.percentile(there, [25, 75])
        if high > low:
            possible = max(possible, _fewest(np.clip((there - low) * (255 / (high - low)), 0, 255).round()))
    return most if possible >= 4 * most else None


def _fewest(values: npt.NDArray[Any]) -> int:
    """How many different values hold nine tenths of an array."""
    _, counts = np.unique(values, return_counts=True)
    return int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), _FEW_SHARE * values.size) + 1)
