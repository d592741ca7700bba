"""One frame of a clip as a piece of the work: its crops read, its masks made polygons of its own map frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rosgeo.clips.frames import FrameSequence
from rosgeo.errors import RasterError
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.inference.predict import Segmenter
from rosgeo.run.cluster import ClusterJob
from rosgeo.run.tiles import TileRunner
from rosgeo.types import Crop, FloatArray, ObjectMask, Tile
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import ObjectResult

__all__ = ["FrameRunner", "FrameTile", "open_clip"]


@dataclass(frozen=True)
class FrameTile(Tile):
    """All boxes of a frame.

    Attributes
    ----------
    frame : int
        Index of the frame in its clip.
    file : Path or None
        Where the frame is a file of its own.
    """

    frame: int = 0
    file: Path | None = None


class FrameRunner:
    """What turns the boxes of a frame into results; see `Runner`.

    Parameters
    ----------
    frames : FrameSequence
    segmenter : Segmenter
    outline : OutlineOptions
    """

    def __init__(self, frames: FrameSequence, segmenter: Segmenter, outline: OutlineOptions) -> None:
        self._frames = frames
        self._segmenter = segmenter
        self._outline = outline
        # Of the boxes that are on their way through the model, by row; each frame may lie elsewhere.
        self._runners: dict[int, TileRunner] = {}

    @property
    def segmenter(self) -> Segmenter:
        """The model."""
        return self._segmenter

    def crops(self, tile: Tile) -> Iterator[Crop | ObjectResult]:
        """The crop of each box of a frame; ``nodata`` where it holds no valid pixel, ``failed`` where the frame cannot be read."""
        assert isinstance(tile, FrameTile)
        waiting = set(tile.boxes.ids.tolist())
        try:
            with self._frames.source(tile.frame, tile.file) as source:
                runner = TileRunner(self._frames.reader(source, PADDING_RGB), self._segmenter, self._outline)
                for item in runner.crops(tile):
                    waiting.discard(item.id)
                    if isinstance(item, Crop):
                        self._runners[item.id] = runner
                    yield item
        except RasterError:
            for row in sorted(waiting):
                yield ObjectResult(row, "failed")

    def result(self, mask: ObjectMask, box_px: FloatArray) -> ObjectResult:
        """See `Runner`."""
        # Of the frame, which may be closed by now, only the grid is asked for.
        return self._runners.pop(mask.id).result(mask, box_px)


def open_clip(job: ClusterJob, segmenter: Segmenter, _opened: ExitStack) -> FrameRunner:
    """The runner of a clip's frames on a worker of a cluster; frames are opened one by one."""
    return FrameRunner(job.scene, segmenter, job.outline)
