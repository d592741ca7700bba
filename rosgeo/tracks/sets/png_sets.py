"""Segmentation sets of indexed pictures, in which a pixel is of one object: DAVIS and MOTS."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rosgeo.clips.values import Clip
from rosgeo.errors import OutputError
from rosgeo.geometry.pixels import trimmed
from rosgeo.geometry.rle import encode_rle
from rosgeo.tracks.sets.folders import WRITER, clip_folder, frame_stems, writing_set
from rosgeo.tracks.sets.masks import ClipMasks, Track, paint
from rosgeo.tracks.sets.written import Written
from rosgeo.tracks.values import ClipOutlines
from rosgeo.types import UInt8Array

__all__ = ["davis_numbers", "mots_classes_unseen", "mots_numbers", "write_davis", "write_mots"]

DAVIS_MOST = 254
"""0 is the background and 255 void."""

MOTS_MOST = 999
_MOTS_BASE = 1000
_MOTS_IGNORE = 10
_MOTS_MOST_CLASSES = 64
_MOTS_CLASSES = {"car": 1, "pedestrian": 2}

_RECORD = "tracks.json"


def write_davis(outlines: ClipOutlines, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write ``FOLDER/CLIP/FRAME.png``, 8-bit pictures with the palette of DAVIS whose index is the number of the object.

    Parameters
    ----------
    outlines : ClipOutlines
        Rows of status ``ok`` or ``corrected`` with an outline are written. Each frame of the clip has a picture, with or without objects.
    folder : path
        As ``Annotations/480p`` of DAVIS: holds a folder a clip, and is made where it is missing.
    overwrite : bool
        A set of this clip that rosgeo wrote is replaced when the new one is whole. Other clips are left as they are.

    Returns
    -------
    Written
        What is in the set.

    Raises
    ------
    OutputError
        More than 254 tracks have an outline; the clip's folder exists; or it cannot be written.

    Notes
    -----
    Where objects overlap the smaller one is in front (`paint`). A track's id is its number where all ids of the clip are whole numbers
    from 1 to 254; else tracks are numbered by id. ``FOLDER/CLIP.json`` tells the track and class of each number, with the fields of
    ``meta.json`` of YouTube-VOS.
    """
    target = clip_folder(folder, outlines.clip)
    stems = frame_stems(outlines.clip, target)
    masks = ClipMasks(outlines)
    numbers = davis_numbers(masks.tracks, target)
    shape = outlines.clip.height, outlines.clip.width
    palette = _davis_palette().ravel().tolist()
    frames: list[list[str]] = [[] for _ in masks.tracks]
    count = hidden = 0
    with writing_set(target, target.parent / f"{target.name}.json", overwrite=overwrite, make_parent=True) as (partial, record):
        for frame, stem in zip(outlines.clip.frames, stems, strict=True):
            found = list(masks.frame(frame.index))
            painted = paint(found, [numbers[m.track] for m in found], shape).astype(np.uint8)
            seen = set(np.unique(painted).tolist())
            for mask in found:
                if numbers[mask.track] in seen:
                    frames[mask.track].append(stem)
            count, hidden = count + len(found), hidden + len(found) - len(seen - {0})
            picture = Image.fromarray(painted)
            picture.putpalette(palette)
            picture.save(partial / f"{stem}.png", optimize=False)
        objects = {str(numbers[i]): {**_named(t), "frames": frames[i]} for i, t in enumerate(masks.tracks)}
        _write_record(record, {"videos": {outlines.clip.name: {"objects": objects}}})
    return Written(count - hidden, masks.pairs - count, hidden)


