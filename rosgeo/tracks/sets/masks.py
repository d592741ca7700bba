"""The pixels of a clip's outlines, frame by frame and object by object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from rosgeo.geometry.pixels import PixelMask, fill_outline, join_masks
from rosgeo.tracks.sets.seams import join_rings
from rosgeo.tracks.targets import own_ids
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines
from rosgeo.types import BoolArray, FloatArray, IntArray

__all__ = ["ClipMasks", "Track", "TrackMask", "frame_masks", "paint"]

_GOOD_STATUS = ("ok", "corrected")
"""Values of `rosgeo_status` that an object of a set may have; the second is a person's, see `rosgeo.vector.layers.style`."""


@dataclass(frozen=True)
class Track:
    """One object of a clip.

    Attributes
    ----------
    track_id : int or str
        As the tracks name it.
    category : str
        Of most of its outlines.
    """

    track_id: int | str
    category: str


@dataclass(frozen=True)
class TrackMask:
    """The pixels of one object in one frame.

    Attributes
    ----------
    index : int
        The frame, as in `ClipFrame`.
    track : int
        Its place in `ClipMasks.tracks`.
    row : int
        Of the outlines; the first where several are of one object and frame, whose pixels are then joined.
    pixels : PixelMask
        Those whose centres lie inside the outline; at least one.
    """

    index: int
    track: int
    row: int
    pixels: PixelMask


class ClipMasks:
    """The outlines of a clip as pixels. Holds the polygons and makes a mask when it is asked for.

    Parameters
    ----------
    outlines : ClipOutlines
        Only rows of status ``ok`` or ``corrected`` with an outline are looked at.

    Attributes
    ----------
    clip : Clip
    tracks : tuple of Track
        Those with an outline, by id. Rows of no track (id -1) are each an object of their own, with a new id (`own_ids`).
    pairs : int
        How many outlines there are, counting those of one object in one frame once. Fewer masks come out where an outline holds the centre
        of no pixel.

    Raises
    ------
    ValueError
        A row is of a frame that the clip does not have.
    """

    def __init__(self, outlines: ClipOutlines) -> None:
        self.clip = outlines.clip
        table = outlines.rows
        geometry = table.geometry.to_numpy()
        ok = table["rosgeo_status"].isin(_GOOD_STATUS).to_numpy(dtype=bool)
        rows = np.flatnonzero(ok & ~shapely.is_missing(geometry) & ~shapely.is_empty(geometry))
        used = table.iloc[rows]
        self._geometry = geometry
        self._rows: IntArray = rows
        self._score = table["rosgeo_score"].to_numpy(dtype=np.float64)
        self._boxes: FloatArray = table[list(BOX_COLUMNS)].to_numpy(dtype=np.float64)
        self._category: list[str] = [str(c) for c in table["category"]]
        self._index = self._frame_indices(used["frame"].tolist())
        every = own_ids(table["track_id"].tolist())
        ids = [every[row] for row in rows]
        place = {track_id: i for i, track_id in enumerate(sorted(set(ids), key=lambda i: (isinstance(i, str), i)))}
        self._track: IntArray = np.array([place[i] for i in ids], dtype=np.int64)
        self.tracks = tuple(Track(track_id, self._category_of(i)) for track_id, i in place.items())
        self._by_frame = np.lexsort((rows, self._track, self._index))
        self._by_track = np.lexsort((rows, self._index, self._track))
        self.pairs = len(set(zip(self._index.tolist(), self._track.tolist(), strict=True)))

    def frame(self, index: int) -> Iterator[TrackMask]:
        """The objects of a frame, in the order of `tracks`."""
        return self._masks(self._by_frame, self._index, index)

    def track(self, track: int) -> Iterator[TrackMask]:
        """An object in its frames, in order."""
        return self._masks(self._by_track, self._track, track)

    def outlines(self, track: int) -> Iterator[tuple[int, int, FloatArray]]:
        """An object in its frames, in order: the frame's place, the row, and one ring (K, 2) within the frame.

        Parts and holes are joined by seams of no width, so that the ring holds the same pixels. An object outside the frame has none.
        """
        start, stop = np.searchsorted(self._track[self._by_track], [track, track + 1]).tolist()
        together: dict[int, list[int]] = {}
        for i in self._by_track[start:stop].tolist():
            together.setdefault(int(self._index[i]), []).append(int(self._rows[i]))
        frame = shapely.box(0, 0, self.clip.width, self.clip.height)
        for index, rows in together.items():
            within = shapely.intersection(shapely.union_all(self._geometry[rows]), frame)
            parts = [p for p in shapely.get_parts(within) if shapely.area(p) > 0]
            if parts:
                yield index, rows[0], join_rings(parts)

    def score(self, row: int) -> float | None:
        """The row's score to 4 digits; None where it has none."""
        return round(float(self._score[row]), 4) if np.isfinite(self._score[row]) else None

    def category(self, row: int) -> str:
        """The row's class."""
        return self._category[row]

    def prompt(self, mask: TrackMask) -> FloatArray:
        """The box of the row (4,), xyxy in the pixel frame; that of the mask where the row has none."""
        box = self._boxes[mask.row]
        return box if np.isfinite(box).all() else np.array(mask.pixels.xyxy, dtype=np.float64)

    def _masks(self, order: npt.NDArray[np.intp], key: IntArray, value: int) -> Iterator[TrackMask]:
        start, stop = np.searchsorted(key[order], [value, value + 1]).tolist()
        together: dict[tuple[int, int], list[int]] = {}
        for i in order[start:stop].tolist():
            together.setdefault((int(self._index[i]), int(self._track[i])), []).append(int(self._rows[i]))
        for (index, track), rows in together.items():
            filled = [m for m in (self._fill(row) for row in rows) if m is not None]
            if filled:
                yield TrackMask(index, track, rows[0], reduce(join_masks, filled))

    def _fill(self, row: int) -> PixelMask | None:
        # By part, since get_rings knows no multipolygons.
        rings = shapely.get_rings(shapely.get_parts(self._geometry[row]))
        return fill_outline([shapely.get_coordinates(ring) for ring in rings], (self.clip.height, self.clip.width))

    def _frame_indices(self, numbers: list[Any]) -> IntArray:
        index_of = {frame.number: frame.index for frame in self.clip.frames}
        unknown = sorted(set(numbers) - index_of.keys())
        if unknown:
            raise ValueError(
                f"outlines of frame {unknown[0]}, which the clip {self.clip.name} does not have ({len(unknown)} such frames)"
            )
        return np.array([index_of[n] for n in numbers], dtype=np.int64)

    def _category_of(self, track: int) -> str:
        names = [self._category[row] for row in self._rows[self._track == track].tolist()]
        most: str = max(dict.fromkeys(names), key=names.count)
        return most


