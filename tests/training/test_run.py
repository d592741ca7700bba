"""Training runs: they learn, resume where they were killed, and leave files that serve."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import Result
from PIL import Image
from rosgeo.errors import ConfigError, InputFileNotFoundError, ModelError, TrainingDataError
from rosgeo.evaluation.scoring import evaluate
from rosgeo.inference.predict import Segmenter
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.config import DataConfig
from rosgeo.model.checkpoint import load_model
from rosgeo.model.lora import adapter_of
from rosgeo.model.network import ModelConfig
from rosgeo.training.config import InitConfig, LiveStage, Stages, TrainConfig, ValidationConfig
from rosgeo.training.loop import train
from rosgeo.training.losses import LossConfig
from rosgeo.training.parse import read_config
from rosgeo.training.samples import NO_AUGMENTATION, Augmentation
from rosgeo.training.start import is_encoder, parameter_groups, prepare_stage, start_network
from rosgeo.training.state import RunIdentity
from rosgeo.training.stream import Batch
from rosgeo.training.updates import TrainingPass, loss_and_figures, rate_at, silent_parameters, turn_of
from rosgeo.training.validation import served

from tests.labelled.test_data import write_scene
from tests.training.test_config import SHIPPED
from tests.training_site import tiny_run, write_backbone, write_coco, write_masks


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several, much slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run_config(tmp_path: Path, tiny_config: ModelConfig) -> TrainConfig:
    return tiny_run(tmp_path, write_coco(tmp_path / "coco"), tiny_config)


class KilledError(Exception):
    """What a test kills a run with."""


def losses_of(config: TrainConfig, *, resume: bool = False, kill_after: int | None = None) -> dict[int, float]:
    """Update -> loss of a run."""
    seen: dict[int, float] = {}

    def on_step(step: int, steps: int, figures: dict[str, float]) -> None:
        seen[step] = figures["loss"]
        if step == kill_after:
            raise KilledError

    if kill_after is None:
        train(config, resume=resume, on_step=on_step)
    else:
        with pytest.raises(KilledError):
            train(config, resume=resume, on_step=on_step)
    return seen


def test_it_overfits_eight_objects(tmp_path: Path, tiny_config: ModelConfig) -> None:
    config = tiny_run(tmp_path, write_coco(tmp_path / "coco", pictures=4), tiny_config)
    live = LiveStage(samples=400, batch_size=8, learning_rate=3e-3, encoder_rate=1e-3, rank=4, workers=0)
    config = replace(
        config,
        augmentation=replace(NO_AUGMENTATION, box_share=(2 / 3, 2 / 3)),
        stages=Stages(live=live),
        validation=ValidationConfig(every=0, objects=8, overlays=8),
    )
    result = train(config)
    assert result.final["best"] > 0.97
    # The file of the run serves as well as the network did.
    objects, _ = read_coco(tmp_path / "coco")
    evaluation = evaluate(objects, Segmenter(load_model(result.weights), device="cpu"))
    assert float(evaluation.iou.mean()) == pytest.approx(result.final["best"], abs=0.005)
    assert float(np.abs(evaluation.iou - evaluation.score).mean()) < 0.05


def test_a_run_leaves_what_it_promises(run_config: TrainConfig) -> None:
    notes: list[str] = []
    result = train(run_config, on_note=notes.append)
    folder = Path(run_config.output)
    assert result.steps == 20
    assert result.weights == folder / "tiny.safetensors"
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == list(range(1, 21))
    assert [r["stage"] for r in rows] == ["cached"] * 12 + ["live"] * 8
    assert result.final["loss"] == pytest.approx(np.mean([float(r["loss"]) for r in rows]), rel=1e-3)
    with (folder / "val.csv").open() as file:
        assert [int(r["step"]) for r in csv.DictReader(file)] == [12, 20]
    for name in ("curves.png", "overlays-000012.png", "overlays-000020.png"):
        with Image.open(folder / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    for name in ("tiny.safetensors", "tiny-last.safetensors"):
        model = load_model(folder / name)
        assert adapter_of(model.network.image_encoder) is None
        assert model.card["objects"] == 6
        assert "/" not in json.dumps(model.card["training"])
    assert any("6 objects in 3 pictures (a 4, b 2); left out: none" in note for note in notes)
    assert any(note.startswith("step 20: object_iou") for note in notes)


def test_training_learns_in_both_stages(run_config: TrainConfig) -> None:
    assert run_config.stages.cached is not None
    assert run_config.stages.live is not None
    cached = replace(run_config.stages.cached, samples=240, learning_rate=3e-3)
    live = replace(run_config.stages.live, samples=160, learning_rate=3e-3, encoder_rate=1e-3)
    losses = list(losses_of(replace(run_config, stages=Stages(cached, live))).values())
    # The detail branch and its finer grid join half-way through the first stage.
    assert np.mean(losses[20:30]) < 0.8 * np.mean(losses[:10])
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[50:60])


RECIPES = {
    "plain": {},
    "paper": {"update": "alternate", "optimizer": "adam", "schedule": "step", "step_samples": 16, "accumulate": 2},
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kill_after", [8, 17])
def test_a_killed_run_resumes_to_the_same_losses(run_config: TrainConfig, tmp_path: Path, recipe: str, kill_after: int) -> None:
    assert run_config.stages.live is not None
    live = replace(run_config.stages.live, samples=64, **RECIPES[recipe])
    loss = LossConfig(points="sampled" if recipe == "paper" else "plain", count=200)
    config = replace(run_config, stages=replace(run_config.stages, live=live), loss=loss)
    whole = losses_of(config)
    other = replace(config, output=str(tmp_path / "other"))
    killed = losses_of(other, kill_after=kill_after)
    resumed = losses_of(other, resume=True)
    assert min(resumed) == {8: 6, 17: 13}[kill_after]  # from the last checkpoint on: every fifth update of a stage, and its end
    assert {**killed, **resumed} == whole
    with (tmp_path / "other" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == sorted(whole)
    assert [float(row["loss"]) for row in rows] == pytest.approx([whole[step] for step in sorted(whole)], rel=1e-5)


def test_a_finished_run_resumes_to_its_file(run_config: TrainConfig) -> None:
    first = train(run_config)
    before = load_model(first.weights).sha256
    first.weights.with_name("tiny-last.safetensors").unlink()
    again = train(run_config, resume=True)
    assert again.steps == first.steps
    assert load_model(again.weights).sha256 == before
    last = load_model(again.weights.with_name("tiny-last.safetensors")).network.state_dict()
    assert torch.isfinite(torch.cat([v.flatten() for v in last.values()])).all()


def test_resuming_another_run_is_refused(run_config: TrainConfig, tmp_path: Path) -> None:
    losses_of(run_config, kill_after=7)
    changes: list[tuple[TrainConfig, str]] = [
        (replace(run_config, seed=1), "seed was 0, is 1"),
        (replace(run_config, augmentation=Augmentation(shift=0.3)), "augmentation.shift was 0.1, is 0.3"),
        (replace(run_config, stages=replace(run_config.stages, live=None)), "stages.live.* was .*, is not there"),
    ]
    for other, message in changes:
        with pytest.raises(TrainingDataError, match=message) as caught:
            train(other, resume=True)
        assert "\n" not in str(caught.value)
        assert "without --resume" in str(caught.value)
    content = json.loads((tmp_path / "coco" / "instances.json").read_text())
    (tmp_path / "coco" / "instances.json").write_text(json.dumps({**content, "annotations": content["annotations"][1:]}))
    with pytest.raises(TrainingDataError, match=r"train data: were 6 objects .*, are 5 objects"):
        train(run_config, resume=True)
    (Path(run_config.output) / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(TrainingDataError, match="is not a checkpoint"):
        train(run_config, resume=True)


def test_a_key_that_came_later_counts_as_its_default() -> None:
    old = RunIdentity({"seed": "0", "stages.live.rank": "2"}, {"train": "a"})
    new = RunIdentity({"seed": "0", "stages.live.rank": "2", "stages.live.neck": "true"}, {"train": "a"})
    assert old.difference(new) == ""
    sources = [
        json.dumps([{"kind": kind, "path": "a", **late}]) for kind, late in (("coco", {}), ("coco", {"masks": ""}), ("masks", {}))
    ]
    first, same, other = (replace(new, config={**new.config, "data.train": source}) for source in sources)
    assert first.difference(same) == ""
    assert "data.train was" in first.difference(other)
    assert "stages.live.neck was true, is false" in old.difference(replace(new, config={**new.config, "stages.live.neck": "false"}))


def test_how_a_run_is_done_may_change_when_it_is_resumed(run_config: TrainConfig, tmp_path: Path) -> None:
    losses_of(run_config, kill_after=16)
    assert run_config.stages.live is not None
    moved = replace(run_config, output=str(tmp_path / "moved"), validation=ValidationConfig(every=3, objects=2))
    moved = replace(moved, stages=replace(run_config.stages, live=replace(run_config.stages.live, workers=1)))
    Path(run_config.output).rename(tmp_path / "moved")
    # The first stage is done: its features are not needed any more.
    for shard in (tmp_path / "cache").iterdir():
        shard.unlink()
    assert min(losses_of(moved, resume=True)) == 13


def batch_of(network: Any, count: int = 4) -> Batch:
    torch.manual_seed(0)
    size = network.config.input_size
    image = torch.randint(0, 255, (count, 3, size, size), dtype=torch.uint8)
    boxes = torch.tensor([[10.0, 12, 40, 44]]).repeat(count, 1)
    target = torch.zeros(count, 32, 32)
    target[:, 8:24, 6:22] = 1
    return Batch(image, boxes, target)


def gradients(network: Any, stage: LiveStage, turn: Any) -> set[str]:
    """Names of the parameters that learn in a turn, detail branch and all."""
    batch = batch_of(network)
    network.zero_grad(set_to_none=True)
    loss_and_figures(TrainingPass(network)(batch, turn != "sam"), batch, turn, stage, LossConfig())[0].backward()
    silent = {id(p) for p in silent_parameters(network, turn)}
    return {n for n, p in network.named_parameters() if p.grad is not None and id(p) not in silent and p.grad.abs().sum() > 0}


def test_each_token_teaches_its_own_decoder_and_both_the_encoder(run_config: TrainConfig) -> None:
    network = start_network(run_config)
    stage = LiveStage(rank=2, update="alternate")
    prepare_stage(network, stage)
    # LoRA's first matrix has no gradient while the second is zero.
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    assert [turn_of(stage, step) for step in range(4)] == ["sam", "hq", "sam", "hq"]
    sam, hq, both = (gradients(network, stage, turn) for turn in ("sam", "hq", "both"))
    encoder = {n for n in both if is_encoder(n)}
    assert {n for n in encoder if "lora_" in n} == {n for n, _ in network.named_parameters() if "lora_" in n}
    assert any("blocks.2" in n for n in encoder)
    assert encoder <= sam & hq
    assert not {n for n in sam if ".hf_" in n or "compress_vit_feat" in n or "detail" in n or "iou_prediction" in n}
    assert not {n for n in hq if ".transformer." in n or "prompt_encoder" in n or "hypernetworks" in n or "output_upscaling" in n}
    assert {n for n in hq if ".hf_" in n} == {n for n, _ in network.named_parameters() if ".hf_" in n}
    assert any("iou_prediction" in n for n in hq)
    assert sam | hq == both


def test_only_the_last_blocks_learn(run_config: TrainConfig) -> None:
    whole = start_network(run_config)
    few = copy.deepcopy(whole)
    prepare_stage(whole, LiveStage(rank=2))
    prepare_stage(few, LiveStage(rank=2, lora_blocks=2))
    names = {n for n, p in few.named_parameters() if p.requires_grad and is_encoder(n)}
    assert {n.split("blocks.")[1].split(".")[0] for n in names} == {"1", "2"}
    batch = batch_of(few)
    features = few.image_encoder.backbone.blocks[0](
        few.image_encoder.backbone.patch_embed(few.image_encoder.normalise(batch.image))
    )
    assert not features.requires_grad
    # What does not learn does not change what is seen either: LoRA starts at nothing.
    outputs = [TrainingPass(n.eval())(batch, True).hq_logits for n in (start_network(run_config), whole, few)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    groups = parameter_groups(few, LiveStage(rank=2, lora_blocks=2))
    assert [g["lr"] for g in groups] == [LiveStage().encoder_rate, LiveStage().learning_rate]
    assert sum(len(g["params"]) for g in groups) == sum(p.requires_grad for p in few.parameters())


def test_encoder_and_decoder_can_each_be_left_as_they_are(run_config: TrainConfig) -> None:
    network = start_network(run_config)
    prepare_stage(network, LiveStage(rank=0, last_block=False))
    assert adapter_of(network.image_encoder) is None
    assert not any(p.requires_grad for p in network.image_encoder.backbone.parameters())
    network = start_network(run_config)
    prepare_stage(network, LiveStage(rank=0, learning_rate=0.0))
    assert {n.split(".")[3] for n, p in network.named_parameters() if p.requires_grad} == {"2"}


def test_accumulated_passes_are_one_larger_pass(run_config: TrainConfig, tmp_path: Path) -> None:
    assert run_config.stages.live is not None
    weights = []
    for name, batch_size, accumulate in (("one", 4, 1), ("two", 2, 2)):
        live = replace(run_config.stages.live, samples=8, batch_size=batch_size, accumulate=accumulate, optimizer="adam")
        config = replace(run_config, stages=Stages(live=live), output=str(tmp_path / name))
        train(config)
        weights.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["trained"])
    # Adam makes a whole step of a gradient that is nothing but rounding, as a weight has here and there, and each bias of keys, which
    # shifts all logits of a softmax alike.
    one, two = (torch.cat([value.flatten() for name, value in w.items() if not name.endswith("k_proj.bias")]) for w in weights)
    apart = (one - two).abs() > 2e-4 + 1e-3 * two.abs()
    assert float(apart.float().mean()) < 1e-3


def test_merging_changes_nothing_that_is_served(run_config: TrainConfig) -> None:
    network = start_network(run_config)
    prepare_stage(network, LiveStage(rank=2))
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of(network)
    merged = served(network, "hq")
    with torch.no_grad():
        torch.testing.assert_close(
            merged(batch.image, batch.boxes_model).hq_logits, network.eval()(batch.image, batch.boxes_model).hq_logits
        )
    assert adapter_of(network.image_encoder) is not None
    assert set(merged.state_dict()) == set(start_network(run_config).state_dict())


def test_learning_rates() -> None:
    cosine = LiveStage(warmup=0.1)
    rates = [rate_at(cosine, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1)
    assert np.argmax(rates) in (9, 10)
    assert rates[-1] < 0.02
    # Six epochs of 100 objects, a tenth after every second.
    step = LiveStage(schedule="step", epochs=6, step_epochs=2, batch_size=10).with_epochs(100)
    assert [rate_at(step, n, 60) for n in (0, 19, 20, 39, 40, 59)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_cache_of_other_settings_is_refused(run_config: TrainConfig) -> None:
    assert run_config.stages.cached is not None
    small = replace(run_config, stages=Stages(replace(run_config.stages.cached, samples=4)))
    train(small)
    with pytest.raises(TrainingDataError, match="other data or settings"):
        train(replace(small, augmentation=Augmentation(shift=0.3)))
    shard = next(Path(run_config.stages.cached.folder).iterdir())
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(TrainingDataError, match="is damaged"):
        train(small)


def test_the_cache_is_the_same_whoever_makes_it(run_config: TrainConfig, tmp_path: Path) -> None:
    assert run_config.stages.cached is not None
    small = replace(run_config.stages.cached, samples=16)
    first = losses_of(replace(run_config, stages=Stages(small)))
    apart = replace(small, folder=str(tmp_path / "apart"), workers=1)
    assert losses_of(replace(run_config, stages=Stages(apart), output=str(tmp_path / "apart_run"))) == pytest.approx(
        first, rel=1e-4
    )


def test_what_training_cannot_start_from(run_config: TrainConfig, tmp_path: Path, tiny_model: Path) -> None:
    def start(model: dict[str, Any] | None = None, **init: str) -> None:
        start_network(replace(run_config, init=InitConfig(**init), model=run_config.model if model is None else model))

    with pytest.raises(InputFileNotFoundError, match=r"none\.safetensors"):
        start(backbone="none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingDataError, match="not a whole safetensors file"):
        start(backbone=str(tmp_path / "torn.safetensors"))
    with pytest.raises(TrainingDataError, match="does not fit the backbone"):
        start(backbone=str(run_config.init.backbone), model={**run_config.model, "backbone_dim": 64})
    with pytest.raises(ModelError, match="unknown model 'rosgeo-smal'"):
        start_network(replace(run_config, init=InitConfig(model="rosgeo-smal"), model={}))
    with pytest.raises(ConfigError, match=r"model\.detail_size is 64, but .* has 32"):
        start_network(replace(run_config, init=InitConfig(model=str(tiny_model)), model={"detail_size": 64}))
    network = start_network(replace(run_config, init=InitConfig(model=str(tiny_model)), model={"name": "mine", "input_size": 112}))
    assert (network.config.name, network.config.input_size) == ("mine", 112)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_recipes_run(
    path: Path, tmp_path: Path, tiny_model: Path, tiny_config: ModelConfig, write_raster: Callable[..., Path]
) -> None:
    """Two updates of each stage of each recipe, on a tiny model and tiny data of the kind that the recipe is for."""
    config = read_config(path)
    kind = config.data.train[0].kind
    if kind == "raster":
        data = {"train": [asdict(write_scene(tmp_path, write_raster))], "split": {"by": "blocks", "block_px": 60, "share": 0.3}}
    else:
        write = write_coco if kind == "coco" else write_masks
        data: dict[str, Any] = {side: [{"kind": kind, "path": str(write(tmp_path / side))}] for side in ("train", "val")}
        # The same made-up pictures on both sides.
        data["same_ground"] = True
    changes = [f"output={tmp_path / 'run'}", f"augmentation.low_resolution_px={list(config.augmentation.low_resolution_px)}"]
    changes += ["validation.every=0", "validation.objects=2", "stages.live.workers=0", "stages.live.lora_blocks=2"]
    changes += [f"stages.live.samples={2 * config.stages.live.batch_size}", "stages.live.epochs=null"] if config.stages.live else []
    if config.stages.cached is not None:
        changes += [f"stages.cached.{k}={v}" for k, v in {"crops": 8, "crops_a_file": 8, "samples": 16, "workers": 0}.items()]
        changes += [f"stages.cached.folder={tmp_path / 'cache'}", "class_factors={}"]
    if config.init.backbone is not None:
        changes.append(f"init.backbone={write_backbone(tmp_path / 'b.safetensors', tiny_config)}")
        changes.append(f"model={json.dumps(vars(tiny_config))}")
    else:
        changes.append(f"init.model={tiny_model}")
        changes += ["model.input_size=112"] if "input_size" in config.model else []
    config = read_config(path, tuple(changes))
    config = replace(config, data=_data(data))
    result = train(config)
    assert result.steps == 2 * sum(stage is not None for stage in (config.stages.cached, config.stages.live))
    assert np.isfinite(result.final["loss"])
    assert load_model(result.weights).name == result.weights.stem


def _data(values: dict[str, Any]) -> DataConfig:
    from rosgeo.training.parse import build_config

    return build_config({"data": values, "init": {"model": "x"}}, "test").data


def test_training_without_validation_keeps_the_last(run_config: TrainConfig) -> None:
    data = replace(run_config.data, val=())
    result = train(replace(run_config, data=data))
    assert result.final["best"] == -1
    assert load_model(result.weights).card["steps"] == 20
    assert not (Path(run_config.output) / "val.csv").exists()


def test_sam_alone_is_scored_by_its_own_mask(run_config: TrainConfig) -> None:
    assert run_config.stages.live is not None
    live = replace(run_config.stages.live, samples=400, batch_size=8, learning_rate=3e-3, update="sam")
    result = train(replace(run_config, stages=Stages(live=live)))
    assert result.final["best"] > 0.6
    assert result.final["iou_hq"] < 0.5


def test_the_train_command(run_config: TrainConfig, tmp_path: Path, cli: Callable[..., Result]) -> None:
    values = json.loads(json.dumps({**asdict(run_config), "output": str(tmp_path / "by_command")}))
    values["data"] = {"train": run_config.data.train[0].path, "val": run_config.data.train[0].path, "same_ground": True}
    values["init"] = {"backbone": run_config.init.backbone}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    result = cli("train", tmp_path / "run.yaml", "--set", "stages.cached.samples=8", "--set", "stages.live=null")
    assert result.exit_code == 0, result.output
    weights = tmp_path / "by_command" / "tiny.safetensors"
    assert str(weights) in result.stdout
    assert "6 objects in 3 pictures" in result.stderr
    assert load_model(weights).card["steps"] == 2
    again = cli("train", tmp_path / "run.yaml", "--set", "stages.cached.samples=12", "--set", "stages.live=null", "--resume")
    assert again.exit_code == 2
    assert "stages.cached.samples was 8, is 12" in again.stderr
    refused = cli("train", tmp_path / "run.yaml", "--set", "stages.cached.sampels=8")
    assert refused.exit_code == 2
    assert "did you mean 'samples'" in refused.stderr
