"""Where tiles are run: in this process, with reading and polygonising beside the model, or on the workers of a Dask cluster."""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rosgeo.errors import ClusterError
from rosgeo.run.journal import Journal
from rosgeo.run.tiles import Runner
from rosgeo.types import Crop, ObjectMask, Tile
from rosgeo.vector.result import ObjectResult

if TYPE_CHECKING:
    from contextlib import ExitStack

    from distributed import Client

    from rosgeo.inference.predict import Segmenter
    from rosgeo.raster.bands import Stretch
    from rosgeo.run.cluster import ClusterJob
    from rosgeo.run.options import SegmentOptions

__all__ = ["Progress", "ProgressCounter", "cluster_work", "collect", "run_local", "run_on_cluster"]

Progress = Callable[[int, int, dict[str, int]], None]

OpenRunner = Callable[["ClusterJob", "Segmenter", "ExitStack"], Runner]

Numbered = tuple[int, ObjectResult]

_LEAST_CROPS_AHEAD = 4
_POLYGONISERS = 2
_TILES_A_THREAD = 2
_ATTEMPTS = 3


def run_local(tiles: Sequence[tuple[int, Tile]], runner: Runner) -> Generator[Numbered]:
    """Run tiles in this process.

    A thread reads crops ahead of the model, another pool makes polygons behind it, and both are bounded: memory holds a few crops and
    masks, however many boxes there are. Batches run across the seams of tiles.

    Parameters
    ----------
    tiles : sequence of (int, Tile)
        Each with its number.
    runner : Runner

    Yields
    ------
    (int, ObjectResult)
        The number of the tile and the result of one of its boxes; all of a tile before it is over, tiles about in order.
    """
    ahead: queue.Queue[Any] = queue.Queue(
        maxsize=max(_LEAST_CROPS_AHEAD, 2 * getattr(runner.segmenter, "batch_size", 1) * getattr(runner.segmenter, "streams", 1))
    )
    stopped = threading.Event()
    reading = threading.Thread(target=_read, args=(tiles, runner, ahead, stopped), name="rosgeo-reader", daemon=True)
    origin = {int(row): (number, box) for number, tile in tiles for row, box in zip(tile.boxes.ids, tile.boxes.xyxy, strict=True)}
    skipped: list[ObjectResult] = []
    pending: deque[Future[ObjectResult]] = deque()
    reading.start()
    try:
        with (
            ThreadPoolExecutor(_POLYGONISERS, thread_name_prefix="rosgeo-outlines") as pool,
            closing(_segmented(runner.segmenter, _from_queue(ahead, skipped))) as masks,
        ):
            for mask in masks:
                pending.append(pool.submit(runner.result, mask, origin[mask.id][1]))
                while skipped:
                    yield origin[skipped[-1].id][0], skipped.pop()
                while pending and (pending[0].done() or len(pending) > 4 * _POLYGONISERS):
                    result = pending.popleft().result()
                    yield origin[result.id][0], result
            for result in skipped:
                yield origin[result.id][0], result
            for future in pending:
                yield origin[future.result().id][0], future.result()
    finally:
        stopped.set()
        reading.join()


def _segmented(segmenter: Segmenter, crops: Iterator[Crop]) -> Generator[ObjectMask]:
    """Masks of crops in their order; of what stands for a model in tests, one after the other."""
    yield from getattr(segmenter, "segment_side_by_side", segmenter.segment)(crops)


def _read(tiles: Sequence[tuple[int, Tile]], runner: Runner, ahead: queue.Queue[Any], stopped: threading.Event) -> None:
    """Put crops, results of boxes without one, and in the end None or an error into the queue."""
    try:
        for _number, tile in tiles:
            for item in runner.crops(tile):
                if not _put(ahead, item, stopped):
                    return
        _put(ahead, None, stopped)
    except BaseException as error:  # handed to the thread that asks for the crops
        _put(ahead, error, stopped)


def _put(ahead: queue.Queue[Any], item: Any, stopped: threading.Event) -> bool:
    """Put an item where there is room; False when nobody will take it any more."""
    while not stopped.is_set():
        try:
            ahead.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False


def _from_queue(ahead: queue.Queue[Any], skipped: list[ObjectResult]) -> Iterator[Crop]:
    while (item := ahead.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, ObjectResult):
            skipped.append(item)
        else:
            yield item


