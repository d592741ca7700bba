"""The help of every command: options in sections, each defined once, plain text where nobody looks, colours on a terminal."""

from __future__ import annotations

import ast
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import rosgeo.cli
from click.testing import Result
from rosgeo.cli.help import Command, Section, command, option
from rosgeo.cli.main import main
from rosgeo.geometry.windows import CropPolicy
from rosgeo.run.options import SHARE_FACTOR

Cli = Callable[..., Result]
Names = tuple[str, ...]

TITLES = ["Most used", "Result", "Boxes", "Scene", "Outlines", "Matching", "Model", "Crops", "Where and how it runs"]
FIRST = {
    ("segment",): ["--output", "--overwrite", "--boxes-crs", "--bands", "--model", "--preview"],
    ("video",): ["--output", "--overwrite", "--fps", "--georef", "--model", "--preview"],
    ("evaluate",): ["--labels", "--frame-masks", "--model", "--picture", "--json", "--device"],
    ("train",): ["--set", "--resume"],
    ("check",): ["--labels", "--frame-masks", "--picture", "--json", "--set"],
    ("compare",): ["--output", "--overwrite", "--iou", "--class-column", "--area", "--json"],
    ("convert", "tracks"): ["--to", "--from", "--overwrite"],
}
"""Commands whose options stand in sections, and what stands first."""
MANY = 6
"""A command with more options than these has sections."""


def contexts(context: click.Context | None = None, path: Names = ()) -> Iterator[tuple[Names, click.Context]]:
    """Every command with its context, from the top."""
    context = click.Context(main, info_name="rosgeo", **main.context_settings) if context is None else context
    yield path, context
    if isinstance(context.command, click.Group):
        for name, child in context.command.commands.items():
            yield from contexts(click.Context(child, info_name=name, parent=context), (*path, name))


CONTEXTS = dict(contexts())
every_command = pytest.mark.parametrize("path", CONTEXTS, ids=" ".join)


def options_of(path: Names) -> list[click.Option]:
    return [p for p in CONTEXTS[path].command.get_params(CONTEXTS[path]) if isinstance(p, click.Option)]


def long(given: click.Option) -> str:
    return max(given.opts, key=len)


def shown(text: str) -> dict[str, list[str]]:
    """The long names of the options under each heading of a help."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z].*:", line):
            found[line[:-1]] = []
        elif match := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found[list(found)[-1]].append(match[1])
    return found


@pytest.mark.parametrize("path", FIRST, ids=" ".join)
def test_every_option_is_in_one_section_and_sections_have_their_order(path: Names, cli: Cli) -> None:
    sections = shown(cli(*path, "--help").stdout)
    assert list(sections) == [title for title in TITLES if title in sections]
    assert sections["Most used"] == FIRST[path]
    assert sorted(name for names in sections.values() for name in names) == sorted(long(o) for o in options_of(path))


def test_the_sections_of_segment_are_all() -> None:
    assert [section.value for section in Section] == TITLES
    # Of layers of outlines, which only compare has.
    own = [title for title in TITLES if title != Section.MATCHING]
    assert list(CONTEXTS["segment",].command.sections(CONTEXTS["segment",])) == own  # type: ignore[attr-defined]


@every_command
def test_many_options_stand_in_sections(path: Names) -> None:
    assert (len(options_of(path)) <= MANY) or path in FIRST


def test_an_option_means_the_same_section_in_every_command() -> None:
    places: dict[str, set[str]] = {}
    for path in FIRST:
        for found in options_of(path):
            if long(found) != "--help":
                places.setdefault(long(found), set()).add(found.section)  # type: ignore[attr-defined]
    assert [name for name, sections in places.items() if len(sections) > 1] == []


def test_no_option_is_defined_twice() -> None:
    defined: Counter[str] = Counter()
    for file in Path(rosgeo.cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("option", "click.option"):
                names = [a.value for a in node.args if isinstance(a, ast.Constant) and str(a.value).startswith("-")]
                defined.update(part for name in names for part in str(name).split("/"))
    assert [name for name, count in defined.items() if count > 1] == []
    # All were seen: nothing is defined in another way.
    there = {name for path in CONTEXTS for o in options_of(path) for name in (*o.opts, *o.secondary_opts)}
    assert set(defined) == there - {"-h", "--help", "--version"}


def test_help_speaks_of_the_command_s_own_arguments() -> None:
    own = {
        path: {p.human_readable_name.strip("[].") for p in context.command.params if isinstance(p, click.Argument)}
        for path, context in CONTEXTS.items()
    }
    metavars = {str(o.metavar) for path in CONTEXTS for o in options_of(path)}
    names = set().union(*own.values()) - metavars
    assert {"SCENE", "BOXES", "FRAMES", "TRACKS", "IN", "OUT", "DATA"} <= names
    for path in CONTEXTS:
        for found in options_of(path):
            text = " ".join(found.get_help_record(CONTEXTS[path]) or ())
            assert {word for word in re.findall(r"\w+", text) if word in names - own[path]} == set(), (path, text)
            assert "As for" not in text


def test_defaults_in_words_are_the_defaults() -> None:
    told = {long(o): str(o.show_default) for path in FIRST for o in options_of(path)}
    policy = CropPolicy()
    numbers = [float(told[name]) for name in ("--crop-factor", "--crop-side", "--share-factor")]
    assert numbers == [policy.factor, policy.paper_side, SHARE_FACTOR]


@every_command
def test_plain_text_of_one_width_where_there_is_no_terminal(path: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    texts = set()
    for columns in ("80", "100", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        texts.add(dict(contexts())[path].get_help())
    (text,) = texts
    # Neither codes nor boxes.
    assert re.fullmatch(r"[ -~\n]+", text)
    neat(text, 80)


@every_command
@pytest.mark.parametrize("columns", [80, 90, 100, 120])
def test_the_same_text_in_colours_on_a_terminal(path: Names, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    context = dict(contexts())[path]
    text = context.get_help()
    assert "\x1b[" in text
    neat(click.unstyle(text), min(columns, 100))
    for variable, value in (("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(variable, value)
        assert context.get_help() == click.unstyle(text)


def neat(text: str, columns: int) -> None:
    """Lines fit, nothing trails, and no name of an option is cut at a hyphen."""
    for line in text.splitlines():
        assert len(line) <= columns, line
        assert line == line.rstrip()
        assert not re.search(r"--[\w-]*-$", line), line


def test_a_real_terminal_and_a_real_pipe() -> None:
    command_line = [sys.executable, "-m", "rosgeo", "segment", "--help"]
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    piped = subprocess.run(command_line, capture_output=True, text=True, check=True, env=environment)
    assert piped.stdout.isascii()
    assert "\x1b" not in piped.stdout
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    with subprocess.Popen(command_line, stdout=its, env=environment) as process:
        os.close(its)
        seen = b""
        while part := _read(ours):
            seen += part
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[" in seen
    assert click.unstyle(seen.decode()).replace("\r\n", "\n") == piped.stdout


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize(("first", "words"), [(("--b",), "no sections of ['--b']"), (("--c",), "no options ['--c']")])
def test_a_command_is_not_made_with_an_option_left_over(first: tuple[str, ...], words: str) -> None:
    def function() -> None:
        """Nothing."""

    assert isinstance(command("x")(option("--b")(function)), Command)
    with pytest.raises(TypeError, match=re.escape(words)):
        command("x", first=first)(option("--b")(function))
