"""Segmentation sets that are one JSON file: COCO with videos and tracks, and YouTube-VIS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from rosgeo.clips.values import Clip, ClipFrame
from rosgeo.geometry.rle import encode_rle
from rosgeo.tracks.sets.masks import ClipMasks, TrackMask
from rosgeo.tracks.sets.written import Written
from rosgeo.tracks.values import ClipOutlines
from rosgeo.vector.layers.write import check_output, writing

__all__ = ["write_coco", "write_ytvis"]

_VIDEO = 1


def write_coco(outlines: ClipOutlines, path: str | Path, *, overwrite: bool = False) -> Written:
    """Write COCO JSON with the fields that sets of video clips add to it.

    Parameters
    ----------
    outlines : ClipOutlines
        Rows of status ``ok`` or ``corrected`` with an outline are written, in the order of frames and tracks.
    path : path
        The file. ``rosgeo train`` reads it where the clip's folder lies beside it or in ``images/`` beside it.
    overwrite : bool
        An existing file is replaced when the new one is whole.

    Returns
    -------
    Written
        What is in the file.

    Raises
    ------
    OutputError
        The file exists or cannot be written.

    Notes
    -----
    Format: cocodataset.org/#format-data; ``videos``, and of images ``video_id`` and ``frame_id`` (from 0), of annotations ``instance_id``
    as in CocoVID of MMTracking; ``tracks`` and ``track_id`` as in TAO. Ids count from 1; but a track keeps its own where all of the clip
    are whole numbers, and else has it as its ``name`` in ``tracks``. ``segmentation`` is compressed RLE, ``area`` its pixels and ``bbox``
    its tight box (x, y, width, height). A file without annotations is written for zero rows.
    """
    masks = ClipMasks(outlines)
    clip = masks.clip
    categories = _categories(outlines)
    numbers = _track_numbers(masks)
    images = [
        {
            "id": frame.index + 1,
            "file_name": _file_name(clip, frame),
            "height": clip.height,
            "width": clip.width,
            "video_id": _VIDEO,
            "frame_id": frame.index,
            "frame_number": frame.number,
            **({} if frame.time is None else {"date_captured": frame.time.isoformat()}),
        }
        for frame in clip.frames
    ]
    tracks = [
        {"id": number, "video_id": _VIDEO, "category_id": categories[track.category], "name": str(track.track_id)}
        for number, track in zip(numbers, masks.tracks, strict=True)
    ]
    count = 0

    def annotations() -> Iterator[dict[str, Any]]:
        nonlocal count
        for frame in clip.frames:
            for mask in masks.frame(frame.index):
                count += 1
                yield {
                    "id": count,
                    "image_id": frame.index + 1,
                    "video_id": _VIDEO,
                    "category_id": categories[masks.category(mask.row)],
                    "track_id": numbers[mask.track],
                    "instance_id": numbers[mask.track],
                    **_object(clip, mask),
                    "iscrowd": 0,
                    **({} if masks.score(mask.row) is None else {"score": masks.score(mask.row)}),
                }

    parts = {"videos": [_video(clip)], "images": images, "categories": _category_list(categories), "tracks": tracks}
    _write(path, overwrite, clip, {**parts, "annotations": annotations()})
    return Written(count, masks.pairs - count)


def write_ytvis(outlines: ClipOutlines, path: str | Path, *, overwrite: bool = False) -> Written:
    """Write JSON in the format of YouTube-VIS: an annotation is a track, with a mask or null for each frame of the clip.

    Parameters
    ----------
    outlines, path, overwrite
        As for `write_coco`.

    Returns
    -------
    Written
        What is in the file. Tracks without a mask are not.

    Raises
    ------
    OutputError
        The file exists or cannot be written.

    Notes
    -----
    Format: youtube-vos.org/dataset/vis. Added to it: ``track_id`` and ``name`` as in `write_coco`, and ``scores``. The class of a track is
    that of most of its outlines. Run lengths are lists of counts, which TrackEval and the official kit read both; the compressed ones of
    `write_coco` only the latter does.
    """
    masks = ClipMasks(outlines)
    clip = masks.clip
    categories = _categories(outlines)
    numbers = _track_numbers(masks)
    count = written = 0

    def annotations() -> Iterator[dict[str, Any]]:
        nonlocal count, written
        for place, track in enumerate(masks.tracks):
            objects: list[dict[str, Any] | None] = [None] * len(clip.frames)
            scores: list[float | None] = [None] * len(clip.frames)
            for mask in masks.track(place):
                objects[mask.index], scores[mask.index] = _object(clip, mask, compressed=False), masks.score(mask.row)
            found = sum(o is not None for o in objects)
            if not found:
                continue
            count, written = count + found, written + 1
            yield {
                "id": written,
                "video_id": _VIDEO,
                "category_id": categories[track.category],
                "track_id": numbers[place],
                "name": str(track.track_id),
                "height": clip.height,
                "width": clip.width,
                "length": len(clip.frames),
                "iscrowd": 0,
                "segmentations": [o and o["segmentation"] for o in objects],
                "bboxes": [o and o["bbox"] for o in objects],
                "areas": [o and o["area"] for o in objects],
                "scores": scores,
            }

    video = {**_video(clip), "length": len(clip.frames), "file_names": [_file_name(clip, frame) for frame in clip.frames]}
    _write(path, overwrite, clip, {"videos": [video], "categories": _category_list(categories), "annotations": annotations()})
    return Written(count, masks.pairs - count)


def _file_name(clip: Clip, frame: ClipFrame) -> str:
    return f"{clip.name}/{frame.name}"


def _video(clip: Clip) -> dict[str, Any]:
    fps = {} if clip.fps is None else {"fps": clip.fps}
    return {"id": _VIDEO, "name": clip.name, "height": clip.height, "width": clip.width, **fps}


def _categories(outlines: ClipOutlines) -> dict[str, int]:
    """Ids of the classes of all rows, from 1, by name."""
    return {name: i for i, name in enumerate(sorted({str(c) for c in outlines.rows["category"]}), start=1)}


def _category_list(categories: dict[str, int]) -> list[dict[str, Any]]:
    return [{"id": i, "name": name, "supercategory": "object"} for name, i in categories.items()]


def _track_numbers(masks: ClipMasks) -> list[int]:
    ids = [track.track_id for track in masks.tracks]
    if all(isinstance(i, int) for i in ids):
        return [int(i) for i in ids]
    return list(range(1, len(ids) + 1))


def _object(clip: Clip, mask: TrackMask, *, compressed: bool = True) -> dict[str, Any]:
    left, top, right, bottom = mask.pixels.xyxy
    segmentation = encode_rle(mask.pixels, (clip.height, clip.width), compressed=compressed)
    return {"segmentation": segmentation, "area": mask.pixels.area, "bbox": [left, top, right - left, bottom - top]}


def _write(path: str | Path, overwrite: bool, clip: Clip, lists: dict[str, Iterable[dict[str, Any]]]) -> None:
    target = check_output(path, overwrite=overwrite)
    info = {"description": f"Outlines of the tracks of {clip.name}", "contributor": "rosgeo"}
    with writing(target) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(f'{{"info": {_text(info)}')
        for key, items in lists.items():
            _write_list(file, key, items)
        file.write("}\n")


def _write_list(file: TextIO, key: str, items: Iterable[dict[str, Any]]) -> None:
    """One entry a line, each made when it is written."""
    file.write(f',\n"{key}": [')
    for i, item in enumerate(items):
        file.write(",\n" if i else "\n")
        file.write(_text(item))
    file.write("]")


def _text(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
