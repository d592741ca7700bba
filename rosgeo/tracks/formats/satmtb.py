"""SAT-MTB, objects in satellite videos: the MOT file and the XML of each frame of a sequence.

Layout (Li et al., A Multitask Benchmark Dataset for Satellite Video, IEEE TGRS 2023): the data set's own description was
not at hand; this is what two independent readers of it do, github.com/cosmosindex/esa_dlstem (datasets/satmtb.py, which
documents the folders) and an evaluation script of MP2Net. ``CATEGORY/NN/`` holds ``img/000001.png``, ``mot/NN`` or
``mot/NN.txt`` (``frame,id,x,y,w,h,conf,class,visibility,...`` with class 0 car, 1 airplane, 2 ship, 3 train), and
``det/HBB/000001.xml`` and ``det/OBB/000001.xml``: Pascal VOC's ``object`` with ``name`` (of 14 fine classes such as WA or
NV), ``objectID``, which is the same through the frames, and ``bndbox`` (``xmin ymin xmax ymax``) or ``robndbox``
(``x0 y0 ... x3 y3``). Of a sequence's folder the MOT file is read where there is one, else OBB, else HBB; name one of them
to read that.

Pascal VOC files of other sets are read too, a folder of them; without ``objectID`` their rows belong to no track (id -1). Not confirmed:
whether the first pixel is 0 or 1 (taken as 0; ``first_pixel`` says otherwise). The masks in ``seg/`` are not read.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import corners_to_xyxy, make_tracks, xywh_to_xyxy
from rosgeo.tracks.formats.mot import is_mot_text, read_mot_rows
from rosgeo.tracks.options import ReadOptions, TrackFormat
from rosgeo.tracks.text import frame_number, read_number_rows
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray

__all__ = ["FORMAT"]

_CLASSES = {0: "car", 1: "airplane", 2: "ship", 3: "train"}
_FIRST = 1


def _locate(path: Path) -> Path | None:
    """The MOT file or the folder of XML files that a path means."""
    if path.is_file():
        return path
    motion = sorted(p for p in (path / "mot").glob("*") if p.is_file() and not p.name.startswith("."))
    if motion:
        return motion[0]
    return next((f for f in (path / "det" / "OBB", path / "det" / "HBB", path) if next(f.glob("*.xml"), None)), None)


def _recognise(path: Path) -> bool:
    found = _locate(path)
    if found is None:
        return False
    if found.is_dir():
        return _is_voc(min(found.glob("*.xml")))
    if found.suffix.lower() == ".xml":
        return False
    above = found.resolve().parts[-4:-1]
    return len(above) == 3 and above[0] in _CLASSES.values() and above[2] == "mot" and is_mot_text(found)


def _is_voc(path: Path) -> bool:
    try:
        return ET.parse(path).getroot().tag == "annotation"
    except (ET.ParseError, OSError):
        return False


def _read(path: Path, options: ReadOptions) -> Tracks:
    found = _locate(path)
    if found is None:
        raise TracksError(
            f"{path} has no mot/, no det/OBB or det/HBB, and no .xml files; expected the folder of a SAT-MTB sequence"
        )
    return _read_xml(found, options) if found.is_dir() else _read_mot(found, options)


def _read_mot(path: Path, options: ReadOptions) -> Tracks:
    rows = read_number_rows(path, 6, "frame,id,x,y,w,h,conf,class,...")
    frame, track = read_mot_rows(rows)
    names = ("score", "class", "visibility")
    columns: dict[str, Any] = {(names[i] if i < 3 else f"column_{i + 7}"): values for i, values in enumerate(rows.values[:, 6:].T)}
    if "class" in columns:
        columns["category"] = [_CLASSES.get(c, "" if np.isnan(c) else f"{c:g}") for c in columns["class"]]
    return make_tracks(
        source=str(path),
        format="satmtb",
        frame=frame,
        track_id=track,
        xyxy=xywh_to_xyxy(rows.values[:, 2:6], options.first_pixel or 0),
        lines=rows.lines,
        first_frame=_FIRST if options.first_frame is None else options.first_frame,
        columns=columns,
        error=rows.error,
    )


def _read_xml(folder: Path, options: ReadOptions) -> Tracks:
    files = sorted(folder.glob("*.xml"), key=frame_number)
    frame: list[int] = []
    ids: list[int] = []
    corners: list[FloatArray] = []
    columns: dict[str, list[Any]] = {"category": [], "file": []}
    lines: list[int] = []
    names: dict[int, str] = {}
    oriented = False
    for file in files:
        number = frame_number(file)
        root = _root(file)
        picture = (root.findtext("filename") or "").strip()
        if picture:
            names[number] = re.split(r"[\\/]", picture)[-1]
        for line, item in _objects(file, root):
            box, turned = _corners(file, line, item)
            oriented |= turned
            frame.append(number)
            ids.append(_object_id(file, line, item))
            corners.append(box)
            lines.append(line)
            columns["category"].append((item.findtext("name") or "").strip())
            columns["file"].append(file.name)
    px = np.array(corners, dtype=np.float64).reshape(len(frame), 4, 2) - (options.first_pixel or 0)
    return make_tracks(
        source=str(folder),
        format="satmtb",
        frame=np.array(frame, dtype=np.int64),
        track_id=np.array(ids, dtype=np.int64),
        xyxy=corners_to_xyxy(px),
        lines=np.array(lines, dtype=np.int64),
        first_frame=_FIRST if options.first_frame is None else options.first_frame,
        columns=columns,
        corners=px if oriented else None,
        frame_names=names,
    )


def _root(file: Path) -> ET.Element:
    try:
        root = ET.parse(file).getroot()
    except ET.ParseError as error:
        raise TracksError(
            f"{file}, line {error.position[0]}: not well-formed XML ({error}); expected Pascal VOC annotations"
        ) from error
    except OSError as error:
        raise TracksError(f"{file} cannot be read: {error.strerror or error}") from error
    if root.tag != "annotation":
        raise TracksError(f"{file}: the root is <{root.tag}>; expected <annotation>, as in Pascal VOC")
    return root


def _objects(file: Path, root: ET.Element) -> Iterator[tuple[int, ET.Element]]:
    """Each object, and the line that it begins in; ElementTree keeps none, so they are counted in the text."""
    text = file.read_text(encoding="utf-8", errors="replace")
    starts = [m.start() for m in re.finditer(r"<object[\s>]", text)]
    items = root.findall("object")
    for i, item in enumerate(items):
        yield (text.count("\n", 0, starts[i]) + 1 if len(starts) == len(items) else i + 1), item


def _object_id(file: Path, line: int, item: ET.Element) -> int:
    text = (item.findtext("objectID") or "-1").strip()
    try:
        return int(text)
    except ValueError as error:
        raise TracksError(f"{file}, line {line}: {text!r} is no objectID; expected a whole number") from error


def _corners(file: Path, line: int, item: ET.Element) -> tuple[FloatArray, bool]:
    """Corners (4, 2) of an object, and whether they are those of an oriented box; NaN where it has no box."""
    turned, upright = item.find("robndbox"), item.find("bndbox")
    if turned is not None:
        return np.array([[_number(file, line, turned, f"{axis}{i}") for axis in "xy"] for i in range(4)]), True
    if upright is None:
        return np.full((4, 2), np.nan), False
    x0, y0, x1, y1 = (_number(file, line, upright, name) for name in ("xmin", "ymin", "xmax", "ymax"))
    if x1 < x0 or y1 < y0:
        raise TracksError(f"{file}, line {line}: the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) ends before it begins")
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), False


def _number(file: Path, line: int, box: ET.Element, name: str) -> float:
    text = box.findtext(name)
    try:
        value = float(text or "")
    except ValueError as error:
        raise TracksError(f"{file}, line {line}: <{box.tag}> has {text!r} for {name}; expected a number") from error
    return value


FORMAT = TrackFormat(
    "satmtb", "SAT-MTB: MOT file, det/HBB, det/OBB, or a sequence's folder; Pascal VOC XML a frame", _recognise, _read
)
