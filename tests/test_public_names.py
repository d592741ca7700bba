"""What a room makes public: every name is there, is named once, and nothing is imported before it is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from tests.rooms import FILES, ROOMS, ROOT, imports, room_of

PACKAGES = sorted(
    ".".join(("rosgeo", *path.relative_to(ROOT).parent.parts)) for path in ROOT.rglob("__init__.pyi") if path.parent != ROOT
)


def test_every_room_says_what_is_public() -> None:
    rooms = {name for name in ROOMS if (ROOT / name).is_dir()}
    assert {f"rosgeo.{name}" for name in rooms} - set(PACKAGES) == {"rosgeo.cli"}
    assert importlib.import_module("rosgeo.cli").__all__ == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_those_of_their_modules(package: str) -> None:
    room = importlib.import_module(package)
    stub = ast.parse((ROOT.parent / package.replace(".", "/") / "__init__.pyi").read_text(encoding="utf-8"))
    homes = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(room.__all__) == sorted(homes)
    for name, home in homes.items():
        module = importlib.import_module(f"{package}.{home}")
        assert name in module.__all__, f"{package}.{home} does not call {name} public"
        assert getattr(room, name) is getattr(module, name)
        assert not isinstance(getattr(room, name), ModuleType)


def test_nothing_outside_a_module_imports_its_private_names() -> None:
    private = [
        f"rosgeo/{file}: {name}"
        for file in FILES
        for _, name in imports(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if name.startswith("rosgeo.") and name.rpartition(".")[2].startswith("_") and not name.endswith("__")
    ]
    # A module that is private as a whole, to its own room.
    assert private == [p for p in private if p.partition("_segment_anything")[1] and room_of(p.removeprefix("rosgeo/")) == "model"]


def test_rooms_import_nothing_before_it_is_used() -> None:
    heavy = "torch numpy rasterio geopandas xarray shapely pyproj dask matplotlib"
    program = f"import sys, rosgeo, {', '.join(PACKAGES)}\nprint(*sorted(set({heavy.split()}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == ("", 0), result.stderr
