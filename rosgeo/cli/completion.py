"""``rosgeo completion SHELL``."""

from __future__ import annotations

import click

from rosgeo.cli.help import command

__all__ = ["completion_command"]

_VARIABLE = "_ROSGEO_COMPLETE"


@command("completion", short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and file names.

    Let the shell read it at its start: for bash add  eval "$(rosgeo completion bash)"  to ~/.bashrc, for zsh the same with zsh to
    ~/.zshrc; for fish write it to ~/.config/fish/completions/rosgeo.fish.

    \b
    rosgeo completion bash
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    complete = kinds[shell](ctx.find_root().command, {}, "rosgeo", _VARIABLE)
    # Not source(), which first asks bash for its version, and warns where there is no bash.
    click.echo(complete.source_template % complete.source_vars())
