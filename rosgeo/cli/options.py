"""Options that more than one command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["device_option", "quiet_option"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

quiet_option: Decorator = click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")
device_option: Decorator = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:N or mps."
)
