"""Losses on mask logits and the IoU that the score is taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from rosgeo.errors import ConfigError

__all__ = ["IGNORED", "LossConfig", "mask_iou", "mask_loss", "plain_loss", "point_loss", "shrink_target"]


IGNORED = -1.0
"""Coverage of cells that count neither as object nor as ground."""


@dataclass(frozen=True)
class LossConfig:
    """Binary cross-entropy plus Dice, on every cell or on sampled points.

    Attributes
    ----------
    points : {"plain", "sampled"}
        ``plain``: all cells of the mask grid, equal weights. ``sampled``: HQ-SAM's points, most of them where the mask is uncertain.
    count : int
        Points a mask; 112 x 112.
    oversample : float
        So many times `count` candidates are drawn, of which the most uncertain are taken.
    uncertain_share : float
        Share of the points that are the most uncertain; the rest is drawn anew.
    foreground_weight : float
        Weight of the cross-entropy of object points; background has 1.
    """

    points: Literal["plain", "sampled"] = "plain"
    count: int = 12544
    oversample: float = 3.0
    uncertain_share: float = 0.75
    foreground_weight: float = 10.0

    def __post_init__(self) -> None:
        if self.count < 1 or self.oversample < 1 or not 0 <= self.uncertain_share <= 1:
            raise ConfigError("loss: expected count and oversample of at least 1, and an uncertain_share from 0 to 1")


def shrink_target(target: Tensor, size: int) -> Tensor:
    """Area-average coverage (B, G, G) to (B, 1, size, size); `IGNORED` where less than half of a cell counts."""
    counts = (target >= 0)[:, None].to(target.dtype)
    share = F.adaptive_avg_pool2d(counts, size)
    mean = F.adaptive_avg_pool2d(target[:, None] * counts, size) / share.clamp(min=1e-6)
    return torch.where(share >= 0.5, mean, torch.full_like(mean, IGNORED))


def mask_loss(logits: Tensor, target: Tensor, config: LossConfig | None = None) -> Tensor:
    """The loss of a configuration on logits (B, 1, h, w) and coverage (B, 1, h, w) or finer; plain by default."""
    if config is not None and config.points == "sampled":
        return point_loss(logits, target, config)
    return plain_loss(logits, target)


def plain_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy plus Dice on all cells, averaged over the batch.

    Parameters
    ----------
    logits : Tensor (B, 1, h, w)
    target : Tensor (B, 1, h, w)
        Area coverage, 0 to 1, or `IGNORED`.

    Returns
    -------
    Tensor ()
        Ignored cells have no part in it.

    Notes
    -----
    Dice is ``1 - (2 sum p t + 1) / (sum p + sum t + 1)``, as in HQ-SAM.
    """
    counts = (target >= 0).to(target.dtype)
    known = target.clamp(min=0)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, known, weight=counts, reduction="sum") / counts.sum().clamp(min=1)
    return cross_entropy + _dice(logits.flatten(1), known.flatten(1), counts.flatten(1))


def point_loss(logits: Tensor, target: Tensor, config: LossConfig) -> Tensor:
    """HQ-SAM's loss on sampled points: weighted binary cross-entropy plus Dice, averaged over the batch.

    Parameters
    ----------
    logits : Tensor (B, 1, h, w)
    target : Tensor (B, 1, H, W)
        Coverage, 0 to 1, or `IGNORED`, on a grid of its own.
    config : LossConfig
        Of the points.

    Returns
    -------
    Tensor ()
    """
    with torch.no_grad():
        points = uncertain_points(logits, config)
        ignored = sample_points((target < 0).to(target.dtype), points)
        counts = (ignored < 0.5).to(target.dtype)
        # Interpolated between the cells that count alone.
        labels = sample_points(target.clamp(min=0), points) / (1 - ignored).clamp(min=0.5)
    values = sample_points(logits, points)
    weight = (1 + (config.foreground_weight - 1) * labels) * counts
    losses = F.binary_cross_entropy_with_logits(values, labels, weight=weight, reduction="none")
    return (losses.sum(1) / counts.sum(1).clamp(min=1)).mean() + _dice(values, labels, counts)


def uncertain_points(logits: Tensor, config: LossConfig) -> Tensor:
    """Points (B, P, 2) in 0..1 of a mask: the most uncertain of many candidates (smallest abs(logit)), and some drawn anew."""
    batch, device = len(logits), logits.device
    candidates = torch.rand(batch, int(config.count * config.oversample), 2, device=device)
    certainty = sample_points(logits, candidates).abs()
    uncertain = int(config.uncertain_share * config.count)
    chosen = certainty.topk(uncertain, dim=1, largest=False).indices
    kept = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([kept, torch.rand(batch, config.count - uncertain, 2, device=device)], dim=1)


def sample_points(grid: Tensor, points: Tensor) -> Tensor:
    """Values (B, P) of a grid (B, 1, h, w) at points (B, P, 2), bilinear; 0..1 spans the grid edge to edge."""
    sampled = F.grid_sample(grid, 2 * points[:, :, None] - 1, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled[:, 0, :, 0]


def _dice(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Of logits and targets (B, P), where `counts` is 1 and not 0."""
    p, t = logits.sigmoid() * counts, target * counts
    return (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of the masks at logit > 0 and coverage > 0.5, (B,), without ignored cells; 1 where both are empty."""
    a, b = ((logits > 0) & (target >= 0)).flatten(1), (target > 0.5).flatten(1)
    union = (a | b).sum(1)
    iou: Tensor = ((a & b).sum(1) + (union == 0)) / union.clamp(min=1)
    return iou
