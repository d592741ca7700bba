"""The same two labelled objects as the usual tools write them: data for the table of the guide, and for the tests that it names.

``python -m tests.label_site`` writes the table anew into docs/guide/train.md.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rosgeo.geometry.pixels import polygon_mask, trimmed
from rosgeo.geometry.rle import encode_rle
from rosgeo.labelled.config import DataSource

from tests.training_site import HEIGHT, WIDTH, picture

__all__ = ["LAYOUTS", "PAGE", "TRANSFORM", "Layout", "masks", "pack_brush", "rings", "table", "with_table", "write_json"]

PAGE = Path(__file__).parent.parent / "docs/guide/train.md"
_MARKS = ("<!-- labels: written by python -m tests.label_site -->", "<!-- /labels -->")
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


class Layout(NamedTuple):
    """How a tool lays its labels out: who, how, what is kept of it, and what writes an example and names its source."""

    tool: str
    layout: str
    kept: str
    write: Callable[[Path], DataSource]
    classes: tuple[str, str] = ("a", "b")


def rings() -> list[np.ndarray]:
    """The outlines of the two objects."""
    return picture(0)[1]


def masks() -> list[np.ndarray]:
    """The pixels of the two objects."""
    return [polygon_mask([ring], (HEIGHT, WIDTH)) for ring in rings()]


def save_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(0)[0]).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def coco(name: str, **more: Any) -> dict[str, Any]:
    """COCO's content for the picture of a name; `more` goes into each annotation."""
    notes = []
    for i, ring in enumerate(rings()):
        low, high = ring.min(axis=0), ring.max(axis=0)
        box = [*low.tolist(), *(high - low).tolist()]
        notes.append(
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": i + 1,
                "iscrowd": 0,
                "bbox": box,
                "segmentation": [ring.ravel().tolist()],
                **more,
            }
        )
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    return {
        "images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}],
        "annotations": notes,
        "categories": categories,
    }


def _coco_as(json_name: str, picture_name: str, file_name: str, sub: str = "") -> Callable[[Path], DataSource]:
    def write(root: Path) -> DataSource:
        save_picture(root / picture_name)
        write_json(root / json_name, coco(file_name))
        return DataSource(path=str(root / sub))

    return write


def _cvat_brush(root: Path) -> DataSource:
    save_picture(root / "images" / "default" / "p.png")
    content = coco("p.png", iscrowd=1, attributes={"occluded": False})
    for note, mask in zip(content["annotations"], masks(), strict=True):
        flat = mask.ravel(order="F").astype(np.int8)
        ends = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])) != 0)
        note["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": np.diff(np.concatenate([[0], ends])).tolist()}
    write_json(root / "annotations" / "instances_default.json", content)
    return DataSource(path=str(root))


def _coco_rle(root: Path) -> DataSource:
    save_picture(root / "images" / "p.png")
    content = coco("p.png")
    for note, mask in zip(content["annotations"], masks(), strict=True):
        pixels = trimmed(mask)
        assert pixels is not None
        note["segmentation"] = encode_rle(pixels, (HEIGHT, WIDTH))
    write_json(root / "instances.json", content)
    return DataSource(path=str(root))


def _geoai(root: Path) -> DataSource:
    write_scene(root / "images" / "tile_000000.tif")
    write_json(root / "annotations" / "instances.json", coco("tile_000000.tif"))
    return DataSource(path=str(root))


def _yolo(root: Path) -> DataSource:
    save_picture(root / "train" / "images" / "p.jpg")
    lines = [f"{i} " + " ".join(f"{v:.6f}" for v in (ring / (WIDTH, HEIGHT)).ravel()) for i, ring in enumerate(rings())]
    (root / "train" / "labels").mkdir()
    (root / "train" / "labels" / "p.txt").write_text("\n".join(lines) + "\n")
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [a, b]\n")
    (root / "valid" / "images").mkdir(parents=True)
    return DataSource(path=str(root))


def _yolo_bare(root: Path) -> DataSource:
    _yolo(root)
    (root / "data.yaml").unlink()
    return DataSource(path=str(root / "train"))


