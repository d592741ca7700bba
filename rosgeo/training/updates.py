"""One update: which token teaches which parameters, at which rate, with which loss."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rosgeo.model.hq_decoder import DecoderOutput
from rosgeo.model.network import RosSam
from rosgeo.training.config import Optimisation
from rosgeo.training.losses import LossConfig, mask_iou, mask_loss, shrink_target
from rosgeo.training.stream import Batch

__all__ = ["TrainingPass", "Turn", "loss_and_figures", "make_optimizer", "rate_at", "silent_parameters", "turn_of"]

Turn = Literal["both", "sam", "hq"]

_HQ_TOKEN = ("mask_decoder.hf_token.",)
_SAM_DECODER = (
    "prompt_encoder.",
    "mask_decoder.transformer.",
    "mask_decoder.iou_token.",
    "mask_decoder.mask_tokens.",
    "mask_decoder.output_upscaling.",
    "mask_decoder.output_hypernetworks_mlps.",
)


class TrainingPass(nn.Module):
    """The network as training calls it: from pictures, or from features that were kept.

    Parameters
    ----------
    network : RosSam
    """

    def __init__(self, network: RosSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch, refine: bool) -> DecoderOutput:
        """Decode a batch; without `refine` the detail branch is left out."""
        normalised = _channels_last(self.network.image_encoder.normalise(batch.image))
        if batch.last is None or batch.early is None:
            last, early = self.network.image_encoder.backbone(normalised)
        else:
            last, early = batch.last, batch.early
        crops = (_channels_last(last), _channels_last(early), normalised)
        if batch.crop_of is not None:
            # The encoder sees a crop once, whatever the number of its objects.
            crops = (crops[0][batch.crop_of], crops[1][batch.crop_of], crops[2][batch.crop_of])
        return self.network.decode(*crops, batch.boxes_model, refine=refine)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def turn_of(stage: Optimisation, step: int) -> Turn:
    """Whose turn update `step` is."""
    if stage.update == "alternate":
        return "sam" if step % 2 == 0 else "hq"
    return stage.update


def silent_parameters(network: RosSam, turn: Turn) -> list[nn.Parameter]:
    """What does not learn in a turn though the loss reaches it: the other token's decoder, since both tokens see each other."""
    names = {"both": (), "sam": _HQ_TOKEN, "hq": _SAM_DECODER}[turn]
    return [p for name, p in network.named_parameters() if name.startswith(names)]


def loss_and_figures(
    output: DecoderOutput, batch: Batch, turn: Turn, stage: Optimisation, loss: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a turn, and figures of both tokens: loss (without the score's), iou_hq, iou_sam, iou_error."""
    hq_logits, sam_logits, predicted = output.hq_logits.float(), output.sam_logits.float(), output.iou.float()
    target_hq = shrink_target(batch.target, hq_logits.shape[-1])
    target_sam = shrink_target(batch.target, sam_logits.shape[-1])
    iou = mask_iou(hq_logits.detach(), target_hq)
    iou_sam = mask_iou(sam_logits.detach(), target_sam)
    masks = torch.zeros((), device=hq_logits.device)
    if turn != "sam":
        masks = masks + mask_loss(hq_logits, target_hq, loss)
    if turn != "hq":
        masks = masks + mask_loss(sam_logits, target_sam, loss)
    served = iou_sam if stage.update == "sam" else iou
    # The score is taught in the turns of the mask that is served.
    is_taught = turn != "sam" or stage.update == "sam"
    total = masks + stage.iou_weight * (predicted - served).square().mean() if is_taught else masks
    figures = {"loss": masks, "iou_hq": iou.mean(), "iou_sam": iou_sam.mean(), "iou_error": (predicted - served).abs().mean()}
    return total, {name: value.detach() for name, value in figures.items()}


def make_optimizer(groups: list[dict[str, Any]], stage: Optimisation) -> torch.optim.Optimizer:
    """Adam or AdamW over parameter groups."""
    if stage.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups, weight_decay=stage.weight_decay)


def rate_at(stage: Optimisation, step: int, steps: int) -> float:
    """Learning rate of update `step` over its peak.

    ``cosine``: linear warm-up over `warmup` of the updates, then half a cosine down to 1 %. ``step``: a tenth after each
    `step_samples` objects.
    """
    if stage.schedule == "step":
        return float(0.1 ** (step * stage.samples // (steps * stage.step_samples)))
    warm = max(int(steps * stage.warmup), 1)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(steps - warm, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
