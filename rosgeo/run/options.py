"""The options of a run, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rosgeo.errors import OptionError
from rosgeo.geometry.crs import crs_label
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import Resampling
from rosgeo.model.registry import DEFAULT_MODEL
from rosgeo.raster.bands import Band, parse_bands
from rosgeo.raster.reading import AS_TAGGED, Reading, make_reading
from rosgeo.run.prompts import Axes
from rosgeo.types import YAxis
from rosgeo.vector.polygonize import OutlineOptions

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["SHARE_FACTOR", "SegmentOptions", "crop_policy", "make_options"]

SHARE_FACTOR = 3.0
"""`CropPolicy.share` where sharing is asked for without a number; chosen by measurement (README)."""


@dataclass(frozen=True)
class SegmentOptions:
    """Every option of a run, as given.

    Attributes
    ----------
    model : str
        Name of a model or path of its weights.
    adapter : str or None
        Adapter to put on the model; see `open_model`.
    mask_token : {"hq", "sam", "sum"} or None
        Whose mask is served; None for the model's own choice.
    input_size : int or None
        Side of the model's input in pixels; None for the model's own.
    device, precision : str
        See `choose_device` and `choose_precision`.
    batch_size : int or None
        Crops a pass; None: 1 on a CPU, 16 on a GPU.
    bands : tuple of int or str, or None
        One or three bands: numbers from 1, or names.
    stretch : str
        ``auto``, ``none``, ``percentile:LO,HI`` or ``range:LO,HI``.
    reading : Reading
        Nodata values and heights, where the scene does not tell them.
    crop : CropPolicy
        How crops are cut.
    resample : {"bicubic", "bilinear"}
        How crops are brought to the model's input.
    axes : {"auto", "map", "raster"}
        Along which axes prompts and crops lie; see `place_boxes`.
    outline : OutlineOptions
        How masks become polygons.
    boxes_crs, layer, where : str or None
        How the boxes are read.
    y_axis : {"auto", "down", "up"}
        Of boxes in pixels; see `points_up`.
    box_format : str or None
        One of `rosgeo.vector.detections.read.BOX_FORMATS`; None to recognise it.
    crs : str or None
        CRS of the result; None for the raster's.
    """

    model: str = DEFAULT_MODEL
    adapter: str | None = None
    mask_token: str | None = None
    input_size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    bands: tuple[Band, ...] | None = None
    stretch: str = "auto"
    reading: Reading = AS_TAGGED
    crop: CropPolicy = field(default_factory=CropPolicy)
    resample: Resampling = "bicubic"
    axes: Axes = "auto"
    outline: OutlineOptions = field(default_factory=OutlineOptions)
    boxes_crs: str | None = None
    layer: str | None = None
    where: str | None = None
    y_axis: YAxis = "auto"
    box_format: str | None = None
    crs: str | None = None


def make_options(
    *,
    model: str | Path,
    adapter: str | Path | None,
    bands: str | tuple[Band, ...] | None,
    crop: str,
    crop_factor: float | None,
    crop_side: int | None,
    share: bool | float,
    resample: str,
    axes: str,
    outline: str,
    parts: str,
    min_area: float | None,
    simplify: float,
    boxes_crs: str | CRS | None,
    crs: str | CRS | None,
    fill_holes: float | Literal["all"] | None = None,
    orthogonal: bool = False,
    y_axis: str = "auto",
    nodata: str | float | Sequence[float] | None = None,
    dem: str | Path | None = None,
    height: float | None = None,
    **as_given: Any,
) -> SegmentOptions:
    """The options of `rosgeo.segment`, checked; raises OptionError for a value outside its choices."""
    return SegmentOptions(
        model=str(model),
        adapter=None if adapter is None else str(adapter),
        bands=parse_bands(bands),
        reading=make_reading(nodata, dem, height),
        crop=crop_policy(crop=crop, crop_factor=crop_factor, crop_side=crop_side, share=share),
        resample=_choice("resample", resample, ("bicubic", "bilinear")),
        axes=_choice("axes", axes, ("auto", "map", "raster")),
        outline=OutlineOptions(
            outline=_choice("outline", outline, ("smooth", "pixel")),
            parts=_choice("parts", parts, ("all", "largest")),
            min_area=min_area,
            simplify=simplify,
            fill_holes=fill_holes,
            orthogonal=orthogonal,
        ),
        boxes_crs=_crs_text(boxes_crs),
        y_axis=_choice("y_axis", y_axis, ("auto", "down", "up")),
        crs=_crs_text(crs),
        **as_given,
    )


def crop_policy(*, crop: str, crop_factor: float | None, crop_side: int | None, share: bool | float) -> CropPolicy:
    """How crops are chosen, from the options of that name, of which None is the default.

    `share` is True or False, or the number `CropPolicy.share`, of which `SHARE_FACTOR` is the usual one. Raises OptionError for a value
    outside its choices.
    """
    policy = CropPolicy(mode=_choice("crop", crop, ("auto", "paper", "tiles", "whole")))
    if crop_factor is not None:
        policy = replace(policy, factor=crop_factor)
    if crop_side is not None:
        policy = replace(policy, paper_side=crop_side)
    if not share:
        return policy
    if share is not True and crop == "paper":
        raise OptionError(
            f"share factor {share:g}: crops of mode 'paper' have one side. Use --share (share=True) without a number."
        )
    return replace(policy, share=SHARE_FACTOR if share is True else float(share))


def _crs_text(crs: str | CRS | None) -> str | None:
    """A CRS as text, for the record."""
    return crs if crs is None or isinstance(crs, str) else crs_label(crs) if crs.to_authority() else crs.to_wkt()


def _choice(option: str, value: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise OptionError(f"{option} {value!r}: expected one of {', '.join(choices)}")
    return value
