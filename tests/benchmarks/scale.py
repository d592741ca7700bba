"""Memory against raster size, time against boxes and against workers: ``python tests/benchmarks/scale.py memory|boxes|workers``.

``memory``: peak memory of ``rosgeo segment`` in a process of its own, on a sparse raster of 100,000 x 100,000 x 3 with boxes all over
it and on smaller ones with boxes of the same size. ``boxes``: seconds to plan and to write N boxes with a stand-in for the model that
gives each the ellipse in its box, and the peak memory of it all. ``workers``: objects a second of ``rosgeo segment --workers N`` on a
scene with random pixels, for N processes of one thread, start-up left out (a run with few boxes is taken from one with many).

``--plot FILE`` draws the figures (needs matplotlib).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.transform import from_origin

sys.path.insert(0, str(Path(__file__).parents[2]))


def write_scene(path: Path, side: int) -> None:
    """A sparse tiled GeoTIFF: only what is written takes room on the disk."""
    profile: dict[str, Any] = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    profile |= {"transform": from_origin(0, 0, 0.5, 0.5), "tiled": True, "sparse_ok": True, "bigtiff": "yes", "compress": "deflate"}
    with rasterio.open(path, "w", **profile):
        pass


def write_boxes(path: Path, side: int, count: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, side - 100, (count, 2))
    high = low + rng.uniform(20, 90, (count, 2))
    geometry = shapely.box(low[:, 0] / 2, -high[:, 1] / 2, high[:, 0] / 2, -low[:, 1] / 2)
    gpd.GeoDataFrame({"name": [f"box {i}" for i in range(count)]}, geometry=geometry, crs="EPSG:32633").to_file(path)


def peak_of(command: list[str]) -> tuple[float, int]:
    """Seconds and peak memory in bytes of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:4]} failed")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


Points = list[tuple[float, float]]


def plot(path: str, points: Points, x: str, y: str, *, log: bool) -> None:
    """One curve as a PNG, from zero up."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4.2, 2.8), dpi=130, layout="constrained")
    axes.plot(*zip(*points, strict=True), "o-", color="#b2182b")
    axes.set(xlabel=x, ylabel=y, ylim=(0, 1.25 * max(v for _, v in points)))
    if log:
        axes.set_xscale("log")
    else:
        axes.set_xticks([x for x, _ in points])
    axes.grid(color="0.9")
    figure.savefig(path)


def memory(count: int) -> Points:
    print("| raster | boxes | peak memory MB | s |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for side in (2_000, 20_000, 100_000):
            scene, boxes = Path(folder) / f"{side}.tif", Path(folder) / f"{side}.gpkg"
            write_scene(scene, side)
            write_boxes(boxes, side, count)
            output = str(Path(folder) / f"{side}_masks.gpkg")
            seconds, peak = peak_of([sys.executable, "-m", "rosgeo", "segment", str(scene), str(boxes), "-q", "-o", output])
            peaks.append(peak)
            print(f"| {side:,} x {side:,} x 3 | {count} | {peak / 1e6:.0f} | {seconds:.0f} |", flush=True)
    print(f"largest / smallest: {peaks[-1] / peaks[0]:.3f}")
    return [(side, peak / 1e6) for side, peak in zip((2_000, 20_000, 100_000), peaks, strict=True)]


_MANY = 20_000
"""Boxes from which on pictures and polygons are left out too, though not the journal: they would take the better part of an hour."""

STUB = """
import json, sys, time
sys.path.insert(0, {root!r})
from tests.conftest import EllipseSegmenter
from rosgeo.geometry.windows import CropPolicy
from rosgeo.run import pipeline
marks = {{"start": time.perf_counter()}}
prepare, write = pipeline.prepare, pipeline.write_results
def timed_prepare(*a, **k):
    ready = prepare(*a, **k)
    marks["planned"] = time.perf_counter()
    return ready
def timed_write(*a, **k):
    marks["before"] = time.perf_counter()
    write(*a, **k)
    marks["written"] = time.perf_counter()