def write_mots(outlines: ClipOutlines, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write a sequence in the format of MOTS, as text and as 16-bit pictures.

    Parameters
    ----------
    outlines, overwrite
        As for `write_davis`.
    folder : path
        Holds a folder a clip, and is made where it is missing.

    Returns
    -------
    Written
        What is in the set.

    Raises
    ------
    OutputError
        More than 999 tracks of one class, or 64 classes, have an outline; the clip's folder exists; or it cannot be written.

    Notes
    -----
    ``FOLDER/CLIP/gt/gt.txt`` holds lines ``time_frame id class_id img_height img_width rle``, frames counted from 1 by their place in the
    clip, as in MOTSChallenge; ``FOLDER/CLIP/instances/FRAME.png`` the id of each pixel, ``labels.txt`` beside them the classes, for
    Datumaro (``mots_png``); ``seqinfo.ini`` what tools of MOTChallenge read: its rate is rounded to a whole number, and its ``imDir`` is
    where they look for the frames, which are not copied: link them there as ``img1/000001.png`` and so on.

    An id is 1000 x class + instance. ``car`` is class 1 and ``pedestrian`` 2, as the format has it; others are numbered from 3 by name,
    without 10, which is the format's region to ignore. The evaluation of MOTS counts cars and pedestrians alone: of objects without a
    class, or of other classes, it sees none (`mots_classes_unseen`). An instance is the track's id where all ids of its class are whole
    numbers from 1 to 999; else tracks are numbered by id. ``tracks.json`` tells track and class of each id, and the rate as it is. The
    format lets no two objects share a pixel: where they overlap the smaller one is in front (`paint`). Source:
    vision.rwth-aachen.de/page/mots.
    """
    target = clip_folder(folder, outlines.clip)
    stems = frame_stems(outlines.clip, target)
    masks = ClipMasks(outlines)
    numbers = mots_numbers(masks.tracks, target)
    shape = outlines.clip.height, outlines.clip.width
    count = hidden = 0
    with writing_set(target, target / _RECORD, overwrite=overwrite, make_parent=True) as (partial, record):
        (partial / "gt").mkdir()
        (partial / "instances").mkdir()
        with (partial / "gt" / "gt.txt").open("w", encoding="ascii", newline="\n") as file:
            for frame, stem in zip(outlines.clip.frames, stems, strict=True):
                found = list(masks.frame(frame.index))
                painted = paint(found, [numbers[m.track] for m in found], shape)
                count += len(found)
                for mask in found:
                    number, pixels = numbers[mask.track], mask.pixels
                    seen = trimmed(painted[pixels.window] == number, pixels.row_off, pixels.col_off)
                    if seen is None:
                        hidden += 1
                        continue
                    rle = encode_rle(seen, shape)["counts"]
                    file.write(f"{frame.index + 1} {number} {number // _MOTS_BASE} {shape[0]} {shape[1]} {rle}\n")
                Image.fromarray(painted).save(partial / "instances" / f"{stem}.png")
        (partial / "seqinfo.ini").write_text(_sequence(outlines.clip), encoding="utf-8")
        classes = {number // _MOTS_BASE: masks.tracks[i].category for i, number in enumerate(numbers)}
        (partial / "instances" / "labels.txt").write_text(_mots_labels(classes), encoding="utf-8")
        _write_record(
            record, {"fps": outlines.clip.fps, "objects": {str(numbers[i]): _named(t) for i, t in enumerate(masks.tracks)}}
        )
    return Written(count - hidden, masks.pairs - count, hidden)


def davis_numbers(tracks: Sequence[Track], target: Path) -> list[int]:
    """The index of each track, 1 to 254; raises OutputError for more."""
    if len(tracks) > DAVIS_MOST:
        raise OutputError(
            f"{target}: {len(tracks)} tracks, but an indexed PNG of DAVIS tells {DAVIS_MOST} apart; "
            "write COCO or YouTube-VIS JSON, or MOTS (999 of a class)"
        )
    return _numbers([t.track_id for t in tracks], DAVIS_MOST)


def mots_numbers(tracks: Sequence[Track], target: Path) -> list[int]:
    """The id of each track, 1000 x class + instance; raises OutputError for more tracks or classes than 16 bits hold."""
    counts = Counter(t.category for t in tracks)
    name, most = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if most > MOTS_MOST:
        raise OutputError(
            f"{target}: {most} tracks of class {name}, but MOTS tells {MOTS_MOST} of a class apart; write COCO or YouTube-VIS JSON"
        )
    others = sorted(counts.keys() - _MOTS_CLASSES.keys())
    free = [i for i in range(max(_MOTS_CLASSES.values()) + 1, _MOTS_MOST_CLASSES + 1) if i != _MOTS_IGNORE]
    if len(others) > len(free):
        raise OutputError(
            f"{target}: {len(counts)} classes, but MOTS with pictures of 16 bits has room for {len(free) + len(_MOTS_CLASSES)}; "
            "write COCO or YouTube-VIS JSON"
        )
    classes = _MOTS_CLASSES | dict(zip(others, free, strict=False))
    numbers = [0] * len(tracks)
    for category in counts:
        places = [i for i, t in enumerate(tracks) if t.category == category]
        for i, instance in zip(places, _numbers([tracks[i].track_id for i in places], MOTS_MOST), strict=True):
            numbers[i] = _MOTS_BASE * classes[category] + instance
    return numbers


def _numbers(ids: list[int | str], most: int) -> list[int]:
    """The ids where they fit, else numbers from 1."""
    if all(isinstance(i, int) and 1 <= i <= most for i in ids):
        return [int(i) for i in ids]
    return list(range(1, len(ids) + 1))


def _named(track: Track) -> dict[str, Any]:
    return {"track_id": track.track_id, "category": track.category}


def _write_record(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps({**WRITER, **content}, indent=1) + "\n", encoding="utf-8")


def mots_classes_unseen(categories: Iterable[str]) -> str:
    """A sentence where the official evaluation of MOTS sees none of the objects; nothing where it sees some."""
    names = set(categories)
    if not names or names & _MOTS_CLASSES.keys():
        return ""
    listed = ", ".join(sorted(names)[:5])
    return (
        f"no object is of a class that evaluations of MOTS know ({' or '.join(_MOTS_CLASSES)}): {listed} get class 3 and up, which "
        "TrackEval leaves out; give the tracks one of those classes, or write COCO or YouTube-VIS JSON"
    )


def _mots_labels(classes: dict[int, str]) -> str:
    """Names of classes from 1 on, one a line, for Datumaro's reader of the pictures."""
    known = {number: name for name, number in _MOTS_CLASSES.items()} | {_MOTS_IGNORE: "ignored"} | classes
    last = max(max(_MOTS_CLASSES.values()), *classes, 0)
    return "".join(f"{known.get(i, f'class {i}')}\n" for i in range(1, last + 1))


def _sequence(clip: Clip) -> str:
    # Readers take whole numbers and no further keys: the rate as it is stands in the record.
    rate = 1 if clip.fps is None else max(1, round(clip.fps))
    suffix = Path(clip.frames[0].name).suffix if clip.frames else ".png"
    return (
        f"[Sequence]\nname={clip.name}\nimDir=img1\nframeRate={rate}\nseqLength={len(clip.frames)}\n"
        f"imWidth={clip.width}\nimHeight={clip.height}\nimExt={suffix}\n"
    )


def _davis_palette() -> UInt8Array:
    """Colours (256, 3) of indices: the bits of an index, three by three from the lowest on, are the highest, the next bit of R, G and B.

    The colour map of Pascal VOC, of which DAVIS has the first 22, with 191 for 192, and greys from there on.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for place in range(3):
        for channel in range(3):
            palette[:, channel] |= ((index >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    palette[palette == 192] = 191
    return palette
