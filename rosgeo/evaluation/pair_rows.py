"""A comparison as rows: one for each pair, and one for each outline without a partner."""

from __future__ import annotations

from typing import Any

import numpy as np

from rosgeo.evaluation.comparison import Comparison
from rosgeo.evaluation.outline_iou import Geometries

__all__ = ["pair_rows"]

Rows = tuple[dict[str, np.ndarray], Geometries]


def pair_rows(found: Comparison) -> tuple[Rows, Rows]:
    """Columns and geometries of the layers ``pairs`` and ``truth`` that `rosgeo.vector.layers.pairs.write_pairs` describes."""
    result, truth = found.result, found.truth
    ours, theirs = found.kinds()
    alone = ~np.isin(np.arange(len(truth)), found.truth_of)
    none = np.full(int(alone.sum()), np.nan)
    places = np.where(found.truth_of >= 0, found.truth_of, 0)
    partner = np.where(found.truth_of >= 0, truth.rows[places], -1) if len(truth) else found.truth_of
    scores = np.full(len(result), np.nan) if result.scores is None else result.scores
    ours_best, theirs_best = found.result_best, found.truth_best
    pairs = {
        "kind": (ours, theirs[alone]),
        "class": (result.classes, truth.classes[alone]),
        "result_row": (result.rows, np.full(len(none), -1)),
        "truth_row": (partner, truth.rows[alone]),
        "iou": (found.iou, none),
        "boundary_iou": (found.boundary_iou, none),
        "score": (scores, none),
        "best_iou": (ours_best.iou, theirs_best.iou[alone]),
        "best_row": (_at(truth.rows, ours_best.place, -1), _at(result.rows, theirs_best.place[alone], -1)),
        "best_class": (_at(truth.classes, ours_best.place, ""), _at(result.classes, theirs_best.place[alone], "")),
    }
    columns = {name: np.concatenate(parts) for name, parts in pairs.items()}
    matched = np.flatnonzero(found.truth_of >= 0)
    chosen = found.truth_of[matched]
    second = {
        "truth_row": truth.rows[chosen],
        "result_row": result.rows[matched],
        "class": truth.classes[chosen],
        "iou": found.iou[matched],
    }
    return (columns, np.concatenate([result.polygons, truth.polygons[alone]])), (second, truth.polygons[chosen])


def _at(values: np.ndarray, places: np.ndarray, otherwise: Any) -> np.ndarray:
    """Values at places; `otherwise` where a place is -1."""
    if not len(values):
        return np.full(len(places), otherwise)
    found: np.ndarray = np.where(places >= 0, values[places], otherwise)
    return found
