"""What a command tells: progress on standard error, and lines on standard output."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import click

__all__ = ["ProgressBar", "teller"]


def teller(quiet: bool) -> Callable[[str], None]:
    """`click.echo`, or where a run is to be quiet a function that prints nothing."""
    return (lambda text: None) if quiet else click.echo


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
