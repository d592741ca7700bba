"""YouTube-VIS: an annotation is a track, with a box or null for each frame of its video.

Layout: https://youtube-vos.org/dataset/vis/: ``videos`` with ``id``, ``width``, ``height``, ``length`` and ``file_names``;
``annotations`` with ``id``, ``video_id``, ``category_id``, ``bboxes`` [[left, top, width, height] or null], ``segmentations`` and
``areas``; ``categories``. Where an annotation has a ``track_id``, as those that rosgeo writes, it is the
track's, else ``id`` is. Pixels and frames count from 0. A null is a row without a box: it says that the object is not seen there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

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
from rosgeo.tracks.targets import (
    category_numbers,
    dropped_columns,
    each_its_own,
    frame_file_name,
    frames_from,
    numbered_tracks,
    refuse_doubles,
)
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_KNOWN = {"id", "track_id", "video_id", "category_id", "bboxes", "segmentations", "areas", "height", "width", "length", "scores"}


def _recognise(path: Path) -> bool:
    return path.is_file() and has_keys(path, "videos", "annotations", "bboxes", "video_id")


def _read(path: Path, options: ReadOptions) -> Tracks:
    data = load_annotations(path, "videos", "annotations")
    video = choose_video(path, data["videos"], options.sequence)
    names = [str(n) for n in (video or {}).get("file_names") or []]
    first = options.frame(0)
    categories = names_of_categories(path, data)
    rows: list[tuple[int, int, str, list[float], dict[str, Any]]] = []
    for number, entry in enumerate(data["annotations"], 1):
        if video is None or entry.get("video_id") != video.get("id"):
            continue
        boxes = entry.get("bboxes")
        if not isinstance(boxes, list):
            raise TracksError(
                f'{path}, annotation {number}: "bboxes" is {json.dumps(boxes)[:40]}; expected a box or null for each frame'
            )
        if names and len(boxes) != len(names):
            raise TracksError(f"{path}, annotation {number}: {len(boxes)} boxes, but its video has {len(names)} frames")
        category = checked_id(path, f"annotation {number}", "category_id", entry.get("category_id"))
        track = _track(path, number, entry)
        shared = {"category": "" if category is None else categories.get(category, str(category)), **scalars(entry, _KNOWN)}
        scores = entry.get("scores")
        told = scores if isinstance(scores, list) and len(scores) == len(boxes) else None
        for place, box in enumerate(boxes):
            where = f"annotation {number}, frame {place}"
            own = shared if told is None else {**shared, "score": told[place]}
            rows.append((number, place + first, track, json_box(path, where, box), own))
    keys = list(dict.fromkeys(k for r in rows for k in r[4]))
    return make_tracks(
        source=str(path),
        format="ytvis",
        frame=np.array([r[1] for r in rows], dtype=np.int64),
        track_id=track_ids([r[2] for r in rows]),
        xyxy=xywh_to_xyxy(np.array([r[3] for r in rows], dtype=np.float64).reshape(-1, 4), options.pixel),
        lines=np.array([r[0] for r in rows], dtype=np.int64),
        first_frame=first,
        columns={k: [r[4].get(k) for r in rows] for k in keys},
        unread=lists_left_out(data["annotations"], {"bboxes", "areas", "scores"}),
        frame_names={i + first: Path(name).name for i, name in enumerate(names)},
        error=lambda row, what: TracksError(f"{path}, annotation {rows[row][0]}: {what}"),
    )


def _track(path: Path, number: int, entry: dict[str, Any]) -> str:
    """The track of an annotation: rosgeo numbers its annotations from 1, and tells the track beside it."""
    for key in ("track_id", "id"):
        if (track := checked_id(path, f"annotation {number}", key, entry.get(key))) is not None:
            return str(track)
    return str(number)


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    import pandas as pd

    tracks, alone = each_its_own(tracks)
    refuse_doubles(tracks, "ytvis")
    frames = frames_from(tracks, 0)
    ids, lost = numbered_tracks(tracks)
    classes, categories = category_numbers(tracks)
    named = max((f - tracks.first_frame + 1 for f in tracks.frame_names), default=0)
    length = max(int(frames.max()) + 1 if len(frames) else 0, named)
    size = {} if options.size is None else {"height": options.size[0], "width": options.size[1]}
    scores = pd.to_numeric(tracks.table["score"], errors="coerce").to_numpy(float) if "score" in tracks.table else None
    by_track: dict[int, dict[str, Any]] = {}
    changing = set()
    for i, (x, y, right, bottom) in enumerate(tracks.xyxy.tolist()):
        fresh = {"id": int(ids[i]), "video_id": 1, "category_id": classes[i], "iscrowd": 0, "length": length, **size}
        entry = by_track.setdefault(int(ids[i]), {**fresh, "bboxes": [None] * length, "areas": [None] * length})
        if entry["category_id"] != classes[i]:
            changing.add(int(ids[i]))
        if scores is not None:
            entry.setdefault("scores", [None] * length)[frames[i]] = None if np.isnan(scores[i]) else float(scores[i])
        if np.isfinite(x):
            entry["bboxes"][frames[i]] = [x, y, right - x, bottom - y]
            entry["areas"][frames[i]] = (right - x) * (bottom - y)
    video = {
        "id": 1,
        "name": options.name or Path(tracks.source).stem,
        "length": length,
        "file_names": [frame_file_name(tracks, i + tracks.first_frame) for i in range(length)],
        **size,
    }
    data = {"videos": [video], "annotations": list(by_track.values()), "categories": categories}
    path.write_text(json.dumps(data), encoding="utf-8")
    if changing:
        lost.append(f"changes of category within {len(changing)} tracks (the first is written)")
    return [*lost, *alone, *dropped_columns(tracks, {"category", "score"})]


FORMAT = TrackFormat(
    "ytvis",
    "YouTube-VIS JSON: a box or null for each frame of a track",
    "YouTube-VIS",
    Origin(0, 0, "youtube-vos.org; its kit is that of COCO"),
    _recognise,
    _read,
    _write,
    (".json",),
)
