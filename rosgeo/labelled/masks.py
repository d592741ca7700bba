"""The data layout of the ROS-SAM reference: ``img/NAME.png``, ``boxes/NAME.npy`` and ``onehotmask/NAME.npy``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.data import LabelledObject, picture_shape
from rosgeo.labelled.outlines import mask_outline
from rosgeo.types import BoolArray, FloatArray

__all__ = ["read_masks"]

_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_CATEGORY = "object"


def read_masks(folder: str | Path) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read a folder in the reference's layout. All objects are of class ``object``.

    Parameters
    ----------
    folder : path
        With ``img/`` (8-bit pictures), ``boxes/`` (N x 4, xyxy in pixels) and ``onehotmask/`` (N x H x W, 0 or 255). With the
        ``tracks.json`` of a folder that rosgeo wrote from a clip its pictures are taken to show the same ground, as in `read_frames`.

    Returns
    -------
    objects : list of LabelledObject
        Picture by picture in the order of their names. Prompts are the boxes of the files.
    left_out : dict
        Reason -> number of objects.

    Raises
    ------
    InputFileNotFoundError
        A folder or a file is missing.
    TrainingDataError
        An array cannot be read, its shape does not fit the picture, or no object is left.
    """
    root = Path(folder)
    for name in ("img", "boxes", "onehotmask"):
        if not (root / name).is_dir():
            raise InputFileNotFoundError(f"{root / name}: no such folder; this layout holds img/, boxes/ and onehotmask/")
    pictures = sorted(p for p in (root / "img").iterdir() if p.suffix.lower() in _PICTURES)
    ground = str((root / "img").resolve()) if (root / "tracks.json").is_file() else ""
    objects: list[LabelledObject] = []
    left_out: dict[str, int] = {}
    for picture in pictures:
        for found in _read_picture(root, picture):
            if isinstance(found, str):
                left_out[found] = left_out.get(found, 0) + 1
            else:
                objects.append(replace(found, ground=ground))
    if not objects:
        raise TrainingDataError(f"{root} holds no usable object in {len(pictures)} pictures; left out: {left_out or 'none'}")
    return objects, left_out


def _read_picture(root: Path, picture: Path) -> list[LabelledObject | str]:
    """The objects of one picture, or why one is none."""
    height, width = picture_shape(picture)
    boxes_path, masks_path = (root / name / f"{picture.stem}.npy" for name in ("boxes", "onehotmask"))
    boxes, masks = _load(boxes_path), _load(masks_path)
    if boxes.size == 0 and masks.size == 0:
        return []
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise TrainingDataError(f"{boxes_path} has shape {boxes.shape}; expected (N, 4): x_min, y_min, x_max, y_max")
    if masks.shape != (len(boxes), height, width):
        raise TrainingDataError(
            f"{masks_path} has shape {masks.shape}; expected {(len(boxes), height, width)} for {len(boxes)} boxes on {picture.name}"
        )
    return [_object(root, picture, masks[i], boxes[i]) for i in range(len(boxes))]


def _object(root: Path, picture: Path, levels: npt.NDArray[np.generic], box: npt.NDArray[np.generic]) -> LabelledObject | str:
    mask = _to_bool(np.asarray(levels))
    if not mask.any():
        return "empty mask"
    height, width = mask.shape
    prompt: FloatArray = np.clip(np.asarray(box, dtype=np.float64), 0, [width, height, width, height])
    if not (np.isfinite(prompt).all() and (prompt[2:] > prompt[:2]).all()):
        return "box without area on the picture"
    return LabelledObject(picture, height, width, (mask_outline(mask),), _CATEGORY, root.name, box=prompt)


def _to_bool(levels: npt.NDArray[np.generic]) -> BoolArray:
    """0 or 255, or 0 or 1, to a mask."""
    as_float = levels.astype(np.float32)
    mask: BoolArray = as_float > (127 if as_float.max(initial=0) > 1 else 0.5)
    return mask


def _load(path: Path) -> npt.NDArray[np.generic]:
    """An array, mapped from its file, so that one mask of many is in memory."""
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such file; each picture in img/ needs one")
    try:
        array: npt.NDArray[np.generic] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise TrainingDataError(f"{path} is not an array that numpy can read: {' '.join(str(error).split())[:200]}") from error
    if array.dtype.kind not in "buif":
        raise TrainingDataError(f"{path} holds {array.dtype}; expected numbers")
    return array
