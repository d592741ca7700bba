"""The data of a run: its sources read, checked and divided."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rosgeo.errors import TrainingDataError
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.config import DataConfig, DataSource
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.frames import read_frames
from rosgeo.labelled.labels import read_labels
from rosgeo.labelled.masks import read_masks
from rosgeo.labelled.split import refuse_same_ground, split_objects

__all__ = ["TrainingData", "read_data", "read_source"]


@dataclass(frozen=True)
class TrainingData:
    """The labelled objects of a run.

    Attributes
    ----------
    train, val : tuple of LabelledObject
    report : tuple of str
        What was found and what was left out, a line a source.
    """

    train: tuple[LabelledObject, ...]
    val: tuple[LabelledObject, ...]
    report: tuple[str, ...]

    def fingerprints(self) -> dict[str, str]:
        """Number of objects and a hash of them, by side."""
        return {side: f"{len(objects)} objects {_digest(objects)}" for side, objects in (("train", self.train), ("val", self.val))}


def _digest(objects: Iterable[LabelledObject]) -> str:
    digest = hashlib.sha256()
    for o in objects:
        said = o.raster and (
            o.raster.bands,
            o.raster.stretch,
            *(v for v in (o.raster.nodata, o.raster.dem, o.raster.height) if v is not None),
        )
        digest.update(f"{o.image_path.name} {o.category} {said} {o.hidden}".encode())
        # The name of a clip and not its place, so that a run can go on where its data were moved to.
        digest.update(Path(o.ground).name.encode())
        for ring in o.rings:
            digest.update(ring.tobytes())
    return digest.hexdigest()[:16]


def read_data(config: DataConfig) -> TrainingData:
    """Read all sources of a run and divide them.

    Raises
    ------
    InputFileNotFoundError, TrainingDataError
        A source cannot be read or holds no object; a picture is on both sides.
    """
    report: list[str] = []
    column = config.split.column if config.split is not None and config.split.by == "column" else None
    train = [o for source in config.train for o in _read_and_report(source, column, report)]
    val = [o for source in config.val for o in _read_and_report(source, None, report)]
    if config.split is not None:
        train, val, dropped = split_objects(train, config.split)
        seams = f", {dropped} on the seam of two blocks left out" if dropped else ""
        report.append(f"split by {config.split.by}: {len(train)} objects for training, {len(val)} for validation{seams}")
    elif not config.same_ground:
        refuse_same_ground(train, val)
    return TrainingData(tuple(train), tuple(val), tuple(report))


def _read_and_report(source: DataSource, column: str | None, report: list[str]) -> list[LabelledObject]:
    objects, left_out = read_source(source, column)
    classes = ", ".join(f"{name} {count}" for name, count in Counter(o.category for o in objects).most_common())
    lost = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    pictures = len({o.image_path for o in objects})
    report.append(f"{source.name}: {len(objects)} objects in {pictures} pictures ({classes}); left out: {lost or 'none'}")
    return objects


def read_source(source: DataSource, column: str | None = None) -> tuple[list[LabelledObject], dict[str, int]]:
    """The objects of one source, and why others were left out."""
    if source.kind == "coco":
        return read_coco(source.path, source.annotations, column=column)
    if source.kind == "raster":
        return read_labels(source, column)
    if column is not None:
        raise TrainingDataError(f"{source.path}: split by column {column!r}, but a source of kind {source.kind} has no columns")
    return read_frames(source.path, source.masks) if source.kind == "frames" else read_masks(source.path)
