"""The gate that all labels pass: what is left out, changed and suspicious, whatever reader it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rosgeo.errors import LabelsWarning, OptionError, TrainingDataError
from rosgeo.geometry.pixels import polygon_mask
from rosgeo.labelled.candidates import Candidate, Claims, LabelledPicture, Read
from rosgeo.labelled.classes import class_name
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import load_image
from rosgeo.labelled.gate import Labels, Rules, admit
from rosgeo.labelled.outlines import area_of, clip_rings, join_holes, join_loops, loops_of, mask_path, parts_of
from rosgeo.labelled.polygons import rings_from
from rosgeo.labelled.sources import read_labelled

from tests.label_site import coco, masks, on_map, rings, save_picture, write_json, write_layer, write_scene
from tests.training_site import HEIGHT, WIDTH, ellipse, picture

PICTURE = LabelledPicture(Path("p.png"), HEIGHT, WIDTH, plain=True)
BOX = np.array([[10.0, 10], [40, 10], [40, 30], [10, 30]])


def moved(x: float, y: float) -> np.ndarray:
    return BOX + np.array([x, y])


def admitted(*candidates: Candidate, rules: Rules | None = None) -> Labels:
    return admit(Read("labels", candidates), rules or Rules(), lambda _: lambda rows, cols: None)


def other(**more: Any) -> Candidate:
    """A good candidate, so that something is left."""
    return Candidate("good", PICTURE, (rings()[0],), **more)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (moved(500, 0), "outside the picture"),
        (moved(0, -30.5), "outside the picture"),
        (BOX / (WIDTH, HEIGHT), "with all coordinates between 0 and 1 (fractions of the picture?)"),
        (np.array([[10, 20.6], [50, 20.6], [50, 20.8], [10, 20.8]]), "smaller than a pixel"),
        (np.array([[10, 20.2], [11.5, 20.2], [11.5, 21.9]]), "shorter than 2 px"),
        (np.array([[10, 20.0], [50, 20.0], [30, 20.0]]), "without an area"),
        (np.array([[10, 20.0], [50, np.nan], [30, 60.0]]), "with coordinates that are no numbers"),
        (np.array([[10, 20.0], [50, 20.0]]), "without an outline"),
    ],
)
def test_what_has_no_pixels_is_left_out_with_its_reason(points: np.ndarray, reason: str) -> None:
    labels = admitted(Candidate("bad", PICTURE, (points,)), other())
    assert [(f.what, f.count, f.first) for f in labels.report.left_out] == [(reason, 1, "bad")]
    assert len(labels.objects) == labels.report.objects == 1
    assert labels.report.lost_share == 0.5


def test_outlines_are_clipped_with_their_boxes() -> None:
    labels = admitted(
        Candidate("edge", PICTURE, (moved(100, 75),), box=np.array([100.0, 75, 200, 200])), Candidate("in", PICTURE, (BOX,))
    )
    assert labels.objects[0].box_px.tolist() == [100, 75, WIDTH, HEIGHT]
    np.testing.assert_allclose(clip_rings([moved(100, 75)], (HEIGHT, WIDTH))[0].max(axis=0), [WIDTH, HEIGHT])
    assert [f.text for f in labels.report.changed] == ["1 clipped at the picture's edge (first: edge)"]
    # What rounding alone puts over the edge is not worth a word.
    assert admitted(Candidate("a", PICTURE, (moved(80.4, 0),))).report.changed == ()


def test_fractions_are_refused_where_all_are() -> None:
    small = [Candidate(f"n{i}", PICTURE, (BOX / (WIDTH, HEIGHT),)) for i in range(3)]
    with pytest.raises(TrainingDataError, match=r"all coordinates of all outlines lie between 0 and 1 \(first: n0\)"):
        admitted(*small)


def test_labels_without_valid_ground_are_left_out() -> None:
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:, :60] = False
    candidates = [Candidate(f"n{i}", LabelledPicture(Path("p.tif"), HEIGHT, WIDTH), (ring,)) for i, ring in enumerate(rings())]
    labels = admit(Read("labels", tuple(candidates)), Rules(), lambda _: lambda rows, cols: valid[rows, cols])
    assert labels.report.counts() == {"on nodata": 1}
    assert labels.objects[0].rings[0] is rings()[1] or np.array_equal(labels.objects[0].rings[0], rings()[1])


def claimed(box: list[float], points: np.ndarray = BOX, **more: Any) -> Candidate:
    return Candidate("n", PICTURE, (points,), claims=Claims(np.array(box, dtype=float), **more))


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ([60, 50, 90, 70], "x_min, y_min, x_max, y_max"),
        ([75, 60, 30, 20], "the centre, width and height"),
        ([61, 51, 28, 18], None),
        ([60 / WIDTH, 50 / HEIGHT, 30 / WIDTH, 20 / HEIGHT], "fractions of the picture"),
        ([60 / WIDTH, 50 / HEIGHT, 90 / WIDTH, 70 / HEIGHT], "corners in fractions of the picture"),
    ],
)
def test_boxes_in_another_form_do_no_harm(box: list[float], what: str | None) -> None:
    labels = admitted(*[claimed(box, moved(50, 40)[:3])] * 2)
    assert len(labels.objects) == 2
    assert labels.report.as_dict()["changed"] == (
        {f"with a box that is written as {what}": {"count": 2, "first": "n"}} if what else {}
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p[:, ::-1] * (0.5, 1), "do not lie on their outlines"),
        (lambda p: p / 2, r"the boxes are 2 x 2 times as large as the outlines"),
        (lambda p: p / (WIDTH, HEIGHT) * 100, "percent of the picture"),
        (lambda p: np.array([WIDTH, HEIGHT]) - p, "turned by 180 degrees"),
        (lambda p: p[:, ::-1], "x and y were swapped"),
    ],
)
def test_outlines_that_miss_their_boxes_are_refused(change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    boxes = [[16, 31, 28, 18], [75, 34, 20, 32]]
    wrong = [claimed(box, change(ring)) for box, ring in zip(boxes, rings(), strict=True)]
    with pytest.raises(TrainingDataError, match=words):
        admitted(*wrong)


def test_boxes_of_corners_are_known_though_some_fit_by_chance() -> None:
    # The first one's corners are also a loose box of x, y, width and height around its outline.
    labels = admitted(claimed([10, 8, 40, 28], moved(0, -2)[:3]), claimed([60, 50, 90, 70], moved(50, 40)[:3]))
    assert len(labels.objects) == 2
    assert [f.what for f in labels.report.changed] == ["with a box that is written as x_min, y_min, x_max, y_max"]


def test_one_outline_that_misses_its_box_is_left_out() -> None:
    labels = admitted(*[claimed([10, 10, 30, 20])] * 3, claimed([70, 50, 30, 20]))
    assert labels.report.counts() == {"whose box misses its outline": 1}


@pytest.mark.parametrize("with_boxes", [True, False])
def test_run_lengths_along_rows_are_read_so(tmp_path: Path, with_boxes: bool) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    for note, mask in zip(content["annotations"], masks(), strict=True):
        flat = mask.ravel().astype(np.int8)
        ends = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])) != 0)
        note["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": np.diff(np.concatenate([[0], ends])).tolist()}
        if not with_boxes:
            del note["bbox"]
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    for labelled, mask in zip(labels.objects, masks(), strict=True):
        assert np.array_equal(polygon_mask(labelled.rings, (HEIGHT, WIDTH)), mask)
    assert [f.text for f in labels.report.changed] == ["2 with an RLE that runs along rows, read so (first: annotation 1)"]


def test_areas_tell_of_filled_holes(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    for note, ring in zip(content["annotations"], rings(), strict=True):
        note["area"] = 0.5 * abs(area_of(ring))
    with pytest.warns(
        LabelsWarning, match="2 of 2 labels have an outline that is 2 times as large as the area that their file gives"
    ):
        read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    for note in content["annotations"]:
        # Many tools give the box's area.
        note["area"] = note["bbox"][2] * note["bbox"][3]
    assert read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content)))).report.suspicious == ()


OUTER = np.array([[10.0, 10], [60, 10], [60, 60], [10, 60]])
INNER = np.array([[20.0, 20], [20, 50], [50, 50], [50, 20]])


@pytest.mark.parametrize(
    ("inner", "area", "pixels", "said"),
    [
        (INNER, 1600, 1600, "with a ring inside another, taken as a hole"),
        (INNER, None, 1600, "with a ring inside another, taken as a hole"),
        (INNER[::-1], 1600, 1600, "with a ring inside another, taken as a hole"),
        (INNER[::-1], None, 2500, "with a ring inside another, taken as part of it"),
        (INNER, 2500, 2500, "with a ring inside another, taken as part of it"),
    ],
)
def test_a_ring_in_another_is_a_hole(inner: np.ndarray, area: float | None, pixels: int, said: str) -> None:
    labels = admitted(Candidate("n", PICTURE, (OUTER, inner), claims=Claims(area=area)))
    assert polygon_mask(labels.objects[0].rings, (HEIGHT, WIDTH)).sum() == pixels
    assert [f.what for f in labels.report.changed] == [said]
    assert join_holes([OUTER, INNER + 60])[1:] == (0, 0)


WAYS: list[Any] = [
    BOX.ravel().tolist(),
    [BOX.ravel().tolist()],
    BOX.tolist(),
    [BOX.tolist()],
    [{"x": x, "y": y} for x, y in BOX.tolist()],
    [[{"x": x, "y": y} for x, y in BOX.tolist()]],
    {"all_points_x": BOX[:, 0].tolist(), "all_points_y": BOX[:, 1].tolist()},
    {"type": "Polygon", "coordinates": [BOX.tolist()]},
    {"type": "MultiPolygon", "coordinates": [[[[*p, 0.0] for p in BOX.tolist()]]]},
    {"points": BOX.tolist()},
    "10,10 40,10 40,30 10,30",
    "10.0,10.0;40,10;40,30;10,30",
    "POLYGON ((10 10, 40 10, 40 30, 10 30, 10 10))",
    str(BOX.tolist()),
    [[str(v) for v in BOX.ravel()]],
    [[*p, 7.5] for p in BOX.tolist()],
    {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [BOX.tolist()]}},
    {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [BOX.tolist()]}]},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_to_write_a_polygon(way: Any) -> None:
    (ring,) = rings_from(way)
    assert np.array_equal(polygon_mask([ring], (HEIGHT, WIDTH)), polygon_mask([BOX], (HEIGHT, WIDTH)))


@pytest.mark.parametrize(
    "way", [[1.0] * 47, [[1, 2, 3], [4, 5, 6]], [None], 5, {"a": 1}, "eh", [[[[[[[[[[1, 2]]]]]]]]]], [True, False], "[1, 2"]
)
def test_what_is_no_polygon_is_said_in_words(way: Any) -> None:
    with pytest.raises(ValueError) as caught:
        rings_from(way)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_classes_are_what_the_column_holds(tmp_path: Path) -> None:
    import pandas as pd

    values = [None, float("nan"), pd.NA, pd.NaT, "", "  ", 1.0, np.float64(2), np.int64(3), 1.5, " tank ", "a  b", True]
    named = ["without a class"] * 6 + ["1", "2", "3", "1.5", "tank", "a b", "True"]
    assert [class_name(v) for v in values] == named
    scene = write_scene(tmp_path / "scene.tif")
    outlines = [on_map(shapely.Polygon(r)) for r in rings()]
    layer = write_layer(tmp_path / "l.gpkg", outlines, kind=pd.array([1, None], dtype="Int64"))
    source = DataSource(kind="raster", raster=str(scene), labels=str(layer), class_column="kind")
    assert [o.category for o in read_labelled(source).objects] == ["1", "without a class"]


def test_boxes_in_place_of_outlines_are_said() -> None:
    corners = [np.array([[10.0, 10], [40, 10], [40, 30], [10, 30]]) + 3 * i for i in range(3)]
    report = admitted(*[Candidate(f"n{i}", PICTURE, (c,)) for i, c in enumerate(corners)]).report
    assert report.suspicious[0].text.startswith("3 of 3 labels are upright rectangles: boxes, not outlines?")
    assert (report.suspicious[0].loud, report.suspicious[0].rows) == (True, (0, 1, 2))
    # Some rectangles among outlines are fine, and so are masks that are too small to be anything else.
    assert admitted(Candidate("a", PICTURE, (corners[0],)), other(), Candidate("b", PICTURE, (corners[1],))).report.suspicious == ()
    assert (
        admitted(*[Candidate("a", PICTURE, (mask_path(np.ones((3, 4), bool)) + 9 * i,)) for i in range(3)]).report.suspicious == ()
    )


def test_one_label_of_many_objects_is_said_or_split() -> None:
    both = Candidate("class 1", PICTURE, tuple(rings()), category="tank")
    report = admitted(both).report
    assert "1 of 1 labels have parts that lie far apart" in report.suspicious[0].text
    joined = masks()[0] | masks()[1]
    one_path = Candidate("number 1", PICTURE, (mask_path(joined),))
    assert "up to 2 parts" in admitted(one_path).report.suspicious[0].text
    for candidate in (both, one_path):
        split = admitted(candidate, rules=Rules(split_parts=True))
        assert [len(o.rings) for o in split.objects] == [1, 1]
        assert split.report.suspicious == ()
        found = sorted(int(polygon_mask(o.rings, (HEIGHT, WIDTH)).sum()) for o in split.objects)
        assert found == sorted(int(m.sum()) for m in masks())
    # The parts of a roof under a tree lie closer together than they are large.
    roof = (BOX, moved(35, 0))
    assert admitted(Candidate("roof", PICTURE, roof), other()).report.suspicious == ()


def test_a_mask_whose_numbers_are_no_numbers_is_said(tmp_path: Path) -> None:
    """Resampled, so that values between the numbers lie along the edges."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(picture(0)[0]).save(tmp_path / "frames" / "0.png")
    clean = sum(m.astype(np.uint8) * 100 * (i + 1) for i, m in enumerate(masks()))
    small = Image.fromarray(clean).resize((WIDTH // 2, HEIGHT // 2))
    small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(tmp_path / "masks" / "0.png")
    with pytest.warns(LabelsWarning) as heard:
        read_labelled(DataSource(kind="frames", path=str(tmp_path / "frames"), masks=str(tmp_path / "masks")))
    assert any("the numbers are no numbers" in str(w.message) for w in heard)


def test_the_same_outline_and_the_same_picture_twice_are_said(tmp_path: Path) -> None:
    report = admitted(other(), other(), *[Candidate(f"n{i}", PICTURE, (ellipse(20 + 3 * i, 40, 9, 7),)) for i in range(20)]).report
    assert [f.text for f in report.suspicious] == ["1 have the outline of another label of their picture (first: good)"]
    content = coco("p.png")
    content["images"].append({**content["images"][0], "id": 2, "file_name": "q.png"})
    content["annotations"][1]["image_id"] = 2
    for name in "pq":
        save_picture(tmp_path / "images" / f"{name}.png")
    report = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content)))).report
    assert report.suspicious[0].text == "1 pictures are byte for byte another one of the source (first: p.png and q.png)"


