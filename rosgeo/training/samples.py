"""Training samples: augmented crops through the same window, padding and resampling code as inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from rosgeo.geometry.windows import auto_window
from rosgeo.inference.crops import PADDING_RGB, resample_image
from rosgeo.training.coverage import polygon_coverage
from rosgeo.training.data import LabelledObject, load_image
from rosgeo.types import BoolArray, CropWindow, Float32Array, FloatArray, UInt8Array

__all__ = ["Augmentation", "Sample", "make_sample", "read_picture_crop"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training crop. Each has its own switch.

    Attributes
    ----------
    box_share : (float, float)
        Longer side of the box over the side of the crop, drawn log-uniformly.
    shift : float
        Largest offset of the box from the crop's centre, over the side of the crop.
    rotate_any : float
        Probability of a rotation by any angle; else by a multiple of 90 degrees.
    flip : bool
        Mirror half of the crops.
    low_resolution : float
        Probability that the crop is first shrunk, so that the object is `low_resolution_px` long.
    low_resolution_px : (float, float)
        Longer side of the object in pixels after that, drawn log-uniformly; crops that are coarser already stay as they are.
    photometric : float
        Strength of brightness, contrast, gamma and colour jitter; 0 turns it off.
    grey : float
        Probability of a grey picture.
    """

    box_share: tuple[float, float] = (0.25, 0.8)
    shift: float = 0.1
    rotate_any: float = 0.5
    flip: bool = True
    low_resolution: float = 0.2
    low_resolution_px: tuple[float, float] = (10.0, 80.0)
    photometric: float = 1.0
    grey: float = 0.05


NO_AUGMENTATION = Augmentation((0.5, 0.5), 0.0, 0.0, False, 0.0, (10.0, 80.0), 0.0, 0.0)


@dataclass(frozen=True)
class Sample:
    """One crop and the objects whose whole outline lies in it.

    Attributes
    ----------
    image : uint8 array (3, S, S)
        Model input.
    boxes_model : float32 array (K, 4)
        Tight boxes of the objects in the model frame, the sample's own object first.
    targets : float32 array (K, G, G)
        Area coverage of the objects on the mask grid, 0 outside the picture.
    """

    image: UInt8Array
    boxes_model: Float32Array
    targets: Float32Array


def read_picture_crop(picture: UInt8Array, window: CropWindow) -> tuple[UInt8Array, BoolArray]:
    """Cut a window from a picture (3, H, W): RGB (3, size, size), padded, and where it is valid."""
    shape = (picture.shape[1], picture.shape[2])
    rows, cols = window.readable(shape)
    into = window.paste(shape)
    crop = np.empty((3, window.size, window.size), dtype=np.uint8)
    crop[:] = np.array(PADDING_RGB, dtype=np.uint8)[:, None, None]
    crop[:, into[0], into[1]] = picture[:, rows, cols]
    valid = np.zeros((window.size, window.size), dtype=bool)
    valid[into] = True
    return crop, valid


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
    x_min, y_min, x_max, y_max = own.box_px
    centre = np.array([(x_min + x_max) / 2, (y_min + y_max) / 2])
    turn, any_angle = _draw_turn(augmentation, rng)
    turned = (np.concatenate(own.rings) - centre) @ turn.T
    extent = np.ptp(turned, axis=0).max()
    side = max(round(extent / _log_uniform(rng, augmentation.box_share)), 16)
    middle = (turned.max(axis=0) + turned.min(axis=0)) / 2
    target_centre = centre + turn.T @ (middle + rng.uniform(-1, 1, 2) * augmentation.shift * side)
    reach = int(np.ceil(side * 1.4143)) + 3 if any_angle else side
    window = auto_window(np.concatenate([target_centre, target_centre]), 1.0, reach)
    picture, valid = read_picture_crop(load_image(own.image_path), window)
    # From here the crop is a square of `side` whose axes are turned; `origin` is its middle in the window.
    origin = window.px_to_crop(target_centre) if any_angle else np.full(2, window.size / 2)
    picture, valid = _turn_pixels(picture, valid, turn, origin, side, any_angle)
    picture = _lower_resolution(picture, extent, augmentation, rng)
    image = _photometric(resample_image(picture, input_size), augmentation, rng)
    image[:, _resize_valid(valid, input_size) == 0] = np.array(PADDING_RGB, dtype=np.uint8)[:, None]

    def to_cells(points_px: FloatArray, cells: int) -> FloatArray:
        moved = (window.px_to_crop(points_px) - origin) @ turn.T + side / 2
        scaled: FloatArray = moved * (cells / side)
        return scaled

    chosen = _choose(objects, index, lambda p: to_cells(p, input_size), input_size, max_objects, rng)
    boxes = np.stack([_envelope([to_cells(r, input_size) for r in objects[i].rings], input_size) for i in chosen])
    valid_cells = _resize_valid(valid, mask_size)
    targets = np.stack(
        [polygon_coverage([to_cells(r, mask_size) for r in objects[i].rings], (mask_size, mask_size)) for i in chosen]
    )
    return Sample(image, boxes.astype(np.float32), targets * valid_cells)


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    low, high = np.log(bounds[0]), np.log(bounds[1])
    return float(np.exp(rng.uniform(low, high)))


