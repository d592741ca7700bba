"""COCO for videos, as TAO has it: ``videos``, ``images`` with their place in the video, ``annotations`` with ``track_id``.

Layout: github.com/TAO-Dataset/tao (the docstring of its API): images have ``id``, ``video_id``, ``file_name`` and
``frame_index``; annotations ``image_id``, ``track_id``, ``category_id`` and ``bbox`` [left, top, width, height], pixels from 0
as in COCO (https://cocodataset.org/#format-data). Other writers call the place ``frame_id`` (MMTracking from 0, CenterTrack
from 1) and the track ``instance_id`` (MMTracking); both are read, also among the ``attributes`` of an annotation, where CVAT
has them. Where neither is there, images follow each other by file name, frame_2 before frame_10.

Lists within an annotation, such as its segmentation, are not kept. BURST's own JSON has masks and no boxes, and is not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.clips.values import natural_key
from rosgeo.errors import TracksError
from rosgeo.tracks.build import make_tracks, track_ids, xywh_to_xyxy
from rosgeo.tracks.json_source import (
    checked_id,
    choose_video,
    has_keys,
    json_box,
    lists_left_out,
    load_annotations,
    names_of_categories,
    scalars,
)
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import category_numbers, dropped_columns, frame_file_name, frames_from, has_box, numbered_tracks
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_PLACES = ("frame_index", "frame_id")
_TRACKS = ("track_id", "instance_id")
_KNOWN = {"id", "image_id", "video_id", "bbox", "category_id", "segmentation", *_TRACKS}


def _recognise(path: Path) -> bool:
    return path.is_file() and has_keys(path, "images", "annotations", "image_id") and any(has_keys(path, t) for t in _TRACKS)


def _read(path: Path, options: ReadOptions) -> Tracks:
    data = load_annotations(path, "images", "annotations")
    video = choose_video(path, data.get("videos") or [], options.sequence)
    every = _image_ids(path, data["images"])
    images = [i for i in data["images"] if video is None or i.get("video_id") == video.get("id")]
    places = _places(path, images)
    rows: list[tuple[int, int, str, list[float]]] = []
    categories = names_of_categories(path, data)
    attributes: list[dict[str, Any]] = []
    for number, entry in enumerate(data["annotations"], 1):
        image = checked_id(path, f"annotation {number}", "image_id", entry.get("image_id"))
        if image not in every:
            raise TracksError(f"{path}, annotation {number}: image_id {json.dumps(image)} is the id of no image")
        if image not in places:
            continue
        rows.append((number, places[image], _track(path, number, entry), json_box(path, f"annotation {number}", entry.get("bbox"))))
        category = checked_id(path, f"annotation {number}", "category_id", entry.get("category_id"))
        named = {} if category is None else {"category": categories.get(category, str(category))}
        own = entry.get("attributes")
        told = scalars(own, {*_KNOWN, "category", "score"}) if isinstance(own, dict) else {}
        attributes.append({**told, **named, **scalars(entry, _KNOWN)})
    numbers = [r[0] for r in rows]
    first = min(min(places.values(), default=0), 1) if _counted_from_one(images) else 0
    return make_tracks(
        source=str(path),
        format="coco-video",
        frame=np.array([r[1] for r in rows], dtype=np.int64),
        track_id=track_ids([r[2] for r in rows]),
        xyxy=xywh_to_xyxy(np.array([r[3] for r in rows], dtype=np.float64).reshape(-1, 4), options.pixel),
        lines=np.array(numbers, dtype=np.int64),
        first_frame=options.frame(first),
        columns=_columns(attributes),
        unread=lists_left_out(data["annotations"], {"bbox", "attributes"}),
        frame_names={places[i["id"]]: Path(str(i["file_name"])).name for i in images if i.get("file_name")},
        error=lambda row, what: TracksError(f"{path}, annotation {numbers[row]}: {what}"),
    )


def _image_ids(path: Path, images: list[dict[str, Any]]) -> set[Any]:
    """The ids of all images; raises TracksError where one has none."""
    for number, image in enumerate(images, 1):
        if checked_id(path, f"image {number}", "id", image.get("id")) is None:
            name = f" ({image['file_name']})" if image.get("file_name") else ""
            raise TracksError(f'{path}, image {number}{name} has no "id"; expected one, by which annotations name it')
    return {i["id"] for i in images}


def _counted_from_one(images: list[dict[str, Any]]) -> bool:
    """Where the place is called frame_id, the first image may be 1."""
    return not any("frame_index" in i for i in images) and any("frame_id" in i for i in images)


def _places(path: Path, images: list[dict[str, Any]]) -> dict[Any, int]:
    """The frame of each image by its id."""
    key = next((k for k in _PLACES if images and all(k in i for i in images)), None)
    if key is None:
        ordered = sorted(images, key=lambda i: natural_key(str(i.get("file_name", ""))))
        return {i.get("id"): place for place, i in enumerate(ordered)}
    for image in images:
        if not isinstance(image[key], int) or isinstance(image[key], bool):
            raise TracksError(f'{path}, image {image.get("id")}: "{key}" is {json.dumps(image[key])}; expected a whole number')
    return {i.get("id"): int(i[key]) for i in images}


def _track(path: Path, number: int, entry: dict[str, Any]) -> str:
    own = entry.get("attributes")
    attributes: dict[str, Any] = own if isinstance(own, dict) else {}
    track = next((place[k] for place in (entry, attributes) for k in _TRACKS if place.get(k) is not None), None)
    if track is None and attributes:
        # CVAT has shapes of no track beside those of tracks.
        return "-1"
    if track is None or isinstance(track, list | dict | float):
        raise TracksError(f"{path}, annotation {number}: track_id is {json.dumps(track)[:60]}; expected the id of a track")
    return str(track)


def _columns(attributes: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Every key that a row has, in order of appearance; None where another row has none."""
    keys = list(dict.fromkeys(k for row in attributes for k in row))
    columns = {k: [row.get(k) for row in attributes] for k in keys}
    if "category" in columns:
        columns["category"] = [c or "" for c in columns["category"]]
    if "score" in columns and all(s is None or isinstance(s, int | float) for s in columns["score"]):
        columns["score"] = [float("nan") if s is None else float(s) for s in columns["score"]]
    return columns


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    there = has_box(tracks)
    frames = frames_from(tracks, 0)
    ids, lost = numbered_tracks(tracks)
    classes, categories = category_numbers(tracks)
    size = {} if options.size is None else {"height": options.size[0], "width": options.size[1]}
    sources = {int(f): int(f) + tracks.first_frame for f in frames} | {f - tracks.first_frame: f for f in tracks.frame_names}
    images = [
        {"id": f, "video_id": 1, "frame_index": f, "file_name": frame_file_name(tracks, sources[f]), **size}
        for f in sorted(sources)
    ]
    owners: dict[int, int] = {}
    annotations: list[dict[str, Any]] = []
    extra = [
        c for c in tracks.table.columns if c not in {"frame", "track_id", "x_min", "y_min", "x_max", "y_max", "category", *_KNOWN}
    ]
    values = {str(c): tracks.table[c].tolist() for c in extra}
    boxes = tracks.xyxy.tolist()
    for i in np.flatnonzero(there):
        x, y, right, bottom = boxes[i]
        owners.setdefault(int(ids[i]), classes[i])
        annotations.append({
            **{c: value for c, column in values.items() if (value := _plain(column[i])) is not None},
            "id": len(annotations) + 1, "image_id": int(frames[i]), "video_id": 1, "track_id": int(ids[i]), "category_id": classes[i],
            "bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y), "iscrowd": 0,
        })  # fmt: skip
    names = dict(zip(ids.tolist(), tracks.table["track_id"].astype(str), strict=True)) if lost else {}
    data = {
        "videos": [{"id": 1, "name": options.name or Path(tracks.source).stem, **size}],
        "images": images,
        "tracks": [
            {"id": t, "video_id": 1, "category_id": c, **({"name": names[t]} if names else {})} for t, c in sorted(owners.items())
        ],
        "annotations": annotations,
        "categories": categories,
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    if not there.all():
        lost.append(f"{int((~there).sum())} rows without a box")
    return [*lost, *dropped_columns(tracks, {"category", *extra})]


def _plain(value: Any) -> Any:
    """A value as JSON holds it; None for one that is missing."""
    import pandas as pd

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)


FORMAT = TrackFormat(
    "coco-video",
    "COCO for videos (TAO, MMTracking): images, annotations with track_id",
    "COCO for videos",
    Origin(0, None, "cocodataset.org: 0-indexed; frames as the file has them"),
    _recognise,
    _read,
    _write,
    (".json",),
)
