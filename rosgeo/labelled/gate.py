"""The one gate through which labelled objects pass, whatever they come from."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.geometry.pixels import polygon_mask
from rosgeo.labelled.candidates import Candidate, Claims, LabelledPicture, Read
from rosgeo.labelled.claims import agreed, outline_area, wrong_areas
from rosgeo.labelled.classes import class_name
from rosgeo.labelled.data import LabelledObject, RasterPixels
from rosgeo.labelled.outlines import clip_rings, envelope_of, geometry_of, join_holes, parts_of, rings_of
from rosgeo.labelled.pixels import ValidGround
from rosgeo.labelled.report import Report, tally, warn_of
from rosgeo.labelled.suspicion import suspicions
from rosgeo.types import BoolArray, FloatArray

__all__ = ["Labels", "Rules", "admit", "admit_and_warn"]

_MIN_SIDE_PX = 2.0
"""Objects that are shorter than this in both directions have no outline to learn."""

_SLACK_PX = 1.0
"""Outlines pass the edge by so much through rounding alone: they are cut, and nobody need hear of it."""

_FRACTIONS = "with all coordinates between 0 and 1 (fractions of the picture?)"

Valid = Callable[[slice, slice], BoolArray | None]


@dataclass(frozen=True)
class Rules:
    """What the user asked of a source, beside what its reader needs.

    Attributes
    ----------
    split_parts : bool
        Each part of a label is an object of its own.
    ignore : collection of str
        Classes that count neither as object nor as ground.
    """

    split_parts: bool = False
    ignore: Collection[str] = ()


@dataclass(frozen=True)
class Labels:
    """The objects of a source, and what there is to say of it.

    Attributes
    ----------
    objects : tuple of LabelledObject
    report : Report
    """

    objects: tuple[LabelledObject, ...]
    report: Report


@dataclass(frozen=True)
class _Ground:
    """What of a picture counts neither as object nor as ground, and where it has pixels."""

    ignored: tuple[FloatArray, ...]
    valid_of: Callable[[LabelledPicture], Valid]


@dataclass
class _Book:
    """What is noted on the way: pairs of (what, which)."""

    left_out: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)


def admit_and_warn(read: Read, rules: Rules | None = None) -> Labels:
    """`admit` with the pixels of the pictures' files, and warnings of what is lost or looks wrong."""
    labels = admit(read, rules or Rules(), _GroundOfPictures())
    warn_of(labels.report)
    return labels


