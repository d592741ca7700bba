"""``rosgeo``, and ``rio rosgeo``."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Any

import click

from rosgeo import __version__
from rosgeo.cli.check import check_command
from rosgeo.cli.completion import completion_command
from rosgeo.cli.convert import convert_group
from rosgeo.cli.demo import demo_command
from rosgeo.cli.doctor import doctor_command
from rosgeo.cli.evaluate import evaluate_command
from rosgeo.cli.info import info_command
from rosgeo.cli.models import models_group
from rosgeo.cli.qgis import qgis_group
from rosgeo.cli.segment import segment_command
from rosgeo.cli.train import train_command
from rosgeo.cli.video import video_command
from rosgeo.errors import RosgeoError, UserInputError

__all__ = ["main"]


class _Group(click.Group):
    """A group that turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            # A pipe whose reader went away, as in ``| head``: click ends without a word then.
            raise
        except KeyboardInterrupt as error:
            # What a shell expects of a program that Ctrl-C ended.
            click.echo(f"Error: {error}" if isinstance(error, RosgeoError) else "Error: interrupted", err=True)
            sys.exit(130)
        except Exception as error:
            if debug:
                traceback.print_exc()
            _fail(error)


def _fail(error: Exception) -> None:
    # Notes say how to go on; one line all the same.
    notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, RosgeoError):
        click.echo(f"Error: {str(error).removesuffix('.') if notes else error}{notes}", err=True)
        sys.exit(2 if isinstance(error, UserInputError) else 1)
    text = " ".join(str(error).split()) or "no message"
    version = f"(rosgeo {__version__}; run rosgeo --debug ... for the traceback)"
    click.echo(f"Error: {type(error).__name__}: {text} {version}{notes}", err=True)
    sys.exit(1)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    from rosgeo.errors import RosgeoWarning

    if issubclass(category, RosgeoWarning):
        click.echo(f"Warning: {message}", err=True)


@click.group(name="rosgeo", cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rosgeo")
@click.option("-v", "--verbose", is_flag=True, help="Say what is done.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(verbose: bool, debug: bool) -> None:
    """Exact outlines in your GIS from rasters and boxes.

    \b
    rosgeo segment scene.tif boxes.gpkg
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    logging.basicConfig(level=logging.INFO if verbose or debug else logging.ERROR, format="%(name)s: %(message)s")
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    warnings.showwarning = _show_warning


main.add_command(segment_command)
main.add_command(video_command)
main.add_command(train_command)
main.add_command(evaluate_command)
main.add_command(check_command)
main.add_command(demo_command)
main.add_command(models_group)
main.add_command(info_command)
main.add_command(doctor_command)
main.add_command(completion_command)
main.add_command(convert_group)
main.add_command(qgis_group)
