"""Scalabel and BDD100K: a list of frames, each with its labels.

Layout: doc.scalabel.ai/format.html; github.com/JonathonLuiten/TrackEval, docs/BDD100k-format.txt: a list of frames, or an object
with ``frames``; a frame has ``name``, ``videoName``, ``frameIndex`` (from 0) and ``labels``, a label ``id``, ``category``,
``attributes`` and ``box2d`` with ``x1``, ``y1``, ``x2``, ``y2``, pixels from 0. Where no frame has a place of its own, frames
follow each other by name. A label without ``box2d`` is a row without a box; its polygons and masks are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosgeo.clips.values import natural_key
from rosgeo.errors import TracksError
from rosgeo.tracks.json_source import expect, has_keys, load_json, number_or_nan, one_of
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.values import Tracks

__all__ = ["FORMAT"]

_VIDEO = ("videoName", "video_name")
_PLACE = ("frameIndex", "frame_index")
_KNOWN = {"id", "category", "attributes", "box2d"}


def _recognise(path: Path) -> bool:
    placed = any(has_keys(path, key, listed=True) for key in (*_VIDEO, *_PLACE))
    return path.is_file() and placed and has_keys(path, "labels", "name", listed=True)


def _read(path: Path, options: ReadOptions) -> Tracks:
    data = load_json(path)
    listed = data.get("frames") if isinstance(data, dict) else data
    every = expect(listed, list, f'{path}: "frames"', "a list of frames, each with name and labels")
    frames = [expect(f, dict, f"{path}, frame {n}", "an object with name and labels") for n, f in enumerate(every, 1)]
    videos = list(dict.fromkeys(_of(f, _VIDEO, "") for f in frames))
    video = one_of(path, [str(v) for v in videos], options.sequence, "videos") if videos else ""
    chosen = [(n, f) for n, f in enumerate(frames, 1) if str(_of(f, _VIDEO, "")) == video]
    places = _places(path, chosen)
    rows: list[TrackRow] = []
    unread: set[str] = set()
    for number, frame in chosen:
        for label in expect(frame.get("labels") or [], list, f'{path}, frame {number}: "labels"', "a list of labels"):
            where = f"{path}, frame {number}, label {len(rows) + 1}"
            rows.append(_row(where, places[number], len(rows) + 1, expect(label, dict, where, "an object")))
            unread |= {k for k, v in label.items() if k not in _KNOWN and isinstance(v, dict | list) and v}
    return tracks_of_rows(
        rows,
        source=str(path),
        format="scalabel",
        first_pixel=options.pixel,
        first_frame=options.frame(0),
        frame_names={places[n]: Path(str(f["name"])).name for n, f in chosen if f.get("name")},
        unread=sorted(unread),
    )


def _of(frame: dict[str, Any], keys: tuple[str, ...], default: Any) -> Any:
    return next((frame[k] for k in keys if frame.get(k) is not None), default)


def _places(path: Path, frames: list[tuple[int, dict[str, Any]]]) -> dict[int, int]:
    """The frame number of each, by its number in the file."""
    told = {n: _of(f, _PLACE, None) for n, f in frames}
    if any(place is None for place in told.values()):
        ordered = sorted(frames, key=lambda item: natural_key(str(item[1].get("name", ""))))
        return {n: place for place, (n, _) in enumerate(ordered)}
    return {n: int(expect(p, int, f'{path}, frame {n}: "frameIndex"', "a whole number")) for n, p in told.items()}


def _row(where: str, frame: int, number: int, label: dict[str, Any]) -> TrackRow:
    track = label.get("id")
    if isinstance(track, list | dict):
        raise TracksError(f'{where}: "id" is no id; expected a number or a text')
    attributes = label.get("attributes")
    plain = {k: v for k, v in (attributes if isinstance(attributes, dict) else {}).items() if not isinstance(v, list | dict)}
    others = {k: v for k, v in label.items() if k not in _KNOWN and not isinstance(v, list | dict) and v is not None}
    columns = {**others, **plain, "category": label.get("category")}
    if "category" in plain:
        columns["source_category"] = plain["category"]
    box = label.get("box2d")
    xyxy: Any = NO_BOX
    if box is not None:
        expect(box, dict, f'{where}: "box2d"', "an object with x1, y1, x2, y2")
        xyxy = [number_or_nan(box.get(k), f"{where}: {k} of the box") for k in ("x1", "y1", "x2", "y2")]
    return TrackRow(frame, "-1" if track is None else str(track), xyxy, number, columns, where=where)


FORMAT = TrackFormat(
    "scalabel",
    "Scalabel and BDD100K MOT JSON: frames with labels",
    "Scalabel and BDD100K",
    Origin(0, 0, "frames: TrackEval, docs/BDD100k-format.txt; pixels: its boxes begin at 0"),
    _recognise,
    _read,
)
