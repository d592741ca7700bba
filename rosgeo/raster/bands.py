"""Which bands make the picture, and how their values become 8-bit RGB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rosgeo.errors import OptionError, RasterError
from rosgeo.types import BoolArray, UInt8Array

__all__ = ["COLOURS", "Band", "Stretch", "StretchRule", "choose_bands", "fit_stretch", "parse_bands", "parse_stretch"]

Band = int | str
"""A band's number, from 1, or its name."""

COLOURS = ("red", "green", "blue", "alpha")
"""Names that say by themselves what a band is."""


def parse_bands(text: str | Sequence[Band] | None) -> tuple[Band, ...] | None:
    """``"4,3,2"``, ``"B04,B03,B02"``, or a sequence of one or three band numbers (from 1) or names; None for the default."""
    if text is None:
        return None
    try:
        bands = tuple(_band(b) for b in (text.split(",") if isinstance(text, str) else text))
    except (ValueError, TypeError):
        bands = ()
    if len(bands) not in (1, 3):
        raise OptionError(f"bands {text!r}: expected one or three band numbers from 1 or names, as in 4,3,2 or red,green,blue")
    return bands


def _band(given: Any) -> Band:
    if isinstance(given, str):
        text = given.strip()
        if not text:
            raise ValueError(given)
        return int(text) if text.lstrip("+-").isdigit() else text
    if int(given) != given:
        raise ValueError(given)
    return int(given)


def choose_bands(
    count: int,
    colours: Sequence[str],
    requested: tuple[Band, ...] | None,
    name: str = "the raster",
    names: Sequence[str] = (),
) -> tuple[int, int, int]:
    """The bands, from 1, that become red, green and blue.

    Parameters
    ----------
    count : int
        Bands of the raster.
    colours : sequence of str
        Colour interpretation of each, in rasterio's names.
    requested : tuple of one or three int or str, or None
        Numbers or names. None: the bands marked red, green and blue, else those named so, else the first three, else the first one three
        times. Alpha bands do not count.
    name : str
        The raster's name, for messages.
    names : sequence of str
        Description of each band, see `rosgeo.raster.protocol.RasterSource`; none for an empty sequence.

    Raises
    ------
    OptionError
        A requested band that the raster does not have, or has twice.
    """
    if requested is not None:
        found = [_find_band(band, count, colours, names, name) for band in requested]
        r, g, b = found * 3 if len(found) == 1 else found
        return r, g, b
    for told in (list(colours), [text.lower() for text in names]):
        marked = [told.index(c) + 1 if c in told else 0 for c in COLOURS[:3]]
        if all(marked):
            return marked[0], marked[1], marked[2]
    plain = [i + 1 for i in range(count) if i >= len(colours) or colours[i] != "alpha"]
    if len(plain) >= 3:
        return plain[0], plain[1], plain[2]
    if not plain:
        raise RasterError(f"{name} has an alpha band only; expected at least one band of picture")
    return plain[0], plain[0], plain[0]


def _find_band(band: Band, count: int, colours: Sequence[str], names: Sequence[str], name: str) -> int:
    """The number of a band that was asked for by number or name."""
    if isinstance(band, int) and 1 <= band <= count:
        return band
    text = str(band)
    for told in (names, [_plain(n) for n in names], [_plain(re.split(r"[\s,:(]", n.strip())[0]) for n in names], colours):
        wanted = text if told is names else _plain(text)
        found = [i for i, n in enumerate(told, 1) if n == wanted]
        if len(found) > 1:
            raise OptionError(
                f"band {text} was asked for, and bands {', '.join(map(str, found))} of {name} are named so; ask by number"
            )
        if found:
            return found[0]
    known = ", ".join(f"{i} {n}" for i, n in enumerate(names, 1) if n)
    known = f": {known}" if known else " (from 1)" if isinstance(band, int) else ", and none of them has a name"
    raise OptionError(f"band {text} was asked for, but {name} has {count} band{'s' * (count != 1)}{known}")


def _plain(text: str) -> str:
    """A name to be compared: B04 is b4."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text.strip().lower())


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
            # A fill value may be the largest number that there is.
            with np.errstate(over="ignore"):
                scaled = (values.astype(np.float64) - low) * (255 / (np.array(self.high)[:, None, None] - low))
        out: UInt8Array = np.nan_to_num(np.clip(np.round(scaled), 0, 255)).astype(np.uint8)
        return out

    def record(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


def fit_stretch(
    rule: StretchRule, sample: npt.NDArray[Any], valid: BoolArray, scaling: Sequence[tuple[float, float]] = ((1.0, 0.0),) * 3
) -> Stretch:
    """The numbers of a rule on a sample of the scene.

    Parameters
    ----------
    rule : StretchRule
        What was asked for.
    sample : array (3, h, w)
        The whole scene, decimated.
    valid : bool array (h, w) or (3, h, w)
        False on nodata, for all bands or for each.
    scaling : sequence of three (float, float)
        Scale and offset of each band. The values of a rule ``range`` are measurements, ``value * scale + offset``.

    Returns
    -------
    Stretch
        In stored values; of a band with a negative scale `low` is above `high`. Nodata, values that are not finite and saturated pixels
        (the largest value of an integer type) are left out of percentiles.
    """
    if rule.kind == "none" or (rule.kind == "auto" and sample.dtype == np.uint8):
        return Stretch()
    if rule.kind == "range":
        low, high = (tuple((value - offset) / scale for scale, offset in scaling) for value in (rule.low, rule.high))
        return Stretch(low, high)
    by_band = np.broadcast_to(valid, sample.shape)
    limits = [_percentiles(band, good, rule) for band, good in zip(sample, by_band, strict=True)]
    limits = [pair if scale > 0 else pair[::-1] for pair, (scale, _) in zip(limits, scaling, strict=True)]
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
