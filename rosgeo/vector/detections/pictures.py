"""On which picture each row of a detector's file is: told by the name of the picture's file, and its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosgeo.errors import BoxesError
from rosgeo.types import BoolArray, IntArray
from rosgeo.vector.detections.values import Found, PictureRef

__all__ = ["match_names", "rows_of_pictures"]

_SHOWN = 4


def rows_of_pictures(
    found: Found, pictures: Sequence[PictureRef], name: str, *, checked: bool = True, among: BoolArray | None = None
) -> IntArray | None:
    """On which picture each row is.

    Parameters
    ----------
    found : Found
        N rows.
    pictures : sequence of PictureRef
        The scenes; none where they are not known, so that the rows must be of one picture.
    name : str
        Of the file, for messages.
    checked : bool
        False where the user chose the rows: names are then not asked.
    among : bool array (N,), optional
        The rows that count.

    Returns
    -------
    int64 array (N,) or None
        Index into `pictures`, -1 for rows of other pictures; None where the file tells nothing of pictures, or nothing is checked.

    Raises
    ------
    BoxesError
        No row is of a scene, a picture may be two of the scenes, or two pictures one scene; the picture has another size.
    """
    if found.pictures is None or not len(found.pictures) or (not checked and len(pictures) <= 1):
        return None
    rows = np.flatnonzero(np.ones(len(found.pictures), dtype=bool) if among is None else among).tolist()
    distinct = list(dict.fromkeys(found.pictures[i] for i in rows))
    if not pictures:
        if len(distinct) > 1:
            raise BoxesError(f"{name} holds boxes of {len(distinct)} pictures ({_listed(distinct)}); choose one of them with where")
        return None
    matched = match_names(distinct, pictures, name)
    if not any(m >= 0 for m in matched.values()):
        alone = len(pictures) == 1 and len(distinct) == 1
        if alone and (_is_number(distinct[0]) or _of_size(found, distinct[0], pictures[0]) or _is_array(pictures[0])):
            # One picture without a name, or one of the scene's size: it is this one, by another name. An array has none.
            matched = {distinct[0]: 0}
        else:
            raise BoxesError(
                f"{name} holds boxes of {_listed(distinct)}, and none of {_listed([_base(p.name) for p in pictures])}. Give the scene that "
                "they are of, or choose the rows with --where, whatever picture they name."
            )
    _require_sizes(found, matched, pictures, name)
    picture = np.full(len(found.pictures), -1, dtype=np.int64)
    picture[rows] = [matched[found.pictures[i]] for i in rows]
    return picture


def match_names(names: Sequence[str], pictures: Sequence[PictureRef], name: str) -> dict[str, int]:
    """The picture of each name, -1 for none: by the whole path, else the file's name, else its stem, else that in small letters.

    Raises BoxesError where two names are as good for one picture, or two pictures for one name.
    """
    scores = np.array([[_likeness(n, p.name) for p in pictures] for n in names], dtype=np.int64).reshape(len(names), len(pictures))
    matched = dict.fromkeys(names, -1)
    for column, picture in enumerate(pictures):
        equal = _equal(scores[:, column])
        if len(equal) > 1:
            raise BoxesError(
                f"{name} holds several pictures that may be {_base(picture.name)}: {_listed([names[i] for i in equal])}. Choose the "
                "rows of one with --where."
            )
    for row, text in enumerate(names):
        equal = _equal(scores[row])
        if len(equal) > 1:
            candidates = _listed([pictures[i].name for i in equal])
            raise BoxesError(
                f"{name}: boxes of {text!r} may be of several scenes: {candidates}. Name the pictures by their whole path."
            )
        if len(equal) == 1 and scores[row, equal[0]] == scores[:, equal[0]].max():
            matched[text] = equal[0]
    return matched


def _equal(scores: IntArray) -> list[int]:
    """Where the largest is; nowhere, if that is 0."""
    places: list[int] = np.flatnonzero((scores == scores.max(initial=0)) & (scores > 0)).tolist()
    return places


def _likeness(name: str, picture: str) -> int:
    mine, theirs = ([p for p in n.replace("\\", "/").split("/") if p not in ("", ".")] for n in (name, picture))
    if not mine or not theirs:
        return 0
    if mine[-1] == theirs[-1]:
        same = next((i for i, (a, b) in enumerate(zip(reversed(mine), reversed(theirs), strict=False)) if a != b), None)
        return 4 + (min(len(mine), len(theirs)) if same is None else same)
    a, b = _stem(mine[-1]), _stem(theirs[-1])
    if a == b:
        return 3
    # As on systems on which a name in other letters is the same file.
    if a.casefold() == b.casefold():
        return 2
    return 1 if a.isdigit() and b.isdigit() and int(a) == int(b) else 0


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _base(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _is_number(name: str) -> bool:
    return name == "" or name.lstrip("-").isdigit()


def _is_array(picture: PictureRef) -> bool:
    return picture.name.startswith("DataArray")


def _of_size(found: Found, name: str, picture: PictureRef) -> bool:
    return (found.sizes or {}).get(name) == (picture.width, picture.height)


def _require_sizes(found: Found, matched: dict[str, int], pictures: Sequence[PictureRef], name: str) -> None:
    for text, number in matched.items():
        size = (found.sizes or {}).get(text)
        if number >= 0 and size is not None and size != tuple(pictures[number][1:]):
            picture = pictures[number]
            raise BoxesError(
                f"{name} says that {text} has {size[0]} x {size[1]} px, but {_base(picture.name)} has {picture.width} x "
                f"{picture.height}: its boxes are of a resized picture. Scale them to the scene, or mend width and height in the file."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
