"""Labels as the tools write them: read without a word on what they are, and the same two objects."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rosgeo.errors import InputFileNotFoundError, LabelsWarning, OptionError, TrainingDataError
from rosgeo.labelled.config import DataConfig, DataSource, SplitConfig
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import load_image, read_crop
from rosgeo.labelled.labelstudio import decode_brush
from rosgeo.labelled.sources import read_data, read_labelled
from rosgeo.labelled.spelling import OPTIONS
from rosgeo.types import CropWindow

from tests.label_site import (
    LAYOUTS,
    PAGE,
    coco,
    label_studio_task,
    labelme_shapes,
    masks,
    pack_brush,
    rings,
    save_picture,
    with_table,
)

from tests.label_site import write_json, write_labelme  # isort: skip
from tests.training_site import HEIGHT, WIDTH


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_objects_of_each_layout(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    labels = read_labelled(layout.write(tmp_path / "set"))
    assert [o.category for o in labels.objects] == list(layout.classes)
    assert (labels.report.left_out, labels.report.suspicious) == ((), ())
    for labelled, mask in zip(labels.objects, masks(), strict=True):
        found = polygon_mask(labelled.rings, (labelled.height, labelled.width))
        assert found.shape == mask.shape
        # A raster of another CRS and resolution gives edges that are off by a part of a pixel.
        assert (found & mask).sum() / (found | mask).sum() > (0.9 if name == "mask-raster" else 0.98)
        image, valid = read_crop(labelled, CropWindow(0, 0, WIDTH))
        assert (image[:, :HEIGHT].max(axis=0)[mask] > 110).mean() > 0.95
        assert valid[:HEIGHT].all()


def test_the_table_of_the_guide_is_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_table(text), "write it anew: python -m tests.label_site"


NAMES = [
    "images\\p.png", "..\\..\\media\\4\\p.png", "../../upload/1/p.png", "/data/local-files/?d=site/p.png", "https://host/up/p.png?token=1",
    "/home/else/p.png", "D:\\site\\p.png", "p.PNG", "%70.png", "upload/1/0a1b2c3d-p.png",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_another_machine_are_found_by_their_base_name(name: str, tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    write_json(tmp_path / "instances.json", coco(name))
    labels = read_labelled(DataSource(path=str(tmp_path)))
    assert {o.image_path for o in labels.objects} == {tmp_path / "images" / "p.png"}
    assert labels.report.as_dict()["changed"] == {"of pictures that were found by their base name": {"count": 1, "first": name}}


def test_a_base_name_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    for folder in ("east", "west"):
        save_picture(tmp_path / folder / "p.png")
    write_json(tmp_path / "instances.json", coco("D:\\site\\p.png"))
    with pytest.raises(InputFileNotFoundError, match=r"2 files have that name, named under 'file_name'"):
        read_labelled(DataSource(path=str(tmp_path)))
    write_json(tmp_path / "instances.json", coco("D:\\site\\west\\p.png"))
    assert read_labelled(DataSource(path=str(tmp_path))).objects[0].image_path == tmp_path / "west" / "p.png"
    content = coco("a/west/p.png")
    content["images"].append({**content["images"][0], "id": 2, "file_name": "b/west/p.png"})
    content["annotations"][1]["image_id"] = 2
    write_json(tmp_path / "instances.json", content)
    with pytest.raises(TrainingDataError, match=r"a/west/p.png and b/west/p.png would both be"):
        read_labelled(DataSource(path=str(tmp_path)))


def test_several_coco_files_are_named(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    for subset in ("train", "val"):
        write_json(tmp_path / "annotations" / f"instances_{subset}.json", coco("p.png"))
    write_json(tmp_path / "annotations" / "captions_val.json", {"images": [], "annotations": []})
    with pytest.raises(
        TrainingDataError, match=r"2 COCO files: annotations/instances_train\.json, .*choose one with --annotations"
    ):
        read_labelled(DataSource(path=str(tmp_path)), words=OPTIONS)
    with pytest.raises(TrainingDataError, match="choose one with the key annotations"):
        read_labelled(DataSource(path=str(tmp_path)))
    for name in ("instances_val.json", "annotations/instances_val.json"):
        assert len(read_labelled(DataSource(path=str(tmp_path), annotations=name)).objects) == 2
    assert len(read_labelled(DataSource(path=str(tmp_path / "annotations" / "instances_val.json"))).objects) == 2
    shutil.move(tmp_path / "images", tmp_path.parent / "elsewhere")
    source = DataSource(path=str(tmp_path), annotations="instances_val.json", images=str(tmp_path.parent / "elsewhere"))
    assert len(read_labelled(source).objects) == 2


def test_what_is_no_labelled_data_is_named(tmp_path: Path) -> None:
    scene = LAYOUTS["qgis"].write(tmp_path)
    for path, message in (
        (scene.raster, "is a raster, whose labels are missing"),
        (scene.labels, "is a layer of polygons"),
    ):
        with pytest.raises(OptionError, match=message):
            read_labelled(DataSource(path=path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFileNotFoundError, match=r"no such file; a COCO folder holds instances\.json"):
        read_labelled(DataSource(path=str(tmp_path / "empty")))


def test_subsets_of_yolo(tmp_path: Path) -> None:
    source = LAYOUTS["yolo"].write(tmp_path)
    save_picture(tmp_path / "valid" / "images" / "q.jpg")
    (tmp_path / "valid" / "labels").mkdir()
    outline = " ".join(f"{v:.5f}" for v in (rings()[0] / (WIDTH, HEIGHT)).ravel())
    (tmp_path / "valid" / "labels" / "q.txt").write_text(f"0 {outline}\n1 0.5 0.5 0.2 0.2\n0 {outline.replace('0.', '9.')}\n\n")
    with pytest.raises(TrainingDataError, match="2 subsets: train, val; choose one with the key subset"):
        read_labelled(source)
    with pytest.warns(
        LabelsWarning, match="2 of 3 labels are left out: 1 a box without an outline .*line 2 of q.txt.*no fractions"
    ):
        labels = read_labelled(DataSource(path=str(tmp_path), subset="valid"))
    assert [o.image_path.name for o in labels.objects] == ["q.jpg"]
    (tmp_path / "valid" / "labels" / "q.txt").write_text(f"1 {outline}\n")
    Image.fromarray(255 - np.asarray(Image.open(tmp_path / "valid" / "images" / "q.jpg"))).save(
        tmp_path / "valid" / "images" / "q.jpg"
    )
    data = read_data(DataConfig(train=(DataSource(path=str(tmp_path)),), split=SplitConfig(by="column", column="subset")))
    assert [{o.image_path.name for o in side} for side in (data.train, data.val)] == [{"p.jpg"}, {"q.jpg"}]
    (tmp_path / "valid" / "labels" / "q.txt").write_text(f"7 {outline}\n")
    with pytest.raises(TrainingDataError, match=r"q\.txt: line 1 has the class 7, which data.yaml does not name"):
        read_labelled(DataSource(path=str(tmp_path), subset="val"))
    for wrong in ("0.5", "1e400", "nan"):
        (tmp_path / "valid" / "labels" / "q.txt").write_text(f"{wrong} {outline}\n")
        with pytest.raises(TrainingDataError, match=r"q\.txt: line 1 holds other than numbers"):
            read_labelled(DataSource(path=str(tmp_path), subset="val"))


def test_shapes_of_labelme(tmp_path: Path) -> None:
    circle = {"label": "c", "shape_type": "circle", "points": [[60, 20], [60, 30]]}
    box = {"label": "d", "shape_type": "rectangle", "points": [[90, 80], [70, 70]]}
    parts = [{**s, "label": "tank", "group_id": 3} for s in labelme_shapes()]
    shapes = [*parts, circle, box, {"label": "e", "shape_type": "point", "points": [[3, 3]]}]
    with (
        pytest.warns(LabelsWarning, match="1 of 3 labels have parts that lie far apart"),
        pytest.warns(LabelsWarning, match="1 of 4 labels are left out: 1 a point, which has no area"),
    ):
        labels = read_labelled(write_labelme(tmp_path, shapes))
    assert [o.category for o in labels.objects] == ["tank", "c", "d"]
    assert [len(o.rings) for o in labels.objects] == [2, 1, 1]
    np.testing.assert_allclose(labels.objects[1].box_px, [50, 10, 70, 30], atol=0.05)
    np.testing.assert_allclose(labels.objects[2].box_px, [70, 70, 90, 80])


@pytest.mark.parametrize("kind", ["ellipse", "cuboid", "linear", 5])
def test_a_shape_that_labelme_does_not_have_is_no_polygon(kind: Any, tmp_path: Path) -> None:
    odd = {"label": "c", "shape_type": kind, "points": [[60, 20], [60, 30], [70, 30]]}
    with pytest.warns(LabelsWarning, match=f"1 of 3 labels are left out: 1 with points that are not understood .*the shape {kind}"):
        labels = read_labelled(write_labelme(tmp_path, [*labelme_shapes(), odd]))
    assert len(labels.objects) == 2


def test_a_region_of_label_studio_is_one_object_of_its_label(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.jpg")
    shapes = [(ring / (WIDTH, HEIGHT) * 100).tolist() for ring in rings()]
    results = [
        {"id": "r0", "type": "polygon", "value": {"points": shapes[0]}},
        {"id": "r0", "type": "labels", "value": {"points": shapes[0], "labels": ["tank"]}},
        {"id": "r1", "type": "labels", "value": {"points": shapes[1], "labels": ["roof"]}},
        {"id": "r1", "type": "polygon", "value": {"points": shapes[1]}},
    ]
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "e.json", label_studio_task(results)))))
    assert [o.category for o in labels.objects[-2:]] == ["tank", "roof"]
    assert labels.report.suspicious == ()


@pytest.mark.parametrize(
    "result",
    [
        {"type": "brushlabels", "value": {"rle": [0, -5, 10**30], "brushlabels": ["a"]}},
        {"type": "brushlabels", "value": {"rle": [0, 10**400], "brushlabels": ["a"]}},
        {"type": "rectanglelabels", "value": {"x": 10**30, "y": None, "width": 1, "height": 1}},
        {"type": "ellipselabels", "value": {"x": 10**400, "y": 1, "radiusX": [], "radiusY": 1}},
    ],
    ids=str,
)
def test_values_of_label_studio_that_are_none_are_left_out(result: dict[str, Any], tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.jpg")
    path = write_json(tmp_path / "e.json", label_studio_task([result]))
    with pytest.raises(TrainingDataError, match=r"holds no usable object; left out: 1 with (a value that|coordinates that)"):
        read_labelled(DataSource(path=str(path)))


@pytest.mark.parametrize("annotations", [True, 3, [{"id": 1, "result": 1.5}], [None], {"id": 1}])
def test_tasks_of_label_studio_without_results_hold_nothing(annotations: Any, tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.jpg")
    task = {**label_studio_task([])[0], "annotations": annotations}
    with pytest.raises(TrainingDataError, match="holds no usable object; left out: nothing"):
        read_labelled(DataSource(path=str(write_json(tmp_path / "e.json", [task]))))


def test_a_picture_of_another_ending_is_named(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    for name, words in (("p.jpg", r"p\.jpg: no such file, though there is p\.png"), ("q.png", r"q\.png: no such file, named")):
        with pytest.raises(InputFileNotFoundError, match=words):
            read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", coco(name)))))
    with pytest.raises(InputFileNotFoundError) as caught:
        read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", coco("a" * 5000 + ".png")))))
    assert len(str(caught.value)) < 1000


def test_a_set_of_yolo_that_is_not_whole(tmp_path: Path) -> None:
    source = LAYOUTS["yolo"].write(tmp_path)
    (labels,) = (path for path in tmp_path.rglob("*.txt") if path.parent.name == "labels")
    shutil.copy(labels, labels.with_name("gone.txt"))
    with pytest.warns(LabelsWarning, match=r"1 label files without a picture \(first: gone\.txt\)"):
        assert len(read_labelled(source).objects) == 2
    (tmp_path / "data.yaml").write_bytes("names: [caf\u00e9]\ntrain: images\n".encode("latin-1"))
    with pytest.raises(TrainingDataError, match=r"data\.yaml cannot be read; expected YAML in UTF-8"):
        read_labelled(replace(source, kind="yolo"))


def test_values_of_label_studio(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.jpg")
    results = [
        {
            "type": "ellipselabels",
            "value": {"x": 25, "y": 40 / 0.9, "radiusX": 10, "radiusY": 10, "rotation": 0, "ellipselabels": ["a"]},
        },
        {
            "type": "rectanglelabels",
            "value": {"x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["b"]},
        },
        {"type": "choices", "value": {"choices": ["night"]}},
    ]
    tasks: list[Any] = label_studio_task(results)
    tasks[0]["annotations"].append({"id": 10, "was_cancelled": False, "result": tasks[0]["annotations"][0]["result"][:1]})
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "e.json", tasks))))
    assert labels.report.counts() == {"of another annotator or a cancelled task": 1}
    np.testing.assert_allclose(labels.objects[0].box_px, [18, 31, 42, 49], atol=0.1)
    # Turned clockwise about its first corner.
    np.testing.assert_allclose(labels.objects[1].box_px, [51, 45, 60, 69], atol=0.1)
    small = [
        {
            "image": "/data/upload/p.jpg",
            "label": [{**results[0]["value"], "original_width": WIDTH, "original_height": HEIGHT}],
            "id": 4,
        }
    ]
    assert [o.category for o in read_labelled(DataSource(path=str(write_json(tmp_path / "e.json", small)))).objects] == ["a"]


def test_brush_masks_are_unpacked() -> None:
    mask = np.random.default_rng(0).random((13, 17)) > 0.5
    packed = pack_brush(mask)
    assert np.array_equal(decode_brush(packed, mask.shape), mask)
    # A run of values that are all written: 5 values of 3 bits.
    bits = (
        f"{8:032b}{2:05b}{1:04b}{2:04b}{3:04b}{7:04b}"
        + "0"
        + "10"
        + f"{7:04b}"
        + "".join(f"{v:03b}" for v in (0, 0, 0, 7, 1, 2, 3, 0))
    )
    bits += "0" * (-len(bits) % 8)
    assert decode_brush([int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], (1, 2)).tolist() == [[True, False]]
    with pytest.raises(ValueError, match="expected 16"):
        decode_brush(packed, (2, 2))
    with pytest.raises(ValueError, match="break off"):
        decode_brush(packed[:-4], mask.shape)


def test_a_number_raster_that_holds_none_is_refused(tmp_path: Path) -> None:
    from tests.label_site import write_scene

    scene = write_scene(tmp_path / "scene.tif")
    soft = write_scene(tmp_path / "soft.tif", np.linspace(0, 3, HEIGHT * WIDTH, dtype=np.float32).reshape(1, HEIGHT, WIDTH))
    for labels, message in ((soft, "no numbers of objects"), (scene, "3 bands of colours; expected one band")):
        with pytest.raises(ValueError, match=message):
            read_labelled(DataSource(kind="raster", raster=str(scene), labels=str(labels)))


def test_numbers_that_are_no_objects(tmp_path: Path) -> None:
    from tests.label_site import write_scene

    numbers = np.where(masks()[0], 1, np.where(masks()[1], 2, -9999)).astype(np.float32)
    scene, path = write_scene(tmp_path / "s.tif"), write_scene(tmp_path / "n.tif", numbers[None])
    source = DataSource(kind="raster", raster=str(scene), labels=str(path))
    with pytest.raises(TrainingDataError, match="the number -9999, which is below 0 and no object"):
        read_labelled(source)
    assert len(read_labelled(replace(source, ignore=("-9999",))).objects) == 2
    write_scene(path, np.where(numbers < 0, np.nan, numbers)[None])
    assert len(read_labelled(source).objects) == 2


def test_classes_of_a_raster_are_split_into_their_parts(tmp_path: Path) -> None:
    from tests.label_site import write_scene

    numbers = (masks()[0] | masks()[1]).astype(np.uint8) * 4
    numbers[80:90, :20] = 9
    scene, path = write_scene(tmp_path / "s.tif"), write_scene(tmp_path / "n.tif", numbers[None])
    source = DataSource(kind="raster", raster=str(scene), labels=str(path), parts="split", ignore=("9",))
    labels = read_labelled(source)
    assert [o.category for o in labels.objects] == ["4", "4"]
    assert polygon_mask(labels.objects[0].ignored, (HEIGHT, WIDTH)).sum() == 200
    # Without georeferencing the numbers lie on the scene's own pixels.
    Image.fromarray(numbers).save(tmp_path / "n.png")
    plain = read_labelled(
        DataSource(kind="raster", raster=source.raster, labels=str(tmp_path / "n.png"), parts="split", ignore=("9",))
    )
    for a, b in zip(plain.objects, labels.objects, strict=True):
        assert np.array_equal(polygon_mask(a.rings, (HEIGHT, WIDTH)), polygon_mask(b.rings, (HEIGHT, WIDTH)))


def test_the_report_is_plain(tmp_path: Path) -> None:
    labels = read_labelled(LAYOUTS["coco"].write(tmp_path))
    assert json.loads(json.dumps(labels.report.as_dict()))["classes"] == {"a": 1, "b": 1}
    assert load_image(labels.objects[0].image_path).shape == (3, HEIGHT, WIDTH)
