"""The training loop: one stage after the other, checkpointed, measured, and resumable where it was killed."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rosgeo.errors import OptionError, OutputError
from rosgeo.files.locks import written_alone
from rosgeo.inference.device import choose_device, choose_precision
from rosgeo.labelled.sources import TrainingData, read_data, write_labels_report
from rosgeo.model.adapters import save_adapter
from rosgeo.model.lora import LoraOptions
from rosgeo.training.config import CachedStage, LiveStage, Optimisation, TrainConfig
from rosgeo.training.features import cached_batches, mask_size_of, prepare_cache
from rosgeo.training.report import RunLog
from rosgeo.training.start import parameter_groups, prepare_stage, start_network
from rosgeo.training.state import Position, RunIdentity, load_state, plain_config, save_state
from rosgeo.training.stream import Batch, LiveSamples, ObjectDraw, live_batches
from rosgeo.training.updates import TrainingPass, loss_and_figures, make_optimizer, rate_at, silent_parameters, turn_of
from rosgeo.training.validation import Token, Validation, save_served

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped]

__all__ = ["TrainResult", "train"]

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
"""Name of the file, in the folder of a run, that a killed run goes on from."""

OnStep = Callable[[int, int, dict[str, float]], None]
OnNote = Callable[[str], None]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished run left.

    Attributes
    ----------
    weights : Path
        The float16 weights file: the best by validation IoU, the last where there is no validation.
    steps : int
        Updates in all.
    final : dict
        Means of the last updates: loss, iou_hq, iou_sam, iou_error; and `best`, the best validation IoU.
    """

    weights: Path
    steps: int
    final: dict[str, float]


def train(
    config: TrainConfig, *, resume: bool = False, on_step: OnStep | None = None, on_note: OnNote | None = None
) -> TrainResult:
    """Run a configuration to its end.

    Parameters
    ----------
    config : TrainConfig
        The run.
    resume : bool
        Go on from the run's last checkpoint; without one, start.
    on_step : callable, optional
        Called with the update, the updates in all and the figures of each update.
    on_note : callable, optional
        Called with a line of text on data, stages and evaluations.

    Returns
    -------
    TrainResult

    Notes
    -----
    Everything that is drawn depends on the seed and on the number of the update or sample that it is drawn for, so a checkpoint needs
    no state of a random generator, and a killed run that is resumed sees what one that was not killed sees.
    """
    _keep_memory()
    data = read_data(config.data)
    with _folder_alone(Path(config.output)):
        run = Run(config, data, resume, on_step or _ignore, on_note or _ignore)
        for name in run.stages:
            if not run.is_done(name):
                _run_stage(run, name)
        return run.finish()


@contextmanager
def _folder_alone(folder: Path) -> Iterator[None]:
    """Make the folder of a run, and keep other runs from writing to it; a new one that stays empty goes again."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} of the run cannot be made: {error.strerror or error}") from error
    # Of several processes that train together, the first writes.
    alone = [folder / CHECKPOINT] if os.environ.get("RANK", "0") == "0" else []
    try:
        with written_alone(alone):
            yield
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def _keep_memory() -> None:
    """Have the C library keep what is freed: giving each activation back to the system and faulting it in anew costs a tenth and more."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 2**31 - 1)
            libc.mallopt(_M_TRIM_THRESHOLD, -1)


def _ignore(*_: Any) -> None:
    """A callback for nobody."""


