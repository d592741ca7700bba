"""Which side labels lie on: columns at their word, and never the same ground, picture or outline on both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image
from rosgeo.errors import TrainingDataError
from rosgeo.labelled.config import DataConfig, DataSource, SplitConfig
from rosgeo.labelled.sources import read_data

from tests.label_site import coco, on_map, rings, save_picture, write_json, write_layer, write_scene
from tests.training_site import ellipse, picture, write_coco

COLUMN = SplitConfig(by="column", column="part")


def with_parts(folder: Path, parts: list[Any]) -> DataConfig:
    """A raster with a label for each value of a column."""
    shapes = [on_map(shapely.Polygon(ellipse(8 + 18 * i, 20, 6, 5))) for i in range(len(parts))]
    scene, labels = write_scene(folder / "scene.tif"), write_layer(folder / "l.gpkg", shapes, part=parts)
    return DataConfig(train=(DataSource(kind="raster", raster=str(scene), labels=str(labels), class_column="part"),), split=COLUMN)


@pytest.mark.parametrize(
    ("parts", "train", "val", "said"),
    [
        (["train", "train", "valid"], {"train"}, {"valid"}, "training: train 2; validation: valid 1"),
        (["train", "val", "test"], {"train"}, {"val"}, "training: train 1; validation: val 1; on neither side: test 1"),
        (["Training", "dev", None], {"Training"}, {"dev"}, "training: Training 1; validation: dev 1; on neither side: none 1"),
        (
            [" Train", "VALIDATION ", "train"],
            {"Train", "train"},
            {"VALIDATION"},
            "training: Train 1, train 1; validation: VALIDATION 1",
        ),
    ],
)
def test_a_column_is_taken_at_its_word(parts: list[Any], train: set[str], val: set[str], said: str, tmp_path: Path) -> None:
    for seed in range(3):
        config = with_parts(tmp_path, parts)
        data = read_data(replace(config, split=replace(COLUMN, seed=seed)))
        assert [{o.group for o in side} for side in (data.train, data.val)] == [train, val]
    assert data.report[-1] == f"  values of 'part': {said}"


def test_a_mixture_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="split by column 'part': 'north', 'south' beside 'train'; expected train and val"):
        read_data(with_parts(tmp_path, ["train", "north", "south"]))
    drawn = read_data(with_parts(tmp_path, ["north", "south", "west"]))
    assert len(drawn.val) == 1
    with pytest.raises(TrainingDataError, match="2 objects for training and 0 for validation"):
        read_data(with_parts(tmp_path, ["train", "train", "test"]))
    with pytest.raises(TrainingDataError, match="'trainval' beside 'test'; expected train and val"):
        read_data(with_parts(tmp_path, ["trainval", "test", "trainval"]))


def test_what_has_no_value_is_on_neither_side_of_a_draw(tmp_path: Path) -> None:
    data = read_data(with_parts(tmp_path, ["north", "south", None, " "]))
    assert {o.group for o in (*data.train, *data.val)} == {"north", "south"}
    assert data.report[-1].endswith("on neither side: none 2")


def test_an_outline_on_both_sides_is_refused(tmp_path: Path) -> None:
    shape = on_map(shapely.Polygon(rings()[0]))
    scene, labels = write_scene(tmp_path / "s.tif"), write_layer(tmp_path / "l.gpkg", [shape, shape], part=["train", "val"])
    source = DataSource(kind="raster", raster=str(scene), labels=str(labels))
    with pytest.warns(match="have the outline of another label"), pytest.raises(TrainingDataError, match=r"1 outlines of .*s\.tif"):
        read_data(DataConfig(train=(source,), split=COLUMN))


def test_the_same_picture_under_another_name_is_on_one_side(tmp_path: Path) -> None:
    for side in ("train", "val"):
        save_picture(tmp_path / side / "images" / f"{side}.png")
        write_json(tmp_path / side / "instances.json", coco(f"{side}.png"))
    sides = [(DataSource(path=str(tmp_path / side)),) for side in ("train", "val")]
    with pytest.raises(
        TrainingDataError, match=r"train\.png in 'train' and .*val\.png in 'val' are the same picture, byte for byte"
    ):
        read_data(DataConfig(train=sides[0], val=sides[1]))
    # Compressed once more it is the same picture still.
    Image.open(tmp_path / "val/images/val.png").save(tmp_path / "val/images/val.jpg", quality=90)
    write_json(tmp_path / "val" / "instances.json", coco("val.jpg"))
    with pytest.raises(TrainingDataError, match="which show the same with the same outlines"):
        read_data(DataConfig(train=sides[0], val=sides[1]))
    # Other pictures may have the same outlines: of a camera that stands still, of made-up data.
    Image.fromarray(np.roll(255 - picture(1)[0], 7, axis=0)).save(tmp_path / "val/images/val.jpg")
    assert len(read_data(DataConfig(train=sides[0], val=sides[1])).val) == 2
    # Of one source, twins stay together.
    root = write_coco(tmp_path / "coco", pictures=3)
    content = json.loads((root / "instances.json").read_text())
    (root / "images" / "1.png").write_bytes((root / "images" / "0.png").read_bytes())
    write_json(root / "instances.json", content)
    for seed in range(4):
        data = read_data(DataConfig(train=(DataSource(path=str(root)),), split=SplitConfig(by="file", share=0.3, seed=seed)))
        assert len({o.image_path.name for o in data.train} & {"0.png", "1.png"}) in (0, 2)


def test_tiles_of_common_ground_are_on_one_side(tmp_path: Path) -> None:
    """Georeferenced pictures of a COCO folder: those that overlap are one."""
    content = coco("p.tif")
    images, notes = [], []
    for i, offset in enumerate((0, 60, 400, 800)):
        write_scene(tmp_path / "images" / f"{i}.tif", picture(i)[0].transpose(2, 0, 1), transform=_moved(offset))
        images.append({**content["images"][0], "id": i, "file_name": f"{i}.tif"})
        notes += [{**note, "id": len(notes) + k, "image_id": i} for k, note in enumerate(content["annotations"])]
    write_json(tmp_path / "instances.json", {**content, "images": images, "annotations": notes})
    for seed in range(4):
        data = read_data(DataConfig(train=(DataSource(path=str(tmp_path)),), split=SplitConfig(by="file", share=0.3, seed=seed)))
        assert len({o.image_path.name for o in data.train} & {"0.tif", "1.tif"}) in (0, 2)


def _moved(columns: float) -> Any:
    from affine import Affine

    from tests.label_site import TRANSFORM

    return TRANSFORM @ Affine.translation(columns, 0)


def test_areas_divide_one_raster(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif")
    labels = write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(r)) for r in rings()])
    areas = {
        name: str(write_layer(tmp_path / f"{name}.gpkg", [on_map(shapely.box(*box))]))
        for name, box in {"west": (0, 0, 60, 90), "east": (60, 0, 120, 90), "middle": (50, 0, 120, 90)}.items()
    }
    source = DataSource(kind="raster", raster=str(scene), labels=str(labels))
    west, east, middle = (replace(source, area=areas[name]) for name in ("west", "east", "middle"))
    with pytest.warns(match="1 of 2 labels are left out: 1 outside the labelled area"):
        data = read_data(DataConfig(train=(west,), val=(east,)))
    assert [len(side) for side in (data.train, data.val)] == [1, 1]
    for other in (middle, source):
        with (
            pytest.warns(match="outside the labelled area"),
            pytest.raises(TrainingDataError, match=r"s\.tif is both in 'train' and in 'val'"),
        ):
            read_data(DataConfig(train=(west,), val=(other,)))
