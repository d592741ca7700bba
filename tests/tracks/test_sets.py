"""Segmentation sets of a clip, each read back by others' readers, and by rosgeo's own for training."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rosgeo.errors import FormatLossWarning, OutputError, RasterError, TrainingDataError
from rosgeo.geometry.pixels import fill_outline, polygon_mask, trimmed
from rosgeo.geometry.rle import decode_rle, encode_rle
from rosgeo.labelled.config import DataSource, SplitConfig
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.sources import read_source
from rosgeo.labelled.split import refuse_same_ground, split_objects
from rosgeo.tracks.read import read_tracks
from rosgeo.tracks.sets import (
    Written,
    check_set,
    write_coco,
    write_cvat,
    write_davis,
    write_label_studio,
    write_mots,
    write_reference,
    write_yolo,
    write_ytvis,
)
from rosgeo.tracks.sets.masks import ClipMasks, Track, frame_masks, paint
from rosgeo.tracks.values import ClipOutlines
from rosgeo.training.samples import NO_AUGMENTATION, make_sample

from tests.conftest import small_files
from tests.track_site import HEIGHT, WIDTH, Pictures, Row, harbour, make_clip, make_outlines, pixel_outline

SHAPE = (HEIGHT, WIDTH)
Masks = dict[tuple[int, Any], np.ndarray]
"""By place of the frame and track id."""

Writer = Callable[[ClipOutlines, Path], Written]


def reference(outlines: ClipOutlines, path: Path, **options: Any) -> Written:
    return write_reference(outlines, Pictures(outlines.clip), path, **options)


WRITERS: dict[str, Any] = {
    "coco": write_coco,
    "ytvis": write_ytvis,
    "cvat": write_cvat,
    "label_studio": write_label_studio,
    "yolo": write_yolo,
    "davis": write_davis,
    "mots": write_mots,
    "reference": reference,
}


def place(kind: str, folder: Path) -> Path:
    return folder / {"coco": "out.json", "ytvis": "out.json", "label_studio": "out.json", "cvat": "out.xml"}.get(kind, "out")


def wanted(outlines: ClipOutlines) -> Masks:
    """The masks by GDAL, which is another rasteriser."""
    masks: Masks = {}
    index = {f.number: f.index for f in outlines.clip.frames}
    for row in outlines.rows.itertuples():
        if row.rosgeo_status == "ok":
            mask = rasterio.features.rasterize([row.geometry], out_shape=SHAPE).astype(bool)
            key = (index[row.frame], row.track_id)
            masks[key] = masks.get(key, False) | mask
    return masks


def in_front(masks: Masks) -> Masks:
    """What is left of each where the smaller is in front."""
    left = {}
    for (frame, track), mask in masks.items():
        others = [m for (f, t), m in masks.items() if (f, t) != (frame, track) and f == frame and m.sum() < mask.sum()]
        left[frame, track] = mask & ~np.any([np.zeros(SHAPE, bool), *others], axis=0)
    return left


def read_coco_set(path: Path) -> Masks:
    """By pycocotools."""
    coco = COCO(str(path))
    masks: Masks = {}
    for entry in coco.dataset["annotations"]:
        mask = coco.annToMask(entry).astype(bool)
        assert entry["area"] == coco_mask.area(coco.annToRLE(entry)) == mask.sum()
        assert entry["bbox"] == coco_mask.toBbox(coco.annToRLE(entry)).tolist()
        masks[coco.imgs[entry["image_id"]]["frame_id"], entry["track_id"]] = mask
    return masks


def read_ytvis_set(path: Path) -> Masks:
    masks: Masks = {}
    for entry in json.loads(path.read_text())["annotations"]:
        for i, rle in enumerate(entry["segmentations"]):
            if rle is None:
                assert entry["bboxes"][i] is entry["areas"][i] is entry["scores"][i] is None
                continue
            # As TrackEval and the official kit do with the truth; compressed counts have no way through it.
            packed = coco_mask.frPyObjects(rle, entry["height"], entry["width"])
            masks[i, entry["track_id"]] = coco_mask.decode(packed).astype(bool)
            assert entry["areas"][i] == coco_mask.area(packed)
            assert entry["bboxes"][i] == coco_mask.toBbox(packed).tolist()
    return masks


def read_davis_set(folder: Path) -> Masks:
    masks: Masks = {}
    objects = json.loads(folder.with_suffix(".json").read_text())["videos"][folder.name]["objects"]
    for i, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as picture:
            assert picture.mode == "P"
            assert picture.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
            numbers = np.asarray(picture)
        for number in np.unique(numbers[numbers > 0]):
            known = objects[str(number)]
            assert path.stem in known["frames"]
            masks[i, known["track_id"]] = numbers == number
    assert sum(len(o["frames"]) for o in objects.values()) == len(masks)
    return masks


def read_mots_set(folder: Path) -> tuple[Masks, Masks]:
    """The text and the pictures."""
    objects = json.loads((folder / "tracks.json").read_text())["objects"]
    text: Masks = {}
    for line in (folder / "gt" / "gt.txt").read_text().splitlines():
        frame, number, category, height, width, rle = line.split(" ")
        assert int(number) // 1000 == int(category)
        mask = coco_mask.decode({"size": [int(height), int(width)], "counts": rle.encode()}).astype(bool)
        text[int(frame) - 1, objects[number]["track_id"]] = mask
    pictures: Masks = {}
    for i, path in enumerate(sorted((folder / "instances").glob("*.png"))):
        with Image.open(path) as picture:
            assert picture.mode == "I;16"
            ids = np.asarray(picture)
        for number in np.unique(ids[ids > 0]):
            pictures[i, objects[str(number)]["track_id"]] = ids == number
    return text, pictures


def filled(points: np.ndarray) -> np.ndarray:
    """A ring by GDAL, which fills even-odd."""
    return rasterio.features.rasterize([shapely.Polygon(points)], out_shape=SHAPE).astype(bool)


def read_cvat_set(path: Path) -> Masks:
    """As CVAT's importer does: shapes of a track by frame, of which those outside are none."""
    masks: Masks = {}
    for track in ET.parse(path).getroot().findall("track"):
        for shape in track:
            if shape.get("outside") == "1":
                continue
            # Of masks the group is the object: the first, second, third by id.
            number = {"1": 3, "2": 7, "3": 12}[track.get("group_id", "")] if shape.tag == "mask" else int(track.get("id", ""))
            key = (int(shape.get("frame", "")), number)
            if shape.tag == "polygon":
                masks[key] = filled(np.array([[float(v) for v in p.split(",")] for p in shape.get("points", "").split(";")]))
                continue
            left, top, width, height = (int(shape.get(k, "")) for k in ("left", "top", "width", "height"))
            runs = [int(v) for v in shape.get("rle", "").split(",")]
            masks[key] = np.zeros(SHAPE, bool)
            own = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            masks[key][top : top + height, left : left + width] = own
    return masks