pipeline.prepare, pipeline.write_results = timed_prepare, timed_write
if {alone}:
    import shapely
    from rosgeo.vector.result import ObjectResult
    def outlines(tiles, *a):
        for number, tile in tiles:
            low, high = tile.boxes.xyxy[:, :2], tile.boxes.xyxy[:, 2:]
            centres, radii = (low + high) / 2, (high - low).min(1) / 2
            for row, shape in zip(tile.boxes.ids.tolist(), shapely.buffer(shapely.points(centres), radii)):
                yield number, ObjectResult(row, "ok", shape, 0.9, 0.9)
    pipeline._work = outlines
pipeline.segment_run({scene!r}, {boxes!r}, pipeline.SegmentOptions(), output={output!r}, segmenter=EllipseSegmenter())
spans = zip(("plan", "run", "write"), ("start", "planned", "before"), ("planned", "before", "written"))
print(json.dumps({{name: marks[end] - marks[begin] for name, begin, end in spans}}))
"""


def boxes(counts: list[int]) -> Points:
    points: Points = []
    print("| boxes | stand-in for | plan s | between s | write s | peak memory MB |\n| --- | --- | --- | --- | --- | --- |")
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_scene(scene, 20_000)
        for count in counts:
            layer, output, said = (str(Path(folder) / f"{count}{suffix}") for suffix in (".gpkg", "_masks.gpkg", ".json"))
            write_boxes(Path(layer), 20_000, count)
            program = STUB.format(root=root, scene=str(scene), boxes=layer, output=output, alone=count > _MANY)
            program = program.replace("print(json.dumps(", f"open({said!r}, 'w').write(json.dumps(")
            _, peak = peak_of([sys.executable, "-c", program])
            times = json.loads(Path(said).read_text())
            what = "reading, model, polygons" if count > _MANY else "the model"
            print(
                f"| {count:,} | {what} | {times['plan']:.1f} | {times['run']:.1f} | {times['write']:.1f} | {peak / 1e6:.0f} |",
                flush=True,
            )
            points.append((count, count / (times["plan"] + times["write"])))
    return points


def workers(counts: list[int], count: int) -> Points:
    print("| workers | objects a second | times one worker |\n| --- | --- | --- |")
    points: Points = []
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_scene(scene, 4_000)
        with rasterio.open(scene, "r+") as dataset:
            dataset.write(np.random.default_rng(0).integers(0, 256, (3, 4_000, 4_000), dtype=np.uint8))
        for n in counts:
            seconds = {}
            for boxes in (4 * n, count):
                layer, output = (str(Path(folder) / f"{n}-{boxes}{suffix}") for suffix in (".gpkg", "_masks.gpkg"))
                write_boxes(Path(layer), 4_000, boxes)
                command = [sys.executable, "-m", "rosgeo", "segment", str(scene), layer, "-q", "-o", output, "--workers", str(n)]
                seconds[boxes], _ = peak_of(command)
            speed = (count - 4 * n) / (seconds[count] - seconds[4 * n])
            points.append((n, speed))
            print(f"| {n} | {speed:.2f} | {speed / points[0][1]:.2f} |", flush=True)
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["memory", "boxes", "workers"])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--counts", help="boxes [1000,10000,100000] or workers [1,2]")
    parser.add_argument("--plot", metavar="FILE", help="draw the figures here (.png)")
    arguments = parser.parse_args()
    if arguments.what == "memory":
        points, axes, log = memory(arguments.count), ("side of the raster, px", "peak memory, MB"), True
    elif arguments.what == "boxes":
        counts = [int(n) for n in (arguments.counts or "1000,10000,100000").split(",")]
        points, axes, log = boxes(counts), ("boxes", "planned and written, boxes a s"), True
    else:
        counts = [int(n) for n in (arguments.counts or "1,2").split(",")]
        points, axes, log = workers(counts, arguments.count), ("processes of one thread", "objects a second"), False
    if arguments.plot:
        plot(arguments.plot, points, *axes, log=log)


if __name__ == "__main__":
    main()
