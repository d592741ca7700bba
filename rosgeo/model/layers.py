"""Layers shared by the networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LayerNorm2d", "SeparateQKV", "attend", "by_products", "fused_state_dict", "logits_at_once"]

_PARTS = ("query", "key", "value")


# Of attention logits in bfloat16 on a CPU: 1 MB a thread stays in the cache between the products.
_LOGITS_PER_THREAD = 1 << 19


def logits_at_once() -> int:
    """Attention logits that `by_products` works on at a time."""
    return _LOGITS_PER_THREAD * torch.get_num_threads()


def by_products(q: Tensor) -> bool:
    """Whether attention of queries like `q` is faster as bare products than fused.

    In bfloat16 on a CPU: torch's fused kernel multiplies no faster there than in float32, its bare products do (a global block of ViT-B
    at 1024 px on two cores: 0.25 s against 0.46 s; DINOv2 ViT-S at 336 px: 27 ms against 46 ms).
    """
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and not torch.is_grad_enabled()


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of queries, keys and values (B, heads, n, d)."""
    if not by_products(q):
        return F.scaled_dot_product_attention(q, k, v)
    shape, n = q.shape, q.shape[2]
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    out = torch.empty_like(v)
    step = max(logits_at_once() // n**2, 1)
    for i in range(0, len(q), step):
        logits = torch.bmm(q[i : i + step] * shape[3] ** -0.5, k[i : i + step].transpose(1, 2))
        torch.bmm(logits.softmax(-1), v[i : i + step], out=out[i : i + step])
    return out.view(shape)


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W), the same function as segment-anything's, with the same parameter names.

    One fused kernel instead of seven element-wise passes; on tensors in ``channels_last`` it copies nothing.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__(num_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        normalised = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return normalised.permute(0, 3, 1, 2)


class SeparateQKV(nn.Module):
    """Base of attention with ``query``, ``key`` and ``value`` apart, so that LoRA can target query and value alone.

    State dicts with the published, fused ``qkv`` load unchanged; `fused_state_dict` gives one back.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for kind in ("weight", "bias"):
            fused = state_dict.pop(f"{prefix}qkv.{kind}", None)
            if fused is not None:
                for name, part in zip(_PARTS, fused.chunk(3), strict=True):
                    state_dict[f"{prefix}{name}.{kind}"] = part
        super()._load_from_state_dict(state_dict, prefix, *args)


def fused_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """A module's state dict with the query, key and value of each `SeparateQKV` in it joined to ``qkv``, bit for bit.

    Projections that LoRA has wrapped stay as they are: merge them first.
    """
    state: dict[str, Tensor] = module.state_dict()
    owners = {name for name, child in module.named_modules(remove_duplicate=False) if isinstance(child, SeparateQKV)}
    fused: dict[str, Tensor] = {}
    for name, value in state.items():
        projection, _, kind = name.rpartition(".")
        owner, _, part = projection.rpartition(".")
        prefix = projection.removesuffix(part)
        names = [f"{prefix}{p}.{kind}" for p in _PARTS]
        if owner not in owners or part not in _PARTS or not all(n in state for n in names):
            fused[name] = value
        elif part == _PARTS[0]:
            fused[f"{prefix}qkv.{kind}"] = torch.cat([state[n] for n in names])
    return fused
