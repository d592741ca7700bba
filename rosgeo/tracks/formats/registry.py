"""All formats of tracks, the particular ones before the general ones that would take them too."""

from __future__ import annotations

from pathlib import Path

from rosgeo.errors import OptionError, TracksError
from rosgeo.tracks.formats import (
    aicity,
    birdsai,
    boxmot,
    coco_video,
    csv_table,
    cvat,
    dota,
    kitti,
    label_studio,
    layer,
    mot,
    pysot,
    satmtb,
    scalabel,
    single,
    sv248s,
    uavdt,
    ultralytics,
    viame,
    visdrone,
    viso,
    voc,
    ytvis,
)
from rosgeo.tracks.options import TrackFormat

__all__ = ["FORMATS", "TARGETS", "format_named", "recognise"]

FORMATS: dict[str, TrackFormat] = {
    f.name: f
    for f in (
        sv248s.FORMAT,
        layer.FORMAT,
        ytvis.FORMAT,
        coco_video.FORMAT,
        label_studio.FORMAT,
        scalabel.FORMAT,
        viame.DIVE,
        pysot.FORMAT,
        viame.VIAME,
        csv_table.FORMAT,
        cvat.CVAT_VIDEO,
        cvat.CVAT_IMAGES,
        kitti.FORMAT,
        satmtb.FORMAT,
        viso.FORMAT,
        visdrone.FORMAT,
        uavdt.FORMAT,
        birdsai.FORMAT,
        aicity.FORMAT,
        boxmot.BOXMOT,
        boxmot.MMOT,
        mot.CVAT_MOT,
        mot.MOT,
        voc.IMAGENET_VID,
        voc.ROLABELIMG,
        voc.VOC,
        single.OOTB,
        single.SATSOT,
        single.OTB,
        ultralytics.FORMAT,
        dota.FORMAT,
    )
}
"""By name, in the order in which they are tried."""

TARGETS = tuple(f.name for f in FORMATS.values() if f.write is not None)
"""Names of those that can be written."""


def format_named(name: str) -> TrackFormat:
    """A format by its name; raises OptionError with the names that there are."""
    if name not in FORMATS:
        raise OptionError(f"no format of tracks is called {name!r}; expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def recognise(path: Path) -> TrackFormat | None:
    """The format of a path that exists, or None.

    Raises
    ------
    TracksError
        Several formats of one family fit: nothing in the file tells which of them it is.
    """
    found = next((f for f in FORMATS.values() if f.recognise(path)), None)
    if found is None or not found.family:
        return found
    rivals = [f for f in FORMATS.values() if f.family == found.family and f.recognise(path)]
    if len(rivals) > 1:
        listed = [f"{f.name} ({f.label})" for f in rivals]
        named = f"{', '.join(listed[:-1])} and {listed[-1]}"
        choice = " or ".join(f"--from {f.name}" for f in rivals)
        raise TracksError(f"{path}: its format is not clear, {named} fit; say {choice} (of rosgeo video: --format)")
    return found
