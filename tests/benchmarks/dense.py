"""Objects a second on a dense scene: ``python tests/benchmarks/dense.py SCENE LAYERS [--share 3 --share 4 ...]``.

LAYERS has the layers ``boxes`` and, for the accuracy beside the speed, ``labels``, in the same order. The baseline is the loop of the
ROS-SAM reference with the same model and crops: the picture held in memory, one crop at a time, float32, each mask thresholded on the
whole picture and kept, no polygons. Rosgeo's times are of whole runs from the open file to polygons, without loading the model.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import torch
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import PADDING_RGB, batch_crops
from rosgeo.inference.predict import Segmenter
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import open_segmenter, segment_run
from rosgeo.run.prepare import prepare


def reference_loop(
    scene: str, boxes: gpd.GeoDataFrame, options: SegmentOptions, segmenter: Segmenter
) -> tuple[float, list[np.ndarray]]:
    """Seconds, and the masks of the whole picture, box by box."""
    with open_source(scene) as source:
        ready = prepare(source, boxes, options)
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=PADDING_RGB)
        shape = source.grid.shape
        jobs = [
            (int(row), window, box)
            for tile in ready.plan.tiles
            for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids, strict=True)
        ]
        masks: list[np.ndarray] = [np.zeros(0)] * len(boxes)
        started = time.perf_counter()
        for row, window, box in jobs:
            crop = reader.read(window, box, row)
            (mask,) = segmenter.predict(batch_crops([crop], segmenter.input_size))
            side = window.size
            logits = torch.from_numpy(mask.logits)[None, None]
            on_crop = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)[0, 0].numpy()
            whole = np.zeros(shape, dtype=bool)
            rows, cols = window.readable(shape)
            whole[rows, cols] = (on_crop > 0)[window.paste(shape)]
            masks[row] = whole
        return time.perf_counter() - started, masks


def iou_of(found: gpd.GeoSeries, truth: gpd.GeoSeries) -> np.ndarray:
    """Of each pair; 0 where there is no outline."""
    pairs = zip(found, truth, strict=True)
    return np.array([0.0 if g is None or t is None else g.intersection(t).area / g.union(t).area for g, t in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("layers")
    parser.add_argument("--model", default="rosgeo-small")
    parser.add_argument("--crop", default="auto", choices=["auto", "paper"], help="of the baseline, too")
    parser.add_argument("--crop-side", type=int, default=512, help="of paper crops")
    parser.add_argument("--share", type=float, action="append", help="share factors  [3]")
    parser.add_argument("--input-size", type=int, action="append", help="of the shared crops  [the model's own]")
    parser.add_argument("--count", type=int, help="only the first so many boxes")
    parser.add_argument("--json", help="write the figures here")
    arguments = parser.parse_args()
    boxes = gpd.read_file(arguments.layers, layer="boxes")[: arguments.count]
    has_labels = "labels" in [name for name, _ in pyogrio.list_layers(arguments.layers)]
    labels = gpd.read_file(arguments.layers, layer="labels")[: arguments.count] if has_labels else None
    if labels is not None:
        labels.geometry = labels.geometry.make_valid()
    plain = SegmentOptions(model=arguments.model, crop=CropPolicy(arguments.crop, paper_side=arguments.crop_side))
    slow = open_segmenter(replace(plain, precision="float32"))
    seconds, masks = reference_loop(arguments.scene, boxes, plain, slow)
    base, n = seconds / len(boxes), len(boxes)
    print(
        f"{Path(arguments.scene).name}: {n} boxes; masks of the reference's loop take {sum(m.nbytes for m in masks) / 1e6:.0f} MB"
    )
    print("| | input px | passes an object | objects a second | times the reference | IoU with labels | IoU with --no-share |")
    print("|" + " --- |" * 7)
    print(f"| the reference's loop, float32 | {slow.input_size} | 1 | {1 / base:.2f} | 1 | | |", flush=True)
    sizes = arguments.input_size or [slow.input_size]
    rows: list[dict[str, Any]] = [{"row": "reference", "objects_a_second": 1 / base}]
    runs = [(0.0, slow.input_size)] + [(share, size) for share in (arguments.share or [3.0]) for size in sizes]
    alone: gpd.GeoSeries | None = None
    for share, size in runs:
        options = replace(plain, crop=replace(plain.crop, share=share), input_size=size)
        segmenter = open_segmenter(options)
        with open_source(arguments.scene) as source:
            windows = [w for tile in prepare(source, boxes, options).plan.tiles for w in tile.windows]
        started = time.perf_counter()
        run = segment_run(arguments.scene, boxes, options, segmenter=segmenter)
        took = (time.perf_counter() - started) / n
        alone = run.result.geometry if alone is None else alone
        figures = {
            "row": f"--crop {arguments.crop} " + (f"--share-factor {share:g}" if share else "--no-share"),
            "input_size": size,
            "passes_an_object": len(set(windows)) / max(len(windows), 1),
            "objects_a_second": 1 / took,
            "times_the_reference": base / took,
            "iou": None if labels is None else float(iou_of(run.result.geometry, labels.to_crs(run.result.crs).geometry).mean()),
            "iou_with_no_share": float(iou_of(run.result.geometry, alone).mean()),
        }
        rows.append(figures)
        iou = "-" if figures["iou"] is None else f"{figures['iou']:.4f}"
        print(
            f"| {figures['row']}, {str(segmenter.dtype).removeprefix('torch.')} | {size} | {figures['passes_an_object']:.2f} "
            f"| {1 / took:.2f} | {base / took:.2f} | {iou} | {figures['iou_with_no_share']:.4f} |",
            flush=True,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
