"""The values that rosgeo's rooms hand to one another: frozen, validated on construction, in named frames.

Frames (see each field's suffix): ``_map`` in CRS units; ``_px`` in raster pixels, continuous, origin at the top-left corner of
the top-left pixel, whose centre is (0.5, 0.5); ``_crop`` the pixel frame moved by a window's offset; ``_model`` the crop frame
scaled to the model's input. Points are (x, y) = (column, row), boxes xyxy, shapes (height, width), arrays (C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = [
    "BoolArray",
    "Boxes",
    "Crop",
    "CropWindow",
    "FloatArray",
    "Frame",
    "IntArray",
    "ObjectMask",
    "PixelMapping",
    "PromptBatch",
    "RasterGrid",
    "Status",
    "Tile",
    "UInt8Array",
    "YAxis",
]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]

Frame = Literal["map", "pixel", "crop", "model"]
Status = Literal["ok", "empty", "outside", "nodata", "invalid", "failed", "missing"]
YAxis = Literal["auto", "down", "up"]
"""Which way y points in pixel coordinates: it is the row, or minus the row."""


class PixelMapping(Protocol):
    """A change of frame between pixel and map that knows its inverse."""

    @property
    def is_affine(self) -> bool:
        """True where straight lines in one frame are straight in the other."""

    def to_map(self, points_px: FloatArray) -> FloatArray:
        """Map points (N, 2) from the pixel frame to the map frame."""

    def to_px(self, points_map: FloatArray) -> FloatArray:
        """Map points (N, 2) from the map frame to the pixel frame."""


@dataclass(frozen=True)
class RasterGrid:
    """Where a raster's pixels lie.

    Attributes
    ----------
    height, width : int
        Size in pixels, both positive.
    mapping : PixelMapping
        Pixel frame <-> map frame; `PICTURE_MAPPING` where the raster has no georeferencing.
    crs : pyproj.CRS or None
        CRS of the map frame; None means that it is a local one.
    """

    height: int
    width: int
    mapping: PixelMapping
    crs: CRS | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a raster grid needs at least one pixel, got height {self.height}, width {self.width}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


@dataclass(frozen=True)
class Boxes:
    """Boxes in one named frame, each with the row of the input layer that it came from.

    Attributes
    ----------
    xyxy : float64 array (N, 4)
        x_min, y_min, x_max, y_max. All NaN where a row has no usable geometry.
    ids : int64 array (N,)
        Row numbers of the input layer, from 0.
    frame : {"map", "pixel", "crop", "model"}
        The frame of `xyxy`.
    """

    xyxy: FloatArray
    ids: IntArray
    frame: Frame

    def __post_init__(self) -> None:
        xyxy = np.asarray(self.xyxy, dtype=np.float64)
        ids = np.asarray(self.ids, dtype=np.int64)
        if xyxy.ndim != 2 or xyxy.shape[1] != 4:
            raise ValueError(f"boxes must have shape (N, 4), got {xyxy.shape}")
        if ids.shape != (len(xyxy),):
            raise ValueError(f"{len(xyxy)} boxes need {len(xyxy)} ids, got shape {ids.shape}")
        with np.errstate(invalid="ignore"):
            flipped = (xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)
        if flipped.any():
            raise ValueError(f"box of row {ids[flipped][0]} has its maximum below its minimum: {xyxy[flipped][0]}")
        object.__setattr__(self, "xyxy", xyxy)
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class CropWindow:
    """A square window of the raster, in whole pixels; it may pass the raster's edge.

    Attributes
    ----------
    col_off, row_off : int
        Column and row of the window's top-left pixel; negative left of or above the raster.
    size : int
        Side in pixels.
    width, height : int
        How much of the window, from its top-left corner, may hold picture; the rest is padding. Equal to `size` for rosgeo's own
        windows; less only for the windows of the ROS-SAM reference, which pads what it cuts at an edge.
    """

    col_off: int
    row_off: int
    size: int
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a crop window needs a side of at least 1 px, got {self.size}")
        object.__setattr__(self, "width", self.width or self.size)
        object.__setattr__(self, "height", self.height or self.size)
        if self.width > self.size or self.height > self.size:
            raise ValueError(f"picture of {self.width} x {self.height} px does not fit a window of {self.size} px")

    def readable(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the raster that the window holds.

        Parameters
        ----------
        shape : (int, int)
            Height and width of the raster in pixels.

        Returns
        -------
        (slice, slice)
            Row and column slices in the pixel frame; empty (start == stop) where the window misses the raster.
        """
        return (
            _clipped(self.row_off, self.row_off + self.height, shape[0]),
            _clipped(self.col_off, self.col_off + self.width, shape[1]),
        )

    def paste(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Where the pixels of `readable` lie inside the crop: row and column slices in the crop frame."""
        rows, cols = self.readable(shape)
        return (
            slice(rows.start - self.row_off, rows.stop - self.row_off),
            slice(cols.start - self.col_off, cols.stop - self.col_off),
        )

    def px_to_crop(self, xy: FloatArray) -> FloatArray:
        """Move points (N, 2) or boxes (N, 4) from the pixel frame to the crop frame."""
        return np.asarray(xy, dtype=np.float64) - self._offset(xy)

    def crop_to_px(self, xy: FloatArray) -> FloatArray:
        """Move points (N, 2) or boxes (N, 4) from the crop frame to the pixel frame."""
        return np.asarray(xy, dtype=np.float64) + self._offset(xy)

    def crop_to_model(self, xy: FloatArray, side: int) -> FloatArray:
        """Scale points or boxes from the crop frame to a model input of `side` x `side`."""
        return np.asarray(xy, dtype=np.float64) * (side / self.size)

    def model_to_crop(self, xy: FloatArray, side: int) -> FloatArray:
        """Scale points or boxes from a model input (or mask grid) of `side` x `side` to the crop frame."""
        return np.asarray(xy, dtype=np.float64) * (self.size / side)

    def _offset(self, xy: FloatArray) -> FloatArray:
        repeats = np.asarray(xy).shape[-1] // 2
        return np.tile(np.array([self.col_off, self.row_off], dtype=np.float64), repeats)


def _clipped(start: int, stop: int, limit: int) -> slice:
    """The part of [start, stop) inside [0, limit); empty but well-formed where there is none."""
    low = min(max(start, 0), limit)
    return slice(low, max(min(stop, limit), low))


@dataclass(frozen=True)
class Tile:
    """A part of the work: crop windows and boxes that are read and segmented together.

    Attributes
    ----------
    boxes : Boxes
        Boxes in the pixel frame, one for each window.
    windows : tuple of CropWindow
        The crop of each box.
    """

    boxes: Boxes
    windows: tuple[CropWindow, ...]

    def __post_init__(self) -> None:
        if self.boxes.frame != "pixel":
            raise ValueError(f"a tile holds boxes in the pixel frame, got {self.boxes.frame!r}")
        if len(self.windows) != len(self.boxes):
            raise ValueError(f"{len(self.boxes)} boxes need {len(self.boxes)} windows, got {len(self.windows)}")

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Crop:
    """The pixels of one crop window, ready for the model's input, and its box.

    Attributes
    ----------
    id : int
        Row of the input layer.
    window : CropWindow
        The window that was read; the same value places the mask.
    box_crop : float64 array (4,)
        The prompt in the crop frame.
    image : uint8 array (3, h, w)
        RGB. `h` = `w` = `window.size` / `decimation`.
    valid : bool array (h, w)
        False outside the raster and on nodata.
    mask_logits : float32 array (m, m) or None
        A mask as a further prompt: logits at the centres of m x m equal cells over the window.
    """

    id: int
    window: CropWindow
    box_crop: FloatArray
    image: UInt8Array
    valid: BoolArray
    mask_logits: Float32Array | None = None


@dataclass(frozen=True)
class PromptBatch:
    """Model input for B objects on I crops.

    Attributes
    ----------
    image : uint8 array (I, 3, S, S)
        RGB crops resampled to the model's input.
    boxes_model : float32 array (B, 4)
        Prompts in the model frame.
    crops : tuple of B Crop
        Where each came from.
    image_of : int64 array (B,)
        Which image each box is on, ascending.
    """

    image: UInt8Array
    boxes_model: Float32Array
    crops: tuple[Crop, ...]
    image_of: IntArray


@dataclass(frozen=True)
class ObjectMask:
    """What the model says of one object.

    Attributes
    ----------
    id : int
        Row of the input layer.
    window : CropWindow
        The window that the logits cover, edge to edge.
    logits : float32 array (h, w)
        Samples at the centres of h x w equal cells over the window; above 0 inside the object, negative where the crop is not valid.
        Not finite where the model failed.
    predicted_iou : float
        The model's own estimate of the mask's IoU, 0 to 1.
    stability : float
        IoU of the masks at logit > +1 and > -1; 0 where both are empty.
    """

    id: int
    window: CropWindow
    logits: Float32Array
    predicted_iou: float
    stability: float


def as_record(value: Any) -> Any:
    """Turn numpy scalars and arrays into plain Python values, for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value
