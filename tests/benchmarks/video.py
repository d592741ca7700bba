"""Video: accuracy over time, memory and speed: ``python tests/benchmarks/video.py accuracy|memory|speed|plan DATA``.

DATA is a folder with ``instances.json`` (COCO polygons) and ``images/``. A clip is made of one of its pictures, of at least 800 px, by
moving a window over it: the window wanders, turns by up to 15 degrees and zooms by up to 10 %, and is resampled, as a camera in the air
would see the ground. The true outlines are the labels under the same affine transform. Boxes are the envelopes of the true outlines, each
side moved by ``--jitter`` of the box's size (normal), as a tracker's.

``accuracy``: mean IoU with the truth over time; boxes left out and interpolated; what `rosgeo_outlier` finds; with ``--propagate`` the
mask before as a prompt (a model of SAM's kind). ``memory``: peak memory of a process for 100 and 1,000 frames, with a stand-in for the
model. ``speed``: frames a second beside the reference's loop, which takes one frame and one box at a time, in float32, and keeps a mask of
the whole frame for each. ``plan``: how long it takes until all frames are opened once and all boxes are planned.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import torch
from PIL import Image
from rasterio.features import rasterize
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import open_segmenter
from rosgeo.tracks.values import BOX_COLUMNS, Tracks
from rosgeo.video.pipeline import VideoOptions, VideoRun, segment_video_run
from rosgeo.video.prepare import prepare_video
from shapely import Polygon, affinity

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from dense import iou_of, reference_loop  # noqa: E402
from scale import peak_of  # noqa: E402

WINDOW = 448
_PERIOD = 200
"""Frames until the window is back where it began."""

_SEEN = 0.6
"""Objects are in a frame as far as so much of them is."""


def choose_picture(data: Path, name: str | None) -> tuple[Path, dict[int, tuple[str, Any]]]:
    """A picture of at least 800 px, and the polygon and class of each of its objects."""
    labels = json.loads((data / "instances.json").read_text())
    classes = {c["id"]: c["name"] for c in labels["categories"]}
    counts: dict[int, int] = {}
    for annotation in labels["annotations"]:
        counts[annotation["image_id"]] = counts.get(annotation["image_id"], 0) + 1
    large = [i for i in labels["images"] if min(i["width"], i["height"]) >= 800 and i["id"] in counts]
    named = [i for i in large if name in (None, i["file_name"])]
    if not named:
        raise SystemExit(f"no picture of at least 800 px {name or ''}; there are: {', '.join(i['file_name'] for i in large)}")
    image = max(named, key=lambda i: counts[i["id"]])
    objects: dict[int, tuple[str, Any]] = {}
    for annotation in labels["annotations"]:
        if annotation["image_id"] == image["id"] and isinstance(annotation["segmentation"], list):
            shape = shapely.union_all([shapely.make_valid(Polygon(np.reshape(p, (-1, 2)))) for p in annotation["segmentation"]])
            objects[annotation["id"]] = (classes[annotation["category_id"]], shape)
    return data / "images" / image["file_name"], objects


def place_of(frame: int, size: tuple[int, int]) -> np.ndarray:
    """The affine transform (2, 3) of a frame's pixels to those of the picture, edge to edge."""
    t = frame / _PERIOD
    angle, zoom = np.radians(15 * np.sin(2 * np.pi * t)), 1 + 0.1 * np.sin(4 * np.pi * t)
    # So far from the edge that the turned window stays on the picture.
    margin = WINDOW * 1.1 * 0.5 * (np.cos(np.radians(15)) + np.sin(np.radians(15)))
    swing = np.maximum(np.array(size) / 2 - margin, 0)
    centre = np.array(size) / 2 + swing * [np.sin(2 * np.pi * t), np.sin(4 * np.pi * t + 1)]
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, centre - linear @ [WINDOW / 2, WINDOW / 2]])


