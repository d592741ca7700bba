"""The configuration of a training run: frozen dataclasses. `read_config` (parse.py) makes them from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from rosgeo.errors import ConfigError
from rosgeo.labelled.config import DataConfig
from rosgeo.training.losses import LossConfig
from rosgeo.training.samples import Augmentation

__all__ = [
    "CachedStage",
    "InitConfig",
    "LiveStage",
    "Stages",
    "TrainConfig",
    "ValidationConfig",
]

Update = Literal["both", "alternate", "sam", "hq"]


@dataclass(frozen=True)
class InitConfig:
    """What training starts from: exactly one of both.

    Attributes
    ----------
    backbone : str or None
        Weights of the image encoder (safetensors); all else starts fresh.
    model : str or None
        Name or path of a trained model.
    """

    backbone: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if (self.backbone is None) == (self.model is None):
            raise ConfigError("'init' needs just one of 'backbone' (weights of an encoder) and 'model' (a trained model)")


@dataclass(frozen=True)
class Optimisation:
    """What both stages have in common.

    Attributes
    ----------
    samples : int
        Objects (crops, in the live stage) seen in all.
    epochs : float or None
        In place of `samples`: so many times the number of training objects.
    batch_size : int
        Objects a pass.
    accumulate : int
        Passes an update.
    optimizer : {"adamw", "adam"}
        Adam has no weight decay.
    learning_rate : float
        Peak, of neck, prompt encoder and decoders.
    weight_decay : float
        Of AdamW.
    schedule : {"cosine", "step"}
        ``cosine``: linear warm-up, then half a cosine down to 1 %. ``step``: a tenth after each `step_samples`.
    warmup : float
        Share of the updates that warm up.
    step_samples : int
        Objects between two steps of the schedule ``step``.
    step_epochs : float or None
        In place of `step_samples`.
    clip_norm : float
        Largest norm of the gradient; 0 for any.
    update : {"both", "alternate", "sam", "hq"}
        ``both``: both mask tokens in each update. ``alternate``: in turn the SAM token teaches encoder and SAM decoder, and the HQ
        token encoder and HQ decoder. ``sam``, ``hq``: one of the two alone.
    iou_weight : float
        Weight of the squared error of the predicted IoU.
    coarse_share : float
        Share of the updates, from the start, without the detail branch, which makes them cheaper.
    """

    samples: int = 12800
    epochs: float | None = None
    batch_size: int = 8
    accumulate: int = 1
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["cosine", "step"] = "cosine"
    warmup: float = 0.03
    step_samples: int = 12800
    step_epochs: float | None = None
    clip_norm: float = 1.0
    update: Update = "both"
    iou_weight: float = 1.0
    coarse_share: float = 0.0

    def __post_init__(self) -> None:
        for key in ("samples", "batch_size", "accumulate", "step_samples"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key} {getattr(self, key)}: expected at least 1")
        if self.samples < self.batch_size * self.accumulate:
            raise ConfigError(f"{self.samples} samples are less than one update of {self.batch_size} x {self.accumulate}")

    def with_epochs(self, objects: int) -> Self:
        """The same with epochs turned into samples, for a number of training objects."""
        samples = self.samples if self.epochs is None else max(round(self.epochs * objects), self.batch_size * self.accumulate)
        step_samples = self.step_samples if self.step_epochs is None else max(round(self.step_epochs * objects), 1)
        return replace(self, samples=samples, step_samples=step_samples, epochs=None, step_epochs=None)

    def steps(self, processes: int = 1) -> int:
        """Updates in all."""
        return max(self.samples // (self.batch_size * self.accumulate * processes), 1)


@dataclass(frozen=True)
class CachedStage(Optimisation):
    """Stage 1: the frozen encoder's features are computed once and kept on disk, and the decoder is trained over them.

    Attributes
    ----------
    folder : str
        Where the features are kept.
    crops : int
        How many training crops to make.
    crops_a_file : int
        Crops a file.
    objects_a_crop : int
        At most so many objects of a crop are labelled.
    files_in_memory : int
        Files that are shuffled together.
    workers : int
        Processes of one thread that make them; 0: none but this one.
    """

    coarse_share: float = 0.5
    folder: str = "runs/features"
    crops: int = 6400
    crops_a_file: int = 160
    objects_a_crop: int = 3
    files_in_memory: int = 5
    workers: int = 2


@dataclass(frozen=True)
class LiveStage(Optimisation):
    """Stage 2: fresh samples through the whole network, with LoRA on query and value and the last block unfrozen.

    Attributes
    ----------
    encoder_rate : float
        Peak learning rate of LoRA and last block.
    rank : int
        Of LoRA; 0 for none.
    alpha : float or None
        LoRA's update is scaled by alpha / rank; None: by 1.
    last_block : bool
        Whether the encoder's last block is trained whole.
    neck : bool
        Whether the encoder's neck learns, at the decoders' rate (not in ROS-SAM).
    lora_blocks : int or None
        Only so many of the last blocks (the last included) learn; the others cost no backward pass. None: all.
    objects_a_crop : int
        At most so many objects of a crop are labelled; further ones cost the encoder nothing. `samples` counts crops.
    workers : int
        Processes that make samples beside the training; 0: none.
    """

    learning_rate: float = 2e-4
    encoder_rate: float = 1e-4
    rank: int = 16
    alpha: float | None = None
    last_block: bool = True
    neck: bool = True
    lora_blocks: int | None = None
    objects_a_crop: int = 1
    workers: int = 1


@dataclass(frozen=True)
class Stages:
    """The stages, in this order; None leaves one out."""

    cached: CachedStage | None = None
    live: LiveStage | None = None

    def __post_init__(self) -> None:
        if self.cached is None and self.live is None:
            raise ConfigError("'stages' is empty; expected cached, live or both")


@dataclass(frozen=True)
class ValidationConfig:
    """What is measured and kept while training.

    Attributes
    ----------
    every : int
        Updates between two evaluations; there is one at the end of each stage anyway. 0: only those.
    objects : int
        At most so many validation objects, evenly picked.
    crop : {"auto", "paper"}
        As ``rosgeo segment --crop``.
    crop_factor : float
        Side of an ``auto`` crop over the longer side of the box.
    overlays : int
        Objects on the sheet of overlays.
    checkpoint_every : int
        Updates between two checkpoints.
    """

    every: int = 500
    objects: int = 200
    crop: Literal["auto", "paper"] = "auto"
    crop_factor: float = 1.5
    overlays: int = 24
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1:
            raise ConfigError(f"checkpoint_every {self.checkpoint_every}: expected at least 1")

    def is_due(self, step: int, steps: int) -> bool:
        """Whether there is an evaluation after `step` of `steps` updates of a stage."""
        return step == steps or (self.every > 0 and step % self.every == 0)


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes
    ----------
    data : DataConfig
        Labelled objects.
    init : InitConfig
        What to start from.
    output : str
        Folder of the run.
    seed : int
        Of everything that is drawn.
    device : {"auto", "cpu"}
        ``auto``: the GPU where there is one.
    precision : {"auto", "float32", "bf16"}
        ``auto``: bfloat16 mixed precision where the device has it.
    class_factors : dict
        Class -> factor on its drawing probability, on top of the inverse root of its count.
    model : dict
        Keys of `ModelConfig`: all that differ from its defaults, or ``name`` and ``input_size`` of an `init.model`.
    augmentation, loss, stages, validation
        See their classes.
    """

    data: DataConfig
    init: InitConfig
    output: str = "runs/rosgeo-small"
    seed: int = 0
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    class_factors: dict[str, float] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossConfig = field(default_factory=LossConfig)
    stages: Stages = field(default_factory=lambda: Stages(cached=CachedStage()))
    validation: ValidationConfig = field(default_factory=ValidationConfig)
