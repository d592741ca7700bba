"""The rooms of rosgeo: who may import whom (the table of the architecture, as data)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import rosgeo

ROOT = Path(rosgeo.__file__).parent
FILES = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py"))


class Room(NamedTuple):
    """What a room may import; None: anything."""

    ours: frozenset[str]
    others: frozenset[str] | None


def room(ours: str, others: str | None) -> Room:
    return Room(frozenset(ours.split()), None if others is None else frozenset(others.split()))


LINE = "errors types geometry raster clips vector model inference"
BASIS = "numpy affine pyproj"  # what rosgeo.types is made of: whoever handles its values of the map may use them
ROOMS = {
    "errors": room("", ""),
    "types": room("errors", BASIS),
    "geometry": room("errors types", f"{BASIS} shapely"),
    "raster": room("errors types geometry", f"{BASIS} rasterio xarray rioxarray dask distributed"),
    "clips": room("errors types geometry raster", f"{BASIS} rasterio av"),
    "vector": room("errors types geometry", f"{BASIS} geopandas pandas shapely pyogrio rasterio.features contourpy antimeridian"),
    "model": room("errors types", "numpy torch segment_anything peft safetensors pooch requests"),
    "inference": room("errors types model geometry.windows", "numpy torch"),
    "labelled": room(LINE, None),
    "evaluation": room(f"{LINE} labelled", None),
    "training": room(f"{LINE} labelled evaluation", None),
    "tracks": room(
        "errors types geometry vector clips.values", f"{BASIS} pandas geopandas shapely pyogrio pycocotools PIL rasterio.features"
    ),
    "run": room(LINE, f"{BASIS} pandas geopandas shapely dask distributed psutil"),
    "accessor": room("run pictures pictures", ""),
    "video": room(f"{LINE} run tracks", "numpy pandas geopandas shapely torch dask"),
    "outputs": room("errors types geometry raster vector", f"{BASIS} rasterio dask shapely antimeridian"),
    "pictures": room(f"{LINE} run tracks", f"{BASIS} PIL rasterio shapely matplotlib folium av"),
    "interactive": room(f"{LINE} run pictures", f"{BASIS} geopandas shapely PIL anywidget traitlets"),
    "diagnostics": room(f"{LINE} run", None),
    "qgis": room("errors", "qgis"),  # the Processing script runs in QGIS's own Python
    "cli": room(
        f"{LINE} tracks qgis labelled evaluation training run pictures outputs outputs diagnostics diagnostics video "
        "video pictures run outputs pictures interactive diagnostics __init__",
        None,
    ),
    # Not in the table: the package itself, python -m rosgeo, and a folder of data.
    "__init__": room("accessor run", ""),
    "__main__": room("cli", ""),
    "demo": room("", ""),
}
BARE = {"rasterio", "geopandas", "rioxarray", "pyogrio"}
FORBIDDEN = {"labelled": BARE, "evaluation": BARE, "training": BARE, "cli": set(), "diagnostics": set()}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported at run time; for ``from a import b``, a.b."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in node.orelse:
                yield from imports(ast.Module([other], []))
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        else:
            yield from imports(node)


def room_of(file: str) -> str:
    return Path(file).parts[0].removesuffix(".py")


def within(name: str, allowed: frozenset[str]) -> bool:
    return any(name == a or name.startswith(f"{a}.") for a in allowed)


def violation(home: str, name: str) -> bool:
    """Whether a file of the room `home` may not import `name`."""
    top, _, rest = name.partition(".")
    if top in sys.stdlib_module_names or top == "lazy_loader":
        return False
    if top == "rosgeo":
        rest = rest or "__init__"
        inner = rest if rest.split(".")[0] in ROOMS else "__init__"
        return inner.split(".")[0] != home and not within(inner, ROOMS[home].ours)
    others = ROOMS[home].others
    return top in FORBIDDEN[home] if others is None else not within(name, others)


def test_every_file_is_in_a_room() -> None:
    assert {room_of(file) for file in FILES} <= set(ROOMS)


@pytest.mark.parametrize("file", FILES)
def test_imports_keep_to_the_table(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    wrong = [f"rosgeo/{file}:{line}: {name}" for line, name in imports(tree) if violation(room_of(file), name)]
    assert wrong == []


def test_nothing_but_the_command_line_imports_it_or_the_preview() -> None:
    assert [name for name, r in ROOMS.items() if "cli" in r.ours] == ["__main__"]


def test_this_test_sees_violations() -> None:
    source = "if TYPE_CHECKING:\n    import rasterio\nelse:\n    import geopandas\ndef f():\n    from rosgeo.cli import main\n"
    assert list(imports(ast.parse(source))) == [(4, "geopandas"), (6, "rosgeo.cli.main")]
    for home, name in [("model", "pyproj"), ("inference", "rosgeo.geometry.plan"), ("run", "rosgeo.training.loop"),
                       ("training", "rasterio"), ("vector", "rasterio.open"), ("geometry", "torch"), ("raster", "rosgeo.pictures.preview"),
                       ("run", "rosgeo.segment")]:  # fmt: skip
        assert violation(home, name)
    for home, name in [
        ("inference", "rosgeo.geometry.windows.CropWindow"),
        ("vector", "rasterio.features.shapes"),
        ("cli", "rosgeo.pictures.preview"),
    ]:
        assert not violation(home, name)


@pytest.mark.parametrize(
    ("rooms", "unwanted"),
    [
        ("errors types geometry", "torch rasterio geopandas pyogrio"),
        ("errors types model inference training", "rasterio geopandas pyogrio rioxarray"),
    ],
)
def test_what_is_loaded_in_the_end(rooms: str, unwanted: str) -> None:
    """The same at run time, with all that the imports import."""
    modules = [
        f"rosgeo.{f.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}" for f in FILES if room_of(f) in rooms.split()
    ]
    program = f"import sys, {', '.join(modules)}\nprint(*sorted(set({unwanted.split()}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == ("", 0), result.stderr