def test_what_is_ignored_is_no_object() -> None:
    unsure = Candidate("u", PICTURE, (BOX,), category="unsure")
    covered = Candidate("c", PICTURE, (BOX + 1 - 1,))
    labels = admitted(other(), unsure, covered, rules=Rules(ignore={"unsure"}))
    assert labels.report.counts() == {"on what is ignored": 1}
    assert len(labels.objects) == 1
    assert polygon_mask(labels.objects[0].ignored, (HEIGHT, WIDTH)).sum() == 600
    assert "1 counted neither as object nor as ground (first: u)" in labels.report.lines()[1]


SIZES: list[tuple[str, Callable[[dict[str, Any]], object], str | None]] = [
    ("missing", lambda i: [i.pop(k) for k in ("height", "width")], None),
    ("null", lambda i: i.update(width=None), None),
    ("zero", lambda i: i.update(width=0, height=0), None),
    ("below zero", lambda i: i.update(width=-1, height=-1), None),
    ("swapped", lambda i: i.update(width=HEIGHT, height=WIDTH), r"p\.png is 120 x 90 px, but .* says 90 x 120 \(width x height\)"),
    ("another", lambda i: i.update(width=WIDTH + 30), r"p\.png is 120 x 90 px, but .* says 150 x 90"),
    ("near", lambda i: i.update(width=WIDTH + 1), r"says 121 x 90"),
]


