"""What every run begins and ends with, of one scene or of many: outputs, the model, the value that is given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rosgeo.errors import OptionError
from rosgeo.files.locks import written_alone
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.run.append import ExistingResult, read_existing_result
from rosgeo.run.executors import ProgressCounter
from rosgeo.run.journal import Journal
from rosgeo.run.options import SegmentOptions
from rosgeo.types import Boxes
from rosgeo.vector.layers.write import check_outputs

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Outputs", "RunTarget", "SegmentRun", "interrupted_text", "open_segmenter", "run_target"]

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
    reading : Reading
        How the scene was read, with what was found of fill values.
    """

    result: gpd.GeoDataFrame
    record: dict[str, Any]
    boxes_px: Boxes
    axes: Literal["map", "raster"]
    reading: Reading = AS_TAGGED


@dataclass(frozen=True)
class RunTarget:
    """Where the result of a run goes.

    Attributes
    ----------
    outputs : list of Path
        Checked, and of this run alone.
    existing : ExistingResult or None
        What the first of them holds and new rows are added to.
    resume : bool
        Whether to go on from a journal.
    class_column : str or None
        Of the boxes, for COCO.
    """

    outputs: list[Path]
    existing: ExistingResult | None
    resume: bool
    class_column: str | None


@contextmanager
def run_target(
    output: Outputs | None, *, inputs: tuple[str, ...], class_column: str | None, overwrite: bool, append: bool, resume: bool
) -> Iterator[RunTarget]:
    """The outputs of a run, which no other run writes as long as this one goes.

    Parameters
    ----------
    output, class_column, overwrite, append, resume
        See `rosgeo.segment`.
    inputs : tuple of str
        Files that are read, which no output may be.

    Raises
    ------
    OptionError, OutputError
        `append` without an output; see `check_outputs`, `written_alone` and `read_existing_result`.
    """
    named = [] if output is None else [output] if isinstance(output, str | Path) else list(output)

    def check() -> list[Path]:
        return check_outputs(named, overwrite=overwrite, added_to=append, inputs=inputs)

    check()
    with written_alone(named):
        # Again, since another run may have ended in between.
        outputs = check()
        yield RunTarget(outputs, _existing_result(outputs) if append else None, resume, class_column)


def _existing_result(outputs: Sequence[Path]) -> ExistingResult | None:
    """The result that is to be added to; None where there is none yet."""
    if not outputs:
        raise OptionError("append adds to an output; none was given")
    return read_existing_result(outputs[0]) if outputs[0].exists() else None


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
