"""The HQ mask decoder (Ke et al., "Segment Anything in High Quality", NeurIPS 2023) over SAM's two-way transformer.

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
        Mask of the HQ token alone; G = 4s without a detail branch.
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
    """SAM's mask decoder with the HQ token and its three feature branches, batched over N crops with one box each.

    Parameters
    ----------
    transformer_dim : int
        Channels of tokens and embedding (256).
    transformer : nn.Module
        SAM's `TwoWayTransformer`.
    early_dim : int
        Channels of the encoder's early feature.
    num_multimask_outputs : int
        Further SAM tokens for ambiguous prompts: 3 in SAM's checkpoints, 0 where none is trained.
    iou_head_depth, iou_head_hidden_dim : int
        The IoU head's MLP.
    detail_size : int
        Side G of the detail branch's grid; 0 for none (published checkpoints).
    """

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
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = MLP(dim, dim, feature_dim, 3)
        self.compress_vit_feat = nn.Sequential(
            nn.ConvTranspose2d(early_dim, dim, kernel_size=2, stride=2),
            LayerNorm2d(dim),
            nn.GELU(),
            nn.ConvTranspose2d(dim, feature_dim, kernel_size=2, stride=2),
        )
        self.embedding_encoder = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, feature_dim, kernel_size=2, stride=2),
        )
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(feature_dim, dim // 4, kernel_size=3, padding=1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, feature_dim, kernel_size=3, padding=1),
        )
        self.detail = DetailBranch(feature_dim, detail_size) if detail_size else None

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
        embedding : Tensor (B, 256, s, s)
        early : Tensor (B, C, s, s)
        image_pe : Tensor (1, 256, s, s)
            Positional encoding of the token grid.
        sparse_prompt : Tensor (B, K, 256)
            The box's two corner tokens.
        dense_prompt : Tensor (B, 256, s, s)
        image : Tensor (B, 3, S, S), optional
            Normalised picture, for the detail branch.
        box_mask : Tensor (B, 1, G, G), optional
            Coverage of the box, for the detail branch.
        refine : bool
            False leaves the detail branch out (training begins so); G is then 4s.

        Returns
        -------
        DecoderOutput
        """
        b, c, h, w = embedding.shape
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight, self.hf_token.weight])
        tokens = torch.cat([tokens.expand(b, -1, -1), sparse_prompt.to(tokens.dtype)], dim=1)
        tokens, pixels = self.transformer(embedding + dense_prompt, image_pe.expand(b, -1, -1, -1), tokens)
        upscaled = self.output_upscaling(pixels.transpose(1, 2).reshape(b, c, h, w))
        features = self.embedding_maskfeature(upscaled) + self.embedding_encoder(embedding) + self.compress_vit_feat(early)
        if self.detail is not None and refine:
            if image is None or box_mask is None:
                raise ValueError("the detail branch needs the picture and the box mask")
            features = self.detail(features, image, box_mask)
        sam_token, hq_token = tokens[:, 1], tokens[:, 1 + self.num_mask_tokens]
        return DecoderOutput(
            sam_logits=_mask(self.output_hypernetworks_mlps[0](sam_token), upscaled),
            hq_logits=_mask(self.hf_mlp(hq_token), features),
            iou=self.iou_prediction_head(tokens[:, 0])[:, 0],
        )


def _mask(weights: Tensor, features: Tensor) -> Tensor:
    """Product of weights (B, F) and features (B, F, H, W) over F: (B, 1, H, W)."""
    # Over the channels-last view, so that features in that format (as the convolutions leave them) are not copied.
    product = features.permute(0, 2, 3, 1).flatten(1, 2) @ weights[:, :, None]
    return product.view(len(features), 1, features.shape[2], features.shape[3])
