"""The rooms of rosgeo: what each is for and whom it may import, as data; and the picture of them that the documentation shows.

``python -m tests.rooms`` draws the picture anew into CONTRIBUTING.md, from where docs/about/architecture.md takes it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ANY",
    "FILES",
    "GROUND",
    "NOT_HERE",
    "PAGE",
    "ROOMS",
    "ROOT",
    "TOP",
    "drawn",
    "floors",
    "imported",
    "imports",
    "room_of",
    "with_picture",
]

ROOT = Path(__file__).parent.parent / "rosgeo"
FILES = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py"))


class Room(NamedTuple):
    """What a room is for, which rooms it imports, and which packages its files may (None: any)."""

    what: str
    ours: tuple[str, ...]
    others: frozenset[str] | None


ANY = "*"
"""In a row: every room above it."""


def room(what: str, ours: str = "", others: str | None = None) -> Room:
    return Room(what, tuple(ours.split()), None if others is None else frozenset(others.split()))


GROUND = ("addresses", "errors", "types", "geometry", "files")
"""Every room may import these, as far as they are below it."""
MAP = "numpy affine pyproj"  # what rosgeo.types is made of: whoever handles its values of the map may use them

# From the ground up: a room imports rooms above it in this table, and of these only what its row names.
ROOMS = {
    "addresses": room("addresses without what opens them", "", ""),
    "errors": room("every exception and warning", "", ""),
    "types": room("the values that rooms hand to one another", "", MAP),
    "geometry": room("arithmetic of places: map <-> pixel, windows, the plan; no files, no torch", "", f"{MAP} shapely"),
    "files": room("files in their place: who writes them, who holds them, one put for another", "", "filelock psutil"),
    "model": room(
        "networks, weights files, names; nothing of maps", "", "numpy torch segment_anything peft safetensors pooch requests"
    ),
    "inference": room("crops to masks: device, precision, batching", "model", "numpy torch"),
    "raster": room("pixels of a scene: bands, stretch, nodata, windows", "", f"{MAP} rasterio xarray rioxarray dask distributed"),
    "vector": room(
        "layers in files (layers/), and the geometry of outlines: masks to polygons",
        "",
        f"{MAP} geopandas pandas pyarrow shapely pyogrio rasterio.features contourpy antimeridian",
    ),
    "clips": room("a clip as a sequence of rasters", "raster", f"{MAP} rasterio av"),
    "tracks": room(
        "tracked boxes and outlines; formats/: a module a format, sets/: segmentation sets",
        "vector clips",
        f"{MAP} pandas geopandas shapely pyogrio pycocotools PIL rasterio.features",
    ),
    "run": room(
        "one run of the line: options, boxes on the raster, tiles, where they run, journal, record",
        "model inference raster vector",
        f"{MAP} torch geopandas pandas shapely dask distributed psutil",
    ),
    "video": room(
        "the line over the frames of a clip",
        "inference vector clips tracks run",
        "numpy pandas geopandas shapely torch dask",
    ),
    "labelled": room("labelled objects, wherever they come from", "inference raster vector"),
    "evaluation": room("how good a model is, and a layer of outlines", "model inference vector labelled"),
    "training": room("how a model learns", "model inference labelled evaluation"),
    "outputs": room(
        "what a result is also written as: mask raster, STAC item", "raster vector", f"{MAP} rasterio dask shapely antimeridian"
    ),
    "pictures": room("what people look at", "inference raster vector tracks", f"{MAP} PIL rasterio shapely matplotlib folium av"),
    "interactive": room(
        "one scene, boxes and clicks, answered at once",
        "inference raster vector run pictures",
        f"{MAP} geopandas shapely PIL anywidget traitlets",
    ),
    "diagnostics": room("what a file is, what a machine has", "model inference raster vector run"),
    "qgis": room("what runs inside QGIS, and where it is put", "", "qgis"),
    "cli": room("the command line, a file a command", "*"),
}

# Files at the top of rosgeo/, and data.
TOP = {"__init__": "accessor", "accessor": "run pictures", "__main__": "cli", "demo": ""}

NOT_HERE = {
    # So that a bare GPU machine trains without geospatial packages; labelled/ imports raster/ and vector/ only where a raster is read.
    "labelled": frozenset({"rasterio", "geopandas", "rioxarray", "pyogrio"}),
    "evaluation": frozenset({"rasterio", "geopandas", "rioxarray", "pyogrio"}),
    "training": frozenset({"rasterio", "geopandas", "rioxarray", "pyogrio"}),
}
"""Packages that rooms which may use any other may not."""

PAGE = ROOT.parent / "CONTRIBUTING.md"
"""The page with the picture, between the lines of `_MARKS`; docs/about/architecture.md includes it."""

_MARKS = ("<!-- rooms: drawn by python -m tests.rooms -->", "<!-- /rooms -->")


def room_of(file: str) -> str:
    """The room of a file below rosgeo/, or of a module's name below ``rosgeo.``."""
    return file.replace(".", "/").split("/")[0]


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


def imported(name: str) -> list[str]:
    """The rooms that files of a room may import, beside the ground."""
    ours = ROOMS[name].ours
    return [other for other in ROOMS if other in ours or (ANY in ours and other not in (*GROUND, name))]


def floors() -> list[list[str]]:
    """The rooms by floor: each stands one above the highest that it imports."""
    floor: dict[str, int] = {}
    for name in ROOMS:
        below = [*imported(name), *(g for g in GROUND if name not in GROUND[: GROUND.index(g) + 1])]
        floor[name] = 1 + max((floor[b] for b in below), default=-1)
    return [[name for name in ROOMS if floor[name] == n] for n in range(max(floor.values()) + 1)]


def drawn() -> str:
    """The picture in Markdown: a row a room, the highest floor first."""
    rows = ["| floor | room | what it is for | imports, beside the ground |", "| --- | --- | --- | --- |"]
    for n, names in reversed(list(enumerate(floors()))):
        for name in reversed(names):
            place = f"`{name}/`" if (ROOT / name).is_dir() else f"`{name}.py`"
            rows.append(
                f"| {n} | {place} | {ROOMS[name].what} | {'any' if ANY in ROOMS[name].ours else ', '.join(imported(name))} |"
            )
    return "\n".join(rows)


def with_picture(text: str) -> str:
    """A page with the picture of today between its marks."""
    start, end = _MARKS
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{drawn()}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_picture(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
