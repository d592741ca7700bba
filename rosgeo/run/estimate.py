"""What a run would do, without doing it: ``rosgeo segment --dry-run``."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from rosgeo.geometry.windows import MAX_READ_SIDE
from rosgeo.raster.source import open_source
from rosgeo.run.append import read_existing_result
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import open_segmenter
from rosgeo.run.prepare import prepare
from rosgeo.run.tiles import TileRunner
from rosgeo.types import Crop, CropWindow

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["estimate_run"]

_WARM_UP_CROPS = 3


def estimate_run(
    scene: Any, boxes: str | Path | gpd.GeoDataFrame, options: SegmentOptions, *, add_to: str | Path | None = None
) -> dict[str, Any]:
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
    with open_source(scene, options.reading) as source:
        there = read_existing_result(add_to) if add_to is not None and Path(add_to).exists() else None
        ready = prepare(source, boxes, options, existing=there)
        tiles, reader = ready.plan.tiles, ready.reader
        windows = [window for tile in tiles for window in tile.windows]
        itemsize = sum(np.dtype(reader.source.dtypes[band - 1]).itemsize for band in set(reader.bands))
        figures: dict[str, Any] = {
            "boxes": len(ready.layer),
            "planned": ready.plan.planned,
            "invalid": int(ready.plan.invalid.sum()),
            "outside": int(ready.plan.outside.sum()),
            "tiles": len(tiles),
            "crops": len(windows),
            "encoder_passes": len(set(windows)),
            "bytes_to_read": sum(_pixels(w, reader.source.grid.shape) for w in set(windows)) * itemsize,
            "seconds_an_object": None,
            "seconds": None,
        }
        if windows:
            runner = TileRunner(reader, open_segmenter(options), options.outline)
            figures["seconds_an_object"] = _warm_up(runner, tiles)
            figures["seconds"] = round(figures["seconds_an_object"] * figures["crops"], 1)
            held = 2 * runner.segmenter.batch_size + 4
            # RGB and validity of the crops that wait, and the logits of those that become polygons.
            crops_held = held * 8 * min(max(w.size for w in windows), MAX_READ_SIDE) ** 2
            figures["peak_memory_bytes"] = int(psutil.Process().memory_info().rss) + crops_held
        else:
            figures["peak_memory_bytes"] = int(psutil.Process().memory_info().rss)
    return figures


def _pixels(window: CropWindow, shape: tuple[int, int]) -> int:
    rows, cols = window.readable(shape)
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def _warm_up(runner: TileRunner, tiles: Any) -> float:
    """Seconds an object, over a few crops after the first."""
    crops = (item for tile in tiles for item in runner.crops(tile) if isinstance(item, Crop))
    masks = runner.segmenter.segment(islice(crops, _WARM_UP_CROPS + 1))
    times = [time.perf_counter() for _ in masks]
    return round((times[-1] - times[0]) / (len(times) - 1), 3) if len(times) > 1 else 0.0
