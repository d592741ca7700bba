"""Outputs that other programs have open: nothing that is in a log is lost, and nobody finds a file beside another file's log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import psutil
import pytest
from rosgeo.diagnostics import describe
from rosgeo.errors import BoxesError, FormatLossWarning, OutputError
from rosgeo.interactive import Session
from rosgeo.outputs import write_mask_raster
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.vector.layers.database import held_alone
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import check_output, write_result

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes
from tests.gpkg_site import WAL, connect, crashed, elsewhere, rows, sides

EDIT = "UPDATE masks SET name = 'edited'"
LARGE = "INSERT INTO layer_styles (styleQML) SELECT hex(randomblob(100000)) FROM masks"


def boxes(count: int) -> gpd.GeoDataFrame:
    corners = [(5 + 20 * n, 10, 20 + 20 * n, 40) for n in range(count)]
    return px_boxes(corners, NORTH_UP, "EPSG:32633", name=[f"box {n}" for n in range(count)])


Run = Callable[..., Any]


@pytest.fixture
def run(write_raster: WriteRaster, tmp_path: Path) -> Run:
    scene = write_raster()

    def segment(count: int, segmenter: Any = None, output: str | list[Path] = "out.gpkg", **more: Any) -> Any:
        target = [tmp_path / output] if isinstance(output, str) else output
        return segment_run(scene, boxes(count), SegmentOptions(), output=target, segmenter=segmenter or EllipseSegmenter(), **more)

    return segment


@pytest.fixture
def out(run: Run, tmp_path: Path) -> Path:
    """A result of three boxes."""
    run(3)
    return tmp_path / "out.gpkg"


def names(path: Path) -> list[str]:
    return [name for (name,) in rows(path, "masks", "name")]


@pytest.mark.parametrize("how", ["overwrite", "append"])
@pytest.mark.parametrize(
    "statements",
    [
        pytest.param([WAL, EDIT], id="an edit in the log"),
        pytest.param([WAL, EDIT, "PRAGMA wal_checkpoint(TRUNCATE)"], id="an edit brought in"),
        pytest.param([WAL, "SELECT * FROM masks"], id="a log without an edit"),
        pytest.param(["BEGIN IMMEDIATE", EDIT], id="a transaction"),
        pytest.param(["BEGIN EXCLUSIVE"], id="locked"),
        pytest.param([WAL, "BEGIN", "SELECT * FROM masks"], id="a reader of the log"),
    ],
)
def test_who_holds_it_is_named_before_any_work(run: Run, out: Path, how: str, statements: list[str]) -> None:
    before = names(out)
    saved = WAL in statements and EDIT in statements
    with elsewhere(out, *statements) as number:
        with pytest.raises(
            OutputError, match=rf"out\.gpkg is open in {psutil.Process(number).name()} \(process {number}\)"
        ) as caught:
            run(6, segmenter=object(), **{how: True})
        assert "\n" not in str(caught.value)
    assert names(out) == (["edited"] * 3 if saved else before)
    assert sides(out) == []
    # Closed there, it goes on.
    assert len(run(6, **{how: True}).result) == 6
    assert names(out)[:3] == (["edited"] * 3 if how == "append" and saved else before)
    assert sides(out) == []


@pytest.mark.parametrize("how", ["overwrite", "append"])
def test_what_a_crash_left_in_the_log_is_brought_in(run: Run, out: Path, how: str) -> None:
    crashed(out, WAL, EDIT)
    assert sides(out) == ["out.gpkg-shm", "out.gpkg-wal"]
    run(6, **{how: True})
    assert sides(out) == []
    assert names(out) == ["edited" if how == "append" and n < 3 else f"box {n}" for n in range(6)]


@pytest.mark.parametrize("how", ["overwrite", "append"])
def test_a_write_that_was_cut_short_is_undone(run: Run, out: Path, how: str) -> None:
    crashed(out, "PRAGMA cache_size=1", "BEGIN", EDIT, LARGE)
    assert sides(out) == ["out.gpkg-journal"]
    run(6, **{how: True})
    assert sides(out) == []
    assert names(out) == [f"box {n}" for n in range(6)]


def test_a_refused_run_has_brought_the_log_in_all_the_same(run: Run, out: Path) -> None:
    crashed(out, WAL, EDIT)
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        run(6)
    assert names(out) == ["edited"] * 3


@pytest.mark.parametrize("how", ["overwrite", "append"])
def test_opened_while_the_run_goes_on(run: Run, out: Path, how: str) -> None:
    """What is done is kept; once it is closed there, --resume goes on, and what was saved meanwhile is in the result of --append."""

    class Meddling(EllipseSegmenter):
        def segment(self, crops: Any) -> Any:
            yield from super().segment(crops)
            self.other = elsewhere(out, WAL, EDIT)
            self.other.__enter__()

    segmenter = Meddling()
    with pytest.raises(OutputError, match=r"out\.gpkg is open in .*process") as caught:
        run(6, segmenter=segmenter, **{how: True})
    assert "--resume" in "".join(caught.value.__notes__)
    segmenter.other.__exit__(None, None, None)
    assert names(out) == ["edited"] * 3
    assert sides(out) == [".out.gpkg.rosgeo-journal"]

    class Idle(EllipseSegmenter):
        def segment(self, crops: Any) -> Any:
            assert not list(crops)
            return iter(())

    run(6, segmenter=Idle(), resume=True, **{how: True})
    assert names(out) == ["edited" if how == "append" and n < 3 else f"box {n}" for n in range(6)]
    assert sides(out) == []


def test_corrections_that_are_saved_while_boxes_are_added_stay(run: Run, out: Path) -> None:
    class Meddling(EllipseSegmenter):
        def segment(self, crops: Any) -> Any:
            yield from super().segment(crops)
            with closing(connect(out)) as database:
                database.execute(EDIT)

    added = run(5, segmenter=Meddling(), append=True)
    assert names(out) == ["edited"] * 3 + ["box 3", "box 4"]
    assert added.result["name"].tolist() == names(out)


def test_a_change_at_the_last_moment_is_not_lost(run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rosgeo.run.pipeline as line

    write = line.write_results

    def late(*arguments: Any, **more: Any) -> None:
        with closing(connect(out)) as database:
            database.execute(EDIT)
        write(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(line, "write_results", late)
        with pytest.raises(OutputError, match="was changed by another program") as caught:
            run(5, append=True)
    assert "--resume" in "".join(caught.value.__notes__)
    run(5, append=True, resume=True)
    assert names(out) == ["edited"] * 3 + ["box 3", "box 4"]


def test_a_log_without_its_file_is_left_alone(run: Run, out: Path) -> None:
    crashed(out, WAL, EDIT)
    out.rename(out.with_name("moved.gpkg"))
    for how in ("overwrite", "append"):
        with pytest.raises(OutputError, match=r"out\.gpkg-wal is what was last saved to a out\.gpkg that is not there"):
            run(6, **{how: True})
    for end in ("-wal", "-shm"):
        out.with_name(f"out.gpkg{end}").rename(out.with_name(f"moved.gpkg{end}"))
    assert names(out.with_name("moved.gpkg")) == ["edited"] * 3
    run(6)


def test_the_index_of_a_log_that_is_gone_goes_too(run: Run, out: Path) -> None:
    out.with_name("out.gpkg-shm").write_bytes(bytes(32768))
    out.with_name("out.gpkg-wal").write_bytes(b"")
    run(6, overwrite=True)
    assert (len(names(out)), sides(out)) == (6, [])


def test_what_is_no_database_can_be_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.gpkg").write_bytes(b"precious")
    run(3, overwrite=True)
    assert len(names(tmp_path / "out.gpkg")) == 3


def test_readers_see_what_is_in_the_log(out: Path) -> None:
    with elsewhere(out, WAL, EDIT):
        assert set(read_boxes(out)["name"]) == {"edited"}
        assert describe(out)["rows"] == 3
    crashed(out, WAL, "UPDATE masks SET name = 'again'")
    assert set(read_boxes(out)["name"]) == {"again"}


def test_readers_of_a_copy_see_its_log(out: Path, tmp_path: Path) -> None:
    crashed(out, WAL, EDIT)
    copy = tmp_path / "copy"
    copy.mkdir()
    for end in ("", "-wal"):  # not the index, which SQLite makes anew
        shutil.copy(f"{out}{end}", copy)
    assert set(read_boxes(copy / "out.gpkg")["name"]) == {"edited"}


def test_readers_undo_what_was_cut_short(out: Path) -> None:
    crashed(out, "PRAGMA cache_size=1", "BEGIN", EDIT, LARGE)
    assert read_boxes(out)["name"].tolist() == ["box 0", "box 1", "box 2"]


READER = """
import os, sys, warnings
import pyogrio, geopandas
from rosgeo.vector.layers.read import read_boxes
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
warnings.simplefilter("ignore")
try:
    print(sorted(set(read_boxes(sys.argv[1])["name"])))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders are POSIX's")
