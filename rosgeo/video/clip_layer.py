"""The outlines of a clip from the layer that a run on it wrote, as a person corrected it: segmentation sets are written from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely

from rosgeo.errors import CRSMismatchError, TracksError
from rosgeo.geometry.crs import crs_label
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines
from rosgeo.types import BoolArray, FloatArray
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.polygonize import polygon_to_px

if TYPE_CHECKING:
    from rosgeo.clips.frames import FrameSequence

__all__ = ["read_outlines"]

_NEEDED = ("frame", "track_id", "rosgeo_status")


def read_outlines(layer: str | Path | gpd.GeoDataFrame, frames: FrameSequence, *, where: str | None = None) -> ClipOutlines:
    """Take the outlines of a clip from a layer, as `segment_video` writes it and a person corrects it.

    Parameters
    ----------
    layer : path or GeoDataFrame (N rows)
        Has the columns ``frame``, ``track_id`` and ``rosgeo_status``. Rows may have been changed, drawn or removed.
    frames : FrameSequence
        The frames of the clip under the numbers of the tracks and with the georeferencing of the run: `VideoRun.frames`, or those of
        `prepare_video`.
    where : str, optional
        An SQL condition on the attributes, as in ``rosgeo_status = 'corrected'``; rows that do not meet it are left out.

    Returns
    -------
    ClipOutlines
        One row for each row of the layer, in order. A row that was drawn by hand, without a status, is ``corrected``. The boxes of rows
        that are ``corrected`` are the envelopes of their outlines; the others keep their prompts where the layer has them (else NaN).

    Raises
    ------
    InputFileNotFoundError, BoxesError, OptionError
        See `read_boxes`.
    TracksError
        A column is missing; a row has no frame or track; a row with an outline is of a frame that the clip does not have.
    CRSMismatchError
        Only one of layer and frames has a CRS.

    Examples
    --------
    >>> from rosgeo.tracks.sets import write_davis
    >>> corrected = read_outlines("outlines.gpkg", run.frames, where="rosgeo_status = 'corrected'")  # doctest: +SKIP
    >>> write_davis(corrected, "masks")  # doctest: +SKIP
    """
    rows, name = read_boxes(layer, where=where), "the GeoDataFrame" if isinstance(layer, gpd.GeoDataFrame) else str(layer)
    _require_columns(rows, name)
    numbers = rows["frame"].to_numpy(dtype=np.int64)
    polygons = _in_pixels(_on_map_of(rows, frames, name), numbers, frames, name)
    status = rows["rosgeo_status"].fillna("corrected").astype(str).to_numpy()
    table = {
        "frame": numbers,
        "track_id": rows["track_id"].to_numpy(),
        "category": rows["category"].fillna("object").astype(str).to_numpy() if "category" in rows else "object",
        **dict(zip(BOX_COLUMNS, _boxes(rows, polygons, status == "corrected").T, strict=True)),
        "rosgeo_status": status,
        "rosgeo_score": rows["rosgeo_score"].to_numpy(dtype=np.float64) if "rosgeo_score" in rows else np.nan,
    }
    return ClipOutlines(frames.clip, gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(polygons)))


def _require_columns(rows: gpd.GeoDataFrame, name: str) -> None:
    missing = [column for column in _NEEDED if column not in rows]
    if missing:
        raise TracksError(
            f"{name} has no column {missing[0]}; expected a layer that rosgeo video wrote, with {', '.join(_NEEDED)} and the outlines"
        )
    for column in ("frame", "track_id"):
        empty = np.flatnonzero(rows[column].isna().to_numpy())
        if len(empty):
            raise TracksError(
                f"{name}: {len(empty)} rows have no {column} (the first is row {rows.index[empty[0]]}); set it in their attributes, "
                "or remove them"
            )


def _on_map_of(rows: gpd.GeoDataFrame, frames: FrameSequence, name: str) -> Any:
    """Geometries (N,) in the map frame of the clip."""
    # A GeoPackage says of pixels that they are in a CRS that is none of a map.
    own = rows.crs if rows.crs is not None and (rows.crs.is_geographic or rows.crs.is_projected) else None
    if (own is None) != (frames.crs is None):
        here, there = (crs and crs_label(crs) for crs in (own, frames.crs))
        raise CRSMismatchError(
            f"{name} is in {here or 'pixels'}, but the frames of {frames.name} are in {there or 'pixels'}; expected both in pixels or "
            "both on the map. Open the frames as for the run, with its georeferencing."
        )
    moved = rows if own is None or own.equals(frames.crs) else rows.to_crs(frames.crs)
    return moved.geometry.to_numpy()


def _in_pixels(geometry: Any, numbers: Any, frames: FrameSequence, name: str) -> Any:
    """Polygons (N,) in the pixel frame; None where a row has none."""
    there = ~shapely.is_missing(geometry) & ~shapely.is_empty(geometry)
    index_of = {frame.number: frame.index for frame in frames.clip.frames}
    unknown = sorted(set(numbers[there].tolist()) - index_of.keys())
    if unknown:
        raise TracksError(
            f"{name} has outlines of frame {unknown[0]} ({len(unknown)} such frames), which {frames.name} does not have: its frames are "
            f"{frames.clip.frames[0].number} to {frames.clip.frames[-1].number}. Give the frames the numbers of the run."
        )
    polygons = np.full(len(geometry), None, dtype=object)
    for number in np.unique(numbers[there]).tolist():
        mapping = frames.mapping(index_of[number])
        for row in np.flatnonzero(there & (numbers == number)):
            polygons[row] = polygon_to_px(geometry[row], mapping)
    return polygons


def _boxes(rows: gpd.GeoDataFrame, polygons: Any, corrected: BoolArray) -> FloatArray:
    boxes: FloatArray = np.full((len(rows), 4), np.nan)
    if all(column in rows for column in BOX_COLUMNS):
        boxes = rows[list(BOX_COLUMNS)].to_numpy(dtype=np.float64).copy()
    # Their prompts were those of other outlines.
    boxes[corrected] = shapely.bounds(polygons[corrected])
    return boxes
