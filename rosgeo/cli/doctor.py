"""``rosgeo doctor``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from rosgeo.cli.help import command
from rosgeo.cli.options import json_option

__all__ = ["doctor_command"]


@command("doctor", short_help="Check the installation; what to paste into a bug report.")
@json_option("Print it as JSON.")
def doctor_command(as_json: bool) -> None:
    """Tell versions, devices, cache and memory, and test every part that a run needs.

    The test takes seconds and no network. The exit code is 1 where something is broken; a line says what to do.

    \b
    rosgeo doctor
    rosgeo doctor --json
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.diagnostics.doctor import diagnose

    report = diagnose()
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        for line in _lines(report):
            click.echo(line)
    for check in report["checks"]:
        if not check["ok"]:
            click.echo(f"Error: {check['name']} is broken ({check['found']}). To do: {check['remedy']}", err=True)
    if not report["ok"]:
        sys.exit(1)


def _lines(report: dict[str, Any]) -> list[str]:
    lines = []
    for section in ("versions", "system", "devices", "threads", "memory", "environment"):
        lines += [section, *(f"  {key + ':':30}{value}" for key, value in report[section].items())]
    cache = report["cache"]
    lines += ["cache", *(f"  {k + ':':30}{v}" for k, v in cache.items() if k != "files")]
    lines += [f"  {name + ':':30}{what}" for name, what in cache.get("files", {}).items()] or ["  (no files)"]
    lines.append("self test")
    for check in report["checks"]:
        lines.append(f"  {check['name'] + ':':30}{'ok' if check['ok'] else 'BROKEN'}, {check['found']} ({check['seconds']} s)")
    return lines
