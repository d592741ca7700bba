"""YOLO text files (https://docs.ultralytics.com/datasets/): a file a picture, a row an object, all numbers shares of the picture's sides.

A row is ``class cx cy w h``, with ``save_conf`` a confidence after it and, of a tracker, an id after that; ``class x1 y1 ... x4 y4`` (with
a confidence) for an oriented box; ``class x1 y1 ... xn yn`` for an outline. Names of classes are in ``classes.txt`` or ``obj.names``
beside the files or a folder above.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import shapely

from rosgeo.errors import BoxesError
from rosgeo.types import FloatArray
from rosgeo.vector.detections.columns import boxes_of_kind
from rosgeo.vector.detections.values import Found, PictureRef, polygons_from

__all__ = ["is_yolo", "read_yolo", "yolo_file"]

_SLACK = 0.01
"""By which a box may pass the picture's edge: detectors round, and some do not clip."""
_CLASS_FILES = ("classes.txt", "obj.names", "classes.names", "labels.names")


def is_yolo(lines: Sequence[str]) -> bool:
    """Whether lines look like YOLO: a whole number and then four or more shares, but for a confidence and an id."""
    rows = [_row(line) for line in lines if line.strip()]
    return bool(rows) and all(r is not None and len(r) >= 5 and r[0] == round(r[0]) >= 0 and _are_shares(r[1:5]) for r in rows)


def _row(line: str) -> list[float] | None:
    try:
        return [float(v) for v in line.replace(",", " ").split()]
    except ValueError:
        return None


def _are_shares(values: Sequence[float]) -> bool:
    return all(-_SLACK <= v <= 1 + _SLACK for v in values)


def yolo_file(folder: Path, picture: PictureRef) -> Path:
    """The file of a picture in a folder of them; where only one in other letters (``IMG_1.TXT``) is there, that."""
    file = folder / f"{_stem(picture.name)}.txt"
    if file.is_file():
        return file
    return next((f for f in sorted(folder.glob("*.[tT][xX][tT]")) if f.name.casefold() == file.name.casefold()), file)


def _stem(name: str) -> str:
    return Path(name.replace("\\", "/").rsplit("/", 1)[-1]).stem


def read_yolo(path: Path, pictures: Sequence[PictureRef], outlines: bool = False) -> Found:
    """Read the file of a picture, or those of all pictures in a folder.

    Parameters
    ----------
    path : Path
        A folder holds ``STEM.txt`` for each picture that has objects.
    pictures : sequence of PictureRef
        Of a file: one, whatever its name, or several, of which it has the name of one.
    outlines : bool
        Rows of seven numbers, which may be a box with confidence and id as well as a triangle, are outlines.

    Raises
    ------
    BoxesError
        A row that is none; no file for any of the pictures.
    """
    if not pictures:
        raise BoxesError(f"{path} holds shares of a picture's sides; it can be read only with its picture")
    if not path.is_dir():
        chosen = [p for p in pictures if _stem(p.name) == path.stem] if len(pictures) > 1 else list(pictures)
        if len(chosen) != 1:
            raise BoxesError(
                f"{path}: its name is not that of one of the {len(pictures)} scenes; expected SCENE.txt beside SCENE.tif"
            )
        files = [(path, chosen[0])]
    else:
        files = [(f, p) for p in pictures if (f := yolo_file(path, p)).is_file()]
        if not files:
            names = ", ".join(yolo_file(path, p).name for p in pictures[:3]) + (", ..." if len(pictures) > 3 else "")
            raise BoxesError(f"{path} holds no file of boxes for the scene; expected {names}")
    classes = _class_names(path if path.is_dir() else path.parent)
    rows: list[dict[str, Any]] = []
    shapes: list[Any] = []
    names_of: list[str] = []
    for file, picture in files:
        for row, shape in _file_rows(file, picture, outlines, classes):
            rows.append(row)
            shapes.append(shape)
            names_of.append(picture.name)
    geometry = np.array([*shapes, None], dtype=object)[:-1]
    return Found(pd.DataFrame(rows, index=range(len(rows))), geometry, "pixel", names_of)


def _file_rows(file: Path, picture: PictureRef, outlines: bool, classes: Sequence[str]) -> list[tuple[dict[str, Any], Any]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BoxesError(f"{file} cannot be read as text: {error}") from error
    found = []
    size = np.array([picture.width, picture.height], dtype=np.float64)
    kinds = {len(line.replace(",", " ").split()) for line in lines if line.strip()}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        values = _row(line)
        where = f"{file}, line {number}: {line.strip()[:60]!r}"
        if values is None or len(values) < 5 or values[0] != round(values[0]) or values[0] < 0:
            raise BoxesError(f"{where}; expected a class number and then cx cy w h, or x1 y1 x2 y2 ..., as shares of the picture")
        kind = _kind(values, outlines, kinds, where)
        points = values[1:5] if kind == "box" else values[1 : 1 + 2 * ((len(values) - 1) // 2)]
        if not _are_shares(points):
            raise BoxesError(f"{where}: not between 0 and 1; YOLO's numbers are shares of the picture. For pixels: --format cxcywh")
        found.append(_object(kind, values, np.asarray(points, dtype=np.float64).reshape(-1, 2) * size, classes))
    return found


def _kind(values: Sequence[float], outlines: bool, kinds: set[int], where: str) -> Literal["box", "outline"]:
    count = len(values)
    if outlines:
        return "outline"
    if count == 7 and len(kinds) > 1 and not kinds <= {5, 6, 7}:
        # Among outlines of other lengths.
        return "outline"
    if count == 7 and _are_shares(values[5:]) and values[6] != round(values[6]):
        raise BoxesError(
            f"{where} is a triangle, or a box with confidence and id. Pass --format yolo-seg for outlines; the id of a box is a whole "
            "number"
        )
    return "box" if count <= 7 else "outline"


def _object(kind: str, values: Sequence[float], points: FloatArray, classes: Sequence[str]) -> tuple[dict[str, Any], Any]:
    number = int(values[0])
    row: dict[str, Any] = {"class_id": number}
    if classes:
        row["label"] = classes[number] if number < len(classes) else str(number)
    if kind == "box":
        if len(values) > 5:
            row["score"] = values[5]
        if len(values) > 6:
            row["track_id"] = int(values[6])
        return row, polygons_from(boxes_of_kind("cxcywh", points.reshape(1, 4)))[0]
    if len(values) % 2 == 0:
        row["score"] = values[-1]
    return row, shapely.Polygon(points)


def _class_names(folder: Path) -> list[str]:
    for place in (folder, folder.parent):
        for name in _CLASS_FILES:
            if (place / name).is_file():
                try:
                    lines = (place / name).read_text(encoding="utf-8-sig").splitlines()
                except (OSError, UnicodeDecodeError):
                    continue
                if not is_yolo(lines):
                    return [line.strip() for line in lines if line.strip()]
    return []
