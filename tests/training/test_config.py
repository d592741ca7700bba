"""Configuration files of training: strict keys, shipped files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rosgeo.errors import ConfigError, InputFileNotFoundError
from rosgeo.labelled.config import DataSource
from rosgeo.training.config import CachedStage, InitConfig, LiveStage
from rosgeo.training.parse import build_config, read_config

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))
SIMPLE = {"train": "a", "val": "b", "backbone": "c.safetensors"}


def test_all_recipes_are_there() -> None:
    assert [p.stem for p in SHIPPED] == ["fine-tune", "ros-sam-vit-b", "ros-sam-vit-l", "rosgeo-small"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_configurations_parse(path: Path) -> None:
    config = read_config(path, ("stages.live.samples=80", "seed=3"))
    assert config.stages.live is not None
    assert (config.stages.live.samples, config.seed) == (80, 3)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_key_of_a_shipped_configuration_is_commented(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    values = [line for line in lines if line.split("#")[0].rstrip()[-1] != ":"]
    bare = [line for line in values if "#" not in line and not line.strip().startswith(("name:", "path:", "- kind:"))]
    assert bare == []


def test_defaults_named_in_the_comments_are_the_defaults() -> None:
    """A number in brackets at the end of a comment is the default of its key."""
    stages = {"cached": CachedStage(), "live": LiveStage()}
    for path in SHIPPED:
        stage: Any = None
        for line in path.read_text().splitlines():
            key, _, rest = line.strip().partition(":")
            if line.startswith("  ") and key in stages:
                stage = stages[key]
            elif not line.startswith("    "):
                stage = None
            elif stage is not None and rest.rstrip().endswith("]"):
                stated = yaml.safe_load(rest.rstrip()[:-1].rpartition("[")[2])
                default = getattr(stage, key)
                same = default is None if stated == "none" else stated == default or float(stated) == default
                assert same, (path.name, line)


def test_short_and_long_forms_are_the_same() -> None:
    long = {"data": {"train": [{"kind": "auto", "path": "a"}], "val": ["b"]}, "init": {"backbone": "c.safetensors"}}
    assert build_config(dict(SIMPLE), "x") == build_config(long, "x")
    config = build_config({"data": {"train": "a", "split": {"by": "blocks"}}, "init": {"model": "rosgeo-small"}}, "x")
    assert config.data.train == (DataSource(path="a"),)
    assert config.init == InitConfig(model="rosgeo-small")
    assert config.stages.cached == CachedStage()
    assert config.stages.live is None


def test_overrides_reach_into_lists_and_leave_stages_out() -> None:
    path = CONFIGS / "fine-tune.yaml"
    config = read_config(path, ("data.train.0.raster=b.tif", "data.train.0.bands='4,3,2'", "stages.cached={samples: 80}"))
    assert (config.data.train[0].raster, config.data.train[0].bands) == ("b.tif", "4,3,2")
    assert config.stages.cached == CachedStage(samples=80)
    assert read_config(CONFIGS / "rosgeo-small.yaml", ("stages.cached=null",)).stages.cached is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("stages.live.sampels=80",), "unknown key 'sampels'; did you mean 'samples'"),
        (("stages.live.samples=many",), "samples: expected int, found 'many'"),
        (("stages.live.samples=true",), "samples: expected int, found True"),
        (("stages.live.samples=4",), "4 samples are less than one update of 8 x 1"),
        (("stages.live.update=joint",), "update: expected both, alternate, sam, hq, found 'joint'"),
        (("stages.live=3",), "live: expected a mapping"),
        (("stages.live=null", "stages.cached=null"), "'stages' is empty"),
        (("loss.points=some",), "points: expected plain, sampled"),
        (("model.inputsize=3",), "unknown key 'inputsize'; did you mean 'input_size'"),
        (("model.input_size=big",), "input_size: expected int"),
        (("augmentation.box_share=[0.1]",), "box_share: expected 2 values"),
        (("augmentation.box_share=[0.9,0.1]",), "augmentation.box_share"),
        (("augmentation.flip=1",), "flip: expected bool"),
        (("data.train=[{kind: raster, raster: a.tif}]",), "kind raster needs the key 'labels'"),
        (("data.train=[{kind: coco, path: a, layer: b}]",), "kind coco has no key 'layer'"),
        (
            ("data.train=[{kind: shapes, path: a}]",),
            "kind: expected auto, coco, raster, masks, frames, yolo, labelme, labelstudio, found 'shapes'",
        ),
        (("data.train=[{kind: frames, path: a}]",), "kind frames needs the key 'masks'"),
        (("data.train=[{kind: masks, path: a, masks: b}]",), "kind masks has no key 'masks'"),
        (("data.train=[]",), "no training data"),
        (("data.split.by=column", "data.split.column=null"), "needs the key 'column'"),
        (("data.split.share=2",), "share 2.0"),
        (("data.val=[a]",), "both 'val' and 'split'"),
        (("val=a",), "'val' is given both"),
        (("backbone=a",), "both 'backbone' and 'init'"),
        (("init.backbone=a",), "just one of 'backbone'"),
        (("seed",), "expected key=value"),
        (("seed.a=1",), "'seed' holds 0, not a mapping"),
        (("data.train.1.raster=a",), "there is no '1'"),
        (("seed=[",), "not valid YAML"),
    ],
)
def test_configuration_errors(change: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(CONFIGS / "fine-tune.yaml", change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configuration_needs_its_keys(tmp_path: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match=r"a\.yaml"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("train: x\nval: y\n")
    with pytest.raises(ConfigError, match=r"missing key 'init'.*backbone"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("init: {model: rosgeo-small}\n")
    with pytest.raises(ConfigError, match="no training data"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("train: [\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="expected a mapping of keys, found list"):
        read_config(tmp_path / "a.yaml")


def test_epochs_are_turned_into_samples() -> None:
    stage = LiveStage(epochs=24, step_epochs=4, batch_size=1).with_epochs(100)
    assert (stage.samples, stage.step_samples, stage.steps(), stage.steps(4)) == (2400, 400, 2400, 600)
    assert LiveStage(samples=64).with_epochs(100) == LiveStage(samples=64)
