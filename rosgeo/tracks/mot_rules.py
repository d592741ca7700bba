"""Which of the formats whose rows begin with frame, track and box a file is: by its place, and by the values that each cannot have.

Every file with such rows is MOTChallenge's at first sight, but a row of MOTChallenge has at most 10 columns, its visibility is no more than
1, and so on. What stays possible is named; that are several where the values do not tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rosgeo.tracks.corner_shapes import are_boxes, go_round, there
from rosgeo.tracks.mot_rows import class_labels, sequence_sample
from rosgeo.tracks.number_sample import NumberSample, most, within
from rosgeo.types import BoolArray

__all__ = ["FAMILY", "mot_candidates", "oriented"]

FAMILY = "rows of frame, track and box"
"""The family of these formats, see `TrackFormat.family`."""

_TURN = 2 * np.pi
_DEGREES = 360

_VISO = ("car", "plane", "ship", "train")
_SATMTB = ("airplane", "car", "ship", "train")


def mot_candidates(path: Path) -> tuple[str, ...]:
    """Names of the formats that a file or a sequence's folder can be; none where its rows are others."""
    found = sequence_sample(path)
    if found is None:
        return ()
    file, sample = found
    for name, placed in _PLACES:
        if placed(file, sample):
            return (name,)
    return _by_values(sample)


def oriented(file: Path, sample: NumberSample | None) -> bool:
    """Whether rows of BoxMOT are oriented boxes: named so, or with values that only those have."""
    if sample is None or sample.count not in (9, 10):
        return False
    return "obb" in file.stem.lower() or (_oriented_10(sample) if sample.count == 10 else _oriented_9(sample))


def _by_values(sample: NumberSample) -> tuple[str, ...]:
    if 10 <= sample.count <= 13 and _corners_after_ids(sample):
        return ("mmot",)
    if sample.count > 10:
        return ()
    if sample.count == 8:
        return ("mot",) if _mot_8(sample) else ()
    fitting = tuple(dict.fromkeys(name for name, count, fits in _VALUES if count == sample.count and fits(sample)))
    if fitting and not _only_other(sample, fitting):
        return (*fitting, "mot")
    return fitting or ("mot",)


def _only_other(sample: NumberSample, fitting: tuple[str, ...]) -> bool:
    """Whether the values cannot be MOTChallenge's too."""
    if "viso" in fitting or (fitting == ("visdrone",) and (_is_result(sample) or not _is(sample, 7, 0, 11))):
        return False
    if fitting == ("boxmot",) and sample.count == 9:
        return not _mot_truth(sample)
    if fitting == ("boxmot",):
        # Places on the ground, or one number for all three, are no confidence, class and visibility, but can be.
        alike, place = np.ptp(sample.values[:, 7:], axis=1) == 0, _parts(sample, 9) or most(sample.column(9) == 0)
        return not most(_confidence(sample, 6) & (alike | place))
    if fitting == ("uavdt",):
        return bool((sample.column(8) > 1).any())
    if fitting == ("aicity",):
        return not (_mot_truth(sample) or (_is_class(sample, 7) and most(sample.column(8) == -1) and not _without_ground(sample)))
    return True


# What a column can be.


def _is(sample: NumberSample, column: int, low: float, high: float) -> bool:
    return most(within(sample.column(column), low, high, whole=True))


def _confidence(sample: NumberSample, column: int) -> BoolArray:
    values = sample.column(column)
    fits: BoolArray = np.logical_or(within(values, 0, 1), values == -1)
    return fits


def _parts(sample: NumberSample, column: int) -> bool:
    """Whether a column has values that are no whole numbers."""
    return not most(within(sample.column(column), -(2**53), 2**53, whole=True))


def _is_class(sample: NumberSample, column: int) -> bool:
    return _is(sample, column, -1, 10_000)


def _corners_after_ids(sample: NumberSample) -> bool:
    """Whether the third to tenth number are points in order round a box; with as many columns as other formats have, of a rectangle."""
    corners = there(sample.values[:, 2:10].reshape(-1, 4, 2))
    return 2 * go_round(corners).sum() >= len(corners) if sample.count == 13 else most(are_boxes(corners))


def _mot_8(sample: NumberSample) -> bool:
    """A confidence and a class in the last two columns; else eight numbers are the corners of a box, or VisDrone's of a picture."""
    if not _is_class(sample, 7) or (_is(sample, 5, 0, 11) and _is(sample, 4, 0, 1)):
        return False
    return most(_confidence(sample, 6)) or not most(are_boxes(there(sample.values.reshape(-1, 4, 2))))


def _visdrone(sample: NumberSample) -> bool:
    """Score, category, truncation, occlusion; a box that is considered has a category. Of results the last two are -1.

    Categories above 11 are none of its own, but nothing else has such columns.
    """
    if not _is(sample, 7, 0, 100):
        return False
    truth = _is(sample, 6, 0, 1) and _is(sample, 8, 0, 1) and _is(sample, 9, 0, 2)
    return (truth and most((sample.column(6) == 0) | (sample.column(7) > 0))) or (_is(sample, 7, 0, 11) and _is_result(sample))


def _is_result(sample: NumberSample) -> bool:
    return most((sample.column(8) == -1) & (sample.column(9) == -1))


def _birdsai(sample: NumberSample) -> bool:
    """Class (0 animal, 1 human), species (0 for a human), occluded, noisy frame."""
    human, species = sample.column(6) == 1, sample.column(7)
    flags = _is(sample, 6, 0, 1) and _is(sample, 7, -1, 8) and _is(sample, 8, 0, 1) and _is(sample, 9, 0, 1)
    return sample.commas and flags and most(np.where(human, species <= 0, species != 0))


