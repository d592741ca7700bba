"""Training samples: augmented crops through the same window, padding and resampling code as inference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.errors import ConfigError
from rosgeo.geometry.windows import CropPolicy, auto_window
from rosgeo.inference.crops import PADDING_RGB, resample_image
from rosgeo.labelled.coverage import polygon_coverage
from rosgeo.labelled.data import LabelledObject, read_crop
from rosgeo.training.losses import IGNORED
from rosgeo.training.photometric import blur_picture, jitter_colours, noise_picture
from rosgeo.types import BoolArray, Float32Array, FloatArray, UInt8Array

__all__ = ["NO_AUGMENTATION", "Augmentation", "Sample", "make_sample"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training crop. Each has its own switch; see `NO_AUGMENTATION` for the values that turn it off.

    Attributes
    ----------
    box_share : (float, float)
        Longer side of the box over the side of the crop, drawn log-uniformly: large-scale jittering. Off: both the same.
    shift : float
        Largest offset of the box from the crop's centre, over the side of the crop; the box stays in the crop. Off: 0.
    rotate_any : float
        Probability of a rotation by any angle. Off: 0.
    quarter_turns : bool
        The others are turned by a random multiple of 90 degrees.
    flip : bool
        Mirror half of the crops.
    box_jitter : float
        Largest error of each side of the prompt, over the box's length in that direction. Off: 0.
    low_resolution : float
        Probability that the crop is first shrunk, so that the object is `low_resolution_px` long. Off: 0.
    low_resolution_px : (float, float)
        Longer side of the object in pixels after that, drawn log-uniformly; crops that are coarser already stay as they are.
    photometric : float
        Strength of brightness, contrast, gamma and colour jitter. Off: 0.
    grey : float
        Probability of a grey picture. Off: 0.
    blur : float
        Probability of a Gaussian blur. Off: 0.
    blur_px : (float, float)
        Its standard deviation in pixels of the model's input, drawn uniformly.
    noise : float
        Probability of Gaussian noise. Off: 0.
    noise_levels : (float, float)
        Its standard deviation in grey levels of 255, drawn uniformly.
    """

    box_share: tuple[float, float] = (0.25, 0.8)
    shift: float = 0.1
    rotate_any: float = 0.5
    quarter_turns: bool = True
    flip: bool = True
    box_jitter: float = 0.0
    low_resolution: float = 0.2
    low_resolution_px: tuple[float, float] = (10.0, 80.0)
    photometric: float = 1.0
    grey: float = 0.05
    blur: float = 0.0
    blur_px: tuple[float, float] = (0.5, 2.0)
    noise: float = 0.0
    noise_levels: tuple[float, float] = (2.0, 12.0)

    def __post_init__(self) -> None:
        for name in ("box_share", "low_resolution_px", "blur_px", "noise_levels"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"augmentation.{name} {[low, high]}: expected two positive numbers, the smaller first")
        for f in fields(self):
            if f.type == "float" and not getattr(self, f.name) >= 0:
                raise ConfigError(f"augmentation.{f.name} {getattr(self, f.name)}: expected a number of at least 0")
        if self.box_share[1] > 1:
            raise ConfigError(
                f"augmentation.box_share {list(self.box_share)}: a box cannot be larger than its crop; expected at most 1"
            )


NO_AUGMENTATION = Augmentation(
    box_share=(0.5, 0.5),
    shift=0.0,
    rotate_any=0.0,
    quarter_turns=False,
    flip=False,
    box_jitter=0.0,
    low_resolution=0.0,
    photometric=0.0,
    grey=0.0,
    blur=0.0,
    noise=0.0,
)
"""Every switch off."""


@dataclass(frozen=True)
class Sample:
    """One crop and the objects whose whole outline lies in it.

    Attributes
    ----------
    image : uint8 array (3, S, S)
        Model input.
    boxes_model : float32 array (K, 4)
        Prompts of the objects in the model frame, the sample's own object first.
    targets : float32 array (K, G, G)
        Area coverage of the objects on the mask grid, 0 outside the picture, `IGNORED` where nothing counts.
    """

    image: UInt8Array
    boxes_model: Float32Array
    targets: Float32Array


@dataclass(frozen=True)
class _Turned:
    """The square of a sample in the pixel frame: its middle, side and axes.

    Attributes
    ----------
    centre : float64 array (2,)
        In the pixel frame.
    turn : float64 array (2, 2)
        Rotation (and mirror) from picture to sample.
    side : int
        In raster pixels.
    any_angle : bool
        Whether the angle is no multiple of 90 degrees.
    """

    centre: FloatArray
    turn: FloatArray
    side: int
    any_angle: bool

    def to_cells(self, points_px: FloatArray, cells: int) -> FloatArray:
        """Points (n, 2) of the pixel frame on a grid of `cells` a side."""
        moved: FloatArray = ((points_px - self.centre) @ self.turn.T + self.side / 2) * (cells / self.side)
        return moved

    def box_to_cells(self, labelled: LabelledObject, cells: int) -> FloatArray:
        """The prompt of an object, xyxy: its own box turned, or the tight box of the turned outlines where the angle is free."""
        points = np.concatenate(labelled.rings) if self.any_angle else _corners(labelled.box_px)
        on_grid = self.to_cells(points, cells)
        box: FloatArray = np.clip(np.concatenate([on_grid.min(axis=0), on_grid.max(axis=0)]), 0, cells)
        return box


