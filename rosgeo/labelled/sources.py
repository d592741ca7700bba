"""The data of a run: its sources read, checked and divided."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rosgeo.errors import InputFileNotFoundError, LabelsWarning, OptionError, TrainingDataError
from rosgeo.labelled.candidates import Read
from rosgeo.labelled.classes import class_name
from rosgeo.labelled.coco import coco_candidates
from rosgeo.labelled.config import DataConfig, DataSource
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.frames import frame_candidates
from rosgeo.labelled.gate import Labels, Rules, admit_and_warn
from rosgeo.labelled.labelme import labelme_candidates
from rosgeo.labelled.labels import label_candidates
from rosgeo.labelled.labelstudio import labelstudio_candidates
from rosgeo.labelled.layouts import is_layer, recognised
from rosgeo.labelled.masks import mask_candidates
from rosgeo.labelled.report import Finding, Report
from rosgeo.labelled.spelling import KEYS, Spelling, spelled
from rosgeo.labelled.split import refuse_same_ground, sides_of, split_objects
from rosgeo.labelled.twins import same_pictures
from rosgeo.labelled.yolo import yolo_candidates

__all__ = ["TrainingData", "divided", "read_data", "read_labelled", "read_source", "split_column", "write_labels_report"]

_READERS: dict[str, Callable[[DataSource, str | None], Read]] = {
    "coco": coco_candidates,
    "raster": label_candidates,
    "masks": lambda source, _: mask_candidates(source),
    "frames": lambda source, _: frame_candidates(source),
    "yolo": yolo_candidates,
    "labelme": lambda source, _: labelme_candidates(source),
    "labelstudio": lambda source, _: labelstudio_candidates(source),
}

_WITH_COLUMNS = ("coco", "raster", "yolo")


@dataclass(frozen=True)
class TrainingData:
    """The labelled objects of a run.

    Attributes
    ----------
    train, val : tuple of LabelledObject
    report : tuple of str
        What was found and what was left out, by source, and what lies on which side.
    sources : tuple of Report
        The same as values, a source each.
    """

    train: tuple[LabelledObject, ...]
    val: tuple[LabelledObject, ...]
    report: tuple[str, ...]
    sources: tuple[Report, ...] = ()

    def fingerprints(self) -> dict[str, str]:
        """Number of objects and a hash of them, by side."""
        return {side: f"{len(objects)} objects {_digest(objects)}" for side, objects in (("train", self.train), ("val", self.val))}


def write_labels_report(path: Path, data: TrainingData) -> None:
    """Write what the sources hold, and in words what lies on which side, as JSON."""
    content = {"sources": [report.as_dict() for report in data.sources], "report": list(data.report)}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


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
        for ring in (*o.rings, *o.ignored, *o.area):
            digest.update(ring.tobytes())
    return digest.hexdigest()[:16]


def read_data(config: DataConfig, words: Spelling = KEYS) -> TrainingData:
    """Read all sources of a run and divide them.

    Parameters
    ----------
    config : DataConfig
    words : dict
        See `spelled`.

    Raises
    ------
    InputFileNotFoundError, TrainingDataError
        A source cannot be read or holds no object; a picture, an outline or common ground is on both sides.

    Warns
    -----
    LabelsWarning
        Much of a source is lost, or looks otherwise than labels mostly do.
    """
    parts = [read_labelled(source, split_column(config), words) for source in config.train]
    others = [read_labelled(source, None, words) for source in config.val]
    train, val, sides = divided(config, *([o for labels in side for o in labels.objects] for side in (parts, others)))
    report = [line for labels in (*parts, *others) for line in labels.report.lines()]
    return TrainingData(train, val, (*report, *sides), tuple(labels.report for labels in (*parts, *others)))


def split_column(config: DataConfig) -> str | None:
    """The column by which the training sources are divided; None for none."""
    return config.split.column if config.split is not None and config.split.by == "column" else None


def divided(
    config: DataConfig, train: Sequence[LabelledObject], val: Sequence[LabelledObject]
) -> tuple[tuple[LabelledObject, ...], tuple[LabelledObject, ...], tuple[str, ...]]:
    """The objects of both sides, once what is in `train` has been divided, and in words what lies where.

    Raises
    ------
    TrainingDataError
        A side would be empty, or a picture, an outline or common ground is on both.
    """
    sides: list[str] = []
    mine, others = list(train), list(val)
    if config.split is not None:
        mine, others, dropped = split_objects(train, config.split)
        sides = sides_of(config.split, mine, others, train, dropped)
    if not config.same_ground:
        refuse_same_ground(mine, others, divided=config.split is not None)
    return tuple(mine), tuple(others), tuple(sides)


def read_labelled(source: DataSource, column: str | None = None, words: Spelling = KEYS) -> Labels:
    """The objects of one source, and the report of it.

    Parameters
    ----------
    source : DataSource
    column : str, optional
        Column or key whose value becomes the `group` of an object.
    words : dict
        How messages name keys or options; see `spelled`.

    Raises
    ------
    UserInputError
        One of its subclasses, in one line.
    """
    with spelled(words):
        source = recognised(source)
        _require_images(source)
        if column is not None and source.kind not in _WITH_COLUMNS:
            raise TrainingDataError(f"{source.path}: split by column {column!r}, but a source of kind {source.kind} has no columns")
        read = _READERS[source.kind](source, column)
        rules = Rules(source.parts == "split", frozenset(name for name in source.ignore if not is_layer(name)))
        _say_idle(source, read, rules)
        labels = admit_and_warn(read, rules)
        return replace(labels, report=_with_twins(labels))


def _require_images(source: DataSource) -> None:
    """Raise where the folder of the pictures that was named is not there: others of the same names may be elsewhere."""
    path = Path(source.path)
    folder = path.parent if path.is_file() else path
    roots = (Path(), folder, *((folder.parent,) if folder.name == "annotations" else ()))
    if source.images and not any((root / source.images).is_dir() for root in roots):
        raise InputFileNotFoundError(
            f"{source.images}: no such folder, nor in {folder}; expected that of the pictures of {source.path}"
        )


def _say_idle(source: DataSource, read: Read, rules: Rules) -> None:
    """Raise or warn where what is to be ignored is not there: a word that is spelled otherwise would change nothing."""
    layers = [name for name in source.ignore if is_layer(name)]
    if layers and source.kind != "raster":
        raise OptionError(
            f"{source.name}: {layers[0]} is a layer of polygons to ignore, which goes with a raster; expected classes"
        )
    classes = {class_name(c.category) for c in read.candidates}
    # A number of masks that is void may be in none of them.
    idle = sorted(name for name in rules.ignore if name not in classes and not name.lstrip("-").isdecimal())
    if idle:
        there = ", ".join(sorted(classes)[:8])
        warnings.warn(
            f"{source.name}: no label is of the class {idle[0]!r}, which is to be ignored; there are {there}",
            LabelsWarning,
            stacklevel=3,
        )


def _with_twins(labels: Labels) -> Report:
    """The report with the pictures that are there twice under other names."""
    pictures = dict.fromkeys(o.image_path for o in labels.objects if not o.ground and (o.raster is None or not o.raster.upright))
    twins = same_pictures(list(pictures))
    if not twins:
        return labels.report
    names = {second for _, second in twins}
    rows = tuple(i for i, o in enumerate(labels.objects) if o.image_path in names)
    first = f"{twins[0][0].name} and {twins[0][1].name}"
    finding = Finding("pictures are byte for byte another one of the source", len(names), first, rows, brief="same picture")
    return replace(labels.report, suspicious=(*labels.report.suspicious, finding))


def read_source(source: DataSource, column: str | None = None) -> tuple[list[LabelledObject], dict[str, int]]:
    """The objects of one source, and why others were left out: reason -> number."""
    labels = read_labelled(source, column)
    return list(labels.objects), labels.report.counts()
