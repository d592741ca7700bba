"""Frames in order, each object's mask in one frame a prompt in the next."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.errors import OptionError
from rosgeo.inference.predict import Segmenter
from rosgeo.run.tiles import Runner
from rosgeo.types import Crop, CropWindow, Float32Array, FloatArray, ObjectMask, Tile
from rosgeo.vector.result import ObjectResult

__all__ = ["carry_mask", "require_mask_prompts", "run_in_order"]

_Kept = tuple[int, ObjectMask, FloatArray]
"""Number of the frame, mask and box."""

PROMPT_SIDE = 256
"""Side of a carried mask: that of SAM's low-resolution masks."""

_OUTSIDE_LOGIT = -10.0
_LIMIT = 20.0
"""Logits are clipped to this, as far as SAM's own go."""
_FORGET_AFTER = 10
"""Frames after which a mask is no prompt any more."""


def require_mask_prompts(segmenter: Segmenter) -> None:
    """Raise OptionError where the model takes no mask as a prompt."""
    network = segmenter.model.network
    if not network.takes_masks:
        raise OptionError(
            f"--propagate needs a model that takes a mask as a prompt (SAM, HQ-SAM, ROS-SAM); {segmenter.model.name} takes the box in "
            "that place. Leave --propagate out, or name another --model."
        )


def run_in_order(
    tiles: Sequence[tuple[int, Tile]], runner: Runner, tracks: Sequence[object]
) -> Generator[tuple[int, ObjectResult]]:
    """Run frames one after the other.

    Parameters
    ----------
    tiles : sequence of (int, Tile)
        A frame each, in order, with its number.
    runner : Runner
    tracks : sequence
        The track of each row.

    Yields
    ------
    (int, ObjectResult)
        As of `run_local`. Memory holds the masks of the tracks of the last frames.
    """
    last: dict[object, _Kept] = {}
    for number, tile in tiles:
        boxes = dict(zip(tile.boxes.ids.tolist(), tile.boxes.xyxy, strict=True))
        skipped: list[ObjectResult] = []

        found: dict[object, _Kept] = {}
        last = {track: kept for track, kept in last.items() if number - kept[0] <= _FORGET_AFTER}
        known = {row: last[tracks[row]] for row in boxes if tracks[row] in last}
        prompted = _prompted(runner.crops(tile), known, boxes, skipped)
        for mask in runner.segmenter.segment(prompted):
            if np.isfinite(mask.logits).all() and (mask.logits > 0).any():
                found[tracks[mask.id]] = (number, mask, boxes[mask.id])
            yield number, runner.result(mask, boxes[mask.id])
        for result in skipped:
            yield number, result
        last |= found


def _prompted(
    items: Iterator[Crop | ObjectResult], last: dict[int, _Kept], boxes: dict[int, FloatArray], skipped: list[ObjectResult]
) -> Iterator[Crop]:
    """Crops with the mask of their track as a prompt, where there is one; what has no crop goes to `skipped`."""
    for item in items:
        if isinstance(item, ObjectResult):
            skipped.append(item)
        elif item.id in last:
            _, mask, box_px = last[item.id]
            yield replace(item, mask_logits=carry_mask(mask, box_px, boxes[item.id], item.window))
        else:
            yield item


def carry_mask(
    mask: ObjectMask, box_px: FloatArray, next_box_px: FloatArray, window: CropWindow, *, side: int = PROMPT_SIDE
) -> Float32Array:
    """A mask of one frame on the crop of the next, moved and scaled as its box was.

    Parameters
    ----------
    mask : ObjectMask
        In its own frame.
    box_px, next_box_px : float64 arrays (4,)
        The object's boxes in both frames, in pixels.
    window : CropWindow
        The crop in the next frame.
    side : int
        Cells a side of the result.

    Returns
    -------
    float32 array (side, side)
        Logits at the centres of equal cells over `window`; -10 where the mask's crop does not reach.
    """
    centres = (np.arange(side) + 0.5) * window.size / side
    x_px, y_px = window.col_off + centres, window.row_off + centres
    scale = (box_px[2:] - box_px[:2]) / (next_box_px[2:] - next_box_px[:2])
    # grid_sample: -1 and 1 are the edges of the mask's crop.
    x = 2 * (box_px[0] + (x_px - next_box_px[0]) * scale[0] - mask.window.col_off) / mask.window.size - 1
    y = 2 * (box_px[1] + (y_px - next_box_px[1]) * scale[1] - mask.window.row_off) / mask.window.size - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1)).float()[None]
    logits = torch.from_numpy(mask.logits)[None, None].clamp(-_LIMIT, _LIMIT)
    # Shifted, since what lies outside is sampled as 0.
    carried: Float32Array = (
        F.grid_sample(logits - _OUTSIDE_LOGIT, grid, mode="bilinear", align_corners=False)[0, 0] + _OUTSIDE_LOGIT
    ).numpy()
    return carried
