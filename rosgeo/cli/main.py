"""``rosgeo``, and ``rio rosgeo``."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Any

import click

from rosgeo import __version__
from rosgeo.addresses.secrets import without_secrets
from rosgeo.cli.check import check_command
from rosgeo.cli.compare import compare_command
from rosgeo.cli.completion import completion_command
from rosgeo.cli.convert import convert_group
from rosgeo.cli.demo import demo_command
from rosgeo.cli.doctor import doctor_command
from rosgeo.cli.evaluate import evaluate_command
from rosgeo.cli.help import Group
from rosgeo.cli.info import info_command
from rosgeo.cli.models import models_group
from rosgeo.cli.qgis import qgis_group
from rosgeo.cli.segment import segment_command
from rosgeo.cli.train import train_command
from rosgeo.cli.video import video_command
from rosgeo.errors import RosgeoError, UserInputError

__all__ = ["main"]


class _Main(Group):
    """A group that turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            # It quotes what was written on the command line.
            error.message = without_secrets(error.message)  # type: ignore[misc]  # nothing else changes what click shows
            raise
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            # A pipe whose reader went away, as in ``| head``: click ends without a word then.
            raise
        except KeyboardInterrupt as error:
            # What a shell expects of a program that Ctrl-C ended.
            click.echo(f"Error: {error}" if isinstance(error, RosgeoError) else "Error: interrupted", err=True)
            sys.exit(130)
        except Exception as error:
            if debug:
                click.echo(without_secrets(traceback.format_exc()), err=True)
            _fail(error)


def _fail(error: Exception) -> None:
    # Notes say how to go on; one line all the same.
    notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, RosgeoError):
        click.echo(f"Error: {str(error).removesuffix('.') if notes else error}{notes}", err=True)
        sys.exit(2 if isinstance(error, UserInputError) else 1)
    text = without_secrets(" ".join(str(error).split())) or "no message"
    version = f"(rosgeo {__version__}; run rosgeo --debug ... for the traceback)"
    click.echo(f"Error: {type(error).__name__}: {text} {version}{notes}", err=True)
    sys.exit(1)


def _no_secrets(record: logging.LogRecord) -> bool:
    """A filter of log records that takes secrets of addresses out of each."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    from rosgeo.errors import RosgeoWarning

    if issubclass(category, RosgeoWarning):
        click.echo(f"Warning: {message}", err=True)


@click.group(name="rosgeo", cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
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
    for handler in logging.getLogger().handlers:
        handler.addFilter(_no_secrets)
    warnings.showwarning = _show_warning


for _command in (
    segment_command,
    video_command,
    convert_group,
    check_command,
    train_command,
    evaluate_command,
    compare_command,
    models_group,
    info_command,
    doctor_command,
    qgis_group,
    demo_command,
    completion_command,
):
    main.add_command(_command)
