"""Which columns of a table hold a box. No standard: names are matched without regard to case, spaces, dots, dashes and underscores.

What a name begins with may be ``bbox`` or ``box``. A box is told by the first of these that is there as a whole: ``xmin ymin xmax ymax``
(also ``left top right bottom``, ``minx``, ``xtl``), ``x0 y0 x1 y1``, four corners ``x1 y1 ... x4 y4``, ``x1 y1 x2 y2``, ``left top width
height`` (also ``x y w h``), and ``cx cy w h`` (centre).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from rosgeo.types import FloatArray

__all__ = ["BOX_KINDS", "CORNERS", "BoxColumns", "BoxKind", "boxes_of_kind", "find_box", "plain_name"]

BoxKind = Literal["xyxy", "xywh", "cxcywh", "corners"]

CORNERS = tuple(f"{axis}{i}" for i in range(1, 5) for axis in "xy")

BOX_KINDS: tuple[tuple[BoxKind, tuple[tuple[str, ...], ...]], ...] = (
    ("xyxy", (("xmin", "minx", "left", "bbleft", "xtl", "xleft"), ("ymin", "miny", "top", "bbtop", "ytl", "ytop"),
              ("xmax", "maxx", "right", "bbright", "xbr", "xright"), ("ymax", "maxy", "bottom", "bbbottom", "ybr", "ybottom"))),
    ("xyxy", (("x0",), ("y0",), ("x1",), ("y1",))),
    ("corners", tuple((name,) for name in CORNERS)),
    ("xyxy", (("x1",), ("y1",), ("x2",), ("y2",))),
    ("xywh", (("left", "bbleft", "xmin", "x", "bbx", "bboxx"), ("top", "bbtop", "ymin", "y", "bby", "bboxy"),
              ("width", "w", "bbwidth", "bboxwidth", "bboxw"), ("height", "h", "bbheight", "bboxheight", "bboxh"))),
    ("cxcywh", (("cx", "xcenter", "xcentre", "centerx", "centrex"), ("cy", "ycenter", "ycentre", "centery", "centrey"),
                ("width", "w", "bbwidth", "bboxwidth", "bboxw"), ("height", "h", "bbheight", "bboxheight", "bboxh"))),
)  # fmt: skip
"""Kinds of boxes, in order, each with the names that its four (or eight) columns may have, as `plain_name` has them."""

_LIST_NAMES = ("bbox", "box", "boundingbox", "xyxy", "xywh", "bboxxyxy", "bboxxywh", "boxxyxy")
"""Columns that may hold the four numbers of a box as a list."""

_CENTRE_OR_CORNER = ("x", "bbx", "bboxx")


class BoxColumns(NamedTuple):
    """The columns of a box: four or eight numbers, or one list of four.

    ``kind`` is None where the names do not tell it (a list), and ``sure`` False where another would be as good: x and y beside a width and
    a height are mostly the left top corner, and for some the centre.
    """

    kind: BoxKind | None
    names: tuple[str, ...]
    sure: bool = True


def plain_name(name: str) -> str:
    """A column's name without case, spaces, dots, dashes and underscores."""
    return re.sub(r"[\s._\-]+", "", name).lower()


def find_box(names: Iterable[str], kind: BoxKind | None = None) -> BoxColumns | None:
    """The columns that hold the box; None where there are none.

    Parameters
    ----------
    names : iterable of str
        All columns.
    kind : str, optional
        What the user says that a box is. ``cxcywh`` then also takes ``x y w h``.
    """
    plain = {plain_name(str(n)): str(n) for n in reversed(list(names))}
    # bbox_x1, box.x1: the same without what they begin with.
    bare = {re.sub("^(bbox|box|bounds)", "", name): column for name, column in plain.items()}
    plain = bare | plain
    for known, columns in BOX_KINDS:
        choices = columns
        if kind == "cxcywh" and known == "xywh":
            known = "cxcywh"
        if kind is not None and known != kind:
            continue
        found = [next((c for c in options if c in plain), None) for options in choices]
        if all(found):
            sure = kind is not None or known != "xywh" or found[0] not in _CENTRE_OR_CORNER
            return BoxColumns(known, tuple(plain[str(f)] for f in found), sure)
    listed = next((n for n in _LIST_NAMES if n in plain), None)
    if listed is None:
        return None
    told = next((k for k in ("xyxy", "xywh") if listed.endswith(k)), None)
    return BoxColumns(kind or told, (plain[listed],), sure=kind is not None or told is not None)  # type: ignore[arg-type]


def boxes_of_kind(kind: BoxKind, values: FloatArray) -> FloatArray:
    """Boxes (N, 4) as x_min, y_min, x_max, y_max, or corners (N, 4, 2), from the numbers (N, 4) or (N, 8) of a kind."""
    if kind == "corners":
        corners: FloatArray = values.reshape(-1, 4, 2)
        return corners
    if kind == "xyxy":
        return values
    start = values[:, :2] - values[:, 2:] / 2 if kind == "cxcywh" else values[:, :2]
    return np.concatenate([start, start + values[:, 2:]], axis=1)
