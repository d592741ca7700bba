"""A detector's file: recognised by its content, read, and cut down to the rows that are of the scene."""

from __future__ import annotations

import mmap
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, get_args

import geopandas as gpd
import numpy as np
import pandas as pd

from rosgeo.errors import BoxesError, OptionError
from rosgeo.geometry.place import Coordinates
from rosgeo.types import IntArray
from rosgeo.vector.detections.coco import read_coco_boxes
from rosgeo.vector.detections.columns import find_box
from rosgeo.vector.detections.pictures import rows_of_pictures
from rosgeo.vector.detections.tables import read_table
from rosgeo.vector.detections.values import Found, PictureRef
from rosgeo.vector.detections.yolo import is_yolo, read_yolo

__all__ = ["BOX_FORMATS", "BoxFormat", "kept_rows", "read_detections", "recognise"]

BoxFormat = Literal["layer", "coco", "yolo", "yolo-seg", "xyxy", "xywh", "cxcywh"]

BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)
"""What ``--format`` takes: a layer of GDAL or GeoParquet, a detector's format, or what the four numbers of a table's box are."""

_HEAD_BYTES = 65_536
_TABLES = (".csv", ".tsv")
_PARQUET = (".parquet", ".pq", ".geoparquet")


def recognise(path: Path) -> Literal["layer", "coco", "yolo", "table"]:
    """What a file or folder of boxes is, by its content; ``layer`` for whatever GDAL is to say.

    Raises
    ------
    BoxesError
        Rows of numbers that are no YOLO, of which nothing tells what they are; video annotations.
    """
    if path.is_dir():
        texts = next(path.glob("*.txt"), None) is not None
        return "yolo" if texts and not any(next(path.glob(g), None) for g in ("*.shp", "*.gdbtable")) else "layer"
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return "layer" if _is_geoparquet(path) else "table"
    head = _head(path)
    if head is None:
        _require_utf8(path, suffix)
        return "layer"
    if head.lstrip()[:1] in ("{", "["):
        return _json_kind(path, head)
    lines = [line for line in head.splitlines() if line.strip()][:20]
    if suffix == ".txt" and is_yolo(lines[: max(len(lines) - (len(head) >= _HEAD_BYTES), 1)]):
        return "yolo"
    return _table_kind(path, lines, suffix)


def _table_kind(path: Path, lines: Sequence[str], suffix: str) -> Literal["layer", "table"]:
    """Rows of a text file: a table where its header names a box, or geometries that GDAL does not see."""
    if not lines or (suffix not in _TABLES and suffix != ".txt"):
        return "layer"
    header = [c.strip().strip('"') for c in re.split(r"[,;\t]", lines[0])]
    numbers = re.fullmatch(r"[\s\d.,;eE+-]+", lines[0]) is not None
    if numbers and len(re.split(r"[,;\s]+", lines[0].strip())) >= 4:
        raise BoxesError(
            f"{path}: rows of numbers without names, {lines[0].strip()[:40]!r}, which are no shares of a picture as YOLO has them. Say "
            "what the first four are: --format xyxy (corners), xywh (left top corner and size) or cxcywh (centre and size), in pixels"
        )
    names = {c.lower() for c in header}
    # GDAL takes a column of this name for the geometry.
    if "wkt" in names or (not find_box(header) and not names & {"geometry", "polygon"}):
        return "layer"
    return "table"


