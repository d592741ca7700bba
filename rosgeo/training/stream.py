"""The samples of a run as batches of tensors. Sample n depends on the seed and n alone, whoever makes it and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rosgeo.errors import RosgeoError
from rosgeo.labelled.data import LabelledObject, class_weights
from rosgeo.training.samples import Augmentation, Sample, make_sample

__all__ = ["Batch", "LiveSamples", "ObjectDraw", "live_batches"]

Made = tuple[Tensor, Tensor, Tensor]

_LIVE = 3
"""Keeps the generators of live samples apart from those of the cached stage, whose seeds are [seed, file]."""


@dataclass(frozen=True)
class Batch:
    """B crops with N objects.

    Attributes
    ----------
    image : uint8 Tensor (B, 3, S, S)
    boxes_model : float32 Tensor (N, 4)
    target : float32 Tensor (N, G, G)
        Area coverage, 0 to 1.
    crop_of : int64 Tensor (N,) or None
        The crop of each object; None where each crop has one.
    last : float Tensor (B, C, s, s) or None
        The backbone's last tokens, where they were kept.
    early : float Tensor (B, E, s, s) or None
        Its early feature.
    """

    image: Tensor
    boxes_model: Tensor
    target: Tensor
    crop_of: Tensor | None = None
    last: Tensor | None = None
    early: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)


class ObjectDraw:
    """Draws objects by class and makes samples of them.

    Parameters
    ----------
    objects : sequence of LabelledObject
    class_factors : dict
        See `class_weights`.
    """

    def __init__(self, objects: Sequence[LabelledObject], class_factors: dict[str, float]) -> None:
        self._objects = objects
        self._cumulated = np.cumsum(class_weights(objects, class_factors))
        self._pictures: dict[Path, list[LabelledObject]] = {}
        self._place: list[int] = []
        for o in objects:
            group = self._pictures.setdefault(o.image_path, [])
            self._place.append(len(group))
            group.append(o)

    def sample(
        self, rng: np.random.Generator, *, augmentation: Augmentation, input_size: int, mask_size: int, max_objects: int
    ) -> Sample:
        """One sample; see `make_sample`."""
        choice = min(int(np.searchsorted(self._cumulated, rng.random(), side="right")), len(self._objects) - 1)
        return make_sample(
            self._pictures[self._objects[choice].image_path],
            self._place[choice],
            augmentation=augmentation,
            rng=rng,
            input_size=input_size,
            mask_size=mask_size,
            max_objects=max_objects,
        )


class LiveSamples(Dataset["Made | RosgeoError"]):
    """Endless samples, made when they are asked for.

    Parameters
    ----------
    draw : ObjectDraw
        Where objects come from.
    augmentation : Augmentation
        What is varied.
    input_size, mask_size : int
        Side of the model's input and of its mask grid.
    seed : int
        Of all samples.
    max_objects : int
        At most so many objects of a crop are labelled.
    """

    def __init__(
        self, draw: ObjectDraw, augmentation: Augmentation, input_size: int, mask_size: int, seed: int, max_objects: int = 1
    ) -> None:
        self._draw = draw
        self._options: dict[str, Any] = {"augmentation": augmentation, "input_size": input_size, "mask_size": mask_size}
        self._seed = seed
        self._max_objects = max_objects

    def __getitem__(self, number: int) -> Made | RosgeoError:
        """Image uint8 (3, S, S), boxes float32 (K, 4), targets float32 (K, G, G) of sample `number`; or why there is none.

        An error is handed on and not raised: from a worker's process it would come with that process's traceback around it.
        """
        rng = np.random.default_rng([self._seed, _LIVE, number])
        try:
            sample = self._draw.sample(rng, max_objects=self._max_objects, **self._options)
        except RosgeoError as error:
            # Without its cause, which not every process can read.
            return type(error)(str(error))
        return torch.from_numpy(sample.image), torch.from_numpy(sample.boxes_model), torch.from_numpy(sample.targets)


def live_batches(samples: LiveSamples, numbers: Sequence[int], batch_size: int, workers: int) -> Iterator[Batch]:
    """Batches of the samples of some numbers, in their order, made in `workers` processes ahead of their use."""
    loader = DataLoader(
        samples,
        batch_size=batch_size,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        drop_last=True,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
    for made in loader:
        if isinstance(made, RosgeoError):
            raise made
        image, boxes, target, crop_of = made
        yield Batch(image, boxes, target, crop_of)


def _collate(samples: list[Made | RosgeoError]) -> tuple[Tensor, Tensor, Tensor, Tensor] | RosgeoError:
    """Images stacked, objects of all of them one after the other, and the image of each; the first error where there is one."""
    error = next((sample for sample in samples if isinstance(sample, RosgeoError)), None)
    if error is not None:
        return error
    images, boxes, targets = zip(*(sample for sample in samples if not isinstance(sample, RosgeoError)), strict=True)
    crop_of = torch.repeat_interleave(torch.tensor([len(b) for b in boxes]))
    return torch.stack(images), torch.cat(boxes), torch.cat(targets), crop_of