class _GroundOfPictures:
    """`ValidGround` of pictures, of which the last ones are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, RasterPixels], ValidGround] = OrderedDict()

    def __call__(self, picture: LabelledPicture) -> Valid:
        pixels = picture.raster or RasterPixels(str(picture.path), upright=False)
        key = (str(picture.path), pixels)
        if key not in self._kept:
            self._kept[key] = ValidGround(pixels)
            if len(self._kept) > 8:
                self._kept.popitem(last=False)
        return self._kept[key]


def admit(read: Read, rules: Rules, valid_of: Callable[[LabelledPicture], Valid]) -> Labels:
    """Check every candidate, and say what became of all.

    Parameters
    ----------
    read : Read
        What a reader found.
    rules : Rules
    valid_of : callable
        Picture -> where it has pixels, for pictures that are not plain; see `ValidGround`.

    Returns
    -------
    Labels
        Objects in the order of their candidates, clipped to their picture, each with pixels on valid ground.

    Raises
    ------
    TrainingDataError
        Most outlines do not lie where their file says (see `agreed`), all are in fractions of the picture, or no object is left.
    """
    book = _Book(list(read.left_out), list(read.changed))
    candidates, notes = agreed(read)
    book.changed += notes
    ignored = _ignored_by_picture(candidates, rules)
    objects: list[LabelledObject] = []
    names: list[str] = []
    told: list[tuple[int, str, Claims, FloatArray, float]] = []
    for candidate in candidates:
        if _is_ignored(candidate, rules):
            continue
        void = ignored.get(id(candidate.picture), ())
        found = _admit_one(candidate, rules, _Ground(void, valid_of), book, read.on)
        objects += [replace(o, ignored=void) for o in found]
        names += [candidate.name] * len(found)
        if len(found) == 1 and candidate.claims.area:
            rings = found[0].rings
            told.append((len(objects) - 1, candidate.name, candidate.claims, envelope_of(rings), outline_area(rings)))
    ignored_labels = [c for c in candidates if _is_ignored(c, rules) and c.rings]
    left_out = tally(book.left_out, quiet=read.quiet)
    _require_some(read, objects, left_out_text=", ".join(f.text for f in left_out), candidates=candidates, book=book)
    changed = tally([*book.changed, *(("counted neither as object nor as ground", c.name) for c in ignored_labels)])
    classes = dict(Counter(o.category for o in objects).most_common())
    pictures = len({o.image_path for o in objects})
    suspicious = suspicions(objects, names)
    areas = wrong_areas(told, len(objects))
    suspicious += (areas,) if areas is not None else ()
    return Labels(tuple(objects), Report(read.source, len(objects), pictures, classes, left_out, changed, suspicious))


def _is_ignored(candidate: Candidate, rules: Rules) -> bool:
    return candidate.ignored or (bool(rules.ignore) and class_name(candidate.category) in rules.ignore)


def _ignored_by_picture(candidates: Sequence[Candidate], rules: Rules) -> dict[int, tuple[FloatArray, ...]]:
    """The outlines of what is ignored, by picture."""
    found: dict[int, tuple[FloatArray, ...]] = {}
    for c in candidates:
        if _is_ignored(c, rules) and c.rings and not _fault_of(c):
            rings = _beside_objects(c, candidates, rules) if c.yields else c.rings
            found[id(c.picture)] = (*found.get(id(c.picture), ()), *rings)
    return found


def _beside_objects(crowd: Candidate, candidates: Sequence[Candidate], rules: Rules) -> tuple[FloatArray, ...]:
    """A crowd without the objects that are labelled on it."""
    import shapely

    others = [c for c in candidates if c.picture is crowd.picture and not _is_ignored(c, rules) and not (c.reason or _fault_of(c))]
    objects = shapely.union_all([geometry_of(c.rings) for c in others])
    return rings_of(shapely.difference(geometry_of(crowd.rings), objects))


def _admit_one(candidate: Candidate, rules: Rules, ground: _Ground, book: _Book, on: str) -> list[LabelledObject]:
    """The objects of a candidate: one, its parts where they are to be split, or none."""
    reason = candidate.reason or _fault_of(candidate)
    if reason:
        book.left_out.append((reason, candidate.name))
        return []
    rings = _with_holes(candidate, book)
    rings, reason = _clipped(candidate, rings, on, book)
    if reason:
        book.left_out.append((reason, candidate.name))
        return []
    parts = parts_of(rings) if rules.split_parts else [rings]
    if len(parts) > 1:
        book.changed.append(("split into its parts", candidate.name))
    found = []
    for part in parts:
        reason = _emptiness(part, candidate.picture, ground)
        if reason:
            book.left_out.append((reason, candidate.name))
        else:
            found.append(_object(candidate, part, alone=len(parts) == 1))
    return found


def _fault_of(candidate: Candidate) -> str:
    """Why outlines are none; empty where they are some."""
    if not candidate.rings or all(len(ring) < 3 for ring in candidate.rings):
        return "without an outline"
    points = np.concatenate(candidate.rings)
    if not np.isfinite(points).all():
        return "with coordinates that are no numbers"
    if (np.ptp(points, axis=0) <= 0).any():
        return "without an area"
    if points.min() >= 0 and points.max() <= 1 and max(candidate.picture.shape) > _MIN_SIDE_PX:
        return _FRACTIONS
    return ""


def _with_holes(candidate: Candidate, book: _Book) -> tuple[FloatArray, ...]:
    if len(candidate.rings) == 1:
        return candidate.rings
    rings, holes, filled = join_holes(candidate.rings, candidate.claims.area)
    if holes:
        book.changed.append(("with a ring inside another, taken as a hole", candidate.name))
    if filled:
        book.changed.append(("with a ring inside another, taken as part of it", candidate.name))
    return rings


def _clipped(candidate: Candidate, rings: tuple[FloatArray, ...], on: str, book: _Book) -> tuple[tuple[FloatArray, ...], str]:
    """Outlines on their picture and in its labelled area, and why there are none."""
    height, width = candidate.picture.shape
    low, high = envelope_of(rings)[:2], envelope_of(rings)[2:]
    limits = np.array([width, height], dtype=np.float64)
    if (high <= 0).any() or (low >= limits).any():
        return (), f"outside the {on}"
    excess = max(float(-low.min()), float((high - limits).max()))
    if excess > 0:
        rings = clip_rings(rings, (height, width))
        if not rings:
            return (), f"outside the {on}"
        if excess > _SLACK_PX:
            book.changed.append((f"clipped at the {on}'s edge", candidate.name))
    if candidate.picture.area:
        inside = _within(rings, candidate.picture.area)
        if not inside:
            return (), "outside the labelled area"
        if inside is not rings:
            book.changed.append(("clipped at the edge of the labelled area", candidate.name))
        return inside, ""
    return rings, ""


def _within(rings: tuple[FloatArray, ...], area: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Outlines within others; the very same where nothing is cut."""
    import shapely

    shape, limit = geometry_of(rings), geometry_of(area)
    return rings if shapely.covers(limit, shape) else rings_of(shapely.intersection(shape, limit))