def run_on_cluster(
    tiles: Sequence[tuple[int, Tile]], job: Any, work: Callable[[Any, Tile], list[ObjectResult]], client: Client
) -> Generator[Numbered]:
    """Run tiles on the workers of a `dask.distributed` cluster.

    Parameters
    ----------
    tiles : sequence of (int, Tile)
        Each with its number.
    job : picklable
        What `work` needs to know; small, since it goes with each task.
    work : callable
        ``work(job, tile)``, run on a worker. It keeps the model from task to task.
    client : distributed.Client

    Yields
    ------
    (int, ObjectResult)
        As tiles are done. A tile whose worker dies is run again on another.

    Raises
    ------
    ClusterError
        No workers, or a tile that brings down one worker after the other.
    """
    from distributed import KilledWorker, as_completed

    cluster = client.scheduler_info(n_workers=-1)
    workers = cluster["workers"]
    if not workers:
        raise ClusterError(f"the cluster at {cluster['address']} has no workers; start some with: dask worker {cluster['address']}")
    # Where workers declare GPUs, a task takes one, so that two do not fight for its memory.
    gpus = any("GPU" in worker.get("resources", {}) for worker in workers.values())
    threads = sum(worker.get("nthreads", 1) for worker in workers.values())
    waiting = iter(tiles)
    numbers: dict[Any, int] = {}

    def submit(number: int, tile: Tile) -> Any:
        # The key is dask's own, drawn at random: one made here could be another run's on the same cluster.
        future = client.submit(work, job, tile, pure=False, retries=_ATTEMPTS - 1, resources={"GPU": 1} if gpus else None)
        numbers[future.key] = number
        return future

    first = [submit(*item) for _, item in zip(range(_TILES_A_THREAD * threads), waiting, strict=False)]
    running: Any = as_completed(first)  # type: ignore[no-untyped-call]
    try:
        for future in running:
            try:
                results = future.result()
            except KilledWorker as error:
                raise ClusterError(
                    f"tile {numbers[future.key]} brought down one worker after the other; they may have too little memory ({error})"
                ) from error
            number = numbers.pop(future.key)
            # Let go before the next is sent, so that the cluster keeps no results.
            future.release()
            following = next(waiting, None)
            if following is not None:
                running.add(submit(*following))
            for result in results:
                yield number, result
    finally:
        if numbers:
            client.cancel(list(numbers))  # type: ignore[no-untyped-call]


class ProgressCounter:
    """Counts results by status and tells the progress.

    Parameters
    ----------
    total : int
        Objects in all.
    done : iterable of ObjectResult
        Results that are there already.
    progress : callable or None
        Called with the number of objects done, their total, and the number of each status.
    """

    def __init__(self, total: int, done: Iterable[ObjectResult], progress: Progress | None) -> None:
        self.total = total
        self.counts = Counter(result.status for result in done)
        self._progress = progress
        self._tell()

    @property
    def done(self) -> int:
        """Objects that have a result."""
        return self.counts.total()

    def add(self, result: ObjectResult) -> None:
        """Count a result."""
        self.counts[result.status] += 1
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self.done, self.total, self._told())

    def _told(self) -> dict[str, int]:
        return {str(status): n for status, n in self.counts.items()}


def collect(
    work: Iterator[tuple[int, ObjectResult]], tiles: dict[int, Tile], journal: Journal | None, counter: ProgressCounter
) -> list[ObjectResult]:
    """All results of the work; a tile goes into the journal as soon as it is whole."""
    by_tile: dict[int, list[ObjectResult]] = {}
    for number, result in work:
        by_tile.setdefault(number, []).append(result)
        counter.add(result)
        if journal is not None and len(by_tile[number]) == len(tiles[number]):
            journal.add(number, by_tile[number])
    return [result for results in by_tile.values() for result in results]


def cluster_work(
    tiles: Sequence[tuple[int, Tile]],
    scene: Any,
    bands: tuple[int, int, int],
    stretch: Stretch,
    segmenter: Segmenter,
    options: SegmentOptions,
    client: Client,
    *,
    open_runner: OpenRunner | None = None,
    upright: bool = False,
) -> Generator[tuple[int, ObjectResult]]:
    """Run tiles on a cluster; see `ClusterJob` for the parameters (`open_runner`: of a raster), `run_on_cluster` for what comes."""
    from rosgeo.run.cluster import ClusterJob, open_scene, run_job

    job = ClusterJob(
        key=uuid4().hex,
        open_runner=open_runner or open_scene,
        scene=scene,
        upright=upright,
        bands=bands,
        stretch=stretch,
        outline=options.outline,
        reading=options.reading,
        sha256=segmenter.model.sha256,
        **{key: getattr(options, key) for key in _OF_THE_MODEL},
    )
    return run_on_cluster(tiles, job, run_job, client)


_OF_THE_MODEL = ("model", "adapter", "mask_token", "input_size", "device", "precision", "batch_size", "resample")
