"""Clicks that correct a mask: where the user says that the object is, or is not.

A click moves the outline past itself. How far beyond it the correction should reach is read from the mask: a click in the middle of a wrong
patch is as far from the present outline as the patch is wide, so the correction is a bump of about that width. The bumps are put on the
logits by simple kriging (Gaussian-process regression) of what the mask lacks at the clicks: an earlier click that a later correction would
undo is a data point of it too, so all of them hold in the end. Works on the logits of any model, whether or not it was taught points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rosgeo.inference.predict import stability_of
from rosgeo.types import BoolArray, Float32Array, FloatArray, ObjectMask

__all__ = ["click_logits", "click_mask"]

_MARGIN = 4.0
"""Logit that a clicked cell gets at least, in the direction of its click: a probability of 0.98."""

_REACH = 1.5
"""Standard deviation of a correction, over the distance of its click from the present outline. Chosen by measurement, on pictures that
``tests/benchmarks/points.py`` does not report."""

_LEAST_REACH = 0.0125
_MOST_REACH = 0.25
"""Bounds of that standard deviation, over the side of the crop. The first is three cells of a grid of 256."""

_APART = 0.7
"""The same over the distance to the nearest click of the other sign, at most: the two would fight otherwise."""

_CUT_OFF = 5.0
"""Standard deviations beyond which a correction is nil."""


def click_mask(mask: ObjectMask, points_px: FloatArray, positive: BoolArray) -> ObjectMask:
    """Correct a mask by clicks.

    Parameters
    ----------
    mask : ObjectMask
        What the model says.
    points_px : float64 array (K, 2)
        Clicks in the pixel frame, in the order in which they were made; all in the mask's window.
    positive : bool array (K,)
        True where the object is, False where it is not.

    Returns
    -------
    ObjectMask
        With other logits and their stability; the same mask where K is 0 or the model failed. `predicted_iou` stays what the model said.
    """
    if not len(points_px) or not np.isfinite(mask.logits).all():
        return mask
    cells = mask.window.px_to_crop(points_px) * (mask.logits.shape[0] / mask.window.size)
    logits = click_logits(mask.logits, cells, positive)
    return replace(mask, logits=logits, stability=stability_of(logits))


def click_logits(logits: Float32Array, points: FloatArray, positive: BoolArray) -> Float32Array:
    """Correct logits by clicks.

    Parameters
    ----------
    logits : float32 array (n, n)
        Above 0 inside the object.
    points : float64 array (K, 2)
        Clicks (x, y) in cells of the logits, from their top-left corner; in order. Of several in a cell the last counts.
    positive : bool array (K,)
        True where the object is.

    Returns
    -------
    float32 array (n, n)
        At least `_MARGIN` at each positive click, at most its negative at each negative one, and unchanged far from all of them.
    """
    side = logits.shape[0]
    cells = np.clip(np.floor(points).astype(np.int64), 0, side - 1)
    _, last = np.unique(cells[::-1], axis=0, return_index=True)
    order = np.sort(len(cells) - 1 - last)
    sign = np.where(positive, 1.0, -1.0)[order]
    out = logits.copy()
    for k in range(1, len(order) + 1):
        _hold(out, cells[order[:k]], sign[:k])
    return out


def _hold(logits: Float32Array, cells: np.ndarray, sign: FloatArray) -> None:
    """Correct logits in place for the last click, so that the earlier ones hold as well."""
    x, y = cells[-1]
    if sign[-1] * logits[y, x] >= _MARGIN:
        return
    reach = _reach(logits, cells, sign)
    apart = np.linalg.norm(cells[:, None] - cells[None], axis=2) / reach
    kernel = np.exp(-(apart**2) / 2)
    there = logits[cells[:, 1], cells[:, 0]].astype(np.float64)
    lacks = sign * np.maximum(_MARGIN - sign * there, 0)
    active = np.zeros(len(cells), dtype=bool)
    active[-1] = True
    weights = np.zeros(len(cells))
    for _ in range(len(cells)):
        weights[:] = 0
        # A nugget, for clicks in neighbouring cells.
        weights[active] = np.linalg.solve(kernel[np.ix_(active, active)] + 1e-6 * np.eye(active.sum()), lacks[active])
        undone = (sign * (there + kernel @ weights) < _MARGIN - 1e-3) & ~active
        if not undone.any():
            break
        active |= undone
    for cell, weight in zip(cells[active], weights[active], strict=True):
        _add_bump(logits, cell, weight, reach)


def _reach(logits: Float32Array, cells: np.ndarray, sign: FloatArray) -> float:
    """Standard deviation of the correction for the last click, in cells."""
    side = logits.shape[0]
    x, y = cells[-1]
    rows, cols = np.nonzero((logits > 0) != (logits[y, x] > 0))
    to_outline = float(np.sqrt(((rows - y) ** 2 + (cols - x) ** 2).min())) if len(rows) else np.inf
    reach = float(np.clip(_REACH * to_outline, _LEAST_REACH * side, _MOST_REACH * side))
    others = cells[sign != sign[-1]]
    if len(others):
        reach = min(reach, _APART * float(np.linalg.norm(others - cells[-1], axis=1).min()))
    return reach


def _add_bump(logits: Float32Array, cell: np.ndarray, weight: float, reach: float) -> None:
    side = logits.shape[0]
    far = int(np.ceil(_CUT_OFF * reach))
    spans = [np.arange(max(c - far, 0), min(c + far + 1, side)) for c in cell]
    across, down = (np.exp(-(((span - c) / reach) ** 2) / 2) for span, c in zip(spans, cell, strict=True))
    logits[spans[1][0] : spans[1][-1] + 1, spans[0][0] : spans[0][-1] + 1] += weight * np.outer(down, across)
