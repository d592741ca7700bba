"""The options of outlines, each on the same buildings of the bundled scene: docs/pictures/outline_options.png.

    python docs/figures/outline_options.py [OUT.png]

Prints for each panel the vertices of all outlines, the mean IoU with the default, and how many of them are valid.
"""  # fmt: skip

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from PIL import Image, ImageDraw, ImageFont
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.model.registry import DEFAULT_MODEL
from rosgeo.run.pipeline import SegmentOptions, open_segmenter, segment_run
from rosgeo.types import CropWindow, ObjectMask
from rosgeo.vector.neighbours import simplify_neighbours
from rosgeo.vector.polygonize import OutlineOptions, mask_to_polygon

PANELS: list[tuple[str, dict[str, Any]]] = [
    ("default: --outline smooth --simplify 0.05", {}),
    ("--outline pixel", {"outline": "pixel"}),
    ("--simplify 1", {"simplify": 1.0}),
    ("--orthogonal", {"orthogonal": True}),
]
DRAWN: list[tuple[str, dict[str, Any]]] = [
    ("a drawn mask, default: hole and parts stay", {}),
    ("a drawn mask, --fill-holes all", {"fill_holes": "all"}),
    ("a drawn mask, --min-area 250", {"min_area": 250.0}),
    ("a drawn mask, --parts largest", {"parts": "largest"}),
]
"""On a mask that has a courtyard, a shed and a hut: no building of the scene has them all."""
WINDOW = (26, 24, 176, 134)
"""Of the scene, in pixels: columns and rows from and to."""
ENLARGE = 3
COLUMNS = 3
TITLE = 24


def outlines_px(frame: gpd.GeoDataFrame, transform: Any) -> list[Any]:
    """The outlines in the pixel frame of the scene."""
    to_px = AffineMapping(transform).to_px
    return [None if shape is None else shapely.transform(shape, to_px) for shape in frame.geometry]


def panel(picture: np.ndarray, title: str, shapes: list[Any], colours: list[tuple[int, int, int]]) -> Image.Image:
    """The window of the scene with outlines on it, and a title."""
    left, top, right, bottom = WINDOW
    size = ((right - left) * ENLARGE, (bottom - top) * ENLARGE)
    # Paler than it is, so that the lines stand out.
    pale = (picture[top:bottom, left:right] * 0.6 + 100).clip(0, 255).astype(np.uint8)
    crop = Image.fromarray(pale).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(crop)
    for shape, colour in zip(shapes, colours, strict=True):
        for ring in shapely.get_rings(shapely.get_parts(shape)) if shape is not None else []:
            points = (shapely.get_coordinates(ring) - (left, top)) * ENLARGE - 0.5
            draw.line([tuple(p) for p in points], fill=colour, width=2, joint="curve")
    framed = Image.new("RGB", (size[0], size[1] + TITLE), "white")
    framed.paste(crop, (0, TITLE))
    ImageDraw.Draw(framed).text((4, 4), title, fill="black", font=ImageFont.load_default(14))
    return framed


def courtyard() -> tuple[ObjectMask, np.ndarray]:
    """A mask as a model gives one: a house round a courtyard, a shed of 400 square pixels and a hut of 140; and its box in pixels."""
    left, top, right, bottom = WINDOW
    side = right - left
    v, u = (np.mgrid[: 2 * side, : 2 * side] + 0.5) / 2

    def block(x: float, y: float, half_x: float, half_y: float) -> np.ndarray:
        """Above 0 within a block that is turned by 15 degrees."""
        along, across = 0.966 * (u - x) + 0.259 * (v - y), -0.259 * (u - x) + 0.966 * (v - y)
        return np.minimum(half_x - np.abs(along), half_y - np.abs(across))

    house = np.minimum(block(52, 55, 34, 28), -block(52, 55, 14, 10))
    logits = np.maximum.reduce([house, block(112, 38, 10, 10), block(116, 82, 7, 5)]).astype(np.float32)
    return ObjectMask(0, CropWindow(left, top, side), logits, 0.9, 0.9), np.array(
        [left + 8, top + 10, right - 20, bottom - 5], float
    )


