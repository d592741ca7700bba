"""Training data in the layout of the ROS-SAM reference, from the outlines of a clip and its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from rosgeo.clips.values import Clip
from rosgeo.tracks.sets.folders import WRITER, frame_stems, writing_set
from rosgeo.tracks.sets.masks import ClipMasks, TrackMask
from rosgeo.tracks.sets.written import Written
from rosgeo.tracks.values import ClipOutlines
from rosgeo.types import UInt8Array

__all__ = ["ClipPictures", "write_reference"]

_RECORD = "tracks.json"


class ClipPictures(Protocol):
    """The pictures of a clip, read one by one."""

    @property
    def clip(self) -> Clip:
        """What is known of it without them."""

    def read_rgb(self, index: int) -> UInt8Array:
        """A frame as RGB, uint8 (height, width, 3), by its place from 0."""


def write_reference(outlines: ClipOutlines, frames: ClipPictures, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write ``img/NAME.png``, ``boxes/NAME.npy`` and ``onehotmask/NAME.npy`` for each frame that has an object.

    Parameters
    ----------
    outlines : ClipOutlines
        Rows of status ``ok`` or ``corrected`` with an outline are written, in the order of track ids. A frame without any has no file.
    frames : ClipPictures
        The pictures of the same clip.
    folder : path
        A folder of its own for the clip, or for a split that is the clip: the reference's ROOT/SPLIT. It is made; its parent must be there.
    overwrite : bool
        Such a folder that rosgeo wrote is replaced when the new one is whole.

    Returns
    -------
    Written
        What is in the folder.

    Raises
    ------
    OutputError
        The folder exists or cannot be written.

    Notes
    -----
    Boxes are the prompts, float64 (N, 4), x_min, y_min, x_max, y_max; masks uint8 (N, height, width), 0 or 255, which may overlap. NAME is
    that of the frame; the reference skips names that hold ``car``. ``tracks.json`` tells the track and class of each mask; where it is
    there `read_masks` keeps the frames together, as those of a clip. Three empty folders are written for zero rows.
    """
    target = Path(folder)
    stems = frame_stems(outlines.clip, target)
    masks = ClipMasks(outlines)
    objects: dict[str, list[dict[str, int | str]]] = {}
    count = 0
    with writing_set(target, target / _RECORD, overwrite=overwrite, make_parent=False) as (partial, record):
        for name in ("img", "boxes", "onehotmask"):
            (partial / name).mkdir()
        for frame, stem in zip(outlines.clip.frames, stems, strict=True):
            found = list(masks.frame(frame.index))
            if not found:
                continue
            Image.fromarray(frames.read_rgb(frame.index)).save(partial / "img" / f"{stem}.png")
            np.save(partial / "boxes" / f"{stem}.npy", np.array([masks.prompt(m) for m in found]))
            _save_masks(partial / "onehotmask" / f"{stem}.npy", found, (outlines.clip.height, outlines.clip.width))
            objects[stem] = [{"track_id": masks.tracks[m.track].track_id, "category": masks.category(m.row)} for m in found]
            count += len(found)
        content = {**WRITER, "clip": outlines.clip.name, "objects": objects}
        record.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return Written(count, masks.pairs - count)


def _save_masks(path: Path, masks: list[TrackMask], shape: tuple[int, int]) -> None:
    """An array (N, height, width) as `numpy.save` writes it, one mask in memory at a time."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(masks), *shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for mask in masks:
            file.write((mask.pixels.on(shape).astype(np.uint8) * 255).tobytes())
