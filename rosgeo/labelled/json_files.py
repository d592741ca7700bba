"""JSON as label tools write it: with byte order marks, in other encodings, and with values where others are expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rosgeo.errors import TrainingDataError

__all__ = ["entries_of", "id_of", "parse_json", "read_json", "size_of"]

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


_LONG = 300
"""Digits of whole numbers that a float of 64 bits holds for sure."""


def read_json(path: Path) -> Any:
    """The content of a JSON file, in the encoding that its byte order mark tells, else UTF-8.

    Raises
    ------
    TrainingDataError
        It cannot be read, decoded or parsed; the message holds nothing of the content.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingDataError(f"{path} cannot be read: {error.strerror or error}") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return parse_json(content.decode(encoding))
    except UnicodeDecodeError as error:
        raise TrainingDataError(
            f"{path} is not text in UTF-8 (byte {content[error.start]:#04x} at {error.start}); save it with the encoding UTF-8"
        ) from None
    except ValueError as error:
        reason = f"{error.msg} in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "not JSON"
        raise TrainingDataError(f"{path} is not a JSON file: {reason}") from None
    except RecursionError:
        raise TrainingDataError(f"{path} is not a JSON file that can be read: it nests too deep") from None


def parse_json(text: str) -> Any:
    """The content of a JSON text, in which whole numbers beyond any float are infinite, so that no sum or array fails on them.

    Raises
    ------
    ValueError
        It is no JSON.
    """
    return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG else float(digits)


def entries_of(content: Any, key: str, path: Path) -> list[dict[str, Any]]:
    """A list of objects under a key; of an object keyed by id its values.

    Raises
    ------
    TrainingDataError
        It is missing, or no list of objects.
    """
    value = content.get(key)
    if isinstance(value, dict):
        value = [{"id": name, **entry} if isinstance(entry, dict) else entry for name, entry in value.items()]
    if not isinstance(value, list):
        found = "missing" if key not in content else f"{_kind(value)}"
        raise TrainingDataError(f"{path} is not a COCO file: {key!r} is {found}; expected a list of objects")
    for i, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise TrainingDataError(f"{path} is not a COCO file: entry {i} of {key!r} is {_kind(entry)}; expected an object")
    return value


def id_of(entry: dict[str, Any], key: str, where: str) -> Any:
    """An id that may be a number here and the same in text there.

    Raises
    ------
    TrainingDataError
        It is missing, null or a list or object; `where` names the file and the entry.
    """
    value = entry.get(key)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isdecimal() and len(text) < _LONG and str(int(text)) == text else text
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = "missing" if key not in entry else _kind(value)
    raise TrainingDataError(f"{where}: {key!r} is {found}; expected a number or text")


def size_of(entry: dict[str, Any], height: str = "height", width: str = "width") -> tuple[int, int] | None:
    """Height and width that an entry gives; None where it gives none that a picture can have."""
    values = []
    for key in (height, width):
        value = entry.get(key)
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
        except ValueError:
            number = 0.0
        values.append(int(number) if 0 < number < 1e9 else 0)
    return (values[0], values[1]) if all(values) else None


def _kind(value: Any) -> str:
    names = {type(None): "null", list: "a list", dict: "an object", str: "text", bool: "true or false"}
    return names.get(type(value), "a number" if isinstance(value, int) else "no whole number")