def make_sample(
    objects: Sequence[LabelledObject],
    index: int,
    *,
    augmentation: Augmentation,
    rng: np.random.Generator,
    input_size: int,
    mask_size: int,
    max_objects: int = 3,
) -> Sample:
    """Cut, augment and label a crop around one object.

    Parameters
    ----------
    objects : sequence of LabelledObject
        All labelled objects of that object's picture.
    index : int
        Which of them the crop is about.
    augmentation : Augmentation
        What to vary.
    rng : numpy Generator
        The only source of chance.
    input_size, mask_size : int
        Side of the model's input and of its mask grid.
    max_objects : int
        At most so many objects of the crop are labelled.

    Returns
    -------
    Sample
    """
    own = objects[index]
    turn, any_angle = _draw_turn(augmentation, rng)
    square, window_side, extent = _place(own, turn, any_angle, augmentation, rng)
    window = auto_window(np.concatenate([square.centre, square.centre]), 1.0, window_side)
    picture, valid = read_crop(own, window)
    step = window.size // picture.shape[1]
    if not any_angle:
        # The window is of whole pixels, so that the square is where the window is and not half a pixel beside it.
        square = _Turned(window.crop_to_px(np.full(2, window.size / 2)), turn, window.size, False)
    picture, valid = _turn_pixels(picture, valid, square, window.px_to_crop(square.centre) / step, step)
    picture = _lower_resolution(picture, extent / step, augmentation, rng)
    resampled = resample_image(picture, input_size)
    image = _vary(resampled, augmentation, rng)
    if image is not resampled and not valid.all():
        # What inference pads stays padding whatever was done to the picture.
        image[:, _resize_valid(valid, input_size) == 0] = np.array(PADDING_RGB, dtype=np.uint8)[:, None]
    chosen = _choose(objects, index, lambda p: square.to_cells(p, input_size), input_size, max_objects, rng)
    boxes = np.stack([square.box_to_cells(objects[i], input_size) for i in chosen])
    boxes = _jitter_boxes(boxes, augmentation.box_jitter, input_size, rng)
    grid = (mask_size, mask_size)
    targets = np.stack([polygon_coverage([square.to_cells(r, mask_size) for r in objects[i].rings], grid) for i in chosen])
    targets *= _resize_valid(valid, mask_size)
    if own.ignored:
        ignored = polygon_coverage([square.to_cells(r, mask_size) for r in own.ignored], grid)
        targets[:, ignored >= 0.5] = IGNORED
    return Sample(image, boxes.astype(np.float32), targets)