def labelme_shapes() -> list[dict[str, Any]]:
    return [
        {"label": name, "points": ring.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
        for name, ring in zip("ab", rings(), strict=True)
    ]


def write_labelme(root: Path, shapes: list[dict[str, Any]]) -> DataSource:
    save_picture(root / "p.jpg")
    content = {"version": "5.4", "shapes": shapes, "imagePath": "..\\shots\\p.jpg", "imageData": None}
    write_json(root / "p.json", {**content, "imageHeight": HEIGHT, "imageWidth": WIDTH})
    return DataSource(path=str(root))


def _labelme_masks(root: Path) -> DataSource:
    shapes = []
    for name, mask in zip("ab", masks(), strict=True):
        pixels = trimmed(mask)
        assert pixels is not None
        buffer = io.BytesIO()
        Image.fromarray(pixels.mask).save(buffer, format="PNG")
        x0, y0, x1, y1 = pixels.xyxy
        data = base64.b64encode(buffer.getvalue()).decode()
        shapes.append({"label": name, "shape_type": "mask", "points": [[x0, y0], [x1 - 1, y1 - 1]], "mask": data, "group_id": None})
    return write_labelme(root, shapes)


def pack_brush(mask: np.ndarray) -> list[int]:
    """A brush mask as Label Studio packs it (thi.ng/rle-pack), with runs of at most 256 values."""
    values = np.repeat(mask.ravel().astype(np.uint8) * 255, 4)
    bits = [f"{len(values):032b}", f"{7:05b}", *(f"{n - 1:04b}" for n in (3, 4, 6, 8))]
    at = 0
    while at < len(values):
        end = at + 1
        while end < len(values) and values[end] == values[at] and end - at < 256:
            end += 1
        bits += ["1", f"{3:02b}", f"{end - at - 1:08b}", f"{values[at]:08b}"]
        at = end
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def label_studio_task(results: list[dict[str, Any]], image: str = "/data/upload/3/0a1b2c3d-p.jpg") -> list[dict[str, Any]]:
    common = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    full = [{"id": str(i), **common, **result} for i, result in enumerate(results)]
    return [{"id": 1, "data": {"image": image}, "annotations": [{"id": 9, "was_cancelled": False, "result": full}]}]


def _label_studio(root: Path) -> DataSource:
    save_picture(root / "images" / "p.jpg")
    points = [(ring / (WIDTH, HEIGHT) * 100).tolist() for ring in rings()]
    results = [{"type": "polygonlabels", "value": {"points": p, "polygonlabels": [n]}} for p, n in zip(points, "ab", strict=True)]
    return DataSource(path=str(write_json(root / "export.json", label_studio_task(results))))


def _label_studio_brush(root: Path) -> DataSource:
    save_picture(root / "images" / "p.jpg")
    results = [
        {"type": "brushlabels", "value": {"format": "rle", "rle": pack_brush(mask), "brushlabels": [n]}}
        for mask, n in zip(masks(), "ab", strict=True)
    ]
    return DataSource(path=str(write_json(root / "export.json", label_studio_task(results))))


def write_scene(path: Path, array: np.ndarray | None = None, **profile: Any) -> Path:
    pixels = picture(0)[0].transpose(2, 0, 1) if array is None else array
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"crs": "EPSG:32633", "transform": TRANSFORM, **profile}
    with rasterio.open(
        path, "w", driver="GTiff", count=len(pixels), height=pixels.shape[1], width=pixels.shape[2], dtype=pixels.dtype, **settings
    ) as out:
        out.write(pixels)
    return path


def on_map(geometry: Any) -> Any:
    """From the pixels of the scene to its map."""
    return shapely.transform(geometry, lambda p: np.stack([500_000 + p[:, 0] / 2, 4_000_000 - p[:, 1] / 2], axis=1))


def write_layer(path: Path, geometries: list[Any], **columns: Any) -> Path:
    gpd.GeoDataFrame(columns or {"n": range(len(geometries))}, geometry=geometries, crs="EPSG:32633").to_file(path)
    return path


def _qgis(root: Path) -> DataSource:
    scene = write_scene(root / "scene.tif")
    labels = write_layer(root / "roofs.gpkg", [on_map(shapely.Polygon(r)) for r in rings()], kind=["a", "b"])
    return DataSource(kind="raster", raster=str(scene), labels=str(labels), class_column="kind")


def _mask_raster(root: Path) -> DataSource:
    numbers = sum(mask.astype(np.int32) * (i + 7) for i, mask in enumerate(masks()))
    # In another CRS and resolution, and with colours that are no numbers.
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    bounds = rasterio.transform.array_bounds(HEIGHT, WIDTH, TRANSFORM)
    transform, width, height = calculate_default_transform("EPSG:32633", "EPSG:4326", WIDTH * 4, HEIGHT * 4, *bounds)
    warped = np.zeros((height, width), np.uint8)
    reproject(
        numbers.astype(np.uint8), warped, src_transform=TRANSFORM, src_crs="EPSG:32633", dst_transform=transform, dst_crs="EPSG:4326",
        resampling=Resampling.nearest,
    )  # fmt: skip
    path = write_scene(root / "numbers.tif", warped[None], crs="EPSG:4326", transform=transform)
    with rasterio.open(path, "r+") as out:
        out.write_colormap(1, {7: (255, 0, 0, 255), 8: (0, 255, 0, 255)})
    return DataSource(kind="raster", raster=str(write_scene(root / "scene.tif")), labels=str(path))


def _reference(root: Path) -> DataSource:
    save_picture(root / "img" / "p.png")
    for name in ("boxes", "onehotmask"):
        (root / name).mkdir()
    np.save(root / "boxes" / "p.npy", np.array([[*r.min(axis=0), *r.max(axis=0)] for r in rings()]))
    np.save(root / "onehotmask" / "p.npy", np.stack(masks()).astype(np.uint8) * 255)
    return DataSource(path=str(root))