def make_clip(
    picture: Path, objects: dict[int, tuple[str, Any]], folder: Path, frames: int, most: int, jitter: float
) -> tuple[Tracks, gpd.GeoSeries]:
    """Write the frames; gives the boxes and the true outlines, one for each."""
    folder.mkdir(parents=True, exist_ok=True)
    ground = Image.open(picture).convert("RGB")
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    truth: list[Any] = []
    view = shapely.box(0, 0, WINDOW, WINDOW)
    chosen = sorted(objects, key=lambda i: -objects[i][1].area)[:most]
    for frame in range(frames):
        a = place_of(frame, ground.size)
        # Pillow takes the transform from centres of pixels on its own.
        ground.transform((WINDOW, WINDOW), Image.Transform.AFFINE, a.ravel(), Image.Resampling.BICUBIC).save(
            folder / f"frame_{frame:06d}.png", compress_level=1
        )
        inverse = np.linalg.inv(np.vstack([a, [0, 0, 1]]))
        for i in chosen:
            kind, shape = objects[i]
            whole = affinity.affine_transform(shape, [*inverse[0, :2], *inverse[1, :2], *inverse[:2, 2]])
            seen = shapely.make_valid(whole).intersection(view)
            if seen.area < max(_SEEN * whole.area, 16):
                continue
            x0, y0, x1, y1 = seen.bounds
            moved = np.array([x0, y0, x1, y1]) + rng.normal(0, jitter, 4) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
            rows.append({"frame": frame, "track_id": i, **dict(zip(BOX_COLUMNS, moved, strict=True)), "category": kind})
            truth.append(seen)
    table = pd.DataFrame(rows)
    return Tracks(table, picture.name, "benchmark", np.arange(len(table))), gpd.GeoSeries(truth)


def found_iou(run: VideoRun, truth: gpd.GeoSeries) -> np.ndarray:
    """Of each row of the truth, in pixels."""
    outlines = run.outlines.rows.geometry.iloc[: len(truth)]
    return iou_of(outlines, truth)


def accuracy(arguments: argparse.Namespace, options: SegmentOptions) -> None:
    picture, objects = choose_picture(arguments.data, arguments.picture)
    segmenter = open_segmenter(options)
    with tempfile.TemporaryDirectory() as folder:
        tracks, truth = make_clip(picture, objects, Path(folder), arguments.frames, arguments.objects, arguments.jitter)
        table = tracks.table
        print(f"{picture.name}: {arguments.frames} frames, {table.track_id.nunique()} tracks, {len(table)} boxes, {options.model}")
        run = segment_video_run(folder, tracks, options, segmenter=segmenter)
        iou = found_iou(run, truth)
        boxes = iou_of(gpd.GeoSeries(shapely.box(*table[list(BOX_COLUMNS)].to_numpy().T)), truth)
        print("\n| frames | boxes | mean IoU | of the box itself |\n| --- | --- | --- | --- |")
        for part in np.array_split(np.arange(arguments.frames), min(10, arguments.frames)):
            own = table.frame.isin(part).to_numpy()
            if own.any():
                print(f"| {part[0]} to {part[-1]} | {own.sum()} | {iou[own].mean():.4f} | {boxes[own].mean():.4f} |")
        print(f"| all | {len(iou)} | {iou.mean():.4f} | {boxes.mean():.4f} |")
        outliers(run, iou)
        interpolation(folder, tracks, truth, iou, options, segmenter)
        if arguments.propagate:
            carried = found_iou(
                segment_video_run(folder, tracks, options, VideoOptions(propagate=True), segmenter=segmenter), truth
            )
            print(f"\nmean IoU with the mask before as a prompt: {carried.mean():.4f}, without: {iou.mean():.4f}")


def outliers(run: VideoRun, iou: np.ndarray) -> None:
    flagged = run.result.rosgeo_outlier.to_numpy()
    temporal = run.result.rosgeo_temporal_iou.to_numpy()
    known = np.isfinite(temporal)
    rank = pd.DataFrame({"a": temporal[known], "b": iou[known]}).corr(method="spearman").iloc[0, 1]
    own = pd.DataFrame({"iou": iou, "track": run.result.track_id})
    drop = (own.groupby("track").iou.transform("median") - own.iou).to_numpy()
    print("\n| rows | number | mean IoU | mean drop below the track's median IoU |\n| --- | --- | --- | --- |")
    for name, rows in (("rosgeo_outlier", flagged), ("the others", ~flagged)):
        if rows.any():
            print(f"| {name} | {rows.sum()} | {iou[rows].mean():.4f} | {drop[rows].mean():.4f} |")
    bad = drop > 0.1
    print(
        f"rank correlation of rosgeo_temporal_iou and IoU: {rank:.2f}; rows more than 0.1 below their track: {bad.sum()}, ", end=""
    )
    print(f"of which flagged: {(bad & flagged).sum()}; flagged in all: {flagged.sum()}")


