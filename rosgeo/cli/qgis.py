"""``rosgeo qgis``: rosgeo in QGIS's Processing toolbox."""

from __future__ import annotations

import sys

import click

__all__ = ["qgis_group"]


@click.group("qgis", short_help="rosgeo in the Processing toolbox of QGIS.")
def qgis_group() -> None:
    """Put rosgeo into the Processing toolbox of QGIS.

    The script there runs this rosgeo in this environment; QGIS itself needs nothing installed.

    \b
    rosgeo qgis install
    """  # noqa: D301 - the \\b is click's own mark, a backspace


@qgis_group.command("install", short_help="Put the Processing script into QGIS.")
@click.option("--profile", metavar="DIR", help="Folder of a QGIS profile.  [default: the profile that QGIS starts with]")
@click.option("--folder", metavar="DIR", help="Folder of Processing scripts.")
@click.option("--remove", is_flag=True, help="Take the script out again.")
def install_command(profile: str | None, folder: str | None, remove: bool) -> None:
    """Put the Processing script into QGIS, and say where.

    \b
    rosgeo qgis install
    rosgeo qgis install --remove
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.qgis import install as site

    for place in site.script_folders(profile, folder):
        if remove:
            click.echo(f"Removed: {place / site.SCRIPT}" if site.remove(place) else f"Nothing to remove in {place}")
        else:
            click.echo(f"Installed: {site.install(place, [sys.executable, '-m', 'rosgeo'])}")
    if not remove:
        click.echo("In QGIS: Processing > Toolbox > Scripts > rosgeo (a running QGIS shows it after a restart).")


@qgis_group.command("path", short_help="Where the Processing script is in this installation.")
def path_command() -> None:
    """Print the path of the Processing script in this installation, to add to QGIS by hand (Toolbox > Add Script to Toolbox).

    \b
    rosgeo qgis path
    """  # noqa: D301
    from rosgeo.qgis.install import script_path

    click.echo(script_path())
