"""The same boxes on the same ground, given in other ways: ``python tests/benchmarks/placement.py SCENE BOXES [--layer NAME]``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.run.pipeline import SegmentOptions, segment_run


def compare(name: str, plain: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> None:
    other = other.to_crs(plain.crs)
    pairs = [(s, t) for s, t in zip(plain.geometry, other.geometry, strict=True) if s is not None and t is not None]
    ious = np.array([s.intersection(t).area / s.union(t).area for s, t in pairs])
    same = sum(s.wkb == t.wkb for s, t in pairs)
    print(f"| {name} | {len(pairs)} of {len(plain)} | {ious.mean():.4f} | {ious.min():.4f} | {same} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("boxes")
    parser.add_argument("--layer")
    parser.add_argument("--rotated", type=Path, help="the same ground, rotated and resampled")
    parser.add_argument("--rotated-boxes", help="its boxes, row by row the same objects")
    arguments = parser.parse_args()
    segmenter = Segmenter(open_model("rosgeo-small"))
    options = SegmentOptions()
    frame = gpd.read_file(arguments.boxes, layer=arguments.layer)

    def run(scene: Path, boxes: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return segment_run(scene, boxes, options, segmenter=segmenter).result

    with rasterio.open(arguments.scene) as dataset:
        pixels, profile, crs = dataset.read(), dataset.profile, dataset.crs
    frame = frame.to_crs(crs)
    plain = run(arguments.scene, frame)
    print("| given as | outlines | mean IoU with the plain run | least | bit for bit |\n| --- | --- | --- | --- | --- |")
    compare("again", plain, run(arguments.scene, frame))
    far = "EPSG:32618"
    for other in ("EPSG:4326", "EPSG:3857", far):
        compare(f"boxes in {other}", plain, run(arguments.scene, frame.to_crs(other)))
    t, height, width = profile["transform"], profile["height"], profile["width"]
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.tif"
        window = Window(width // 16 + 1, height // 16 + 1, width * 7 // 8, height * 7 // 8)
        with rasterio.open(arguments.scene) as dataset:
            moved = dataset.window_transform(window)
        clipped = {**profile, "width": window.width, "height": window.height, "transform": moved}
        with rasterio.open(clip, "w", **clipped) as out:
            out.write(pixels[:, window.row_off :, window.col_off :][:, : window.height, : window.width])
        inner = [_inside(b, t, window) for b in frame.geometry]
        compare("clip that holds the crops", plain[inner], run(clip, frame[inner]))
        south_up = Path(folder) / "south_up.tif"
        flipped = Affine(t.a, t.b, t.c + t.b * height, t.d, -t.e, t.f + t.e * height)
        with rasterio.open(south_up, "w", **{**profile, "transform": flipped}) as out:
            out.write(pixels[:, ::-1])
        compare("south-up", plain, run(south_up, frame))
        gcps = [GroundControlPoint(r, c, *(map_point(t, c, r))) for r in (0, height / 2, height) for c in (0, width / 2, width)]
        with_gcps = Path(folder) / "gcps.tif"
        with rasterio.open(with_gcps, "w", **{**profile, "transform": Affine.identity(), "crs": None}) as out:
            out.write(pixels)
            out.gcps = (gcps, crs)
        compare("9 ground control points", plain, run(with_gcps, frame))
    if arguments.rotated:
        compare("rotated by 30 degrees, resampled", plain, run(arguments.rotated, frame))


def map_point(t: Affine, x: float, y: float) -> tuple[float, float]:
    return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f


def _inside(box: object, t: Affine, window: Window) -> bool:
    """True where the crop of a box lies in a window of a north-up raster."""
    x0, y0, x1, y1 = box.bounds  # type: ignore[attr-defined]
    a, b, c, d = (x0 - t.c) / t.a, (y1 - t.f) / t.e, (x1 - t.c) / t.a, (y0 - t.f) / t.e
    reach = max(c - a, d - b, 12) + 1
    u, v = (a + c) / 2 - window.col_off, (b + d) / 2 - window.row_off
    return bool(u - reach >= 0 and v - reach >= 0 and u + reach <= window.width and v + reach <= window.height)


if __name__ == "__main__":
    main()
