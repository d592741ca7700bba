"""Whether outlines lie where their file says that they lie; and if not, what was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.labelled.candidates import Candidate, Claims, Read
from rosgeo.labelled.outlines import area_of, envelope_of, loops_of
from rosgeo.labelled.report import Finding
from rosgeo.types import FloatArray

__all__ = ["agreed", "box_iou", "outline_area", "wrong_areas", "xyxy_of"]

_ENOUGH_IOU = 0.5
_SLACK_PX, _SLACK_SHARE = 2.0, 0.1
"""A box that is off by rounding alone: by so many pixels, or by such a share of its longer side."""

_MOST = 0.9
"""Share of the boxes that another reading must explain."""

_LOOKED_AT = 50

_AREA_FACTOR, _LEAST_AREA, _MUCH = 1.25, 25.0, 0.1
_OFF, _SAME = 0.03, 0.005
"""How far a factor that all areas have in common is from 1 to be worth a word, and how alike they have to be."""

_MISSES = "whose box misses its outline"

BoxReading = Callable[[FloatArray, FloatArray], FloatArray]

# What else is written for a box of x, y, width and height in pixels: its four numbers, and the picture's (width, height, width, height).
# Only what leaves no doubt that it is the box and not the outline that is otherwise.
_BOX_READINGS: dict[str, BoxReading] = {
    "x_min, y_min, x_max, y_max": lambda b, _: b,
    "the centre, width and height": lambda b, _: np.concatenate([b[:2] - b[2:] / 2, b[:2] + b[2:] / 2]),
    "fractions of the picture": lambda b, size: np.concatenate([b[:2], b[:2] + b[2:]]) * size,
    "corners in fractions of the picture": lambda b, size: b * size,
}

# What an outline may be in place of pixels of its picture, for a message: points (n, 2), and the picture's (width, height).
_OUTLINE_READINGS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "as if x and y were swapped": lambda p, _: p[:, ::-1],
    "as if they were percent of the picture": lambda p, size: p * size / 100,
    "as if they were fractions of the picture": lambda p, size: p * size,
    "as if the picture had been turned by 180 degrees": lambda p, size: size - p,
    "as if the picture had been mirrored": lambda p, size: p * (-1, 1) + (size[0], 0),
    "as if the picture had been turned upside down": lambda p, size: p * (1, -1) + (0, size[1]),
    "as if the picture had been turned by 90 degrees": lambda p, size: np.stack([size[0] - p[:, 1], p[:, 0]], axis=1),
    "as if the picture had been turned by 270 degrees": lambda p, size: np.stack([p[:, 1], size[1] - p[:, 0]], axis=1),
}


def xyxy_of(claims: Claims) -> FloatArray | None:
    """The box that a file claims, xyxy; None where there is none with an area."""
    if claims.box is None or not np.isfinite(claims.box).all():
        return None
    box = claims.box if claims.form == "xyxy" else np.concatenate([claims.box[:2], claims.box[:2] + claims.box[2:]])
    return box if (box[2:] > box[:2]).all() else None


def box_iou(a: FloatArray, b: FloatArray) -> float:
    """IoU of two boxes (4,), xyxy."""
    side = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    common = float(side.prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common
    return common / union if union > 0 else 0.0


def _agree(outline: FloatArray, box: FloatArray) -> bool:
    """Whether an outline's envelope and a box are of one object: alike, off by rounding, or the box a loose one around it."""
    slack = max(_SLACK_PX, _SLACK_SHARE * float((outline[2:] - outline[:2]).max()))
    iou = box_iou(outline, box)
    around = (box[:2] <= outline[:2] + slack).all() and (box[2:] >= outline[2:] - slack).all()
    return bool(iou >= _ENOUGH_IOU or np.abs(outline - box).max() <= slack or (around and iou >= 0.2))


