"""Scores of a network while it is trained, as it would be served."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from rosgeo.evaluation.scoring import evaluate
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.predict import Segmenter
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject
from rosgeo.model.checkpoint import LoadedModel, save_model
from rosgeo.model.lora import merge_lora
from rosgeo.model.network import RosSam
from rosgeo.training.config import TrainConfig
from rosgeo.training.report import draw_sheet, overlay
from rosgeo.types import Crop, ObjectMask

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["TILE_PX", "Token", "Validation", "object_tile", "save_served", "served"]

Token = Literal["hq", "sam"]

TILE_PX = 224
"""Side of the picture of an object on a sheet."""


class Validation:
    """A fixed pick of validation objects.

    Parameters
    ----------
    config : TrainConfig
        How many, and how their crops are cut.
    objects : sequence of LabelledObject
        All of them.
    """

    def __init__(self, config: TrainConfig, objects: Sequence[LabelledObject]) -> None:
        self._config = config.validation
        count = min(self._config.objects, len(objects))
        # Evenly picked, so that every part of the data is seen whatever its order.
        self._objects = [objects[row] for row in np.linspace(0, len(objects) - 1, count).round().astype(int)]

    def run(self, network: RosSam, device: torch.device, folder: Path, step: int, token: Token) -> dict[str, float]:
        """Score a network and draw a sheet of overlays; `token` is the mask token that is scored.

        Returns
        -------
        dict
            object_iou, image_iou, score_error, objects, seconds (an object).
        """
        loaded = LoadedModel(served(network, token), network.config.name, folder, "", {})
        tiles: dict[int, Any] = {}
        shown = set(
            np.linspace(0, len(self._objects) - 1, min(self._config.overlays, len(self._objects))).round().astype(int).tolist()
        )

        def keep(row: int, crop: Crop, mask: ObjectMask) -> None:
            if row in shown:
                tiles[row] = object_tile(self._objects[row], crop, mask)

        policy = CropPolicy(mode=self._config.crop, factor=self._config.crop_factor)
        evaluation = evaluate(self._objects, Segmenter(loaded, device=str(device)), policy, on_mask=keep)
        order = sorted(tiles, key=lambda row: float(evaluation.iou[row]))
        captions = [f"{self._objects[row].category} {evaluation.iou[row]:.2f} (score {evaluation.score[row]:.2f})" for row in order]
        draw_sheet([(tiles[row], text) for row, text in zip(order, captions, strict=True)], folder / f"overlays-{step:06d}.png")
        summary = evaluation.summary()
        figures = {key: float(summary[key]) for key in ("object_iou", "image_iou", "score_error")}  # type: ignore[arg-type]
        return {**figures, "objects": len(self._objects), "seconds": round(evaluation.seconds_an_object, 3)}


def object_tile(labelled: LabelledObject, crop: Crop, mask: ObjectMask) -> Image:
    """The crop with label and mask, cells of the label as fine as the tile."""
    rings = [crop.window.px_to_crop(ring) * (TILE_PX / crop.window.size) for ring in labelled.rings]
    return overlay(crop.image, polygon_mask(rings, (TILE_PX, TILE_PX)), mask.logits > 0, TILE_PX)


def served(network: RosSam, token: Token) -> RosSam:
    """A copy with the adapter merged that serves the mask of `token`, in evaluation mode."""
    merged = copy.deepcopy(network)
    merge_lora(merged.image_encoder)
    merged.config = replace(network.config, mask_token=token)
    return merged.eval().requires_grad_(False)


def save_served(network: RosSam, path: Path, token: Token, card: dict[str, Any]) -> None:
    """Write the merged network as a float16 weights file."""
    save_model(served(network, token).cpu(), path, card=card)
