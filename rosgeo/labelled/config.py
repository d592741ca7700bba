"""Where labelled objects come from and how they are divided, as frozen values: the part ``data`` of a training configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from rosgeo.errors import ConfigError

__all__ = ["DataConfig", "DataSource", "SplitConfig"]

Kind = Literal["auto", "coco", "raster", "masks", "frames", "yolo", "labelme", "labelstudio"]

_OF_ALL = {"bands", "stretch", "nodata", "parts", "ignore"}
_KEYS_OF_KIND = {
    "auto": {"path", "annotations", "images", "subset"},
    "coco": {"path", "annotations", "images"},
    "raster": {"raster", "labels", "layer", "where", "class_column", "labels_crs", "y_axis", "area", "dem", "height"},
    "masks": {"path"},
    "frames": {"path", "masks"},
    "yolo": {"path", "subset"},
    "labelme": {"path", "images"},
    "labelstudio": {"path", "images"},
}
_NEEDED_OF_KIND = {"raster": ("raster", "labels"), "frames": ("path", "masks")}


@dataclass(frozen=True)
class DataSource:
    """Where labelled objects come from.

    Attributes
    ----------
    kind : {"auto", "coco", "raster", "masks", "frames", "yolo", "labelme", "labelstudio"}
        ``auto``: as `path` shows (see `recognised`). ``coco``: a COCO file and its pictures. ``raster``: a raster, and a layer of polygons
        or a raster of numbers. ``masks``: the ROS-SAM reference's folder with ``img/``, ``boxes/`` and ``onehotmask/``. ``frames``: video
        frames and their masks in the layout of DAVIS. ``yolo``: a folder with ``data.yaml``, or with ``images/`` and ``labels/``.
        ``labelme``: pictures with a JSON file each. ``labelstudio``: Label Studio's own JSON file.
    path : str
        The folder, or the file that describes it; the pictures of a clip, or a folder of such folders (frames).
    masks : str
        Indexed PNGs of the frames' names, in folders of the same shape (frames).
    annotations : str
        Name of the COCO file in the folder; empty: the one that is there.
    images : str
        Folder of the pictures, where they lie in none of the usual ones (coco, labelme, labelstudio).
    subset : str
        Which part of a YOLO set: ``train``, ``val``, ``test``, or ``all``; empty: the only one, or all where the split is by the column
        ``subset``.
    raster, labels : str
        Picture and polygons, or object numbers as a raster in any CRS and resolution (raster).
    layer, where, labels_crs : str or None
        Layer of `labels`, an SQL condition on its attributes, its CRS where it has none (``pixel``: pixel coordinates, ``raster``:
        those of the raster). Without `where`, of a layer that rosgeo wrote the rows with the status ``ok`` or ``corrected`` are taken.
    y_axis : {"auto", "down", "up"}
        Of labels in pixels, as ``rosgeo segment --y-axis``.
    class_column : str or None
        Column that holds the class; without it all are of class ``object``.
    bands : str or None
        As ``rosgeo segment --bands``.
    stretch : str
        As ``rosgeo segment --stretch``.
    nodata, dem, height : float or str, str, float; or None
        As ``rosgeo segment --nodata``, ``--dem`` and ``--height``; the latter two of a raster.
    parts : {"keep", "split"}
        Whether the parts of a label are one object, or each is one. Where they are split, numbers of masks are classes.
    ignore : tuple of str
        What counts neither as object nor as ground: classes, numbers of masks or, of a raster, files of polygons.
    area : str
        Layer of polygons of the labelled part of a raster. Labels are clipped to it, and crops show nothing outside. Areas without common
        ground may be on two sides of a run, of the same raster.
    """

    kind: Kind = "auto"
    path: str = ""
    masks: str = ""
    annotations: str = ""
    images: str = ""
    subset: str = ""
    raster: str = ""
    labels: str = ""
    layer: str | None = None
    where: str | None = None
    class_column: str | None = None
    labels_crs: str | None = None
    y_axis: Literal["auto", "down", "up"] = "auto"
    bands: str | None = None
    stretch: str = "auto"
    nodata: float | str | None = None
    dem: str | None = None
    height: float | None = None
    parts: Literal["keep", "split"] = "keep"
    ignore: tuple[str, ...] = ()
    area: str = ""

    def __post_init__(self) -> None:
        if self.kind == "auto" and self.raster:
            raise ConfigError("a source with the key 'raster' needs kind: raster")
        for key in _NEEDED_OF_KIND.get(self.kind, ("path",)):
            if not getattr(self, key):
                raise ConfigError(f"a source of kind {self.kind} needs the key {key!r}")
        for f in fields(self):
            if f.name != "kind" and f.name not in _KEYS_OF_KIND[self.kind] | _OF_ALL and getattr(self, f.name) != f.default:
                raise ConfigError(f"a source of kind {self.kind} has no key {f.name!r}")

    @property
    def name(self) -> str:
        """For messages."""
        return self.raster or self.path


@dataclass(frozen=True)
class SplitConfig:
    """How the objects of `train` are divided where `val` is empty.

    Attributes
    ----------
    by : {"file", "column", "blocks"}
        ``file``: whole pictures; rasters that show common ground count as one, and so do the frames of a clip. ``column``: all objects
        with one value of `column` lie on one side; ``train`` and ``val`` (``valid``, ``validation``, ``dev``) are taken at their word, and
        ``test`` is on neither side, as is what has no value. ``blocks``: squares of
        `block_px` of each picture, of a clip in all its frames; objects on a seam are left out, and training crops do not show the ground
        of validation blocks.
    share : float
        Of the objects that go to validation, about.
    column : str or None
        Of a raster's labels, or a key of a COCO file's images.
    block_px : int
        Side of a block in pixels.
    seed : int
        Of the draw.
    """

    by: Literal["file", "column", "blocks"] = "file"
    share: float = 0.2
    column: str | None = None
    block_px: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by == "column" and not self.column:
            raise ConfigError("split by column needs the key 'column'")
        if not 0 < self.share < 1:
            raise ConfigError(f"split share {self.share}: expected a number between 0 and 1")
        if self.block_px < 1:
            raise ConfigError(f"split block_px {self.block_px}: expected at least 1 px")


@dataclass(frozen=True)
class DataConfig:
    """The labelled objects.

    Attributes
    ----------
    train, val : tuple of DataSource
        For training and for choices.
    split : SplitConfig or None
        Makes a validation part where `val` is empty; None: no validation.
    same_ground : bool
        Allows the same picture on both sides, as for a test of memorising.
    """

    train: tuple[DataSource, ...] = ()
    val: tuple[DataSource, ...] = ()
    split: SplitConfig | None = None
    same_ground: bool = False

    def __post_init__(self) -> None:
        if not self.train:
            raise ConfigError("no training data: name a source under 'data: train', or a COCO folder under 'train'")
        if self.val and self.split is not None:
            raise ConfigError("both 'val' and 'split' are given; expected one of them")