def interpolation(
    folder: str, tracks: Tracks, truth: gpd.GeoSeries, iou: np.ndarray, options: SegmentOptions, segmenter: Any, gap: int = 3
) -> None:
    """Leave out the boxes of `gap` frames in twice as many, and fill them."""
    left_out = (tracks.table.frame % (2 * gap) >= gap).to_numpy()
    table = tracks.table.copy()
    table.loc[left_out, list(BOX_COLUMNS)] = np.nan
    run = segment_video_run(folder, replace(tracks, table=table), options, VideoOptions(interpolate=gap), segmenter=segmenter)
    filled = run.result.rosgeo_interpolated.to_numpy()[: len(truth)]
    again = found_iou(run, truth)
    print("\n| boxes of the frames that were left out | number | mean IoU |\n| --- | --- | --- |")
    print(f"| given | {filled.sum()} | {iou[filled].mean():.4f} |")
    print(f"| interpolated over {gap} frames | {filled.sum()} | {again[filled].mean():.4f} |")


STUB = """
import sys
sys.path.insert(0, {root!r})
import pandas as pd, numpy as np
from tests.conftest import EllipseSegmenter
from rosgeo.run.options import SegmentOptions
from rosgeo.tracks.values import Tracks
from rosgeo.video.pipeline import segment_video_run
table = pd.read_csv({table!r})
tracks = Tracks(table, "tracks", "csv", np.arange(len(table)))
segment_video_run({frames!r}, tracks, SegmentOptions(), output={output!r}, segmenter=EllipseSegmenter())
"""


def memory(arguments: argparse.Namespace) -> None:
    picture, objects = choose_picture(arguments.data, arguments.picture)
    print("| frames | boxes | peak memory MB | frames a second, with a stand-in |\n| --- | --- | --- | --- |")
    peaks = []
    for frames in (100, 1_000):
        with tempfile.TemporaryDirectory() as folder:
            clip, table = Path(folder) / "clip", Path(folder) / "tracks.csv"
            tracks, _ = make_clip(picture, objects, clip, frames, arguments.objects, arguments.jitter)
            tracks.table.to_csv(table, index=False)
            root = str(Path(__file__).parents[2])
            program = STUB.format(root=root, table=str(table), frames=str(clip), output=str(Path(folder) / "out.gpkg"))
            seconds, peak = peak_of([sys.executable, "-c", program])
            peaks.append(peak)
            print(f"| {frames:,} | {len(tracks):,} | {peak / 1e6:.0f} | {frames / seconds:.1f} |", flush=True)
    print(f"1,000 frames / 100 frames: {peaks[1] / peaks[0]:.3f}")


class Cost(NamedTuple):
    """Seconds of one run.

    ``alone`` is what it would take on two cores that do nothing else, at best: what the calling thread computed and, of a run with
    passes side by side, half of what the others did. On a machine with other work it is the steadier figure.
    """

    wall: float
    cpu: float
    alone: float


@contextmanager
def costs(into: list[Cost], *, side_by_side: bool) -> Iterator[None]:
    """Add what the block costs."""
    started, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    yield
    wall, cpu, own = time.perf_counter() - started, time.process_time() - cpu, time.thread_time() - own
    into.append(Cost(wall, cpu, own + (cpu - own) / 2 if side_by_side else own))


def reference(
    folder: str, tracks: Tracks, truth: gpd.GeoSeries, options: SegmentOptions, model: Any, into: list[Cost]
) -> np.ndarray:
    """One round of the reference's loop; the IoU of its masks with the pixels of the truth."""
    boxes = {
        int(number): gpd.GeoDataFrame(geometry=shapely.box(*rows[list(BOX_COLUMNS)].to_numpy().T))
        for number, rows in tracks.table.groupby("frame")
    }
    with costs(into, side_by_side=False):
        masks = [reference_loop(f"{folder}/frame_{number:06d}.png", own, options, model)[1] for number, own in boxes.items()]
    found = []
    for mask, shape in zip((m for own in masks for m in own), truth, strict=True):
        true = rasterize([shape], mask.shape).astype(bool)
        found.append((mask & true).sum() / (mask | true).sum())
    return np.array(found)


