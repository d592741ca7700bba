"""Pictures of labelled folders are read as scenes are, whatever their depth, bands, nodata and size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosgeo
import shapely
from affine import Affine
from click.testing import Result
from PIL import Image
from rasterio.enums import ColorInterp
from rosgeo.errors import OptionError, TrainingDataError
from rosgeo.labelled import pixels as pixels_room
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject, RasterPixels, load_image, read_crop
from rosgeo.labelled.pictures import decode_plain, read_header, read_headers
from rosgeo.labelled.sources import read_labelled
from rosgeo.types import CropWindow

from tests.conftest import px_boxes
from tests.label_site import coco, masks, on_map, rings, save_picture, write_json, write_layer, write_scene
from tests.training_site import HEIGHT, WIDTH, picture

PIXELS = picture(0)[0].transpose(2, 0, 1)
HOLE = np.where(np.arange(WIDTH) < 20, 0, np.maximum(PIXELS, 1)).astype(np.uint8)
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
ALPHA = np.where(np.arange(WIDTH) < 20, 0, 255).astype(np.uint8) * np.ones((1, HEIGHT, 1), np.uint8)

TILES: dict[str, tuple[np.ndarray, tuple[ColorInterp, ...], dict[str, Any]]] = {
    "rgb": (PIXELS, RGB, {}),
    "blue first": (PIXELS[::-1], RGB[::-1], {}),
    "blue first and infrared": (np.concatenate([PIXELS[::-1], 255 - PIXELS[:1]]), (*RGB[::-1], ColorInterp.undefined), {}),
    "alpha": (np.concatenate([PIXELS, ALPHA]), (*RGB, ColorInterp.alpha), {}),
    "nodata": (HOLE, RGB, {"nodata": 0}),
    "one band": (PIXELS[:1], (ColorInterp.gray,), {}),
    "uint16": (PIXELS.astype(np.uint16) * 40, (ColorInterp.gray,) + (ColorInterp.undefined,) * 2, {}),
    "float with NaN": (
        np.where(ALPHA == 0, np.nan, PIXELS / 255).astype(np.float32),
        (ColorInterp.gray,) + (ColorInterp.undefined,) * 2,
        {},
    ),
    "five bands": (np.concatenate([PIXELS, PIXELS[:2]]), (ColorInterp.gray,) + (ColorInterp.undefined,) * 4, {}),
}


@pytest.mark.parametrize("name", TILES)
def test_a_raster_a_coco_picture_and_one_of_the_reference_give_equal_crops(name: str, tmp_path: Path) -> None:
    import rasterio

    array, colours, more = TILES[name]
    scene = write_scene(tmp_path / "scene.tif", array, **more)
    with rasterio.open(scene, "r+") as out:
        out.colorinterp = colours
    labels = write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(r)) for r in rings()])
    for folder in ("images", "img", "boxes", "onehotmask"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "p.tif").write_bytes(scene.read_bytes())
    (tmp_path / "img" / "p.tif").write_bytes(scene.read_bytes())
    write_json(tmp_path / "instances.json", coco("p.tif"))
    np.save(tmp_path / "boxes" / "p.npy", np.array([[*r.min(axis=0), *r.max(axis=0)] for r in rings()]))
    np.save(tmp_path / "onehotmask" / "p.npy", np.stack(masks()))
    sources = (
        DataSource(kind="raster", raster=str(scene), labels=str(labels)),
        DataSource(kind="coco", path=str(tmp_path)),
        DataSource(kind="masks", path=str(tmp_path)),
    )
    objects = [read_labelled(source).objects for source in sources]
    for window in (CropWindow(0, 0, WIDTH), CropWindow(-10, 20, 64)):
        wanted = [read_crop(o, window) for o in objects[0]]
        for others in objects[1:]:
            for (image, valid), labelled in zip(wanted, others, strict=True):
                found = read_crop(labelled, window)
                assert np.array_equal(found[0], image)
                assert np.array_equal(found[1], valid)
    if name in ("alpha", "nodata", "float with NaN"):
        assert not read_crop(objects[1][0], CropWindow(0, 0, 64))[1][:, :20].any()


def test_bands_and_stretch_of_the_pictures_of_a_folder(tmp_path: Path) -> None:
    write_scene(tmp_path / "images" / "p.tif", np.concatenate([PIXELS, 255 - PIXELS[:1]]))
    write_json(tmp_path / "instances.json", coco("p.tif"))
    source = DataSource(path=str(tmp_path), bands="4,2,3", stretch="range:0,510")
    image, _ = read_crop(read_labelled(source).objects[0], CropWindow(0, 0, HEIGHT))
    wanted = np.round(np.stack([255 - PIXELS[0], *PIXELS[1:]])[:, :, :HEIGHT] / 2)
    assert np.abs(image.astype(int) - wanted).max() <= 1


def test_nodata_that_the_user_names_holds_for_the_pictures_of_a_folder(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "images" / "p.tif", HOLE)
    write_json(tmp_path / "instances.json", coco("p.tif"))
    labels = write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(r)) for r in rings()])
    window = CropWindow(0, 0, 64)
    for nodata, are_valid in ((None, True), ("0", False)):
        folder = read_labelled(DataSource(path=str(tmp_path), annotations="instances.json", nodata=nodata)).objects[0]
        raster = read_labelled(DataSource(kind="raster", raster=str(scene), labels=str(labels), nodata=nodata)).objects[0]
        for a, b in zip(read_crop(folder, window), read_crop(raster, window), strict=True):
            assert np.array_equal(a, b)
        assert read_crop(folder, window)[1][:, :20].all() == are_valid
    # A plain picture too has ground of which the user says that it is none.
    Image.fromarray(np.where(masks()[0][..., None], 7, PIXELS.transpose(1, 2, 0) | 8).astype(np.uint8)).save(
        tmp_path / "images" / "q.png"
    )
    write_json(tmp_path / "instances.json", coco("q.png"))
    with pytest.warns(match="1 of 2 labels are left out: 1 on nodata"):
        read_labelled(DataSource(path=str(tmp_path), nodata=7))
    with pytest.raises(OptionError, match="nodata 'seven': expected a number"):
        read_labelled(DataSource(path=str(tmp_path), nodata="seven"))


def test_a_large_picture_is_read_by_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_picture(tmp_path / "p.png")
    labelled = LabelledObject(path, HEIGHT, WIDTH, tuple(rings()[:1]), "a", "b")
    window = CropWindow(-10, 20, 64)
    whole = read_crop(labelled, window)
    pixels_room._reader.cache_clear()
    monkeypatch.setattr(pixels_room, "_HELD_BYTES", 0)
    parts = read_crop(labelled, window)
    assert hasattr(pixels_room._reader(RasterPixels(str(path), upright=False), *pixels_room._now(str(path))), "opened")
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])
    pixels_room._reader.cache_clear()


SCENES: list[tuple[str, dict[str, Any]]] = [
    ("north-up", {}),
    ("uint16", {"array": PIXELS.astype(np.uint16) * 40}),
    ("turned", {"transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000) @ Affine.rotation(25)}),
    ("south-up", {"transform": Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000)}),
    ("without georeferencing", {"crs": None, "transform": None}),
    ("nodata", {"array": HOLE, "nodata": 0}),
]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.filterwarnings("ignore:.*parts that lie far apart:rosgeo.errors.LabelsWarning")
@pytest.mark.parametrize(("name", "scene"), SCENES, ids=[s[0] for s in SCENES])
def test_what_segment_writes_as_coco_is_read_back(
    name: str, scene: dict[str, Any], site: Any, cli: Callable[..., Result], write_raster: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_raster("own.tif", **{"array": PIXELS, **scene})
    transform, crs = scene.get("transform", Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)), scene.get("crs", "EPSG:32633")
    envelopes = [(*r.min(axis=0), *r.max(axis=0)) for r in rings()]
    boxes = px_boxes(envelopes, Affine.identity() if transform is None else transform, crs)
    boxes.to_file(tmp_path / "boxes.gpkg")
    run = cli("segment", path, "boxes.gpkg", "-o", "own.json", "--model", site.model, "--device", "cpu", "-q")
    assert run.exit_code == 0, run.output
    objects = read_labelled(DataSource(path=str(tmp_path / "own.json"))).objects
    assert objects
    for labelled in objects:
        assert (labelled.height, labelled.width) == (HEIGHT, WIDTH)
        assert labelled.image_path.name == "own.tif"
        # The object's own pixels, as the file stores them.
        image, valid = read_crop(labelled, CropWindow(0, 0, WIDTH))
        assert polygon_mask(labelled.rings, (HEIGHT, WIDTH)).any()
        bright = image[:, :HEIGHT].max(axis=0) > 100
        assert bright[masks()[0] & valid[:HEIGHT]].mean() > 0.9


def test_torn_and_foreign_files_are_named_together_at_the_start(tmp_path: Path) -> None:
    paths = [save_picture(tmp_path / f"{i}.{suffix}") for i, suffix in enumerate(("png", "jpg", "png", "jpg"))]
    for path in paths[1:3]:
        path.write_bytes(path.read_bytes()[:4000])
    (tmp_path / "4.png").write_text("no picture")
    with pytest.raises(
        TrainingDataError, match=r"1\.jpg cannot be read as a picture: .*\(3 pictures cannot be read, also 2\.png, 4\.png\)"
    ):
        read_headers([*paths, tmp_path / "4.png"])
    assert set(read_headers([paths[0], paths[3]])) == {paths[0], paths[3]}
    # A picture with something after its end is whole.
    paths[3].write_bytes(paths[3].read_bytes() + b"\0" * 100_000)
    assert read_header(paths[3]).shown == (HEIGHT, WIDTH)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_and_gdal_turn_a_picture_alike(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "p.png"
    Image.fromarray(np.dstack([PIXELS.transpose(1, 2, 0), ALPHA[0]])).save(path, exif=exif)
    image, valid = decode_plain(path, None)
    assert np.array_equal(load_image(path), image)
    window = CropWindow(-3, -3, 130)
    labelled = LabelledObject(path, *read_header(path).shown, tuple(rings()[:1]), "a", "b")
    with_gdal = read_crop(labelled, window)
    cut = pixels_room._cut(image, valid, window)
    assert np.array_equal(with_gdal[0], cut[0])
    assert np.array_equal(with_gdal[1], cut[1])
    stored, _ = decode_plain(path, 1)
    assert np.array_equal(stored, PIXELS)


def test_pictures_that_need_rasterio_are_said_to_without_it(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[0].astype(np.uint16)).save(tmp_path / "deep.png")
    save_picture(tmp_path / "flat.jpg")
    program = f"""