class Run:
    """A run under way: its data, network, position and records.

    Parameters
    ----------
    config, data
        What is trained on what.
    resume : bool
        Whether to look for a checkpoint.
    on_step, on_note
        See `train`.
    """

    def __init__(self, config: TrainConfig, data: TrainingData, resume: bool, on_step: OnStep, on_note: OnNote) -> None:
        self.config, self.data = config, data
        self.accelerator = _accelerator(config)
        # Of several processes one speaks.
        is_main = self.accelerator.is_main_process
        self.on_step: OnStep = on_step if is_main else _ignore
        self.on_note: OnNote = on_note if is_main else _ignore
        for line in data.report:
            self.on_note(line)
        if any(report.suspicious for report in data.sources):
            self.on_note("rosgeo check shows such labels on their pictures")
        self.stages: dict[str, Optimisation] = {
            name: stage.with_epochs(len(data.train))
            for name, stage in (("cached", config.stages.cached), ("live", config.stages.live))
            if stage is not None
        }
        self.network = start_network(config)
        self.lora: LoraOptions | None = None
        self.steps = {name: stage.steps(self.accelerator.num_processes) for name, stage in self.stages.items()}
        self.folder = Path(config.output)
        self.identity = RunIdentity.of(config, data.fingerprints(), self.accelerator.num_processes)
        if is_main:
            write_labels_report(self.folder / "labels.json", self.data)
        self.saved = load_state(self.folder / CHECKPOINT, self.identity) if resume else None
        self.position = self.saved["position"] if self.saved else Position(next(iter(self.stages)), 0)
        self.log = RunLog(self.folder, self.position.total) if is_main else None
        self.validation = Validation(config, data.val)
        self.recent: list[dict[str, float]] = []

    def is_done(self, name: str) -> bool:
        """Whether a stage lies behind the checkpoint."""
        order = [*self.stages, "done"]
        return order.index(name) < order.index(self.position.stage)

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Put back what the checkpoint holds, once the stage has made its parameters."""
        if self.saved is None:
            return
        self.network.load_state_dict(self.saved["trained"], strict=False)
        if self.saved["optimizer"] is not None:
            optimizer.load_state_dict(self.saved["optimizer"])
        self.on_note(f"resumed in stage {self.position.stage} at step {self.position.step}")
        self.saved = None

    def checkpoint(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Write where the run stands."""
        if self.accelerator.is_main_process:
            save_state(self.folder / CHECKPOINT, self.network, optimizer, self.position, self.identity)

    def record(self, stage: str, rates: list[float], figures: dict[str, float]) -> None:
        """Log an update and tell of it."""
        self.recent = [*self.recent[-99:], figures]
        if self.log is not None:
            row = {"step": self.position.total, "stage": stage, "rate": rates[-1], **figures}
            self.log.step({**row, "seconds": round(self.position.seconds, 1)})
        self.on_step(self.position.total, sum(self.steps.values()), figures)

    def evaluate(self, stage: str) -> None:
        """Score the network as it would be served; keep it where it is the best so far."""
        if self.log is None or not self.data.val:
            return
        figures = self.validation.run(self.network, self.accelerator.device, self.folder, self.position.total, self.token)
        self.log.validation({"step": self.position.total, "stage": stage, **figures})
        self.on_note(f"step {self.position.total}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))
        if figures["object_iou"] > self.position.best:
            self.position = replace(self.position, best=float(figures["object_iou"]))
            self.save(self.weights, self.card(figures))

    def save(self, path: Path, card: dict[str, Any]) -> None:
        """Write the network as one file and, where it has an adapter on a model that has a name or file, that as a small one."""
        save_served(self.network, path, self.token, card)
        if self.lora is not None and self.config.init.model is not None:
            small = path.with_name(f"{path.stem}-adapter.safetensors")
            self.network.config = replace(self.network.config, mask_token=self.token)
            save_adapter(self.network, small, base=self.config.init.model, lora=self.lora, card=card)

    @property
    def token(self) -> Token:
        """Whose mask the run teaches to serve."""
        return "sam" if list(self.stages.values())[-1].update == "sam" else "hq"

    @property
    def weights(self) -> Path:
        """The file that the run is for."""
        return self.folder / f"{self.network.config.name}.safetensors"

    def card(self, validation: dict[str, float] | None = None) -> dict[str, Any]:
        """What goes into a weights file beside the weights."""
        return {
            "training": plain_config(self.config),
            "objects": len(self.data.train),
            "labels": [report.as_dict() for report in self.data.sources],
            "steps": self.position.total,
            "seconds": round(self.position.seconds),
            "validation": validation or {},
        }

    def finish(self) -> TrainResult:
        """Write the last weights; those of the run are the best, or the last where nothing was measured."""
        names = list(self.recent[0]) if self.recent else []
        final = {name: sum(row[name] for row in self.recent) / len(self.recent) for name in names}
        if self.saved is not None:
            self.lora = prepare_stage(self.network, list(self.stages.values())[-1])
            self.network.load_state_dict(self.saved["trained"], strict=False)
        if self.log is not None:
            last = self.weights.with_name(f"{self.weights.stem}-last.safetensors")
            self.save(last, self.card())
            if self.position.best < 0:
                for file in self.folder.glob(f"{last.stem}*.safetensors"):
                    file.replace(file.with_name(file.name.replace("-last", "", 1)))
            self.log.close()
        self.accelerator.end_training()
        return TrainResult(self.weights, self.position.total, {**final, "best": self.position.best})


def _accelerator(config: TrainConfig) -> Accelerator:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
    from accelerate.utils import DistributedDataParallelKwargs  # type: ignore[import-untyped]

    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    # A process may train more than once, each time in another precision; accelerate keeps the first one's settings for all.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        return Accelerator(
            mixed_precision="bf16" if precision == torch.bfloat16 else "no",
            cpu=device.type == "cpu",
            # In a turn of one token the parameters of the other have no gradient.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
    except ValueError as error:
        raise OptionError(f"precision {config.precision!r} on {device}: {error}") from error


def _run_stage(run: Run, name: str) -> None:
    """Train one stage from where it stands to its end."""
    stage, steps = run.stages[name], run.steps[name]
    run.lora = prepare_stage(run.network, stage, _seed_of(run.config.seed, 0))
    accelerator = run.accelerator
    accelerator.gradient_accumulation_steps = stage.accumulate
    optimizer = make_optimizer(parameter_groups(run.network, stage), stage)
    # The network goes to the device before the optimizer's state does.
    run.network.to(accelerator.device)
    first = run.position.step if run.position.stage == name else 0
    run.restore(optimizer)
    model, optimizer = accelerator.prepare(TrainingPass(run.network), optimizer)
    batches = _batches(run, stage, range(first, steps))
    run.network.train()
    run.on_note(f"stage {name}: {steps} updates of {stage.batch_size * stage.accumulate * accelerator.num_processes} objects")
    if run.config.init.model is not None and run.position.total == 0:
        # What training starts from is the one to beat.
        run.evaluate(name)
    for step in range(first, steps):
        started = time.monotonic()
        rates = _set_rates(optimizer, stage, step, steps)
        figures = _update(run, stage, step, model, optimizer, batches)
        spent = run.position.seconds + time.monotonic() - started
        run.position = replace(run.position, stage=name, step=step + 1, total=run.position.total + 1, seconds=spent)
        run.record(name, rates, figures)
        if run.config.validation.is_due(step + 1, steps):
            run.evaluate(name)
        if (step + 1) % run.config.validation.checkpoint_every == 0 and step + 1 < steps:
            run.checkpoint(optimizer)
    following = [*run.stages, "done"][list(run.stages).index(name) + 1]
    run.position = replace(run.position, stage=following, step=0)
    run.checkpoint(None)
    if following != "done":
        accelerator.free_memory()


def _batches(run: Run, stage: Optimisation, steps: range) -> Iterator[Batch]:
    """The batches that this process sees from update `steps.start` on: every n-th of n processes."""
    processes, own = run.accelerator.num_processes, run.accelerator.process_index
    numbers = range(steps.start * stage.accumulate * processes + own, steps.stop * stage.accumulate * processes, processes)
    if isinstance(stage, CachedStage):
        with run.accelerator.main_process_first():
            cache = prepare_cache(run.config, stage, run.network, run.data.train)
        return cached_batches(cache, stage, run.config.seed, numbers)
    assert isinstance(stage, LiveStage)
    draw = ObjectDraw(run.data.train, run.config.class_factors)
    config = run.network.config
    sizes = config.input_size, mask_size_of(run.network)
    samples = LiveSamples(draw, run.config.augmentation, *sizes, run.config.seed, stage.objects_a_crop)
    order = [n * stage.batch_size + i for n in numbers for i in range(stage.batch_size)]
    return live_batches(samples, order, stage.batch_size, stage.workers)


def _set_rates(optimizer: torch.optim.Optimizer, stage: Optimisation, step: int, steps: int) -> list[float]:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate_at(stage, step, steps)
    return [float(group["lr"]) for group in optimizer.param_groups]


def _update(
    run: Run, stage: Optimisation, step: int, model: Any, optimizer: torch.optim.Optimizer, batches: Iterator[Batch]
) -> dict[str, float]:
    """One update, over as many passes as are accumulated; means of its figures."""
    accelerator = run.accelerator
    turn = turn_of(stage, step)
    refine = turn != "sam" and step >= run.steps[_name_of(run, stage)] * stage.coarse_share
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    silent = silent_parameters(run.network, turn)
    torch.manual_seed(_seed_of(run.config.seed, step, accelerator.process_index))
    passes: list[dict[str, torch.Tensor]] = []
    for _ in range(stage.accumulate):
        batch = next(batches).to(accelerator.device)
        with accelerator.accumulate(model):
            total, figures = loss_and_figures(model(batch, refine), batch, turn, stage, run.config.loss)
            accelerator.backward(total)
            passes.append(figures)
            if accelerator.sync_gradients:
                for parameter in silent:
                    parameter.grad = None
                if stage.clip_norm > 0:
                    accelerator.clip_grad_norm_(parameters, stage.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    means = torch.stack([torch.stack(list(f.values())) for f in passes]).mean(0)
    return dict(zip(passes[0], accelerator.reduce(means, "mean").tolist(), strict=True))


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _name_of(run: Run, stage: Optimisation) -> str:
    return next(name for name, other in run.stages.items() if other is stage)