def speed(arguments: argparse.Namespace, options: SegmentOptions) -> None:
    """Rounds by turns, so that what else the machine does meets all alike; the least of each figure."""
    picture, objects = choose_picture(arguments.data, arguments.picture)
    slow = open_segmenter(replace(options, precision="float32"))
    fast = open_segmenter(replace(options, precision=arguments.precision))
    shares = [0.0, *(arguments.share or [3.0])]
    with tempfile.TemporaryDirectory() as folder:
        tracks, truth = make_clip(picture, objects, Path(folder), arguments.frames, arguments.objects, arguments.jitter)
        print(f"{picture.name}: {arguments.frames} frames, {len(tracks)} boxes, {options.model}, {torch.get_num_threads()} threads")
        base: list[Cost] = []
        line: dict[float, list[Cost]] = {share: [] for share in shares}
        iou: dict[float, float] = {}
        for number in range(arguments.rounds):
            own = reference(folder, tracks, truth, options, slow, base).mean()
            for share in shares:
                chosen = replace(options, crop=replace(options.crop, share=share))
                with costs(line[share], side_by_side=True):
                    run = segment_video_run(folder, tracks, chosen, segmenter=fast)
                iou[share] = float(found_iou(run, truth).mean())
            print(f"round {number}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    print("| | frames a second | s of CPU a box | s a box on two free cores | times the reference | by CPU | on free cores | IoU |")
    print("|" + " --- |" * 8)
    first = Cost(*(min(column) for column in zip(*base, strict=True)))
    kind = str(fast.dtype).removeprefix("torch.")
    names = {share: f"rosgeo video{f' --share-factor {share:g}' if share else ''}, {kind}" for share in shares}
    rows = [("the reference's loop, float32", base, own), *((names[share], line[share], iou[share]) for share in shares)]
    for name, runs, accuracy in rows:
        best = Cost(*(min(column) for column in zip(*runs, strict=True)))
        ratios = " | ".join(f"{a / b:.2f}" for a, b in zip(first, best, strict=True))
        figures = f"{arguments.frames / best.wall:.2f} | {best.cpu / len(tracks):.3f} | {best.alone / len(tracks):.3f}"
        print(f"| {name} | {figures} | {ratios} | {accuracy:.4f} |")


def plan(arguments: argparse.Namespace, options: SegmentOptions) -> None:
    """A long clip of small frames, planned."""
    rng = np.random.default_rng(0)
    boxes = 10 * arguments.frames
    centres, sizes = rng.uniform([20, 20], [620, 460], (boxes, 2)), rng.uniform(8, 30, (boxes, 2))
    table = pd.DataFrame(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1), columns=list(BOX_COLUMNS))
    table.insert(0, "track_id", np.arange(boxes) % 10)
    table.insert(0, "frame", np.arange(boxes) // 10)
    tracks = Tracks(table, "tracks", "benchmark", np.arange(boxes))
    print("| frames | boxes | | s | s of CPU |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (640, 480)).save(Path(folder) / "frame_000000.png")
        for number in range(1, arguments.frames):
            shutil.copy(Path(folder) / "frame_000000.png", Path(folder) / f"frame_{number:06d}.png")
        for share in (0.0, *(arguments.share or [3.0])):
            found: list[Cost] = []
            with costs(found, side_by_side=False):
                prepare_video(folder, tracks, replace(options, crop=replace(options.crop, share=share)), VideoOptions())
            name = f"--share-factor {share:g}" if share else "--no-share"
            print(f"| {arguments.frames:,} | {boxes:,} | {name} | {found[0].wall:.1f} | {found[0].cpu:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "memory", "speed", "plan"])
    parser.add_argument("data", type=Path, nargs="?", help="not for plan")
    parser.add_argument("--picture", help="name of the file  [the one with most objects]")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=10, help="tracks at most, the largest objects")
    parser.add_argument("--jitter", type=float, default=0.03)
    parser.add_argument("--model", default="rosgeo-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--propagate", action="store_true")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bf16"], help="of rosgeo, for speed")
    parser.add_argument("--share", type=float, action="append", help="share factors, for speed and plan  [3]")
    parser.add_argument("--rounds", type=int, default=3, help="for speed")
    arguments = parser.parse_args()
    options = SegmentOptions(model=arguments.model, device=arguments.device)
    if arguments.what == "plan":
        plan(arguments, options)
    elif arguments.data is None:
        parser.error("DATA is missing")
    elif arguments.what == "memory":
        memory(arguments)
    elif arguments.what == "accuracy":
        accuracy(arguments, options)
    else:
        speed(arguments, options)


if __name__ == "__main__":
    main()