def read_label_studio_set(path: Path) -> Masks:
    masks: Masks = {}
    for i, task in enumerate(json.loads(path.read_text())):
        for region in task["predictions"][0]["result"]:
            points = np.array(region["value"]["points"]) * [region["original_width"] / 100, region["original_height"] / 100]
            masks[i, int(region["id"].split("-")[0])] = filled(points)
    return masks


def read_yolo_set(folder: Path) -> Masks:
    """As Ultralytics reads a label file of segments, with cv2.fillPoly's rule."""
    masks: Masks = {}
    tracks = json.loads((folder / "tracks.json").read_text())["tracks"]
    for i, file in enumerate(sorted((folder / "labels").iterdir())):
        for line, track in zip(file.read_text().splitlines(), tracks[file.stem], strict=True):
            points = np.array([float(v) for v in line.split()[1:]]).reshape(-1, 2)
            assert ((points >= 0) & (points <= 1)).all()
            masks[i, track] = filled(points * [WIDTH, HEIGHT])
    return masks


def assert_same(found: Masks, expected: Masks) -> None:
    assert found.keys() == {key for key, mask in expected.items() if mask.any()}
    for key, mask in found.items():
        assert np.array_equal(mask, expected[key]), key


def test_each_format_holds_what_was_put_in(tmp_path: Path) -> None:
    outlines = harbour()
    masks = wanted(outlines)
    assert len(masks) == 11
    assert write_coco(outlines, tmp_path / "coco.json") == Written(11)
    assert_same(read_coco_set(tmp_path / "coco.json"), masks)
    assert write_ytvis(outlines, tmp_path / "ytvis.json") == Written(11)
    assert_same(read_ytvis_set(tmp_path / "ytvis.json"), masks)
    assert write_cvat(outlines, tmp_path / "cvat.xml") == Written(11)
    assert_same(read_cvat_set(tmp_path / "cvat.xml"), masks)
    assert write_cvat(outlines, tmp_path / "masks.xml", shapes="mask") == Written(11)
    assert_same(read_cvat_set(tmp_path / "masks.xml"), masks)
    assert write_label_studio(outlines, tmp_path / "studio.json") == Written(11)
    assert_same(read_label_studio_set(tmp_path / "studio.json"), masks)
    assert write_yolo(outlines, tmp_path / "yolo") == Written(11)
    assert_same(read_yolo_set(tmp_path / "yolo" / "harbour"), masks)
    assert write_davis(outlines, tmp_path / "davis") == Written(11)
    assert_same(read_davis_set(tmp_path / "davis" / "harbour"), in_front(masks))
    assert write_mots(outlines, tmp_path / "mots") == Written(11)
    for found in read_mots_set(tmp_path / "mots" / "harbour"):
        assert_same(found, in_front(masks))
    assert reference(outlines, tmp_path / "reference") == Written(11)
    stems = [f"{i + 1:06d}" for i in range(4)]
    assert sorted(p.stem for p in (tmp_path / "reference" / "img").iterdir()) == stems
    for i, stem in enumerate(stems):
        levels = np.load(tmp_path / "reference" / "onehotmask" / f"{stem}.npy")
        tracks = [t for t in (3, 7, 12) if (i, t) in masks]
        assert (levels.dtype, set(np.unique(levels))) == (np.uint8, {0, 255})
        assert np.array_equal(levels == 255, np.stack([masks[i, t] for t in tracks]))
        boxes = np.load(tmp_path / "reference" / "boxes" / f"{stem}.npy")
        rows = outlines.rows[outlines.rows["frame"] == i + 1].drop_duplicates("track_id").set_index("track_id")
        assert np.array_equal(boxes, rows.loc[tracks, ["x_min", "y_min", "x_max", "y_max"]].to_numpy())
        picture = np.asarray(Image.open(tmp_path / "reference" / "img" / f"{stem}.png"))
        assert np.array_equal(picture, Pictures(outlines.clip).read_rgb(i))
    assert not list(tmp_path.rglob(".rosgeo*"))


