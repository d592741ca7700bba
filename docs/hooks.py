"""What the documentation takes from elsewhere in the repository, so that nothing stands in two places.

- A line ``--8<-- FILE`` or ``--8<-- FILE # Heading`` in a page becomes the text of that file, or of that section of it (without its
  heading). A file or section that is not there stops the build.
- Pictures that other folders hold (`PICTURES`).
- ``notebooks/*.ipynb``, where there are any, as pages. They are stored without outputs: with ``ROSGEO_DOCS_EXECUTE=1`` (as `make docs`
  sets it) they are run first, in a folder that is thrown away.
- A page of the reference for each room of the code: the public names of its ``__init__.pyi``.
- The examples in a command's help, which click marks with a backspace, as blocks of code; its options in their sections, with headings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
PICTURES = {"pictures/demo.jpg": "rosgeo/demo/result.jpg"}
"""Path in the documentation: path in the repository."""

LINKS = {
    "rosgeo/model/weights/README.md": "about/model-card.md",
    "rosgeo/demo/result.jpg": "pictures/demo.jpg",
    "docs/pictures/outline_options.png": "pictures/outline_options.png",
    "docs/pictures/readme.jpg": "pictures/readme.jpg",
    "docs/pictures/memory.png": "pictures/memory.png",
    "docs/pictures/boxes.png": "pictures/boxes.png",
    "docs/pictures/workers.png": "pictures/workers.png",
    "CONTRIBUTING.md": "about/architecture.md",
    "CHANGELOG.md": "about/changelog.md",
}
"""Links in files that pages include: path in the repository, page."""

_INCLUDE = re.compile(r"^--8<-- (?P<file>\S+)(?: # (?P<heading>.+))?$", re.MULTILINE)
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)#:]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the notebooks in the navigation."""
    notebooks = [{_title(path): f"notebooks/{path.stem}.md"} for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    if notebooks:
        config.nav.insert(3, {"Notebooks": notebooks})
    reference = next(entry["Python API"] for entry in config.nav if "Python API" in entry)
    reference += [{f"rosgeo.{package}": f"api/{package}.md"} for package in room_pages()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pictures, notebooks, and the reference's pages."""
    for package, text in room_pages().items():
        files.append(File.generated(config, f"api/{package}.md", content=text))
    for name, path in PICTURES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text, pictures = notebook_page(path, execute=os.environ.get("ROSGEO_DOCS_EXECUTE") == "1")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=data))
    return files


def room_pages() -> dict[str, str]:
    """The pages of rooms and of rooms within them, by their names below ``rosgeo.``; the rooms nearest to a user first."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    rooms = importlib.import_module("tests.rooms").ROOMS
    pages = {}
    for room in reversed(rooms):
        for stub in sorted((ROOT / "rosgeo" / room).rglob("__init__.pyi")):
            package = ".".join(stub.parent.relative_to(ROOT / "rosgeo").parts)
            pages[package] = _room_page(package, stub)
    return pages


def _room_page(package: str, stub: Path) -> str:
    what = ast.get_docstring(ast.parse(stub.with_suffix(".py").read_text(encoding="utf-8"))) or ""
    nodes = ast.parse(stub.read_text(encoding="utf-8")).body
    homes = {alias.name: node.module for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    names = "\n".join(
        f"::: rosgeo.{package}.{home}.{name}\n    options:\n      heading: rosgeo.{package}.{name}\n      toc_label: {name}\n"
        for name, home in sorted(homes.items(), key=lambda item: (item[0].isupper(), item[0].lower()))
    )
    return f"# rosgeo.{package}\n\n{what}\n\n{names}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in what a page includes."""
    up = "../" * page.file.src_uri.count("/")
    return _INCLUDE.sub(lambda match: _relinked(section(match["file"], match["heading"]), match["file"], up), markdown)


