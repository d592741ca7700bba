"""Writing "CVAT for video 1.1": tracks of shapes, for boxes and for outlines.

Layout: docs.cvat.ai, XML annotation format; what CVAT's importer (cvat/apps/dataset_manager/formats/cvat.py) reads of it: ``label``
and shapes of a track, with ``frame``, ``outside``, ``occluded``, ``keyframe`` and ``z_order``. Labels must be those of the task
that it is imported into.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

__all__ = ["TrackShapes", "cvat_meta", "write_cvat_video"]


@dataclass
class TrackShapes:
    """The shapes of one track: tag and attributes by frame, from 0; `group` joins tracks that are parts of one object."""

    track: int
    label: str
    group: int = 0
    shapes: dict[int, tuple[str, dict[str, Any]]] = field(default_factory=dict)


def cvat_meta(name: str, length: int, labels: list[str], size: tuple[int, int] | None) -> str:
    """The head of a file: the task with its labels, and the size (height, width) of a frame."""
    listed = "".join(f"        <label>\n          <name>{escape(label)}</name>\n        </label>\n" for label in labels)
    original = (
        f"    <original_size>\n      <width>{size[1]}</width>\n      <height>{size[0]}</height>\n    </original_size>\n"
        if size
        else ""
    )
    return (
        f"  <meta>\n    <task>\n      <name>{escape(name)}</name>\n      <size>{length}</size>\n      <mode>interpolation</mode>\n"
        f"      <start_frame>0</start_frame>\n"
        f"      <stop_frame>{max(length - 1, 0)}</stop_frame>\n      <labels>\n{listed}      </labels>\n"
        f"    </task>\n{original}  </meta>\n"
    )


def write_cvat_video(path: Path, meta: str, tracks: list[TrackShapes], length: int) -> None:
    """Write tracks to a path that does not exist yet; `length` is the count of frames, after which nothing needs to be ended."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n{meta}')
        for track in tracks:
            group = f' group_id="{track.group}"' if track.group else ""
            file.write(f'  <track id="{track.track}" label={quoteattr(track.label)} source="file"{group}>\n')
            for frame in sorted(track.shapes):
                tag, attributes = track.shapes[frame]
                file.write(_shape(tag, frame, 0, attributes))
                if tag != "mask" and frame + 1 not in track.shapes and frame + 1 < length:
                    file.write(_shape(tag, frame + 1, 1, attributes))
            file.write("  </track>\n")
        file.write("</annotations>\n")


def _shape(tag: str, frame: int, outside: int, attributes: dict[str, Any]) -> str:
    own = {"frame": frame, "keyframe": 1, "outside": outside, "occluded": 0, **attributes, "z_order": 0}
    return f"    <{tag} {' '.join(f'{k}={quoteattr(_text(v))}' for k, v in own.items())}>\n    </{tag}>\n"


def _text(value: Any) -> str:
    """Numbers as short as they are read back the same."""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)
