"""Kills at random moments: what a run leaves, and whether it goes on to the same result.

``python -m tests.benchmarks.kills [KILLS]`` forks a run (a stand-in for the model, so that reading, journal and writing are all there is),
kills it with SIGKILL at a moment drawn from its whole length and looks at what is there: the old result or the new one, each with every row
and what a person corrected in it, and no log beside another file's. Then it runs again with ``--resume``, is killed again, and so on until
it ends; what comes out is compared with one run that nobody killed. Every other time another program (as QGIS does) is killed before, with
a correction in its log.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from rosgeo.run.journal import journal_path
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from tests.conftest import NORTH_UP, EllipseSegmenter, px_boxes
from tests.gpkg_site import WAL, connect, rows, sides

OLD, COUNT = 60, 300
CORRECTED = "UPDATE masks SET rosgeo_status = 'corrected' WHERE fid <= 5"


def boxes(count: int) -> gpd.GeoDataFrame:
    corners = np.random.default_rng(0).uniform(0, [600, 600], (count, 2))
    return px_boxes([(x, y, x + 20, y + 12) for x, y in corners], NORTH_UP, "EPSG:32633", name=[f"box {n}" for n in range(count)])


def segment(count: int, outputs: list[str], **more: Any) -> None:
    segment_run("scene.tif", boxes(count), SegmentOptions(), output=outputs, segmenter=EllipseSegmenter(), **more)  # type: ignore[arg-type]


def forked(work: Callable[[], None]) -> int:
    """Do something in a child process; gives its number."""
    number = os.fork()
    if number == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return number


def killed_writer() -> None:
    """Another program: opens the result as QGIS does, saves a correction, and is killed before it is brought in."""

    def edit() -> None:
        database = connect(Path("out.gpkg"))
        database.execute(WAL)
        database.execute(CORRECTED)
        os._exit(0)

    os.waitpid(forked(edit), 0)


def found() -> list[tuple[Any, ...]]:
    return rows(Path("out.gpkg"), "masks", "name, rosgeo_status, hex(geom)")


WAYS: dict[str, dict[str, Any]] = {"overwrite": {"overwrite": True}, "append": {"append": True, "overwrite": True}}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        return run(given.kills, random.Random(given.seed))


def run(wanted: int, dice: random.Random) -> int:
    array = np.random.default_rng(0).integers(1, 255, (3, 640, 640), dtype=np.uint8)
    with rasterio.open(
        "scene.tif", "w", driver="GTiff", count=3, height=640, width=640, dtype="uint8", crs="EPSG:32633", transform=NORTH_UP
    ) as dataset:
        dataset.write(array)
    outputs = ["out.gpkg", "out.parquet"]
    moments: Counter[str] = Counter()
    lost, begun = 0, time.monotonic()
    while sum(moments.values()) < wanted:
        way = dice.choice(list(WAYS))
        segment(OLD, outputs, overwrite=True)
        old = found()
        if dice.random() < 0.5:
            killed_writer()
            old = [(name, "corrected" if n < 5 else status, shape) for n, (name, status, shape) in enumerate(old)]
        clean = time.monotonic()
        segment(COUNT, ["whole.gpkg"], overwrite=True)
        length = time.monotonic() - clean
        whole = rows(Path("whole.gpkg"), "masks", "name, rosgeo_status, hex(geom)")
        new = [*(old if way == "append" else whole[:OLD]), *whole[OLD:]]
        ended = False
        while not ended:
            child = forked(partial(segment, COUNT, outputs, resume=True, **WAYS[way]))
            time.sleep(dice.uniform(0, 1.3 * length))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            ended = os.WIFEXITED(status)
            if ended and os.WEXITSTATUS(status):
                print(f"a run of {way} could not go on", file=sys.stderr)
                return 1
            there = found()
            lost += there not in (old, new) or (ended and there != new)
            if not ended:
                moments[_moment(there == new)] += 1
        lost += len(gpd.read_parquet("out.parquet")) != COUNT
        left = [*sides(Path("out.gpkg")), *sides(Path("out.parquet"))]
        if left:
            print(f"left beside the result: {left}", file=sys.stderr)
            return 1
    told = ", ".join(f"{n} {what}" for what, n in sorted(moments.items()))
    print(f"{sum(moments.values())} kills ({told}) in {time.monotonic() - begun:.0f} s: {lost} with a lost row")
    return int(lost > 0)


def _moment(is_new: bool) -> str:
    """Where the run was when it was killed, as far as its files tell."""
    if is_new:
        return "with the new result in place"
    if any(name.startswith(".out") and name.rpartition("-")[2] not in ("journal", "lock") for name in os.listdir()):
        return "while the result was written"
    return "while tiles were finished" if journal_path("out.gpkg").exists() else "before the first tile"


if __name__ == "__main__":
    sys.exit(main())
