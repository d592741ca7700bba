"""CVAT's own XML: ``annotations.xml`` of "CVAT for video 1.1" and "CVAT for images 1.1".

Layout: docs.cvat.ai, XML annotation format. Video: ``<track id label>`` with ``<box frame outside occluded keyframe xtl ytl xbr
ybr>``, or ``polygon`` (``points``), ``mask`` (``left``, ``top``, ``width``, ``height``, ``rle``) and ``ellipse``; all frames of a
track are written, and ``outside="1"`` ends it: such a shape is a row without a box. In files that list key frames alone the boxes
between them are made as CVAT makes them on import, on the straight way, with 0 in the column ``keyframe``; other shapes stay as they
are. Images: ``<image id name width height>`` with the same shapes and their ``label``; they belong to no track (id -1) unless an
attribute ``track_id`` says so. In an export of a project each task is a clip, chosen by its id. Frames and pixels count from 0;
``rotation`` is in degrees clockwise about the centre, and such boxes keep their corners. Of a polygon the box is the
envelope, and the points are kept as text (WKT) in the column ``poly``. Points, polylines, cuboids and skeletons have no area: rows
without a box. Attributes are columns.

As a target (video): a track for each object with its boxes; where its next frame has none, a box with ``outside="1"`` ends it, as
CVAT writes it itself, so that nothing is interpolated into the gap.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import polygon_wkt, turned_boxes
from rosgeo.tracks.cvat_xml import TrackShapes, cvat_meta, write_cvat_video
from rosgeo.tracks.json_source import one_of
from rosgeo.tracks.key_frames import between
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.targets import dropped_columns, each_its_own, frames_from, has_box, numbered_tracks, refuse_doubles
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.xml_source import XmlSource, first_tags, read_xml

__all__ = ["CVAT_IMAGES", "CVAT_VIDEO"]

_EXPECTED = "annotations of CVAT (<annotations> with <track> or <image>)"
_SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points", "cuboid", "skeleton")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_NO_AREA = ("polyline", "points", "cuboid", "skeleton")
_PLACE = {
    *("frame", "xtl", "ytl", "xbr", "ybr", "points", "rotation", "cx", "cy", "rx", "ry", "rle", "left", "top", "width", "height"),
    *("label", "z_order"),
}
"""Attributes of a shape that say where it is."""


def _locate(path: Path) -> Path | None:
    file = path / "annotations.xml" if path.is_dir() else path
    return file if file.is_file() else None


def _recognise(name: str, path: Path) -> bool:
    file = _locate(path)
    root, tags = ("", set()) if file is None else first_tags(file, frozenset({"track", "image"}))
    images = "image" in tags and "track" not in tags
    return root == "annotations" and images == (name == "cvat-images")


def _read(name: str, path: Path, options: ReadOptions) -> Tracks:
    file = _locate(path)
    if file is None:
        raise TracksError(f"{path} has no annotations.xml; expected {_EXPECTED}")
    source = read_xml(file, _EXPECTED)
    if source.root.tag != "annotations":
        raise TracksError(f"{file}: the root is <{source.root.tag}>; expected {_EXPECTED}")
    pixel = options.pixel
    rows = list((_of_images if name == "cvat-images" else _of_tracks)(source, options.sequence, pixel))
    bare = sorted({f"<{e.tag}>" for e in source.root.iter() if e.tag in _NO_AREA} | {"<tag>" for _ in source.root.iter("tag")})
    images = _of_task(source, "image", options.sequence)
    names = {source.whole(i, "id"): Path(i.get("name", "")).name for i in images if i.get("name")}
    return tracks_of_rows(
        rows,
        source=str(file),
        format=name,
        first_pixel=pixel,
        first_frame=options.frame(0),
        frame_names=names,
        unread=[f"{tag} shapes" for tag in bare],
    )


def _of_task(source: XmlSource, tag: str, sequence: str | None) -> list[ET.Element]:
    """The tracks or images of the task that is meant: of a project, in which each task is a clip and counts from 0."""
    found = source.root.findall(tag)
    tasks = list(dict.fromkeys(t.get("task_id", "") for t in found))
    if len(tasks) > 1 or (sequence is not None and tasks):
        chosen = one_of(source.path, tasks, sequence, "tasks")
        found = [t for t in found if t.get("task_id", "") == chosen]
    return found


def _of_tracks(source: XmlSource, sequence: str | None, pixel: float) -> Iterator[TrackRow]:
    step = _frame_step(source)
    # CVAT itself writes every frame: what it leaves out are frames that were deleted.
    sparse = all(s.get("keyframe", "1") == "1" for s in source.root.iter("box"))
    for track in _of_task(source, "track", sequence):
        number = track.get("id")
        if number is None:
            raise source.error(track, "<track> has no id; expected one")
        own = {k: track.get(k) for k in ("source", "group_id") if track.get(k)}
        shapes = [(source.whole(s, "frame"), s) for s in track if s.tag in _SHAPES]
        following = sorted(shapes, key=lambda pair: pair[0])[1:]
        for (frame, shape), after in zip_longest(sorted(shapes, key=lambda pair: pair[0]), following):
            columns = {"category": track.get("label", ""), **own}
            yield _row(source, shape, frame, number, columns, pixel)
            if sparse and after is not None and after[0] - frame > step:
                yield from _rows_between(source, (frame, shape), after, step, number, columns, pixel)


def _frame_step(source: XmlSource) -> int:
    """Every which frame of the video the task has."""
    filters = [e.text or "" for e in source.root.iter("frame_filter")]
    steps = {int(found[1]) for text in filters if (found := re.search(r"step\s*=\s*(\d+)", text)) and int(found[1])}
    return max(steps, default=1)


def _rows_between(
    source: XmlSource,
    start: tuple[int, ET.Element],
    end: tuple[int, ET.Element],
    step: int,
    track: str,
    columns: dict[str, Any],
    pixel: float,
) -> Iterator[TrackRow]:
    """Boxes of the frames between two key frames that a file does not list, as CVAT makes them when it reads the file."""
    (first, shape), (last, after) = start, end
    if shape.get("outside") == "1" or shape.tag != "box" or after.tag != "box":
        return
    names = (*_CORNERS, "rotation")
    there, then = ([source.number(s, k) if s.get(k) else 0.0 for k in names] for s in (shape, after))
    # The shorter way round.
    then[-1] = there[-1] + (then[-1] - there[-1] + 180) % 360 - 180
    for frame, box in between(there, then, first, last):
        if (frame - first) % step == 0:
            middle = ET.Element("box", {**shape.attrib, **dict(zip(names, map(repr, box), strict=True)), "keyframe": "0"})
            middle.extend(shape.findall("attribute"))
            source.lines[middle] = source.lines[shape]
            yield _row(source, middle, frame, track, columns, pixel)


def _of_images(source: XmlSource, sequence: str | None, pixel: float) -> Iterator[TrackRow]:
    for image in _of_task(source, "image", sequence):
        frame = source.whole(image, "id")
        for shape in image:
            if shape.tag in _SHAPES:
                track = next((a.text for a in shape.findall("attribute") if a.get("name") == "track_id" and a.text), "-1")
                yield _row(source, shape, frame, track.strip(), {"category": shape.get("label", "")}, pixel)


def _row(source: XmlSource, shape: ET.Element, frame: int, track: str, columns: dict[str, Any], pixel: float) -> TrackRow:
    xyxy, corners, more = _place(source, shape, pixel)
    columns = {**columns, **more, **{k: _typed(v) for k, v in shape.attrib.items() if k not in _PLACE and k not in columns}}
    columns |= {
        a.get("name", ""): _typed(a.text) for a in shape.findall("attribute") if a.get("name") not in (None, "", "track_id")
    }
    if shape.get("outside") == "1":
        xyxy, corners = NO_BOX, None
    return TrackRow(frame, track, xyxy, source.lines[shape], columns, corners, source.where(shape))


def _typed(text: str | None) -> Any:
    plain = (text or "").strip()
    return int(plain) if plain.removeprefix("-").isdecimal() and plain.isascii() else plain


def _place(source: XmlSource, shape: ET.Element, pixel: float) -> tuple[Any, Any, dict[str, Any]]:
    """Box, corners (None where it is upright) and further columns of a shape."""

    def numbers(*names: str) -> list[float]:
        return [source.number(shape, name) for name in names]

    if shape.tag == "box":
        x0, y0, x1, y1 = numbers("xtl", "ytl", "xbr", "ybr")
        turn = source.number(shape, "rotation") if shape.get("rotation") else 0.0
        if turn % 360 == 0 or x1 < x0 or y1 < y0:
            return (x0, y0, x1, y1), None, {}
        centred = np.array([[(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]])
        return NO_BOX, turned_boxes(centred, np.array([math.radians(turn)]))[0], {"rotation": turn}
    if shape.tag == "polygon":
        points = _points(source, shape)
        envelope = (*points.min(axis=0), *points.max(axis=0)) if len(points) >= 3 else NO_BOX
        return envelope, None, {"poly": polygon_wkt(points - pixel)}
    if shape.tag == "mask":
        x0, y0, width, height = numbers("left", "top", "width", "height")
        return (x0, y0, x0 + width, y0 + height), None, {}
    if shape.tag == "ellipse":
        cx, cy, rx, ry = numbers("cx", "cy", "rx", "ry")
        turn = math.radians(source.number(shape, "rotation")) if shape.get("rotation") else 0.0
        half_x, half_y = math.hypot(rx * math.cos(turn), ry * math.sin(turn)), math.hypot(rx * math.sin(turn), ry * math.cos(turn))
        return (cx - half_x, cy - half_y, cx + half_x, cy + half_y), None, {}
    return NO_BOX, None, {}


def _points(source: XmlSource, shape: ET.Element) -> np.ndarray:
    text = shape.get("points", "")
    try:
        pairs = [[float(v) for v in pair.split(",")] for pair in text.split(";") if pair.strip()]
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)
    except ValueError as error:
        raise source.error(shape, f"<{shape.tag}> has {text[:40]!r} for points; expected x,y;x,y;...") from error


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    tracks, alone = each_its_own(tracks)
    refuse_doubles(tracks, "cvat-video", has_box(tracks))
    frames = frames_from(tracks, 0)
    ids, lost = numbered_tracks(tracks)
    there = has_box(tracks)
    names = tracks.table["category"].fillna("").astype(str).tolist() if "category" in tracks.table else [""] * len(tracks)
    length = max([int(frames.max()) + 1 if len(frames) else 0, *(f - tracks.first_frame + 1 for f in tracks.frame_names)])
    shapes: dict[int, TrackShapes] = {}
    changing: set[int] = set()
    occluded = _flags(tracks)
    for i in np.argsort(frames, kind="stable"):
        own = shapes.setdefault(int(ids[i]), TrackShapes(int(ids[i]), names[i] or "object"))
        if own.label != (names[i] or "object"):
            changing.add(own.track)
        if there[i]:
            x0, y0, x1, y1 = tracks.xyxy[i].tolist()
            own.shapes[int(frames[i])] = ("box", {"occluded": occluded[i], "xtl": x0, "ytl": y0, "xbr": x1, "ybr": y1})
    meta = cvat_meta(options.name or Path(tracks.source).stem, length, sorted({s.label for s in shapes.values()}), options.size)
    write_cvat_video(path, meta, list(shapes.values()), length)
    if not there.all():
        lost.append(f"{int((~there).sum())} rows without a box")
    if changing:
        lost.append(f"changes of category within {len(changing)} tracks (the first is written)")
    return [
        *lost,
        *alone,
        *dropped_columns(tracks, {"category", "occluded"} if "occluded" in tracks.table else {"category"}, names=False),
    ]


def _flags(tracks: Tracks) -> list[int]:
    if "occluded" not in tracks.table:
        return [0] * len(tracks)
    return [int(str(v).strip().lower() in ("1", "1.0", "true", "yes")) for v in tracks.table["occluded"]]


_SOURCE = "docs.cvat.ai, XML annotation format; files of it begin at frame 0"
CVAT_VIDEO = TrackFormat(
    "cvat-video",
    "CVAT for video 1.1: annotations.xml with tracks",
    "CVAT for video",
    Origin(0, 0, _SOURCE),
    partial(_recognise, "cvat-video"),
    partial(_read, "cvat-video"),
    _write,
    (".xml",),
)
CVAT_IMAGES = TrackFormat(
    "cvat-images",
    "CVAT for images 1.1: annotations.xml with images",
    "CVAT for images",
    Origin(0, 0, _SOURCE),
    partial(_recognise, "cvat-images"),
    partial(_read, "cvat-images"),
)
