"""Pascal VOC's XML, a file a frame: ImageNet VID, roLabelImg, and plain files.

``imagenet-vid`` (Russakovsky et al., ILSVRC, IJCV 2015): ``Annotations/VID/.../ILSVRC2015_val_00030000/000000.xml``, an ``object``
has ``trackid``, ``name``, ``bndbox``, ``occluded`` and ``generated``; frames are numbered from 000000, pixels from 0 (boxes begin
at 0; readers such as MMTracking's take the numbers as they stand).

``rolabelimg`` (github.com/cgvict/roLabelImg): ``robndbox`` with ``cx``, ``cy``, ``w``, ``h`` and ``angle``, radians from the x axis
towards y; pixels as drawn, from 0.

``voc`` (Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010): ``bndbox`` with ``xmin``, ``ymin``, ``xmax``,
``ymax``. "The top-left pixel in the image has coordinates (1, 1)", and ``xmax`` is the last pixel of the object; Detectron2 reads
it so too. Objects belong to no track (id -1). Tools that write such files from pixels counted from 0 do not say so: ``first_pixel``
does.

Every child of an ``object`` that is text is a column.
"""

from __future__ import annotations

from pathlib import Path

from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat
from rosgeo.tracks.values import Tracks
from rosgeo.tracks.voc_source import read_voc, voc_tags

__all__ = ["IMAGENET_VID", "ROLABELIMG", "VOC"]


def _recognise_vid(path: Path) -> bool:
    return "trackid" in voc_tags(path)


def _recognise_rolabelimg(path: Path) -> bool:
    tags = voc_tags(path)
    return "robndbox" in tags and "cx" in tags


def _recognise_voc(path: Path) -> bool:
    return bool(voc_tags(path))


def _read_vid(path: Path, options: ReadOptions) -> Tracks:
    return read_voc(path, "imagenet-vid", options, first=None)


def _read_rolabelimg(path: Path, options: ReadOptions) -> Tracks:
    return read_voc(path, "rolabelimg", options, first=None)


def _read_voc(path: Path, options: ReadOptions) -> Tracks:
    return read_voc(path, "voc", options, first=None, last_included=True)


IMAGENET_VID = TrackFormat(
    "imagenet-vid",
    "ImageNet VID: Pascal VOC XML a frame with trackid",
    "ImageNet VID",
    Origin(0, None, "ILSVRC2015: boxes begin at 0, files at 000000"),
    _recognise_vid,
    _read_vid,
)
ROLABELIMG = TrackFormat(
    "rolabelimg",
    "roLabelImg: XML a frame with robndbox of centre, size and angle",
    "roLabelImg",
    Origin(0, None, "drawn coordinates of the tool; frames by the names of files"),
    _recognise_rolabelimg,
    _read_rolabelimg,
)
VOC = TrackFormat(
    "voc",
    "Pascal VOC XML a frame, without tracks",
    "Pascal VOC",
    Origin(1, None, "VOC development kit: the top-left pixel is (1, 1); frames by the names of files"),
    _recognise_voc,
    _read_voc,
)