def row_houses() -> list[Any]:
    """Three neighbours along pixel edges, with slanted walls that are stairs of pixels."""
    left, top, right, bottom = WINDOW
    v, u = np.mgrid[top:bottom, left:right] + 0.5
    along, across = 0.92 * (u - left - 10) + 0.39 * (v - top - 10), -0.39 * (u - left - 10) + 0.92 * (v - top - 10)
    regions = []
    for i in range(3):
        inside = (along > 10 + 26 * i) & (along <= 36 + 26 * i) & (across > 5) & (across < 40)
        rows, cols = np.nonzero(inside)
        regions.append(shapely.union_all(shapely.box(cols + left, rows + top, cols + left + 1, rows + top + 1)))
    return regions


def main(out: Path) -> None:
    """Segment, draw, save."""
    folder = files("rosgeo.demo")
    with as_file(folder / "rio.tif") as scene, as_file(folder / "rio_boxes.gpkg") as file:
        boxes = gpd.read_file(file)
        with rasterio.open(scene) as dataset:
            picture, transform = dataset.read().transpose(1, 2, 0), dataset.transform
        left, top, right, bottom = WINDOW
        centres = AffineMapping(transform).to_px(shapely.get_coordinates(shapely.centroid(boxes.geometry.to_numpy())))
        near = (centres > (left - 20, top - 20)).all(axis=1) & (centres < (right + 20, bottom + 20)).all(axis=1)
        boxes = boxes[near].reset_index(drop=True)
        segmenter = open_segmenter(SegmentOptions(model=DEFAULT_MODEL))
        panels, default = [], None
        for title, options in PANELS:
            run = segment_run(scene, boxes, SegmentOptions(outline=OutlineOptions(**options)), segmenter=segmenter)
            shapes = outlines_px(run.result, transform)
            default = shapes if default is None else default
            panels.append(panel(picture, title, shapes, [(230, 0, 60)] * len(shapes)))
            tell(title, shapes, default)
    mask, box = courtyard()
    for title, options in DRAWN:
        shape = mask_to_polygon(mask, box, OutlineOptions(**options))
        panels.append(panel(picture, title, [shape], [(230, 0, 60)]))
        tell(title, [shape], [mask_to_polygon(mask, box, OutlineOptions())])
    houses = np.array(row_houses(), dtype=object)
    shared = simplify_neighbours(houses, 2.0)
    colours = [(230, 0, 60), (0, 90, 220), (0, 130, 60)]
    panels.append(panel(picture, "shared edges: drawn neighbours, --outline pixel --simplify 2", shared, colours))
    tell("shared edges", shared, list(houses))
    rows = -(-len(panels) // COLUMNS)
    width, height = panels[0].width + 6, panels[0].height + 6
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for i, one in enumerate(panels):
        sheet.paste(one, ((i % COLUMNS) * width, (i // COLUMNS) * height))
    # Lines are few among so many pixels: a palette by number of pixels would make them grey.
    sheet.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, optimize=True)
    print(f"{out}: {sheet.width} x {sheet.height}, {out.stat().st_size / 1000:.0f} kB")


def tell(title: str, shapes: list[Any], default: list[Any]) -> None:
    """Print the figures of a panel."""
    pairs = [(a, b) for a, b in zip(shapes, default, strict=True) if a is not None and b is not None]
    vertices = sum(shapely.get_num_coordinates(a) for a, _ in pairs)
    iou = np.mean([a.intersection(b).area / a.union(b).area for a, b in pairs])
    print(f"{title:60} {len(pairs):2} outlines, {vertices:5} vertices, IoU {iou:.3f}, {sum(a.is_valid for a, _ in pairs)} valid")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "pictures" / "outline_options.png"))
