"""The whole network: image encoder, SAM's prompt encoder, HQ mask decoder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rosgeo.errors import ModelError, OptionError
from rosgeo.model._segment_anything import modeling
from rosgeo.model.dinov2 import DinoV2Encoder
from rosgeo.model.encoder import ImageEncoder
from rosgeo.model.hq_decoder import DecoderOutput, HQMaskDecoder
from rosgeo.model.sam_vit import SamVitEncoder
from rosgeo.model.two_way import TwoWayTransformer

__all__ = ["SAM_CONFIGS", "ModelConfig", "RosSam", "box_coverage"]


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the shapes of a network. Stored as JSON in a weights file's metadata.

    Attributes
    ----------
    name : str
        Name of the model, written to the results.
    encoder : {"dinov2", "sam"}
        Kind of image encoder.
    input_size : int
        Side S of the input in pixels.
    backbone_dim, backbone_depth, backbone_heads, patch_size, position_grid : int
        The encoder's transformer; `position_grid` is the side of its stored grid of position embeddings.
    early_blocks : tuple of int
        Blocks, from 0, whose outputs are the early feature.
    global_blocks : tuple of int
        SAM's blocks, from 0, that attend to the whole picture and not to windows.
    window_size : int
        Side of SAM's attention windows in tokens.
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
    hq : bool
        The decoder has the HQ token and its branches.
    mask_token : {"hq", "sam", "sum"}
        Whose mask is served: the HQ token's alone (ROS-SAM), SAM's, or the sum of both logits (HQ-SAM).
    point_prompts : bool
        The model was taught points as prompts, as SAM was; else their embeddings hold nothing.
    """

    name: str = "rosgeo-small"
    encoder: Literal["dinov2", "sam"] = "dinov2"
    input_size: int = 448
    backbone_dim: int = 384
    backbone_depth: int = 12
    backbone_heads: int = 6
    patch_size: int = 14
    position_grid: int = 37
    early_blocks: tuple[int, ...] = (2, 6)
    global_blocks: tuple[int, ...] = ()
    window_size: int = 14
    embed_dim: int = 256
    decoder_mlp_dim: int = 1024
    num_multimask_outputs: int = 0
    detail_size: int = 256
    box_mask_prompt: bool = True
    hq: bool = True
    mask_token: Literal["hq", "sam", "sum"] = "hq"
    point_prompts: bool = False

    def __post_init__(self) -> None:
        if self.encoder not in ("dinov2", "sam"):
            raise ModelError(f"the model's encoder is {self.encoder!r}; expected dinov2 or sam")
        if self.mask_token not in ("hq", "sam", "sum"):
            raise OptionError(f"mask token {self.mask_token!r}: expected hq, sam or sum")
        if not self.hq and self.mask_token != "sam":
            raise OptionError(f"mask token {self.mask_token!r}: {self.name} has no HQ token; use sam")

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
        for key in ("early_blocks", "global_blocks"):
            values[key] = tuple(values.get(key, getattr(cls, key)))
        return cls(**values)


SAM_CONFIGS = {
    variant: ModelConfig(
        name=f"sam-vit-{variant}",
        encoder="sam",
        input_size=1024,
        backbone_dim=dim,
        backbone_depth=depth,
        backbone_heads=heads,
        patch_size=16,
        position_grid=64,
        early_blocks=global_blocks[:1],
        global_blocks=global_blocks,
        decoder_mlp_dim=2048,
        num_multimask_outputs=3,
        detail_size=0,
        box_mask_prompt=False,
        hq=False,
        mask_token="sam",
        point_prompts=True,
    )
    for variant, dim, depth, heads, global_blocks in (
        ("b", 768, 12, 12, (2, 5, 8, 11)),
        ("l", 1024, 24, 16, (5, 11, 17, 23)),
        ("h", 1280, 32, 16, (7, 15, 23, 31)),
    )
}
"""SAM's published networks (Kirillov et al. 2023), without an HQ decoder. Its early feature is the first global block's output."""


