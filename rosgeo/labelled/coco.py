"""Labelled objects from COCO folders, those of video clips among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.geometry.rle import decode_rle
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.outlines import mask_path
from rosgeo.types import FloatArray

__all__ = ["read_coco"]


def read_coco(
    folder: str | Path, annotations: str = "instances.json", *, column: str | None = None
) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read a COCO folder: one annotation file, and the pictures that it names.

    Parameters
    ----------
    folder : path
        The folder. A picture is looked for in its ``images/`` and then in the folder itself.
    annotations : str
        Name of the annotation file in it.
    column : str, optional
        Key of the images whose value becomes the `group` of their objects.

    Returns
    -------
    objects : list of LabelledObject
        In the order of the file. Outlines are polygons, or run lengths (RLE, compressed or not), whose outline goes along pixel edges.
        Images with one ``video_id`` are the frames of a clip, which are taken to show the same ground, as in `read_frames`.
    left_out : dict
        Reason -> number of annotations that are not among the objects (crowds, degenerate outlines, empty masks).

    Raises
    ------
    InputFileNotFoundError
        The annotation file or a picture that it names is missing.
    TrainingDataError
        The file is no COCO file, run lengths do not fit their image, or no object is left.
    """
    root = Path(folder)
    path = root / annotations
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such file; a COCO folder holds {annotations} and images/")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in content["images"]}
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        pictures = {key: _picture(root, image["file_name"]) for key, image in images.items()}
        clips = _clips(images, pictures)
        entries = content["annotations"]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(f"{path} is not a COCO file: {error!r}; expected images, annotations, categories") from error
    objects: list[LabelledObject] = []
    left_out: dict[str, int] = {}
    for entry in entries:
        try:
            image, category = images[entry["image_id"]], names[entry["category_id"]]
            group = "" if column is None else str(image[column])
        except KeyError as error:
            raise TrainingDataError(
                f"{path}: annotation {entry.get('id')}: {error} is missing in it, in its image or in the lists"
            ) from error
        shape = int(image["height"]), int(image["width"])
        try:
            rings = _rings(entry, shape)
        except ValueError as error:
            raise TrainingDataError(f"{path}: annotation {entry.get('id')}: its RLE {error}") from error
        if isinstance(rings, str):
            left_out[rings] = left_out.get(rings, 0) + 1
            continue
        objects.append(
            LabelledObject(
                image_path=pictures[entry["image_id"]],
                height=shape[0],
                width=shape[1],
                rings=rings,
                category=category,
                source=str(image.get("source", root.name)),
                group=group,
                ground=clips.get(entry["image_id"], ""),
            )
        )
    _require_pictures({o.image_path for o in objects}, path)
    if not objects:
        raise TrainingDataError(f"{path} holds no usable object; left out: {left_out or 'nothing, it has no annotations'}")
    return objects, left_out


def _picture(root: Path, name: str) -> Path:
    """Where a picture is; in ``images/`` where it is nowhere."""
    usual, beside = root / "images" / name, root / name
    return beside if beside.is_file() and not usual.is_file() else usual


def _clips(images: dict[Any, dict[str, Any]], pictures: dict[Any, Path]) -> dict[Any, str]:
    """What ground the frames of clips show, by image: the folder of the clip, as `read_frames` says it, or a name in a shared one."""
    videos = {key: image["video_id"] for key, image in images.items() if image.get("video_id") is not None}
    folders = {key: pictures[key].parent.resolve() for key in videos}
    in_folder: dict[Path, set[Any]] = {}
    for key, folder in folders.items():
        in_folder.setdefault(folder, set()).add(videos[key])
    return {key: str(folder if len(in_folder[folder]) == 1 else folder / f"video {videos[key]}") for key, folder in folders.items()}


def _rings(entry: dict[str, Any], shape: tuple[int, int]) -> tuple[FloatArray, ...] | str:
    """The outlines of an annotation, or why it has none; raises ValueError for run lengths that are not those of its image."""
    if entry.get("iscrowd"):
        return "crowd"
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        pixels = decode_rle(segmentation, shape)
        return "empty mask" if pixels is None else (mask_path(pixels.mask) + np.array([pixels.col_off, pixels.row_off]),)
    return _polygons(segmentation) if isinstance(segmentation, list) else "no outline"


def _polygons(segmentation: Sequence[Any]) -> tuple[FloatArray, ...] | str:
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
