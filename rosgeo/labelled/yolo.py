"""YOLO's segmentation folders: ``data.yaml``, pictures, and a text file of classes and outlines in fractions for each picture.

Format: a line an object, ``class x1 y1 x2 y2 ...`` with x and y in fractions of the picture; a line of class and four numbers is a box
(docs.ultralytics.com/datasets/segment).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.find_pictures import fit_picture, picture_pixels
from rosgeo.labelled.pictures import PICTURES, read_headers, require_one_of_each_name

__all__ = ["yolo_candidates", "yolo_file"]

_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_SUBSETS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_BOX = "a box without an outline"
_NO_LABELS = "pictures without a label file"
_NO_PICTURE = "label files without a picture"


def yolo_file(path: Path) -> Path | None:
    """The YAML file that describes a set: the path itself, or in the folder; None where there is none that names classes and pictures."""
    files = [path] if path.suffix.lower() in (".yaml", ".yml") else [path / name for name in _NAMES] if path.is_dir() else []
    if path.is_dir():
        files += sorted(path.glob("*.yaml"))
    for file in files:
        content = _yaml(file)
        if isinstance(content, dict) and "names" in content and set(_SUBSETS) & content.keys():
            return file
    return None


def _refuse_broken(root: Path) -> None:
    """A set whose description cannot be read would have numbers for classes, and subsets that are one."""
    for file in (root / name for name in _NAMES):
        if file.is_file() and not isinstance(_yaml(file), dict):
            raise TrainingDataError(f"{file} cannot be read; expected YAML in UTF-8 with names, and train or val")


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def yolo_candidates(source: DataSource, column: str | None = None) -> Read:
    """All lines of all label files; `column` may be ``subset``, whose values are ``train``, ``val`` and ``test``."""
    if column not in (None, "subset"):
        raise TrainingDataError(f"{source.path}: split by column {column!r}, but a YOLO set has the column subset alone")
    root = Path(source.path)
    if not root.exists():
        raise InputFileNotFoundError(
            f"{root}: no such file or folder; expected a folder with data.yaml, or with images/ and labels/"
        )
    file = yolo_file(root)
    if file is None:
        _refuse_broken(root)
    names, parts = (
        _described(file) if file is not None else ({}, {"": _pictures_in(root / "images" if (root / "images").is_dir() else root)})
    )
    chosen = _chosen(source, {k: v for k, v in parts.items() if v}, everything=column is not None)
    pictures = [(picture, subset) for subset, found in chosen.items() for picture in found]
    require_one_of_each_name((picture for picture, _ in pictures), "label file")
    headers = read_headers(picture for picture, _ in pictures)
    pixels = picture_pixels(source)
    candidates: list[Candidate] = []
    left_out: list[tuple[str, str]] = []
    changed: list[tuple[str, str]] = []
    files = {path: _labels_of(path) for path, _ in pictures}
    left_out += [(_NO_PICTURE, path.name) for path in _alone({labels for labels in files.values() if labels is not None})]
    for path, subset in pictures:
        labels = files[path]
        if labels is None:
            left_out.append((_NO_LABELS, path.name))
            continue
        picture, _, note = fit_picture(headers[path], None, labels, pixels)
        changed += [(note, path.name)] if note else []
        picture = replace(picture, source=(file.parent if file is not None else root).name)
        candidates += [replace(c, group=subset) for c in _lines(labels, picture, names)]
    return Read(source.name, tuple(candidates), tuple(left_out), tuple(changed), frozenset({_NO_LABELS}))


def _chosen(source: DataSource, parts: dict[str, list[Path]], *, everything: bool) -> dict[str, list[Path]]:
    """The subsets that a source asks for."""
    wanted = _SUBSETS.get(source.subset, source.subset)
    if not parts:
        raise TrainingDataError(
            f"{source.path} names no pictures that are there; expected folders of pictures under train, val or test"
        )
    if everything or wanted == "all" or (not wanted and len(parts) == 1):
        return parts
    if wanted not in parts:
        asked = f"no subset {source.subset!r}; it has" if wanted else f"{len(parts)} subsets:"
        raise TrainingDataError(
            f"{source.path} has {asked} {', '.join(parts)}; choose one with --subset, or split by the column subset"
        )
    return {wanted: parts[wanted]}


def _described(file: Path) -> tuple[dict[int, str], dict[str, list[Path]]]:
    """Class names by number, and the pictures of each subset that is there, of a YAML file."""
    content = _yaml(file)
    names = content["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    try:
        classes = {int(k): str(v) for k, v in names.items()}
    except (AttributeError, TypeError, ValueError):
        raise TrainingDataError(f"{file}: names is no list and no mapping of numbers; expected the names of the classes") from None
    base = Path(str(content.get("path") or "").replace("\\", "/"))
    roots = [file.parent / base, file.parent, file.parent / base.name]
    parts: dict[str, list[Path]] = {}
    for key, subset in _SUBSETS.items():
        entries = content.get(key)
        for entry in entries if isinstance(entries, list) else [entries] if entries else []:
            parts.setdefault(subset, []).extend(_named_pictures(str(entry), roots))
    return classes, {k: list(dict.fromkeys(v)) for k, v in parts.items()}


def _named_pictures(entry: str, roots: list[Path]) -> list[Path]:
    """Pictures of a folder, or of a text file that lists them; of a path of another machine by its end. None where nothing is there."""
    steps = [step for step in entry.replace("\\", "/").split("/") if step not in ("", ".", "..")]
    tails = [Path(*steps[i:]) for i in range(len(steps))]
    for place in (root / tail for tail in (Path(entry), *tails) for root in roots):
        if place.is_dir():
            return _pictures_in(place)
        if place.is_file():
            lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            found = [p for line in lines for root in (place.parent, *roots) if (p := root / line.removeprefix("./")).is_file()]
            return list(dict.fromkeys(p.resolve() for p in found))
    return []


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and not p.name.startswith("."))


def _labels_of(picture: Path) -> Path | None:
    """The label file of a picture: in the folder ``labels`` in place of ``images``, or beside it."""
    parts = list(picture.parts)
    places = [Path(*parts[:i], "labels", *parts[i + 1 :]) for i in range(len(parts) - 1, -1, -1) if parts[i] == "images"]
    for place in (*places, picture):
        if place.with_suffix(".txt").is_file():
            return place.with_suffix(".txt")
    return None


def _alone(used: set[Path]) -> list[Path]:
    """Label files that are no picture's, in the folders of those that are; others of the folder ``labels`` may be of another subset."""
    folders = sorted({path.parent for path in used if "labels" in path.parts[:-1]})
    files = [path for folder in folders for path in sorted(folder.glob("*.txt")) if path not in used and path.stem != "classes"]
    return [path for path in files if not path.name.startswith(".") and path.stat().st_size]