@pytest.mark.parametrize(("name", "change", "error"), SIZES, ids=[s[0] for s in SIZES])
def test_sizes_that_a_file_gives(name: str, change: Callable[[dict[str, Any]], object], error: str | None, tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    change(content["images"][0])
    source = DataSource(path=str(write_json(tmp_path / "instances.json", content)))
    if error is None:
        assert {(o.height, o.width) for o in read_labelled(source).objects} == {(HEIGHT, WIDTH)}
    else:
        with pytest.raises(TrainingDataError, match=error):
            read_labelled(source)


@pytest.mark.parametrize("factor", [0.5, 2])
def test_labels_of_a_resized_picture_are_scaled(factor: float, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "images" / "p.png")
    Image.open(path).resize((int(WIDTH * factor), int(HEIGHT * factor)), Image.Resampling.BOX).save(path)
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", coco("p.png")))))
    assert [f.what for f in labels.report.changed] == ["scaled to the size of their picture"]
    for labelled, ring in zip(labels.objects, rings(), strict=True):
        np.testing.assert_allclose(labelled.rings[0], ring * factor)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_labels_belong_to_the_picture_as_it_is_shown(orientation: int, suffix: str, tmp_path: Path) -> None:
    pixels = picture(0)[0]
    turned = {5: pixels.swapaxes(0, 1), 6: np.rot90(pixels), 7: np.rot90(pixels, 2).swapaxes(0, 1), 8: np.rot90(pixels, -1)}
    stored = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], **turned}[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    (tmp_path / "images").mkdir()
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "images" / f"p{suffix}", exif=exif, quality=95)
    content = coco(f"p{suffix}")
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    said = ["on pictures that are turned as their EXIF says"] if orientation > 1 else []
    assert [f.what for f in labels.report.changed] == said
    for labelled, mask in zip(labels.objects, masks(), strict=True):
        assert load_image(labelled.image_path).shape == (3, HEIGHT, WIDTH)
        assert (load_image(labelled.image_path).max(axis=0)[mask] > 100).mean() > 0.95
        assert (labelled.height, labelled.width) == (HEIGHT, WIDTH)


