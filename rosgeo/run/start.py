"""What every run begins and ends with, of one scene or of many: outputs, the model, the value that is given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rosgeo.errors import OptionError
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.run.append import ExistingResult, read_existing_result
from rosgeo.run.executors import ProgressCounter
from rosgeo.run.journal import Journal
from rosgeo.run.options import SegmentOptions
from rosgeo.types import Boxes

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Outputs", "SegmentRun", "as_paths", "existing_result", "interrupted_text", "open_segmenter"]

Outputs = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class SegmentRun:
    """A finished run.

    Attributes
    ----------
    result : GeoDataFrame
        One row for each input row; with `append`, of the whole output.
    record : dict
        Versions, weights, options, inputs, counts, times; plain values for JSON.
    boxes_px : Boxes
        The prompts in the pixel frame of the scene along `axes`; of several scenes, each in that of its own.
    axes : {"map", "raster"}
        Along which prompts and crops lay; see `place_boxes`. Of several scenes: ``map``, unless it is ``raster`` for all.
    """

    result: gpd.GeoDataFrame
    record: dict[str, Any]
    boxes_px: Boxes
    axes: Literal["map", "raster"]


def existing_result(outputs: Sequence[Path]) -> ExistingResult | None:
    """The result that is to be added to; None where there is none yet."""
    if not outputs:
        raise OptionError("append adds to an output; none was given")
    return read_existing_result(outputs[0]) if outputs[0].exists() else None


def as_paths(output: Outputs | None) -> list[str | Path]:
    """The files of a run as a list."""
    if output is None:
        return []
    return [output] if isinstance(output, str | Path) else list(output)


def open_segmenter(options: SegmentOptions) -> Segmenter:
    """The model that the options name, on their device."""
    model = open_model(options.model, adapter=options.adapter, input_size=options.input_size, mask_token=options.mask_token)
    return Segmenter(
        model, device=options.device, precision=options.precision, batch_size=options.batch_size, resample=options.resample
    )


def interrupted_text(counter: ProgressCounter, journal: Journal | None) -> str:
    """What an interrupted run says."""
    go_on = "" if journal is None else "; run the same command with --resume to go on"
    return f"interrupted with {counter.done} of {counter.total} objects done{go_on}"
