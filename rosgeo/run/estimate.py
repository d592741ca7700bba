"""What a run would do, without doing it: ``rosgeo segment --dry-run``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rosgeo.geometry.windows import MAX_READ_SIDE
from rosgeo.inference.predict import Segmenter
from rosgeo.raster.collection import expand_scenes
from rosgeo.raster.mosaic import read_headers
from rosgeo.raster.source import open_source
from rosgeo.run.append import ExistingResult, read_existing_result
from rosgeo.run.many import prepare_scenes
from rosgeo.run.options import SegmentOptions
from rosgeo.run.prepare import prepare
from rosgeo.run.scenes import ScenesRunner
from rosgeo.run.start import open_segmenter
from rosgeo.run.tiles import Runner, TileRunner
from rosgeo.types import Crop, CropWindow, RasterGrid, Tile

__all__ = ["estimate_run"]

_WARM_UP_CROPS = 3


def estimate_run(scene: Any, boxes: Any, options: SegmentOptions, *, add_to: str | Path | None = None) -> dict[str, Any]:
    """Plan a run and time its first crops.

    Parameters
    ----------
    scene, boxes, options
        See `segment_run`.
    add_to : path, optional
        A result; boxes that it holds are left out.

    Returns
    -------
    dict
        Plain values: boxes (all, planned, invalid, outside), tiles, crops, encoder_passes (crops that differ), bytes_to_read (pixels of
        the crops, before compression), seconds (estimated; None where nothing is planned), seconds_an_object, peak_memory_bytes.

    Notes
    -----
    The warm-up reads and segments the first crops after one that is not counted. Peak memory is what the process holds after the
    warm-up and what the largest crops that are held at once take.
    """
    there = read_existing_result(add_to) if add_to is not None and Path(add_to).exists() else None
    scenes = expand_scenes(scene)
    if len(scenes) > 1:
        return _estimate_scenes(scenes, boxes, options, there)
    with open_source(scenes[0], options.reading) as source:
        ready = prepare(source, boxes, options, existing=there)
        reader, plan = ready.reader, ready.plan
        counts = Counter(invalid=int(plan.invalid.sum()), outside=int(plan.outside.sum()))
        read = _bytes(plan.tiles, reader.source.grid, reader.source.dtypes, reader.bands)
        return _figures(
            len(ready.layer), counts, plan.tiles, read, lambda model: TileRunner(reader, model, options.outline), options
        )


def _estimate_scenes(scenes: Sequence[Any], boxes: Any, options: SegmentOptions, there: ExistingResult | None) -> dict[str, Any]:
    ready = prepare_scenes(read_headers(scenes, options.reading), boxes, options, existing=there)
    counts = Counter(str(result.status) for result in ready.skipped)
    read = 0
    for number, view in enumerate(ready.views):
        read += _bytes([t for t in ready.tiles if t.view == number], view.grid, view.mosaic.tiles[0].dtypes, view.bands)
    runners: list[ScenesRunner] = []

    def open_runner(segmenter: Segmenter) -> Runner:
        runners.append(ScenesRunner(ready.views, segmenter, options.outline))
        return runners[0]

    try:
        return _figures(len(ready.layer), counts, ready.tiles, read, open_runner, options)
    finally:
        for runner in runners:
            runner.close()


def _figures(
    boxes: int,
    counts: Counter[str],
    tiles: Sequence[Tile],
    bytes_to_read: int,
    open_runner: Callable[[Segmenter], Runner],
    options: SegmentOptions,
) -> dict[str, Any]:
    windows = [window for tile in tiles for window in tile.windows]
    figures: dict[str, Any] = {
        "boxes": boxes,
        "planned": len(windows),
        "invalid": counts["invalid"],
        "outside": counts["outside"],
        "tiles": len(tiles),
        "crops": len(windows),
        "encoder_passes": sum(len(set(tile.windows)) for tile in tiles),
        "bytes_to_read": bytes_to_read,
        "seconds_an_object": None,
        "seconds": None,
    }
    crops_held = 0
    if windows:
        runner = open_runner(open_segmenter(options))
        figures["seconds_an_object"] = _warm_up(runner, tiles)
        figures["seconds"] = round(figures["seconds_an_object"] * figures["crops"], 1)
        held = 2 * runner.segmenter.batch_size + 4
        # RGB and validity of the crops that wait, and the logits of those that become polygons.
        crops_held = held * 8 * min(max(w.size for w in windows), MAX_READ_SIDE) ** 2
    figures["peak_memory_bytes"] = int(psutil.Process().memory_info().rss) + crops_held
    return figures


def _bytes(tiles: Sequence[Tile], grid: RasterGrid, dtypes: Sequence[str], bands: Sequence[int]) -> int:
    """Of the crops of one raster, each read once, before compression."""
    itemsize = sum(np.dtype(dtypes[band - 1]).itemsize for band in set(bands))
    return sum(_pixels(w, grid.shape) for w in {window for tile in tiles for window in tile.windows}) * itemsize


def _pixels(window: CropWindow, shape: tuple[int, int]) -> int:
    rows, cols = window.readable(shape)
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def _warm_up(runner: Runner, tiles: Sequence[Tile]) -> float:
    """Seconds an object, over a few crops after the first."""
    crops = (item for tile in tiles for item in runner.crops(tile) if isinstance(item, Crop))
    masks = runner.segmenter.segment(islice(crops, _WARM_UP_CROPS + 1))
    times = [time.perf_counter() for _ in masks]
    return round((times[-1] - times[0]) / (len(times) - 1), 3) if len(times) > 1 else 0.0
