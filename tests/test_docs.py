"""The documentation: built without network, strictly; no link, anchor or picture leads nowhere; the commands that it shows are commands."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from rosgeo.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))

needs_tools = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings", "mkdocs_click")),
    reason="the documentation was not built: its tools are not installed; pip install 'rosgeo[docs]'",
)


class Page(HTMLParser):
    """Where a page leads, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag in ("img", "script", "iframe", "source") and given.get("src"):
            self.loads.append(str(given["src"]))
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(str(given["href"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1", "ROSGEO_DOCS_EXECUTE": "0"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def broken(path: Path, target: str, pages: dict[Path, Page]) -> str | None:
    """Why a link of a page leads nowhere; None where it leads somewhere in the site, or out of it."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    file = file / "index.html" if file.is_dir() else file
    if not file.is_file():
        return "no such file"
    fragment = unquote(parts.fragment)
    return "no such anchor" if fragment and file in pages and fragment not in pages[file].anchors else None


@needs_tools
def test_no_link_or_picture_leads_nowhere_and_nothing_is_fetched(site: Path) -> None:
    # The page of errors has links from the root of a server, which a site on a disk does not have.
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    assert len(pages) >= len(PAGES)
    faults = [
        f"{path.relative_to(site.resolve())}: {target}: {why}"
        for path, page in pages.items()
        for target in page.links + page.loads
        if (why := broken(path, target, pages))
    ]
    fetched = [f"{path.name}: {target}" for path, page in pages.items() for target in page.loads if urlsplit(target).netloc]
    assert not faults
    assert not fetched


@needs_tools
def test_reference_holds_options_parameters_and_what_pages_include(site: Path) -> None:
    def text(name: str) -> str:
        return (site / name).read_text(encoding="utf-8")

    assert "--fill-holes" in text("cli/segment.html")
    assert "```" not in text("cli/segment.html")
    assert "fill_holes" in text("api/index.html")
    assert "InputFileNotFoundError" in text("api/errors.html")
    assert "tests/benchmarks/speed.py" in text("about/benchmarks.html")
    assert "Bridges and harbours" in text("about/limits.html")
    left = [page.name for page in site.rglob("*.html") if "--8&lt;--" in page.read_text() or "mkdocs-click" in page.read_text()]
    assert not left


@needs_tools
@pytest.mark.parametrize("name", main.commands)
def test_the_page_of_a_command_has_its_options_in_their_sections(site: Path, name: str) -> None:
    text = (site / f"cli/{name}.html").read_text(encoding="utf-8")
    for command in (main.commands[name], *getattr(main.commands[name], "commands", {}).values()):
        options = [p.opts[-1] for p in command.params if isinstance(p, click.Option)]
        assert [option for option in options if option not in text] == []
        if getattr(command, "first", ()):
            # A heading ends with the link to itself.
            places = [text.index(f"{title}<a") for title in command.sections(click.Context(command))]
            assert places == sorted(places)


def test_every_command_has_a_page() -> None:
    assert {path.stem for path in (ROOT / "docs/cli").glob("*.md")} - {"index"} == set(main.commands)


def test_the_list_of_questions_leads_to_every_page_of_the_guide() -> None:
    guide = ROOT / "docs/guide"
    listed = set(re.findall(r"\]\(([\w-]+\.md)", (guide / "index.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in guide.glob("*.md")} - {"index.md"}


def shown_commands() -> list[tuple[str, str]]:
    """Page and command line of every ``rosgeo ...`` in a block of code."""
    found = []
    for path in [*PAGES, ROOT / "README.md"]:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            lines = (line.strip() for line in block.replace("\\\n", " ").splitlines())
            found += [(path.name, line) for line in lines if line.startswith("rosgeo ")]
    return found


def test_commands_shown_are_commands_with_options_that_exist() -> None:
    shown = shown_commands()
    assert len(shown) > 60
    faults = []
    for page, line in shown:
        try:
            parse(shlex.split(line, comments=True)[1:])
        except (click.UsageError, ValueError) as error:
            faults.append(f"{page}: {line}: {error}")
    assert not faults


@pytest.mark.parametrize(
    "line",
    [
        "segment a.tif",
        "video a b c",
        "segment a.tif b.gpkg --no-such",
        "segment a b --outline rough",
        "models lst",
        "sgment a b",
    ],
)
def test_a_wrong_command_line_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())


@needs_tools
def test_a_notebook_becomes_a_page_without_scripts_from_the_network(tmp_path: Path) -> None:
    import nbformat
    from nbformat import v4 as nb

    hooks = runpy.run_path(str(ROOT / "docs/hooks.py"))
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    picture = nb.new_output("display_data", {"image/png": pixel})
    web_map = nb.new_output("display_data", {"text/html": "<iframe srcdoc='x'></iframe>", "text/plain": "a map"})
    cells = [nb.new_markdown_cell("# Where is it?"), nb.new_code_cell("show()", outputs=[picture, web_map])]
    path = tmp_path / "where.ipynb"
    nbformat.write(nb.new_notebook(cells=cells), path)
    text, pictures = hooks["notebook_page"](path, execute=False)
    assert hooks["_title"](path) == "Where is it?"
    assert [data[:4] for data in pictures.values()] == [b"\x89PNG"]
    assert all(f"]({name})" in text for name in pictures)
    assert "iframe" not in text
    assert "run the notebook" in text


def parse(words: list[str]) -> None:
    """Have click take a command line apart, down to the command; nothing is run."""
    command, context = main, click.Context(main, info_name="rosgeo")
    while isinstance(command, click.Group):
        parser = command.make_parser(context)
        _, rest, _ = parser.parse_args(list(words))
        if not rest:
            return
        child = command.get_command(context, rest[0])
        if child is None:
            raise click.UsageError(f"no command {rest[0]}")
        command, words = child, words[words.index(rest[0]) + 1 :]
        context = click.Context(command, info_name=command.name, parent=context)
    values, rest, order = command.make_parser(context).parse_args(list(words))
    for parameter in order:
        kind = parameter.type
        # Files are not there; everything else is checked.
        if not isinstance(kind, click.Path | click.File):
            parameter.type_cast_value(context, parameter.consume_value(context, values)[0])
    # Where nothing is given, click has None or a mark of its own.
    arguments = [p.name for p in command.params if isinstance(p, click.Argument) and p.required]
    missing = [name for name in arguments if not (isinstance(given := values.get(name), str | tuple) and given)]
    if missing or rest:
        raise click.UsageError(f"missing {missing}, left over {rest}")
