"""What the readers of detectors' files hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from rosgeo.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from rosgeo.geometry.place import Coordinates

__all__ = ["Found", "PictureRef", "polygons_from"]


class PictureRef(NamedTuple):
    """A scene as detectors name it: the path or name of its file, and its size in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Found:
    """Boxes of a file.

    Attributes
    ----------
    table : DataFrame (N rows)
        Their attributes.
    geometry : object array (N,) of polygons or None
        None where a row has no box.
    coordinates : {"pixel", "either"}
        See `rosgeo.geometry.place.Coordinates`.
    pictures : sequence of N str, or None
        The file or id of the picture that each is on; None where the file does not tell.
    sizes : dict of str to (int, int)
        Width and height of pictures by name, as far as the file tells.
    """

    table: pd.DataFrame
    geometry: npt.NDArray[Any]
    coordinates: Coordinates
    pictures: Sequence[str] | None = None
    sizes: dict[str, tuple[int, int]] | None = None


def polygons_from(boxes: FloatArray) -> npt.NDArray[Any]:
    """Polygons (N,) of boxes (N, 4) as x_min, y_min, x_max, y_max, or of corners (N, 4, 2); None where a number is NaN.

    A box whose maximum is below its minimum, as one that was never set, becomes an empty polygon, which is no prompt.
    """
    corners = boxes
    if boxes.ndim == 2:
        x0, y0, x1, y1 = boxes.T
        corners = np.stack([np.stack(c, axis=1) for c in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], axis=1)
    polygons = np.full(len(corners), None, dtype=object)
    there = np.isfinite(corners).all(axis=(1, 2))
    polygons[there] = shapely.polygons(corners[there])
    if boxes.ndim == 2:
        with np.errstate(invalid="ignore"):
            flipped = there & (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        polygons[flipped] = shapely.Polygon()
    return polygons
