"""Label Studio's own JSON (and JSON-MIN): polygons, brush masks, ellipses and rectangles in percent of the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import InputFileNotFoundError, TrainingDataError
from rosgeo.labelled.candidates import Candidate, LabelledPicture, Read
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.find_pictures import BY_BASE_NAME, PictureFinder, fit_picture, picture_pixels
from rosgeo.labelled.json_files import read_json, size_of
from rosgeo.labelled.outlines import mask_outline
from rosgeo.labelled.pictures import read_headers
from rosgeo.labelled.polygons import rings_from
from rosgeo.types import BoolArray, FloatArray

__all__ = ["decode_brush", "labelstudio_candidates"]

_OTHER = "of another annotator or a cancelled task"
_ELLIPSE_POINTS = 64
_NO_AREA = ("keypoint", "keypointlabels", "choices", "textarea", "rating", "number", "vector", "vectorlabels")


def labelstudio_candidates(source: DataSource) -> Read:
    """All results of all tasks; of a task with several annotations the one that is marked as the truth, else the first."""
    path = _file(Path(source.path))
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise TrainingDataError(f"{path} is not Label Studio's JSON: expected a list of tasks")
    images = path.parent / source.images if source.images else path.parent / "images"
    finder = PictureFinder(path.parent, [images, path.parent, *([Path(source.images)] if source.images else [])], "data.image")
    left_out: list[tuple[str, str]] = []
    changed: list[tuple[str, str]] = []
    missing: list[str] = []
    found: list[tuple[str, Path, list[dict[str, Any]]]] = []
    for i, task in enumerate(tasks):
        results, others = _results(task)
        left_out += [(_OTHER, f"task {task.get('id', i)}")] * others
        if not results:
            continue
        name = _picture_name(task, path, i)
        file, guessed = finder.find(name)
        if file is None:
            missing.append(name)
            continue
        changed += [(BY_BASE_NAME, name)] if guessed else []
        found.append((f"task {task.get('id', i)}", file, results))
    finder.require(missing, path)
    headers = read_headers(file for _, file, _ in found)
    pixels = picture_pixels(source)
    candidates: list[Candidate] = []
    for task_name, file, results in found:
        picture, _, note = fit_picture(headers[file], _size(results), path, pixels)
        changed += [(note, file.name)] if note else []
        candidates += _candidates(task_name, replace(picture, source=path.parent.name), results)
    return Read(source.name, tuple(candidates), tuple(left_out), tuple(changed), frozenset({_OTHER}))


def _file(path: Path) -> Path:
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if len(files) == 1:
            return files[0]
    if not path.is_file():
        raise InputFileNotFoundError(f"{path}: no such file; expected Label Studio's JSON export")
    return path


def _results(task: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The results of a task's annotation, and how many of other annotations there are."""
    if "annotations" not in task and "completions" not in task:
        # JSON-MIN has a list for each control, and values without what is around them.
        lists = [v for k, v in task.items() if isinstance(v, list) and v and isinstance(v[0], dict) and "original_width" in v[0]]
        return [
            {"value": entry, "type": _kind_of(entry), **entry} for entries in lists for entry in entries if isinstance(entry, dict)
        ], 0
    found = task.get("annotations") or task.get("completions")
    annotations = [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []
    usable = [a for a in annotations if not a.get("was_cancelled") and a.get("result") and isinstance(a["result"], list)]
    if not usable:
        return [], 0
    chosen = next((a for a in usable if a.get("ground_truth")), usable[0])
    others = sum(len(a["result"]) for a in usable if a is not chosen)
    return [r for r in chosen["result"] if isinstance(r, dict)], others


def _kind_of(value: dict[str, Any]) -> str:
    return next((key for key in value if key.endswith("labels")), "")


def _picture_name(task: dict[str, Any], path: Path, number: int) -> str:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    assert isinstance(data, dict)
    for key in ("image", "img", "picture", "url", "photo"):
        if isinstance(data.get(key), str):
            return str(data[key])
    texts = [v for v in data.values() if isinstance(v, str) and Path(v.split("?")[0]).suffix]
    if len(texts) == 1:
        return texts[0]
    raise TrainingDataError(f"{path}: task {task.get('id', number)} names no picture under 'data': 'image'")


def _size(results: list[dict[str, Any]]) -> tuple[int, int] | None:
    sizes = [size for r in results if (size := size_of(r, "original_height", "original_width")) is not None]
    return sizes[0] if sizes else None


def _candidates(task: str, picture: LabelledPicture, results: list[dict[str, Any]]) -> Iterator[Candidate]:
    for i, result in _regions(results):
        kind, value = str(result.get("type", "")), result["value"]
        name = f"result {i} of {task}"
        category = _label_of(result)
        if result.get("image_rotation"):
            yield Candidate(name, picture, category=category, reason="on a picture that was turned in Label Studio")
            continue
        try:
            rings = _rings(kind, value, picture, result)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError):
            yield Candidate(f"{name} ({kind})", picture, category=category, reason="with a value that is not understood")
            continue
        yield Candidate(name, picture, rings, category=category)


