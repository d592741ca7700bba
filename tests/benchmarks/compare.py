"""A comparison of many outlines: ``python tests/benchmarks/compare.py [--outlines N] [--vertices V]``.

Makes two layers of N outlines, as of houses in a town: V vertices round places on a grid, so close that neighbours overlap a little;
those of the result are moved (normal, 1 m of 13), a tenth of both is left out, and rows are in another order. Says how long
`compare_layers` takes from files to GeoPackage, and the peak memory of its process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from rosgeo.evaluation import compare_layers

sys.path[:0] = [str(Path(__file__).parent)]

from scale import peak_of  # noqa: E402


def outlines(count: int, vertices: int, moved: float, rng: np.random.Generator) -> np.ndarray:
    side = int(np.ceil(np.sqrt(count)))
    places = 12.0 * np.stack(np.divmod(np.arange(count), side), axis=1) + rng.normal(0, moved, (count, 2))
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = 6.5 + 0.4 * np.sin(3 * angles)[None] + rng.normal(0, 0.05, (count, vertices))
    points = places[:, None] + radius[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return shapely.polygons(points + np.array([500_000.0, 4_000_000.0]))


def make(path: Path, count: int, vertices: int, moved: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = count + count // 9  # so that `count` are left when a tenth is taken out
    shapes = outlines(places, vertices, moved, rng)[rng.permutation(places)[:count]]
    columns = {"rosgeo_score": rng.random(len(shapes)), "kind": rng.choice(["house", "shed"], len(shapes), p=[0.95, 0.05])}
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32633").to_parquet(path)


def one(folder: Path) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    found = compare_layers(folder / "result.parquet", folder / "truth.parquet", output=folder / "pairs.gpkg", overwrite=True)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    figures = found.figures()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = (folder / "pairs.gpkg").stat().st_size
    counts = f"{found.result.outlines:,} x {found.truth.outlines:,} | {figures['right']:,}"
    print(f"| {counts} | {wall:.1f} | {cpu:.1f} | {peak / 1e9:.2f} | {size / 1e9:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outlines", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--vertices", type=int, default=24)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        one(arguments.one)
        return
    print("| outlines | right | s | s of CPU | peak memory GB | GeoPackage GB |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    for count in arguments.outlines:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder) / "truth.parquet", count, arguments.vertices, 0.0, 0)
            make(Path(folder) / "result.parquet", count, arguments.vertices, 1.0, 1)
            peak_of([sys.executable, __file__, "--one", folder])


if __name__ == "__main__":
    main()