def test_labels_that_were_drawn_on_the_stored_picture(tmp_path: Path) -> None:
    from rosgeo.labelled.data import read_crop
    from rosgeo.types import CropWindow

    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(0)[0]).save(tmp_path / "images" / "p.png", exif=exif)
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", coco("p.png")))))
    assert [f.what for f in labels.report.changed] == ["on pictures whose EXIF turn is left out, as their labels' size says"]
    image, _ = read_crop(labels.objects[0], CropWindow(0, 0, WIDTH))
    assert np.array_equal(image[:, :HEIGHT], picture(0)[0].transpose(2, 0, 1))


def test_ids_given_twice_are_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    for key, entry, message in (
        ("images", {"id": "1", "file_name": "q.png"}, "the image id 1 is given twice: p.png and q.png"),
        ("categories", {"id": 1, "name": "ship"}, "the category id 1 is given twice: a and ship"),
    ):
        content = coco("p.png")
        content[key].append(entry)
        with pytest.raises(TrainingDataError, match=message):
            read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    content = coco("p.png")
    content["images"].append(dict(content["images"][0]))
    content["categories"].append({"id": 1, "name": "a", "supercategory": "x"})
    assert len(read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content)))).objects) == 2


BROKEN: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: c.update(annotations=None), "'annotations' is null; expected a list of objects"),
    (lambda c: c.update(images=[3]), "entry 0 of 'images' is a number"),
    (lambda c: c.pop("categories"), "'categories' is missing"),
    (lambda c: c["annotations"][0].update(image_id=[0]), "annotation 1: 'image_id' is a list"),
    (lambda c: c["annotations"][0].update(image_id=7), "annotation 1: 7, its 'image_id', is missing in the list of images"),
    (lambda c: c["annotations"][0].update(image_id="9" * 5000), "annotation 1: '999"),
    (lambda c: c["annotations"][0].pop("category_id"), "annotation 1: 'category_id' is missing"),
    (lambda c: c["images"][0].update(file_name=None), "image 1: 'file_name' is missing"),
    (lambda c: c["annotations"][0].update(segmentation={"size": [3, 4], "counts": [12]}), "annotation 1: its RLE has the size"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[b[1][:40] for b in BROKEN])
