"""The rooms of rosgeo keep to their table (`tests.rooms`)."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache

import pytest

from tests.rooms import ANY, FILES, GROUND, NOT_HERE, PAGE, ROOMS, ROOT, TOP, floors, imported, imports, room_of, with_picture


@cache
def imported_by(file: str) -> tuple[tuple[int, str], ...]:
    return tuple(imports(ast.parse((ROOT / file).read_text(encoding="utf-8"))))


def module(name: str) -> str:
    """The module that an imported name is, or is in, as a path below rosgeo/ without its ending."""
    parts = name.split(".")[1:]
    while parts and not ((ROOT / "/".join(parts)).is_dir() or (ROOT / f"{'/'.join(parts)}.py").is_file()):
        parts.pop()
    return "/".join(parts) or "__init__"


def within(name: str, allowed: frozenset[str]) -> bool:
    return any(name == a or name.startswith(f"{a}.") for a in allowed)


def allowed_rooms(home: str) -> set[str]:
    """Rooms that files of one may import, its own among them."""
    if home in TOP:
        return {home, "errors", *TOP[home].split()}
    ground = GROUND[: GROUND.index(home)] if home in GROUND else GROUND
    return {home, *ground, *imported(home)}


def violation(home: str, name: str) -> bool:
    """Whether a file of the room `home` may not import `name`."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "lazy_loader":
        return False
    if top == "rosgeo":
        # The version stands in the package itself.
        return name != "rosgeo.__version__" and room_of(module(name)) not in allowed_rooms(home)
    others = ROOMS[home].others if home in ROOMS else frozenset()
    return top in NOT_HERE.get(home, ()) if others is None else not within(name, others)


def test_every_file_is_in_a_room() -> None:
    assert {room_of(file.removesuffix(".py")) for file in FILES} == {*ROOMS, *TOP}


@pytest.mark.parametrize("file", FILES)
def test_imports_keep_to_the_table(file: str) -> None:
    home = room_of(file.removesuffix(".py"))
    wrong = [f"rosgeo/{file}:{line}: {name}" for line, name in imported_by(file) if violation(home, name)]
    assert wrong == []


def test_imports_go_down() -> None:
    names = list(ROOMS)
    for name in ROOMS:
        assert set(imported(name)) <= set(names[: names.index(name)]) - set(GROUND)


def test_every_row_of_the_table_is_used() -> None:
    """A room that is allowed and never imported does not belong into the table."""
    for name, row in ROOMS.items():
        used = {
            room_of(module(n))
            for f in FILES
            if room_of(f.removesuffix(".py")) == name
            for _, n in imported_by(f)
            if n.startswith("rosgeo")
        }
        assert set(row.ours) - {ANY} <= used, name


def test_no_circle_between_files() -> None:
    graph = {
        file.removesuffix(".py").removesuffix("/__init__"): {module(n) for _, n in imported_by(file) if n.startswith("rosgeo.")}
        for file in FILES
    }
    done: set[str] = set()

    def visit(file: str, path: tuple[str, ...]) -> None:
        assert file not in path, " -> ".join((*path[path.index(file) :], file))
        if file not in done:
            for other in graph[file] - {file}:
                visit(other, (*path, file))
            done.add(file)

    for file in graph:
        visit(file, ())


def test_nothing_but_the_command_line_imports_it() -> None:
    assert [name for name in ROOMS if "cli" in imported(name)] == []


def test_this_test_sees_violations() -> None:
    source = "if TYPE_CHECKING:\n    import rasterio\nelse:\n    import geopandas\ndef f():\n    from rosgeo.cli import main\n"
    assert list(imports(ast.parse(source))) == [(4, "geopandas"), (6, "rosgeo.cli.main")]
    for home, name in [("model", "pyproj"), ("inference", "rosgeo.raster.source"), ("run", "rosgeo.training.loop"),
                       ("training", "rasterio"), ("vector", "rasterio.open"), ("geometry", "torch"), ("raster", "rosgeo.pictures.preview"),
                       ("run", "rosgeo.segment")]:  # fmt: skip
        assert violation(home, name), (home, name)
    for home, name in [
        ("inference", "rosgeo.geometry.windows.CropWindow"),
        ("vector", "rasterio.features.shapes"),
        ("cli", "rosgeo.pictures.preview"),
    ]:
        assert not violation(home, name), (home, name)


def test_the_picture_is_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_picture(text), "draw it anew: python -m tests.rooms"
    # Where the other page takes it from.
    assert "--8<-- CONTRIBUTING.md # How the code is built" in (ROOT.parent / "docs/about/architecture.md").read_text(
        encoding="utf-8"
    )


def test_a_room_stands_above_all_that_it_imports() -> None:
    floor = {name: n for n, names in enumerate(floors()) for name in names}
    assert all(floor[other] < floor[name] for name in ROOMS for other in imported(name))
    assert (floor["addresses"], floor["errors"]) == (0, 1)


@pytest.mark.parametrize(
    ("rooms", "unwanted"),
    [
        ("errors types geometry", "torch rasterio geopandas pyogrio"),
        ("errors types model inference labelled evaluation training", "rasterio geopandas pyogrio rioxarray"),
    ],
)
def test_what_is_loaded_in_the_end(rooms: str, unwanted: str) -> None:
    """The same at run time, with all that the imports import."""
    modules = [
        f"rosgeo.{f.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}"
        for f in FILES
        if room_of(f.removesuffix(".py")) in rooms.split()
    ]
    program = f"import sys, {', '.join(modules)}\nprint(*sorted(set({unwanted.split()}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == ("", 0), result.stderr
