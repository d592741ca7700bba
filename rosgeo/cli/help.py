"""How the help of a command is shown: many options in sections, plain text, on a terminal in colours.

On what click offers for it: cloup and rich-click would be loaded at every start, and rich-click draws its frames in pipes too.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import click

__all__ = ["Command", "Decorator", "Group", "Option", "Section", "command", "group", "option", "together"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_WIDEST = 100
"""Columns of help on a wide terminal; elsewhere click's own 80."""
_NAMES = 26
"""Columns for names and metavars of options; longer ones have a line of their own."""
_UNBROKEN = {"-": "\N{NON-BREAKING HYPHEN}", " ": "\N{NO-BREAK SPACE}"}
"""What stands for a character while lines are broken."""

_STYLES: dict[str, dict[str, Any]] = {
    "heading": {"fg": "green", "bold": True},
    "name": {"fg": "cyan", "bold": True},
    "default": {"dim": True},
}
_STYLED = (
    r"(?P<heading>^Usage:|^[A-Z][\w ]+:$)"
    r"|(?P<name>(?<=^  )-\S.*?(?=  |$)|(?<=^  )[a-z]+(?=  )|(?<![\w/-])(?:--[a-z][\w-]*|-[a-z]\b))"
    r"|(?P<default>\[default:[^\]]*\])"
)
"""Parts of a help by the name of their style; compiled only where it is needed, since that takes a millisecond."""


class Section(StrEnum):
    """Where an option stands in the help of a command that has many, in this order."""

    FIRST = "Most used"
    RESULT = "Result"
    BOXES = "Boxes"
    SCENE = "Scene"
    OUTLINES = "Outlines"
    MATCHING = "Matching"
    MODEL = "Model"
    CROPS = "Crops"
    RUN = "Where and how it runs"


class Option(click.Option):
    """An option with its section.

    Parameters
    ----------
    section : Section, optional
        Needed on commands whose options stand in sections.
    """

    def __init__(self, *arguments: Any, section: Section | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What stands in brackets: a default told in words without click's parentheses."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


class _Helpful(click.Command):
    """A command whose help is wider and in colours on a terminal, and the same plain text anywhere else."""

    def get_help(self, ctx: click.Context) -> str:
        if not sys.stdout.isatty():
            return super().get_help(ctx)
        ctx.max_content_width = ctx.max_content_width or _WIDEST
        text = super().get_help(ctx)
        # https://no-color.org; a dumb terminal shows the codes.
        return text if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else _coloured(text)


def _coloured(text: str) -> str:
    """Help with codes for colours; without them it is the same text."""
    return re.sub(_STYLED, lambda match: click.style(match[0], **_STYLES[str(match.lastgroup)]), text, flags=re.MULTILINE)


def _unbroken(text: str) -> str:
    """The help of an option whose lines are not broken within a hyphenated name, nor within a short default."""
    text = re.sub(r"\[.{,30}\]$", lambda match: match[0].replace(" ", _UNBROKEN[" "]), text)
    return text.replace("-", _UNBROKEN["-"])


class Command(_Helpful):
    """A command that shows its options in sections.

    Parameters
    ----------
    first : sequence of str
        Long names of the options that stand before all others, in this order. Empty: options are few, and stand in one list.

    Raises
    ------
    TypeError
        An option has no section, or `first` names none of the options.
    """

    def __init__(self, *arguments: Any, first: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.first = tuple(first)
        options = [p for p in self.params if isinstance(p, click.Option)]
        unknown = set(first) - {name for option in options for name in option.opts}
        homeless = [option.opts[-1] for option in options if getattr(option, "section", None) is None] if first else []
        if unknown or homeless:
            raise TypeError(f"command {self.name}: no options {sorted(unknown)}, no sections of {homeless}")

    def sections(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """The options by the title under which they stand in the help, in its order."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option) and not p.hidden]
        if not self.first:
            return {"Options": options}
        found: dict[str, list[click.Option]] = {section: [] for section in Section}
        for option in options:
            # --help is click's own, which knows of no sections.
            found[Section.FIRST if self._place(option) is not None else getattr(option, "section", Section.RUN)].append(option)
        found[Section.FIRST].sort(key=lambda option: self._place(option) or 0)
        return {title: held for title, held in found.items() if held}

    def _place(self, option: click.Option) -> int | None:
        return next((self.first.index(name) for name in option.opts if name in self.first), None)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, all with one width of the first column."""
        sections = {
            title: [record for option in options if (record := option.get_help_record(ctx)) is not None]
            for title, options in self.sections(ctx).items()
        }
        width = max(len(name) for records in sections.values() for name, _ in records if len(name) <= _NAMES)
        start = len(formatter.buffer)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), _unbroken(text)) for name, text in records], col_max=width)
        back = str.maketrans({stand_in: character for character, stand_in in _UNBROKEN.items()})
        formatter.buffer[start:] = [piece.translate(back) for piece in formatter.buffer[start:]]


class Group(_Helpful, click.Group):
    """Commands, listed in the order in which they were added."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, those first that were added first."""
        return list(self.commands)


def command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """As `click.command`, for a `Command`."""
    return click.command(name, cls=Command, **settings)


def group(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Group]:
    """As `click.group`, for a `Group`."""
    return click.group(name, cls=Group, **settings)


def option(*names: str, section: Section | None = None, **settings: Any) -> Decorator:
    """As `click.option`, for an `Option`."""
    return click.option(*names, cls=Option, section=section, **settings)


def together(*decorators: Decorator) -> Decorator:
    """Several options as one decorator; the first stands first in the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate
