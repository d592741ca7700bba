"""What more than one command has: options and the progress bar."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rosgeo.geometry.windows import CropPolicy

__all__ = [
    "FILE",
    "ProgressBar",
    "cluster_client",
    "crop_choices",
    "dem_option",
    "device_option",
    "height_option",
    "nodata_option",
    "quiet_option",
    "y_axis_option",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# Text that a shell completes as the name of a file; what is wrong with the file is said by whoever opens it.
FILE = click.Path(readable=False)

quiet_option: Decorator = click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")
device_option: Decorator = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:N or mps."
)
nodata_option: Decorator = click.option(
    "--nodata",
    metavar="VALUE",
    help="No measurement, in place of the file's tag; none: every value is one.  [default: as tagged, and what stands far out]",
)
dem_option: Decorator = click.option(
    "--dem", type=FILE, metavar="FILE", help="Raster of heights above the ellipsoid, for a scene that RPCs place."
)
height_option: Decorator = click.option(
    "--height", type=float, metavar="M", help="One height for all of it, in place of --dem.  [default: the middle of the RPCs' own]"
)


def y_axis_option(what: str) -> Decorator:
    """``--y-axis`` of a layer, in words that end with what is in pixels."""
    return click.option(
        "--y-axis",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "down", "up"]),
        help=f"Of {what} in pixels: y is the row (down) or, as drawn in QGIS, minus the row (up). auto: as its sign tells.",
    )


def crop_choices(choices: dict[str, Any]) -> CropPolicy:
    """The crop policy of a command's options; takes them out of `choices`."""
    from rosgeo.run.options import crop_policy

    share, number = choices.pop("share"), choices.pop("share_factor")
    named = {key: choices.pop(key) for key in ("crop", "crop_factor", "crop_side")}
    return crop_policy(share=share if number is None else number, **named)


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


def _seconds(text: str | None) -> float:
    try:
        return float(text or 10)
    except ValueError:
        return 10.0


class ProgressBar:
    """Progress on standard error, as a context manager that gives the pipeline's callback.

    A tqdm bar on a terminal: objects done, how many a second, time left, counts by status. Elsewhere a plain line now and then, for logs.

    Parameters
    ----------
    shown : bool
        False shows nothing.
    every : float, optional
        Seconds between two plain lines. Default: 10, or the environment variable ROSGEO_PROGRESS_S, for programs that read them.
    """

    def __init__(self, *, shown: bool = True, every: float | None = None) -> None:
        self._shown = shown
        self._every = _seconds(os.environ.get("ROSGEO_PROGRESS_S")) if every is None else every
        self._bar: Any = None
        self._started = self._said = time.monotonic()
        self._first = 0

    def __enter__(self) -> Callable[..., None]:
        return self._update

    def _update(self, done: int, total: int, counts: dict[str, int] | None = None) -> None:
        if not self._shown:
            return
        if sys.stderr.isatty():
            self._draw(done, total, counts or {})
        else:
            self._say(done, total, counts or {})

    def _draw(self, done: int, total: int, counts: dict[str, int]) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit="object", file=sys.stderr, dynamic_ncols=True)
        if counts:
            self._bar.set_postfix(counts, refresh=False)
        self._bar.update(done - self._bar.n)

    def _say(self, done: int, total: int, counts: dict[str, int]) -> None:
        now = time.monotonic()
        if self._started == self._said and done != total and self._first == 0:
            self._first, self._started = done, now
        if now - self._said < self._every or done == total:
            return
        self._said = now
        speed = (done - self._first) / max(now - self._started, 1e-9)
        left = f"{(total - done) / speed:.0f} s left" if speed > 0 else "time left unknown"
        by_status = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        click.echo(f"{done} of {total} objects, {speed:.2f} a second, {left}" + (f" ({by_status})" if by_status else ""), err=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
