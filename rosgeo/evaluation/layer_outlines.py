"""A layer of outlines as arrays: which of its rows are outlines, in one CRS, valid, with their classes and scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import ProjError

from rosgeo.errors import CRSMismatchError, OptionError
from rosgeo.evaluation.comparison import OutlineSet
from rosgeo.evaluation.outline_iou import Geometries
from rosgeo.geometry.boxes import usable_geometries
from rosgeo.geometry.crs import crs_label, known_crs, parse_crs
from rosgeo.types import BoolArray

__all__ = ["NO_CLASS", "LayerReport", "OutlineLayer", "Side", "area_of", "outlines_of", "read_side"]

NO_CLASS = "(none)"
"""Class of an outline whose column holds nothing."""


@dataclass(frozen=True)
class OutlineLayer:
    """Where outlines are, and which of them.

    Attributes
    ----------
    source : path or GeoDataFrame
        See `rosgeo.vector.layers.read_boxes`.
    layer, where : str or None
        Likewise.
    crs : str, CRS or None
        Of a layer that has none of its own.
    class_column : str or None
        None: all are of one class.
    """

    source: Any
    layer: str | None = None
    where: str | None = None
    crs: str | CRS | None = None
    class_column: str | None = None


@dataclass(frozen=True)
class LayerReport:
    """What became of the rows of a layer.

    Attributes
    ----------
    name : str
        The file and its layer.
    outlines : int
        That are compared.
    left_out : dict
        Reason -> number of rows.
    repaired : int
        Outlines that were no valid polygons (they cross or touch themselves) and were made valid.
    """

    name: str
    outlines: int
    left_out: dict[str, int]
    repaired: int


@dataclass(frozen=True)
class Side:
    """One of the layers: what was asked for, and what was read.

    Attributes
    ----------
    what : {"result", "truth", "area"}
    layer : OutlineLayer
    frame : GeoDataFrame or None
        As read.
    name : str
        Of the file and its layer.
    crs : CRS or None
    """

    what: str
    layer: OutlineLayer
    frame: Any = None
    name: str = ""
    crs: CRS | None = None

    @property
    def option(self) -> str:
        """How the options of this layer begin."""
        return f"--{self.what}-"


def read_side(side: Side) -> Side:
    """Read a layer: rows in its order, and its CRS."""
    from rosgeo.vector.layers.read import read_polygons

    layer = side.layer
    what = "areas" if side.what == "area" else "outlines"
    frame, name = read_polygons(layer.source, layer=layer.layer, where=layer.where, what=what, option=side.option)
    crs = known_crs(frame.crs)
    if layer.crs is not None:
        given = parse_crs(layer.crs, f"{side.option}crs")
        if crs is not None and not crs.equals(given, ignore_axis_order=True):
            raise OptionError(f"{name} has the CRS {crs_label(crs)}, but {side.option}crs says {crs_label(given)}; leave it out")
        crs = given
    return replace(side, frame=frame, name=name, crs=crs)


def _moved(side: Side, crs: CRS | None) -> Geometries:
    """The geometries of a layer in a CRS, without z; with infinite coordinates where they have no place in it."""
    series = side.frame.geometry
    if crs is not None and side.crs is not None and not side.crs.equals(crs, ignore_axis_order=True):
        try:
            series = series.set_crs(side.crs, allow_override=True).to_crs(crs)
        except ProjError as error:
            raise CRSMismatchError(
                f"no transformation is known from the CRS of {side.name} ({side.crs.name}) to {crs.name}: {error}"
            ) from error
    moved: Geometries = series.to_numpy()
    # A copy of each polygon only where there is something to leave out.
    return shapely.force_2d(moved) if shapely.has_z(moved).any() else moved.copy()


def outlines_of(side: Side, crs: CRS | None, by: str | None = None, score: str | None = None) -> tuple[OutlineSet, LayerReport]:
    """The outlines of a layer.

    Parameters
    ----------
    side : Side
        As read.
    crs : CRS or None
        To compare in.
    by : str, optional
        Column of the groups; see `OutlineSet`, here as text.
    score : str, optional
        Column of the scores; without a single number in it, they are None.

    Raises
    ------
    OptionError
        No such column, or scores that are no numbers.
    """
    frame = side.frame
    classes = _texts(_column(side, side.layer.class_column, "class-column")) if side.layer.class_column else None
    groups = _texts(_column(side, by, "by")) if by else None
    scores = _scores(side, score) if score else None
    scores = None if scores is None or np.isnan(scores).all() else scores
    polygons, left_out = _usable(side, crs)
    kept = np.flatnonzero(left_out == "")
    repaired = kept[~shapely.is_valid(polygons[kept])]
    polygons[repaired] = [_polygonal(geometry) for geometry in shapely.make_valid(polygons[repaired])]
    flat = kept[shapely.area(polygons[kept]) <= 0]
    left_out[flat] = "without an area"
    kept = kept[~np.isin(kept, flat)]
    found = OutlineSet(
        polygons[kept],
        np.full(len(kept), "object") if classes is None else classes[kept],
        frame.index.to_numpy()[kept].astype(np.int64),
        None if scores is None else scores[kept],
        None if groups is None else groups[kept],
    )
    reasons = Counter(left_out[left_out != ""].tolist())
    return found, LayerReport(side.name, len(found), dict(reasons), int(np.isin(repaired, kept).sum()))


def _usable(side: Side, crs: CRS | None) -> tuple[Geometries, np.ndarray]:
    """The geometries in a CRS, and why each is no outline; empty text where it is one."""
    from rosgeo.vector.layers.style import GOOD_STATUS

    given, moved = side.frame.geometry.to_numpy(), _moved(side, crs)
    there = ~(shapely.is_missing(given) | shapely.is_empty(given))
    good: BoolArray = np.ones(len(moved), dtype=bool)
    if "rosgeo_status" in side.frame.columns:
        status = side.frame["rosgeo_status"]
        good = (status.isin(GOOD_STATUS) | status.isna()).to_numpy()
    reasons = [
        (~good, f"with another rosgeo_status than {' or '.join(GOOD_STATUS)}"),
        (~there, "without a geometry"),
        (~usable_geometries(given), "without an area"),
        (~usable_geometries(moved), "without a place in the CRS compared in"),
    ]
    return moved, np.select([mask for mask, _ in reasons], [reason for _, reason in reasons], "")


def _polygonal(geometry: Any) -> Any:
    """The polygons of a geometry of any kind."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.multipolygons(parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)])