def test_a_log_that_cannot_be_read_is_said(out: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a folder that takes no files GDAL would read the file without its log, and say so in a warning at most."""
    crashed(out, WAL, EDIT)
    folder = tmp_path_factory.mktemp("readonly")
    for end in ("", "-wal"):
        shutil.copy(f"{out}{end}", folder)
    with_index = tmp_path_factory.mktemp("readonly")
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{out}{end}", with_index)
    for place in (folder, with_index):
        for parent in [p for p in place.parents if p.stat().st_uid == os.getuid() and not p.stat().st_mode & 0o001]:
            parent.chmod(parent.stat().st_mode | 0o755)
        place.chmod(0o555)
    try:
        found = [
            subprocess.run([sys.executable, "-c", READER, str(p / "out.gpkg")], capture_output=True, text=True, check=False).stdout
            for p in (folder, with_index)
        ]
    finally:
        for place in (folder, with_index):
            place.chmod(0o755)
    assert found[0].startswith("BoxesError ")
    assert "cannot be read as it was last saved: out.gpkg-wal holds what is not yet in it" in found[0]
    assert found[1] == "['edited']\n"


def test_a_reader_is_told_who_locks_the_file(out: Path) -> None:
    with (
        elsewhere(out, "PRAGMA cache_size=1", "BEGIN EXCLUSIVE", EDIT, LARGE) as number,
        pytest.raises(BoxesError, match=str(number)),
    ):
        read_boxes(out)


def test_a_session_refuses_and_then_saves(write_raster: WriteRaster, out: Path, tiny_model: Path) -> None:
    session = Session(write_raster("other.tif"), model=tiny_model)
    session.box(500_005, 3_999_980, 500_020, 3_999_995)
    session.commit(name="clicked")
    with elsewhere(out, WAL, EDIT), pytest.raises(OutputError, match=r"out\.gpkg is open in"):
        session.save(out, overwrite=True)
    assert names(out) == ["edited"] * 3
    crashed(out, WAL, EDIT)
    session.save(out, overwrite=True)
    assert (names(out), sides(out)) == (["clicked"], [])


def test_nobody_else_gets_in_while_a_file_is_replaced(out: Path) -> None:
    with held_alone(out):
        done = subprocess.run(
            [sys.executable, "-c", f"import sqlite3; sqlite3.connect({str(out)!r}, timeout=0).execute('SELECT * FROM masks')"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "database is locked" in done.stderr


@pytest.mark.parametrize("ending", [".parquet", ".geojson", ".fgb", ".shp", ".json"])
@pytest.mark.skipif(os.name == "nt", reason="Windows renames nothing over a file that is open")
def test_who_reads_another_format_goes_on_reading_the_old_one(run: Run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    warnings.simplefilter("ignore", FormatLossWarning)  # pytest takes it back
    run(3, output=path.name)
    old = path.read_bytes()
    with path.open("rb") as reader:
        assert reader.read(4) == old[:4]
        run(6, output=path.name, overwrite=True)
        assert old[:4] + reader.read() == old
    assert path.read_bytes() != old


@pytest.mark.parametrize("ending", [".parquet", ".fgb", ".shp", ".tif"])
@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell who has a file open")
def test_who_writes_another_format_is_named(run: Run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    done = run(3, output="first.gpkg")
    if ending == ".tif":
        write_mask_raster(tmp_path / "scene.tif", done.result, path)
    else:
        with warnings.catch_warnings(action="ignore", category=FormatLossWarning):
            write_result(done.result, path, {})
    part = path.with_suffix(".dbf") if ending == ".shp" else path
    with part.open("rb+"), pytest.raises(OutputError, match=rf"out{ending} is open for writing in .*process {os.getpid()}"):
        check_output(path, overwrite=True)
    with part.open("rb"):
        check_output(path, overwrite=True)
