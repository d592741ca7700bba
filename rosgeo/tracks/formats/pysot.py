"""JSON of the pysot toolkit: single-object sets as OTB100.json or VOT2018.json, a video an entry.

Layout: github.com/STVIR/pysot, toolkit/datasets (video.py, otb.py, vot.py): an object by the names of videos, each with
``video_dir``, ``init_rect``, ``img_names`` and ``gt_rect``, a box a frame: left, top, width, height, or the four corners; an empty
list, NaN and four zeros are no box. Pixels from 0: its trackers count so, and are scored on these boxes as they stand. Frames from
0, by the place in ``img_names``. There is one track, 1.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rosgeo.errors import TracksError
from rosgeo.tracks.json_source import expect, has_keys, load_json, number_or_nan, one_of
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_OF_VIDEO = ("gt_rect", "img_names", "init_rect", "attr")
"""Lists that are none of states, a frame each."""


def _recognise(path: Path) -> bool:
    return path.is_file() and has_keys(path, "gt_rect", "img_names")


def _read(path: Path, options: ReadOptions) -> Tracks:
    data = expect(load_json(path), dict, str(path), "an object of videos by name")
    # Some files are of one video.
    videos = {path.stem: data} if "gt_rect" in data else data
    if not videos:
        raise TracksError(f"{path} holds no video; expected videos with img_names and gt_rect")
    name = one_of(path, list(videos), options.sequence, "videos")
    where = f"{path}, video {name}"
    video = expect(videos[name], dict, where, "an object with img_names and gt_rect")
    pictures = expect(video.get("img_names"), list, f'{where}: "img_names"', "a list of the names of its frames")
    boxes = expect(video.get("gt_rect"), list, f'{where}: "gt_rect"', "a list of boxes, one a frame")
    if len(boxes) > len(pictures):
        raise TracksError(f"{where}: {len(boxes)} boxes, but {len(pictures)} names of frames; expected no more boxes than frames")
    first = options.frame(0)
    states = {k: v for k, v in video.items() if isinstance(v, list) and len(v) == len(boxes) and k not in _OF_VIDEO}
    rows = []
    for place, box in enumerate(boxes):
        xyxy, corners = _box(f"{where}, frame {place}", box)
        columns = {k: v[place] for k, v in states.items() if not isinstance(v[place], list | dict)}
        rows.append(TrackRow(place + first, "1", xyxy, place + 1, columns, corners, f"{where}, frame {place}"))
    return tracks_of_rows(
        rows,
        source=str(path),
        format="pysot",
        first_pixel=options.pixel,
        first_frame=first,
        frame_names={i + first: Path(str(n)).name for i, n in enumerate(pictures)},
    )


def _box(where: str, box: Any) -> tuple[Any, Any]:
    """Box and corners of an entry."""
    # Rects of several regions have one list more.
    entry = box[0] if isinstance(box, list) and len(box) == 1 and isinstance(box[0], list) else box
    values = [number_or_nan(v, where) for v in expect(entry or [], list, where, "4 or 8 numbers")]
    if not values or any(map(math.isnan, values)) or not any(values):
        return NO_BOX, None
    if len(values) == 8:
        return NO_BOX, [values[i : i + 2] for i in range(0, 8, 2)]
    if len(values) != 4:
        raise TracksError(f"{where}: {len(values)} numbers; expected left, top, width, height or four corners")
    return (values[0], values[1], values[0] + values[2], values[1] + values[3]), None


FORMAT = TrackFormat(
    "pysot",
    "JSON of the pysot toolkit: gt_rect and img_names of each video",
    "pysot JSON",
    Origin(0, 0, "its trackers count pixels from 0 and are scored on these boxes as they stand"),
    _recognise,
    _read,
)
