"""A tile on a worker of a cluster: the scene and the model are opened there once, and kept from task to task."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rosgeo.errors import ClusterError
from rosgeo.inference.crops import PADDING_RGB, Resampling
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model
from rosgeo.raster.bands import Stretch
from rosgeo.raster.crops import CropReader
from rosgeo.raster.reading import AS_TAGGED, Reading
from rosgeo.raster.source import open_source
from rosgeo.raster.upright import upright_source
from rosgeo.run.tiles import Runner, TileRunner, run_tile
from rosgeo.types import Tile
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import ObjectResult

__all__ = ["ClusterJob", "open_scene", "run_job"]


@dataclass(frozen=True)
class ClusterJob:
    """What a worker needs to know to run a tile; the same for all tiles of a run.

    Attributes
    ----------
    key : str
        Names the run: what is opened for it is kept until another comes.
    open_runner : callable
        ``open_runner(job, segmenter, opened)``: what runs tiles of this job, with what it opens on the stack `opened`; a function of a
        module, which is sent by its name. `open_scene` for a raster.
    scene : str, DataArray or FrameSequence
        A name that every worker can open, a lazy array, or what else `open_runner` takes.
    upright : bool
        The scene is seen along the map's axes.
    bands : tuple of three int
    stretch : Stretch
        Fitted on the whole scene by whoever made the plan.
    outline : OutlineOptions
    model, adapter, mask_token, input_size, device, precision, batch_size, resample
        See `SegmentOptions`.
    sha256 : str
        Of the weights; a worker that finds another file by that name does not use it.
    reading : Reading
        How the scene is read, with what was found of fill values by whoever made the plan.
    """

    key: str
    open_runner: Callable[[ClusterJob, Segmenter, ExitStack], Runner]
    scene: Any
    upright: bool
    bands: tuple[int, int, int]
    stretch: Stretch
    outline: OutlineOptions
    model: str
    adapter: str | None
    mask_token: str | None
    input_size: int | None
    device: str
    precision: str
    batch_size: int | None
    resample: Resampling
    sha256: str
    reading: Reading = AS_TAGGED


_lock = threading.Lock()
_kept: dict[str, tuple[Runner, ExitStack]] = {}


def run_job(job: ClusterJob, tile: Tile) -> list[ObjectResult]:
    """Run a tile in a worker process. One at a time in a process, whatever its number of threads: they share the model and the file."""
    with _lock:
        if job.key not in _kept:
            _close_all()
            _kept[job.key] = _open(job)
        return run_tile(_kept[job.key][0], tile)


@atexit.register
def _close_all() -> None:
    """Close what was opened for earlier runs; files are closed before GDAL is gone."""
    while _kept:
        _kept.popitem()[1][1].close()


def _open(job: ClusterJob) -> tuple[Runner, ExitStack]:
    model = open_model(job.model, adapter=job.adapter, input_size=job.input_size, mask_token=job.mask_token)
    if model.sha256 != job.sha256:
        raise ClusterError(
            f"the model {model.path.name} on this worker has SHA-256 {model.sha256[:12]}, expected {job.sha256[:12]}; "
            "give all machines the same file"
        )
    segmenter = Segmenter(model, device=job.device, precision=job.precision, batch_size=job.batch_size, resample=job.resample)
    opened = ExitStack()
    return job.open_runner(job, segmenter, opened), opened


def open_scene(job: ClusterJob, segmenter: Segmenter, opened: ExitStack) -> TileRunner:
    """The runner of a raster's tiles."""
    source = opened.enter_context(open_source(job.scene, job.reading))
    reader = CropReader(upright_source(source) if job.upright else source, job.bands, job.stretch, PADDING_RGB)
    return TileRunner(reader, segmenter, job.outline)
