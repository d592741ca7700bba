"""The same picture under two names, and the same outline on both sides of a split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rosgeo.labelled.data import LabelledObject, load_image

__all__ = ["outline_twins", "same_pictures"]

_THUMBNAIL_PX = 32
_SAME_LEVELS = 3.0
"""Mean difference of two thumbnails, of 255, up to which they are of one picture that was compressed twice."""


def same_pictures(first: Sequence[Path], second: Sequence[Path] | None = None) -> list[tuple[Path, Path]]:
    """Pairs of different files with the same bytes: of one list, or across two. Only files of one size are read."""
    by_size: dict[int, list[tuple[Path, int]]] = defaultdict(list)
    for side, paths in enumerate((first, second or ())):
        for path in paths:
            if path.is_file():
                by_size[path.stat().st_size].append((path, side))
    pairs = []
    for files in by_size.values():
        if len(files) < 2 or (second is not None and len({side for _, side in files}) < 2):
            continue
        seen: dict[bytes, list[tuple[Path, int]]] = defaultdict(list)
        for path, side in files:
            twins = seen[_digest(path)]
            pairs += [(other, path) for other, was in twins if other != path and (second is None or was != side)][:1]
            twins.append((path, side))
    return pairs


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def outline_twins(train: Sequence[LabelledObject], val: Sequence[LabelledObject]) -> str | None:
    """What two sides share, in words: an outline of one picture, or all outlines of two that show the same; None for nothing."""
    mine = {(o.ground_key, _key(o)) for o in train}
    both = [o for o in val if (o.ground_key, _key(o)) in mine]
    if both:
        first = f"{both[0].category} at {np.round(both[0].box_px).astype(int).tolist()}"
        return f"{len(both)} outlines of {both[0].image_path} (first: {first})"
    pictures = [_by_outlines(side) for side in (train, val)]
    for key in pictures[0].keys() & pictures[1].keys():
        a, b = pictures[0][key], pictures[1][key]
        if a.resolve() != b.resolve() and _look_alike(a, b):
            return f"the pictures {a} and {b}, which show the same with the same outlines,"
    return None


def _key(o: LabelledObject) -> tuple[bytes, ...]:
    return tuple(np.round(ring, 2).tobytes() for ring in o.rings)


def _by_outlines(objects: Sequence[LabelledObject]) -> dict[frozenset[tuple[bytes, ...]], Path]:
    """All outlines of a picture -> the picture; clips and rasters left out."""
    found: dict[Path, set[tuple[bytes, ...]]] = defaultdict(set)
    for o in objects:
        if not o.ground and (o.raster is None or not o.raster.upright):
            found[o.image_path].add(_key(o))
    return {frozenset(keys): path for path, keys in found.items()}


def _look_alike(first: Path, second: Path) -> bool:
    a, b = (_thumbnail(path) for path in (first, second))
    return a.shape == b.shape and float(np.abs(a - b).mean()) < _SAME_LEVELS


def _thumbnail(path: Path) -> np.ndarray:
    """Mean grey levels of `_THUMBNAIL_PX` x `_THUMBNAIL_PX` cells."""
    grey = load_image(path).mean(axis=0)
    cells = (
        np.array_split(row, min(_THUMBNAIL_PX, grey.shape[1]), axis=1)
        for row in np.array_split(grey, min(_THUMBNAIL_PX, grey.shape[0]), axis=0)
    )
    return np.array([[cell.mean() for cell in row] for row in cells])
