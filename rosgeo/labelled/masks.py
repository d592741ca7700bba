"""The data layout of the ROS-SAM reference: ``img/NAME.png``, ``boxes/NAME.npy`` and ``onehotmask/NAME.npy``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, Claims, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.find_pictures import fit_picture, picture_pixels
from rosgeo.labelled.gate import admit_and_warn
from rosgeo.labelled.outlines import mask_outline
from rosgeo.labelled.pictures import PICTURES, PictureHeader, read_headers, require_one_of_each_name
from rosgeo.labelled.pixels import RasterPixels
from rosgeo.types import BoolArray, FloatArray

__all__ = ["mask_candidates", "read_masks"]

_CATEGORY = "object"


def read_masks(folder: str | Path) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read a folder in the reference's layout. All objects are of class ``object``.

    Parameters
    ----------
    folder : path
        With ``img/`` (pictures), ``boxes/`` (N x 4, xyxy in pixels) and ``onehotmask/`` (N x H x W, 0 or 255). With the ``tracks.json`` of
        a folder that rosgeo wrote from a clip its pictures are taken to show the same ground, as in `read_frames`.

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
        An array cannot be read, its shape does not fit the picture, boxes do not lie on their masks, or no object is left.
    """
    labels = admit_and_warn(mask_candidates(DataSource(kind="masks", path=str(folder))))
    return list(labels.objects), labels.report.counts()


def mask_candidates(source: DataSource) -> Read:
    """All masks of a folder; see `read_masks`."""
    root = Path(source.path)
    for name in ("img", "boxes", "onehotmask"):
        if not (root / name).is_dir():
            raise InputFileNotFoundError(f"{root / name}: no such folder; this layout holds img/, boxes/ and onehotmask/")
    pictures = sorted(p for p in (root / "img").iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    ground = str((root / "img").resolve()) if (root / "tracks.json").is_file() else ""
    require_one_of_each_name(pictures, "masks")
    headers = read_headers(pictures)
    pixels = picture_pixels(source)
    candidates: list[Candidate] = []
    changed: list[tuple[str, str]] = []
    for picture in pictures:
        found, note = _read_picture(root, headers[picture], pixels, ground)
        candidates += found
        changed += [(note, picture.name)] if note else []
    hint = f"There are {len(pictures)} pictures in img/"
    return Read(source.name, tuple(candidates), changed=tuple(changed), hint=hint)


def _read_picture(root: Path, header: PictureHeader, pixels: RasterPixels | None, ground: str) -> tuple[list[Candidate], str]:
    """The masks of one picture, and what to say of it."""
    picture = header.path
    boxes_path, masks_path = (root / name / f"{picture.stem}.npy" for name in ("boxes", "onehotmask"))
    boxes, masks = _load(boxes_path), _load(masks_path)
    if boxes.size == 0 and masks.size == 0:
        return [], ""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise TrainingDataError(f"{boxes_path} has shape {boxes.shape}; expected (N, 4): x_min, y_min, x_max, y_max")
    if masks.ndim != 3 or len(masks) != len(boxes) or masks.shape[1:] not in (header.shown, header.stored):
        raise TrainingDataError(
            f"{masks_path} has shape {masks.shape}; expected {(len(boxes), *header.shown)} for {len(boxes)} boxes on {picture.name}"
        )
    fitted, _, note = fit_picture(header, (int(masks.shape[1]), int(masks.shape[2])), masks_path, pixels)
    fitted = replace(fitted, ground=ground, source=root.name)
    return [_candidate(f"mask {i} of {boxes_path.name}", fitted, masks[i], boxes[i]) for i in range(len(boxes))], note


def _candidate(name: str, picture: LabelledPicture, levels: npt.NDArray[np.generic], box: npt.NDArray[np.generic]) -> Candidate:
    mask = _to_bool(np.asarray(levels))
    if not mask.any():
        return Candidate(name, picture, category=_CATEGORY, reason="empty mask")
    height, width = mask.shape
    prompt: FloatArray = np.asarray(box, dtype=np.float64)
    on_picture = np.clip(prompt, 0, [width, height, width, height])
    # Of numbers that may be in another order the gate has to see all.
    usable = np.isfinite(on_picture).all() and (on_picture[2:] > on_picture[:2]).all()
    return Candidate(
        name,
        picture,
        (mask_outline(mask),),
        category=_CATEGORY,
        reason="" if usable else "box without area on the picture",
        claims=Claims(on_picture, form="xyxy") if usable else Claims(),
        box=on_picture if usable else None,
    )


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
