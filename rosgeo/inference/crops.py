"""Crops to model input. Training and inference both come through here, so that a model is served what it was taught."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.types import Crop, FloatArray, PromptBatch, UInt8Array

__all__ = ["PADDING_RGB", "batch_crops", "resample_image"]

PADDING_RGB = (124, 116, 104)
"""Colour of padding and nodata: the mean of ImageNet (SAM's and DINOv2's ``pixel_mean``), which is 0 after normalisation."""


def resample_image(image: UInt8Array, side: int) -> UInt8Array:
    """Resample a square RGB crop to the model's input.

    Antialiased bicubic where it shrinks, bicubic (a = -0.75) where it grows, clipped to 0..255 before rounding. The ROS-SAM reference
    casts the bicubic overshoot to uint8, where it wraps around; this does not.

    Parameters
    ----------
    image : uint8 array (3, h, h)
        The crop.
    side : int
        Side of the result in pixels.

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
    out = F.interpolate(pixels, size=(side, side), mode="bicubic", antialias=height > side, align_corners=False)
    resampled: UInt8Array = out[0].clamp_(0, 255).round_().to(torch.uint8).numpy()
    return resampled


def batch_crops(crops: Sequence[Crop], side: int) -> PromptBatch:
    """Resample crops and scale their boxes to the model's input.

    Parameters
    ----------
    crops : sequence of Crop
        One object each; none gives an empty batch.
    side : int
        Side S of the model's input in pixels.

    Returns
    -------
    PromptBatch
        image (B, 3, S, S), boxes (B, 4) in the model frame.
    """
    image = np.empty((len(crops), 3, side, side), dtype=np.uint8)
    boxes: FloatArray = np.empty((len(crops), 4), dtype=np.float64)
    for i, crop in enumerate(crops):
        image[i] = resample_image(crop.image, side)
        boxes[i] = crop.window.crop_to_model(crop.box_crop, side)
    return PromptBatch(image, boxes.astype(np.float32), tuple(crops))
