"""Where labelled objects come from, and how they are divided."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rosgeo
import shapely
from affine import Affine
from rosgeo.errors import BoxesError, InputFileNotFoundError, LabelsWarning, OptionError, TrainingDataError, UserInputError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.geometry.plan import make_plan
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import PADDING_RGB, batch_crops
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.config import DataConfig, DataSource, SplitConfig
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject, read_crop
from rosgeo.labelled.sources import read_data, read_source
from rosgeo.labelled.split import split_objects
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.prompts import place_boxes
from rosgeo.training.samples import NO_AUGMENTATION, Augmentation, make_sample
from rosgeo.types import CropWindow
from rosgeo.vector.layers.read import read_boxes

from tests.training_site import ELLIPSES, HEIGHT, WIDTH, ellipse, picture, write_coco, write_frames, write_masks

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
TURNED = UTM * Affine.rotation(25)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco")


def write_scene(folder: Path, write_raster: Callable[..., Path], transform: Affine = UTM, name: str = "scene") -> DataSource:
    """A 16-bit raster in UTM of one picture, and its outlines in degrees with a class; one has a hole, one is cut by the edge."""
    pixels, rings = picture(0)
    raster = write_raster(f"{name}.tif", array=(pixels.transpose(2, 0, 1).astype(np.uint16) * 40), transform=transform)
    hole = ellipse(*ELLIPSES[0][:2], 4, 3)
    outlines = [shapely.Polygon(rings[0], [hole]), shapely.Polygon(rings[1]), shapely.box(110, -10, 130, 20)]
    labels = gpd.GeoDataFrame(
        {"kind": ["tank", "tank", "roof"], "part": ["train", "val", "train"]},
        geometry=[shapely.transform(o, AffineMapping(transform).to_map) for o in outlines],
        crs="EPSG:32633",
    ).to_crs("EPSG:4326")
    path = folder / f"{name}.gpkg"
    labels.to_file(path, layer="labels")
    return DataSource(kind="raster", raster=str(raster), labels=str(path), class_column="kind")


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north-up", "turned"])
def test_polygons_of_another_crs_lie_on_their_objects(tmp_path: Path, write_raster: Callable[..., Path], transform: Affine) -> None:
    objects, left_out = read_source(write_scene(tmp_path, write_raster, transform))
    assert left_out == {}
    assert [o.category for o in objects] == ["tank", "tank", "roof"]
    for labelled in objects[:2]:
        window = CropWindow(0, 0, max(labelled.height, labelled.width))
        image, valid = read_crop(labelled, window)
        inside = polygon_mask(labelled.rings, (window.size, window.size))
        bright = image.max(axis=0) > 120
        assert (bright & inside).sum() / inside.sum() > 0.93
        assert valid[inside].all()
    if transform == UTM:
        # The hole is not in the target, and the third is cut by the raster's edge.
        assert polygon_mask(objects[0].rings, (HEIGHT, WIDTH)).sum() == pytest.approx(np.pi * (14 * 9 - 4 * 3), rel=0.02)
        np.testing.assert_allclose(objects[2].box_px, [110, 0, WIDTH, 20], atol=0.01)
        assert polygon_mask(objects[2].rings, (HEIGHT, WIDTH)).sum() == 200


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north-up", "turned"])
def test_a_raster_gives_training_the_tensors_of_inference(
    tmp_path: Path, write_raster: Callable[..., Path], transform: Affine
) -> None:
    source = replace(write_scene(tmp_path, write_raster, transform), stretch="percentile:1,99", bands="3,2,1")
    objects, _ = read_source(source)
    with open_source(source.raster) as opened:
        layer = read_boxes(source.labels)
        prompts = place_boxes(opened, layer.geometry.to_numpy(), layer.crs, boxes_name="labels")
        plan = make_plan(prompts.boxes_px, prompts.usable, prompts.source.grid.shape, CropPolicy(factor=2.0))
        reader = open_reader(prompts.source, bands=(3, 2, 1), stretch=parse_stretch(source.stretch), padding_rgb=PADDING_RGB)
        crops = [
            reader.read(window, box, int(row))
            for tile in plan.tiles
            for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True)
        ]
    assert sorted(crop.id for crop in crops) == [0, 1, 2]
    for crop in crops:
        rng = np.random.default_rng(0)
        sample = make_sample([objects[crop.id]], 0, augmentation=NO_AUGMENTATION, rng=rng, input_size=56, mask_size=32)
        batch = batch_crops([crop], 56)
        assert np.array_equal(sample.image, batch.image[0])
        assert np.array_equal(sample.boxes_model, batch.boxes_model)


def test_augmented_targets_of_a_raster_lie_on_the_object(tmp_path: Path, write_raster: Callable[..., Path]) -> None:
    objects, _ = read_source(write_scene(tmp_path, write_raster))
    augmentation = Augmentation(photometric=0.0, grey=0.0, low_resolution=0.0, rotate_any=0.5)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sample = make_sample(objects, 1, augmentation=augmentation, rng=rng, input_size=112, mask_size=112)
        target = sample.targets[0] > 0.5
        assert (sample.image.max(axis=0)[target] > 110).mean() > 0.9


def test_rows_without_an_outline_are_counted(tmp_path: Path, write_raster: Callable[..., Path]) -> None:
    source = write_scene(tmp_path, write_raster)
    frame = gpd.read_file(source.labels)
    far = shapely.transform(frame.geometry[1], lambda p: p + 1)
    dot = shapely.transform(frame.geometry[1], lambda p: p.mean(0) + (p - p.mean(0)) / 40)
    more = gpd.GeoDataFrame({"kind": ["a", "b", "c"]}, geometry=[far, dot, None], crs=frame.crs)
    gpd.pd.concat([frame, more]).to_file(tmp_path / "more.gpkg", layer="labels")
    with pytest.warns(LabelsWarning, match=r"scene\.tif: 3 of 6 labels are left out: 1 outside the raster \(first: row 3\)"):
        objects, left_out = read_source(replace(source, labels=str(tmp_path / "more.gpkg")))
    assert len(objects) == 3
    assert left_out == {"outside the raster": 1, "shorter than 2 px": 1, "without a usable polygon": 1}
    with pytest.warns(LabelsWarning):
        data = read_data(DataConfig(train=(replace(source, labels=str(tmp_path / "more.gpkg")),)))
    assert "3 objects in 1 pictures (tank 2, roof 1); left out: 1 outside the raster (first: row 3), 1 shorter" in data.report[0]
    assert data.sources[0].as_dict()["left_out"]["shorter than 2 px"] == {"count": 1, "first": "row 4"}
    only_tanks = replace(source, where="kind = 'tank'")
    assert len(read_source(only_tanks)[0]) == 2


def test_labels_that_cannot_be_used(tmp_path: Path, write_raster: Callable[..., Path]) -> None:
    source = write_scene(tmp_path, write_raster)
    cases: list[tuple[DataSource, type[UserInputError], str]] = [
        (replace(source, raster="none.tif"), InputFileNotFoundError, "none.tif"),
        (replace(source, labels="none.gpkg"), InputFileNotFoundError, "none.gpkg"),
        (replace(source, class_column="sort"), OptionError, "no column 'sort'; it has: kind, part"),
        (replace(source, layer="boxes"), OptionError, "no layer 'boxes'"),
        (replace(source, where="kind = 'ship'"), BoxesError, "holds no labels where"),
        (replace(source, stretch="strong"), OptionError, "stretch 'strong'"),
        (replace(source, bands="9"), OptionError, "band 9"),
        (replace(source, labels_crs="EPSG:3857"), UserInputError, "EPSG:3857"),
    ]
    for wrong, error, message in cases:
        with pytest.raises(error) as caught:
            read_crop(read_source(wrong)[0][0], CropWindow(0, 0, 8))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    frame = gpd.read_file(source.labels)
    frame.geometry = frame.translate(3)
    frame.to_file(tmp_path / "far.gpkg", layer="labels")
    with pytest.raises(
        TrainingDataError, match=r"no usable object; left out: 3 outside the raster .*Not one polygon .* check the CRS"
    ):
        read_source(replace(source, labels=str(tmp_path / "far.gpkg")))


def test_the_layout_of_the_reference(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "sat")
    objects, left_out = read_source(DataSource(kind="masks", path=str(root)))
    assert (len(objects), left_out) == (4, {})
    assert {o.category for o in objects} == {"object"}
    masks = np.load(root / "onehotmask" / "1.npy")
    boxes = np.load(root / "boxes" / "1.npy")
    for i, labelled in enumerate(objects[2:]):
        assert np.array_equal(polygon_mask(labelled.rings, (HEIGHT, WIDTH)), masks[i] == 255)
        np.testing.assert_allclose(labelled.box_px, boxes[i])
    sample = make_sample(objects[2:], 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=56)
    assert (sample.image.max(axis=0)[sample.targets[0] > 0.5] > 110).mean() > 0.95
    masks[0] = 0
    np.save(root / "onehotmask" / "1.npy", masks)
    with pytest.warns(LabelsWarning, match="1 of 4 labels are left out: 1 empty mask"):
        assert read_source(DataSource(kind="masks", path=str(root)))[1] == {"empty mask": 1}


def test_broken_masks_are_named_in_one_line(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "sat")
    source = DataSource(kind="masks", path=str(root))
    masks, boxes = np.load(root / "onehotmask" / "0.npy"), np.load(root / "boxes" / "0.npy")
    breaks: list[tuple[Callable[[], object], str]] = [
        (lambda: np.save(root / "onehotmask" / "0.npy", masks[:, :-1]), r"shape \(2, 89, 120\); expected \(2, 90, 120\)"),
        (lambda: np.save(root / "onehotmask" / "0.npy", masks[:1]), r"expected \(2, 90, 120\) for 2 boxes"),
        (lambda: np.save(root / "boxes" / "0.npy", boxes[:, :3]), r"expected \(N, 4\)"),
        (lambda: np.save(root / "boxes" / "0.npy", np.array([["a"] * 4] * 2)), "expected numbers"),
        (lambda: (root / "onehotmask" / "0.npy").write_bytes(b"no array"), "not an array"),
        (lambda: (root / "onehotmask" / "0.npy").write_bytes(b""), "not an array"),
        (lambda: (root / "img" / "0.png").write_text("no picture"), "cannot be read as a picture"),
        (lambda: (root / "boxes" / "0.npy").unlink(), "no such file"),
    ]
    for damage, message in breaks:
        write_masks(tmp_path / "whole") if not (tmp_path / "whole").exists() else None
        for part in ("img/0.png", "boxes/0.npy", "onehotmask/0.npy"):
            (root / part).write_bytes((tmp_path / "whole" / part).read_bytes())
        damage()
        with pytest.raises(UserInputError, match=message) as caught:
            read_source(source)
        assert "\n" not in str(caught.value)
        assert "0.npy" in str(caught.value) or "0.png" in str(caught.value)
    with pytest.raises(InputFileNotFoundError, match="holds img/, boxes/ and onehotmask/"):
        read_source(DataSource(kind="masks", path=str(tmp_path / "nowhere")))
    for name in ("img", "boxes", "onehotmask"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(TrainingDataError, match=r"no usable object; left out: nothing\. There are 0 pictures in img/"):
        read_source(DataSource(kind="masks", path=str(tmp_path / "empty")))


def test_coco_errors(tmp_path: Path, coco: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match=r"instances\.json"):
        read_coco(coco / "images")
    with pytest.raises(TrainingDataError, match="annotation 0: 'town' is missing"):
        read_coco(coco, column="town")
    (coco / "images" / "1.png").unlink()
    with pytest.raises(InputFileNotFoundError, match=r"1\.png"):
        read_coco(coco)
    content = json.loads((coco / "instances.json").read_text())
    (coco / "instances.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(TrainingDataError, match="holds no usable object"):
        read_coco(coco)
    (coco / "instances.json").write_text("[]")
    with pytest.raises(TrainingDataError, match="not a COCO file"):
        read_coco(coco)


def scattered(count: int = 200, side: int = 1000) -> list[LabelledObject]:
    """Small boxes all over one picture."""
    corners = np.random.default_rng(0).uniform(0, side - 30, (count, 2))
    rings = [np.array([[x, y], [x + 20, y], [x + 20, y + 30], [x, y + 30]]) for x, y in corners]
    return [LabelledObject(Path("a.png"), side, side, (ring,), "a", "b") for ring in rings]


def test_blocks_never_share_ground() -> None:
    objects = scattered()
    train, val, dropped = split_objects(objects, SplitConfig(by="blocks", share=0.25, block_px=100))
    assert len(train) + len(val) + dropped == 200
    assert 0.1 < len(val) / 200 < 0.3
    assert dropped > 0

    def blocks(labelled: LabelledObject) -> set[tuple[int, int]]:
        x_min, y_min, x_max, y_max = labelled.box_px / 100
        return {(c, r) for c in range(int(x_min), int(np.ceil(x_max))) for r in range(int(y_min), int(np.ceil(y_max)))}

    assert not set().union(*map(blocks, train)) & set().union(*map(blocks, val))
    # The ground of every validation object is hidden from every training crop.
    for labelled in val:
        x_min, y_min, x_max, y_max = labelled.box_px
        assert (
            any(h[0] <= x_min and h[1] <= y_min and x_max <= h[2] and y_max <= h[3] for h in train[0].hidden)
            or len(blocks(labelled)) > 1
        )
    assert all(o.hidden == train[0].hidden for o in train)
    assert all(o.hidden == () for o in val)
    again = split_objects(objects, SplitConfig(by="blocks", share=0.25, block_px=100))
    assert [id(o) for o in again[1]] == [id(o) for o in val]
    other = split_objects(objects, SplitConfig(by="blocks", share=0.25, block_px=100, seed=1))
    assert [id(o) for o in other[1]] != [id(o) for o in val]


def test_split_by_file_and_column(coco: Path) -> None:
    objects, _ = read_coco(coco, column="city")
    train, val, dropped = split_objects(objects, SplitConfig(by="file", share=0.3))
    assert (len(train), len(val), dropped) == (4, 2, 0)
    assert not {o.image_path for o in train} & {o.image_path for o in val}
    train, val, _ = split_objects(objects, SplitConfig(by="column", column="city", share=0.3))
    assert len({o.group for o in train}) == len({o.group for o in val}) == 1
    named = [replace(o, group="Val" if i % 2 else "train") for i, o in enumerate(objects)]
    train, val, _ = split_objects(named, SplitConfig(by="column", column="part", share=0.01))
    assert {o.group for o in train} == {"train"}
    assert {o.group for o in val} == {"Val"}
    alone = [o for o in objects if o.image_path.name == "0.png"]
    with pytest.raises(TrainingDataError, match=r"2 objects for training and 0 for validation; .* too few pictures"):
        split_objects(alone, SplitConfig(by="file"))


def test_splits_of_rasters(tmp_path: Path, write_raster: Callable[..., Path]) -> None:
    first = write_scene(tmp_path, write_raster)
    same = write_scene(tmp_path, write_raster, UTM * Affine.translation(60, 0), "beside")
    far = write_scene(tmp_path, write_raster, UTM * Affine.translation(400, 0), "far")
    data = read_data(DataConfig(train=(first, same, far), split=SplitConfig(by="file", share=0.3)))
    sides = {o.image_path.stem: side for side, part in (("train", data.train), ("val", data.val)) for o in part}
    assert sides["scene"] == sides["beside"] != sides["far"]
    by_column = read_data(DataConfig(train=(first,), split=SplitConfig(by="column", column="part")))
    assert (len(by_column.train), len(by_column.val)) == (2, 1)
    assert by_column.report[-2:] == (
        "split by column: 2 objects for training (tank 1, roof 1), 1 for validation (tank 1)",
        "  values of 'part': training: train 2; validation: val 1",
    )
    with pytest.raises(TrainingDataError, match="show common ground; split by file"):
        read_data(DataConfig(train=(first, same), split=SplitConfig(by="blocks", block_px=40)))
    with pytest.raises(TrainingDataError, match=r"scene\.tif in 'train' and .*beside\.tif in 'val' show common ground"):
        read_data(DataConfig(train=(first,), val=(same,)))
    assert len(read_data(DataConfig(train=(first,), val=(far,))).val) == 3
    blocks = read_data(DataConfig(train=(first,), split=SplitConfig(by="blocks", block_px=60, share=0.3)))
    assert blocks.train[0].hidden


def test_the_same_picture_is_refused_on_both_sides(coco: Path) -> None:
    source = (DataSource(path=str(coco)),)
    with pytest.raises(TrainingDataError, match=r"0\.png is both in 'train' and in 'val' \(3 pictures are\).*same_ground: true"):
        read_data(DataConfig(train=source, val=source))
    assert len(read_data(DataConfig(train=source, val=source, same_ground=True)).val) == 6


def test_the_fingerprint_tells_data_apart(coco: Path) -> None:
    source = (DataSource(path=str(coco)),)
    before = read_data(DataConfig(train=source)).fingerprints()
    assert before == read_data(DataConfig(train=source)).fingerprints()
    content = json.loads((coco / "instances.json").read_text())
    content["annotations"][0]["segmentation"][0][0] += 0.5
    (coco / "instances.json").write_text(json.dumps(content))
    after = read_data(DataConfig(train=source)).fingerprints()
    assert after["train"] != before["train"]
    assert after["val"] == before["val"]


def test_pictures_are_trained_on_without_geospatial_packages(tmp_path: Path) -> None:
    """As on a bare GPU machine: rasterio and geopandas are not there."""
    write_masks(tmp_path / "masks")
    write_coco(tmp_path / "coco")
    write_frames(tmp_path / "video", clips=1, frames=1)
    program = f"""
import sys
for name in ("rasterio", "geopandas", "pyogrio", "rioxarray"):
    sys.modules[name] = None
import rosgeo.training.loop
from rosgeo.labelled.config import DataConfig, DataSource, SplitConfig
from rosgeo.labelled.sources import read_data, read_source
sources = (DataSource(path={str(tmp_path / "coco")!r}), DataSource(kind="masks", path={str(tmp_path / "masks")!r}),
    DataSource(kind="frames", path={str(tmp_path / "video" / "JPEGImages")!r}, masks={str(tmp_path / "video" / "Annotations")!r}))
data = read_data(DataConfig(train=sources, split=SplitConfig(by="file", share=0.3)))
print(len(data.train) + len(data.val))
try:
    read_source(DataSource(kind="raster", raster="a.tif", labels="b.gpkg"))
except rosgeo.errors.TrainingDataError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(rosgeo.__file__).parents[1]
    )
    assert result.stdout.splitlines() == ["12", "a.tif: a source of kind raster needs the package rasterio, which is not here"], (
        result.stderr
    )
