"""Clips with outlines, for the tests of what is written from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio.features
import shapely
from PIL import Image
from rosgeo.clips.values import Clip, ClipFrame
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines

HEIGHT, WIDTH = 48, 70


def make_clip(frames: int = 4, *, name: str = "harbour", first: int = 1, fps: float | None = 2.0) -> Clip:
    start = datetime(2026, 5, 4, 10, tzinfo=UTC)
    named = (ClipFrame(i, first + i, f"{first + i:06d}.png", start + timedelta(seconds=i / 2)) for i in range(frames))
    return Clip(name, HEIGHT, WIDTH, tuple(named), fps)


Row = tuple[int, int | str, Any]


def make_outlines(clip: Clip, rows: Sequence[Row], **columns: Any) -> ClipOutlines:
    """Rows of (frame number, track, polygon or None)."""
    boxes = [(0.0, 0.0, 5.0, 5.0) if r[2] is None or r[2].is_empty else r[2].bounds for r in rows]
    table = {
        "frame": np.array([r[0] for r in rows], dtype=np.int64),
        "track_id": [r[1] for r in rows],
        "category": ["object"] * len(rows),
        **{name: np.array([b[i] for b in boxes], dtype=np.float64) for i, name in enumerate(BOX_COLUMNS)},
        "rosgeo_status": ["empty" if r[2] is None else "ok" for r in rows],
        "rosgeo_score": np.linspace(0.5, 0.9, len(rows)),
        **columns,
    }
    return ClipOutlines(clip, gpd.GeoDataFrame(table, geometry=[r[2] for r in rows]))


def pixel_outline(mask: np.ndarray) -> Any:
    """The polygon along the pixel edges of a mask."""
    shapes = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, connectivity=4)
    return shapely.union_all([shapely.geometry.shape(s) for s, _ in shapes])


def ring(x: float, y: float, outer: float, inner: float) -> Any:
    """A disc with a hole."""
    return shapely.Point(x, y).buffer(outer).difference(shapely.Point(x, y).buffer(inner))


def harbour(**columns: Any) -> ClipOutlines:
    """Three tracks over four frames: 7 a ring that moves, 3 a small disc on it, missing in the third frame, 12 in two parts, past the edge.

    In the second frame track 7 has two outlines, and one row of track 3 is not ok.
    """
    rows: list[Row] = []
    for i in range(4):
        rows.append((1 + i, 7, ring(30 + 2 * i, 24, 13.3, 4)))
        rows.append((1 + i, 3, None if i == 2 else shapely.Point(38.2 + 2 * i, 24.1).buffer(3.4)))
        parts = [shapely.box(-4, 40.2, 6.3 + i, 60), shapely.Point(60.5, 8).buffer(5)]
        rows.append((1 + i, 12, shapely.MultiPolygon(parts)))
    rows.append((2, 7, shapely.box(50.2, 30.1, 56, 35)))
    classes = {7: "ship", 3: "car", 12: "ship"}
    return make_outlines(make_clip(), rows, **{"category": [classes[int(r[1])] for r in rows], **columns})


class Pictures:
    """Frames in memory; counts how many are read."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.read: list[int] = []

    def read_rgb(self, index: int) -> np.ndarray:
        self.read.append(index)
        y, x = np.mgrid[0 : self.clip.height, 0 : self.clip.width]
        grey = (40 + 60 * np.sin((x + 2 * index) / 9) * np.cos(y / 7) + 60).astype(np.uint8)
        return np.stack([grey, grey, np.roll(grey, index, axis=0)], axis=2)

    def save(self, folder: Path) -> Path:
        """As files ``FOLDER/CLIP/FRAME``."""
        (folder / self.clip.name).mkdir(parents=True)
        for frame in self.clip.frames:
            Image.fromarray(self.read_rgb(frame.index)).save(folder / self.clip.name / frame.name)
        return folder / self.clip.name
