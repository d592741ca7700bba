"""SAM's image encoder (Kirillov et al. 2023, Apache-2.0): a ViT-B, -L or -H with windowed and global attention.

The same function as `segment_anything`'s ``ImageEncoderViT`` under the same parameter names, except that the fused ``qkv`` is kept as
separate query, key and value projections, so that LoRA can target query and value alone. The published checkpoints load unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rosgeo.model._segment_anything import modeling
from rosgeo.model.encoder import IMAGENET_MEAN, IMAGENET_STD, EncoderOutput, ImageEncoder, make_neck
from rosgeo.model.layers import SeparateQKV, by_products, logits_at_once

__all__ = ["SamVitEncoder"]


# Without gradients the CPU works through what is large piece by piece: a pass over fresh memory of hundreds of MB costs more in page
# faults than in arithmetic. A piece still has work for every thread.
_BIAS_PER_THREAD = 1 << 22  # elements: 1024 queries of a head at 1024 px, 16 MB
_TOKENS_PER_THREAD = 512
# Elsewhere only so that a large batch does not fill the memory: 2 GB in bfloat16.
_BIAS_PER_DEVICE = 1 << 30


class Windows(NamedTuple):
    """How the tokens of a grid go into windows and back.

    Attributes
    ----------
    into : int64 Tensor (B * windows * w * w,)
        The token, of those of all B pictures, of each place of each window. Where there is padding, each picture has one token more,
        past its last, that stands for it.
    back : int64 Tensor (B * s * s,)
        The place of each token.
    side : int
        Tokens w along a window.
    padded : bool
        Whether there is padding.
    """

    into: Tensor
    back: Tensor
    side: int
    padded: bool


def make_windows(grid: int, side: int, batch: int, device: torch.device) -> Windows:
    """Windows of `side` over the squares of `grid` tokens a side of `batch` pictures, padded at the right and the bottom."""
    count = -(-grid // side)
    padding = count * side - grid
    tokens = torch.arange(grid * grid, device=device).view(grid, grid)
    into = F.pad(tokens, (0, padding, 0, padding), value=grid * grid)
    into = into.view(count, side, count, side).transpose(1, 2).reshape(-1)
    # The padding comes last in the order of the tokens.
    back = into.argsort()[: grid * grid]
    # Over the tokens of all pictures in a row: an index of whole rows is a plain copy of them.
    picture = torch.arange(batch, device=device)[:, None]
    tokens_each = grid * grid + (padding > 0)
    return Windows((picture * tokens_each + into).flatten(), (picture * len(into) + back).flatten(), side, padding > 0)


def relative_table(rel_pos: Tensor, size: int) -> Tensor:
    """Relative position embeddings (L, d) as a table (query, d, key) for `size` places.

    segment_anything's ``get_rel_pos``, transposed, as a view of the embeddings in place of an index that waits for the CPU.
    """
    length = 2 * size - 1
    if rel_pos.shape[0] != length:
        rel_pos = F.interpolate(rel_pos.float().T[None], size=length, mode="linear")[0].T.to(rel_pos)
    return rel_pos.unfold(0, size, 1).flip(2)


class Attention(SeparateQKV):
    """Multi-head self-attention over a square of tokens, with SAM's decomposed relative positions.

    Parameters
    ----------
    dim, num_heads : int
        Channels and heads.
    size : int
        Side of the square that the relative positions are stored for.
    """

    def __init__(self, dim: int, num_heads: int, size: int) -> None:
        super().__init__(dim)
        self.num_heads = num_heads
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, dim // num_heads))

    def forward(self, x: Tensor, windows: Windows | None) -> Tensor:
        """Tokens (B, s * s, C) to tokens (B, s * s, C), within `windows` or over all."""
        b, n, c = x.shape
        if windows is not None and windows.padded:
            # SAM pads with zeros. One zero token stands for all of them, so that the padding is projected once.
            x = F.pad(x, (0, 0, 0, 1))
        q, k, v = self.query(x), self.key(x), self.value(x)
        if windows is None:
            out = self._attend(q, k, v, math.isqrt(n))
        else:
            q, k, v = (t.flatten(0, 1).index_select(0, windows.into).view(-1, windows.side**2, c) for t in (q, k, v))
            out = self._attend(q, k, v, windows.side).view(-1, c).index_select(0, windows.back).view(b, n, c)
        attended: Tensor = self.proj(out)
        return attended

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, side: int) -> Tensor:
        b, n, c = q.shape
        heads = self.num_heads
        along_h, along_w = self._relative(q, side)
        q, k, v = (t.view(b, n, heads, c // heads).transpose(1, 2) for t in (q, k, v))
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            bias = (along_h.contiguous() + along_w.contiguous()).view(b, heads, n, n)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).reshape(b, n, c)
        if by_products(q) and n >= _TOKENS_PER_THREAD:
            return _attend_by_products(q, k, v, along_h, along_w).transpose(1, 2).reshape(b, n, c)
        limit = _BIAS_PER_THREAD * torch.get_num_threads() if q.device.type == "cpu" else _BIAS_PER_DEVICE
        out = torch.empty_like(v.transpose(1, 2)).transpose(1, 2)
        buffer = torch.empty(0, dtype=along_h.dtype, device=q.device)
        for image, head, row in _pieces((b, heads, side), side * n, limit):
            sum_h, sum_w = along_h[image, head, row], along_w[image, head, row]
            shape = (*sum_h.shape[:5], side)
            if buffer.numel() < math.prod(shape):
                buffer = buffer.new_empty(math.prod(shape))
            bias = buffer[: math.prod(shape)].view(shape)
            torch.add(sum_h, sum_w, out=bias)
            query = slice(row.start * side, row.stop * side)
            out[image, head, query] = F.scaled_dot_product_attention(
                q[image, head, query], k[image, head], v[image, head], attn_mask=bias.flatten(4).flatten(2, 3)
            )
        return out.transpose(1, 2).reshape(b, n, c)

    def _relative(self, q: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """What rows and columns add to the logits: (B, heads, h, w, h, 1) and (B, heads, h, w, 1, w), to be broadcast."""
        b, _n, c = q.shape
        heads = self.num_heads
        rows = q.view(b, side, side * heads, c // heads)
        columns = q.view(b, side, side, c).transpose(1, 2).reshape(rows.shape)
        along_h = (rows @ relative_table(self.rel_pos_h, side)).view(b, side, side, heads, side)
        along_w = (columns @ relative_table(self.rel_pos_w, side)).view(b, side, side, heads, side)
        return along_h.permute(0, 3, 1, 2, 4).unsqueeze(5), along_w.permute(0, 3, 2, 1, 4).unsqueeze(4)


def _attend_by_products(q: Tensor, k: Tensor, v: Tensor, along_h: Tensor, along_w: Tensor) -> Tensor:
    """Attention of queries, keys and values (B, heads, n, d) with the relative positions of `Attention._relative`: (B, heads, n, d).

    What `scaled_dot_product_attention` computes, as a product, a softmax and a product, a few rows of the picture at a time. The bias is
    written where the logits go and the product is added to it. Logits are rounded to bfloat16 once, after the bias is added.
    """
    b, heads, n, d = q.shape
    side = math.isqrt(n)
    rows = max(1, min(side, logits_at_once() // (side * n)))
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out = torch.empty_like(q)
    buffer = q.new_empty(rows * side * n)
    for image, head in product(range(b), range(heads)):
        keys, values = k[image, head].T, v[image, head]
        for row in range(0, side, rows):
            count = min(rows, side - row)
            logits = buffer[: count * side * n].view(count * side, n)
            span = slice(row, row + count)
            torch.add(along_h[image, head, span], along_w[image, head, span], out=logits.view(count, side, side, side))
            query = slice(row * side, (row + count) * side)
            torch.addmm(logits, q[image, head, query], keys, alpha=d**-0.5, out=logits)
            torch.mm(torch.softmax(logits, -1, out=logits), values, out=out[image, head, query])
    return out


def _pieces(shape: tuple[int, int, int], weight: int, limit: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices that cover `shape`, each of at most `limit` elements (but of one cell at least) of `weight` elements a cell."""
    steps = [0, 0, 0]
    for axis in (2, 1, 0):
        steps[axis] = max(1, min(shape[axis], limit // weight))
        weight *= steps[axis]
    for i in range(0, shape[0], steps[0]):
        for j in range(0, shape[1], steps[1]):
            for m in range(0, shape[2], steps[2]):
                yield (
                    slice(i, min(i + steps[0], shape[0])),
                    slice(j, min(j + steps[1], shape[1])),
                    slice(m, min(m + steps[2], shape[2])),
                )


class Block(nn.Module):
    """Pre-norm transformer block.

    Parameters
    ----------
    dim, num_heads : int
        Channels and heads.
    size : int
        Side of the square of tokens that attention runs over: the window's or the stored grid's.
    windowed : bool
        Whether attention stays within windows.
    """

    def __init__(self, dim: int, num_heads: int, *, size: int, windowed: bool) -> None:
        super().__init__()
        self.windowed = windowed
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = modeling.common.MLPBlock(embedding_dim=dim, mlp_dim=4 * dim)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """Tokens (B, s * s, C) to tokens (B, s * s, C)."""
        x = x + self.attn(self.norm1(x), windows if self.windowed else None)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
            out: Tensor = x + self.mlp(self.norm2(x))
            return out
        tokens = x.view(-1, x.shape[-1])
        step = _TOKENS_PER_THREAD * torch.get_num_threads()
        for i in range(0, len(tokens), step):
            tokens[i : i + step] += self.mlp(self.norm2(tokens[i : i + step]))
        return x


class SamVitEncoder(ImageEncoder):
    """SAM's vision transformer and neck, with an early feature for the HQ decoder.

    Parameters
    ----------
    input_size : int
        Side of the input in pixels, a multiple of `patch_size`. Position embeddings are interpolated where it is not the stored one.
    dim, depth, num_heads, patch_size : int
        768, 12, 12, 16 for ViT-B.
    position_grid : int
        Side of the stored grid of position embeddings (64 for the published weights, 1024 px).
    global_blocks : tuple of int
        Blocks, from 0, whose attention is global. The others' is windowed.
    window_size : int
        Side of a window in tokens.
    embed_dim : int
        Channels of the embedding.
    early_blocks : tuple of int
        Blocks, from 0, whose outputs are joined to the early feature. HQ-SAM takes the first global block.
    """

    def __init__(
        self,
        *,
        input_size: int = 1024,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        patch_size: int = 16,
        position_grid: int = 64,
        global_blocks: tuple[int, ...] = (2, 5, 8, 11),
        window_size: int = 14,
        embed_dim: int = 256,
        early_blocks: tuple[int, ...] = (2,),
    ) -> None:
        super().__init__(
            input_size=input_size,
            token_stride=patch_size,
            early_dim=dim * len(early_blocks),
            pixel_mean=IMAGENET_MEAN,
            pixel_std=IMAGENET_STD,
        )
        if not early_blocks or not all(0 <= i < depth for i in (*early_blocks, *global_blocks)):
            raise ValueError(f"early and global blocks must lie in 0..{depth - 1}, got {early_blocks} and {global_blocks}")
        self.early_blocks = tuple(early_blocks)
        self.window_size = window_size
        self.pos_embed = nn.Parameter(torch.zeros(1, position_grid, position_grid, dim))
        self.patch_embed = modeling.image_encoder.PatchEmbed(
            kernel_size=(patch_size, patch_size), stride=(patch_size, patch_size), embed_dim=dim
        )
        self.blocks = nn.ModuleList(
            Block(dim, num_heads, size=position_grid if i in global_blocks else window_size, windowed=i not in global_blocks)
            for i in range(depth)
        )
        self.neck = make_neck(dim, embed_dim)

    def positions(self, side: int) -> Tensor:
        """Position embeddings (1, side, side, C), interpolated bicubically from the stored grid."""
        if side == self.pos_embed.shape[1]:
            return self.pos_embed
        square = self.pos_embed.permute(0, 3, 1, 2).float()
        resized = F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
        return resized.permute(0, 2, 3, 1).to(self.pos_embed)

    def backbone(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised picture (B, 3, S, S) to last tokens (B, C, s, s) and early feature (B, C * len(early_blocks), s, s)."""
        x = self.patch_embed(image)
        b, side = x.shape[:2]
        # The convolution may have left the channels outermost; every layer from here on wants them innermost.
        x = (x + self.positions(side)).flatten(1, 2).contiguous()
        windows = make_windows(side, self.window_size, b, x.device)
        early = []
        for i, block in enumerate(self.blocks):
            x = block(x, windows)
            if i in self.early_blocks:
                early.append(x)

        def as_map(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).reshape(b, -1, side, side)

        return as_map(x), as_map(early[0] if len(early) == 1 else torch.cat(early, dim=2))

    def forward(self, image: Tensor) -> EncoderOutput:
        """Encode RGB in 0..255 (B, 3, S, S)."""
        last, early = self.backbone(self.normalise(image))
        return EncoderOutput(self.neck(last), early)
