"""Labelled objects for training and evaluation. A first reader: COCO folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.types import FloatArray, UInt8Array

__all__ = ["LabelledObject", "load_image", "read_coco"]


@dataclass(frozen=True)
class LabelledObject:
    """One object with its outline, in the pixel frame of its picture.

    Attributes
    ----------
    image_path : Path
        The picture.
    height, width : int
        Size of the picture in pixels.
    rings : tuple of float64 arrays (n, 2)
        Outlines, joined by union.
    category, source : str
        Class and data set, for sampling and tables.
    """

    image_path: Path
    height: int
    width: int
    rings: tuple[FloatArray, ...]
    category: str
    source: str

    @property
    def box_px(self) -> FloatArray:
        """Envelope of the outlines, float64 (4,), xyxy in the pixel frame."""
        points = np.concatenate(self.rings)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])


def read_coco(folder: str | Path, annotations: str = "instances.json") -> tuple[list[LabelledObject], dict[str, int]]:
    """Read a COCO folder: ``images/`` and one annotation file.

    Parameters
    ----------
    folder : path
        The folder.
    annotations : str
        Name of the annotation file in it.

    Returns
    -------
    objects : list of LabelledObject
        In the order of the file.
    left_out : dict
        Reason -> number of annotations that are not among the objects (crowds, RLE, degenerate outlines).

    Raises
    ------
    InputFileNotFoundError
        The annotation file or a picture that it names is missing.
    TrainingDataError
        The file is no COCO file, or no object is left.
    """
    root = Path(folder)
    path = root / annotations
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such file; a COCO folder holds {annotations} and images/")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in content["images"]}
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        entries = content["annotations"]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(f"{path} is not a COCO file: {error!r}; expected images, annotations, categories") from error
    objects: list[LabelledObject] = []
    left_out: dict[str, int] = {}
    for entry in entries:
        image = images[entry["image_id"]]
        rings = _rings(entry)
        if isinstance(rings, str):
            left_out[rings] = left_out.get(rings, 0) + 1
            continue
        objects.append(
            LabelledObject(
                image_path=root / "images" / image["file_name"],
                height=int(image["height"]),
                width=int(image["width"]),
                rings=rings,
                category=names[entry["category_id"]],
                source=str(image.get("source", root.name)),
            )
        )
    _require_pictures({o.image_path for o in objects}, path)
    if not objects:
        raise TrainingDataError(f"{path} holds no usable object; left out: {left_out or 'nothing, it has no annotations'}")
    return objects, left_out


def _rings(entry: dict[str, object]) -> tuple[FloatArray, ...] | str:
    """The outlines of an annotation, or why it has none."""
    if entry.get("iscrowd"):
        return "crowd"
    segmentation = entry.get("segmentation")
    if not isinstance(segmentation, list):
        return "RLE segmentation"
    rings = tuple(np.asarray(r, dtype=np.float64).reshape(-1, 2) for r in segmentation if len(r) >= 6)
    if not rings or not all(np.isfinite(r).all() for r in rings):
        return "no outline"
    points = np.concatenate(rings)
    if (np.ptp(points, axis=0) <= 0).any():
        return "zero area"
    return rings


def _require_pictures(paths: Iterable[Path], source: Path) -> None:
    missing = sorted(str(p) for p in paths if not p.is_file())
    if missing:
        raise InputFileNotFoundError(f"{missing[0]}: no such file, named in {source} ({len(missing)} pictures are missing)")


@lru_cache(maxsize=16)
def load_image(path: Path) -> UInt8Array:
    """Read an 8-bit picture as RGB.

    Returns
    -------
    uint8 array (3, H, W)
        Read-only, kept for the next call.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (UnidentifiedImageError, OSError) as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {error}") from error
    pixels.setflags(write=False)
    return pixels


def class_weights(objects: Sequence[LabelledObject], factors: dict[str, float] | None = None) -> FloatArray:
    """Drawing probabilities, float64 (N,): the inverse root of the class's count, times a factor a class."""
    names = [o.category for o in objects]
    counts = {name: names.count(name) for name in set(names)}
    unknown = sorted(set(factors or {}) - set(counts))
    if unknown:
        raise TrainingDataError(f"class factor for {unknown[0]!r}, but the data hold only {', '.join(sorted(counts))}")
    weights = np.array([(factors or {}).get(n, 1.0) / counts[n] ** 0.5 for n in names])
    normalised: FloatArray = weights / weights.sum()
    return normalised