def _column(side: Side, name: str | None, option: str) -> Any:
    if name not in side.frame.columns or name == side.frame.geometry.name:
        columns = ", ".join(str(c) for c in side.frame.columns if c != side.frame.geometry.name)
        raise OptionError(f"--{option} {name!r}: {side.name} has no such column; it has: {columns or 'none'}")
    return side.frame[name]


def _scores(side: Side, name: str) -> np.ndarray:
    column = _column(side, name, "score-column")
    if column.dtype.kind not in "iufb" and not column.isna().all():
        raise OptionError(
            f"--score-column {name!r} of {side.name} holds no numbers ({column.dtype}); expected scores, the highest best"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _texts(column: Any) -> np.ndarray:
    """Values as text, so that 1, 1.0 (as numbers become where one is missing) and "1" are one class; `NO_CLASS` for none."""
    missing = column.isna().to_numpy()
    values = [NO_CLASS if none else _text(value) for value, none in zip(column.tolist(), missing, strict=True)]
    return np.array(values, dtype=str) if values else np.zeros(0, dtype="<U1")


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def area_of(side: Side, crs: CRS | None) -> Any:
    """The union of the polygons that bound the comparison."""
    if side.crs is None and crs is not None:
        raise CRSMismatchError(f"{side.name} has no CRS, but the layers are compared in {crs_label(crs)}. Set it in the file.")
    if crs is None and side.crs is not None:
        raise CRSMismatchError(f"{side.name} has the CRS {crs_label(side.crs)}, but the layers to compare have none")
    polygons, left_out = _usable(side, crs)
    union = shapely.union_all(shapely.make_valid(polygons[left_out == ""]))
    if union.area <= 0:
        raise OptionError(f"--area: {side.name} holds no polygon with an area; expected the polygon of the ground to compare")
    return _polygonal(union)
