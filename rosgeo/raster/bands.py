"""Which bands make the picture, and how their values become 8-bit RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rosgeo.errors import OptionError, RasterError
from rosgeo.types import BoolArray, UInt8Array

__all__ = ["Stretch", "StretchRule", "choose_bands", "fit_stretch", "parse_bands", "parse_stretch"]


def parse_bands(text: str | Sequence[int] | None) -> tuple[int, ...] | None:
    """``"4,3,2"`` or a sequence of one or three band numbers from 1; None for the default."""
    if text is None:
        return None
    try:
        bands = tuple(int(b) for b in (text.split(",") if isinstance(text, str) else text))
    except (ValueError, TypeError):
        bands = ()
    if len(bands) not in (1, 3):
        raise OptionError(f"bands {text!r}: expected one or three band numbers from 1, as in 4,3,2")
    return bands


def choose_bands(
    count: int, colours: Sequence[str], requested: tuple[int, ...] | None, name: str = "the raster"
) -> tuple[int, int, int]:
    """The bands, from 1, that become red, green and blue.

    Parameters
    ----------
    count : int
        Bands of the raster.
    colours : sequence of str
        Colour interpretation of each, in rasterio's names.
    requested : tuple of one or three int, or None
        None: the bands marked red, green and blue, else the first three, else the first one three times. Alpha bands do not count.
    name : str
        The raster's name, for messages.

    Raises
    ------
    OptionError
        A requested band that the raster does not have.
    """
    if requested is not None:
        for band in requested:
            if not 1 <= band <= count:
                raise OptionError(f"band {band} was asked for, but {name} has {count} band{'s' * (count != 1)} (from 1)")
        r, g, b = requested * 3 if len(requested) == 1 else requested
        return r, g, b
    marked = [list(colours).index(c) + 1 if c in colours else 0 for c in ("red", "green", "blue")]
    if all(marked):
        return marked[0], marked[1], marked[2]
    plain = [i + 1 for i in range(count) if i >= len(colours) or colours[i] != "alpha"]
    if len(plain) >= 3:
        return plain[0], plain[1], plain[2]
    if not plain:
        raise RasterError(f"{name} has an alpha band only; expected at least one band of picture")
    return plain[0], plain[0], plain[0]


@dataclass(frozen=True)
class StretchRule:
    """What the user asked for.

    Attributes
    ----------
    kind : {"auto", "none", "percentile", "range"}
        ``auto``: uint8 as it is, the rest by percentiles 2 and 98.
    low, high : float
        Percentiles (0 to 100) or values.
    """

    kind: Literal["auto", "none", "percentile", "range"] = "auto"
    low: float = 2.0
    high: float = 98.0


def parse_stretch(text: str) -> StretchRule:
    """``auto``, ``none``, ``percentile:LO,HI`` or ``range:LO,HI``.

    Raises
    ------
    OptionError
        Anything else, or LO not below HI, or percentiles outside 0 to 100.
    """
    expected = "expected auto, none, percentile:LO,HI (as in percentile:2,98) or range:LO,HI (as in range:0,3000)"
    kind, _, numbers = text.strip().partition(":")
    if kind in ("auto", "none") and not numbers:
        return StretchRule(kind)  # type: ignore[arg-type]
    if kind not in ("percentile", "range"):
        raise OptionError(f"stretch {text!r}: {expected}")
    try:
        low, high = (float(n) for n in numbers.split(","))
    except ValueError:
        raise OptionError(f"stretch {text!r}: {expected}") from None
    if not np.isfinite([low, high]).all() or not low < high:
        raise OptionError(f"stretch {text!r}: LO and HI must be finite, and LO below HI")
    if kind == "percentile" and not (low >= 0 and high <= 100):
        raise OptionError(f"stretch {text!r}: percentiles lie between 0 and 100")
    return StretchRule(kind, low, high)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stretch:
    """The numbers that turn band values into 8-bit; the same for every crop of a scene.

    Attributes
    ----------
    low, high : tuple of three float, or None
        Values of red, green and blue that become 0 and 255; None leaves values as they are (clipped to 0..255).
    """

    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def apply(self, values: npt.NDArray[Any]) -> UInt8Array:
        """Values (3, h, w) of any real type to uint8 (3, h, w); NaN becomes 0."""
        if self.low is None or self.high is None:
            if values.dtype == np.uint8:
                return values
            scaled = values.astype(np.float64)
        else:
            low = np.array(self.low)[:, None, None]
            scaled = (values.astype(np.float64) - low) * (255 / (np.array(self.high)[:, None, None] - low))
        out: UInt8Array = np.nan_to_num(np.clip(np.round(scaled), 0, 255)).astype(np.uint8)
        return out

    def record(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


def fit_stretch(rule: StretchRule, sample: npt.NDArray[Any], valid: BoolArray) -> Stretch:
    """The numbers of a rule on a sample of the scene.

    Parameters
    ----------
    rule : StretchRule
        What was asked for.
    sample : array (3, h, w)
        The whole scene, decimated.
    valid : bool array (h, w) or (3, h, w)
        False on nodata, for all bands or for each.

    Returns
    -------
    Stretch
        Nodata, values that are not finite and saturated pixels (the largest value of an integer type) are left out of percentiles.
    """
    if rule.kind == "none" or (rule.kind == "auto" and sample.dtype == np.uint8):
        return Stretch()
    if rule.kind == "range":
        return Stretch((rule.low,) * 3, (rule.high,) * 3)
    by_band = np.broadcast_to(valid, sample.shape)
    limits = [_percentiles(band, good, rule) for band, good in zip(sample, by_band, strict=True)]
    return Stretch(tuple(low for low, _ in limits), tuple(high for _, high in limits))


def _percentiles(band: npt.NDArray[Any], valid: BoolArray, rule: StretchRule) -> tuple[float, float]:
    keep = valid & np.isfinite(band)
    if np.issubdtype(band.dtype, np.integer):
        unsaturated = keep & (band != np.iinfo(band.dtype).max)
        keep = unsaturated if unsaturated.any() else keep
    if not keep.any():
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(band[keep].astype(np.float64), [rule.low, rule.high]))
    return (low, high) if high > low else (low, low + 1.0)