def _head(path: Path) -> str | None:
    """The beginning of a text file; None for any other."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        text = head.decode("utf-8-sig", errors="ignore" if len(head) == _HEAD_BYTES else "strict")
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text or not text.strip() else text


def _require_utf8(path: Path, suffix: str) -> None:
    """Raise BoxesError for an empty file, and for a table with boxes in another encoding than UTF-8, which GDAL takes for one without."""
    if not path.is_file() or suffix not in (*_TABLES, ".txt"):
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise BoxesError(f"{path} is empty; expected at least one box")
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    line = head.decode("utf-16" if wide else "latin-1", errors="ignore").splitlines()[0]
    if suffix in _TABLES and find_box([c.strip().strip('"') for c in re.split(r"[,;\t]", line)]):
        raise BoxesError(f"{path} is not UTF-8, so that its texts cannot be read; save it as UTF-8 (Excel: CSV UTF-8)")


def _json_kind(path: Path, head: str) -> Literal["layer", "coco", "table"]:
    if path.suffix.lower() not in (".json", ".txt", ".coco"):
        return "layer"
    if re.search(
        r'"type"\s*:\s*"(FeatureCollection|Feature|GeometryCollection|Topology|(Multi)?(Polygon|Point|LineString))"', head
    ):
        return "layer"
    if head.lstrip().startswith("["):
        keys = set(re.findall(r'"([^"]+)"\s*:', head))
        return "coco" if {"image_id", "bbox"} <= keys else "table"
    if _has(path, b'"annotations"') and (_has(path, b'"images"') or _has(path, b'"bbox"')):
        if _has(path, b'"videos"'):
            raise BoxesError(f"{path} is annotations of a video; give it to rosgeo video with its frames")
        return "coco"
    return "table" if re.match(r'\s*\{\s*"(predictions|detections)"', head) else "layer"


def _has(path: Path, key: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(key) >= 0


def _is_geoparquet(path: Path) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = int.from_bytes(data[-8:-4], "little") if data[-4:] == b"PAR1" else 0
            # No Parquet at all is GDAL's affair, and pyarrow's, to say.
            return not 0 < size <= len(data) - 8 or b"geo" in data[-8 - size : -8]
    except (OSError, ValueError):
        return True


def read_detections(
    path: Path, kind: BoxFormat | None, pictures: Sequence[PictureRef], *, where: str | None = None
) -> tuple[gpd.GeoDataFrame, Coordinates, IntArray | None] | None:
    """Read a detector's file.

    Parameters
    ----------
    path : Path
        A file or folder.
    kind : str, optional
        One of `BOX_FORMATS`, as the user says; None to recognise it.
    pictures : sequence of PictureRef
        The scenes.
    where : str, optional
        An SQL condition on the columns. It chooses the rows instead of the names of the pictures.

    Returns
    -------
    frame : GeoDataFrame
        The rows that are of the scenes, without CRS; the index holds their numbers in the file, from 0.
    coordinates : {"pixel", "either"}
    picture : int64 array (N,) or None
        On which of `pictures` each row is; None where the file tells nothing of pictures.

    None where the file is a layer.

    Raises
    ------
    BoxesError, OptionError
        The file is none of its format, has no boxes of the scenes, or does not tell of which of several scenes they are.
    """
    found = _read(path, kind, pictures)
    if found is None:
        return None
    index = np.arange(len(found.table))
    chosen = np.ones(len(index), dtype=bool)
    if where is not None:
        chosen = kept_rows(found.table, where, str(path))
    picture = rows_of_pictures(found, pictures, str(path), checked=where is None, among=chosen)
    if picture is not None:
        chosen &= picture >= 0
        picture = picture[chosen]
    table = found.table.loc[chosen].copy()
    table = table.drop(columns=[c for c in table.columns if c == "geometry"])
    frame = gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(found.geometry[chosen], index=table.index))
    frame.index = pd.Index(index[chosen])
    return frame, found.coordinates, picture


def _read(path: Path, kind: BoxFormat | None, pictures: Sequence[PictureRef]) -> Found | None:
    what = kind or recognise(path)
    if what == "layer":
        return None
    if what == "coco":
        return read_coco_boxes(path)
    if what in ("yolo", "yolo-seg"):
        return read_yolo(path, pictures, outlines=what == "yolo-seg")
    return read_table(path, None if what == "table" else what, pictures)  # type: ignore[arg-type]


def kept_rows(table: pd.DataFrame, where: str, name: str) -> np.typing.NDArray[np.bool_]:
    """Which rows (N,) meet an SQL condition, as SQLite understands it; raises OptionError where it does not."""
    plain = pd.DataFrame(
        {c: [v if v is None or np.isscalar(v) else str(v) for v in table[c].astype(object)] for c in table.columns}
    )
    plain = plain.astype(object).where(plain.notna(), None)
    chosen = np.zeros(len(table), dtype=bool)
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            plain.to_sql("boxes", database, index=False)
            rows = [row - 1 for (row,) in database.execute(f"SELECT rowid FROM boxes WHERE ({where})")]
    except (sqlite3.Error, sqlite3.Warning, pd.errors.DatabaseError, ValueError) as error:
        raise OptionError(
            f"--where {where!r} is not understood by {name}, whose columns are: {', '.join(map(str, table.columns))}"
        ) from error
    chosen[rows] = True
    return chosen
