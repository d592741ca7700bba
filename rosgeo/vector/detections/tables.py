"""Tables with a box a row: CSV, TSV, Parquet, JSON lists of objects; DeepForest, detectree2, SAHI, supervision, ultralytics write such.

Numbers are pixels, y downwards, or coordinates of a map, which the table does not tell. All columns are kept. A box is found by the names
of its columns (`rosgeo.vector.detections.columns`) or, where there is none, as text in a column ``geometry``.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from rosgeo.errors import BoxesError, PixelFrameWarning
from rosgeo.types import FloatArray
from rosgeo.vector.detections.columns import BoxColumns, BoxKind, boxes_of_kind, find_box, plain_name
from rosgeo.vector.detections.values import Found, PictureRef, polygons_from

__all__ = ["flat_record", "read_table", "table_boxes", "typed"]

_NOTHING = {"", "nan", "na", "none", "null"}
_PICTURE_NAMES = ("imagepath", "filename", "imagename", "image", "img", "imgpath", "imageid", "imgid")
"""Columns that tell on which picture a box is, the likeliest first."""
_GEOMETRY_NAMES = ("geometry", "wkt", "polygon", "geom")
_SLACK_PX = 1.0
_NESTED = ("box", "bbox", "boundingbox")


def read_table(path: Path, kind: BoxKind | None, pictures: Sequence[PictureRef]) -> Found:
    """Read a table; `kind` is what the user says that a box is.

    Raises
    ------
    BoxesError
        It is no table, has no column for a box, or a cell of it that is no number.
    """
    table = _load(path)
    return table_boxes(table, kind, pictures, str(path))


def table_boxes(table: pd.DataFrame, kind: BoxKind | None, pictures: Sequence[PictureRef], name: str) -> Found:
    """The boxes of a table that is in memory; see `read_table`."""
    table = table.rename(columns=str)
    chosen = find_box(table.columns, kind)
    if chosen is None:
        return Found(table, _from_text(table, name), "either", _pictures(table, ()))
    values = _numbers(table, chosen, name)
    geometry = polygons_from(boxes_of_kind(_kind(chosen, values, pictures, name), _scaled(values, pictures, name)))
    return Found(table, geometry, "either", _pictures(table, chosen.names))


def _load(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise BoxesError(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}") from error
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(path, text)
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=header.count)
    if _is_numbers(header, separator):
        return _headless(path, lines)
    try:
        raw = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as error:
        raise BoxesError(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}") from error
    raw.columns = [str(c).strip() for c in raw.columns]
    # An index that pandas wrote has no name.
    raw = raw.drop(columns=[c for c in raw.columns if c.startswith("Unnamed: ") or not c])
    return pd.DataFrame({name: typed(raw[name].tolist()) for name in raw.columns}, index=range(len(raw)))


def _is_numbers(line: str, separator: str) -> bool:
    fields = line.split(separator) if separator in line else line.split()
    try:
        return bool([float(f) for f in fields])
    except ValueError:
        return False


def _headless(path: Path, lines: Sequence[str]) -> pd.DataFrame:
    """Numbers without a header: the first four are the box, as the user says with the format."""
    rows = [line.replace(",", " ").replace(";", " ").split() for line in lines if line.strip()]
    width = max(map(len, rows))
    names = ["x1", "y1", "x2", "y2", *(f"field_{i}" for i in range(5, width + 1))] if width >= 4 else []
    if not names:
        raise BoxesError(f"{path}: a row has {width} numbers; expected at least four, of a box")
    filled = [row + [""] * (width - len(row)) for row in rows]
    return pd.DataFrame({name: typed([row[i] for row in filled]) for i, name in enumerate(names)})


def _from_json(path: Path, text: str) -> pd.DataFrame:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BoxesError(f"{path} is not JSON: {error}") from error
    rows = content if isinstance(content, list) else content.get("predictions", content.get("detections", [])) if content else []
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise BoxesError(f"{path} is no list of objects with a box each")
    return pd.DataFrame([flat_record(row) for row in rows])


def flat_record(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose box is an object of its own (``box: {x1, y1, x2, y2}``), with the numbers of that beside the rest."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and plain_name(name) in _NESTED:
            flat |= value
        else:
            flat[name] = value
    return flat


def typed(texts: list[str]) -> Any:
    """Cells as bool, int64 (Int64 where some are empty), float64, or texts (None where empty); 007 stays a text."""
    fields = [t.strip() for t in texts]
    there = [f for f in fields if f.lower() not in _NOTHING]
    if there and all(f.lstrip("-").isdigit() and f.isascii() and len(f) < 19 and str(int(f)) == f for f in there):
        whole = [int(f) if f.lower() not in _NOTHING else pd.NA for f in fields]
        return pd.array(whole, dtype="Int64") if len(there) < len(fields) else np.array(whole, dtype=np.int64)
    if there and {f.lower() for f in there} <= {"true", "false"} and len(there) == len(fields):
        return np.array([f.lower() == "true" for f in fields])
    try:
        numbers = np.array([float(f) if f.lower() not in _NOTHING else np.nan for f in fields], dtype=np.float64)
    except ValueError:
        return [f or None for f in fields]
    padded = any(f.lstrip("-").startswith("0") and f.lstrip("-")[1:2].isdigit() for f in there)
    return [f or None for f in fields] if padded or not there else numbers


def _numbers(table: pd.DataFrame, chosen: BoxColumns, name: str) -> FloatArray:
    """The numbers of the boxes (N, 4) or (N, 8); NaN where a cell is empty."""
    if len(chosen.names) == 1:
        return _listed(table[chosen.names[0]], chosen.names[0], name)
    columns = []
    for column in chosen.names:
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(np.isnan(values) & table[column].notna().to_numpy())
        wrong = np.array([i for i in wrong if str(table[column].iloc[i]).strip().lower() not in _NOTHING], dtype=int)
        if len(wrong):
            raise BoxesError(f"{name}, row {wrong[0]}: {table[column].iloc[wrong[0]]!r} in column {column} is no number")
        columns.append(values)
    return np.stack(columns, axis=1)


def _listed(cells: Any, column: str, name: str) -> FloatArray:
    rows = np.full((len(cells), 4), np.nan)
    for i, cell in enumerate(cells):
        value = _literal(cell) if isinstance(cell, str) else cell
        if isinstance(value, dict):
            inner = find_box(value)
            value = None if inner is None or len(inner.names) != 4 else [value[n] for n in inner.names]
        if value is None or (np.ndim(value) == 0 and pd.isna(value)):
            continue
        try:
            rows[i] = np.asarray(value, dtype=np.float64).reshape(4)
        except (TypeError, ValueError) as error:
            raise BoxesError(f"{name}, row {i}: {str(cell)[:60]!r} in column {column} is no box; expected four numbers") from error
    return rows


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text) if text.strip() else None
    except (ValueError, SyntaxError):
        return text


def _kind(chosen: BoxColumns, values: FloatArray, pictures: Sequence[PictureRef], name: str) -> BoxKind:
    """What the four numbers are, where their names do not tell: what alone fits the picture, else the left top corner and a size.

    Raises
    ------
    BoxesError
        Several fit, and one is as good as the other.
    """
    if chosen.kind is not None and chosen.sure:
        return chosen.kind
    candidates: tuple[BoxKind, ...] = ("xywh", "cxcywh") if chosen.kind is not None else ("xyxy", "xywh", "cxcywh")
    fitting = [k for k in candidates if _fits(k, values, pictures)]
    what = ", ".join(chosen.names)
    if len(fitting) == 1 and fitting[0] != "cxcywh":
        return fitting[0]
    if "xywh" in fitting and (chosen.kind == "xywh" or "xyxy" not in fitting):
        warnings.warn(
            f"{name}: {what} are taken as the left top corner and the size of a box. Pass --format cxcywh if they are its centre and size.",
            PixelFrameWarning,
            stacklevel=7,
        )
        return "xywh"
    options = " or ".join(f"--format {k}" for k in (fitting or candidates))
    meanings = "corners (xyxy), left top corner and size (xywh), or centre and size (cxcywh)"
    raise BoxesError(
        f"{name}: it is not clear what {what} {'is' if len(chosen.names) == 1 else 'are'}: {meanings}. Pass {options}."
    )


def _fits(kind: BoxKind, values: FloatArray, pictures: Sequence[PictureRef]) -> bool:
    """Whether all boxes are boxes, and on the largest picture, if they are of a kind."""
    boxes = boxes_of_kind(kind, values[np.isfinite(values).all(axis=1)])
    if (boxes[:, 2:] < boxes[:, :2]).any():
        return False
    if not pictures or not len(boxes):
        return True
    size = np.array([max(p.width for p in pictures), max(p.height for p in pictures)], dtype=np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    if not ((middle >= 0) & (middle <= size)).all():
        # No pixels: a map has no edge to tell by.
        return True
    return bool((boxes[:, :2] >= -_SLACK_PX).all() and (boxes[:, 2:] <= size + _SLACK_PX).all())


def _scaled(values: FloatArray, pictures: Sequence[PictureRef], name: str) -> FloatArray:
    """Numbers that are shares of the picture's sides, which boxes in pixels cannot be, in pixels."""
    finite = values[np.isfinite(values)]
    if len(pictures) != 1 or not len(finite) or finite.max() > 1 or finite.min() < 0 or finite.max() == 0:
        return values
    picture = pictures[0]
    if min(picture.width, picture.height) < 8:
        return values
    warnings.warn(
        f"{name}: no number of a box is above 1; they are taken as shares of the {picture.width} x {picture.height} px of {picture.name}.",
        PixelFrameWarning,
        stacklevel=6,
    )
    sides = np.tile([picture.width, picture.height], values.shape[1] // 2).astype(np.float64)
    scaled: FloatArray = values * sides
    return scaled


def _from_text(table: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    """Geometries written as text (WKT) in a column."""
    plain = {plain_name(c): c for c in reversed(list(table.columns))}
    column = next((plain[n] for n in _GEOMETRY_NAMES if n in plain), None)
    if column is None:
        names = ", ".join(map(str, table.columns)) or "none"
        raise BoxesError(
            f"{name} has no columns for a box; it has: {names}. Expected xmin, ymin, xmax, ymax (or x, y, w, h; cx, cy, w, h), or a column "
            "geometry with WKT"
        )
    texts = [None if v is None or pd.isna(v) or not str(v).strip() else str(v) for v in table[column]]
    geometry = np.array([*shapely.from_wkt(texts, on_invalid="ignore"), None], dtype=object)[:-1]
    wrong = next((i for i, text in enumerate(texts) if text is not None and geometry[i] is None), None)
    if wrong is not None:
        raise BoxesError(f"{name}, row {wrong}: {str(texts[wrong])[:60]!r} in column {column} is no geometry; expected WKT")
    return geometry


def _pictures(table: pd.DataFrame, taken: Sequence[str]) -> list[str] | None:
    plain = {plain_name(c): c for c in reversed(list(table.columns)) if c not in taken}
    column = next((plain[n] for n in _PICTURE_NAMES if n in plain), None)
    return None if column is None else ["" if pd.isna(v) else str(v) for v in table[column]]
