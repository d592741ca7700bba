"""SAM's mask decoder and the HQ mask decoder (Ke et al., "Segment Anything in High Quality", NeurIPS 2023).

Parameter names are those of the published HQ-SAM checkpoints (``hf_token``, ``hf_mlp``, ``compress_vit_feat``, ``embedding_encoder``,
``embedding_maskfeature`` beside SAM's own). ``detail`` is rosgeo's: with a backbone of 14 px patches one cell of the usual mask grid
spans 3.5 input pixels, more than a wing tip; the branch refines the HQ features with the picture itself on a finer grid.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rosgeo.model._segment_anything import modeling
from rosgeo.model.layers import LayerNorm2d

__all__ = ["DecoderOutput", "DetailBranch", "HQMaskDecoder"]

MLP = modeling.mask_decoder.MLP


class DecoderOutput(NamedTuple):
    """Masks of B prompts.

    Attributes
    ----------
    sam_logits : Tensor (B, 1, 4s, 4s)
        Mask of SAM's token for a single output.
    hq_logits : Tensor (B, 1, G, G)
        Mask of the HQ token alone; G = 4s without a detail branch. The same as `sam_logits` where the decoder has no HQ token.
    iou : Tensor (B,)
        Predicted IoU of the mask that the model was trained to serve, unclamped.
    """

    sam_logits: Tensor
    hq_logits: Tensor
    iou: Tensor


class DetailBranch(nn.Module):
    """HQ features refined with the picture and the box on a finer grid.

    Parameters
    ----------
    feature_dim : int
        Channels of the HQ features.
    size : int
        Side G of the finer grid.
    hidden_dim : int
        Channels inside.
    """

    def __init__(self, feature_dim: int, size: int, hidden_dim: int = 16) -> None:
        super().__init__()
        self.size = size
        self.stem = nn.Conv2d(3, hidden_dim, kernel_size=3, stride=2, padding=1)
        self.reduce = nn.Conv2d(feature_dim, hidden_dim, kernel_size=1)
        self.box_weight = nn.Parameter(torch.zeros(1, hidden_dim, 1, 1))
        last = nn.Conv2d(hidden_dim, feature_dim, kernel_size=1)
        # The branch starts as plain upsampling, so that it may join a decoder that has learnt without it.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.fuse = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(hidden_dim, hidden_dim, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden_dim, hidden_dim, kernel_size=3, padding=2, dilation=2),
            nn.GELU(),
            last,
        )

    def forward(self, features: Tensor, image: Tensor, box_mask: Tensor) -> Tensor:
        """Refine.

        Parameters
        ----------
        features : Tensor (B, F, g, g)
            HQ features.
        image : Tensor (B, 3, S, S)
            Normalised picture.
        box_mask : Tensor (B, 1, G, G)
            Coverage of the box.

        Returns
        -------
        Tensor (B, F, G, G)
        """

        def grow(x: Tensor, size: int) -> Tensor:
            return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)

        # A sum of three, not a concatenation: one pass less, and the tensors stay in the format that the convolutions are fast in.
        seen = self.stem(grow(image, 2 * self.size)) + grow(self.reduce(features), self.size) + self.box_weight * box_mask
        refined: Tensor = grow(features, self.size) + self.fuse(seen)
        return refined


class HQMaskDecoder(nn.Module):
    """SAM's mask decoder with the HQ token and its three feature branches, for N crops with one box each or one crop with K boxes.

    Parameters
    ----------
    transformer_dim : int
        Channels of tokens and embedding (256).
    transformer : nn.Module
        See `TwoWayTransformer`.
    early_dim : int
        Channels of the encoder's early feature.
    num_multimask_outputs : int
        Further SAM tokens for ambiguous prompts: 3 in SAM's checkpoints, 0 where none is trained.
    iou_head_depth, iou_head_hidden_dim : int
        The IoU head's MLP.
    detail_size : int
        Side G of the detail branch's grid; 0 for none (published checkpoints).
    hq : bool
        False: SAM's own decoder, without the HQ token and its branches.
    """

    prompts_at_once = 2
    """Prompts on one embedding that are decoded together where no gradient is wanted: as many as a CPU's caches hold."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: nn.Module,
        early_dim: int,
        num_multimask_outputs: int = 3,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        detail_size: int = 0,
        hq: bool = True,
    ) -> None:
        super().__init__()
        dim, feature_dim = transformer_dim, transformer_dim // 8
        self.transformer = transformer
        self.num_mask_tokens = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, feature_dim, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, feature_dim, 3) for _ in range(self.num_mask_tokens))
        self.iou_prediction_head = MLP(dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth)
        self.hq = hq
        if hq:
            self.hf_token = nn.Embedding(1, dim)
            self.hf_mlp = MLP(dim, dim, feature_dim, 3)
            self.compress_vit_feat = _growing(early_dim, dim, feature_dim)
            self.embedding_encoder = _growing(dim, dim // 4, feature_dim)
            self.embedding_maskfeature = nn.Sequential(
                nn.Conv2d(feature_dim, dim // 4, kernel_size=3, padding=1),
                LayerNorm2d(dim // 4),
                nn.GELU(),
                nn.Conv2d(dim // 4, feature_dim, kernel_size=3, padding=1),
            )
        self.detail = DetailBranch(feature_dim, detail_size) if detail_size and hq else None

    def forward(
        self,
        *,
        embedding: Tensor,
        early: Tensor,
        image_pe: Tensor,
        sparse_prompt: Tensor,
        dense_prompt: Tensor,
        image: Tensor | None = None,
        box_mask: Tensor | None = None,
        refine: bool = True,
    ) -> DecoderOutput:
        """Decode.

        Parameters
        ----------
        embedding : Tensor (B or 1, 256, s, s)
            1: all prompts are on the same crop.
        early : Tensor (B or 1, C, s, s)
        image_pe : Tensor (1, 256, s, s)
            Positional encoding of the token grid.
        sparse_prompt : Tensor (B, K, 256)
            The box's two corner tokens.
        dense_prompt : Tensor (B or 1, 256, s, s)
        image : Tensor (B or 1, 3, S, S), optional
            Normalised picture, for the detail branch.
        box_mask : Tensor (B, 1, G, G), optional
            Coverage of the box, for the detail branch.
        refine : bool
            False leaves the detail branch out (training begins so); G is then 4s.

        Returns
        -------
        DecoderOutput
        """
        if self.detail is not None and refine and (image is None or box_mask is None):
            raise ValueError("the detail branch needs the picture and the box mask")
        base = self.embedding_encoder(embedding) + self.compress_vit_feat(early) if self.hq else None
        prompts, at_once = len(sparse_prompt), self.prompts_at_once
        if len(embedding) > 1 or prompts <= at_once or torch.is_grad_enabled():
            return self._decode(embedding, base, image_pe, sparse_prompt, dense_prompt, image, box_mask, refine)
        parts = [
            self._decode(
                embedding,
                base,
                image_pe,
                sparse_prompt[i : i + at_once],
                dense_prompt if len(dense_prompt) == 1 else dense_prompt[i : i + at_once],
                image,
                None if box_mask is None else box_mask[i : i + at_once],
                refine,
            )
            for i in range(0, prompts, at_once)
        ]
        return DecoderOutput(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def _decode(
        self,
        embedding: Tensor,
        base: Tensor | None,
        image_pe: Tensor,
        sparse_prompt: Tensor,
        dense_prompt: Tensor,
        image: Tensor | None,
        box_mask: Tensor | None,
        refine: bool,
    ) -> DecoderOutput:
        """Decode prompts that are all done at once; `base` (B or 1, 32, 4s, 4s) is what the HQ features take from the crop alone."""
        b, side = len(sparse_prompt), embedding.shape[-1]
        own = [self.iou_token.weight, self.mask_tokens.weight, *([self.hf_token.weight] if self.hq else [])]
        tokens = torch.cat([torch.cat(own).expand(b, -1, -1), sparse_prompt.to(self.iou_token.weight.dtype)], dim=1)
        tokens, pixels = self.transformer(embedding + dense_prompt, image_pe, tokens)
        upscaled = _grow_tokens(self.output_upscaling, pixels, side)
        sam_logits = _token_mask(self.output_hypernetworks_mlps[0](tokens[:, 1]), upscaled)
        iou = self.iou_prediction_head(tokens[:, 0])[:, 0]
        if base is None:
            return DecoderOutput(sam_logits, sam_logits, iou)
        weights = self.hf_mlp(tokens[:, 1 + self.num_mask_tokens])
        channels_first = _ungroup(upscaled)
        if self.detail is not None and refine and image is not None and box_mask is not None:
            features = self.embedding_maskfeature(channels_first) + base
            return DecoderOutput(sam_logits, _mask(weights, self.detail(features, image, box_mask)), iou)
        *inner, last = self.embedding_maskfeature
        for layer in inner:
            channels_first = layer(channels_first)
        return DecoderOutput(sam_logits, _mask(weights, base) + _convolved_mask(weights, channels_first, last), iou)


def _growing(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """From a token grid of side s to features of side 4s."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, hidden, kernel_size=2, stride=2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, outputs, kernel_size=2, stride=2),
    )


def _grow_tokens(upscaling: nn.Sequential, tokens: Tensor, side: int) -> Tensor:
    """SAM's upscaling of image tokens (B, s * s, C) to (B, s, s, 2, 2, 2, 2, F).

    The axes are row, column, then row and column in the 2 x 2 of each step. A transposed convolution of stride 2 and kernel 2 is a
    product for each token; its outputs are left grouped by token, where the channels stay last, and are put in their places only when
    all is done (`_ungroup`).
    """
    first, norm, act, second, last_act = upscaling
    x = tokens.view(len(tokens), side, side, -1)
    x = act(nn.LayerNorm.forward(norm, _split_by_four(first, x)))  # type: ignore[arg-type]
    grown: Tensor = last_act(_split_by_four(second, x))
    return grown


def _split_by_four(convolution: nn.Module, x: Tensor) -> Tensor:
    """A transposed convolution of kernel and stride 2 as a product: (..., C) to (..., 2, 2, F)."""
    assert isinstance(convolution, nn.ConvTranspose2d)
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    bias = None if convolution.bias is None else convolution.bias.repeat(4)
    return F.linear(x, weight, bias).view(*x.shape[:-1], 2, 2, -1)


def _ungroup(grouped: Tensor) -> Tensor:
    """(B, s, s, 2, 2, 2, 2, F) of `_grow_tokens` as (B, F, 4s, 4s), channels last in memory."""
    b, side = grouped.shape[:2]
    placed = grouped.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, 4 * side, 4 * side, -1)
    return placed.permute(0, 3, 1, 2)


def _token_mask(weights: Tensor, grouped: Tensor) -> Tensor:
    """Product of weights (B, F) and the features of `_grow_tokens` over F: (B, 1, 4s, 4s)."""
    b = len(grouped)
    product = (grouped.reshape(b, -1, grouped.shape[-1]) @ weights[:, :, None]).view(*grouped.shape[:-1], 1)
    return _ungroup(product)


def _mask(weights: Tensor, features: Tensor) -> Tensor:
    """Product of weights (B, F) and features (B or 1, F, H, W) over F: (B, 1, H, W)."""
    # Over the channels-last view, so that features in that format (as the convolutions leave them) are not copied.
    product = features.permute(0, 2, 3, 1).flatten(1, 2) @ weights[:, :, None]
    return product.view(len(weights), 1, features.shape[2], features.shape[3])


def _convolved_mask(weights: Tensor, features: Tensor, convolution: nn.Module) -> Tensor:
    """``_mask(weights, convolution(features))``, with the product taken before the convolution, so that it has one output and not F.

    Parameters
    ----------
    weights : Tensor (B, F)
    features : Tensor (B, C, H, W)
    convolution : nn.Conv2d
        C to F, 3 x 3, padding 1.

    Returns
    -------
    Tensor (B, 1, H, W)
    """
    assert isinstance(convolution, nn.Conv2d)
    height, width = features.shape[2:]
    # (B, C, 9) kernels of one output; each tap is a product over the channels, and the taps are shifted into place and summed.
    kernels = torch.einsum("bf,fcn->bcn", weights, convolution.weight.flatten(2).to(weights.dtype))
    taps = features.permute(0, 2, 3, 1).flatten(1, 2) @ kernels.flip(-1)
    summed = F.fold(taps.transpose(1, 2), (height, width), kernel_size=3, padding=1)
    bias = 0.0 if convolution.bias is None else (weights @ convolution.bias.to(weights.dtype))[:, None, None, None]
    return summed + bias
