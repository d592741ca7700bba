"""Segmentation sets that are folders: built beside their place, put there by renames, and never in the place of what is not a set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rosgeo.clips.values import Clip
from rosgeo.errors import OutputError
from rosgeo.files.locks import written_alone
from rosgeo.files.names import real_path
from rosgeo.files.places import sync_folder
from rosgeo.vector.layers.place import KEPT, check_place, naming_errors, temporary_folder

__all__ = ["WRITER", "check_set_folder", "clip_folder", "frame_stems", "writing_set"]

WRITER = {"written_by": "rosgeo"}
"""In the record of every set; a folder without it is not replaced."""


def clip_folder(folder: str | Path, clip: Clip) -> Path:
    """The folder of a clip in a set of clips; raises OutputError where the clip's name is no name of a folder."""
    if clip.name in ("", ".", "..") or Path(clip.name).name != clip.name:
        raise OutputError(f"{folder}: the clip's name {clip.name!r} cannot be the name of a folder")
    return Path(folder) / clip.name


def frame_stems(clip: Clip, target: Path) -> list[str]:
    """Names of the frames without suffix; raises OutputError where two are equal, whose masks would be one file."""
    stems = [Path(frame.name).stem for frame in clip.frames]
    if len(set(stems)) < len(stems):
        twice = next(s for s in stems if stems.count(s) > 1)
        names = " and ".join(f.name for f in clip.frames if Path(f.name).stem == twice)
        raise OutputError(
            f"{target}: the frames {names} would have one mask file; rename one of them, or write COCO or YouTube-VIS JSON"
        )
    return stems


def check_set_folder(target: Path, record: Path, *, overwrite: bool) -> None:
    """Find out before any work whether a set can be written.

    Parameters
    ----------
    target : path
        The set's folder.
    record : path
        The JSON file that tells that a set is rosgeo's.
    overwrite : bool
        Such a set may be replaced. What else is there is left alone.

    Raises
    ------
    OutputError
        It cannot.
    """
    for path, other in ((target, target.is_dir()), (record, record.is_file())):
        if (path.exists() or path.is_symlink()) and not other:
            raise OutputError(f"{path} is in the way of a segmentation set; remove it, or name another output")
    used = record.exists() or (target.is_dir() and any(target.iterdir()))
    if used and not overwrite:
        raise OutputError(f"{target} exists; pass --overwrite to replace it, or name another output")
    if used and not _is_ours(record):
        raise OutputError(
            f"{target} holds files of others ({record.name} of rosgeo is not there); remove them, or name another output"
        )
    check_place(target)


def _is_ours(record: Path) -> bool:
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.items() >= WRITER.items()


@contextmanager
def writing_set(target: Path, record: Path, *, overwrite: bool, make_parent: bool) -> Iterator[tuple[Path, Path]]:
    """Temporary paths of a set's folder, which is there and empty, and of its record, which take their places when the block ends well.

    The record is in the folder or beside it. With `make_parent` the folder that holds `target` is made where it is missing, and goes away
    on an error.

    Raises
    ------
    OutputError
        See `check_set_folder`; or anything that fails in writing.
    """
    made = make_parent and not target.parent.exists()
    if made:
        check_place(target.parent)
        with naming_errors(target):
            target.parent.mkdir()
    try:
        check_set_folder(target, record, overwrite=overwrite)
        with written_alone([target]), temporary_folder(target) as folder, naming_errors(target):
            partial = folder / target.name
            partial.mkdir()
            partial_record = folder / record.relative_to(target.parent)
            yield partial, partial_record
            _put(partial, real_path(target), folder / KEPT, partial_record, record)
    except BaseException:
        if made and not any(target.parent.iterdir()):
            target.parent.rmdir()
        raise


def _put(partial: Path, target: Path, kept: Path, partial_record: Path, record: Path) -> None:
    """Swap a folder for another, and the record beside it; the old folder comes back where that fails."""
    beside = partial_record.exists() and partial not in partial_record.parents
    aside = kept / target.name
    kept.mkdir()
    had = target.exists()
    if had:
        partial.chmod(target.stat().st_mode & 0o7777)
        target.rename(aside)
    try:
        partial.rename(target)
        if beside:
            partial_record.replace(record)
    except BaseException:
        if target.exists():
            target.rename(partial)
        if had:
            aside.rename(target)
        raise
    sync_folder(target.parent)
    if had:
        shutil.rmtree(aside, ignore_errors=True)