def test_the_fields_that_others_read(tmp_path: Path) -> None:
    outlines = harbour()
    write_coco(outlines, tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["car", "ship"]
    assert coco.dataset["videos"] == [{"id": 1, "name": "harbour", "height": HEIGHT, "width": WIDTH, "fps": 2.0}]
    assert coco.imgs[2] == {
        "id": 2, "file_name": "harbour/000002.png", "height": HEIGHT, "width": WIDTH, "video_id": 1, "frame_id": 1, "frame_number": 2,
        "date_captured": "2026-05-04T10:00:00.500000+00:00",
    }  # fmt: skip
    entry = coco.loadAnns(coco.getAnnIds(imgIds=[3], catIds=coco.getCatIds(["ship"])))[0]
    assert (entry["track_id"], entry["instance_id"], entry["video_id"], entry["iscrowd"]) == (7, 7, 1, 0)
    assert entry["score"] == pytest.approx(outlines.rows["rosgeo_score"][6], abs=1e-4)
    assert isinstance(entry["segmentation"]["counts"], str)
    assert {(t["id"], t["category_id"]) for t in coco.dataset["tracks"]} == {(3, 1), (7, 2), (12, 2)}

    write_ytvis(outlines, tmp_path / "ytvis.json")
    content = json.loads((tmp_path / "ytvis.json").read_text())
    assert content["videos"][0]["file_names"] == [f"harbour/{i:06d}.png" for i in (1, 2, 3, 4)]
    assert {a["length"] for a in content["annotations"]} == {content["videos"][0]["length"]} == {4}
    disc = next(a for a in content["annotations"] if a["track_id"] == 3)
    assert [s is None for s in disc["segmentations"]] == [False, False, True, False]

    write_mots(outlines, tmp_path)
    lines = (tmp_path / "harbour" / "gt" / "gt.txt").read_text().splitlines()
    # car is class 1, ship the first that the format does not name; instances are the ids of the tracks.
    assert [line.split()[:3] for line in lines[:3]] == [["1", "1003", "1"], ["1", "3007", "3"], ["1", "3012", "3"]]
    assert "seqLength=4\nimWidth=70\nimHeight=48\nimExt=.png\n" in (tmp_path / "harbour" / "seqinfo.ini").read_text()


def test_tracks_go_on_in_cvat(tmp_path: Path) -> None:
    """Track 3 has no outline in the third frame: a shape outside ends it, so that CVAT interpolates none."""
    write_cvat(harbour(), tmp_path / "cvat.xml")
    root = ET.parse(tmp_path / "cvat.xml").getroot()
    disc = next(t for t in root.findall("track") if t.get("id") == "3")
    assert [(s.get("frame"), s.get("outside")) for s in disc] == [("0", "0"), ("1", "0"), ("2", "1"), ("3", "0")]
    assert (disc.get("label"), root.findtext("meta/task/size"), root.findtext("meta/original_size/width")) == ("car", "4", "70")
    assert [e.text for e in root.findall("meta/task/labels/label/name")] == ["car", "ship"]
    read = read_tracks(tmp_path / "cvat.xml")
    assert (read.format, len(read), int(np.isfinite(read.xyxy[:, 0]).sum())) == ("cvat-video", 12, 11)


class KitOfYouTubeVis:
    """The reader of youtubevos/cocoapi, PythonAPI/pycocotools/ytvos.py: its index, ``getAnnIds`` and ``annToRLE``."""

    def __init__(self, path: Path) -> None:
        self.dataset = json.loads(path.read_text())
        self.vids = {video["id"]: video for video in self.dataset["videos"]}
        self.anns = {entry["id"]: entry for entry in self.dataset["annotations"]}

    def ann_to_rle(self, entry: dict[str, Any], frame: int) -> Any:
        video = self.vids[entry["video_id"]]
        segmentation = entry["segmentations"][frame]
        if isinstance(segmentation, list):
            return coco_mask.merge(coco_mask.frPyObjects(segmentation, video["height"], video["width"]))
        if isinstance(segmentation["counts"], list):
            return coco_mask.frPyObjects(segmentation, video["height"], video["width"])
        return segmentation


def test_the_kit_of_youtube_vis_reads_its_set(tmp_path: Path) -> None:
    """As its evaluation does, which sums intersections and unions over the frames: 1.0 against the truth."""
    outlines = harbour()
    write_ytvis(outlines, tmp_path / "ytvis.json")
    kit, truth = KitOfYouTubeVis(tmp_path / "ytvis.json"), wanted(outlines)
    assert {e["category_id"] for e in kit.anns.values()} <= {c["id"] for c in kit.dataset["categories"]}
    for entry in kit.anns.values():
        intersection = union = 0.0
        for frame in range(len(kit.vids[entry["video_id"]]["file_names"])):
            there = truth.get((frame, entry["track_id"]))
            assert (entry["segmentations"][frame] is None) == (there is None)
            if there is None:
                continue
            found = kit.ann_to_rle(entry, frame)
            wanted_rle = coco_mask.encode(np.asfortranarray(there, dtype=np.uint8))
            intersection += coco_mask.area(coco_mask.merge([found, wanted_rle], intersect=True))
            union += coco_mask.area(coco_mask.merge([found, wanted_rle]))
        assert intersection == union > 0


def test_ultralytics_knows_the_classes(tmp_path: Path) -> None:
    write_yolo(harbour(), tmp_path)
    folder = tmp_path / "harbour"
    assert (folder / "data.yaml").read_text() == 'path: .\ntrain: images\nval: images\nnames:\n  0: "car"\n  1: "ship"\n'
    lines = (folder / "labels" / "000001.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "1"]
    assert json.loads((folder / "tracks.json").read_text())["tracks"]["000003"] == [7, 12]


def datumaro_sequence(path: Path) -> dict[str, Any]:
    """What Datumaro 1.13 does with seqinfo.ini: these keys and no others, four of them whole numbers."""
    fields = dict(line.lower().strip().split("=", maxsplit=1) for line in path.read_text().splitlines() if "=" in line)
    assert set(fields) == {"name", "imdir", "framerate", "seqlength", "imwidth", "imheight", "imext"}
    return {k: int(v) if k in ("framerate", "seqlength", "imwidth", "imheight") else v for k, v in fields.items()}


@pytest.mark.parametrize(("fps", "rate"), [(None, 1), (1.25, 1), (0.2, 1), (29.97, 30), (25.0, 25)])
def test_a_sequence_as_datumaro_and_trackeval_read_it(fps: float | None, rate: int, tmp_path: Path) -> None:
    outlines = make_outlines(make_clip(2, fps=fps), [(1, 1, shapely.box(1, 1, 9, 9))], category=["car"])
    write_mots(outlines, tmp_path)
    info = tmp_path / "harbour" / "seqinfo.ini"
    assert datumaro_sequence(info) == {
        "name": "harbour", "imdir": "img1", "framerate": rate, "seqlength": 2, "imwidth": WIDTH, "imheight": HEIGHT, "imext": ".png",
    }  # fmt: skip
    parser = configparser.ConfigParser()
    parser.read(info)
    assert int(parser["Sequence"]["seqLength"]) == 2
    assert json.loads((tmp_path / "harbour" / "tracks.json").read_text())["fps"] == fps


def test_mots_pictures_as_datumaro_reads_them(tmp_path: Path) -> None:
    """Its class is the number's thousands less 1, in the labels beside the pictures."""
    write_mots(harbour(), tmp_path)
    folder = tmp_path / "harbour" / "instances"
    labels = folder.joinpath("labels.txt").read_text().splitlines()
    assert labels == ["car", "pedestrian", "ship"]
    ids = np.unique(np.asarray(Image.open(folder / "000001.png")))
    assert {(labels[i // 1000 - 1], i % 1000) for i in ids[ids > 0].tolist()} == {("car", 3), ("ship", 7), ("ship", 12)}
    write_mots(of_many(24, classes=12), tmp_path / "more")
    more = (tmp_path / "more" / "harbour" / "instances" / "labels.txt").read_text().splitlines()
    assert (len(more), more[9], more[10]) == (15, "ignored", "class 5")


def test_mots_of_classes_that_no_evaluation_sees(tmp_path: Path) -> None:
    clip = make_clip(1)
    with pytest.warns(FormatLossWarning, match="no object is of a class that evaluations of MOTS know .*: ship get class 3 and up"):
        check_set("mots", tmp_path / "mots", clip, [Track(1, "ship")])
    check_set("mots", tmp_path / "mots", clip, [Track(1, "ship"), Track(2, "car")])


def test_scores_that_are_none_and_ids_that_are_names(tmp_path: Path) -> None:
    rows = [(1, "b", shapely.box(1, 1, 9, 9)), (2, "a", shapely.box(1, 1, 9, 9)), (2, "b", shapely.box(20, 20, 30, 30))]
    outlines = make_outlines(make_clip(2, fps=None), rows, rosgeo_score=[np.nan, 0.5, 0.25])
    write_coco(outlines, tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    assert ["score" in a for a in coco.dataset["annotations"]] == [False, True, True]
    assert [a["track_id"] for a in coco.dataset["annotations"]] == [2, 1, 2]
    assert {t["id"]: t["name"] for t in coco.dataset["tracks"]} == {1: "a", 2: "b"}
    write_ytvis(outlines, tmp_path / "ytvis.json")
    assert [a["scores"] for a in json.loads((tmp_path / "ytvis.json").read_text())["annotations"]] == [[None, 0.5], [None, 0.25]]
    write_davis(outlines, tmp_path)
    assert set(read_davis_set(tmp_path / "harbour")) == {(0, "b"), (1, "a"), (1, "b")}


@st.composite
def masks_of_clips(draw: st.DrawFn) -> list[tuple[int, int, np.ndarray]]:
    """Unions of a few boxes less a few, which overlap those of other tracks, in frames of a clip."""
    boxes = st.tuples(*(st.integers(0, limit) for limit in (HEIGHT, HEIGHT, WIDTH, WIDTH)))
    found = []
    for key in draw(st.sets(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=7)):
        mask = np.zeros(SHAPE, bool)
        for on in (True, True, False):
            top, bottom, left, right = draw(boxes)
            mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = on
        if mask.any():
            found.append((*key, mask))
    return found


@settings(max_examples=25)
@given(masks_of_clips())
def test_a_mask_is_the_same_after_its_polygon_and_a_file(tmp_path_factory: Any, masks: list[tuple[int, int, np.ndarray]]) -> None:
    folder = tmp_path_factory.mktemp("sets")
    clip = make_clip(3)
    outlines = make_outlines(clip, [(clip.frames[f].number, t, pixel_outline(m)) for f, t, m in masks])
    given_masks: Masks = {(f, t): m for f, t, m in masks}
    for i in range(3):
        expected = [given_masks[i, t] for t in range(1, 5) if (i, t) in given_masks]
        assert np.array_equal(frame_masks(outlines, i), np.array(expected, bool).reshape(-1, *SHAPE))
    write_coco(outlines, folder / "coco.json")
    assert_same(read_coco_set(folder / "coco.json"), given_masks)
    write_ytvis(outlines, folder / "ytvis.json")
    assert_same(read_ytvis_set(folder / "ytvis.json"), given_masks)
    write_cvat(outlines, folder / "cvat.xml")
    assert_same(read_cvat_set(folder / "cvat.xml"), given_masks)
    write_mots(outlines, folder / "mots")
    text, pictures = read_mots_set(folder / "mots" / "harbour")
    assert_same(text, pictures)
    for i in range(3):
        together = [m for (f, _), m in pictures.items() if f == i]
        assert np.sum(together, axis=0).max(initial=0) <= 1
        expected = np.any([np.zeros(SHAPE, bool), *(m for (f, _), m in given_masks.items() if f == i)], axis=0)
        assert np.array_equal(np.any([np.zeros(SHAPE, bool), *together], axis=0), expected)
    shutil.rmtree(folder)


@given(st.lists(st.tuples(st.floats(-9, WIDTH + 9), st.floats(-9, HEIGHT + 9)), min_size=3, max_size=9))
def test_outlines_of_any_shape_are_filled_as_gdal_fills_them(points: list[tuple[float, float]]) -> None:
    # Away from halves, so that no edge runs through a centre, of which GDAL may say otherwise.
    polygon = shapely.make_valid(shapely.Polygon(np.round(np.array(points), 3) + np.array([0.0003711, 0.0007123])))
    parts = [p for p in shapely.get_parts(shapely.get_parts(polygon)) if p.geom_type == "Polygon" and p.area > 0.01]
    for part in parts:
        rings = [shapely.get_coordinates(r) for r in shapely.get_rings(part)]
        filled = fill_outline(rings, SHAPE)
        expected = rasterio.features.rasterize([part], out_shape=SHAPE).astype(bool)
        assert np.array_equal(np.zeros(SHAPE, bool) if filled is None else filled.on(SHAPE), expected)


def test_a_centre_on_an_edge_is_of_one_of_two_neighbours() -> None:
    left, right = (
        fill_outline([shapely.get_coordinates(shapely.box(*b))], SHAPE) for b in ((1.5, 1.5, 4.5, 4.5), (4.5, 1.5, 8, 4.5))
    )
    assert left is not None
    assert right is not None
    assert (left.xyxy, right.xyxy) == ((1, 1, 4, 4), (4, 1, 8, 4))
    assert np.array_equal(left.on(SHAPE), polygon_mask([np.array([[1.5, 1.5], [4.5, 1.5], [4.5, 4.5], [1.5, 4.5]])], SHAPE))


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_run_lengths_are_those_of_pycocotools(height: int, width: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits).reshape(height, width)
    theirs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    found = decode_rle({"size": [height, width], "counts": theirs}, (height, width))
    assert np.array_equal(np.zeros_like(mask) if found is None else found.on((height, width)), mask)
    pixels = trimmed(mask)
    if pixels is not None:
        assert encode_rle(pixels, (height, width)) == {"size": [height, width], "counts": theirs}
    flat = mask.ravel(order="F")
    runs = [0] * bool(flat[0]) + np.diff(np.flatnonzero(np.diff(flat, prepend=~flat[:1], append=~flat[-1:]))).tolist()
    plain = decode_rle({"size": [height, width], "counts": runs}, (height, width))
    assert np.array_equal(np.zeros_like(mask) if plain is None else plain.on((height, width)), mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("", "a sum of 0; expected 20"),
        ("ga!", "not what COCO's compression writes, at the character '!'"),
        ("é", "at the character"),
        ("d0d", "breaks off in the middle"),
        ("o" * 40, "is not what COCO's compression writes"),
        ([3, 5], "a sum of 8; expected 20"),
        ([25, -5], "none below 0"),
        ([1.5, 18.5], "no list of whole numbers"),
        ([[1], [2, 3]], "no list of whole numbers"),
        (None, "no list of whole numbers"),
    ],
)
def test_run_lengths_that_are_none(counts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_rle({"size": [4, 5], "counts": counts}, (4, 5))


@pytest.mark.parametrize("none", [-1, "-1"])
def test_outlines_of_no_track_are_objects_of_their_own(none: int | str, tmp_path: Path) -> None:
    rows: list[Any] = [
        (1, none, shapely.box(1, 1, 5, 5)),
        (1, none, shapely.box(20, 20, 30, 30)),
        (2, none, shapely.box(1, 1, 5, 5)),
    ]
    rows.append((1, 4 if none == -1 else "a", shapely.box(40, 1, 50, 5)))
    outlines = make_outlines(make_clip(), rows)
    assert write_coco(outlines, tmp_path / "coco.json").masks == 4
    found = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert sorted((a["image_id"], a["area"]) for a in found) == [(1, 16), (1, 40), (1, 100), (2, 16)]
    assert len({a["track_id"] for a in found}) == 4
    write_cvat(outlines, tmp_path / "cvat.xml")
    tracks = ET.parse(tmp_path / "cvat.xml").getroot().findall("track")
    assert len(tracks) == 4
    assert all(int(t.get("id", "-1")) > 0 for t in tracks)


def test_objects_without_a_pixel_and_behind_others_are_counted(tmp_path: Path) -> None:
    tiny, large = shapely.box(5.6, 5.6, 6.4, 6.4), shapely.box(10, 10, 30, 30)
    cover = [shapely.box(10, 10, 30, 20), shapely.box(10, 20, 30, 30)]
    rows: list[Row] = [(1, 1, tiny), (1, 2, large), (1, 3, cover[0]), (1, 4, cover[1]), (2, 2, large)]
    outlines = make_outlines(make_clip(2), rows)
    assert write_coco(outlines, tmp_path / "coco.json") == Written(4, without_pixels=1)
    assert write_ytvis(outlines, tmp_path / "ytvis.json") == Written(4, without_pixels=1)
    assert write_davis(outlines, tmp_path / "davis") == Written(3, without_pixels=1, hidden=1)
    assert write_mots(outlines, tmp_path / "mots") == Written(3, without_pixels=1, hidden=1)
    assert set(read_davis_set(tmp_path / "davis" / "harbour")) == {(0, 3), (0, 4), (1, 2)}
    assert set(read_mots_set(tmp_path / "mots" / "harbour")[0]) == {(0, 3), (0, 4), (1, 2)}
    assert reference(outlines, tmp_path / "reference") == Written(4, without_pixels=1)


def test_of_equal_areas_the_smaller_number_is_in_front() -> None:
    outlines = make_outlines(make_clip(1), [(1, 5, shapely.box(4, 4, 14, 14)), (1, 2, shapely.box(8, 8, 18, 18))])
    masks = list(ClipMasks(outlines).frame(0))
    assert [ClipMasks(outlines).tracks[m.track].track_id for m in masks] == [2, 5]
    painted = paint(masks, [2, 5], SHAPE)
    assert (painted == 2).sum() == 100
    assert (painted == 5).sum() == 64


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_to_write_is_a_set_too(tmp_path: Path, kind: str) -> None:
    for number, rows in enumerate(([], [(1, 1, None), (2, 1, None)])):
        path = place(kind, tmp_path) if number == 0 else place(kind, tmp_path).with_stem("none-ok")
        assert WRITERS[kind](make_outlines(make_clip(2), rows), path) == Written(0)
        if kind == "coco":
            assert (len(COCO(str(path)).imgs), read_coco_set(path)) == (2, {})
        elif kind == "ytvis":
            assert (len(json.loads(path.read_text())["videos"]), read_ytvis_set(path)) == (1, {})
        elif kind == "davis":
            assert (len(list((path / "harbour").iterdir())), read_davis_set(path / "harbour")) == (2, {})
        elif kind == "mots":
            assert (len(list((path / "harbour" / "instances").glob("*.png"))), *read_mots_set(path / "harbour")) == (2, {}, {})
        elif kind == "cvat":
            assert len(read_tracks(path)) == 0
        elif kind == "label_studio":
            assert [t["predictions"][0]["result"] for t in json.loads(path.read_text())] == [[], []]
        elif kind == "yolo":
            assert [p.read_text() for p in sorted((path / "harbour" / "labels").iterdir())] == ["", ""]
        else:
            assert sorted(p.name for p in path.iterdir()) == ["boxes", "img", "onehotmask", "tracks.json"]
            with pytest.raises(TrainingDataError, match="holds no usable object"):
                read_source(DataSource(kind="masks", path=str(path)))


def of_many(tracks: int, *, classes: int = 1) -> ClipOutlines:
    rows: list[Row] = [(1, i, shapely.box(i % 60, i // 60, i % 60 + 1, i // 60 + 1)) for i in range(1, tracks + 1)]
    return make_outlines(make_clip(1), rows, category=[f"class {i % classes}" for i in range(tracks)])


def test_as_many_tracks_as_a_format_has_room_for(tmp_path: Path) -> None:
    assert write_davis(of_many(254), tmp_path / "davis").masks == 254
    assert len(read_davis_set(tmp_path / "davis" / "harbour")) == 254
    with pytest.raises(
        OutputError, match="255 tracks, but an indexed PNG of DAVIS tells 254 apart; write COCO or YouTube-VIS JSON"
    ):
        write_davis(of_many(255), tmp_path / "more")
    assert write_mots(of_many(999, classes=61), tmp_path / "mots").masks == 999
    text, pictures = read_mots_set(tmp_path / "mots" / "harbour")
    assert_same(text, pictures)
    assert len(text) == 999
    for outlines, message in (
        (of_many(1000), "1000 tracks of class class 0, but MOTS tells 999"),
        (of_many(99, classes=62), "62 classes"),
    ):
        with pytest.raises(OutputError, match=message):
            write_mots(outlines, tmp_path / "more")
    clip = make_clip(1)
    with pytest.raises(OutputError, match="300 tracks, but"):
        check_set("davis", tmp_path / "more", clip, [Track(i, "a") for i in range(300)])
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path, kind: str) -> None:
    path, write = place(kind, tmp_path), WRITERS[kind]
    first, second = make_outlines(make_clip(3), [(1, 1, shapely.box(1, 1, 9, 9))]), harbour()
    write(first, path)
    before = snapshot(tmp_path)
    for attempt in (lambda: write(second, path), lambda: check_set(kind, path, second.clip)):  # type: ignore[arg-type]
        with pytest.raises(OutputError, match="exists; pass --overwrite") as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert snapshot(tmp_path) == before
    check_set(kind, path, second.clip, overwrite=True)  # type: ignore[arg-type]
    write(second, path, overwrite=True)
    after = snapshot(tmp_path)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write(second, path)
    assert snapshot(tmp_path) == after != before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["davis", "mots", "reference"])
def test_folders_of_others_are_left_alone(tmp_path: Path, kind: str) -> None:
    target = place(kind, tmp_path) if kind == "reference" else place(kind, tmp_path) / "harbour"
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds files of others .* remove them, or name another output"):
        WRITERS[kind](harbour(), place(kind, tmp_path), overwrite=True)
    assert (target / "thesis.tex").read_text() == "years of work"
    (target / "thesis.tex").unlink()
    WRITERS[kind](harbour(), place(kind, tmp_path))
    # Another clip beside it does not touch the first.
    if kind != "reference":
        before = snapshot(target)
        WRITERS[kind](replace(harbour(), clip=make_clip(name="quay")), place(kind, tmp_path))
        assert snapshot(target) == before


@pytest.mark.parametrize("kind", WRITERS)
def test_an_error_leaves_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = place(kind, tmp_path), WRITERS[kind]
    with small_files(60), pytest.raises(OutputError, match="cannot be written: File too large"):
        write(harbour(), path)
    assert list(tmp_path.iterdir()) == []
    write(make_outlines(make_clip(2), [(1, 1, shapely.box(1, 1, 9, 9))]), path)
    before = snapshot(tmp_path)
    by_outline = dict.fromkeys(("cvat", "label_studio", "yolo"), ClipMasks.outlines)
    frame: Any = {"ytvis": ClipMasks.track, **by_outline}.get(kind, ClipMasks.frame)

    def breaks(self: ClipMasks, index: int) -> Any:
        if index == 1:
            raise MemoryError
        return frame(self, index)

    monkeypatch.setattr(ClipMasks, frame.__name__, breaks)
    with pytest.raises(MemoryError):
        write(harbour(), path, overwrite=True)
    assert snapshot(tmp_path) == before
    assert not list(tmp_path.rglob(".rosgeo*"))


def test_a_frame_that_cannot_be_read_is_told_as_it_is(tmp_path: Path) -> None:
    class Broken(Pictures):
        def read_rgb(self, index: int) -> np.ndarray:
            if index == 2:
                raise RasterError("000003.png cannot be read")
            return super().read_rgb(index)

    with pytest.raises(RasterError, match=r"000003\.png cannot be read"):
        write_reference(harbour(), Broken(make_clip()), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_places_that_take_no_set(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    deep = tmp_path / "no" / "such"
    attempts = [(place(kind, deep), "does not exist; make it first"), (place(kind, tmp_path / "file"), "is a file, not a folder")]
    for path, message in attempts:
        for attempt in (WRITERS[kind], lambda outlines, path: check_set(kind, path, outlines.clip)):  # type: ignore[arg-type]
            with pytest.raises(OutputError, match=message) as caught:
                attempt(harbour(), path)
            assert "\n" not in str(caught.value)
    # Permissions do not bind the superuser, who may run the tests.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="is not writable"):
        WRITERS[kind](harbour(), place(kind, tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_names_that_make_no_files(tmp_path: Path) -> None:
    clip = make_clip(2)
    twice = replace(clip, frames=(clip.frames[0], replace(clip.frames[1], name="000001.tif")))
    for kind in ("davis", "mots", "reference"):
        with pytest.raises(OutputError, match=r"the frames 000001\.png and 000001\.tif would have one mask file"):
            WRITERS[kind](make_outlines(twice, []), tmp_path / "out")
    for name in ("", "..", "a/b"):
        with pytest.raises(OutputError, match="cannot be the name of a folder"):
            write_davis(make_outlines(replace(clip, name=name), []), tmp_path / "out")
    with pytest.raises(ValueError, match="outlines of frame 9, which the clip harbour does not have"):
        write_coco(make_outlines(clip, [(9, 1, shapely.box(0, 0, 3, 3))]), tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []


def source_of(kind: str, folder: Path, outlines: ClipOutlines) -> DataSource:
    """The set and the clip's frames, as `rosgeo train` is told of them."""
    frames = Pictures(outlines.clip).save(folder)
    if kind in ("coco", "plain coco"):
        write_coco(outlines, folder / "masks.json")
        if kind == "plain coco":
            content = json.loads((folder / "masks.json").read_text())
            for entry in content["annotations"]:
                flat = coco_mask.decode(entry["segmentation"]).ravel(order="F")
                runs = np.diff(np.flatnonzero(np.diff(flat, prepend=1 - flat[0], append=1 - flat[-1])))
                entry["segmentation"]["counts"] = [0] * int(flat[0]) + runs.tolist()
            (folder / "masks.json").write_text(json.dumps(content))
        return DataSource(path=str(folder), annotations="masks.json")
    if kind == "davis":
        write_davis(outlines, folder / "Annotations")
        return DataSource(kind="frames", path=str(frames), masks=str(folder / "Annotations" / "harbour"))
    write_reference(outlines, Pictures(outlines.clip), folder / "train")
    return DataSource(kind="masks", path=str(folder / "train"))


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
@pytest.mark.parametrize("kind", ["coco", "plain coco", "davis", "reference"])
def test_training_takes_the_sets(tmp_path: Path, kind: str) -> None:
    outlines = harbour()
    objects, left_out = read_source(source_of(kind, tmp_path, outlines))
    masks = in_front(wanted(outlines)) if kind == "davis" else wanted(outlines)
    assert (len(objects), left_out) == (11, {})
    keys = sorted(masks, key=lambda k: (k[0], k[1]))
    for labelled, key in zip(objects, keys, strict=True):
        assert labelled.image_path.name == f"{key[0] + 1:06d}.png"
        assert np.array_equal(polygon_mask(labelled.rings, SHAPE), masks[key])
        assert labelled.category == ("object" if "coco" not in kind else {3: "car", 7: "ship", 12: "ship"}[key[1]])
    sample = make_sample(objects[:2], 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=56)
    assert sample.targets[0].max() == 1
    # A clip shows one piece of ground, which no split may part.
    assert len({o.ground_key for o in objects}) == 1
    with pytest.raises(TrainingDataError, match="There are too few pictures"):
        split_objects(objects, SplitConfig(by="file"))


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_frames_of_one_clip_are_known_across_formats(tmp_path: Path) -> None:
    coco, _ = read_source(source_of("coco", tmp_path, harbour()))
    write_davis(harbour(), tmp_path / "Annotations")
    davis, _ = read_source(
        DataSource(kind="frames", path=str(tmp_path / "harbour"), masks=str(tmp_path / "Annotations" / "harbour"))
    )
    assert {o.ground for o in coco} == {o.ground for o in davis}
    with pytest.raises(TrainingDataError, match="are both in 'train' and in 'val'"):
        refuse_same_ground(coco[:3], davis[8:])


def two_clips_in_one_folder(tmp_path: Path) -> list[LabelledObject]:
    write_coco(harbour(), tmp_path / "instances.json")
    Pictures(make_clip()).save(tmp_path / "images")
    content = json.loads((tmp_path / "instances.json").read_text())
    for image in content["images"][2:]:
        image["video_id"] = 2
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return read_source(DataSource(path=str(tmp_path)))[0]


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_clips_that_share_a_folder_are_told_apart(tmp_path: Path) -> None:
    objects = two_clips_in_one_folder(tmp_path)
    grounds = {o.image_path.name: o.ground_key for o in objects}
    assert grounds["000001.png"] == grounds["000002.png"] != grounds["000003.png"] == grounds["000004.png"]
    train, val, _ = split_objects(objects, SplitConfig(by="file", share=0.4))
    assert {o.ground for o in train}.isdisjoint(o.ground for o in val)


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_coco_run_lengths_that_do_not_fit_are_named(tmp_path: Path) -> None:
    source = source_of("coco", tmp_path, harbour())
    whole = json.loads((tmp_path / "masks.json").read_text())
    for damage, message in (
        ({"size": [HEIGHT, WIDTH + 1]}, r"annotation 5: its RLE has the size \[48, 71\]; expected \[48, 70\], height and width"),
        ({"counts": "abc"}, "annotation 5: its RLE breaks off"),
        ({"counts": [5]}, "annotation 5: its RLE .* a sum of 5; expected 3360"),
    ):
        content = json.loads(json.dumps(whole))
        content["annotations"][4]["segmentation"] |= damage
        (tmp_path / "masks.json").write_text(json.dumps(content))
        with pytest.raises(TrainingDataError, match=message) as caught:
            read_source(source)
        assert "\n" not in str(caught.value)
    content = json.loads(json.dumps(whole))
    content["annotations"][0]["segmentation"]["counts"] = [HEIGHT * WIDTH]
    content["annotations"][1]["iscrowd"] = 1
    (tmp_path / "masks.json").write_text(json.dumps(content))
    objects, left_out = read_source(source)
    assert (len(objects), left_out) == (9, {"empty mask": 1, "crowd": 1})


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    def peak(frames: int, write: Writer, path: Path) -> float:
        clip = replace(make_clip(frames), height=200, width=250)
        outlines = make_outlines(clip, [(f.number, t, shapely.box(3 * t, 9, 3 * t + 9, 30)) for f in clip.frames for t in range(4)])
        tracemalloc.start()
        write(outlines, path)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / 1e6

    write_coco(make_outlines(make_clip(1), []), tmp_path / "first.json")  # what is loaded once
    for kind in ("coco", "mots", "reference"):
        few, many = (peak(n, WRITERS[kind], place(kind, tmp_path).with_stem(f"{kind}{n}")) for n in (4, 16))
        # The masks of a frame's four tracks are 0.2 MB: those of 12 frames more would be 2.4.
        assert many - few < 0.4, (kind, few, many)