def _encoder(config: ModelConfig) -> ImageEncoder:
    common: dict[str, Any] = {
        "input_size": config.input_size,
        "dim": config.backbone_dim,
        "depth": config.backbone_depth,
        "num_heads": config.backbone_heads,
        "patch_size": config.patch_size,
        "position_grid": config.position_grid,
        "early_blocks": config.early_blocks,
        "embed_dim": config.embed_dim,
    }
    if config.encoder == "sam":
        return SamVitEncoder(**common, global_blocks=config.global_blocks, window_size=config.window_size)
    return DinoV2Encoder(**common)


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
        # Any: nn.Module says that its attributes may be tensors.
        self.image_encoder: Any = _encoder(config)
        grid = self.image_encoder.grid_size
        self.prompt_encoder = modeling.PromptEncoder(
            embed_dim=config.embed_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(config.input_size, config.input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = HQMaskDecoder(
            transformer_dim=config.embed_dim,
            transformer=TwoWayTransformer(depth=2, embedding_dim=config.embed_dim, mlp_dim=config.decoder_mlp_dim, num_heads=8),
            early_dim=self.image_encoder.early_dim,
            num_multimask_outputs=config.num_multimask_outputs,
            detail_size=config.detail_size,
            hq=config.hq,
        )

    def forward(self, image: Tensor, boxes: Tensor) -> DecoderOutput:
        """Segment one object a crop, or several on one crop.

        Parameters
        ----------
        image : Tensor (B or 1, 3, S, S)
            RGB in 0..255, any dtype. 1: all boxes are on the same crop, which is encoded once.
        boxes : float32 Tensor (B, 4)
            xyxy in the model frame.

        Returns
        -------
        DecoderOutput
        """
        return self.decode(*self.encode(image), boxes)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (B, 3, S, S) to the backbone's last and early features and the normalised picture, which `decode` takes."""
        normalised = self.image_encoder.normalise(image)
        last, early = self.image_encoder.backbone(normalised)
        return last, early, normalised

    @property
    def takes_masks(self) -> bool:
        """True where a mask may be a prompt, as in SAM; False where the box already goes in as one."""
        return not self.config.box_mask_prompt

    @property
    def mask_prompt_size(self) -> int:
        """Side of a mask prompt: 4 cells a token, as SAM's low-resolution masks."""
        return int(4 * self.image_encoder.grid_size)

    def decode(
        self,
        last: Tensor,
        early: Tensor,
        normalised: Tensor,
        boxes: Tensor,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        masks: Tensor | None = None,
        refine: bool = True,
    ) -> DecoderOutput:
        """Neck, prompt encoder and decoder over the backbone's features (which training may have kept on disk).

        Features and picture (B or 1, ...) and boxes (B, 4), as in `forward`. `points`: (B, K, 2) in the model frame and int64 (B, K),
        1 on the object and 0 off it; for models with `point_prompts`. `masks` (B, 1, M, M), M of `mask_prompt_size`: logits as further
        prompts where `takes_masks`; NaN in all cells of a row for none.
        """
        # Not every device has float64.
        boxes = boxes.float()
        embedding = self.image_encoder.neck(last)
        size, grid = self.config.input_size, self.image_encoder.grid_size
        if masks is not None and not self.takes_masks:
            raise ModelError(f"{self.config.name} takes no mask as a prompt")
        if self.config.box_mask_prompt:
            masks = 2 * box_coverage(boxes, 4 * grid, size) - 1
        # In float32 whatever the rest runs in: bfloat16 would round a corner by nearly a pixel.
        with torch.autocast(boxes.device.type, enabled=False):
            if points is not None:
                # SAM counts from a pixel's centre.
                points = (points[0].float() - 0.5, points[1])
            sparse, dense = self.prompt_encoder(
                points=points, boxes=boxes, masks=None if masks is None else masks.float().nan_to_num()
            )
            # Without a mask prompt the dense one is the same for all boxes.
            dense = dense if masks is not None else dense[:1]
            if masks is not None and not self.config.box_mask_prompt:
                # The embedding that stands for no mask.
                none = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
                dense = torch.where(torch.isnan(masks).any(dim=(1, 2, 3))[:, None, None, None], none, dense)
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

    def served_logits(self, output: DecoderOutput) -> Tensor:
        """The logits (B, 1, G, G) of the mask that `config.mask_token` names."""
        sam, hq = output.sam_logits, output.hq_logits
        if self.config.mask_token == "sam":
            return sam
        if self.config.mask_token == "hq":
            return hq
        return hq + (sam if sam.shape == hq.shape else F.interpolate(sam, hq.shape[-2:], mode="bilinear", align_corners=False))