def _draw_turn(augmentation: Augmentation, rng: np.random.Generator) -> tuple[FloatArray, bool]:
    """A rotation (and mirror) matrix of the picture, and whether its angle is free."""
    any_angle = bool(rng.random() < augmentation.rotate_any)
    quarter_turns = int(rng.integers(4)) if augmentation.rotate_any > 0 else 0
    angle = rng.uniform(0, 2 * np.pi) if any_angle else quarter_turns * np.pi / 2
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    if not any_angle:
        turn = np.round(turn)
    if augmentation.flip and rng.random() < 0.5:
        turn = turn @ np.diag([-1.0, 1.0])
    return turn, any_angle


def _turn_pixels(
    picture: UInt8Array, valid: BoolArray, turn: FloatArray, origin: FloatArray, side: int, any_angle: bool
) -> tuple[UInt8Array, BoolArray]:
    """The square of `side` whose middle is `origin`, with its axes turned; exact for quarter turns."""
    if not any_angle:
        if turn[0, 0] * turn[1, 1] - turn[0, 1] * turn[1, 0] < 0:
            turn = turn @ np.diag([-1.0, 1.0])
            picture, valid = picture[:, :, ::-1], valid[:, ::-1]
        # np.rot90 turns counter-clockwise as seen with y up, which is clockwise in the pixel frame.
        quarter_turns = {(1, 0): 0, (0, 1): 3, (-1, 0): 2, (0, -1): 1}[int(turn[0, 0]), int(turn[1, 0])]
        return (
            np.ascontiguousarray(np.rot90(picture, quarter_turns, axes=(1, 2))),
            np.ascontiguousarray(np.rot90(valid, quarter_turns)),
        )
    size = picture.shape[1]
    centres = np.arange(side) + 0.5 - side / 2
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


def _photometric(image: UInt8Array, augmentation: Augmentation, rng: np.random.Generator) -> UInt8Array:
    strength = augmentation.photometric
    if strength <= 0:
        return image.copy()
    pixels = image.astype(np.float32) / 255
    if rng.random() < augmentation.grey:
        pixels[:] = pixels.mean(axis=0)
    pixels = pixels ** float(np.exp(rng.uniform(-0.35, 0.35) * strength))
    contrast = float(np.exp(rng.uniform(-0.3, 0.3) * strength))
    colour = rng.uniform(-0.06, 0.06, (3, 1, 1)).astype(np.float32) * strength
    mean = pixels.mean()
    pixels = (pixels - mean) * contrast + mean + float(rng.uniform(-0.12, 0.12) * strength) + colour
    jittered: UInt8Array = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    return jittered


def _envelope(rings: Sequence[FloatArray], size: int) -> FloatArray:
    points = np.concatenate(list(rings))
    envelope: FloatArray = np.clip(np.concatenate([points.min(axis=0), points.max(axis=0)]), 0, size)
    return envelope


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
        if i == index:
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
