"""Video frames with masks in the layout of DAVIS: a folder of pictures a clip, and an indexed PNG of the same name for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.find_pictures import fit_picture, picture_pixels
from rosgeo.labelled.gate import admit_and_warn
from rosgeo.labelled.outlines import mask_outline
from rosgeo.labelled.pictures import PICTURES, UNREADABLE, PictureHeader, read_headers
from rosgeo.types import UInt8Array

__all__ = ["frame_candidates", "read_frames"]

_MASKS = {".png"}
_CATEGORY = "object"
_BACKGROUND, _VOID = 0, 255
_NO_LOSS = ("frames without a mask", "masks without a frame")


def read_frames(frames: str | Path, masks: str | Path) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read clips. Each object of each frame is one object of class ``object``, and its prompt the tight box of its mask.

    All frames of a clip are taken to show the same ground in the same pixels, as those of a camera that keeps still.

    Parameters
    ----------
    frames : path
        The pictures of a clip, or a folder of such folders.
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
    labels = admit_and_warn(frame_candidates(DataSource(kind="frames", path=str(frames), masks=str(masks))))
    return list(labels.objects), labels.report.counts()


def frame_candidates(source: DataSource) -> Read:
    """All numbers of all masks; see `read_frames`. Where parts are split, a number is a class, and where 255 is ignored it is no ground."""
    candidates: list[Candidate] = []
    left_out: list[tuple[str, str]] = []
    changed: list[tuple[str, str]] = []
    for pictures, indices in _clips(Path(source.path), Path(source.masks)):
        candidates += _read_clip(source, pictures, indices, left_out, changed)
    hint = (
        f"The masks are {source.masks}. Expected a folder of pictures a clip, a PNG of the same name for each, and objects numbered from 1 "
        "to 254"
    )
    return Read(source.name, tuple(candidates), tuple(left_out), tuple(changed), frozenset(_NO_LOSS), hint)


def _clips(frames: Path, masks: Path) -> list[tuple[Path, Path]]:
    """The folders of frames and of masks of each clip; one of the two may be missing where there are several clips."""
    for folder, what in ((frames, "frames"), (masks, "masks")):
        if not folder.is_dir():
            raise InputFileNotFoundError(f"{folder}: no such folder; expected the {what} of a clip, or a folder of such folders")
    if _files(frames, PICTURES):
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


def _read_clip(
    source: DataSource, frames: Path, masks: Path, left_out: list[tuple[str, str]], changed: list[tuple[str, str]]
) -> list[Candidate]:
    pictures, indices = _files(frames, PICTURES), _files(masks, _MASKS)
    for reason, alone in zip(_NO_LOSS, (pictures.keys() - indices.keys(), indices.keys() - pictures.keys()), strict=True):
        left_out += [(reason, f"{name} of {frames.name}") for name in sorted(alone)]
    names = sorted(pictures.keys() & indices.keys())
    headers = read_headers(pictures[name] for name in names)
    pixels = picture_pixels(source)
    candidates: list[Candidate] = []
    for name in names:
        header = headers[pictures[name]]
        first = headers[pictures[names[0]]]
        if header.shown != first.shown:
            raise TrainingDataError(
                f"{header.path} has shape {header.shown}; expected {first.shown} as of the frames before it, a clip is of one"
            )
        numbers = _read_numbers(indices[name], header)
        picture, _, note = fit_picture(header, (numbers.shape[0], numbers.shape[1]), indices[name], pixels)
        changed += [(note, header.path.name)] if note else []
        picture = replace(picture, ground=str(frames.resolve()), source=frames.name)
        found = _numbered(source, numbers, picture, indices[name])
        if not found and (numbers == _VOID).any():
            left_out.append(("masks of nothing but void (255)", indices[name].name))
        candidates += found
    return candidates


def _numbered(source: DataSource, numbers: UInt8Array, picture: LabelledPicture, path: Path) -> list[Candidate]:
    """A candidate for each number of a mask that is no background."""
    candidates = []
    for n in np.unique(numbers).tolist():
        ignored = str(n) in source.ignore
        if n == _BACKGROUND or (n == _VOID and not ignored):
            continue
        category = str(n) if source.parts == "split" else _CATEGORY
        outline = mask_outline(numbers == n)
        candidates.append(Candidate(f"number {n} of {path.name}", picture, (outline,), category=category, ignored=ignored))
    return candidates


def _read_numbers(path: Path, header: PictureHeader) -> UInt8Array:
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
    if numbers.shape not in (header.shown, header.stored):
        raise TrainingDataError(f"{path} has shape {numbers.shape}; expected {header.shown} as of {header.path.name}")
    return numbers.astype(np.uint8)
