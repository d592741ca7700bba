"""Whether a segmentation set of a clip can be written, before any work."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rosgeo.clips.values import Clip
from rosgeo.errors import FormatLossWarning
from rosgeo.tracks.sets.folders import check_set_folder, clip_folder, frame_stems
from rosgeo.tracks.sets.masks import Track
from rosgeo.tracks.sets.png_sets import davis_numbers, mots_classes_unseen, mots_numbers
from rosgeo.vector.layers.write import check_output, check_place

__all__ = ["SetFormat", "check_set"]

SetFormat = Literal["coco", "ytvis", "cvat", "label_studio", "davis", "mots", "yolo", "reference"]


def check_set(
    kind: SetFormat,
    path: str | Path,
    clip: Clip,
    tracks: Iterable[Track] = (),
    *,
    overwrite: bool = False,
    inputs: tuple[str, ...] = (),
) -> None:
    """Find out before any work whether a set can be written.

    Parameters
    ----------
    kind : {"coco", "ytvis", "cvat", "label_studio", "davis", "mots", "yolo", "reference"}
        Its format.
    path : path
        The file, or the folder that the writer takes.
    clip : Clip
        The clip.
    tracks : iterable of Track
        The tracks that may have outlines, once each.
    overwrite, inputs
        As for `check_output`.

    Raises
    ------
    OutputError
        It exists, cannot be written, or cannot hold so many tracks.
    """
    if kind in ("coco", "ytvis", "cvat", "label_studio"):
        check_output(path, overwrite=overwrite, inputs=inputs)
        return
    target = Path(path) if kind == "reference" else clip_folder(path, clip)
    frame_stems(clip, target)
    tracks = tuple(tracks)
    if kind == "mots" and (unseen := mots_classes_unseen(t.category for t in tracks)):
        warnings.warn(f"{target}: {unseen}", FormatLossWarning, stacklevel=3)
    numbers = {"davis": davis_numbers, "mots": mots_numbers}.get(kind)
    if numbers is not None:
        numbers(tracks, target)
    record = target.parent / f"{target.name}.json" if kind == "davis" else target / "tracks.json"
    if kind != "reference" and not target.parent.exists():
        # The writer makes it.
        check_place(target.parent)
        return
    check_set_folder(target, record, overwrite=overwrite)
