"""Losses on mask logits and the IoU that the score is taught."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["mask_iou", "mask_loss", "shrink_target"]


def shrink_target(target: Tensor, size: int) -> Tensor:
    """Area-average coverage (B, G, G) to (B, 1, size, size)."""
    return F.adaptive_avg_pool2d(target[:, None], size)


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy plus Dice, averaged over the batch.

    Parameters
    ----------
    logits : Tensor (B, 1, h, w)
    target : Tensor (B, 1, h, w)
        Area coverage, 0 to 1.

    Returns
    -------
    Tensor ()

    Notes
    -----
    Dice is ``1 - (2 sum p t + 1) / (sum p + sum t + 1)``, as in HQ-SAM.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target)
    p, t = logits.sigmoid().flatten(1), target.flatten(1)
    dice = 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)
    return cross_entropy + dice.mean()


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of the masks at logit > 0 and coverage > 0.5, (B,); 1 where both are empty."""
    a, b = (logits > 0).flatten(1), (target > 0.5).flatten(1)
    union = (a | b).sum(1)
    iou: Tensor = ((a & b).sum(1) + (union == 0)) / union.clamp(min=1)
    return iou
