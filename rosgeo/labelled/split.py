"""Train and validation: never the same ground on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.labelled.classes import class_name
from rosgeo.labelled.config import SplitConfig
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.outlines import geometry_of
from rosgeo.labelled.pictures import has_rasterio
from rosgeo.labelled.twins import outline_twins, same_pictures

__all__ = ["common_ground", "refuse_same_ground", "sides_of", "split_objects"]

Objects = list[LabelledObject]
Key = TypeVar("Key", bound=Hashable)

_TRAIN, _VAL = {"train", "training", "trn"}, {"val", "valid", "validation", "vld", "dev"}
_TEST = {"test", "testing", "tst"}
_NEITHER = {*_TEST, ""}
_ON_MAP = {".tif", ".tiff", ".vrt", ".jp2", ".img"}
"""Endings of pictures that may have a place on the map."""


def split_objects(objects: Sequence[LabelledObject], split: SplitConfig) -> tuple[Objects, Objects, int]:
    """Divide objects.

    Returns
    -------
    train, val : lists of LabelledObject
    dropped : int
        Objects on neither side: on the seam of two blocks, with no value in the column, or with ``test`` beside ``train`` and ``val``.

    Raises
    ------
    TrainingDataError
        One side would be empty, or the column holds other values beside ``train`` and ``val``.
    """
    total = len(objects)
    if split.by == "blocks":
        train, val = _by_blocks(objects, split)
    elif split.by == "column" and (sides := _literal_sides({o.group for o in objects}, split)) is not None:
        train, val = ([o for o in objects if sides[o.group] is side] for side in (False, True))
    else:
        # What has no value in the column may belong to any of its groups.
        objects = [o for o in objects if split.by == "file" or o.group]
        keys = _pictures(objects) if split.by == "file" else [o.group for o in objects]
        chosen = _draw(keys, split)
        train = [o for o, key in zip(objects, keys, strict=True) if key not in chosen]
        val = [o for o, key in zip(objects, keys, strict=True) if key in chosen]
    if not train or not val:
        what = {
            "file": "pictures (a clip is one, and so are pictures of common ground)",
            "column": f"values of {split.column!r}",
            "blocks": f"blocks of {split.block_px} px",
        }[split.by]
        raise TrainingDataError(
            f"split by {split.by}: {len(train)} objects for training and {len(val)} for validation; expected some on both sides. "
            f"There are too few {what}: split otherwise, or name a source under 'val'."
        )
    return train, val, total - len(train) - len(val)


def _literal_sides(values: Iterable[str], split: SplitConfig) -> dict[str, bool | None] | None:
    """Value -> whether it is of validation, None for neither side; None where the column does not hold the names of sides."""
    words = {value: class_name(value, "").casefold() for value in values}
    if not set(words.values()) & (_TRAIN | _VAL | _TEST):
        return None
    unknown = sorted(value for value, word in words.items() if word not in _TRAIN | _VAL | _NEITHER)
    if unknown:
        known = sorted(value for value, word in words.items() if word in _TRAIN | _VAL | _TEST)
        raise TrainingDataError(
            f"split by column {split.column!r}: {', '.join(map(repr, unknown[:5]))} beside {', '.join(map(repr, known))}; expected train "
            "and val (or valid, validation, dev), beside which test and nothing are on neither side"
        )
    return {value: None if word in _NEITHER else word in _VAL for value, word in words.items()}


def sides_of(split: SplitConfig, train: Objects, val: Objects, whole: Sequence[LabelledObject], dropped: int) -> list[str]:
    """What lies on which side, in words: objects, classes and, of a column, its values."""

    def classes(side: Iterable[LabelledObject]) -> str:
        return ", ".join(f"{name} {count}" for name, count in Counter(o.category for o in side).most_common())

    neither = {"blocks": f", {dropped} on the seam of two blocks left out", "column": f", {dropped} on neither side"}
    line = (
        f"split by {split.by}: {len(train)} objects for training ({classes(train)}), {len(val)} for validation ({classes(val)})"
        f"{neither.get(split.by, '') if dropped else ''}"
    )
    if split.by != "column":
        return [line]
    values = [Counter(o.group for o in side) for side in (train, val)]
    values.append(Counter(o.group for o in whole) - values[0] - values[1])
    named = [", ".join(f"{v or 'none'} {n}" for v, n in sorted(side.items())[:12]) for side in values]
    parts = [f"{what}: {text}" for what, text in zip(("training", "validation", "on neither side"), named, strict=True) if text]
    return [line, f"  values of {split.column!r}: {'; '.join(parts)}"]


def _draw(keys: Sequence[Key], split: SplitConfig) -> set[Key]:
    """The keys that go to validation: drawn at random until they have the wanted share of the objects, and never all."""
    distinct = sorted(set(keys), key=str)
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


def _on_map(objects: Iterable[LabelledObject]) -> list[str]:
    """The pictures that may have a place on the map."""
    paths = {o.raster.path if o.raster is not None else str(o.image_path) for o in objects if _may_be_on_map(o)}
    return sorted(paths)


def _may_be_on_map(o: LabelledObject) -> bool:
    if o.raster is not None and o.raster.upright:
        return True
    return not o.ground and o.image_path.suffix.lower() in _ON_MAP and has_rasterio() and o.image_path.is_file()


def _pictures(objects: Sequence[LabelledObject]) -> list[str]:
    """A key of the ground for each object: its clip, or the first of the pictures that it shares ground or all bytes with."""
    own = [o.ground or (o.raster.path if o.raster is not None else str(o.image_path)) for o in objects]
    first = {key: key for key in own}

    def root(key: str) -> str:
        while first[key] != key:
            key = first[key]
        return key

    rasters = _on_map(objects)
    alone = list(dict.fromkeys(o.image_path for o in objects if not o.ground))
    twins = [(str(a), str(b)) for a, b in same_pictures(alone)]
    for one, other in (*common_ground(rasters, rasters), *twins):
        a, b = sorted((root(one), root(other)))
        first[b] = a
    return [root(key) for key in own]


def _refuse_overlapping(objects: Iterable[LabelledObject]) -> None:
    rasters = _on_map(objects)
    for first, second in common_ground(rasters, rasters):
        raise TrainingDataError(f"split by blocks: {first} and {second} show common ground; split by file, or leave one out")


def refuse_same_ground(train: Sequence[LabelledObject], val: Sequence[LabelledObject], *, divided: bool = False) -> None:
    """Raise TrainingDataError where a picture, an outline, frames of one clip, or pictures with common ground are on both sides.

    Parameters
    ----------
    train, val : sequences of LabelledObject
    divided : bool
        Both are parts of the same sources, divided by `split_objects`: one picture may then lie on both sides, but no outline twice.
    """
    hint = "Name other data under 'val', or set data.same_ground: true if that is meant."
    if not divided:
        _refuse_pictures(train, val, hint)
        _refuse_ground(train, val, hint)
    twins = [(a, b) for a, b in same_pictures(_files(train), _files(val)) if a.resolve() != b.resolve()]
    if twins:
        raise TrainingDataError(
            f"{twins[0][0]} in 'train' and {twins[0][1]} in 'val' are the same picture, byte for byte ({len(twins)} pictures are). {hint}"
        )
    same = outline_twins(train, val)
    if same is not None:
        raise TrainingDataError(f"{same} are both in 'train' and in 'val'. {hint}")


def _refuse_pictures(train: Sequence[LabelledObject], val: Sequence[LabelledObject], hint: str) -> None:
    both = {o.image_path.resolve() for o in train} & {o.image_path.resolve() for o in val}
    both = {path for path in both if not _are_apart(path, train, val)}
    if both:
        raise TrainingDataError(f"{min(both)} is both in 'train' and in 'val' ({len(both)} pictures are). {hint}")
    clips = {o.ground for o in train if o.ground} & {o.ground for o in val}
    if clips:
        raise TrainingDataError(f"frames of {min(clips)} are both in 'train' and in 'val', and show the same ground. {hint}")


def _are_apart(path: Path, train: Sequence[LabelledObject], val: Sequence[LabelledObject]) -> bool:
    """Whether both sides name areas of a picture, and these have no common ground."""
    areas = [{id(o.area): o.area for o in side if o.image_path.resolve() == path} for side in (train, val)]
    if not all(area for side in areas for area in side.values()):
        return False
    one, other = (geometry_of([ring for area in side.values() for ring in area]) for side in areas)
    return bool(one.intersection(other).area <= 1e-6 * min(one.area, other.area))


def _refuse_ground(train: Sequence[LabelledObject], val: Sequence[LabelledObject], hint: str) -> None:
    for first, second in common_ground(_on_map(train), _on_map(val)):
        raise TrainingDataError(f"{first} in 'train' and {second} in 'val' show common ground. {hint}")


def _files(objects: Iterable[LabelledObject]) -> list[Path]:
    return list(dict.fromkeys(o.image_path for o in objects if not o.ground))


def common_ground(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different rasters whose ground overlaps by more than an edge."""
    if not first or not second:
        return []
    import shapely

    from rosgeo.labelled.labels import footprint

    ground = {path: found for path in {*first, *second} if (found := footprint(path)) is not None}
    others = [path for path in second if path in ground]
    tree = shapely.STRtree([ground[path] for path in others])
    pairs = []
    for a in first:
        if a not in ground:
            continue
        for i in sorted(tree.query(ground[a], predicate="intersects").tolist()):
            one, other = ground[a], ground[others[i]]
            overlaps = one.intersection(other).area > 1e-6 * min(one.area, other.area)
            if overlaps and Path(a) != Path(others[i]):
                pairs.append((a, others[i]))
    return pairs
