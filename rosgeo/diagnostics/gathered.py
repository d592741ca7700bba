"""What a run takes that is no one raster or layer: several scenes by one name, and files of detectors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from rosgeo.errors import PixelFrameWarning, RasterError
from rosgeo.files.names import is_there
from rosgeo.raster.collection import expand_scenes
from rosgeo.vector.detections.coco import read_coco_boxes
from rosgeo.vector.detections.read import recognise
from rosgeo.vector.detections.tables import read_table

__all__ = ["detections_facts", "scenes_facts"]

_FORMATS = {"coco": "COCO detections", "table": "table of boxes", "yolo": "YOLO"}


def scenes_facts(name: str) -> dict[str, Any] | None:
    """The scenes of a folder, pattern or STAC collection of items; None for what is none of them."""
    try:
        scenes = [str(scene) for scene in expand_scenes(name)]
    except RasterError:
        # An item of which several assets may be meant is a STAC item all the same.
        return None
    return {"kind": "scenes", "number": len(scenes), "scenes": scenes} if len(scenes) > 1 or _is_folder_of(name, scenes) else None


def _is_folder_of(name: str, scenes: list[str]) -> bool:
    return Path(name).is_dir() and scenes != [name]


def detections_facts(name: str) -> dict[str, Any] | None:
    """Rows and columns of a detector's file or folder, as a run takes it; None for what is none.

    Raises
    ------
    BoxesError
        A table of which it is not clear what its boxes are.
    """
    if not is_there(name):
        return None
    path = Path(name)
    kind = recognise(path)
    if kind == "layer":
        return None
    facts = {"kind": "layer", "format": _FORMATS[kind]}
    if kind == "yolo":
        files = [f for f in sorted(path.glob("*.txt")) if f.name != "classes.txt"] if path.is_dir() else [path]
        return {**facts, "files": len(files), "rows": sum(_lines(file) for file in files)}
    with warnings.catch_warnings():
        # It is told where the boxes are used.
        warnings.simplefilter("ignore", PixelFrameWarning)
        found = read_coco_boxes(path) if kind == "coco" else read_table(path, None, ())
    pictures = list(dict.fromkeys(found.pictures or ()))
    return {**facts, "rows": len(found.table), "pictures": pictures, "columns": [str(c) for c in found.table.columns]}


def _lines(file: Path) -> int:
    return sum(1 for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip())
