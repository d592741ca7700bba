"""The Dask cluster of ``--workers`` and ``--scheduler``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["cluster_client"]


@contextmanager
def cluster_client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A client of the cluster that the options ask for; None where they ask for none.

    Parameters
    ----------
    workers : int or None
        Processes of one thread on this machine, started for the run.
    scheduler : str or None
        Address of a running cluster.
    """
    from rosgeo.errors import OptionError

    if workers is not None and scheduler is not None:
        raise OptionError("--workers and --scheduler were both given; expected one of them")
    if workers is None and scheduler is None:
        yield None
        return
    from distributed import Client, LocalCluster

    # It sets up its own logging, at INFO, when it is imported.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=10)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split())[:160]
            raise OptionError(
                f"--scheduler {scheduler}: no Dask scheduler answers there ({reason}). Start one with: dask scheduler"
            ) from error
        with client:
            yield client
        return
    # One thread a process: the model's own threads would fight for the same cores.
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client
