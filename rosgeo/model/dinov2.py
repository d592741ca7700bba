"""DINOv2 ViT (Oquab et al. 2023, Apache-2.0) as an image encoder: the backbone of rosgeo-small.

Parameter names are those of the official code, except that the fused ``qkv`` is kept as separate query, key and value projections, so
that LoRA can target query and value alone. State dicts with the fused name load unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rosgeo.model.encoder import IMAGENET_MEAN, IMAGENET_STD, EncoderOutput, ImageEncoder, make_neck
from rosgeo.model.layers import SeparateQKV, attend

__all__ = ["DinoV2Backbone", "DinoV2Encoder"]


class Attention(SeparateQKV):
    """Multi-head self-attention with separate query, key and value projections."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__(dim)
        self.num_heads = num_heads
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        b, n, c = x.shape
        q, k, v = (
            layer(x).view(b, n, self.num_heads, c // self.num_heads).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        out = attend(q, k, v)
        attended: Tensor = self.proj(out.transpose(1, 2).reshape(b, n, c))
        return attended


class LayerScale(nn.Module):
    """A learned factor a channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Scale tokens (B, N, C)."""
        return x * self.gamma


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Pre-norm transformer block with layer scale."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads)
        self.ls1 = LayerScale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class PatchEmbed(nn.Module):
    """Picture to tokens by one strided convolution."""

    def __init__(self, dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Picture (B, 3, S, S) to tokens (B, s * s, C)."""
        out: Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class DinoV2Backbone(nn.Module):
    """The vision transformer alone.

    Parameters
    ----------
    dim, depth, num_heads, patch_size : int
        384, 12, 6, 14 for ViT-S/14.
    position_grid : int
        Side of the stored grid of position embeddings (37 for the published weights, 518 px).
    early_blocks : tuple of int
        Blocks, from 0, whose outputs are joined to the early feature.
    """

    def __init__(
        self,
        *,
        dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        patch_size: int = 14,
        position_grid: int = 37,
        early_blocks: tuple[int, ...] = (2,),
    ) -> None:
        super().__init__()
        if not early_blocks or not all(0 <= i < depth for i in early_blocks):
            raise ValueError(f"early blocks must lie in 0..{depth - 1}, got {early_blocks}")
        self.early_blocks = early_blocks
        self.patch_embed = PatchEmbed(dim, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + position_grid**2, dim))
        self.blocks = nn.ModuleList(Block(dim, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self._resized: tuple[tuple[object, ...], Tensor] | None = None

    def positions(self, side: int) -> Tensor:
        """Position embeddings (1, 1 + side * side, C), interpolated bicubically from the stored grid."""
        grid = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if side == grid:
            return self.pos_embed
        if self.pos_embed.requires_grad:
            return self._resize_positions(grid, side)
        # Kept from pass to pass while the weights stay what and where they are.
        key = (side, self.pos_embed.data_ptr(), self.pos_embed._version, self.pos_embed.device, self.pos_embed.dtype)
        if self._resized is None or self._resized[0] != key:
            self._resized = (key, self._resize_positions(grid, side))
        return self._resized[1]

    def _resize_positions(self, grid: int, side: int) -> Tensor:
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        # On the CPU: not every device has this kernel.
        square = rest.transpose(1, 2).reshape(1, -1, grid, grid).float().cpu()
        resized = F.interpolate(square, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([first, resized.flatten(2).transpose(1, 2).to(first)], dim=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised picture (B, 3, S, S) to last tokens (B, C, s, s) and early feature (B, C * len(early_blocks), s, s)."""
        x = self.patch_embed(image)
        b, n, _c = x.shape
        side = round(n**0.5)
        x = torch.cat([self.cls_token.expand(b, -1, -1), x], dim=1) + self.positions(side)
        early = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.early_blocks:
                early.append(x[:, 1:])
        last = self.norm(x)[:, 1:]

        def as_map(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).reshape(b, -1, side, side)

        return as_map(last), as_map(torch.cat(early, dim=2))


class DinoV2Encoder(ImageEncoder):
    """DINOv2 backbone and a neck to 256 channels (1 x 1, 3 x 3, a LayerNorm after each, as SAM's neck).

    Parameters
    ----------
    input_size : int
        Side of the input in pixels, a multiple of `patch_size`.
    dim, depth, num_heads, patch_size, position_grid, early_blocks
        See `DinoV2Backbone`.
    embed_dim : int
        Channels of the embedding.
    """

    def __init__(
        self,
        *,
        input_size: int = 448,
        dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        patch_size: int = 14,
        position_grid: int = 37,
        early_blocks: tuple[int, ...] = (2,),
        embed_dim: int = 256,
    ) -> None:
        super().__init__(
            input_size=input_size,
            token_stride=patch_size,
            early_dim=dim * len(early_blocks),
            pixel_mean=IMAGENET_MEAN,
            pixel_std=IMAGENET_STD,
        )
        self.backbone = DinoV2Backbone(
            dim=dim,
            depth=depth,
            num_heads=num_heads,
            patch_size=patch_size,
            position_grid=position_grid,
            early_blocks=tuple(early_blocks),
        )
        self.neck = make_neck(dim, embed_dim)

    def forward(self, image: Tensor) -> EncoderOutput:
        """Encode RGB in 0..255 (B, 3, S, S)."""
        last, early = self.backbone(self.normalise(image))
        return EncoderOutput(self.neck(last), early)
