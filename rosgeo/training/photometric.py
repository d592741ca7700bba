"""Augmentation of a picture's values, in 8-bit RGB."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.types import UInt8Array

__all__ = ["blur_picture", "jitter_colours", "noise_picture"]


def jitter_colours(image: UInt8Array, strength: float, grey: float, rng: np.random.Generator) -> UInt8Array:
    """Brightness, contrast, gamma and colour of a picture (3, h, w) at random; with probability `grey` made grey before."""
    pixels = image.astype(np.float32) / 255
    if rng.random() < grey:
        pixels[:] = pixels.mean(axis=0)
    pixels = pixels ** float(np.exp(rng.uniform(-0.35, 0.35) * strength))
    contrast = float(np.exp(rng.uniform(-0.3, 0.3) * strength))
    colour = rng.uniform(-0.06, 0.06, (3, 1, 1)).astype(np.float32) * strength
    mean = pixels.mean()
    pixels = (pixels - mean) * contrast + mean + float(rng.uniform(-0.12, 0.12) * strength) + colour
    return _to_uint8(pixels * 255)


def blur_picture(image: UInt8Array, sigma_px: float) -> UInt8Array:
    """Gaussian blur of a picture (3, h, w), reflected at its edges."""
    radius = min(math.ceil(3 * sigma_px), min(image.shape[1:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    pixels = F.pad(torch.from_numpy(np.ascontiguousarray(image))[None].float(), (radius,) * 4, mode="reflect")
    blurred = F.conv2d(F.conv2d(pixels, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    return _to_uint8(blurred[0].numpy())


def noise_picture(image: UInt8Array, sigma_levels: float, rng: np.random.Generator) -> UInt8Array:
    """Gaussian noise on a picture (3, h, w), each value by itself."""
    return _to_uint8(image + sigma_levels * rng.standard_normal(image.shape, dtype=np.float32))


def _to_uint8(levels: np.ndarray) -> UInt8Array:
    out: UInt8Array = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    return out
