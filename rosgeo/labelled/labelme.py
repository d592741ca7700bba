"""LabelMe's JSON files, one a picture: polygons, rectangles, circles and masks with labels and groups."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.find_pictures import BY_BASE_NAME, PictureFinder, fit_picture, picture_pixels
from rosgeo.labelled.json_files import read_json, size_of
from rosgeo.labelled.outlines import mask_outline
from rosgeo.labelled.pictures import UNREADABLE, read_headers
from rosgeo.labelled.polygons import rings_from
from rosgeo.types import FloatArray

__all__ = ["labelme_candidates"]

_CIRCLE_POINTS = 64
_OUTLINES = ("polygon", "rotation", "quadrilateral")
"""Shapes whose points are their outline; the latter two of X-AnyLabeling."""
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def labelme_candidates(source: DataSource) -> Read:
    """All shapes of all files. Shapes of one label and group are one object."""
    root = Path(source.path)
    if not root.exists():
        raise InputFileNotFoundError(f"{root}: no such file or folder; expected LabelMe's JSON files, one a picture")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*.json") if not p.name.startswith("."))
    contents = {path: content for path in files if "shapes" in (content := _content(path))}
    folder = root.parent if root.is_file() else root
    named: dict[Path, Path] = {}
    changed: list[tuple[str, str]] = []
    missing: list[str] = []
    finder = PictureFinder(
        folder, [*([folder / source.images, Path(source.images)] if source.images else []), folder, folder / "images"], "imagePath"
    )
    for path, content in contents.items():
        name = str(content.get("imagePath") or path.with_suffix("").name)
        file, guessed = (path.parent / name, False) if (path.parent / name).is_file() else finder.find(name)
        if file is None:
            missing.append(name)
            continue
        changed += [(BY_BASE_NAME, name)] if guessed else []
        named[path] = file
    finder.require(missing, root)
    headers = read_headers(named.values())
    pixels = picture_pixels(source)
    candidates: list[Candidate] = []
    for path, content in contents.items():
        picture, scale, note = fit_picture(headers[named[path]], size_of(content, "imageHeight", "imageWidth"), path, pixels)
        changed += [(note, named[path].name)] if note else []
        candidates += _objects(path, content, replace(picture, source=folder.name), np.array(scale))
    return Read(source.name, tuple(candidates), (), tuple(changed), hint="Expected JSON files with shapes, one a picture")


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _objects(path: Path, content: dict[str, Any], picture: LabelledPicture, scale: FloatArray) -> list[Candidate]:
    shapes = content["shapes"]
    if not isinstance(shapes, list):
        raise TrainingDataError(f"{path}: shapes is no list; expected one of polygons")
    groups: dict[tuple[Any, Any], Candidate] = {}
    found: list[Candidate] = []
    for i, shape in enumerate(shapes):
        if not isinstance(shape, dict):
            raise TrainingDataError(f"{path}: shape {i} is no object; expected label and points")
        candidate = _shape(f"shape {i} of {path.name}", shape, picture, scale)
        group = shape.get("group_id")
        key = (str(group), str(shape.get("label")))
        if group is not None and key in groups and candidate.rings:
            at = found.index(groups[key])
            found[at] = groups[key] = replace(groups[key], rings=(*groups[key].rings, *candidate.rings))
            continue
        if group is not None and candidate.rings:
            groups[key] = candidate
        found.append(candidate)
    return found


def _shape(name: str, shape: dict[str, Any], picture: LabelledPicture, scale: FloatArray) -> Candidate:
    kind, label = shape.get("shape_type") or "polygon", shape.get("label")
    if kind in _WITHOUT_AREA:
        return Candidate(name, picture, category=label, reason=f"a {kind}, which has no area")
    try:
        points = shape.get("points")
        if kind == "mask":
            rings = _mask(shape)
        elif kind == "circle":
            rings = _circle(points)
        elif kind == "rectangle":
            rings = _rectangle(points)
        elif kind in _OUTLINES:
            rings = rings_from(points)
        else:
            raise ValueError(f"the shape {str(kind)[:20]}")
    except ValueError as error:
        return Candidate(f"{name}, which holds {error}", picture, category=label, reason="with points that are not understood")
    return Candidate(name, picture, tuple(ring * scale for ring in rings), category=label)


def _two(points: Any) -> FloatArray:
    try:
        corners = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.shape != (2, 2):
        raise ValueError(f"{len(points) if isinstance(points, list) else 'no'} points in place of two")
    return corners


def _rectangle(points: Any) -> tuple[FloatArray, ...]:
    if isinstance(points, list) and len(points) == 4:
        return rings_from(points)
    (x0, y0), (x1, y1) = _two(points)
    return (np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]),)


def _circle(points: Any) -> tuple[FloatArray, ...]:
    """From the centre and a point of the edge."""
    centre, edge = _two(points)
    angles = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    radius = float(np.hypot(*(edge - centre)))
    return (centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1),)


def _mask(shape: dict[str, Any]) -> tuple[FloatArray, ...]:
    """From a PNG in base64, whose corners are the two points."""
    corner = np.floor(_two(shape.get("points")).min(axis=0))
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(shape.get("mask"))))) as image:
            mask = np.asarray(image.convert("L")) > 0
    except (*UNREADABLE, binascii.Error):
        raise ValueError("a mask that is no PNG in base64") from None
    return (mask_outline(mask) + corner,) if mask.any() else ()
