"""One crop, encoded once, and prompts on it: what interactive work asks of the model."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rosgeo.inference.crops import batch_crops
from rosgeo.inference.predict import Segmenter, object_mask
from rosgeo.types import BoolArray, Crop, FloatArray, ObjectMask

__all__ = ["EncodedCrop", "encode_crop", "prompt_crop", "takes_points"]


@dataclass(frozen=True)
class EncodedCrop:
    """A crop and what the encoder made of it.

    Attributes
    ----------
    crop : Crop
    features : (Tensor, Tensor, Tensor)
        See `RosSam.encode`; on the model's device.
    """

    crop: Crop
    features: tuple[Tensor, Tensor, Tensor]


def takes_points(segmenter: Segmenter) -> bool:
    """True for a model that was taught points as prompts: SAM, and what comes from it."""
    return segmenter.model.network.config.point_prompts


@torch.inference_mode()
def encode_crop(segmenter: Segmenter, crop: Crop) -> EncodedCrop:
    """Encode a crop; most of the time that an object takes."""
    batch = batch_crops([crop], segmenter.input_size, segmenter.resample)
    image = torch.from_numpy(batch.image).to(segmenter.device).contiguous(memory_format=torch.channels_last)
    with _precision(segmenter):
        return EncodedCrop(crop, segmenter.model.network.encode(image))


@torch.inference_mode()
def prompt_crop(
    segmenter: Segmenter,
    encoded: EncodedCrop,
    box_px: FloatArray,
    points_px: FloatArray | None = None,
    positive: BoolArray | None = None,
) -> ObjectMask:
    """The mask of a box, and of points, on an encoded crop.

    Parameters
    ----------
    segmenter : Segmenter
        The one that the crop was encoded with.
    encoded : EncodedCrop
    box_px : float64 array (4,)
        In the pixel frame.
    points_px : float64 array (K, 2), optional
        Points in the pixel frame, for a model that takes them (`takes_points`); None: the mask is that of `Segmenter.segment`.
    positive : bool array (K,), optional
        True where the object is.
    """
    window = encoded.crop.window
    crop = replace(encoded.crop, box_crop=np.clip(window.px_to_crop(box_px), 0, window.size))
    network, side = segmenter.model.network, segmenter.input_size
    boxes = torch.from_numpy(window.crop_to_model(crop.box_crop, side)[None].astype(np.float32)).to(segmenter.device)
    points = None
    if points_px is not None and positive is not None:
        at = window.crop_to_model(window.px_to_crop(points_px), side).astype(np.float32)
        labels = torch.from_numpy(positive[None].astype(np.int64))
        points = torch.from_numpy(at[None]).to(segmenter.device), labels.to(segmenter.device)
    with _precision(segmenter):
        output = network.decode(*encoded.features, boxes, points=points)
        logits = network.served_logits(output).float().cpu()
    score = float(output.iou.float().clamp(0, 1).cpu()[0])
    return object_mask(crop, logits[0], score)


def _precision(segmenter: Segmenter) -> torch.autocast | nullcontext[None]:
    return torch.autocast(segmenter.device.type, dtype=torch.bfloat16) if segmenter.dtype == torch.bfloat16 else nullcontext()
