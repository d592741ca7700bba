"""``rosgeo qgis``: rosgeo in QGIS's Processing toolbox."""

from __future__ import annotations

import sys

import click

from rosgeo.cli.help import group, option
from rosgeo.cli.options import quiet_option
from rosgeo.cli.progress import teller

__all__ = ["qgis_group"]


@group("qgis", short_help="rosgeo in the Processing toolbox of QGIS.")
def qgis_group() -> None:
    """Put rosgeo into the Processing toolbox of QGIS.

    The script there runs this rosgeo in this environment; QGIS itself needs nothing installed.

    \b
    rosgeo qgis install
    """  # noqa: D301 - the \\b is click's own mark, a backspace


@qgis_group.command("install", short_help="Put the Processing script into QGIS.")
@option("--profile", metavar="DIR", show_default="the profile that QGIS starts with", help="Folder of a QGIS profile.")
@option("--folder", metavar="DIR", help="Folder of Processing scripts.")
@option("--remove", is_flag=True, help="Take the script out again.")
@quiet_option()
def install_command(profile: str | None, folder: str | None, remove: bool, quiet: bool) -> None:
    """Put the Processing script into QGIS, and say where.

    \b
    rosgeo qgis install
    rosgeo qgis install --remove
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.qgis import install as site

    tell = teller(quiet)
    for place in site.script_folders(profile, folder):
        if remove:
            tell(f"Removed: {place / site.SCRIPT}" if site.remove(place) else f"Nothing to remove in {place}")
        else:
            tell(f"Installed: {site.install(place, [sys.executable, '-m', 'rosgeo'])}")
    if not remove:
        tell("In QGIS: Processing > Toolbox > Scripts > rosgeo (a running QGIS shows it after a restart).")


@qgis_group.command("path", short_help="Where the Processing script is in this installation.")
def path_command() -> None:
    """Print the path of the Processing script in this installation, to add to QGIS by hand (Toolbox > Add Script to Toolbox).

    \b
    rosgeo qgis path
    """  # noqa: D301
    from rosgeo.qgis.install import script_path

    click.echo(script_path())
