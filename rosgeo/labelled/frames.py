"""Video frames with masks in the layout of DAVIS: a folder of pictures a clip, and an indexed PNG of the same name for each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.data import UNREADABLE, LabelledObject, picture_shape
from rosgeo.labelled.outlines import mask_outline
from rosgeo.types import UInt8Array

__all__ = ["read_frames"]

_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_MASKS = {".png"}
_CATEGORY = "object"
_BACKGROUND, _VOID = 0, 255


def read_frames(frames: str | Path, masks: str | Path) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read clips. Each object of each frame is one object of class ``object``, and its prompt the tight box of its mask.

    All frames of a clip are taken to show the same ground in the same pixels, as those of a camera that keeps still.

    Parameters
    ----------
    frames : path
        The 8-bit pictures of a clip, or a folder of such folders.
    masks : path
        Of the same shape: a PNG for each frame, whose index or grey level is the object's number, 0 the background and 255 void, which is
        no object and counts as background.

    Returns
    -------
    objects : list of LabelledObject
        Clip by clip and frame by frame in the order of their names, in a frame by number.
    left_out : dict
        Reason -> number of frames or masks.

    Raises
    ------
    InputFileNotFoundError
        A folder is missing.
    TrainingDataError
        A file cannot be read, a mask does not fit its frame or a frame its clip, or no object is left.
    """
    objects: list[LabelledObject] = []
    left_out: Counter[str] = Counter()
    for pictures, indices in _clips(Path(frames), Path(masks)):
        objects += _read_clip(pictures, indices, left_out)
    if not objects:
        lost = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise TrainingDataError(
            f"{frames} with the masks {masks} holds no usable object; left out: {lost or 'none'}. Expected a folder of pictures a clip, "
            "a PNG of the same name for each, and objects numbered from 1 to 254"
        )
    return objects, dict(left_out)


def _clips(frames: Path, masks: Path) -> list[tuple[Path, Path]]:
    """The folders of frames and of masks of each clip; one of the two may be missing where there are several clips."""
    for folder, what in ((frames, "frames"), (masks, "masks")):
        if not folder.is_dir():
            raise InputFileNotFoundError(f"{folder}: no such folder; expected the {what} of a clip, or a folder of such folders")
    if _files(frames, _PICTURES):
        return [(frames, masks)]
    names = {
        path.name for folder in (frames, masks) for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    }
    return [(frames / name, masks / name) for name in sorted(names)]


def _files(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    """Name without suffix -> file."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # A leading dot: what file managers leave beside a picture.
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            other = found.setdefault(path.stem, path)
            if other != path:
                raise TrainingDataError(f"{folder} holds {other.name} and {path.name}; expected one file of each name")
    return found


def _read_clip(frames: Path, masks: Path, left_out: Counter[str]) -> list[LabelledObject]:
    pictures, indices = _files(frames, _PICTURES), _files(masks, _MASKS)
    for reason, alone in (
        ("frames without a mask", pictures.keys() - indices.keys()),
        ("masks without a frame", indices.keys() - pictures.keys()),
    ):
        if alone:
            left_out[reason] += len(alone)
    ground = str(frames.resolve())
    objects: list[LabelledObject] = []
    first: tuple[int, int] | None = None
    for name in sorted(pictures.keys() & indices.keys()):
        height, width = shape = picture_shape(pictures[name])
        first = first or shape
        if shape != first:
            raise TrainingDataError(
                f"{pictures[name]} has shape {shape}; expected {first} as of the frames before it, a clip is of one"
            )
        numbers = _read_numbers(indices[name], pictures[name], shape)
        found = [int(n) for n in np.unique(numbers) if n not in (_BACKGROUND, _VOID)]
        if not found and (numbers == _VOID).any():
            left_out["masks of nothing but void (255)"] += 1
        objects += [
            LabelledObject(pictures[name], height, width, (mask_outline(numbers == n),), _CATEGORY, frames.name, ground=ground)
            for n in found
        ]
    return objects


def _read_numbers(path: Path, picture: Path, shape: tuple[int, int]) -> UInt8Array:
    """The object's number of each pixel (height, width)."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            # A palette's indices, not its colours.
            numbers = np.asarray(image)
    except UNREADABLE as error:
        raise TrainingDataError(f"{path} cannot be read as a mask: {' '.join(str(error).split())[:200]}") from error
    if mode not in ("P", "L", "1"):
        raise TrainingDataError(f"{path} is of Pillow's mode {mode}; expected a PNG with a palette or grey levels of 8 bits")
    if numbers.shape != shape:
        raise TrainingDataError(f"{path} has shape {numbers.shape}; expected {shape} as of {picture.name}")
    return numbers.astype(np.uint8)
