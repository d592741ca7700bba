"""Crops to model input. Training and inference both come through here, so that a model is served what it was taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.types import Crop, PromptBatch, UInt8Array

__all__ = ["PADDING_RGB", "Resampling", "batch_crops", "resample_image"]

PADDING_RGB = (124, 116, 104)
"""Colour of padding and nodata: the mean of ImageNet (SAM's and DINOv2's ``pixel_mean``), which is 0 after normalisation."""


Resampling = Literal["bicubic", "bilinear"]


def resample_image(image: UInt8Array, side: int, method: Resampling = "bicubic") -> UInt8Array:
    """Resample a square RGB crop to the model's input.

    Antialiased where it shrinks; bicubic has a = -0.75 where it grows, and is clipped to 0..255 before rounding. (The ROS-SAM reference
    casts the bicubic overshoot to uint8, where it wraps around.)

    Parameters
    ----------
    image : uint8 array (3, h, h)
        The crop.
    side : int
        Side of the result in pixels.
    method : {"bicubic", "bilinear"}

    Returns
    -------
    uint8 array (3, side, side)
    """
    height = image.shape[1]
    if image.ndim != 3 or image.shape[2] != height:
        raise ValueError(f"a crop must be square (C, h, h), got shape {image.shape}")
    if height == side:
        return image
    pixels = torch.from_numpy(np.ascontiguousarray(image))[None].float()
    out = F.interpolate(pixels, size=(side, side), mode=method, antialias=height > side, align_corners=False)
    resampled: UInt8Array = out[0].clamp_(0, 255).round_().to(torch.uint8).numpy()
    return resampled


def batch_crops(crops: Sequence[Crop], side: int, method: Resampling = "bicubic") -> PromptBatch:
    """Resample crops and scale their boxes to the model's input.

    Parameters
    ----------
    crops : sequence of Crop
        One object each; none gives an empty batch. Neighbours that hold the very same `image` array share an image of the batch.
    side : int
        Side S of the model's input in pixels.
    method : {"bicubic", "bilinear"}
        See `resample_image`.

    Returns
    -------
    PromptBatch
        Image (I, 3, S, S), boxes (B, 4) in the model frame.
    """
    new = [i == 0 or crop.image is not crops[i - 1].image for i, crop in enumerate(crops)]
    images = [resample_image(crop.image, side, method) for crop, is_new in zip(crops, new, strict=True) if is_new]
    image = np.stack(images) if images else np.empty((0, 3, side, side), dtype=np.uint8)
    boxes = [crop.window.crop_to_model(crop.box_crop, side) for crop in crops]
    boxes_model = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return PromptBatch(image, boxes_model, tuple(crops), np.cumsum(new, dtype=np.int64) - 1)
