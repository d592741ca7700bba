"""What a sample of a scene tells: its stretch, its fill values, and how much contrast is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rosgeo.raster.bands import Stretch, StretchRule, fit_stretch
from rosgeo.raster.fill import Fill, find_fills, grey_levels, without_fills
from rosgeo.types import BoolArray

__all__ = ["STATISTICS_SIDE", "Sampled", "sample_scene"]

STATISTICS_SIDE = 1024
"""Pixels a side of a sample."""

_FEW_LEVELS = 16


@dataclass(frozen=True)
class Sampled:
    """What a sample of a scene tells.

    Attributes
    ----------
    stretch : Stretch
    fills : tuple of Fill
        Found values, those that are nodata and those that may be.
    levels : int or None
        See `grey_levels`.
    """

    stretch: Stretch
    fills: tuple[Fill, ...]
    levels: int | None

    @property
    def nodata(self) -> tuple[float, ...]:
        """Found values that are taken as nodata."""
        return tuple(fill.value for fill in self.fills if fill.certain)

    def few_levels(self, name: str, rule: StretchRule, scaling: Sequence[tuple[float, float]]) -> tuple[str, ...]:
        """A warning where the stretch leaves the valid pixels few grey levels; else none."""
        if self.levels is None or self.levels >= _FEW_LEVELS:
            return ()
        if self.stretch.low is None or self.stretch.high is None:
            fitted = "none"
        else:
            ends = [
                (low * s + o, high * s + o) for low, high, (s, o) in zip(self.stretch.low, self.stretch.high, scaling, strict=True)
            ]
            fitted = ", ".join(dict.fromkeys(f"{min(pair):.6g} to {max(pair):.6g}" for pair in ends))
        scaled = " (measurements: the file has a scale and an offset)" if set(scaling) != {(1.0, 0.0)} else ""
        return (
            f"{name}: the stretch {fitted}{scaled} leaves {self.levels} grey level{'s' * (self.levels != 1)} to nine tenths of the valid "
            f"pixels, so that the model sees little of them. Choose another with --stretch, such as "
            f"{'percentile:2,98' if rule.kind in ('range', 'none') else 'percentile:5,90 or range:LO,HI'}; rosgeo info shows the values",
        )


def sample_scene(
    sample: npt.NDArray[Any],
    valid: BoolArray,
    rule: StretchRule,
    scaling: Sequence[tuple[float, float]],
    *,
    look: bool = True,
) -> Sampled:
    """Look for fill values in a sample, and fit the stretch on the rest.

    Parameters
    ----------
    sample, valid : arrays (3, h, w)
        See `RasterSource.read_decimated`.
    rule : StretchRule
    scaling : sequence of three (float, float)
        See `fit_stretch`.
    look : bool
        False: every valid value is a measurement.

    Returns
    -------
    Sampled
    """
    by_band = np.broadcast_to(valid, sample.shape)
    # Pictures of 8 bits are black and white where they are.
    fills = find_fills(sample, by_band) if look and sample.dtype != np.uint8 else ()
    good = without_fills(sample, by_band, fills)
    stretch = fit_stretch(rule, sample, good, scaling)
    finite = good & np.isfinite(sample)
    return Sampled(stretch, fills, grey_levels(sample, stretch.apply(sample), finite))
