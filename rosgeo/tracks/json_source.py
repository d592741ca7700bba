"""JSON files of annotations: found out by their keys, read with errors that name what is wrong where."""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any

from rosgeo.errors import InputFileNotFoundError, TracksError

__all__ = [
    "checked_id",
    "choose_video",
    "expect",
    "has_keys",
    "json_box",
    "lists_left_out",
    "load_annotations",
    "load_json",
    "names_of_categories",
    "number_or_nan",
    "one_of",
    "scalars",
    "shown_json",
]


def has_keys(path: Path, *keys: str, listed: bool = False) -> bool:
    """Whether a file looks like a JSON object, or with `listed` a list, and has these keys anywhere; the file is searched, not parsed."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[") if listed else b"{") and all(
                text.find(json.dumps(k).encode()) >= 0 for k in keys
            )
    except (OSError, ValueError):
        return False


def load_json(path: Path) -> Any:
    """What a JSON file holds; raises InputFileNotFoundError or TracksError where there is none or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputFileNotFoundError(f"{path}: no such file; expected annotations as JSON") from error
    except json.JSONDecodeError as error:
        raise TracksError(f"{path}, line {error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    except (UnicodeDecodeError, OSError) as error:
        raise TracksError(f"{path} cannot be read as JSON: {error}") from error


def load_annotations(path: Path, *needed: str) -> dict[str, Any]:
    """A JSON object whose `needed` entries are lists of objects.

    Raises
    ------
    InputFileNotFoundError, TracksError
        No such file; not JSON; an entry is missing or not a list of objects.
    """
    data = load_json(path)
    for key in needed:
        entries = data.get(key) if isinstance(data, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise TracksError(f'{path}: "{key}" is no list of objects; expected {", ".join(needed)}')
    checked: dict[str, Any] = data
    return checked


def choose_video(path: Path, videos: list[dict[str, Any]], sequence: str | None) -> dict[str, Any] | None:
    """The video that is meant, by name or id; the only one where none is named; None where the file lists none.

    Raises
    ------
    TracksError
        There are several and none is named, or none of this name; one that is no object, or has file names that are no list.
    """
    if not isinstance(videos, list):
        raise TracksError(f'{path}: "videos" is {shown_json(videos)}; expected a list of objects')
    for number, video in enumerate(videos, 1):
        if not isinstance(video, dict):
            raise TracksError(f"{path}, video {number} is {shown_json(video)}; expected an object")
        if not isinstance(video.get("file_names") or [], list):
            raise TracksError(
                f'{path}, video {number}: "file_names" is {shown_json(video["file_names"])}; expected a list of the names of its frames'
            )
    if not videos:
        return None
    if sequence is None:
        if len(videos) == 1:
            return videos[0]
        raise TracksError(f"{path} holds {len(videos)} videos ({_listed(videos)}); choose one with --sequence")
    found = next((v for v in videos if sequence in (str(v.get("name", "")), str(v.get("id")))), None)
    found = found or next((v for v in videos if sequence == _folder(v)), None)
    if found is None:
        raise TracksError(f"{path} has no video {sequence!r}; it has: {_listed(videos)}")
    return found


def _folder(video: dict[str, Any]) -> str:
    """The folder of the first frame, which names a video in YouTube-VIS."""
    names = video.get("file_names") or [""]
    return Path(str(names[0])).parent.as_posix()


def _listed(videos: list[dict[str, Any]]) -> str:
    names = [str(v.get("name") or (_folder(v) if v.get("file_names") else v.get("id"))) for v in videos[:5]]
    return ", ".join(names) + (", ..." if len(videos) > 5 else "")


def expect(value: Any, kind: type | tuple[type, ...], where: str, what: str) -> Any:
    """A value of a kind; raises TracksError for any other, true and false among numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TracksError(f"{where} is {shown_json(value)}; expected {what}")
    return value


def one_of(path: Path, names: list[str], sequence: str | None, what: str) -> str:
    """The sequence that is meant among those of a file; raises TracksError where that is not clear."""
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if sequence is None and len(names) > 1:
        raise TracksError(f"{path} holds {len(names)} {what} ({listed}); choose one with --sequence")
    if sequence is not None and sequence not in names:
        raise TracksError(f"{path} has none of its {what} called {sequence!r}; it has: {listed}")
    return sequence if sequence is not None else names[0]


def json_box(path: Path, where: str, box: Any) -> list[float]:
    """Left, top, width, height; NaN for null, in the list too, and for an empty list.

    Raises
    ------
    TracksError
        Anything but four numbers.
    """
    if box is None or box == []:
        return [float("nan")] * 4
    ok = isinstance(box, list) and len(box) == 4 and all(v is None or _is_number(v) for v in box)
    if not ok:
        raise TracksError(f"{path}, {where}: the box is {json.dumps(box)[:60]}; expected [left, top, width, height]")
    return [number_or_nan(v, f"{path}, {where}") for v in box]


def number_or_nan(value: Any, where: str) -> float:
    """A number, NaN for null: a box with one is none, and its row stays; raises TracksError for anything else."""
    if value is not None and not _is_number(value):
        raise TracksError(f"{where} is {shown_json(value)}; expected a number")
    return math.nan if value is None else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def checked_id(path: Path, where: str, key: str, value: Any) -> Any:
    """An id or null; raises TracksError for a list or an object, which is none."""
    if isinstance(value, list | dict):
        raise TracksError(f'{path}, {where}: "{key}" is {shown_json(value)}; expected an id, a number or a text')
    return value


def shown_json(value: Any) -> str:
    """The beginning of a value as JSON has it, for messages."""
    return json.dumps(value)[:60]


def names_of_categories(path: Path, data: dict[str, Any]) -> dict[Any, str]:
    """Category names by id; raises TracksError where an id is a list or an object, or the categories are no list."""
    categories = data.get("categories") or []
    if not isinstance(categories, list):
        raise TracksError(f'{path}: "categories" is {shown_json(categories)}; expected a list of objects')
    return {
        checked_id(path, f"category {n}", "id", c.get("id")): str(c.get("name", c.get("id")))
        for n, c in enumerate(categories, 1)
        if isinstance(c, dict)
    }


def scalars(entry: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Attributes of an annotation that fit in a column: no lists, no objects, and none of `known`."""
    return {k: v for k, v in entry.items() if k not in known and not isinstance(v, list | dict)}


def lists_left_out(entries: list[dict[str, Any]], read: set[str]) -> list[str]:
    """Keys of annotations whose lists and objects are not read, sorted."""
    return sorted({k for e in entries for k, v in e.items() if k not in read and _holds(v)})


def _holds(value: Any) -> bool:
    """Whether a value is a list or an object with anything in it."""
    return any(v is not None for v in value) if isinstance(value, list) else isinstance(value, dict) and bool(value)