def agreed(read: Read) -> tuple[tuple[Candidate, ...], list[tuple[str, str]]]:
    """Candidates whose outlines lie where their file says.

    Parameters
    ----------
    read : Read

    Returns
    -------
    candidates : tuple of Candidate
        Where a file's box tells that another reading of an outline is meant, with that. Where an outline misses its box, with a `reason`.
    changed : list of (what, which)

    Raises
    ------
    TrainingDataError
        Most outlines miss their boxes, whatever the boxes mean. The message says what would explain it.
    """
    candidates, changed = _other_readings(read.candidates)
    tested = [(i, c, box) for i, c in enumerate(candidates) if _is_usable(c) and (box := c.claims.box) is not None]
    told = {i: (xyxy_of(c.claims), envelope_of(c.rings)) for i, c, _ in tested}
    misses = [i for i, (box, outline) in told.items() if box is not None and not _agree(outline, box)]
    reading, others = _box_reading([c for _, c, _ in tested]) if misses else (None, [])
    # Among few objects near the first corner, a box of another form may lie on its outline by chance.
    if reading is not None and len(others) < len(misses):
        changed += [(f"with a box that is written as {reading}", c.name) for _, c, _ in tested]
        misses = [tested[i][0] for i in others]
    elif len(misses) * 2 > len(tested):
        raise TrainingDataError(_refusal(read, [c for _, c, _ in tested], candidates[misses[0]]))
    missing = set(misses)
    return tuple(replace(c, reason=_MISSES) if i in missing else c for i, c in enumerate(candidates)), changed


def _is_usable(candidate: Candidate) -> bool:
    return (
        not candidate.reason
        and bool(candidate.rings)
        and all(len(r) >= 3 and bool(np.isfinite(r).all()) for r in candidate.rings)
        and candidate.claims.box is not None
        and bool(np.isfinite(candidate.claims.box).all())
        and bool((np.abs(candidate.claims.box[2:]) > 0).all())
    )


def _other_readings(candidates: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], list[tuple[str, str]]]:
    """Candidates with the reading of their outline that their box tells; without boxes, that which is of one piece."""
    if not any(c.claims.others for c in candidates):
        return tuple(candidates), []
    # A mask that is read along the wrong axis falls to pieces.
    boxless = [c for c in candidates if c.claims.others and c.rings and xyxy_of(c.claims) is None][:_LOOKED_AT]
    shorter = [c for c in boxless if _length(c.claims.others[0].rings) < _length(c.rings) / 2]
    scattered = bool(boxless) and len(shorter) >= _MOST * len(boxless)
    changed: list[tuple[str, str]] = []
    chosen = []
    for c in candidates:
        box = xyxy_of(c.claims)
        other = None
        if box is not None and c.rings and not _agree(envelope_of(c.rings), box):
            other = next((o for o in c.claims.others if o.rings and _agree(envelope_of(o.rings), box)), None)
        elif box is None and scattered and c.claims.others:
            other = c.claims.others[0]
        if other is not None:
            changed.append((other.what, c.name))
            c = replace(c, rings=other.rings)
        chosen.append(c)
    return tuple(chosen), changed


def _length(rings: Sequence[FloatArray]) -> float:
    """Of all loops of outlines."""
    loops = [loop for ring in rings for loop in loops_of(ring)]
    return float(sum(np.hypot(*(loop - np.roll(loop, 1, axis=0)).T).sum() for loop in loops))


def _size(candidate: Candidate) -> FloatArray:
    return np.array([candidate.picture.width, candidate.picture.height], dtype=np.float64)


def _box_reading(candidates: Sequence[Candidate]) -> tuple[str | None, list[int]]:
    """What boxes of x, y, width, height are in its place, where that explains nearly all of them, and which it does not explain."""
    if candidates[0].claims.form != "xywh":
        return None, []
    for name, reading in _BOX_READINGS.items():
        others = []
        for i, c in enumerate(candidates):
            assert c.claims.box is not None
            box = reading(c.claims.box, np.tile(_size(c), 2))
            if not ((box[2:] > box[:2]).all() and _agree(envelope_of(c.rings), box)):
                others.append(i)
        if len(candidates) - len(others) >= _MOST * len(candidates):
            return name, others
    return None, []