def frame_masks(outlines: ClipOutlines, index: int) -> BoolArray:
    """The masks of a frame's objects on the whole frame.

    Parameters
    ----------
    outlines : ClipOutlines
    index : int
        The frame's place in the clip, from 0.

    Returns
    -------
    bool array (n, height, width)
        Pixels whose centres lie inside the outline, by the rule of the training labels (`polygon_mask`): the mask of a pixel outline is the
        mask that the outline was made of. In the order of track ids; objects without a pixel are not among them. For whole clips
        `ClipMasks` needs less time and memory.
    """
    masks = ClipMasks(outlines)
    shape = outlines.clip.height, outlines.clip.width
    found = [mask.pixels.on(shape) for mask in masks.frame(index)]
    return np.stack(found) if found else np.zeros((0, *shape), dtype=bool)


def paint(masks: list[TrackMask], numbers: list[int], shape: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """A frame in which each pixel is of one object.

    Parameters
    ----------
    masks : list of TrackMask
        Of one frame.
    numbers : list of int
        The number of each, 1 to 65535.
    shape : (int, int)
        Height and width.

    Returns
    -------
    uint16 array (height, width)
        0 where there is no object. Where several overlap the one with the smallest area is in front, so that a car is seen on a parking
        lot; of equal ones that with the smaller number.
    """
    painted = np.zeros(shape, dtype=np.uint16)
    order = sorted(range(len(masks)), key=lambda i: (-masks[i].pixels.area, -numbers[i]))
    for i in order:
        pixels = masks[i].pixels
        painted[pixels.window][pixels.mask] = numbers[i]
    return painted
