"""SAT-MTB, objects in satellite videos: the MOT file and the XML of each frame of a sequence.

Layout (Li et al., A Multitask Benchmark Dataset for Satellite Video, IEEE TGRS 2023): the data set's own description was not at
hand; this is what two independent readers of it do, github.com/cosmosindex/esa_dlstem (datasets/satmtb.py, which documents the
folders) and an evaluation script of MP2Net. ``CATEGORY/NN/`` holds ``img/000001.png``, ``mot/NN`` or ``mot/NN.txt``
(``frame,id,x,y,w,h,conf,class,visibility,...`` with class 0 car, 1 airplane, 2 ship, 3 train), and ``det/HBB/000001.xml`` and
``det/OBB/000001.xml``: Pascal VOC's ``object`` with ``name`` (of 14 fine classes such as WA or NV), ``objectID``, which is the same
through the frames, and ``bndbox`` (``xmin ymin xmax ymax``) or ``robndbox`` (``x0 y0 ... x3 y3``). Of a sequence's folder the MOT
file is read where there is one, else OBB, else HBB; name one of them to read that.

``sot/ID/groundtruth.txt`` has left, top, width, height of one object a line (github.com/jiawei-zhou/MemTrack,
lib/train/dataset/satmtb.py). Not confirmed: whether the first pixel is 0 or 1 (taken as 0 in all of them; ``first_pixel`` says
otherwise). The masks in ``seg/`` are not read. Pascal VOC files of other sets are read as ``voc``.
"""

from __future__ import annotations

from pathlib import Path

from rosgeo.errors import TracksError
from rosgeo.tracks.mot_columns import MotColumns, read_mot_columns
from rosgeo.tracks.mot_rules import FAMILY, mot_candidates
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.single_object import read_single
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.voc_source import read_voc, voc_tags

__all__ = ["FORMAT"]

_CLASSES = {0: "car", 1: "airplane", 2: "ship", 3: "train"}
_FIRST = 1
_LAYOUT = MotColumns("satmtb", ("score", "class", "visibility"), "class", _CLASSES)


def _locate(path: Path) -> Path | None:
    """The MOT file, the box a line of one object, or the folder of XML files that a path means."""
    if path.is_file():
        return path
    motion = sorted(p for p in (path / "mot").glob("*") if p.is_file() and not p.name.startswith("."))
    if motion:
        return motion[0]
    if (path / "groundtruth.txt").is_file():
        return path / "groundtruth.txt"
    return next((f for f in (path / "det" / "OBB", path / "det" / "HBB", path) if next(f.glob("*.xml"), None)), None)


def _of_one_object(file: Path) -> str:
    """The class that the folders above sot/ID/groundtruth.txt tell; nothing elsewhere."""
    above = file.resolve().parts[-5:-1]
    return above[0] if len(above) == 4 and above[0] in _CLASSES.values() and above[2] == "sot" else ""


def _recognise(path: Path) -> bool:
    found = _locate(path)
    if found is None:
        return False
    if found.is_dir():
        tags = voc_tags(found)
        return bool(tags) and (
            ("objectID" in tags and "cx" not in tags) or (found.parent.name == "det" and found.name in ("HBB", "OBB"))
        )
    return "satmtb" in mot_candidates(found) or bool(_of_one_object(found))


def _read(path: Path, options: ReadOptions) -> Tracks:
    found = _locate(path)
    if found is None:
        raise TracksError(
            f"{path} has no mot/, no det/OBB or det/HBB, no groundtruth.txt and no .xml files; expected the folder of a SAT-MTB sequence"
        )
    if found.is_dir() or found.suffix.lower() == ".xml":
        return read_voc(found, "satmtb", options, first=_FIRST)
    if _of_one_object(found):
        return read_single(found, "satmtb", options, category=_of_one_object(found))
    return read_mot_columns(_LAYOUT, found, options, _FIRST)


FORMAT = TrackFormat(
    "satmtb",
    "SAT-MTB: MOT file, det/HBB, det/OBB, sot/ID, or a sequence's folder",
    "SAT-MTB",
    Origin(0, _FIRST, "two independent readers; pixels: not told, taken from 0 in all its files"),
    _recognise,
    _read,
    family=FAMILY,
)
