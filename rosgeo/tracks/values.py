"""Tracked boxes, and the outlines that rosgeo makes of them, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rosgeo.clips.values import Clip
from rosgeo.types import FloatArray, IntArray

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = ["BOX_COLUMNS", "ClipOutlines", "Tracks"]

BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")
"""Pixel frame: the top-left corner of the top-left pixel is (0, 0), its centre (0.5, 0.5); x_max and y_max are the far edges."""


@dataclass(frozen=True)
class Tracks:
    """Boxes of N objects in frames, one row each, in the order of their source.

    Attributes
    ----------
    table : DataFrame (N rows, RangeIndex)
        ``frame`` (int64, as the source counts), ``track_id`` (int64 or str), ``x_min``, ``y_min``, ``x_max``, ``y_max`` (float64, see
        `BOX_COLUMNS`; NaN where the source has a row without a box, as of an object that is hidden), ``category`` (str, where the source
        has classes), ``score`` (float64, where it has confidences), and every other column of the source under its own name.
    corners : float64 array (N, 4, 2) or None
        Corners of oriented boxes in the pixel frame; the box is their envelope.
    source : str
        Name of the file, for messages and the record.
    format : str
        Which format it was read as.
    lines : int64 array (N,)
        Where each row stands in its file, from 1; of a JSON file the number of the annotation.
    first_frame : int
        The number of the first frame of a clip in this format, where frames are told by their place: 1 in MOTChallenge, 0 in COCO.
    frame_names : dict of int to str
        File names of frames where the source tells them, by frame number.
    label : str
        What people call the format.
    origin : str
        What the source calls the first pixel and frame, and who says so, for the summary and the record.
    unread : tuple of str
        What the source holds and the table does not, in words.
    by_line : bool
        The frames are told by the lines of the source alone.
    """

    table: pd.DataFrame
    source: str
    format: str
    lines: IntArray
    corners: FloatArray | None = None
    first_frame: int = 0
    frame_names: dict[int, str] = field(default_factory=dict)
    label: str = ""
    origin: str = ""
    unread: tuple[str, ...] = ()
    by_line: bool = False

    def __len__(self) -> int:
        return len(self.table)

    @property
    def xyxy(self) -> FloatArray:
        """The boxes (N, 4), float64, pixel frame."""
        boxes: FloatArray = self.table[list(BOX_COLUMNS)].to_numpy(dtype=np.float64)
        return boxes


@dataclass(frozen=True)
class ClipOutlines:
    """The outlines of a clip in its pixels: what the writers of segmentation sets take.

    Attributes
    ----------
    clip : Clip
    rows : GeoDataFrame (N rows)
        One row for each row of the tracks, in order: ``frame`` (number), ``track_id``, ``category`` (str; ``object`` where the tracks
        have none), `BOX_COLUMNS` (the prompts), ``rosgeo_status``, ``rosgeo_score``, and the geometry: a valid polygon or multipolygon
        in the pixel frame with y pointing down (no CRS), None where there is no outline.
    """

    clip: Clip
    rows: gpd.GeoDataFrame
