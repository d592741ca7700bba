"""Seconds an object, all included: ``python tests/benchmarks/speed.py SCENE BOXES [--layer NAME]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import torch
from rosgeo.geometry.boxes import boxes_to_px, usable_geometries
from rosgeo.geometry.plan import make_plan
from rosgeo.inference.crops import PADDING_RGB, batch_crops
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.pipeline import SegmentOptions
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("boxes")
    parser.add_argument("--layer")
    arguments = parser.parse_args()
    frame = gpd.read_file(arguments.boxes, layer=arguments.layer)
    a = torch.randn(1024, 384)
    b = torch.randn(384, 1536)
    a @ b
    started = time.perf_counter()
    for _ in range(50):
        a @ b
    peak = 50 * 2 * 1024 * 384 * 1536 / (time.perf_counter() - started) / 1e9

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rosgeo", "segment", arguments.scene, arguments.boxes, "-q"]
        command += ["-o", str(Path(folder) / "out.gpkg"), *(["--layer", arguments.layer] if arguments.layer else [])]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        whole = time.perf_counter() - started

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
    with torch.inference_mode():
        network = segmenter.model.network
        started = time.perf_counter()
        for batch in batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=segmenter.dtype == torch.bfloat16):
                network(torch.from_numpy(batch.image), torch.from_numpy(batch.boxes_model))
        alone = time.perf_counter() - started
    n = len(frame)
    print(f"{n} boxes on {torch.get_num_threads()} threads, {segmenter.dtype}; matrix product {peak:.0f} GFLOP/s")
    print(f"the whole command: {whole:.1f} s, {whole / n:.3f} s an object")
    print(f"the model alone on the same crops: {alone:.1f} s, {alone / n:.3f} s an object; whole / model = {whole / alone:.2f}")


if __name__ == "__main__":
    main()