def _lines(path: Path, picture: LabelledPicture, names: dict[int, str]) -> Iterator[Candidate]:
    """A candidate for each line of a label file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TrainingDataError(f"{path} is not text in UTF-8; expected lines of a class and an outline") from error
    for i, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        where = f"line {i} of {path.name}"
        try:
            number, values = _class_number(words[0]), np.array(words[1:], dtype=np.float64)
        except (ValueError, OverflowError):
            raise TrainingDataError(f"{path}: line {i} holds other than numbers; expected: class x1 y1 x2 y2 ...") from None
        category = names.get(number, str(number))
        if names and number not in names:
            raise TrainingDataError(f"{path}: line {i} has the class {number}, which data.yaml does not name ({len(names)} names)")
        if len(values) == 4:
            yield Candidate(where, picture, category=category, reason=_BOX)
        elif len(values) < 6 or len(values) % 2:
            yield Candidate(where, picture, category=category, reason="without an outline (not pairs of x and y)")
        else:
            yield _outline(where, picture, category, values.reshape(-1, 2))


def _class_number(word: str) -> int:
    """A class's number, which some write as 1.0."""
    value = float(word)
    if not value.is_integer():
        raise ValueError(f"{word} is no whole number")
    return int(value)


def _outline(where: str, picture: LabelledPicture, category: str, points: np.ndarray) -> Candidate:
    # A little over the edge through rounding or clipping is meant so; pixels in place of fractions are not.
    if np.isfinite(points).all() and (points.min() < -0.5 or points.max() > 1.5):
        return Candidate(where, picture, category=category, reason="with coordinates that are no fractions of the picture")
    return Candidate(where, picture, (points * (picture.width, picture.height),), category=category)
