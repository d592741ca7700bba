"""A layer of boxes as a run takes it: read once, with all that is wrong with its columns found before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import geopandas as gpd
import numpy as np

from rosgeo.addresses.secrets import without_secrets
from rosgeo.errors import BoxesError, OptionError
from rosgeo.files.names import is_there
from rosgeo.geometry.place import Coordinates
from rosgeo.types import BoolArray, IntArray
from rosgeo.vector.detections.columns import BoxKind
from rosgeo.vector.detections.read import BOX_FORMATS, BoxFormat, read_detections
from rosgeo.vector.detections.values import PictureRef
from rosgeo.vector.layers.columns import with_index
from rosgeo.vector.layers.objects import BoxObject, box_frame
from rosgeo.vector.layers.polygons import only_polygons
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import check_columns, output_driver
from rosgeo.vector.result import refuse_clashing_columns

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["BoxLayer", "read_box_layer"]


@dataclass(frozen=True)
class BoxLayer:
    """N boxes with their attributes.

    Attributes
    ----------
    frame : GeoDataFrame (N rows)
    name : str
        For messages and the record.
    rows : int64 array (N,)
        Row of the input, or of its layer, that each box is.
    coordinates : {"layer", "pixel", "either"}
        What the format tells of them; see `rosgeo.geometry.place.Coordinates`.
    picture : int64 array (N,) or None
        Of which of the scenes each box is; None where nothing tells, so that it may be of any.
    """

    frame: gpd.GeoDataFrame
    name: str
    rows: IntArray
    coordinates: Coordinates = "layer"
    picture: IntArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> gpd.GeoDataFrame:
        """The boxes with what is written of them as columns; an index that counts rows is none."""
        return with_index(self.frame, self.rows)

    def of(self, chosen: BoolArray) -> BoxLayer:
        """Those of some rows (N,)."""
        picture = None if self.picture is None else self.picture[chosen]
        return replace(self, frame=self.frame[chosen], rows=self.rows[chosen], picture=picture)


def read_box_layer(
    boxes: Any,
    *,
    layer: str | None = None,
    where: str | None = None,
    boxes_crs: str | CRS | None = None,
    box_format: str | None = None,
    pictures: Sequence[PictureRef] = (),
    outputs: Sequence[str | Path] = (),
    class_column: str | None = None,
) -> BoxLayer:
    """Read the boxes of a run.

    Parameters
    ----------
    boxes : path or object
        A layer (see `read_boxes`), a detector's file or folder (see `rosgeo.vector.detections`), or what `box_frame` takes.
    layer, where, boxes_crs
        See `read_boxes`.
    box_format : str, optional
        One of `BOX_FORMATS`; None to recognise it.
    pictures : sequence of PictureRef
        The scenes, by which a detector's file names what its boxes are on.
    outputs : sequence of path
        Their formats must take the columns of the boxes.
    class_column : str, optional
        The boxes must have it, and one of `outputs` be COCO.

    Raises
    ------
    InputFileNotFoundError, BoxesError, OptionError
        See `read_boxes`; a column has the name of one of rosgeo's; there is no `class_column`, or nothing that uses it.
    OutputError
        An output cannot hold the columns.
    """
    from_file = isinstance(boxes, str | Path)
    name = without_secrets(str(boxes)) if from_file else "the GeoDataFrame" if isinstance(boxes, gpd.GeoDataFrame) else "the boxes"
    if box_format is not None and box_format not in BOX_FORMATS:
        raise OptionError(f"--format {box_format!r}: expected one of {', '.join(BOX_FORMATS)}")
    if not from_file and (layer is not None or where is not None):
        raise OptionError(f"layer and where select from a file; a {type(boxes).__name__} was given")
    read = _detections(str(boxes), box_format, pictures, layer, where) if from_file else _objects(boxes, box_format, pictures)
    if read is None:
        frame = read_boxes(boxes, layer=layer, where=where, boxes_crs=boxes_crs)
        read = BoxObject(frame, "layer", None, frame.index.to_numpy(dtype=np.int64) if from_file else np.arange(len(frame)))
    frame = read.frame
    refuse_clashing_columns(frame, name)
    found = BoxLayer(frame, name, read.rows, read.coordinates, read.picture)
    for output in outputs:
        check_columns(found.columns, output)
    if class_column is not None:
        _require_class(class_column, frame, name, outputs)
    return found


def _detections(
    name: str, box_format: str | None, pictures: Sequence[PictureRef], layer: str | None, where: str | None
) -> BoxObject | None:
    """A detector's file; None where the file is a layer, or is for `read_boxes` to refuse."""
    path = Path(name)
    if not name.strip() or not is_there(path) or layer is not None or (where is not None and not where.strip()):
        if layer is not None and box_format not in (None, "layer"):
            raise OptionError(f"--layer is of a layer; --format {box_format} has none")
        return None
    found = read_detections(path, cast(BoxFormat | None, box_format), pictures, where=where)
    if found is None:
        return None
    frame, coordinates, picture = found
    if not len(frame):
        raise BoxesError(f"{name} holds no boxes" + (f" where {where}" if where else "") + "; expected at least one")
    return BoxObject(only_polygons(frame, name), coordinates, picture, frame.index.to_numpy(dtype=np.int64))


def _objects(boxes: Any, box_format: str | None, pictures: Sequence[PictureRef]) -> BoxObject | None:
    """Boxes in memory; None where they are a layer."""
    kind = cast(BoxKind, box_format) if box_format in ("xyxy", "xywh", "cxcywh") else None
    found = box_frame(boxes, kind, pictures)
    if found.coordinates == "layer":
        return None
    if not len(found.frame):
        raise BoxesError("there are no boxes; expected at least one")
    return found._replace(frame=only_polygons(found.frame, "the boxes"))


def _require_class(column: str, frame: gpd.GeoDataFrame, boxes_name: str, outputs: Sequence[str | Path]) -> None:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    if column not in columns:
        raise OptionError(f"--class-column {column!r}: {boxes_name} has no such column; it has: {', '.join(columns) or 'none'}")
    if not any(output_driver(o) == "COCO" for o in outputs):
        raise OptionError("--class-column names the categories of a COCO result; add one with -o FILE.json, or leave it out")