def _refusal(read: Read, candidates: Sequence[Candidate], first: Candidate) -> str:
    pairs = [(c, box) for c in candidates if (box := xyxy_of(c.claims)) is not None]
    ious = [box_iou(envelope_of(c.rings), box) for c, box in pairs]
    expected = (
        "x_min, y_min, x_max, y_max in pixels, in the order of the masks"
        if first.claims.form == "xyxy"
        else "outlines and boxes (x, y, width, height) in pixels of the picture"
    )
    return (
        f"{read.source}: the boxes do not lie on their outlines (median IoU {np.median(ious):.2f}; first: {first.name} on "
        f"{first.picture.path.name}){_explanation(pairs)}; expected {expected}"
    )


def _explanation(pairs: Sequence[tuple[Candidate, FloatArray]]) -> str:
    """What would make outlines lie in their boxes, in words."""
    for name, reading in _OUTLINE_READINGS.items():
        good = sum(_agree(envelope_of([reading(r, _size(c)) for r in c.rings]), box) for c, box in pairs)
        if good >= _MOST * len(pairs):
            return f": the outlines are {name}"
    factors = np.array([(b[2:] - b[:2]) / np.maximum((e := envelope_of(c.rings))[2:] - e[:2], 1e-9) for c, b in pairs])
    factor = np.median(factors, axis=0)
    good = sum(_agree(envelope_of(c.rings) * np.tile(factor, 2), box) for c, box in pairs)
    if good >= _MOST * len(pairs):
        times = f"{factor[0]:.3g} x {factor[1]:.3g}"
        return f": the boxes are {times} times as large as the outlines, as if one of both were of a resized picture"
    return ""


def outline_area(rings: Sequence[FloatArray]) -> float:
    """Square pixels of outlines, holes taken off; of outlines that overlap, more than their union."""
    total = 0.0
    for ring in rings:
        areas = [area_of(loop) for loop in loops_of(ring)]
        total += abs(sum(areas)) if len(areas) > 1 else abs(areas[0])
    return total


def _is_one_factor(factors: Sequence[float]) -> bool:
    """Whether several numbers are the same one, which is not 1: as of outlines in percent, or of a picture that was resized a little."""
    if len(factors) < 2:
        return False
    middle = float(np.median(factors))
    return bool(abs(middle - 1) > _OFF and np.abs(np.array(factors) / middle - 1).max() < _SAME)


def wrong_areas(pairs: Sequence[tuple[int, str, Claims, FloatArray, float]], total: int) -> Finding | None:
    """Objects whose file gives an area that is neither that of their outline nor that of their box.

    Parameters
    ----------
    pairs : sequence of (row, name, claims, envelope, area)
        Envelope (4,) and area of the outline.
    total : int
        Objects in all.
    """
    rows, names, factors = [], [], []
    every: list[float] = []
    for row, name, claims, envelope, area in pairs:
        told = claims.area
        if told is None or told <= 0 or area < _LEAST_AREA:
            continue
        boxes = [float((envelope[2:] - envelope[:2]).prod())]
        boxes += [float((box[2:] - box[:2]).prod())] if (box := xyxy_of(claims)) is not None else []
        # Many tools give the box's area.
        every += [] if any(abs(told / other - 1) < _OFF for other in boxes) else [area / told]
        if not any(1 / _AREA_FACTOR < told / other < _AREA_FACTOR for other in (area, *boxes)):
            rows.append(row)
            names.append(name)
            factors.append(area / told)
    if not rows and len(every) == len(pairs) and _is_one_factor(every):
        # Of all objects alike, a little is telling too.
        rows, names, factors = [p[0] for p in pairs], [p[1] for p in pairs], every
    if not rows:
        return None
    what = (
        f"of {total} labels have an outline that is {np.median(factors):.3g} times as large as the area that their file gives (median): "
        "filled holes, or resized?"
    )
    return Finding(what, len(rows), names[0], tuple(rows), loud=len(rows) > _MUCH * total, brief="other area")
