"""Crops in, masks out."""

from __future__ import annotations

import copy
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rosgeo.errors import DeviceError, OutOfMemoryWarning
from rosgeo.inference.crops import Resampling, batch_crops
from rosgeo.inference.device import choose_device, choose_precision
from rosgeo.inference.forks import survive_forks
from rosgeo.model.checkpoint import LoadedModel
from rosgeo.model.network import RosSam
from rosgeo.types import BoolArray, Crop, Float32Array, ObjectMask, PromptBatch

__all__ = ["Segmenter", "logits_on_crop", "object_mask", "stability_of"]

_MOST_STREAMS = 4
_STREAMS_UP_TO_PX = 518
"""Larger inputs have layers that keep the cores busy, and features of gigabytes that need not be there twice."""


class Segmenter:
    """A model on a device.

    Parameters
    ----------
    model : LoadedModel
        See `load_model`. Moved to the device; in bfloat16 a copy of it is, whose products are in bfloat16.
    device : str
        See `choose_device`.
    precision : {"auto", "float32", "bf16"}
        See `choose_precision`.
    batch_size : int, optional
        Crops a pass. Default: 1 on a CPU, where more gain nothing and the same box gives the same bits whatever is segmented with it;
        16 on a GPU. Halved when the device's memory does not hold a batch.
    resample : {"bicubic", "bilinear"}
        How crops are brought to the model's input.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        resample: Resampling = "bicubic",
    ) -> None:
        survive_forks()
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        self.batch_size = batch_size or (1 if self.device.type == "cpu" else 16)
        self.resample = resample
        if self.dtype == torch.bfloat16:
            model = replace(model, network=_with_bf16_products(model.network))
        self.model = model
        self._network = model.network.to(self.device)

    @property
    def input_size(self) -> int:
        """Side of the model's input in pixels."""
        return self.model.network.config.input_size

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        """Masks of crops, in their order, batch by batch; see `batch_crops` for crops that share an image."""
        for chunk in _chunks(crops, lambda: self.batch_size):
            yield from self._predict_halving(chunk)

    @property
    def streams(self) -> int:
        """Passes that `segment_side_by_side` runs at a time: on a CPU up to four of a thread or more each, with inputs of up to 518 px."""
        if self.device.type != "cpu" or self.input_size > _STREAMS_UP_TO_PX:
            return 1
        return min(torch.get_num_threads(), _MOST_STREAMS)

    def segment_side_by_side(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        """`segment` of many crops, several passes at a time.

        The threads of a single pass wait for each other after every layer, and longer where readers and polygonisers need a core as well:
        one pass a core does a seventh more with the embedded model on two cores (`tests/benchmarks/video.py speed`). Each pass has its
        share of the threads, also where it is alone, so that a box gets the same bits whatever is segmented with it.
        """
        streams = self.streams
        if streams == 1:
            yield from self.segment(crops)
            return
        threads = torch.get_num_threads()
        pending: deque[Future[list[ObjectMask]]] = deque()
        pool = ThreadPoolExecutor(streams, "rosgeo-model", torch.set_num_threads, (threads // streams,))
        try:
            for chunk in _chunks(crops, lambda: self.batch_size):
                pending.append(pool.submit(self._predict_halving, chunk))
                while pending and (len(pending) > streams or pending[0].done()):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            # What a thread of the pool was told holds for threads that are started later, too.
            torch.set_num_threads(threads)

    def _predict_halving(self, crops: list[Crop]) -> list[ObjectMask]:
        """Predict, in smaller batches where the device's memory does not hold this one."""
        try:
            return self.predict(batch_crops(crops, self.input_size, self.resample))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            images = len(batch_crops(crops, 8).image)
            if images == 1:
                raise DeviceError(
                    f"{self.device} has too little memory for a single crop with {self.model.name} at {self.input_size} px. "
                    "Use a smaller model, a smaller --input-size, or --device cpu."
                ) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_size = max(images // 2, 1)
        warnings.warn(
            f"{self.device} has too little memory for {images} crops at once; going on with {self.batch_size}. "
            f"Pass --batch-size {self.batch_size} to start so.",
            OutOfMemoryWarning,
            stacklevel=2,
        )
        return [mask for chunk in _chunks(crops, lambda: self.batch_size) for mask in self._predict_halving(chunk)]

    @torch.inference_mode()
    def predict(self, batch: PromptBatch) -> list[ObjectMask]:
        """Masks of one batch; an empty list for an empty batch. Logits of a model that fails are not finite, as its score."""
        if not batch.crops:
            return []
        image = torch.from_numpy(batch.image).to(self.device).contiguous(memory_format=torch.channels_last)
        boxes = torch.from_numpy(batch.boxes_model).to(self.device)
        masks = self._mask_prompts(batch.crops)
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if self.dtype == torch.bfloat16 else nullcontext():
            last, early, seen = self._network.encode(image)
            if len(image) == len(boxes):
                outputs = [self._network.decode(last, early, seen, boxes, masks=masks)]
            else:
                rows = [torch.from_numpy(batch.image_of == i) for i in range(len(image))]
                parts = zip(torch.split(last, 1), torch.split(early, 1), torch.split(seen, 1), rows, strict=True)
                outputs = [
                    self._network.decode(a, b, c, boxes[own], masks=None if masks is None else masks[own]) for a, b, c, own in parts
                ]
            logits = torch.cat([self._network.served_logits(output) for output in outputs]).float().cpu()
        scores = torch.cat([output.iou for output in outputs]).float().clamp(0, 1).cpu()
        return [object_mask(crop, logits[i], float(scores[i])) for i, crop in enumerate(batch.crops)]

    def _mask_prompts(self, crops: tuple[Crop, ...]) -> Tensor | None:
        """The crops' mask prompts (B, 1, M, M), NaN where one has none; None where none has one."""
        if all(crop.mask_logits is None for crop in crops):
            return None
        side = self._network.mask_prompt_size
        prompts = torch.full((len(crops), 1, side, side), math.nan)
        for i, crop in enumerate(crops):
            if crop.mask_logits is not None:
                logits = torch.from_numpy(crop.mask_logits)[None, None]
                prompts[i] = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False, antialias=True)[0]
        return prompts.to(self.device)


def _with_bf16_products(network: RosSam) -> RosSam:
    """A copy whose linear and convolution weights are bfloat16 already; it shares all else with `network`.

    Autocast would make the same copies anew in each pass, a sixth of its time on a CPU. The prompt encoder stays as it is,
    since it runs in float32.
    """
    memo: dict[int, Any] = {id(value): value for value in (*network.parameters(), *network.buffers())}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and not name.startswith("prompt_encoder."):
            for parameter in module.parameters(recurse=False):
                memo[id(parameter)] = nn.Parameter(parameter.detach().to(torch.bfloat16), requires_grad=False)
    return copy.deepcopy(network, memo)


def _chunks(crops: Iterable[Crop], images: Callable[[], int]) -> Iterator[list[Crop]]:
    """Runs of crops with as many images each as `images` says when the run begins."""
    chunk: list[Crop] = []
    held = 0
    for crop in crops:
        is_new = not chunk or crop.image is not chunk[-1].image
        if is_new and chunk and held >= images():
            yield chunk
            chunk, held = [], 0
        held += is_new
        chunk.append(crop)
    if chunk:
        yield chunk


def _is_out_of_memory(error: BaseException) -> bool:
    # The CPU's allocator and Metal raise a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)


def object_mask(crop: Crop, logits: Tensor, score: float) -> ObjectMask:
    """What the model's logits (1, G, G) and score say of a crop; a score of NaN where the logits are not finite."""
    on_crop = logits_on_crop(logits[0], crop.valid)
    finite = bool(np.isfinite(on_crop).all())
    return ObjectMask(crop.id, crop.window, on_crop, score if finite else math.nan, stability_of(on_crop) if finite else math.nan)


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