def _place(
    own: LabelledObject, turn: FloatArray, any_angle: bool, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[_Turned, int, float]:
    """The square of a sample, the side of the window that holds it, and the object's length along its axes, all in pixels."""
    x_min, y_min, x_max, y_max = own.box_px
    centre = np.array([(x_min + x_max) / 2, (y_min + y_max) / 2])
    outline = np.concatenate(own.rings) if any_angle else _corners(own.box_px)
    turned = (outline - centre) @ turn.T
    extent = float(np.ptp(turned, axis=0).max())
    share = _log_uniform(rng, augmentation.box_share)
    # As `auto_window` has it with the factor 1 / share; no smaller than a crop of inference.
    side = max(math.ceil(extent / share), CropPolicy.min_side)
    offset = rng.uniform(-1, 1, 2) * min(augmentation.shift, max((1 - extent / side) / 2, 0.0)) * side
    middle = (turned.max(axis=0) + turned.min(axis=0)) / 2
    square = _Turned(centre + turn.T @ (middle + offset), turn, side, any_angle)
    return square, math.ceil(side * math.sqrt(2)) + 3 if any_angle else side, extent


def _corners(box: FloatArray) -> FloatArray:
    """Two opposite corners (2, 2) of a box: under right angles they stay opposite corners."""
    return box.reshape(2, 2)


def _jitter_boxes(boxes: FloatArray, share: float, size: int, rng: np.random.Generator) -> FloatArray:
    """Move each side of boxes (K, 4) by up to a share of the box's length in its direction."""
    if share <= 0:
        return boxes
    lengths = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = np.clip(boxes + rng.uniform(-share, share, boxes.shape) * lengths, 0, size)
    # At least a pixel is left, also where two sides were moved towards each other.
    low = np.minimum(moved[:, :2], size - 1.0)
    jittered: FloatArray = np.concatenate([low, np.maximum(moved[:, 2:], low + 1)], axis=1)
    return jittered


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    low, high = np.log(bounds[0]), np.log(bounds[1])
    return float(np.exp(rng.uniform(low, high)))


def _draw_turn(augmentation: Augmentation, rng: np.random.Generator) -> tuple[FloatArray, bool]:
    """A rotation (and mirror) matrix of the picture, and whether its angle is free."""
    any_angle = bool(rng.random() < augmentation.rotate_any)
    quarter_turns = int(rng.integers(4)) if augmentation.quarter_turns else 0
    angle = rng.uniform(0, 2 * np.pi) if any_angle else quarter_turns * np.pi / 2
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    if not any_angle:
        turn = np.round(turn)
    if augmentation.flip and rng.random() < 0.5:
        turn = turn @ np.diag([-1.0, 1.0])
    return turn, any_angle


def _turn_pixels(
    picture: UInt8Array, valid: BoolArray, square: _Turned, origin: FloatArray, step: int
) -> tuple[UInt8Array, BoolArray]:
    """The pixels of a square whose middle is `origin` in the picture; exact for quarter turns, else bicubic.

    `step` is the raster pixels a pixel of the picture.
    """
    turn = square.turn
    if not square.any_angle:
        if turn[0, 0] * turn[1, 1] - turn[0, 1] * turn[1, 0] < 0:
            turn = turn @ np.diag([-1.0, 1.0])
            picture, valid = picture[:, :, ::-1], valid[:, ::-1]
        # np.rot90 turns counter-clockwise as seen with y up, which is clockwise in the pixel frame.
        quarter_turns = {(1, 0): 0, (0, 1): 3, (-1, 0): 2, (0, -1): 1}[int(turn[0, 0]), int(turn[1, 0])]
        return (
            np.ascontiguousarray(np.rot90(picture, quarter_turns, axes=(1, 2))),
            np.ascontiguousarray(np.rot90(valid, quarter_turns)),
        )
    side = max(round(square.side / step), 1)
    size = picture.shape[1]
    centres = (np.arange(side) + 0.5 - side / 2) * (square.side / (step * side))
    grid_x, grid_y = np.meshgrid(centres, centres)
    source = np.stack([grid_x, grid_y], axis=-1) @ turn + origin
    grid = torch.from_numpy((source * (2 / size) - 1).astype(np.float32))[None]
    pixels = torch.from_numpy(picture)[None].float()
    turned = F.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)
    kept = F.grid_sample(torch.from_numpy(valid)[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0] > 0
    out = turned[0].clamp_(0, 255).round_().to(torch.uint8).numpy()
    out[:, ~kept.numpy()] = np.array(PADDING_RGB, dtype=np.uint8)[:, None]
    return out, kept.numpy()


def _lower_resolution(picture: UInt8Array, extent: float, augmentation: Augmentation, rng: np.random.Generator) -> UInt8Array:
    if rng.random() >= augmentation.low_resolution:
        return picture
    wanted = _log_uniform(rng, augmentation.low_resolution_px)
    side = picture.shape[1]
    coarse = round(side * wanted / extent)
    return resample_image(picture, max(coarse, 12)) if coarse < side else picture


def _vary(image: UInt8Array, augmentation: Augmentation, rng: np.random.Generator) -> UInt8Array:
    """Blur, colours and noise, in the order in which a camera adds them."""
    varied = image
    if augmentation.blur > 0 and rng.random() < augmentation.blur:
        varied = blur_picture(varied, float(rng.uniform(*augmentation.blur_px)))
    if augmentation.photometric > 0 or augmentation.grey > 0:
        varied = jitter_colours(varied, augmentation.photometric, augmentation.grey, rng)
    if augmentation.noise > 0 and rng.random() < augmentation.noise:
        varied = noise_picture(varied, float(rng.uniform(*augmentation.noise_levels)), rng)
    return varied


def _choose(
    objects: Sequence[LabelledObject],
    index: int,
    to_model: Callable[[FloatArray], FloatArray],
    input_size: int,
    max_objects: int,
    rng: np.random.Generator,
) -> list[int]:
    """The crop's own object and some of the others that lie in it whole and are not too small for the mask grid."""
    others = []
    for i, other in enumerate(objects):
        if i == index or max_objects == 1:
            continue
        box = np.concatenate([to_model(r) for r in other.rings])
        low, high = box.min(axis=0), box.max(axis=0)
        if (low >= 0).all() and (high <= input_size).all() and (high - low).max() >= 0.12 * input_size:
            others.append(i)
    picked = rng.permutation(np.array(others, dtype=np.int64))[: max_objects - 1]
    return [index, *(int(i) for i in picked)]


def _resize_valid(valid: BoolArray, size: int) -> Float32Array:
    resized = F.interpolate(torch.from_numpy(valid)[None, None].float(), size=(size, size), mode="nearest-exact")
    out: Float32Array = resized[0, 0].numpy()
    return out
