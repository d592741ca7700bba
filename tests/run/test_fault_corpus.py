"""Every way to go wrong on the way out: each change that a run makes to its folder fails once, and the old or the new result is whole.

A clean run is watched first: all that it opens to write, makes, links, renames, removes, gives a mode or brings to the disk, and each line
of its journal. Then the run is done again for each of them, and that one fails; and for files that may grow to some of their size only.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from rosgeo.clips.values import Clip, ClipFrame
from rosgeo.errors import FormatLossWarning, RosgeoError, RunInterruptedError
from rosgeo.interactive import Session
from rosgeo.outputs import write_mask_raster, write_stac
from rosgeo.pictures.preview import draw_preview
from rosgeo.raster.bands import StretchRule
from rosgeo.run.journal import Journal, journal_path
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.tracks.sets import write_davis
from rosgeo.tracks.values import BOX_COLUMNS, ClipOutlines
from rosgeo.vector.layers.shapefile import PARTS

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes, small_files
from tests.gpkg_site import WAL, crashed, rows

pytestmark = pytest.mark.filterwarnings(f"ignore::{FormatLossWarning.__module__}.FormatLossWarning")

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REASONS = {"os.remove": errno.EACCES, "os.rename": errno.EACCES, "os.chmod": errno.EPERM, "fsync": errno.EIO}
_EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "os.chown", "os.truncate", "sqlite3.connect")


@dataclass
class Faults:
    """Counts the changes to a folder, and lets one of them fail; Python tells of them before they are made (PEP 578)."""

    root: str = ""
    fails: int = -1
    seen: list[str] = field(default_factory=list)

    def happens(self, what: str, path: object) -> None:
        if not self.root or threading.current_thread() is not threading.main_thread():
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not name.removeprefix("file://").startswith(self.root):
            return
        self.seen.append(what)
        if len(self.seen) - 1 == self.fails:
            if what == "sqlite3.connect":
                raise sqlite3.OperationalError("unable to open database file")
            code = _REASONS.get(what, errno.ENOSPC)
            raise OSError(code, os.strerror(code))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS or (event == "open" and arguments[2] & _WRITES):
            self.happens(event, arguments[0])


FAULTS = Faults()
sys.addaudithook(FAULTS.audit)


@contextmanager
def watched(root: Path, monkeypatch: pytest.MonkeyPatch, fails: int = -1) -> Iterator[list[str]]:
    """The changes to a folder; the one of the given number fails."""
    write = Journal._write

    def synced(_: int) -> None:
        FAULTS.happens("fsync", root)

    def written(self: Journal, record: dict[str, Any]) -> None:
        try:
            FAULTS.happens("journal", root)
        except OSError:
            assert self._file is not None
            self._file.write(b'{"tile": 0, "obj')  # half a line is there
            self._file.flush()
            raise
        write(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        patch.setattr(Journal, "_write", written)
        FAULTS.root, FAULTS.fails, FAULTS.seen = str(root), fails, []
        try:
            yield FAULTS.seen
        finally:
            FAULTS.root = ""


def boxes(count: int) -> gpd.GeoDataFrame:
    corners = [(5 + 20 * n, 10, 20 + 20 * n, 40) for n in range(count)]
    return px_boxes(corners, NORTH_UP, "EPSG:32633", name=[f"box {n}" for n in range(count)])


class Place:
    """A folder with a scene, in which outputs are written as often as it is needed."""

    def __init__(self, root: Path, session: Session) -> None:
        self.root, self.session = root, session
        self.made = segment_run(root / "scene.tif", boxes(4), SegmentOptions(), segmenter=EllipseSegmenter())  # type: ignore[arg-type]
        self.files: dict[Path, bytes] = {}

    def run(self, count: int, *outputs: str, **more: Any) -> Any:
        paths = [self.root / name for name in outputs]
        return segment_run(
            self.root / "scene.tif", boxes(count), SegmentOptions(), output=paths, segmenter=EllipseSegmenter(), **more  # type: ignore[arg-type]
        )  # fmt: skip

    def keep(self) -> None:
        """Take what is there as what every attempt begins with."""
        self.files = {p.relative_to(self.root): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}

    def back(self) -> None:
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.relative_to(self.root) not in self.files:
                path.unlink()
        for name, content in self.files.items():
            path = self.root / name
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def entries(self) -> set[str]:
        return {p.name for p in self.root.iterdir()}


def outlines(shift: int) -> ClipOutlines:
    frames = tuple(ClipFrame(i, i, f"{i}.png") for i in range(2))
    columns = {"frame": [0, 1], "track_id": [1, 2], "category": "a", "rosgeo_status": "ok", "rosgeo_score": 0.9}
    shapes = [shapely.box(10 + shift, 10, 20 + shift, 20)] * 2
    bounds = dict(zip(BOX_COLUMNS, shapes[0].bounds, strict=True))
    return ClipOutlines(Clip("clip", 40, 60, frames), gpd.GeoDataFrame({**columns, **bounds}, geometry=shapes))


Do = Callable[..., object]


@dataclass(frozen=True)
class Way:
    """One way out.

    Attributes
    ----------
    before, do : callable
        What is there before, and what is tried; both take a `Place`. `do` also takes ``resume`` where `goes_on`.
    outputs : tuple of str
        What comes of it: files or folders, all old or all new.
    goes_on : bool
        The same is done again after each fault.
    """

    before: Do
    do: Do
    outputs: tuple[str, ...]
    goes_on: bool = False


def rewritten(*outputs: str, goes_on: bool = False) -> Way:
    return Way(
        lambda p: p.run(2, *outputs, overwrite=True), lambda p, **more: p.run(4, *outputs, overwrite=True, **more), outputs, goes_on
    )


def killed(place: Place) -> None:
    """What a run leaves that has done all but write its result."""
    place.run(2, "out.gpkg", overwrite=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rosgeo.run.pipeline.write_results", _killed)
        with pytest.raises(RunInterruptedError):
            place.run(4, "out.gpkg", overwrite=True)
    assert journal_path(place.root / "out.gpkg").exists()


def _killed(*_: Any, **__: Any) -> None:
    raise RunInterruptedError("killed")


def corrected(place: Place) -> None:
    """A result in which a person corrected a row, with the correction in a log that is not yet brought in."""
    place.run(2, "out.gpkg", overwrite=True)
    crashed(place.root / "out.gpkg", WAL, "UPDATE masks SET name = 'edited' WHERE fid = 1")


def raster(values: Any) -> Do:
    return lambda p: write_mask_raster(p.root / "scene.tif", p.made.result, p.root / "out.tif", values=values)


def picture(name: str | None) -> Do:
    return lambda p: draw_preview(
        p.root / "scene.tif", p.made, p.root / "out.png", bands=None if name is None else (1,), stretch=StretchRule()
    )


def item(time: str) -> Do:
    return lambda p: write_stac(
        p.root / "out.stac.json", str(p.root / "scene.tif"), p.made.record, outlines=["out.gpkg"], scene_time=time
    )


WAYS = {
    **{f"{ending} over another": rewritten(f"out.{ending}") for ending in ("parquet", "geojson", "fgb", "shp", "json")},
    "gpkg over another": rewritten("out.gpkg", goes_on=True),
    "several over others": rewritten("out.gpkg", "out.shp", "out.json"),
    "a new gpkg": Way(lambda p: None, lambda p, **more: p.run(4, "out.gpkg", **more), ("out.gpkg",)),
    "append": Way(corrected, lambda p, **more: p.run(4, "out.gpkg", append=True, **more), ("out.gpkg",), goes_on=True),
    "resume": Way(
        killed, lambda p, **more: p.run(4, "out.gpkg", overwrite=True, **{"resume": True, **more}), ("out.gpkg",), goes_on=True
    ),
    "session": Way(corrected, lambda p: p.session.save(p.root / "out.gpkg", overwrite=True), ("out.gpkg",)),
    "mask raster": Way(raster("mask"), raster("row"), ("out.tif",)),
    "picture": Way(picture(None), picture("grey"), ("out.png",)),
    "stac item": Way(item("2024-05-01"), item("2024-05-02"), ("out.stac.json",)),
    "a set of a clip": Way(
        lambda p: write_davis(outlines(0), p.root / "set"),
        lambda p: write_davis(outlines(5), p.root / "set", overwrite=True),
        ("set",),
    ),
}


def content(path: Path) -> Any:
    """What an output holds; the file has to be sound."""
    if path.is_dir():
        return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and not p.name.endswith("-lock")}
    if not path.exists():
        return None
    if path.suffix == ".gpkg":
        return rows(path, "masks", "name, rosgeo_status")
    if path.suffix in (".fgb", ".shp", ".geojson"):
        return gpd.read_file(path)["name"].tolist()
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)["name"].tolist()
    if path.suffix == ".json":
        data = json.loads(path.read_text(encoding="utf-8"))
        return data["properties"] if "properties" in data else len(data["annotations"])
    if path.suffix == ".tif":
        with rasterio.open(path) as dataset:
            return dataset.dtypes, dataset.read().tobytes()
    with Image.open(path) as found:
        return found.tobytes()


def contents(way: Way, place: Place) -> list[Any]:
    return [content(place.root / name) for name in way.outputs]


def attempt(way: Way, place: Place, failing: Any, **more: Any) -> RosgeoError | None:
    """Do it with something that fails; gives the error, which is one line and one of ours."""
    try:
        with failing:
            way.do(place, **more)
    except RosgeoError as error:
        text = str(error) + "".join(getattr(error, "__notes__", ()))
        assert "\n" not in text
        assert len(text) < 1000
        return error
    return None


def judge(way: Way, place: Place, error: RosgeoError | None, what: str, old: list[Any], new: list[Any]) -> None:
    found = contents(way, place)
    assert found == (new if error is None else old) or (found == new and what in _AFTER), (what, error)
    before = {str(name.parts[0]) for name in place.files}
    made = {name for output in way.outputs for name in (output, *_parts(output))}
    left = place.entries() - before - made
    # What could not be removed is swept by the next run, and a journal is said.
    journals = {n for n in left if n.endswith(".rosgeo-journal")}
    if journals and error is not None:
        assert "--resume" in "".join(getattr(error, "__notes__", ())), what
    assert left == (journals if error is not None else set()) or what in ("os.remove", "os.rmdir"), (what, left)


_AFTER = ("os.remove", "os.rmdir", "fsync", "open")
"""What may fail once the new result is in its place."""


def _parts(output: str) -> list[str]:
    return [f"{output.removesuffix('.shp')}{end}" for end in PARTS] if output.endswith(".shp") else []


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Session:
    """A session on a scene of its own, with one object."""
    path = tmp_path_factory.mktemp("session") / "scene.tif"
    array = np.random.default_rng(0).integers(1, 255, (3, 60, 80), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=60, width=80, dtype="uint8", crs="EPSG:32633", transform=NORTH_UP
    ) as dataset:
        dataset.write(array)
    made = Session(path, model=tiny_model)
    made.box(500_005, 3_999_980, 500_020, 3_999_995)
    made.commit(name="clicked")
    return made


@pytest.fixture
def place(write_raster: WriteRaster, tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # some hundred of them would take their time
    write_raster(array=np.random.default_rng(0).integers(1, 255, (3, 60, 100), dtype=np.uint8))
    return Place(tmp_path, session)


@pytest.mark.parametrize("name", WAYS)
def test_whatever_fails_the_old_or_the_new_is_whole(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    way = WAYS[name]
    way.before(place)
    place.keep()
    with watched(place.root, monkeypatch) as seen:
        way.do(place)
    new = contents(way, place)
    place.back()
    old = contents(way, place)
    assert old != new
    place.back()
    assert len(seen) > 8
    record_property("faults", len(seen))
    for number, what in enumerate(list(seen)):
        error = attempt(way, place, watched(place.root, monkeypatch, number))
        judge(way, place, error, what, old, new)
        if way.goes_on and error is not None:
            # The same command, as the message says, gets past it.
            way.do(place, **({"resume": True} if journal_path(place.root / way.outputs[0]).exists() else {}))
            assert contents(way, place) == new, what
            assert not {n for n in place.entries() if n.startswith(".")}, what
        place.back()


@pytest.mark.parametrize("name", WAYS)
def test_however_much_fits_on_the_disk_the_old_or_the_new_is_whole(name: str, place: Place) -> None:
    way = WAYS[name]
    way.before(place)
    place.keep()
    way.do(place)
    new = contents(way, place)
    sizes = [p.stat().st_size for n in way.outputs for p in (place.root / n, *(place.root / n).rglob("*")) if p.is_file()]
    place.back()
    old = contents(way, place)
    place.back()
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        error = attempt(way, place, small_files(int(max(sizes) * share)))
        assert error is not None, share
        judge(way, place, error, f"{share:.0%} of it", old, new)
        place.back()
