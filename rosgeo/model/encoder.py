"""The interface that every image encoder has."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rosgeo.model.layers import LayerNorm2d

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "EncoderOutput", "ImageEncoder", "make_neck"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""RGB in 0..255, of SAM and DINOv2 alike."""


class EncoderOutput(NamedTuple):
    """What an encoder gives the decoder.

    Attributes
    ----------
    embedding : Tensor (B, 256, s, s)
        The image embedding.
    early : Tensor (B, C, s, s)
        The early feature that the HQ decoder compresses.
    """

    embedding: Tensor
    early: Tensor


class ImageEncoder(nn.Module):
    """Base of the image encoders: picture in, embedding and early feature out.

    Parameters
    ----------
    input_size : int
        Side S of the input in pixels.
    token_stride : int
        Input pixels a token; ``s = S / token_stride``.
    early_dim : int
        Channels C of the early feature.
    pixel_mean, pixel_std : three floats
        RGB normalisation in 0..255. Kept in the encoder, so that a model cannot be parted from its normalisation.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        input_size: int,
        token_stride: int,
        early_dim: int,
        pixel_mean: tuple[float, float, float],
        pixel_std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        if input_size % token_stride:
            raise ValueError(f"input size {input_size} is not a multiple of the token stride {token_stride}")
        self.input_size = input_size
        self.token_stride = token_stride
        self.early_dim = early_dim
        self._normalisation = (pixel_mean, pixel_std)
        self.reset_normalisation()

    def reset_normalisation(self) -> None:
        """Set the buffers of the normalisation, which are not in any weights file (after building on the meta device)."""
        for name, values in zip(("pixel_mean", "pixel_std"), self._normalisation, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def grid_size(self) -> int:
        """Tokens a side."""
        return self.input_size // self.token_stride

    def normalise(self, image: Tensor) -> Tensor:
        """RGB in 0..255 (B, 3, S, S), any dtype, to the encoder's float input."""
        return (image.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std

    def forward(self, image: Tensor) -> EncoderOutput:
        """Encode RGB in 0..255 (B, 3, S, S)."""
        raise NotImplementedError


def make_neck(dim: int, embed_dim: int) -> nn.Sequential:
    """SAM's neck from the backbone's channels to the embedding's: 1 x 1, 3 x 3, a LayerNorm after each."""
    return nn.Sequential(
        nn.Conv2d(dim, embed_dim, kernel_size=1, bias=False),
        LayerNorm2d(embed_dim),
        nn.Conv2d(embed_dim, embed_dim, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(embed_dim),
    )