def _davis(root: Path) -> DataSource:
    save_picture(root / "JPEGImages" / "480p" / "clip" / "00000.jpg")
    numbers = sum(mask.astype(np.uint8) * (i + 1) for i, mask in enumerate(masks()))
    target = root / "Annotations" / "480p" / "clip" / "00000.png"
    target.parent.mkdir(parents=True)
    image = Image.fromarray(numbers)
    image.putpalette([(7 * i) % 256 for i in range(768)])
    image.save(target)
    return DataSource(path=str(root))


_OUTLINES = "outlines, holes and parts, classes"
_PLAIN = ("object", "object")

LAYOUTS = {
    "coco": Layout("COCO", "`instances.json`, `images/`", _OUTLINES, _coco_as("instances.json", "images/p.png", "p.png")),
    "coco-rle": Layout("COCO with RLE", "`instances.json`, `images/`", "masks, classes; crowds are ignored ground", _coco_rle),
    "coco-2017": Layout(
        "COCO 2017",
        "`annotations/instances_val2017.json`, `val2017/`",
        _OUTLINES,
        _coco_as("annotations/instances_val2017.json", "val2017/p.png", "p.png"),
    ),
    "roboflow": Layout(
        "Roboflow (COCO)",
        "`train/_annotations.coco.json` beside the pictures",
        _OUTLINES,
        _coco_as("train/_annotations.coco.json", "train/p_png.rf.1a2b.jpg", "p_png.rf.1a2b.jpg", "train"),
    ),
    "cvat": Layout(
        "CVAT (COCO)",
        "`annotations/instances_default.json`, `images/default/`",
        _OUTLINES,
        _coco_as("annotations/instances_default.json", "images/default/p.png", "p.png"),
    ),
    "cvat-brush": Layout("CVAT, brush (COCO)", "the same; masks, which it marks as crowds", "masks, classes", _cvat_brush),
    "label-studio-coco": Layout(
        "Label Studio (COCO)",
        "`result.json`, `images/`",
        _OUTLINES,
        _coco_as("result.json", "images/0a1b2c3d-p.png", "../../label-studio/data/media/upload/3/0a1b2c3d-p.png"),
    ),
    "geoai": Layout(
        "geoai", "`annotations/instances.json`, `images/*.tif`", "outlines, classes; bands, nodata and depth of the tiles", _geoai
    ),
    "label-studio": Layout(
        "Label Studio (JSON, JSON-MIN)", "a JSON file, `images/`", "polygons, ellipses, turned rectangles, classes", _label_studio
    ),
    "label-studio-brush": Layout("Label Studio, brush (JSON)", "the same", "masks, classes", _label_studio_brush),
    "labelme": Layout(
        "LabelMe",
        "a JSON file for each picture, beside it",
        "polygons, circles, rectangles; a group is one object; classes",
        lambda root: write_labelme(root, labelme_shapes()),
    ),
    "labelme-masks": Layout("LabelMe, AI masks", "the same", "masks, classes", _labelme_masks),
    "yolo": Layout(
        "YOLO segmentation (Ultralytics, Roboflow, CVAT)",
        "`data.yaml`, `train/images/`, `train/labels/`",
        "outlines, classes, subsets",
        _yolo,
    ),
    "yolo-bare": Layout(
        "YOLO segmentation without `data.yaml`", "`images/`, `labels/`", "outlines; classes by number", _yolo_bare, ("0", "1")
    ),
    "qgis": Layout(
        "QGIS and all that GDAL reads", "a raster, and a layer of polygons in any CRS", f"{_OUTLINES}, the place on the map", _qgis
    ),
    "mask-raster": Layout(
        "QGIS, GDAL, ArcGIS: a raster of numbers",
        "a raster, and a raster of object numbers in any CRS and resolution",
        "masks; classes with `parts: split`",
        _mask_raster,
        _PLAIN,
    ),
    "davis": Layout(
        "DAVIS, rosgeo video", "`JPEGImages/`, `Annotations/` with indexed PNG", "masks; clips as one ground", _davis, _PLAIN
    ),
    "reference": Layout(
        "ROS-SAM reference, rosgeo video", "`img/`, `boxes/`, `onehotmask/`", "masks, boxes as prompts", _reference, _PLAIN
    ),
}
"""Name of the test's case -> layout."""


def table() -> str:
    """The layouts as a Markdown table."""
    rows = ["| tool | layout | what is kept | tested by |", "| --- | --- | --- | --- |"]
    test = "tests/labelled/test_layouts.py"
    rows += [f"| {row.tool} | {row.layout} | {row.kept} | `{test}` [{name}] |" for name, row in LAYOUTS.items()]
    return "\n".join(rows)


def with_table(text: str) -> str:
    """A page with the table of today between its marks."""
    start, end = _MARKS
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{table()}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
