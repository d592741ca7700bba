"""Crops in, masks out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rosgeo.inference.crops import batch_crops
from rosgeo.inference.device import choose_device, choose_precision
from rosgeo.model.checkpoint import LoadedModel
from rosgeo.types import BoolArray, Crop, Float32Array, ObjectMask, PromptBatch

__all__ = ["Segmenter", "logits_on_crop", "stability_of"]


class Segmenter:
    """A model on a device.

    Parameters
    ----------
    model : LoadedModel
        See `load_model`. Moved to the device.
    device : str
        See `choose_device`.
    precision : {"auto", "float32", "bf16"}
        See `choose_precision`.
    batch_size : int, optional
        Crops a pass. Default: 1 on a CPU, where more gain nothing and the same box gives the same bits whatever is segmented with it;
        16 on a GPU.
    """

    def __init__(self, model: LoadedModel, *, device: str = "auto", precision: str = "auto", batch_size: int | None = None) -> None:
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        self.batch_size = batch_size or (1 if self.device.type == "cpu" else 16)
        self.model = model
        self._network = model.network.to(self.device)

    @property
    def input_size(self) -> int:
        """Side of the model's input in pixels."""
        return self.model.network.config.input_size

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        """Masks of crops, in their order, batch by batch."""
        stream = iter(crops)
        while chunk := list(islice(stream, self.batch_size)):
            yield from self.predict(batch_crops(chunk, self.input_size))

    @torch.inference_mode()
    def predict(self, batch: PromptBatch) -> list[ObjectMask]:
        """Masks of one batch; an empty list for an empty batch."""
        if not batch.crops:
            return []
        image = torch.from_numpy(batch.image).to(self.device).contiguous(memory_format=torch.channels_last)
        boxes = torch.from_numpy(batch.boxes_model).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if self.dtype == torch.bfloat16 else nullcontext():
            output = self._network(image, boxes)
        logits, scores = output.hq_logits.float().cpu(), output.iou.float().clamp(0, 1).cpu()
        return [_object_mask(crop, logits[i], float(scores[i])) for i, crop in enumerate(batch.crops)]


def _object_mask(crop: Crop, logits: Tensor, score: float) -> ObjectMask:
    on_crop = logits_on_crop(logits[0], crop.valid)
    return ObjectMask(crop.id, crop.window, on_crop, score, stability_of(on_crop))


def logits_on_crop(logits: Tensor, valid: BoolArray) -> Float32Array:
    """Resample mask logits to the crop, or to a whole multiple of it where the mask grid is finer.

    Parameters
    ----------
    logits : float32 Tensor (G, G)
        On the model's mask grid.
    valid : bool array (n, n)
        Of the crop's pixels.

    Returns
    -------
    float32 array (k n, k n)
        Bilinear (antialiased where it shrinks). k is the smallest whole number with k n >= G, so that no detail of the mask of a small
        object is lost and each pixel holds k x k cells. Below zero where `valid` is False.
    """
    side = valid.shape[0]
    factor = max(math.ceil(logits.shape[0] / side), 1)
    size = (side * factor, side * factor)
    resized = F.interpolate(logits[None, None], size=size, mode="bilinear", align_corners=False, antialias=size < logits.shape)
    out: Float32Array = resized[0, 0].numpy()
    if not valid.all():
        # As far below zero as the mask goes above it: the outline then passes at most at the edge of the valid pixels.
        floor = -max(float(out.max()), 1e-3)
        invalid = ~np.repeat(np.repeat(valid, factor, axis=0), factor, axis=1)
        out[invalid] = floor
    return out


def stability_of(logits: Float32Array) -> float:
    """IoU of the masks at logit > +1 and > -1, 0 to 1; 0 where the larger is empty."""
    outer = int((logits > -1).sum())
    return int((logits > 1).sum()) / outer if outer else 0.0
