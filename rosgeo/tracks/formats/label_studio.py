"""Label Studio, video object tracking: the JSON that it exports and imports.

Layout: labelstud.io, template "Video Object Tracking" and the format of its export; heartexlabs/label-studio-tools,
postprocessing/video.py: a list of tasks with ``annotations``, whose results of the type ``videorectangle`` have ``value.sequence``
of key frames (``frame`` from 1, ``enabled``, ``x``, ``y``, ``width``, ``height`` in percent of the picture, ``rotation`` in degrees
clockwise about the top-left corner), ``labels`` and ``framesCount``. From a key frame that is enabled the box goes on to the next
one, in between on the straight way, and after the last one it stays to ``framesCount``; the key frame where it is switched off
still has it. Such rows have False in the column ``keyframe``. The short export (JSON_MIN) is read too; its regions have no ids and
are numbered.

The size of the picture is not in the file: ``rosgeo video`` takes that of the frames, else ``--size`` says it. As a target every
row is a key frame, and gaps are switched off.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.json_source import expect, has_keys, load_json, one_of
from rosgeo.tracks.key_frames import between
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.picture_size import picture_size
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.targets import dropped_columns, each_its_own, frames_from, has_box, refuse_doubles
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_LABEL = "Label Studio video"
_ANSWERS = ("annotations", "completions", "predictions")
_BOX = ("x", "y", "width", "height", "rotation")


def _recognise(path: Path) -> bool:
    return path.is_file() and any(
        has_keys(path, key, "sequence", other, listed=True)
        for key, other in (("videorectangle", "annotations"), ("videorectangle", "enabled"), ("framesCount", "enabled"))
    )


def _read(path: Path, options: ReadOptions) -> Tracks:
    data = load_json(path)
    tasks = [expect(t, dict, f"{path}, task {n}", "a task") for n, t in enumerate(data if isinstance(data, list) else [data], 1)]
    names = _names(tasks)
    if not tasks:
        raise TracksError(f"{path} holds no task; expected an export of Label Studio")
    task = tasks[names.index(one_of(path, names, options.sequence, "tasks"))]
    results, unread = _results(path, task)
    height, width = picture_size(path, options.size, _LABEL)
    rows = [row for n, result in enumerate(results, 1) for row in _region(f"{path}, region {n}", result, n, (width, height))]
    return tracks_of_rows(
        rows, source=str(path), format="label-studio", first_pixel=options.pixel, first_frame=options.frame(1), unread=unread
    )


def _names(tasks: list[dict[str, Any]]) -> list[str]:
    """A name for each task: its video's; its id where two have the same video."""
    names = [_name(t, n) for n, t in enumerate(tasks, 1)]
    return [
        name if names.count(name) == 1 else str(t.get("id", n)) for n, (name, t) in enumerate(zip(names, tasks, strict=True), 1)
    ]


def _name(task: dict[str, Any], number: int) -> str:
    data = task.get("data")
    told = data if isinstance(data, dict) else {k: v for k, v in task.items() if k in ("video", "video_url")}
    video = next((v for v in told.values() if isinstance(v, str)), "")
    return Path(video).name or str(task.get("id", number))


