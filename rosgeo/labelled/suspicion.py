"""What labels rarely are on purpose: boxes, one label for many objects, the same one twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.outlines import area_of, envelope_of, loops_of
from rosgeo.labelled.report import Finding
from rosgeo.types import FloatArray

__all__ = ["suspicions"]

_MUCH = 0.1
_NEARLY_ALL = 0.95
_FULL = 0.97
"""Share of its box that an upright rectangle fills; below 1, since a rectangle of another CRS comes a little turned."""
_MIN_RECTANGLE_PX = 6.0
"""Shorter masks are rectangles by their pixels alone."""
_MIN_PART = 0.02
"""Share of an object's area below which a part is a speck."""
_MANY_PARTS = 8
_MAX_PARTS = 256
_WHOLE = 0.95


def suspicions(objects: Sequence[LabelledObject], names: Sequence[str]) -> tuple[Finding, ...]:
    """What to look at before objects are learned from.

    Parameters
    ----------
    objects : sequence of LabelledObject
    names : sequence of str
        What the file calls each.

    Returns
    -------
    tuple of Finding
        With the rows that each is about.
    """
    checks = (_rectangles, _apart, _whole_pictures, _twice, _in_a_corner)
    return tuple(found for check in checks if (found := check(objects, names)) is not None)


def _sides(o: LabelledObject) -> FloatArray:
    envelope = envelope_of(o.rings)
    return envelope[2:] - envelope[:2]


def _rectangles(objects: Sequence[LabelledObject], names: Sequence[str]) -> Finding | None:
    """Nearly all labels are their own upright boxes."""
    large = [i for i, o in enumerate(objects) if _sides(o).max() >= _MIN_RECTANGLE_PX]
    rows = [
        i
        for i in large
        if sum(abs(area_of(r)) for r in objects[i].rings) >= _FULL * _sides(objects[i]).prod() and len(objects[i].rings) == 1
    ]
    if len(large) < 2 or len(rows) < _NEARLY_ALL * len(large):
        return None
    what = f"of {len(objects)} labels are upright rectangles: boxes, not outlines? A model would learn that objects are boxes"
    return Finding(what, len(rows), names[rows[0]], tuple(rows), loud=True, brief="a box?")


def _outer_parts(o: LabelledObject) -> list[FloatArray]:
    """The outer loops of an object's parts."""
    parts = []
    for ring in o.rings:
        loops = loops_of(ring)
        sign = area_of(loops[0])
        parts += [loop for loop in loops if area_of(loop) * sign > 0]
    areas = np.array([abs(area_of(part)) for part in parts])
    order = np.argsort(-areas, kind="stable")[:_MAX_PARTS]
    return [parts[i] for i in order if areas[i] >= _MIN_PART * areas.sum()]


def _gap(parts: Sequence[FloatArray]) -> float:
    """The widest gap between boxes of parts that a path from each to each has to cross (the longest edge of their spanning tree)."""
    boxes = np.array([envelope_of([part]) for part in parts])
    between = np.maximum(np.maximum(boxes[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - boxes[:, None, 2:]), 0)
    distance = np.hypot(between[..., 0], between[..., 1])
    reached, nearest, widest = {0}, distance[0].copy(), 0.0
    while len(reached) < len(parts):
        nearest[list(reached)] = np.inf
        following = int(nearest.argmin())
        widest = max(widest, float(nearest[following]))
        reached.add(following)
        nearest = np.minimum(nearest, distance[following])
    return widest


def _apart(objects: Sequence[LabelledObject], names: Sequence[str]) -> Finding | None:
    """Labels of parts that are far from each other, or of very many: several objects, or a mask whose numbers are no numbers."""
    rows, most = [], 0
    for i, o in enumerate(objects):
        if len(o.rings) == 1 and len(loops_of(o.rings[0])) == 1:
            continue
        parts = _outer_parts(o)
        if len(parts) > 1 and (len(parts) >= _MANY_PARTS or _gap(parts) > max(abs(area_of(part)) for part in parts) ** 0.5):
            rows.append(i)
            most = max(most, len(parts))
    if not rows:
        return None
    what = (
        f"of {len(objects)} labels have parts that lie far apart or are very many (up to {most} parts), and each is one object. "
        "Where they are several: Multipart to singleparts in QGIS, one number an object in a mask, or the setting parts: split. Of a mask "
        "that was resampled or compressed the numbers are no numbers"
    )
    return Finding(what, len(rows), names[rows[0]], tuple(rows), loud=len(rows) > _MUCH * len(objects), brief="parts apart")


def _whole_pictures(objects: Sequence[LabelledObject], names: Sequence[str]) -> Finding | None:
    rows = [i for i, o in enumerate(objects) if sum(abs(area_of(r)) for r in o.rings) >= _WHOLE * o.height * o.width]
    if not rows:
        return None
    what = "cover their whole picture: an inverted mask, or the picture's frame?"
    return Finding(what, len(rows), names[rows[0]], tuple(rows), loud=len(rows) > _MUCH * len(objects), brief="whole picture")


def _twice(objects: Sequence[LabelledObject], names: Sequence[str]) -> Finding | None:
    """The same outline of the same picture again."""
    seen: dict[tuple[object, ...], int] = {}
    rows = []
    for i, o in enumerate(objects):
        key = (o.image_path, *(np.round(ring, 1).tobytes() for ring in o.rings))
        if seen.setdefault(key, i) != i:
            rows.append(i)
    if not rows:
        return None
    return Finding(
        "have the outline of another label of their picture",
        len(rows),
        names[rows[0]],
        tuple(rows),
        loud=len(rows) > _MUCH * len(objects),
        brief="twice",
    )


def _in_a_corner(objects: Sequence[LabelledObject], names: Sequence[str]) -> Finding | None:
    """All labels of several pictures lie towards the first corner, as those of a smaller copy of the pictures would."""
    reach: dict[object, list[FloatArray]] = defaultdict(list)
    for o in objects:
        reach[o.image_path].append(envelope_of(o.rings)[2:] / (o.width, o.height))
    counts = Counter({path: len(ends) for path, ends in reach.items()})
    if len(reach) < 3 or counts.total() < 20:
        return None
    furthest = np.max([end for ends in reach.values() for end in ends], axis=0)
    if (furthest > 0.6).any() or furthest.max() > 1.3 * furthest.min():
        return None
    what = f"labels reach no further than {furthest.max():.0%} of their pictures, which all have more: were they drawn on smaller copies?"
    return Finding(what, len(objects), "", (), loud=True)
