"""Two layers of outlines compared: read, brought into one frame, and written pair by pair."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from rosgeo.errors import ComparisonWarning, CRSMismatchError, OutputError, PixelFrameWarning
from rosgeo.evaluation.comparison import Comparison, OutlineSet, compare_outlines
from rosgeo.evaluation.layer_outlines import LayerReport, OutlineLayer, Side, area_of, outlines_of, read_side
from rosgeo.evaluation.pair_rows import pair_rows
from rosgeo.geometry.boxes import flip_y
from rosgeo.geometry.crs import crs_label

__all__ = ["LayerComparison", "compare_layers"]

_SCORE = "rosgeo_score"
_FRAME, _OF_A_CLIP = "frame", "rosgeo_temporal_iou"


@dataclass(frozen=True)
class LayerComparison:
    """What `compare_layers` found.

    Attributes
    ----------
    comparison : Comparison
    result, truth : LayerReport
    crs : CRS or None
        In which the outlines were compared.
    by : str or None
        The column within whose values they were matched.
    """

    comparison: Comparison
    result: LayerReport
    truth: LayerReport
    crs: CRS | None
    by: str | None

    def figures(self) -> dict[str, Any]:
        """All figures and both reports, for JSON."""
        reports = {"result_layer": vars(self.result), "truth_layer": vars(self.truth)}
        return {**reports, "crs": None if self.crs is None else crs_label(self.crs), "by": self.by, **self.comparison.figures()}


def compare_layers(
    result: Any,
    truth: Any,
    *,
    class_column: str | None = None,
    score_column: str | None = None,
    by: str | None = None,
    area: Any = None,
    iou: float = 0.5,
    boundary_width: float | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    on_rows: Callable[[int, int], None] | None = None,
) -> LayerComparison:
    """Compare a layer of outlines with a layer of true outlines.

    Rows without a geometry, or with another `rosgeo_status` than ``ok`` or ``corrected``, are no outlines: they are left out on both
    sides, and counted. Invalid polygons are made valid. A multipolygon is one outline. The layers may have different CRS: compared is in
    that of the truth, or, where that is in degrees and the result's is not, in that of the result. See `compare_outlines` for how
    outlines are matched.

    Parameters
    ----------
    result, truth : path, GeoDataFrame or OutlineLayer
    class_column : str, optional
        Of both, where their `OutlineLayer` says nothing else. Default: all are of one class.
    score_column : str, optional
        Of the result. Default: ``rosgeo_score`` where there is one; else outlines are matched by IoU.
    by : str, optional
        A column of both within whose equal values alone outlines are matched, such as that of the frame. Default: ``frame`` where the
        result is of `rosgeo video` and the truth has such a column.
    area : path, GeoDataFrame or OutlineLayer, optional
        Polygons that bound what is compared; see `within_area`.
    iou : float
        Least IoU of a match.
    boundary_width : float, optional
        See `compare_outlines`.
    output : path, optional
        A GeoPackage to write; see `rosgeo.vector.layers.pairs.write_pairs`.
    overwrite : bool
        Replace an existing one.
    on_rows : callable, optional
        See `compare_outlines`.

    Raises
    ------
    UserInputError
        One of its subclasses, for anything that layers, columns or options cannot give.

    Warns
    -----
    ComparisonWarning
        The layers have no class in common, or do not meet.
    """
    sides = [_described(one, name, class_column) for one, name in ((result, "result"), (truth, "truth"))]
    bounds = None if area is None else _described(area, "area", None)
    if output is not None:
        _check_output(output, [side for side in (*sides, bounds) if side is not None], overwrite=overwrite)
    ours, theirs = (read_side(side) for side in sides)
    by = _by(ours, theirs) if by is None else by
    crs = _common_crs(ours, theirs)
    score = _SCORE if score_column is None and _SCORE in ours.frame.columns else score_column
    (our_set, our_report), (their_set, their_report) = outlines_of(ours, crs, by, score), outlines_of(theirs, crs, by)
    our_set, their_set = _one_numbering(our_set, their_set)
    if crs is None:
        our_set, their_set = _one_way_up(our_set, their_set)
    _warn(our_set, their_set, ours.name, theirs.name)
    edge = None if bounds is None else area_of(read_side(bounds), crs)
    found = compare_outlines(our_set, their_set, threshold=iou, width=boundary_width, crs=crs, area=edge, on_rows=on_rows)
    compared = LayerComparison(found, _bounded(our_report, found.result), _bounded(their_report, found.truth), crs, by)
    if output is not None:
        _write(output, compared)
    return compared


def _check_output(output: str | Path, sides: list[Side], *, overwrite: bool) -> None:
    from rosgeo.vector.layers.place import check_output

    if Path(output).suffix.lower() != ".gpkg":
        raise OutputError(f"{output}: pairs are written as a GeoPackage; expected a name that ends in .gpkg")
    inputs = tuple(str(side.layer.source) for side in sides if isinstance(side.layer.source, str | Path))
    check_output(output, overwrite=overwrite, inputs=inputs)


def _write(output: str | Path, compared: LayerComparison) -> None:
    from rosgeo.vector.layers.pairs import write_pairs

    pairs, truth = pair_rows(compared.comparison)
    write_pairs(output, pairs, truth, compared.crs, compared.figures())


def _described(source: Any, what: str, class_column: str | None) -> Side:
    layer = source if isinstance(source, OutlineLayer) else OutlineLayer(source)
    return Side(what, layer if layer.class_column is not None else replace(layer, class_column=class_column))


def _common_crs(ours: Side, theirs: Side) -> CRS | None:
    for side, other in ((ours, theirs), (theirs, ours)):
        if side.crs is None and other.crs is not None:
            raise CRSMismatchError(
                f"{side.name} has no CRS, but {other.name} has {crs_label(other.crs)}. Set it in the file, or pass {side.option}crs CRS."
            )
    if theirs.crs is not None and ours.crs is not None and theirs.crs.is_geographic and not ours.crs.is_geographic:
        return ours.crs
    return theirs.crs


def _by(ours: Side, theirs: Side) -> str | None:
    """The column of the frame, where the result is of a clip."""
    if not {_FRAME, _OF_A_CLIP} <= set(ours.frame.columns):
        return None
    if _FRAME in theirs.frame.columns:
        return _FRAME
    warnings.warn(
        f"{ours.name} holds outlines of the frames of a clip, and {theirs.name} has no column {_FRAME!r}: outlines of all frames are "
        "compared with each true one. Name a column of both with --by, or choose a frame with --result-where",
        ComparisonWarning,
        stacklevel=3,
    )
    return None


def _one_numbering(ours: OutlineSet, theirs: OutlineSet) -> tuple[OutlineSet, OutlineSet]:
    """Groups that are equal in both layers get one number."""
    if ours.group is None or theirs.group is None:
        return ours, theirs
    _, numbers = np.unique(np.concatenate([ours.group, theirs.group]), return_inverse=True)
    return replace(ours, group=numbers[: len(ours)]), replace(theirs, group=numbers[len(ours) :])


def _warn(ours: OutlineSet, theirs: OutlineSet, result: str, truth: str) -> None:
    if not len(ours) or not len(theirs):
        return
    if not np.isin(ours.classes, theirs.classes).any():
        named = [", ".join(np.unique(s.classes)[:5]) for s in (ours, theirs)]
        text = f"{result} and {truth} have no class in common ({named[0]}; {named[1]}), and nothing can match"
        warnings.warn(text, ComparisonWarning, stacklevel=3)
    bounds = [shapely.total_bounds(s.polygons) for s in (ours, theirs)]
    if not shapely.intersects(shapely.box(*bounds[0]), shapely.box(*bounds[1])):
        places = ["x {:.6g} to {:.6g}, y {:.6g} to {:.6g}".format(*b[[0, 2, 1, 3]]) for b in bounds]
        text = f"{result} ({places[0]}) and {truth} ({places[1]}) do not meet; check the CRS of both"
        warnings.warn(text, ComparisonWarning, stacklevel=3)


def _one_way_up(ours: OutlineSet, theirs: OutlineSet) -> tuple[OutlineSet, OutlineSet]:
    """Outlines without CRS, with y pointing upwards in both where one of them lies below y = 0 and the other above."""
    if not len(ours) or not len(theirs):
        return ours, theirs
    (_, low, _, high), (_, their_low, _, their_high) = (shapely.total_bounds(s.polygons) for s in (ours, theirs))
    if not (high <= 0 <= their_low or their_high <= 0 <= low):
        return ours, theirs
    down, side = ("truth", "result") if high <= 0 else ("result", "truth")
    warnings.warn(
        f"neither layer has a CRS; y is minus the row in the {side} and the row in the {down}, which is turned over",
        PixelFrameWarning,
        stacklevel=3,
    )
    return (ours, _flipped(theirs)) if down == "truth" else (_flipped(ours), theirs)


def _flipped(outlines: OutlineSet) -> OutlineSet:
    return replace(outlines, polygons=shapely.transform(outlines.polygons, flip_y))


def _bounded(report: LayerReport, compared: OutlineSet) -> LayerReport:
    """The report after rows outside of the area were left out."""
    outside = report.outlines - len(compared)
    if not outside:
        return report
    return replace(report, outlines=len(compared), left_out={**report.left_out, "outside of the area": outside})