def _regions(results: list[dict[str, Any]]) -> Iterable[tuple[int, dict[str, Any]]]:
    """A result for each region, and its number. Shapes and labels that are controls of their own give two results of one id."""
    regions: dict[str, tuple[int, dict[str, Any]]] = {}
    for i, result in enumerate(results):
        kind = str(result.get("type", ""))
        if kind in _NO_AREA or kind == "relation" or not isinstance(result.get("value"), dict):
            continue
        key = f"id {result['id']}" if result.get("id") is not None else f"number {i}"
        if key not in regions or (_label_of(regions[key][1]) is None and _label_of(result) is not None):
            regions[key] = (i, result)
    return regions.values()


def _label_of(result: dict[str, Any]) -> Any:
    value = result["value"]
    labels = value.get(str(result.get("type", ""))) or value.get(_kind_of(value)) or []
    return labels[0] if isinstance(labels, list) and labels else None


def _rings(kind: str, value: dict[str, Any], picture: LabelledPicture, result: dict[str, Any]) -> tuple[FloatArray, ...]:
    percent = np.array([picture.width, picture.height]) / 100
    if "rle" in value:
        size = size_of(result, "original_height", "original_width") or picture.shape
        mask = decode_brush(value["rle"], size)
        scale = np.array([picture.width / size[1], picture.height / size[0]])
        return (mask_outline(mask) * scale,) if mask.any() else ()
    if "points" in value:
        return tuple(ring * percent for ring in rings_from(value["points"]))
    if "radiusX" in value:
        angles = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)
        offset = np.stack([np.cos(angles) * value["radiusX"], np.sin(angles) * value["radiusY"]], axis=1) * percent
        return (_turned(offset, value) + np.array([value["x"], value["y"]], dtype=np.float64) * percent,)
    width, height = value["width"], value["height"]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) * percent
    return (_turned(corners, value) + np.array([value["x"], value["y"]], dtype=np.float64) * percent,)


def _turned(points: FloatArray, value: dict[str, Any]) -> FloatArray:
    """Turned about the origin by the rotation of a value, in degrees clockwise as seen."""
    angle = np.radians(float(value.get("rotation") or 0))
    cos, sin = np.cos(angle), np.sin(angle)
    turned: FloatArray = points @ np.array([[cos, sin], [-sin, cos]])
    return turned


def decode_brush(rle: list[int], shape: tuple[int, int]) -> BoolArray:
    """A brush mask from Label Studio's run lengths.

    Parameters
    ----------
    rle : list of int
        Bytes of thi.ng/rle-pack: the number of values (32 bits), bits a value less one (5), bits of four lengths less one (4 each); then
        for each run a bit for a repeated value, two for the number of its length's bits, the length less one, and the value or the values.
    shape : (int, int)
        Height and width of the picture.

    Returns
    -------
    bool array (height, width)
        Where the alpha of the brush's RGBA values is above 0.

    Raises
    ------
    ValueError
        The bytes are none of this picture.
    """
    bits = np.unpackbits(np.array(rle, dtype=np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("run lengths break off")
        value = int("".join(map(str, bits[at : at + count].tolist())), 2) if count else 0
        at += count
        return value

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    if total != shape[0] * shape[1] * 4:
        raise ValueError(f"{total} values; expected {shape[0] * shape[1] * 4}")
    values = np.zeros(total, dtype=np.uint8)
    done = 0
    while done < total:
        repeated = take(1)
        end = done + 1 + take(sizes[take(2)])
        if repeated:
            values[done:end] = take(word)
        else:
            values[done:end] = [take(word) for _ in range(end - done)]
        done = end
    return values.reshape(*shape, 4)[..., 3] > 0
