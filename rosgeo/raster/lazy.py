"""Pixels of lazy arrays, wherever they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["pixels_of"]


def pixels_of(array: xr.DataArray) -> npt.NDArray[Any]:
    """The values of an array in memory, or backed by Dask; of a lazy one just the chunks under it are computed.

    Within a task of a cluster they are computed in the task's own thread. As tasks of their own they would wait for a thread while the
    tasks that wait for them hold all threads. Chunks that the cluster holds already (``persist``) are fetched from where they are.
    """
    data = array.data
    if not hasattr(data, "__dask_graph__") or not _within_a_task():
        return np.asarray(array.values)
    from dask.core import flatten
    from dask.local import get_sync
    from distributed import Future, get_client

    # Not dask.optimize, which takes what is held elsewhere for missing.
    wanted = set(flatten(data.__dask_keys__()))  # type: ignore[no-untyped-call]
    graph = dict(data.__dask_graph__().cull(wanted))
    kept = [key for key, value in graph.items() if isinstance(value, Future)]
    if kept:
        client = get_client()
        # Those that came with the task belong to no client.
        own: dict[Any, Any] = {key: Future(graph[key].key, client) for key in kept}
        graph.update(client.gather(own))  # type: ignore[no-untyped-call]
    finalize, arguments = data.__dask_postcompute__()
    chunks = get_sync(graph, data.__dask_keys__())
    return np.asarray(finalize(chunks, *arguments))


def _within_a_task() -> bool:
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
