"""Polygons against labels on georeferenced rasters: ``python tests/benchmarks/rasters.py FOLDER [--pictures DIR]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from rosgeo.pictures.preview import draw_preview
from rosgeo.raster.bands import StretchRule
from rosgeo.run.pipeline import SegmentOptions, SegmentRun, segment_run


def label_ious(run: SegmentRun, labels: gpd.GeoDataFrame) -> np.ndarray:
    """IoU of each row with its label in the raster's CRS; 0 for a row without outline."""
    labels = labels.to_crs(run.result.crs)
    pairs = zip(run.result.geometry, labels.geometry, strict=True)
    return np.array([0.0 if g is None else g.intersection(t).area / g.union(t).area for g, t in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="rosgeo-small")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    print("| raster | boxes | rows | ok | box IoU | mean IoU | median IoU | s an object |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for scene in sorted(arguments.folder.glob("*.tif")):
        layers = scene.with_suffix(".gpkg")
        if not layers.exists():
            continue
        boxes = gpd.read_file(layers, layer="boxes")
        run = segment_run(scene, layers, SegmentOptions(model=arguments.model, layer="boxes"))
        ok = int((run.result["rosgeo_status"] == "ok").sum())
        row = [scene.stem, len(boxes), len(run.result), ok]
        labels = gpd.read_file(layers, layer="labels") if "labels" in [n for n, _ in pyogrio.list_layers(layers)] else None
        if labels is not None:
            # Some hand-drawn outlines cross themselves.
            labels.geometry = labels.geometry.make_valid()
        if labels is not None and len(labels) == len(boxes) and not labels.geometry.geom_equals(boxes.geometry).all():
            ious = label_ious(run, labels)
            truth = labels.to_crs(boxes.crs)
            own = [b.intersection(t).area / b.union(t).area for b, t in zip(boxes.geometry, truth.geometry, strict=True)]
            row += [f"{np.mean(own):.3f}", f"{ious.mean():.3f}", f"{np.median(ious):.3f}"]
        else:
            row += ["-", "boxes only", "-"]
        row.append(f"{run.record['seconds'] / max(len(boxes), 1):.2f}")
        print("| " + " | ".join(str(v) for v in row) + " |", flush=True)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            draw_preview(scene, run, arguments.pictures / f"{scene.stem}.png", bands=None, stretch=StretchRule())


if __name__ == "__main__":
    main()
