"""Train and validation: never the same ground on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.labelled.config import SplitConfig
from rosgeo.labelled.data import LabelledObject

__all__ = ["common_ground", "refuse_same_ground", "split_objects"]

Objects = list[LabelledObject]
Key = TypeVar("Key", bound=Hashable)

_LITERAL = {"train": False, "training": False, "val": True, "validation": True}


def split_objects(objects: Sequence[LabelledObject], split: SplitConfig) -> tuple[Objects, Objects, int]:
    """Divide objects.

    Returns
    -------
    train, val : lists of LabelledObject
    dropped : int
        Objects on the seam of two blocks, which are on neither side.

    Raises
    ------
    TrainingDataError
        One side would be empty.
    """
    if split.by == "blocks":
        train, val = _by_blocks(objects, split)
    else:
        keys = _pictures(objects) if split.by == "file" else [o.group for o in objects]
        chosen = _draw(keys, split)
        train = [o for o, key in zip(objects, keys, strict=True) if key not in chosen]
        val = [o for o, key in zip(objects, keys, strict=True) if key in chosen]
    if not train or not val:
        what = {
            "file": "pictures (a clip is one)",
            "column": f"values of {split.column!r}",
            "blocks": f"blocks of {split.block_px} px",
        }[split.by]
        raise TrainingDataError(
            f"split by {split.by}: {len(train)} objects for training and {len(val)} for validation; expected some on both sides. "
            f"There are too few {what}: split otherwise, or name a source under 'val'."
        )
    return train, val, len(objects) - len(train) - len(val)


def _draw(keys: Sequence[Key], split: SplitConfig) -> set[Key]:
    """The keys that go to validation: drawn at random until they have the wanted share of the objects, and never all."""
    distinct = sorted(set(keys), key=str)
    if split.by == "column" and {str(k).lower() for k in distinct} <= set(_LITERAL):
        return {key for key in distinct if _LITERAL[str(key).lower()]}
    counts = Counter(keys)
    order = [distinct[i] for i in np.random.default_rng(split.seed).permutation(len(distinct))]
    chosen: set[Key] = set()
    taken = 0
    for key in order[:-1]:
        if taken >= split.share * len(keys):
            break
        chosen.add(key)
        taken += counts[key]
    return chosen


def _by_blocks(objects: Sequence[LabelledObject], split: SplitConfig) -> tuple[Objects, Objects]:
    """Blocks of each picture or clip, by the centre of an object's box. Training crops do not show the ground of validation blocks."""
    _refuse_overlapping(objects)
    side = split.block_px
    keys = [(o.ground_key, *_block((o.box_px[:2] + o.box_px[2:]) / 2, side)) for o in objects]
    chosen = _draw(keys, split)
    hidden: dict[str, list[tuple[int, int, int, int]]] = {}
    for ground, column, row in sorted(chosen):
        hidden.setdefault(ground, []).append((column * side, row * side, (column + 1) * side, (row + 1) * side))
    train: Objects = []
    val: Objects = []
    for o, (ground, *_) in zip(objects, keys, strict=True):
        (left, top), (right, bottom) = _block(o.box_px[:2], side), _block(np.nextafter(o.box_px[2:], 0), side)
        touched = {(ground, column, row) in chosen for column in range(left, right + 1) for row in range(top, bottom + 1)}
        if touched == {True}:
            val.append(o)
        elif touched == {False}:
            train.append(replace(o, hidden=tuple(hidden.get(ground, ()))))
    return train, val


def _block(point: np.ndarray, side: int) -> tuple[int, int]:
    column, row = np.floor(point / side).astype(int).tolist()
    return column, row


def _pictures(objects: Iterable[LabelledObject]) -> list[str]:
    """A key of the ground for each object: its picture, its clip, or the first of the rasters that it shares ground with."""
    rasters = sorted({o.raster.path for o in objects if o.raster is not None})
    key = {path: path for path in rasters}
    for first, second in common_ground(rasters, rasters):
        old, new = key[second], key[first]
        key = {path: new if k == old else k for path, k in key.items()}
    return [key[o.raster.path] if o.raster is not None else o.ground_key for o in objects]


def _refuse_overlapping(objects: Iterable[LabelledObject]) -> None:
    rasters = sorted({o.raster.path for o in objects if o.raster is not None})
    for first, second in common_ground(rasters, rasters):
        raise TrainingDataError(f"split by blocks: {first} and {second} show common ground; split by file, or leave one out")


def refuse_same_ground(train: Sequence[LabelledObject], val: Sequence[LabelledObject]) -> None:
    """Raise TrainingDataError where a picture, frames of one clip, or rasters with common ground are on both sides."""
    hint = "Name other data under 'val', or set data.same_ground: true if that is meant."
    both = {o.image_path.resolve() for o in train} & {o.image_path.resolve() for o in val}
    if both:
        raise TrainingDataError(f"{min(both)} is both in 'train' and in 'val' ({len(both)} pictures are). {hint}")
    clips = {o.ground for o in train if o.ground} & {o.ground for o in val}
    if clips:
        raise TrainingDataError(f"frames of {min(clips)} are both in 'train' and in 'val', and show the same ground. {hint}")
    sides = [sorted({o.raster.path for o in side if o.raster is not None}) for side in (train, val)]
    for first, second in common_ground(*sides):
        raise TrainingDataError(f"{first} in 'train' and {second} in 'val' show common ground. {hint}")


def common_ground(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different rasters whose ground overlaps by more than an edge."""
    if not first or not second:
        return []
    from rosgeo.labelled.labels import footprint

    ground = {path: footprint(path) for path in {*first, *second}}
    pairs = []
    for a in first:
        for b in second:
            one, other = ground[a], ground[b]
            if Path(a) == Path(b) or one is None or other is None:
                continue
            if one.intersection(other).area > 1e-6 * min(one.area, other.area):
                pairs.append((a, b))
    return pairs