import sys
for name in ("rasterio", "geopandas", "pyogrio", "rioxarray"):
    sys.modules[name] = None
from pathlib import Path
from rosgeo.labelled.pictures import read_header
from rosgeo.labelled.data import load_image
print(load_image(Path({str(tmp_path / "flat.jpg")!r})).shape)
try:
    read_header(Path({str(tmp_path / "deep.png")!r}))
except Exception as error:
    print(type(error).__name__, "need the package rasterio" in str(error))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(rosgeo.__file__).parents[1]
    )
    assert run.stdout.splitlines() == ["(3, 90, 120)", "TrainingDataError True"], run.stderr


def test_the_area_of_a_raster_hides_what_is_outside(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif")
    labels = write_layer(tmp_path / "l.gpkg", [on_map(shapely.Polygon(r)) for r in rings()])
    area = write_layer(tmp_path / "area.gpkg", [on_map(shapely.box(0, 0, 85, 90))])
    source = DataSource(kind="raster", raster=str(scene), labels=str(labels), area=str(area))
    labels_in = read_labelled(source)
    assert [f.what for f in labels_in.report.changed] == ["clipped at the edge of the labelled area"]
    assert labels_in.objects[1].box_px[2] == pytest.approx(85, abs=1e-6)
    _, valid = read_crop(labels_in.objects[0], CropWindow(0, 0, WIDTH))
    assert valid[:HEIGHT, :85].all()
    assert not valid[:, 85:].any()
    far = write_layer(tmp_path / "far.gpkg", [on_map(shapely.box(500, 0, 585, 90))])
    with pytest.raises(TrainingDataError, match="the labelled area does not lie on"):
        read_labelled(replace(source, area=str(far)))
