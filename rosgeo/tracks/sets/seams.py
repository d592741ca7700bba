"""Polygons with holes, and several of them, as one ring: for formats that hold one ring an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from rosgeo.types import FloatArray

__all__ = ["join_rings"]


def join_rings(polygons: Sequence[Any]) -> FloatArray:
    """One ring (K, 2) that encloses the same ground as polygons without common ground do.

    Each further ring, of a part or of a hole, is entered and left again at its vertex nearest to what is joined so far. The way there and
    back has no width, so that a fill by either rule, even-odd or non-zero, is the same. The ring is not closed: its last point is not
    its first.
    """
    turned = shapely.orient_polygons(np.asarray(sorted(polygons, key=lambda p: -p.area), dtype=object))
    rings = [shapely.get_coordinates(ring)[:-1] for ring in shapely.get_rings(turned)]
    joined = rings[0]
    for ring in rings[1:]:
        distance = ((joined[:, None] - ring[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(int(distance.argmin()), distance.shape)
        around = np.roll(ring, -int(there), axis=0)
        joined = np.concatenate([joined[: here + 1], around, around[:1], joined[here:]])
    result: FloatArray = joined
    return result
