"""``rosgeo train CONFIG``."""

from __future__ import annotations

import sys
from typing import Any

import click

from rosgeo.cli.help import command
from rosgeo.cli.options import FILE, quiet_option, resume_option, set_option

__all__ = ["train_command"]


@command("train", short_help="Train a model on labelled objects.", first=("--set", "--resume"))
@click.argument("config", type=FILE)
@set_option("Change a key of CONFIG, as in stages.live.samples=6400. May be repeated.")
@resume_option
@quiet_option()
def train_command(config: str, overrides: tuple[str, ...], resume: bool, quiet: bool) -> None:
    """Train a model on labelled objects, as the YAML file CONFIG says.

    \b
    rosgeo train configs/train/fine-tune.yaml \\
        --set data.train.0.raster=scene.tif --set data.train.0.labels=roofs.gpkg
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from tqdm import tqdm

    from rosgeo.training.loop import train
    from rosgeo.training.parse import read_config

    bar: Any = None

    def on_step(step: int, steps: int, figures: dict[str, float]) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=steps, initial=step - 1, unit="update", file=sys.stderr, disable=quiet, dynamic_ncols=True)
        bar.update(step - bar.n)
        bar.set_postfix({key: f"{value:.3f}" for key, value in figures.items()}, refresh=False)

    def on_note(text: str) -> None:
        if not quiet:
            tqdm.write(text, file=sys.stderr)

    result = train(read_config(config, overrides), resume=resume, on_step=on_step, on_note=on_note)
    if bar is not None:
        bar.close()
    if not quiet:
        figures = ", ".join(f"{key} {value:.3f}" for key, value in result.final.items())
        click.echo(f"{result.steps} steps; last: {figures}")
        click.echo(f"Weights: {result.weights}")