def _results(path: Path, task: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The tracked boxes of the first annotation of a task, else of its first prediction; and what else it has, in words."""
    if not any(key in task for key in _ANSWERS):
        return _of_short_export(task), []
    told = [a for key in _ANSWERS for a in task.get(key) or [] if isinstance(a, dict)]
    told = [a for a in told if not a.get("was_cancelled")]
    listed = expect(told[0].get("result", []), list, f'{path}: "result"', "a list of regions") if told else []
    found = [r for r in listed if isinstance(r, dict) and r.get("type") == "videorectangle"]
    unread = [f"{len(told) - 1} further annotations of the task"] if len(told) > 1 else []
    others = len(listed) - len(found)
    return found, [*unread, *([f"{others} results of other types"] if others else [])]


def _of_short_export(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The regions of JSON_MIN, where a task holds lists of values under the names of its controls."""
    values = [v for entry in task.values() if isinstance(entry, list) for v in entry]
    return [{"value": v} for v in values if isinstance(v, dict) and "sequence" in v]


def _region(where: str, result: dict[str, Any], number: int, size: tuple[int, int]) -> Iterator[TrackRow]:
    value = expect(result.get("value"), dict, f'{where}: "value"', "an object with a sequence")
    sequence = expect(value.get("sequence"), list, f'{where}: "sequence"', "a list of key frames")
    labels = value.get("labels") or [""]
    track = str(result.get("id") or number)
    for frame, box, key in _frames(where, sequence, value.get("framesCount")):
        xyxy, corners = _in_pixels(box, size)
        columns = {"category": str(labels[0]), "keyframe": key}
        yield TrackRow(frame, track, xyxy, number, columns, corners, f"{where}, frame {frame}")


def _frames(where: str, sequence: list[Any], count: Any) -> Iterator[tuple[int, list[float], bool]]:
    keys = []
    for n, entry in enumerate(sequence, 1):
        expect(entry, dict, f"{where}, key frame {n}", "an object with frame, x, y, width, height")
        values = {"rotation": 0, **entry}
        box = [float(expect(values.get(k), (int, float), f"{where}, key frame {n}: {k}", "a number")) for k in _BOX]
        keys.append(
            (
                int(expect(entry.get("frame"), int, f"{where}, key frame {n}: frame", "a whole number")),
                box,
                entry.get("enabled", True),
            )
        )
    keys.sort(key=lambda k: k[0])
    for (frame, box, enabled), following in zip_longest(keys, keys[1:]):
        yield frame, box, True
        if not enabled:
            continue
        if following is not None:
            yield from ((f, b, False) for f, b in between(box, following[1], frame, following[0]))
        elif isinstance(count, int | float):
            yield from ((f, box, False) for f in range(frame + 1, int(count) + 1))


def _in_pixels(box: list[float], size: tuple[int, int]) -> tuple[Any, Any]:
    """Box, and corners where it is turned, from percent."""
    x, y, w, h = (v / 100 * size[i % 2] for i, v in enumerate(box[:4]))
    if box[4] % 360 == 0 or w < 0 or h < 0:
        return (x, y, x + w, y + h), None
    turn = math.radians(box[4])
    along, across = np.array([math.cos(turn), math.sin(turn)]) * w, np.array([-math.sin(turn), math.cos(turn)]) * h
    corner = np.array([x, y])
    return NO_BOX, [corner, corner + along, corner + along + across, corner + across]


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    tracks, alone = each_its_own(tracks)
    there = has_box(tracks)
    refuse_doubles(tracks, "label-studio", there)
    height, width = picture_size(Path(options.target), options.size, _LABEL)
    frames = frames_from(tracks, 1)
    length = max([int(frames.max()) if len(frames) else 0, *(f - tracks.first_frame + 1 for f in tracks.frame_names)])
    names = tracks.table["category"].fillna("").astype(str).tolist() if "category" in tracks.table else [""] * len(tracks)
    regions: dict[str, dict[str, Any]] = {}
    changing: set[str] = set()
    ids = tracks.table["track_id"].astype(str).tolist()
    for i in np.argsort(frames, kind="stable"):
        label = names[i] or "object"
        region = regions.setdefault(ids[i], {"labels": [label], "framesCount": length, "sequence": []})
        if region["labels"] != [label]:
            changing.add(ids[i])
        if there[i]:
            region["sequence"].append(_key_frame(tracks.xyxy[i].tolist(), int(frames[i]), (width, height)))
    for region in regions.values():
        for entry, following in zip_longest(region["sequence"], region["sequence"][1:]):
            entry["enabled"] = following is not None and following["frame"] == entry["frame"] + 1
    result = [
        {"id": track, "type": "videorectangle", "from_name": "box", "to_name": "video", "origin": "manual", "value": region}
        for track, region in regions.items()
        if region["sequence"]
    ]
    name = options.name or Path(tracks.source).stem
    task = {"id": 1, "data": {"video": name}, "annotations": [{"id": 1, "result": result}]}
    path.write_text(json.dumps([task]), encoding="utf-8")
    lost = [] if there.all() else [f"{int((~there).sum())} rows without a box"]
    if changing:
        lost.append(f"changes of category within {len(changing)} tracks (the first is written)")
    return [*lost, *alone, *dropped_columns(tracks, {"category", "keyframe"}, names=False)]


def _key_frame(box: list[float], frame: int, size: tuple[int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = (100 * v / size[i % 2] for i, v in enumerate(box))
    return {"frame": frame, "enabled": True, "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0}


FORMAT = TrackFormat(
    "label-studio",
    "Label Studio JSON of video object tracking (needs the size of the frames)",
    _LABEL,
    Origin(0, 1, "label-studio-tools, postprocessing/video.py: percent of the picture, frames from 1"),
    _recognise,
    _read,
    _write,
    (".json",),
)
