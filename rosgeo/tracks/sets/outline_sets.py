"""Segmentation sets of outlines, which go on in another tool: CVAT, Label Studio, Ultralytics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rosgeo.clips.values import ClipFrame
from rosgeo.geometry.pixels import PixelMask
from rosgeo.tracks.cvat_xml import TrackShapes, cvat_meta, write_cvat_video
from rosgeo.tracks.sets.folders import WRITER, clip_folder, frame_stems, writing_set
from rosgeo.tracks.sets.masks import ClipMasks
from rosgeo.tracks.sets.written import Written
from rosgeo.tracks.values import ClipOutlines
from rosgeo.types import FloatArray
from rosgeo.vector.layers.write import check_output, writing

__all__ = ["write_cvat", "write_label_studio", "write_yolo"]

_DIGITS = 3
"""Of a pixel; outlines are not known better."""


def write_cvat(
    outlines: ClipOutlines, path: str | Path, *, shapes: Literal["polygon", "mask"] = "polygon", overwrite: bool = False
) -> Written:
    """Write "CVAT for video 1.1": a track of polygons, or of masks, for each object, to be corrected in CVAT.

    Parameters
    ----------
    outlines : ClipOutlines
        Rows of status ``ok`` or ``corrected`` with an outline are written.
    path : path
        The file (.xml). In CVAT: a task of the same frames whose labels are the classes, *Upload annotations*, *CVAT 1.1*.
    shapes : {"polygon", "mask"}
        Outlines whose points can be moved, parts and holes joined by seams; or the pixels, a shape a frame, those of an object in a group.
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
    Layout: docs.cvat.ai, XML annotation format. Frames and pixels count from 0. Where a track has no outline in its next frame, a shape
    with ``outside="1"`` ends it, so that CVAT interpolates nothing. A track keeps its id where all of the clip are whole numbers.
    """
    masks = ClipMasks(outlines)
    clip = masks.clip
    target = check_output(path, overwrite=overwrite)
    tracks = list(_tracks(masks) if shapes == "polygon" else _single_masks(masks))
    meta = cvat_meta(clip.name, len(clip.frames), sorted({t.label for t in tracks}), (clip.height, clip.width))
    with writing(target) as partial:
        write_cvat_video(partial, meta, [t for t in tracks if t.shapes], len(clip.frames))
    return _written(masks, sum(len(t.shapes) for t in tracks))


def write_label_studio(outlines: ClipOutlines, path: str | Path, *, overwrite: bool = False) -> Written:
    """Write JSON tasks of Label Studio, a frame each, with the outlines as predictions to be corrected.

    Parameters
    ----------
    outlines, overwrite
        As for `write_cvat`.
    path : path
        The file (.json), for a project with ``<PolygonLabels name="label" toName="image">`` on ``<Image name="image" value="$image"/>``.

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
    Layout: labelstud.io, image polygons: points in percent of the picture. ``data.image`` is CLIP/FRAME, to be led to where the frames are
    served. The track stands in each region's ``meta.text``. Label Studio's tracks in video are boxes: ``rosgeo convert tracks --to
    label-studio`` writes those.
    """
    masks = ClipMasks(outlines)
    clip = masks.clip
    target = check_output(path, overwrite=overwrite)
    by_frame: list[list[dict[str, Any]]] = [[] for _ in clip.frames]
    count = 0
    for place, track in enumerate(masks.tracks):
        for index, row, ring in masks.outlines(place):
            count += 1
            points = (ring * [100 / clip.width, 100 / clip.height]).round(6).tolist()
            value = {"points": points, "closed": True, "polygonlabels": [masks.category(row)]}
            score = masks.score(row)
            by_frame[index].append(
                {
                    "id": f"{track.track_id}-{clip.frames[index].number}",
                    "type": "polygonlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": clip.width,
                    "original_height": clip.height,
                    "image_rotation": 0,
                    "value": value,
                    "meta": {"text": [f"track {track.track_id}"]},
                    **({} if score is None else {"score": score}),
                }
            )
    tasks = [_task(clip.name, frame, by_frame[frame.index]) for frame in clip.frames]
    with writing(target) as partial:
        partial.write_text(json.dumps(tasks, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    return _written(masks, count)


def write_yolo(outlines: ClipOutlines, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write ``FOLDER/CLIP/labels/FRAME.txt`` of segmentation, as Ultralytics trains on, and ``data.yaml``.

    Parameters
    ----------
    outlines
        As for `write_cvat`. Each frame has a file, with or without objects.
    folder : path
        Holds a folder a clip, and is made where it is missing.
    overwrite : bool
        A set of this clip that rosgeo wrote is replaced when the new one is whole.

    Returns
    -------
    Written
        What is in the set.

    Raises
    ------
    OutputError
        The clip's folder exists or cannot be written.

    Notes
    -----
    Layout: docs.ultralytics.com/datasets/segment: ``class x1 y1 x2 y2 ...``, parts of the picture; classes count from 0 by name, parts and
    holes are joined by seams, as its own converter of COCO joins parts. Copy or link the frames into ``images`` beside ``labels``.
    The layout has no tracks: ``tracks.json`` tells the track of each line.
    """
    clip = outlines.clip
    target = clip_folder(folder, clip)
    stems = frame_stems(clip, target)
    masks = ClipMasks(outlines)
    classes = {name: i for i, name in enumerate(sorted({str(c) for c in outlines.rows["category"]}))}
    lines: list[list[str]] = [[] for _ in clip.frames]
    tracks: list[list[int | str]] = [[] for _ in clip.frames]
    for place, track in enumerate(masks.tracks):
        for index, row, ring in masks.outlines(place):
            points = " ".join(f"{v:.6f}" for v in (ring / [clip.width, clip.height]).clip(0, 1).ravel())
            lines[index].append(f"{classes[masks.category(row)]} {points}\n")
            tracks[index].append(track.track_id)
    with writing_set(target, target / "tracks.json", overwrite=overwrite, make_parent=True) as (partial, record):
        (partial / "labels").mkdir()
        for stem, text in zip(stems, lines, strict=True):
            (partial / "labels" / f"{stem}.txt").write_text("".join(text), encoding="ascii")
        names = "".join(f"  {i}: {json.dumps(name)}\n" for name, i in classes.items())
        (partial / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames:\n{names}", encoding="utf-8")
        content = {**WRITER, "tracks": dict(zip(stems, tracks, strict=True))}
        record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return _written(masks, sum(map(len, lines)))


def _written(masks: ClipMasks, count: int) -> Written:
    return Written(count, masks.pairs - count)


def _track_numbers(masks: ClipMasks) -> list[int]:
    ids = [track.track_id for track in masks.tracks]
    return [int(i) for i in ids] if all(isinstance(i, int) for i in ids) else list(range(1, len(ids) + 1))


def _tracks(masks: ClipMasks) -> Iterator[TrackShapes]:
    for place, number in enumerate(_track_numbers(masks)):
        shapes = {index: ("polygon", {"points": _points(ring)}) for index, _, ring in masks.outlines(place)}
        yield TrackShapes(number, masks.tracks[place].category, shapes=shapes)


def _points(ring: FloatArray) -> str:
    return ";".join(f"{x:.{_DIGITS}f},{y:.{_DIGITS}f}" for x, y in ring)


def _single_masks(masks: ClipMasks) -> Iterator[TrackShapes]:
    """CVAT knows no tracks of masks and takes the first shape of each: so a track a mask, those of an object in a group."""
    number = 0
    for place, track in enumerate(masks.tracks):
        for mask in masks.track(place):
            number += 1
            left, top, right, bottom = mask.pixels.xyxy
            where = {"left": left, "top": top, "width": right - left, "height": bottom - top}
            shape = ("mask", {"rle": ", ".join(map(str, _row_runs(mask.pixels))), **where})
            yield TrackShapes(number, track.category, group=place + 1, shapes={mask.index: shape})


def _row_runs(pixels: PixelMask) -> list[int]:
    """Run lengths of 0 and 1 by turns, the first of 0, row by row of the object's own box, as CVAT has them."""
    flat = np.concatenate([[False], pixels.mask.ravel(), [not pixels.mask.ravel()[-1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs: list[int] = np.diff(np.concatenate([[0], ends])).tolist()
    return runs


def _task(clip: str, frame: ClipFrame, result: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [r["score"] for r in result if "score" in r]
    own = {"score": round(sum(scores) / len(scores), 4)} if scores else {}
    prediction = {"model_version": "rosgeo", "result": result, **own}
    return {"data": {"image": f"{clip}/{frame.name}", "frame": frame.number}, "predictions": [prediction]}
