"""The whole network: image encoder, SAM's prompt encoder, HQ mask decoder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from rosgeo.errors import ModelError
from rosgeo.model._segment_anything import modeling
from rosgeo.model.dinov2 import DinoV2Encoder
from rosgeo.model.hq_decoder import DecoderOutput, HQMaskDecoder

__all__ = ["ModelConfig", "RosSam", "box_coverage"]


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the shapes of a network. Stored as JSON in a weights file's metadata.

    Attributes
    ----------
    name : str
        Name of the model, written to the results.
    input_size : int
        Side S of the input in pixels.
    backbone_dim, backbone_depth, backbone_heads, patch_size, position_grid : int
        The DINOv2 backbone.
    early_blocks : tuple of int
        Blocks, from 0, whose outputs are the early feature.
    embed_dim : int
        Channels of embedding and tokens.
    decoder_mlp_dim : int
        Hidden width of the two-way transformer's MLPs (2048 in SAM).
    num_multimask_outputs : int
        See `HQMaskDecoder`.
    detail_size : int
        Side G of the mask grid; 0 for 4 cells a token.
    box_mask_prompt : bool
        The box also goes in as a dense (mask) prompt.
    """

    name: str = "rosgeo-small"
    input_size: int = 448
    backbone_dim: int = 384
    backbone_depth: int = 12
    backbone_heads: int = 6
    patch_size: int = 14
    position_grid: int = 37
    early_blocks: tuple[int, ...] = (2, 6)
    embed_dim: int = 256
    decoder_mlp_dim: int = 1024
    num_multimask_outputs: int = 0
    detail_size: int = 256
    box_mask_prompt: bool = True

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """From JSON; raises ModelError where a key is unknown or the text is no JSON object."""
        try:
            values: dict[str, Any] = dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise ModelError(f"the model's configuration is not a JSON object: {error}") from error
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"the model's configuration has the unknown key {unknown[0]!r}; was it made by a newer rosgeo?")
        values["early_blocks"] = tuple(values.get("early_blocks", cls.early_blocks))
        return cls(**values)


def box_coverage(boxes: Tensor, cells: int, side: float) -> Tensor:
    """The fraction of each cell of a grid that a box covers.

    Parameters
    ----------
    boxes : Tensor (B, 4)
        xyxy in a frame of `side` x `side`.
    cells : int
        Cells a side.
    side : float
        Side of the frame.

    Returns
    -------
    Tensor (B, 1, cells, cells)
    """
    scaled = boxes * (cells / side)
    start = torch.arange(cells, device=boxes.device, dtype=boxes.dtype)

    def along(low: Tensor, high: Tensor) -> Tensor:
        inside = torch.minimum(high[:, None], start + 1) - torch.maximum(low[:, None], start)
        return inside.clamp(0, 1)

    across = along(scaled[:, 0], scaled[:, 2])
    down = along(scaled[:, 1], scaled[:, 3])
    return (down[:, :, None] * across[:, None, :])[:, None]


class RosSam(nn.Module):
    """ROS-SAM: crops with one box each in, mask logits out.

    Parameters
    ----------
    config : ModelConfig
        Shapes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = DinoV2Encoder(
            input_size=config.input_size,
            dim=config.backbone_dim,
            depth=config.backbone_depth,
            num_heads=config.backbone_heads,
            patch_size=config.patch_size,
            position_grid=config.position_grid,
            early_blocks=config.early_blocks,
            embed_dim=config.embed_dim,
        )
        grid = self.image_encoder.grid_size
        self.prompt_encoder = modeling.PromptEncoder(
            embed_dim=config.embed_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(config.input_size, config.input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = HQMaskDecoder(
            transformer_dim=config.embed_dim,
            transformer=modeling.TwoWayTransformer(
                depth=2, embedding_dim=config.embed_dim, mlp_dim=config.decoder_mlp_dim, num_heads=8
            ),
            early_dim=self.image_encoder.early_dim,
            num_multimask_outputs=config.num_multimask_outputs,
            detail_size=config.detail_size,
        )

    def forward(self, image: Tensor, boxes: Tensor) -> DecoderOutput:
        """Segment one object a crop.

        Parameters
        ----------
        image : Tensor (B, 3, S, S)
            RGB in 0..255, any dtype.
        boxes : float32 Tensor (B, 4)
            xyxy in the model frame.

        Returns
        -------
        DecoderOutput
        """
        normalised = self.image_encoder.normalise(image)
        last, early = self.image_encoder.backbone(normalised)
        return self.decode(last, early, normalised, boxes)

    def decode(self, last: Tensor, early: Tensor, normalised: Tensor, boxes: Tensor, *, refine: bool = True) -> DecoderOutput:
        """Neck, prompt encoder and decoder over the backbone's features (which training may have kept on disk)."""
        embedding = self.image_encoder.neck(last)
        size, grid = self.config.input_size, self.image_encoder.grid_size
        masks = 2 * box_coverage(boxes, 4 * grid, size) - 1 if self.config.box_mask_prompt else None
        # In float32 whatever the rest runs in: bfloat16 would round a corner by nearly a pixel.
        with torch.autocast(boxes.device.type, enabled=False):
            sparse, dense = self.prompt_encoder(points=None, boxes=boxes.float(), masks=masks)
            image_pe = self.prompt_encoder.get_dense_pe()
        output: DecoderOutput = self.mask_decoder(
            embedding=embedding,
            early=early,
            image_pe=image_pe,
            sparse_prompt=sparse,
            dense_prompt=dense,
            image=normalised,
            box_mask=box_coverage(boxes, self.config.detail_size, size) if self.config.detail_size else None,
            refine=refine,
        )
        return output
