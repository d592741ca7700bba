"""What more than one command has: options and the progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

__all__ = ["ProgressBar", "device_option", "quiet_option"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

quiet_option: Decorator = click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")
device_option: Decorator = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:N or mps."
)


class ProgressBar:
    """A tqdm bar on standard error, as a context manager that gives the pipeline's callback.

    Parameters
    ----------
    shown : bool
        False shows nothing.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._update

    def _update(self, done: int, total: int) -> None:
        if not self._shown:
            return
        if self._bar is None:
            from tqdm import tqdm

            # disable=None: no bar where standard error is not a terminal.
            self._bar = tqdm(total=total, unit="object", file=sys.stderr, dynamic_ncols=True, disable=None)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