def _emptiness(rings: tuple[FloatArray, ...], picture: LabelledPicture, ground: _Ground) -> str:
    """Why outlines on a picture have no pixel to learn from; empty where they have some."""
    envelope = envelope_of(rings)
    if (envelope[2:] - envelope[:2]).max() < _MIN_SIDE_PX:
        return f"shorter than {_MIN_SIDE_PX:g} px"
    low = np.maximum(np.floor(envelope[:2]), 0).astype(int)
    high = np.minimum(np.ceil(envelope[2:]), (picture.width, picture.height)).astype(int)
    rows, cols = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    inside = polygon_mask([ring - low for ring in rings], (rows.stop - rows.start, cols.stop - cols.start))
    if not inside.any():
        return "smaller than a pixel"
    if ground.ignored:
        inside &= ~polygon_mask([ring - low for ring in ground.ignored], inside.shape)
        if not inside.any():
            return "on what is ignored"
    if picture.plain:
        return ""
    valid = ground.valid_of(picture)(rows, cols)
    return "" if valid is None or (inside & valid).any() else "on nodata"


def _object(candidate: Candidate, rings: tuple[FloatArray, ...], *, alone: bool) -> LabelledObject:
    picture = candidate.picture
    limits = np.array([picture.width, picture.height] * 2, dtype=np.float64)
    box = None
    if alone and candidate.box is not None:
        box = np.clip(candidate.box, 0, limits)
    elif alone and candidate.envelope is not None and not picture.area:
        box = np.clip(candidate.envelope, 0, limits)
    return LabelledObject(
        image_path=picture.path,
        height=picture.height,
        width=picture.width,
        rings=rings,
        category=class_name(candidate.category),
        source=picture.source,
        box=box,
        raster=picture.raster,
        group=class_name(candidate.group, ""),
        ground=picture.ground,
        area=picture.area,
    )


def _require_some(
    read: Read, objects: Sequence[LabelledObject], *, left_out_text: str, candidates: Sequence[Candidate], book: _Book
) -> None:
    fractions = [which for what, which in book.left_out if what == _FRACTIONS]
    if fractions and len(fractions) == sum(1 for c in candidates if c.rings):
        raise TrainingDataError(
            f"{read.source}: all coordinates of all outlines lie between 0 and 1 (first: {fractions[0]}), as fractions of the picture; "
            "expected pixels. Multiply them by the picture's width and height."
        )
    if not objects:
        hint = f". {read.hint}" if read.hint else ""
        raise TrainingDataError(f"{read.source} holds no usable object; left out: {left_out_text or 'nothing'}{hint}")
