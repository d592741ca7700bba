"""Masks as run lengths, as COCO files hold them: written from and read to the part of the picture that an object covers.

Format: the picture column by column, run lengths of 0 and 1 by turns, the first of 0. Compressed, each number but the first three as its
difference to the one before the last, in groups of 5 bits, the lowest first, with a sixth bit where more follow, as characters from
``"0"`` on; the fifth bit of the last group is the sign (``rleToString`` of cocoapi's ``maskApi.c``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosgeo.geometry.pixels import PixelMask, trimmed
from rosgeo.types import IntArray

__all__ = ["decode_rle", "encode_rle"]

_ZERO, _HIGHEST = ord("0"), ord("0") + 63
_MOST_BITS = 60


def encode_rle(pixels: PixelMask, shape: tuple[int, int], *, compressed: bool = True) -> dict[str, Any]:
    """Run lengths of an object on a picture of `shape` (height, width): ``size``, and ``counts`` as text or, not compressed, as a list."""
    counts = _run_lengths(pixels, shape)
    return {"size": list(shape), "counts": _compress(counts) if compressed else counts}


def _run_lengths(pixels: PixelMask, shape: tuple[int, int]) -> list[int]:
    height, width = shape
    columns = np.pad(pixels.mask, ((1, 1), (0, 0))).T.astype(np.int8)
    changes = np.diff(columns, axis=1)
    column, row = np.nonzero(changes)
    # Where the value changes along the picture's columns; a run that goes on in the next column has no change there.
    places, found = np.unique((column + pixels.col_off) * height + row + pixels.row_off, return_counts=True)
    places = places[found == 1]
    counts = np.diff(np.concatenate([[0], places, [height * width]]))
    if counts[-1] == 0:
        counts = counts[:-1]
    lengths: list[int] = counts.tolist()
    return lengths


def decode_rle(segmentation: dict[str, Any], shape: tuple[int, int]) -> PixelMask | None:
    """An object from its run lengths.

    Parameters
    ----------
    segmentation : dict
        ``size`` and ``counts``: a list of run lengths, or the same compressed (str).
    shape : (int, int)
        Height and width of the picture.

    Returns
    -------
    PixelMask or None
        None for a mask without a pixel.

    Raises
    ------
    ValueError
        The run lengths are none, or not those of a picture of this shape; the message goes on after "its RLE".
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, Sequence) or list(size) != list(shape):
        raise ValueError(f"has the size {size}; expected {list(shape)}, height and width of its image")
    runs = _expand(counts) if isinstance(counts, str) else _listed(counts)
    # Else what is missing at the end would be anything: pycocotools reads it from memory that no one has written.
    if (runs < 0).any() or sum(runs.tolist()) != shape[0] * shape[1]:
        raise ValueError(f"has run lengths with a sum of {sum(runs.tolist())}; expected {shape[0] * shape[1]}, none below 0")
    ends = runs.cumsum()
    ones = np.arange(len(runs)) % 2 == 1
    starts = (ends - runs)[ones & (runs > 0)]
    stops = ends[ones & (runs > 0)]
    if not len(starts):
        return None
    height = shape[0]
    first, last = int(starts[0]) // height, int(stops[-1] - 1) // height
    steps = np.zeros((last - first + 1) * height + 1, dtype=np.int8)
    np.add.at(steps, starts - first * height, 1)
    np.add.at(steps, stops - first * height, -1)
    return trimmed(steps.cumsum(dtype=np.int8)[:-1].reshape(-1, height).T.astype(bool), 0, first)


def _listed(counts: Any) -> IntArray:
    try:
        runs = np.array(counts)
    except ValueError:
        runs = np.array("")
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError(f"has counts that are no list of whole numbers and no text: {str(counts)[:40]}")
    whole: IntArray = runs.astype(np.int64)
    return whole


def _compress(counts: list[int]) -> str:
    text = bytearray()
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            group = value & 0x1F
            value >>= 5
            more = value != (-1 if group & 0x10 else 0)
            text.append(_ZERO + group + 0x20 * more)
    return text.decode("ascii")


def _expand(text: str) -> IntArray:
    counts: list[int] = []
    value = bits = 0
    for character in text:
        code = ord(character)
        if not _ZERO <= code <= _HIGHEST or bits > _MOST_BITS:
            raise ValueError(f"is not what COCO's compression writes, at the character {character!r}")
        value |= (code - _ZERO & 0x1F) << bits
        bits += 5
        if not code - _ZERO & 0x20:
            if code - _ZERO & 0x10:
                value -= 1 << bits
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = bits = 0
    if bits:
        raise ValueError("breaks off in the middle of a number")
    if max(map(abs, counts), default=0) >= 1 << 62:
        raise ValueError("holds numbers beyond any picture")
    return np.array(counts, dtype=np.int64)
