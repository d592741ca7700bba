"""Folders of XML files a frame, as Pascal VOC has them a picture: upright, oriented by corners, or turned by an angle."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TracksError
from rosgeo.tracks.build import refuse_degrees, turned_boxes
from rosgeo.tracks.options import ReadOptions
from rosgeo.tracks.rows import NO_BOX, TrackRow, tracks_of_rows
from rosgeo.tracks.text import frame_number, numbered_files
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.xml_source import XmlSource, first_tags, read_xml

__all__ = ["read_voc", "voc_files", "voc_tags"]

_EXPECTED = "Pascal VOC annotations"
_TRACKS = ("objectID", "trackid")
_BOXES = ("bndbox", "robndbox")
_LOOKED_AT = 20
_MOST_FILES = 2000


def voc_files(path: Path) -> list[Path]:
    """The XML files that a path means: itself, or those of a folder."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".xml" else []
    return sorted(path.glob("*.xml"))


def voc_tags(path: Path) -> set[str]:
    """All tags of the first files of a folder that have objects; none where fewer than half of its first files are Pascal VOC's."""
    found: list[tuple[str, set[str]]] = []
    # What the objects are like is not told by frames without any.
    for file in voc_files(path)[:_MOST_FILES]:
        found.append(first_tags(file))
        if sum("object" in tags for _, tags in found) == _LOOKED_AT:
            break
    ours = [tags for root, tags in found if root == "annotation"]
    return set().union(*ours) if found and 2 * len(ours) >= len(found) else set()


def read_voc(path: Path, format: str, options: ReadOptions, *, first: int | None, last_included: bool = False) -> Tracks:
    """Read the XML files of a clip, a frame each.

    Parameters
    ----------
    path : Path
        A folder, or one file.
    format : str
    options : ReadOptions
    first : int or None
        The number of the clip's first frame; None: that of the first file, since frames without objects have files too.
    last_included : bool
        ``xmax`` and ``ymax`` are the last pixels of the object and not where it ends.

    Raises
    ------
    TracksError
        No XML file; one that is not well-formed, or with a field that is no number.
    """
    files, others = numbered_files(voc_files(path))
    if not files:
        raise TracksError(f"{path} holds no .xml files; expected {_EXPECTED}, a file a frame")
    rows: list[TrackRow] = []
    names: dict[int, str] = {}
    unread = set(others)
    for file in files:
        source = read_xml(file, _EXPECTED)
        if source.root.tag != "annotation" and len(files) > 1:
            unread.add(f"{file.name}, whose root is <{source.root.tag}>")
            continue
        if source.root.tag != "annotation":
            raise TracksError(f"{file}: the root is <{source.root.tag}>; expected <annotation>, as in Pascal VOC")
        number = frame_number(file)
        picture = re.split(r"[\\/]", (source.root.findtext("filename") or "").strip())[-1]
        if picture:
            names[number] = picture
        rows += _rows(source, number, last_included)
        unread |= {f"<{e.tag}>" for item in source.root.findall("object") for e in item if len(e) and e.tag not in _BOXES}
    return tracks_of_rows(
        rows,
        source=str(path),
        format=format,
        first_pixel=options.pixel,
        first_frame=options.frame(frame_number(files[0]) if first is None else first),
        frame_names=names,
        unread=sorted(unread),
    )


def _rows(source: XmlSource, frame: int, last_included: bool) -> Iterator[TrackRow]:
    for item in source.root.findall("object"):
        xyxy, corners, turn = _box(source, item, last_included)
        columns: dict[str, Any] = {"category": (item.findtext("name") or "").strip(), **turn}
        columns |= {e.tag: _typed(e.text) for e in item if not len(e) and e.tag not in ("name", *_TRACKS)}
        columns["file"] = source.path.name
        yield TrackRow(frame, _track(source, item), xyxy, source.lines[item], columns, corners, source.where(item))


def _track(source: XmlSource, item: ET.Element) -> str:
    """The id of an object; -1 where it has none, which is of no track."""
    for name in _TRACKS:
        text = (item.findtext(name) or "").strip()
        if text:
            if not re.fullmatch(r"-?\d+", text):
                raise source.error(item, f"{text!r} is no {name}; expected a whole number")
            return text
    return "-1"


def _typed(text: str | None) -> Any:
    """A whole number or a number where the text is one."""
    plain = (text or "").strip()
    try:
        return int(plain) if re.fullmatch(r"-?\d+", plain) else float(plain)
    except ValueError:
        return plain


def _box(source: XmlSource, item: ET.Element, last_included: bool) -> tuple[Any, Any, dict[str, float]]:
    """Box, corners (None for an upright box), and columns of the turn."""
    turned, upright = item.find("robndbox"), item.find("bndbox")
    if turned is not None and turned.find("cx") is not None:
        cx, cy, w, h, angle = (source.number(turned, name, inside=True) for name in ("cx", "cy", "w", "h", "angle"))
        refuse_degrees(np.array([angle]), lambda _, what: source.error(turned, what))
        if w < 0 or h < 0 or not math.isfinite(angle):
            return (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), None, {"angle": angle}
        return NO_BOX, turned_boxes(np.array([[cx, cy, w, h]]), np.array([angle]))[0], {"angle": angle}
    if turned is not None:
        return NO_BOX, [[source.number(turned, f"{axis}{i}", inside=True) for axis in "xy"] for i in range(4)], {}
    if upright is None:
        return NO_BOX, None, {}
    x0, y0, x1, y1 = (source.number(upright, name, inside=True) for name in ("xmin", "ymin", "xmax", "ymax"))
    return (x0, y0, x1 + last_included, y1 + last_included), None, {}
