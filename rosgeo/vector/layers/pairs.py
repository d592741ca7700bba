"""The GeoPackage of a comparison: a row a pair of outlines, styled for QGIS, and a table of figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
from pyproj import CRS

from rosgeo.vector.layers.gpkg import StyledLayer, style_layers
from rosgeo.vector.layers.place import writing
from rosgeo.vector.layers.style import pair_truth_qml, pairs_qml
from rosgeo.vector.layers.write import UNDEFINED_CARTESIAN

__all__ = ["FIGURES_TABLE", "PAIRS_LAYER", "PAIR_TRUTH_LAYER", "write_pairs"]

PAIRS_LAYER, PAIR_TRUTH_LAYER, FIGURES_TABLE = "pairs", "truth", "figures"

_NUMBERS_OF_ROWS = ("result_row", "truth_row", "best_row")


def write_pairs(
    path: str | Path,
    pairs: tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]],
    truth: tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]],
    crs: CRS | None,
    figures: dict[str, Any],
) -> None:
    """Write a comparison of outlines.

    Parameters
    ----------
    path : path
        A GeoPackage; an existing one is replaced.
    pairs : (dict of arrays (P,), object array (P,))
        Columns of the layer ``pairs``: ``kind`` (``right``, ``made up``, ``missed``, ``not counted``), ``class``, the rows
        ``result_row`` and ``truth_row`` (-1 for none, written as NULL), ``iou``, ``boundary_iou``, ``score``, and of the outline of the
        other layer that overlaps an unmatched one most, whatever its class, ``best_iou``, ``best_row`` and ``best_class``.
        Their polygons are of the result, and of the truth where there is no other.
    truth : (dict of arrays (Q,), object array (Q,))
        Columns and polygons of the layer ``truth``: the true outlines of the pairs.
    crs : CRS or None
    figures : dict
        As `rosgeo.evaluation.layers.LayerComparison.figures`: the layer's metadata (``rosgeo_compare``), and the table ``figures``: a
        row for all outlines, one for each class, and one for each threshold of the sweep.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with writing(Path(path)) as partial:
        for name, (columns, geometry) in ((PAIRS_LAYER, pairs), (PAIR_TRUTH_LAYER, truth)):
            frame = gpd.GeoDataFrame(_columns(columns), geometry=gpd.GeoSeries(geometry, crs=crs or UNDEFINED_CARTESIAN))
            metadata = {"rosgeo_compare": json.dumps(figures)} if name == PAIRS_LAYER else None
            pyogrio.write_dataframe(
                frame, partial, layer=name, driver="GPKG", geometry_type="MultiPolygon", promote_to_multi=True,
                GEOMETRY_NAME="geom", VERSION="1.2", layer_metadata=metadata,
            )  # fmt: skip
        pyogrio.write_dataframe(_figures_table(figures), partial, layer=FIGURES_TABLE, driver="GPKG")
        style_layers(
            partial,
            [
                StyledLayer(
                    PAIRS_LAYER, "geom", pairs_qml(), "Right, missed, made up", "Outlines compared, one row for each pair (rosgeo)"
                ),
                StyledLayer(
                    PAIR_TRUTH_LAYER, "geom", pair_truth_qml(), "True outlines, dashed", "True outlines of the pairs (rosgeo)"
                ),
            ],
        )


def _columns(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Numbers of rows and names with NULL for none."""
    columns: dict[str, Any] = {}
    for name, values in arrays.items():
        if name in _NUMBERS_OF_ROWS:
            columns[name] = pd.array(np.where(values < 0, 0, values), dtype="Int64")
            columns[name][values < 0] = pd.NA
        else:
            columns[name] = [str(v) if v else None for v in values] if values.dtype.kind == "U" else values
    return columns


def _figures_table(figures: dict[str, Any]) -> pd.DataFrame:
    at = figures["iou_threshold"]
    rows = [
        {"of": "all", "iou": at, **figures},
        *({"of": f"class {name}", "iou": at, **own} for name, own in figures["classes"].items()),
        *({"of": "all", **own} for own in figures["sweep"]),
    ]
    names = (
        "of",
        "iou",
        "truth",
        "result",
        "right",
        "missed",
        "made_up",
        "precision",
        "recall",
        "f1",
        "mean_iou",
        "mean_boundary_iou",
    )
    scores = ("average_precision", "average_precision_of_sweep")
    table = pd.DataFrame([{name: row.get(name) for name in (*names, *scores)} for row in rows])
    return table.astype(dict.fromkeys(("precision", "recall", "f1", "mean_iou", "mean_boundary_iou", *scores), np.float64))
