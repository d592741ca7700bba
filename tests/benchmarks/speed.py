"""Seconds an object, all included: ``python tests/benchmarks/speed.py SCENE BOXES [--layer NAME] [--count 200]``.

The whole command stands beside the model alone on the same crops, one at a time, measured before and after it (the mean of both).
Start-up is the command with one box, less that box's share of the model. ``--count``: so many boxes, copies moved by a few pixels where
the layer has fewer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import torch
from rosgeo.geometry.boxes import boxes_to_px, usable_geometries
from rosgeo.geometry.plan import make_plan
from rosgeo.inference.crops import PADDING_RGB, batch_crops
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.pipeline import SegmentOptions


def repeated(frame: gpd.GeoDataFrame, count: int, scene: str) -> gpd.GeoDataFrame:
    """So many boxes; each time round, they are moved by three pixels more."""
    with rasterio.open(scene) as dataset:
        step = 3 * abs(dataset.res[0])
        moved = frame.to_crs(dataset.crs)[["geometry"]] if dataset.crs else frame[["geometry"]]
    rounds = [moved.set_geometry(moved.translate(step * k, step * k)) for k in range(-(-count // len(frame)))]
    return gpd.GeoDataFrame(pd.concat(rounds, ignore_index=True)[:count], crs=moved.crs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("boxes")
    parser.add_argument("--layer")
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    frame = gpd.read_file(arguments.boxes, layer=arguments.layer)
    frame = repeated(frame, arguments.count or len(frame), arguments.scene)
    a = torch.randn(1024, 384)
    b = torch.randn(384, 1536)
    a @ b
    started = time.perf_counter()
    for _ in range(50):
        a @ b
    peak = 50 * 2 * 1024 * 384 * 1536 / (time.perf_counter() - started) / 1e9

    segmenter = Segmenter(open_model("rosgeo-small"))
    with open_source(arguments.scene) as source:
        geometries = frame.geometry.to_numpy()
        boxes = boxes_to_px(geometries, frame.crs, source.grid)
        plan = make_plan(boxes, usable_geometries(geometries), source.grid.shape, SegmentOptions().crop)
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=PADDING_RGB)
        crops = [
            reader.read(w, box, int(i))
            for tile in plan.tiles
            for w, box, i in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True)
        ]
    batches = [batch_crops([c], segmenter.input_size) for c in crops]

    def model_alone() -> float:
        network = segmenter.model.network
        started = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=segmenter.dtype == torch.bfloat16):
                    network(torch.from_numpy(batch.image), torch.from_numpy(batch.boxes_model))
        return time.perf_counter() - started

    def whole_command(boxes: gpd.GeoDataFrame) -> float:
        with tempfile.TemporaryDirectory() as folder:
            boxes.to_file(Path(folder) / "boxes.gpkg")
            command = [sys.executable, "-m", "rosgeo", "segment", arguments.scene, str(Path(folder) / "boxes.gpkg"), "-q"]
            started = time.perf_counter()
            subprocess.run([*command, "-o", str(Path(folder) / "out.gpkg")], check=True)
            return time.perf_counter() - started

    n = len(frame)
    before = model_alone()
    whole = whole_command(frame)
    alone = (before + model_alone()) / 2
    startup = np.median([whole_command(frame[:1]) for _ in range(3)]) - alone / n
    print(f"{n} boxes on {torch.get_num_threads()} threads, {segmenter.dtype}; matrix product {peak:.0f} GFLOP/s")
    print(f"the whole command: {whole:.1f} s, {whole / n:.3f} s an object, of which start-up {startup:.1f} s")
    print(f"the model alone on the same crops: {alone:.1f} s, {alone / n:.3f} s an object (before the command {before:.1f} s)")
    print(f"whole / model = {whole / alone:.3f}; without start-up {(whole - startup) / alone:.3f}")


if __name__ == "__main__":
    main()
