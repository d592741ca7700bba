"""SAM's two-way transformer, arranged for many image tokens and few prompt tokens.

The result is that of `segment_anything.modeling.TwoWayTransformer`; the order of the products is another:

- K prompts on one image embedding share its tokens until the first update makes them differ, instead of K copies from the start.
- In the attention between n prompt tokens and N image tokens, n is about 7 and N is 4096. The projections of the image tokens are
  absorbed into the prompt side: with ``q_t`` a prompt token's query, ``q_t . (W x + b) = (W' q_t) . x`` plus a constant that softmax does
  not see, and ``sum_x a_x (W x + b) = W (sum_x a_x x) + b``. No projection of N tokens is left, half of the arithmetic and most of the
  memory traffic with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rosgeo.model._segment_anything import modeling

if TYPE_CHECKING:
    _Base = nn.Module
else:
    _Base = modeling.TwoWayTransformer

__all__ = ["TwoWayTransformer"]


class TwoWayTransformer(_Base):
    """`segment_anything.modeling.TwoWayTransformer` (same parameters, same result) whose image tokens may be shared by the prompts.

    Parameters
    ----------
    depth, embedding_dim, num_heads, mlp_dim
        See there.
    """

    def forward(self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        image_embedding : Tensor (B or 1, C, h, w)
            1: the same for all prompts.
        image_pe : Tensor (1, C, h, w)
            Positional encoding of the token grid.
        point_embedding : Tensor (B, n, C)
            Tokens of B prompts.

        Returns
        -------
        (Tensor (B, n, C), Tensor (B, h * w, C))
            Tokens and image tokens.
        """
        layers: Any = self.layers
        queries, pe = point_embedding, image_pe.flatten(2).transpose(1, 2)
        keys = image_embedding.flatten(2).transpose(1, 2)
        for layer in layers:
            queries, keys = _layer(layer, queries, keys, point_embedding, pe)
        last: Any = self.final_attn_token_to_image
        queries = queries + _tokens_to_image(last, queries + point_embedding, keys + pe, keys)
        norm: Any = self.norm_final_attn
        return norm(queries), keys


def _layer(block: Any, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> tuple[Tensor, Tensor]:
    if block.skip_first_layer_pe:
        queries = block.self_attn(q=queries, k=queries, v=queries)
    else:
        q = queries + query_pe
        queries = queries + block.self_attn(q=q, k=q, v=queries)
    queries = block.norm1(queries)
    with_pe = keys + key_pe
    queries = block.norm2(queries + _tokens_to_image(block.cross_attn_token_to_image, queries + query_pe, with_pe, keys))
    queries = block.norm3(queries + block.mlp(queries))
    update = _image_to_tokens(block.cross_attn_image_to_token, with_pe, queries + query_pe, queries)
    return queries, block.norm4(keys + update)


def _tokens_to_image(attention: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of prompt tokens q (B, n, C) to image tokens k, v (B or 1, N, C)."""
    heads = attention.num_heads
    b, n, c = q.shape
    query = attention.q_proj(q).view(b, n, heads, -1)
    scale = query.shape[-1] ** -0.5
    # (B, n * heads, C): each query as it meets the image tokens themselves. The key's bias is the same for all of them.
    absorbed = torch.einsum("bnhd,hdc->bnhc", query * scale, attention.k_proj.weight.view(heads, -1, c)).reshape(b, n * heads, c)
    seen = _shared_matmul(_shared_matmul(absorbed, k.transpose(1, 2)).softmax(dim=-1), v).view(b, n, heads, c)
    value = torch.einsum("bnhc,hdc->bnhd", seen, attention.v_proj.weight.view(heads, -1, c)).flatten(2) + attention.v_proj.bias
    out: Tensor = attention.out_proj(value)
    return out


def _image_to_tokens(attention: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of image tokens q (B or 1, N, C) to prompt tokens k, v (B, n, C)."""
    heads = attention.num_heads
    b, n, c = k.shape
    key = attention.k_proj(k).view(b, n, heads, -1)
    value = attention.v_proj(v).view(b, n, heads, -1)
    scale = key.shape[-1] ** -0.5
    absorbed = torch.einsum("bnhd,hdc->bchn", key * scale, attention.q_proj.weight.view(heads, -1, c)).reshape(b, c, heads * n)
    # The query's bias meets each key differently, so this one stays.
    offset = torch.einsum("bnhd,hd->bhn", key * scale, attention.q_proj.bias.view(heads, -1)).reshape(b, 1, heads * n)
    scores = q @ absorbed + offset
    weights = scores.view(*scores.shape[:2], heads, n).softmax(dim=-1).flatten(-2)
    out_weight = attention.out_proj.weight.view(c, heads, -1)
    spread = torch.einsum("bnhd,chd->bhnc", value, out_weight).reshape(b, heads * n, c)
    update: Tensor = weights.to(spread.dtype) @ spread + attention.out_proj.bias
    return update


def _shared_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Product of a (B, n, x) and b (B or 1, x, y); a shared b is met by all rows in one product."""
    if len(b) == 1 and len(a) > 1:
        return (a.flatten(0, 1) @ b[0]).view(*a.shape[:2], -1)
    return a @ b