def _uavdt(sample: NumberSample) -> bool:
    """Out-of-view, occlusion, category; no confidence or no visibility, since one of them is above 1 somewhere."""
    ranges = _is(sample, 6, 1, 3) and _is(sample, 7, 1, 4) and _is(sample, 8, 1, 3)
    hidden = (sample.values[:, [6, 7]] > 1).any(axis=0).all() and sample.column(0).min() >= 1
    return ranges and bool((sample.column(8) > 1).any() or hidden)


def _oriented_10(sample: NumberSample) -> bool:
    """Angle, confidence, class, visibility, -1 for none; also with degrees, which the reader refuses. No confidence of a box is 0."""
    scored = within(sample.column(7), 0, 1) & (sample.column(7) > 0)
    ranges = most(within(sample.column(6), -_DEGREES, _DEGREES) & scored & _confidence(sample, 9)) and _is(sample, 8, 0, 10_000)
    return ranges and (_parts(sample, 6) or bool((sample.column(8) > 1).any() or (np.abs(sample.column(6)) > _TURN).any()))


def _oriented_9(sample: NumberSample) -> bool:
    """Angle, confidence, class; no confidence of MOTChallenge's truth is above 1, and no class of it has parts."""
    if not (most(within(sample.column(7), 0, 1)) and _is(sample, 8, 0, 10_000) and _parts(sample, 6)):
        return False
    if _parts(sample, 7):
        return most(within(sample.column(6), -_DEGREES, _DEGREES))
    return most(within(sample.column(6), -_TURN, _TURN)) and not most(_confidence(sample, 6))


def _viso_corners(sample: NumberSample) -> bool:
    """x1 y1 x2 y2 parted by spaces: in no row of the file lies the second pair before the first. Trackers write -1 after a box."""
    x1, y1, x2, y2 = sample.values[:, 2:6].T
    tracker = most(sample.column(6) == -1) or (_parts(sample, 6) and most((sample.values[:, 7:] == -1).all(axis=1)))
    return not sample.commas and bool(((x2 >= x1) & (y2 >= y1)).all()) and not tracker


def _aicity(sample: NumberSample) -> bool:
    """Camera, track, frame, left, top, width, height, two places on the ground; a height is more than a confidence."""
    ids = _is(sample, 0, 0, 1000) and _is(sample, 1, 0, 2**53) and _is(sample, 2, 0, 2**53)
    # Parted by commas as no file of the challenge is, it may be an angle too.
    return ids and most(sample.column(6) > (_TURN if sample.commas else 1))


def _without_ground(sample: NumberSample) -> bool:
    """The places on the ground are left out, as results of AI City have them: parted by spaces, and both -1."""
    return not sample.commas and most((sample.values[:, 7:9] == -1).all(axis=1))


def _mot_truth(sample: NumberSample) -> bool:
    """Class and visibility in the last two columns."""
    return most(within(sample.column(8), 0, 1)) and _is(sample, 7, 0, 10_000)


_VALUES: tuple[tuple[str, int, Callable[[NumberSample], bool]], ...] = (
    ("visdrone", 10, _visdrone),
    ("birdsai", 10, _birdsai),
    ("boxmot", 10, _oriented_10),
    ("boxmot", 9, _oriented_9),
    ("viso", 10, _viso_corners),
    ("uavdt", 9, _uavdt),
    ("aicity", 9, _aicity),
)

# Where a file lies and what it is called.


def _of_visdrone(file: Path, sample: NumberSample) -> bool:
    named = re.fullmatch(r"uav\d{7}_\d{5}_[a-z]", file.stem) is not None
    placed = file.resolve().parent.name == "annotations" and (file.resolve().parent.parent / "sequences").is_dir()
    return (named or placed) and sample.count == 10


def _of_uavdt(file: Path, sample: NumberSample) -> bool:
    return re.match(r"M\d{4}_gt", file.stem) is not None and sample.count in (9, 10)


def _of_satmtb(file: Path, sample: NumberSample) -> bool:
    above = file.resolve().parts[-4:-1]
    return len(above) == 3 and above[0] in _SATMTB and above[2] == "mot" and sample.count <= 11


def _of_viso(file: Path, sample: NumberSample) -> bool:
    above = file.resolve().parts[-5:-1]
    # A folder train is also that of a split, as in MOT17/train/MOT17-02/gt.
    known = (
        len(above) == 4
        and above[0] == "mot"
        and above[3] == "gt"
        and above[1] in _VISO
        and not (file.parent.parent / "seqinfo.ini").exists()
    )
    return known and 6 <= sample.count <= 10 and (sample.commas or above[1] in ("plane", "ship"))


def _of_aicity(file: Path, sample: NumberSample) -> bool:
    camera = re.search(r"[/\\]S\d{2}[/\\]c\d{3}[/\\]", str(file.resolve())) is not None and sample.count == 10
    return camera or (re.match(r"(track\d|mtmc|mtsc)", file.stem.lower()) is not None and sample.count == 9 and not sample.commas)


def _of_cvat(file: Path, sample: NumberSample) -> bool:
    return sample.count <= 10 and file.name == "gt.txt" and class_labels(file) is not None


def _of_boxmot(file: Path, sample: NumberSample) -> bool:
    if "obb" in file.stem.lower():
        return sample.count in (9, 10)
    return sample.count <= 10 and file.with_name(f"{file.stem}_obb{file.suffix}").is_file()


_PLACES: tuple[tuple[str, Callable[[Path, NumberSample], bool]], ...] = (
    ("visdrone", _of_visdrone),
    ("uavdt", _of_uavdt),
    ("satmtb", _of_satmtb),
    ("viso", _of_viso),
    ("aicity", _of_aicity),
    ("cvat-mot", _of_cvat),
    ("boxmot", _of_boxmot),
)