def test_broken_json_is_one_line_that_names_the_place(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    change(content)
    with pytest.raises(TrainingDataError) as caught:
        read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_to_be_ignored_and_is_not_there_is_said(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    path = write_json(tmp_path / "instances.json", coco("p.png"))
    with pytest.warns(LabelsWarning, match="no label is of the class 'Roof', which is to be ignored; there are "):
        assert len(read_labelled(DataSource(path=str(path), ignore=("Roof",))).objects) == 2
    layer = write_layer(tmp_path / "l.gpkg", [on_map(shapely.box(0, 0, 9, 9))])
    with pytest.raises(OptionError, match=r"l\.gpkg is a layer of polygons to ignore, which goes with a raster"):
        read_labelled(DataSource(path=str(path), ignore=(str(layer),)))


def test_labels_beyond_the_size_that_their_file_gives_are_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    content["images"][0].update(width=WIDTH // 2, height=HEIGHT // 2)
    with pytest.raises(TrainingDataError, match=r"2 of 2 labels reach beyond the size .*annotation 1 on p\.png, 120 x 90 px"):
        read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))


@pytest.mark.parametrize("place", ["bbox", "area", "size", "segmentation"])
def test_numbers_beyond_any_float_are_no_traceback(place: str, tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    huge = 10**400
    changed = {"bbox": [huge] * 4, "area": huge, "segmentation": [[huge, 1, 2, 3, 4, 5]]}
    if place == "size":
        content["images"][0]["width"] = huge
    else:
        content["annotations"][0][place] = changed[place]
        content["annotations"][1]["area"] = 10**30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelsWarning)
        labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    assert labels.report.counts() == ({"with coordinates that are no numbers": 1} if place == "segmentation" else {})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    import json

    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    content["categories"][0]["name"] = "dépôt"
    (tmp_path / "instances.json").write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    source = DataSource(path=str(tmp_path))
    if encoding != "latin-1":
        assert read_labelled(source).objects[0].category == "dépôt"
        return
    with pytest.raises(TrainingDataError, match=r"is not text in UTF-8 \(byte 0xe9 at \d+\)") as caught:
        read_labelled(source)
    assert len(str(caught.value)) < 300


def test_ids_and_lists_in_another_form_are_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    for note in content["annotations"]:
        note.update(image_id="1", category_id=float(note["category_id"]), iscrowd="0")
    content["annotations"] = {str(note["id"]): note for note in content["annotations"]}
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    assert [o.category for o in labels.objects] == ["a", "b"]


def test_areas_that_are_all_off_by_one_factor_are_said() -> None:
    percent = [Candidate(f"n{i}", PICTURE, (r / (1.2, 0.9),), claims=Claims(area=abs(area_of(r)))) for i, r in enumerate(rings())]
    (finding,) = admitted(*percent).report.suspicious
    assert "2 of 2 labels have an outline that is 0.926 times as large as the area that their file gives" in finding.text
    right = [replace(c, rings=(r,)) for c, r in zip(percent, rings(), strict=True)]
    assert admitted(*right).report.suspicious == ()


def test_objects_on_a_crowd_count(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    around = {"id": 9, "image_id": 1, "category_id": 1, "segmentation": [[5, 20, 60, 20, 60, 60, 5, 60]], "iscrowd": 1}
    content["annotations"].append(around)
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    assert len(labels.objects) == 2
    ignored = polygon_mask(labels.objects[0].ignored, (HEIGHT, WIDTH))
    assert not (ignored & masks()[0]).any()
    assert ignored.sum() == 55 * 40 - masks()[0].sum()


def test_crowds_are_ignored_ground(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "p.png")
    content = coco("p.png")
    content["annotations"][0]["iscrowd"] = 1
    labels = read_labelled(DataSource(path=str(write_json(tmp_path / "instances.json", content))))
    assert labels.report.counts() == {"crowd": 1}
    assert labels.report.lost_share == 0
    assert polygon_mask(labels.objects[0].ignored, (HEIGHT, WIDTH)).sum() == masks()[0].sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b / (WIDTH, HEIGHT, WIDTH, HEIGHT), "expected x_min, y_min, x_max, y_max in pixels, in the order of the masks"),
        (lambda b: b[:, [1, 0, 3, 2]], "x and y were swapped"),
        (lambda b: b[::-1], r"median IoU 0\.00; first: mask 0 of p\.npy"),
    ],
)
def test_boxes_that_miss_their_masks_are_refused(change: Callable[[np.ndarray], np.ndarray], message: str, tmp_path: Path) -> None:
    from tests.label_site import LAYOUTS

    source = LAYOUTS["reference"].write(tmp_path)
    np.save(tmp_path / "boxes" / "p.npy", change(np.load(tmp_path / "boxes" / "p.npy")))
    with pytest.raises(TrainingDataError, match=message):
        read_labelled(source)
    LAYOUTS["reference"].write(tmp_path / "b")
    np.save(tmp_path / "b" / "onehotmask" / "p.npy", 255 - np.load(tmp_path / "b" / "onehotmask" / "p.npy"))
    with pytest.raises(TrainingDataError, match="do not lie on their outlines"):
        read_labelled(DataSource(path=str(tmp_path / "b")))


def test_a_mask_raster_has_no_columns(tmp_path: Path) -> None:
    from tests.label_site import LAYOUTS

    source = LAYOUTS["mask-raster"].write(tmp_path)
    with pytest.raises(OptionError, match="has no class_column"):
        read_labelled(DataSource(kind="raster", raster=source.raster, labels=source.labels, class_column="kind"))


@given(st.integers(1, 2**25 - 1))
def test_the_loops_and_parts_of_a_path_are_those_of_its_mask(bits: int) -> None:
    mask = np.array([bits >> i & 1 for i in range(25)], dtype=bool).reshape(5, 5)
    path = mask_path(mask)
    loops = loops_of(path)
    assert np.array_equal(polygon_mask([join_loops(loops)], (5, 5)), mask)
    together = np.zeros((5, 5), int)
    for part in parts_of([path]):
        together += polygon_mask(part, (5, 5))
    assert np.array_equal(together, mask)