def section(file: str, heading: str | None) -> str:
    """The text of a Markdown file of the repository below its title, or of one section below its heading; another file as code."""
    path = ROOT / file
    if not path.is_file():
        raise PluginError(f"docs: {file} is not there, but a page includes it")
    if path.suffix != ".md":
        return f"```{path.suffix[1:]}\n{path.read_text(encoding='utf-8').rstrip()}\n```"
    lines = path.read_text(encoding="utf-8").splitlines()
    code, heads = False, []
    for number, line in enumerate(lines):
        code ^= line.startswith("```")
        if not code and (match := re.match(r"(#+) (.+)", line)):
            heads.append((number, len(match[1]), match[2].strip()))
    found = [i for i, (_, level, text) in enumerate(heads) if (level == 1 if heading is None else text == heading)]
    if not found:
        raise PluginError(f"docs: {file} has no section {heading!r}, but a page includes it")
    start, level, _ = heads[found[0]]
    stop = next((number for number, other, _ in heads[found[0] + 1 :] if other <= level), len(lines))
    return "\n".join(lines[start + 1 : stop]).strip()


def _relinked(text: str, file: str, up: str) -> str:
    """Links that are relative to the file, as links of a page; a file that is no page is named without a link."""

    def link(match: re.Match[str]) -> str:
        target = (Path(file).parent / match["target"]).as_posix()
        return f"[{match['text']}]({up}{LINKS[target]})" if target in LINKS else f"{match['text']} (`{target}`)"

    return _LINK.sub(link, text)


def _title(path: Path) -> str:
    """The first heading of a notebook."""
    import nbformat

    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and (match := re.search(r"^# (.+)$", cell.source, re.MULTILINE)):
            return match[1].strip()
    return path.stem.replace("_", " ").capitalize()


def notebook_page(path: Path, *, execute: bool) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by name.

    Outputs that need scripts from the network (maps in frames, widgets) are left out, with a line that says so.
    """
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    if execute:
        from nbclient import NotebookClient

        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            _make_static(output)
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": path.stem, "output_files_dir": path.stem})
    return text, {name.replace(os.sep, "/"): data for name, data in resources.get("outputs", {}).items()}


def _make_static(output: Any) -> None:
    data = output.get("data", {})
    html = data.get("text/html", "")
    if "<script" in html or "<iframe" in html or "application/vnd.jupyter.widget-view+json" in data:
        for kind in ("text/html", "application/vnd.jupyter.widget-view+json", "application/javascript"):
            data.pop(kind, None)
        if not any(kind.startswith("image/") for kind in data):
            data["text/markdown"] = "*An interactive view: run the notebook to see it.*"


def _fence_examples(command: click.Command) -> None:
    r"""Paragraphs after click's mark ``\b`` are examples: as blocks of code they keep their lines in Markdown."""
    if command.help:
        help_text = inspect.cleandoc(command.help)
        command.help = re.sub(r"\x08\n(.*?)(?=\n\n|\Z)", r"```sh\n\1\n```", help_text, flags=re.DOTALL)
    for child in getattr(command, "commands", {}).values():
        _fence_examples(child)


class _Sections(click.HelpFormatter):
    """Sections of a help as headings of Markdown, each with its block of text."""

    def __init__(self, level: int) -> None:
        super().__init__(width=78)
        self._heading = "#" * level

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.write(f"{self._heading} {name}\n\n```text\n")
        yield
        self.write("```\n\n")


def _options_in_sections(of_others: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """mkdocs-click's Markdown of a command's options, which knows no sections, for commands that have some."""

    def lines(ctx: click.Context, *arguments: Any, **settings: Any) -> Iterator[str]:
        if not getattr(ctx.command, "first", ()):
            yield from of_others(ctx, *arguments, **settings)
            return
        formatter = _Sections(2 if ctx.parent is None else 3)
        ctx.command.format_options(ctx, formatter)
        yield from formatter.getvalue().splitlines()

    return lines


def on_startup(command: str, dirty: bool) -> None:
    """Prepare the commands' help for the reference."""
    from mkdocs_click import _docs
    from rosgeo.cli.main import main

    _fence_examples(main)
    _docs._make_options = _options_in_sections(_docs._make_options)
