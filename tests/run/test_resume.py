"""Runs that are killed, interrupted or spread over workers lose nothing and change nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from rosgeo.errors import ClusterError, InputFileNotFoundError, OutputError, ResumeError, RunInterruptedError
from rosgeo.geometry.plan import make_plan
from rosgeo.geometry.windows import CropPolicy
from rosgeo.run.executors import run_local, run_on_cluster
from rosgeo.run.journal import Journal, journal_path
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.run.tiles import TileRunner, run_tile
from rosgeo.types import Boxes, Crop, ObjectMask, Tile
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import ObjectResult
from shapely import Polygon

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

COUNT = 400


def many_boxes(count: int = COUNT) -> gpd.GeoDataFrame:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, [140, 100], (count, 2))
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, rng.uniform(4, 30, (count, 2)), strict=True)]
    return px_boxes(boxes, NORTH_UP, "EPSG:32633", name=[f"box {i}" for i in range(count)])


class Stopping(EllipseSegmenter):
    """Raises after some crops."""

    def __init__(self, after: int, error: BaseException) -> None:
        self.after, self.error = after, error

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for i, mask in enumerate(super().segment(crops)):
            if i == self.after:
                raise self.error
            yield mask


class Counting(EllipseSegmenter):
    seen = 0

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for mask in super().segment(crops):
            self.seen += 1
            yield mask


def run(scene: Path, output: Path, segmenter: Any, **more: Any) -> gpd.GeoDataFrame:
    options = more.pop("options", SegmentOptions())
    return segment_run(scene, many_boxes(), options, output=output, segmenter=segmenter, **more).result


def assert_same(a: gpd.GeoDataFrame, b: gpd.GeoDataFrame) -> None:
    assert [g and g.wkb for g in a.geometry] == [g and g.wkb for g in b.geometry]
    for column in ("name", "rosgeo_id", "rosgeo_status"):
        assert a[column].tolist() == b[column].tolist()
    for column in ("rosgeo_score", "rosgeo_stability", "rosgeo_area_m2"):
        np.testing.assert_array_equal(a[column], b[column])


def test_ctrl_c_says_how_to_go_on_and_resume_does(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    whole = run(scene, tmp_path / "whole.gpkg", EllipseSegmenter())
    with pytest.raises(RunInterruptedError, match=r"interrupted with \d+ of 400 objects done; run the same command with --resume"):
        run(scene, output, Stopping(200, KeyboardInterrupt()))
    assert not output.exists()
    assert journal_path(output).exists()
    counting = Counting()
    assert_same(run(scene, output, counting, resume=True), whole)
    # Three tiles of 64 were whole.
    assert counting.seen == COUNT - 3 * 64
    assert not journal_path(output).exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.gpkg", "scene.tif", "whole.gpkg"]


def test_without_resume_a_run_starts_anew(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    with pytest.raises(RunInterruptedError):
        run(scene, output, Stopping(200, KeyboardInterrupt()))
    counting = Counting()
    run(scene, output, counting)
    assert counting.seen == COUNT


@pytest.mark.parametrize("change", ["option", "boxes", "scene", "model"])
def test_another_run_is_not_resumed(write_raster: WriteRaster, tmp_path: Path, change: str) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    with pytest.raises(RunInterruptedError):
        run(scene, output, Stopping(200, KeyboardInterrupt()))
    boxes, options, segmenter = many_boxes(), SegmentOptions(), EllipseSegmenter()
    if change == "option":
        options = replace(options, outline=OutlineOptions(simplify=0.5))
    elif change == "boxes":
        boxes = boxes.iloc[:-1]
    elif change == "scene":
        os.utime(scene, (1, 1))
    else:
        segmenter.model = type(segmenter.model)(**{**vars(segmenter.model), "sha256": "1" * 64})
    wanted = {"option": "option outline was", "boxes": "boxes was .400 rows", "scene": "scene file was", "model": "model was"}[
        change
    ]
    with pytest.raises(ResumeError, match=wanted) as caught:
        segment_run(scene, boxes, options, output=output, segmenter=segmenter, resume=True)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert journal_path(output).exists()
    # What only decides how fast it goes may change.
    assert (
        change == "scene" or len(run(scene, output, EllipseSegmenter(), resume=True, options=SegmentOptions(batch_size=4))) == COUNT
    )


def test_an_error_of_the_reading_thread_is_the_run_s(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rosgeo.raster.crops import CropReader

    read, calls = CropReader.read, []

    def failing(self: Any, *arguments: Any) -> Crop:
        calls.append(1)
        if len(calls) > 150:
            raise OutputError("the raster has vanished")
        return read(self, *arguments)

    monkeypatch.setattr(CropReader, "read", failing)
    output = tmp_path / "out.gpkg"
    with pytest.raises(OutputError, match="vanished"):
        run(write_raster(), output, EllipseSegmenter())
    assert not output.exists()
    assert len(calls) == 151


def test_few_crops_are_held_ahead(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rosgeo.raster.crops import CropReader

    read, done, most = CropReader.read, [], []
    calls: list[int] = []

    def counting(self: Any, *arguments: Any) -> Crop:
        calls.append(1)
        most.append(len(calls) - len(done))
        return read(self, *arguments)

    class Slow(EllipseSegmenter):
        def segment(self, crops: Any) -> Iterator[ObjectMask]:
            for mask in super().segment(crops):
                time.sleep(0.0005)
                done.append(1)
                yield mask

    monkeypatch.setattr(CropReader, "read", counting)
    run(write_raster(), tmp_path / "out.gpkg", Slow())
    assert len(calls) == COUNT
    assert max(most) <= 8


def test_a_torn_last_line_is_done_again(tmp_path: Path) -> None:
    output, facts = tmp_path / "out.gpkg", {"scene": "a"}
    results = [ObjectResult(3, "ok", Polygon([(0.1, 0), (1 / 3, 0), (1, 1)]), 0.1 + 0.2, 1.0), ObjectResult(4, "nodata")]
    journal = Journal(output, facts, resume=False)
    journal.add(0, results)
    journal.add(1, [ObjectResult(5, "empty", None, 0.5, 0.0)])
    journal.close()
    whole = journal_path(output).read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(len(whole) - last, len(whole)):
        journal_path(output).write_bytes(whole[:cut])
        again = Journal(output, facts, resume=True)
        assert list(again.finished) == [0]
        found = again.finished[0]
        assert (found[0].polygon_map, found[0].score, found[1].status) == (results[0].polygon_map, results[0].score, "nodata")
        assert np.isnan(found[1].score)
        again.add(7, [])
        again.close()
        lines = journal_path(output).read_bytes().splitlines()
        assert [json.loads(line).get("tile") for line in lines] == [None, 0, 7]
    journal_path(output).write_text("something else\n")
    assert Journal(output, facts, resume=True).finished == {}
    # An older journal stays until there is something newer to go on from.
    fresh = Journal(output, {"scene": "b"}, resume=False)
    assert journal_path(output).read_text() == "something else\n"
    fresh.add(2, results)
    fresh.close()
    assert list(Journal(output, {"scene": "b"}, resume=True).finished) == [2]
    journal_path(output).write_text('{"a": 1}\n')
    with pytest.raises(ResumeError, match="is no journal that this version"):
        Journal(output, facts, resume=True)


@pytest.mark.parametrize(
    "line",
    ["null", "7", "[]", '{"tile": 1}', '{"tile": "x", "objects": []}', '{"tile": 1, "objects": [[1]]}',
     '{"tile": 1, "objects": [[5, "odd", null, null, null]]}', '{"tile": 1, "objects": [[5, "ok", "00ff", 0.5, 0.5]]}', "\xff\xfe"],
)  # fmt: skip
def test_a_damaged_line_and_what_follows_is_done_again(tmp_path: Path, line: str) -> None:
    output, facts = tmp_path / "out.gpkg", {"scene": "a"}
    journal = Journal(output, facts, resume=False)
    journal.add(0, [ObjectResult(3, "nodata")])
    journal.close()
    with journal_path(output).open("ab") as file:
        file.write(line.encode("latin-1") + b"\n" + b'{"tile": 2, "objects": []}\n')
    again = Journal(output, facts, resume=True)
    assert list(again.finished) == [0]
    again.add(2, [])
    again.close()
    assert list(Journal(output, facts, resume=True).finished) == [0, 2]


@pytest.mark.parametrize(
    "head", ['{"rosgeo-journal": 1}', '{"rosgeo-journal": 2, "facts": {}}', '{"rosgeo-journal": 1, "facts": 3}']
)
def test_a_journal_of_another_version_says_how_to_go_on(tmp_path: Path, head: str) -> None:
    output = tmp_path / "out.gpkg"
    journal_path(output).write_text(f"{head}\n", encoding="utf-8")
    with pytest.raises(ResumeError, match="remove it, or run without --resume"):
        Journal(output, {"scene": "a"}, resume=True)
    fresh = Journal(output, {"scene": "a"}, resume=False)
    fresh.add(0, [])
    fresh.close()
    assert list(Journal(output, {"scene": "a"}, resume=True).finished) == [0]


def test_tiles_of_another_plan_are_done_again(write_raster: WriteRaster, tmp_path: Path) -> None:
    """Another version of rosgeo may have divided the boxes in another way."""
    scene, output = write_raster(), tmp_path / "out.gpkg"
    whole = run(scene, tmp_path / "whole.gpkg", EllipseSegmenter())
    with pytest.raises(RunInterruptedError):
        run(scene, output, Stopping(200, KeyboardInterrupt()))
    lines = [json.loads(line) for line in journal_path(output).read_bytes().splitlines()]
    lines[1]["objects"], lines[2]["objects"] = lines[2]["objects"], lines[1]["objects"]
    lines[3]["tile"] = 999
    journal_path(output).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    counting = Counting()
    assert_same(run(scene, output, counting, resume=True), whole)
    assert counting.seen == COUNT


def test_a_folder_where_the_journal_is_to_be(tmp_path: Path) -> None:
    journal_path(tmp_path / "out.gpkg").mkdir()
    with pytest.raises(OutputError, match="is where the run's journal is to be, and no file; remove it"):
        Journal(tmp_path / "out.gpkg", {}, resume=False)


PROGRAM = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.conftest import EllipseSegmenter
from tests.run.test_resume import many_boxes
from rosgeo.run.pipeline import SegmentOptions, segment_run

class Slow(EllipseSegmenter):
    def segment(self, crops):
        for mask in super().segment(crops):
            time.sleep(0.002)
            yield mask

print("ready", flush=True)
segment_run(Path("scene.tif"), many_boxes(), SegmentOptions(), output="out.gpkg", segmenter=Slow(), resume=True, overwrite=True)
"""


def test_a_run_that_is_killed_again_and_again_gives_what_it_gives_in_one_go(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL at random moments, at least 20 times; what is there of an old output stays until the new one is whole."""
    monkeypatch.chdir(tmp_path)
    whole = run(write_raster(), tmp_path / "whole.gpkg", EllipseSegmenter())
    (tmp_path / "out.gpkg").write_bytes(b"old")
    program = PROGRAM.format(root=str(Path(__file__).parents[2]))
    dice, kills, rounds = random.Random(0), 0, 0
    while kills < 20:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
        try:
            # At first far too little time for anything, later enough for some tiles.
            process.wait(timeout=dice.uniform(0.0, 0.08 + 0.03 * kills))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
            assert (tmp_path / "out.gpkg").read_bytes() == b"old" or len(gpd.read_file("out.gpkg", layer="masks")) == COUNT
        process.wait()
        if process.returncode == 0:
            rounds += 1
            (tmp_path / "out.gpkg").write_bytes(b"old")
        else:
            assert process.returncode == -signal.SIGKILL, process.stderr and process.stderr.read()
    result = segment_run(
        Path("scene.tif"),
        many_boxes(),
        SegmentOptions(),
        output="out.gpkg",
        segmenter=EllipseSegmenter(),
        resume=True,
        overwrite=True,
    ).result  # type: ignore[arg-type]
    assert_same(result, whole)
    left = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".rosgeo-"))
    assert left == ["out.gpkg", "scene.tif", "whole.gpkg"]


# -- on a cluster


def ellipses(job: Any, tile: Tile) -> list[ObjectResult]:
    """Stands for the work of a worker; the first task kills the worker that it is on."""
    import os
    from pathlib import Path

    token = Path(job["token"])
    if job["die"] and not token.exists():
        token.touch()
        os.kill(os.getpid(), 9)
    time.sleep(0.05)
    if job["fail"]:
        raise OutputError("this raster is broken")
    return [
        ObjectResult(int(row), "empty", None, 0.5, float(box[0])) for row, box in zip(tile.boxes.ids, tile.boxes.xyxy, strict=True)
    ]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


def tiles_of(count: int) -> list[tuple[int, Tile]]:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 900, (count, 2))
    boxes = Boxes(np.concatenate([low, low + rng.uniform(3, 40, (count, 2))], axis=1), np.arange(count), "pixel")
    return list(enumerate(make_plan(boxes, np.ones(count, bool), (1000, 1000), CropPolicy(), boxes_a_tile=10).tiles))


def test_a_worker_that_dies_has_its_tiles_done_again(client: Any, tmp_path: Path) -> None:
    tiles = tiles_of(200)
    job = {"token": str(tmp_path / "token"), "die": True, "fail": False}
    found = list(run_on_cluster(tiles, job, ellipses, client))
    assert (tmp_path / "token").exists()
    # No row twice, none lost, each with its tile's number.
    assert sorted(result.id for _, result in found) == list(range(200))
    rows = {number: set(tile.boxes.ids.tolist()) for number, tile in tiles}
    assert all(result.id in rows[number] for number, result in found)


def test_two_runs_on_one_cluster_do_not_take_each_other_s_results(client: Any, tmp_path: Path) -> None:
    job = {"token": str(tmp_path / "token"), "die": False, "fail": False}
    first, second = tiles_of(60), [(n, replace(tile, boxes=_moved(tile.boxes))) for n, tile in tiles_of(60)]
    slow = run_on_cluster(first, job, ellipses, client)
    found = [next(slow)]
    other = list(run_on_cluster(second, job, ellipses, client))
    found += slow
    for results, tiles in ((found, first), (other, second)):
        wanted = {int(row): box[0] for _, tile in tiles for row, box in zip(tile.boxes.ids, tile.boxes.xyxy, strict=True)}
        assert {result.id: result.stability for _, result in results} == wanted


def _moved(boxes: Boxes) -> Boxes:
    return Boxes(boxes.xyxy + 5000, boxes.ids, "pixel")


def test_an_error_on_a_worker_is_the_run_s(client: Any, tmp_path: Path) -> None:
    job = {"token": str(tmp_path / "token"), "die": False, "fail": True}
    with pytest.raises(OutputError, match="this raster is broken"):
        list(run_on_cluster(tiles_of(50), job, ellipses, client))


def test_the_whole_line_on_a_cluster_is_the_line_here(
    client: Any, write_raster: WriteRaster, tiny_model: Path, tmp_path: Path
) -> None:
    scene, boxes = write_raster(array=np.random.default_rng(0).integers(1, 255, (3, 120, 160), dtype=np.uint8)), many_boxes(90)
    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    here = segment_run(scene, boxes, options).result
    there = segment_run(scene, boxes, options, client=client, output=tmp_path / "out.gpkg").result
    assert here["rosgeo_status"].tolist() == there["rosgeo_status"].tolist()
    np.testing.assert_allclose(here["rosgeo_score"], there["rosgeo_score"], atol=1e-5)
    for a, b in zip(here.geometry, there.geometry, strict=True):
        assert (a is None) == (b is None)
        assert a is None or a.intersection(b).area / a.union(b).area > 0.99


def test_a_run_whose_worker_is_killed_gives_row_by_row_what_it_gives_in_peace(
    client: Any, write_raster: WriteRaster, tiny_model: Path, tmp_path: Path
) -> None:
    scene, boxes = write_raster(array=np.random.default_rng(0).integers(1, 255, (3, 120, 160), dtype=np.uint8)), many_boxes(192)
    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    in_peace = segment_run(scene, boxes, options, client=client, output=tmp_path / "in_peace.gpkg").result
    processes = client.run(os.getpid)
    killed: dict[int, int] = {}

    def kill_one(done: int, _total: int, _counts: dict[str, int]) -> None:
        """The first worker that is at a tile, once there are results."""
        if done and not killed:
            at_work = {address: len(tiles) for address, tiles in client.processing().items() if tiles}
            address = next(iter(at_work))
            os.kill(processes[address], signal.SIGKILL)
            killed[processes[address]] = at_work[address]

    result = segment_run(scene, boxes, options, client=client, output=tmp_path / "out.gpkg", progress=kill_one).result
    ((pid, tiles),) = killed.items()
    assert tiles > 0
    assert pid not in client.run(os.getpid).values()
    assert len(result) == 192
    assert "ok" in set(result["rosgeo_status"])
    assert_same(result, in_peace)
    assert_same(gpd.read_file(tmp_path / "out.gpkg", layer="masks"), gpd.read_file(tmp_path / "in_peace.gpkg", layer="masks"))
    assert not journal_path(tmp_path / "out.gpkg").exists()


def test_a_scene_that_vanishes_before_the_workers_open_it(
    client: Any, write_raster: WriteRaster, tiny_model: Path, tmp_path: Path
) -> None:
    scene, options = write_raster(), SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")

    def vanish(done: int, _total: int, _counts: dict[str, int]) -> None:
        if not done:
            scene.unlink()

    with pytest.raises(InputFileNotFoundError, match=r"scene.tif: no such file") as caught:
        segment_run(scene, many_boxes(90), options, client=client, output=tmp_path / "out.gpkg", progress=vanish)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_lazy_array_on_a_cluster(client: Any, write_raster: WriteRaster, tiny_model: Path) -> None:
    import rioxarray

    scene, boxes = write_raster(), many_boxes(20)
    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    with rioxarray.open_rasterio(scene, chunks={"x": 64, "y": 64}) as array:
        there = segment_run(array, boxes, options, client=client).result
    here = segment_run(scene, boxes, options).result
    assert here["rosgeo_status"].tolist() == there["rosgeo_status"].tolist()
    np.testing.assert_allclose(here["rosgeo_score"], there["rosgeo_score"], atol=1e-5)


def test_a_worker_with_another_file_does_not_use_it(client: Any, write_raster: WriteRaster, tiny_model: Path) -> None:
    from rosgeo.raster.bands import Stretch
    from rosgeo.run.cluster import ClusterJob, open_scene, run_job

    job = ClusterJob(
        "key", open_scene, str(write_raster()), False, (1, 2, 3), Stretch(), OutlineOptions(), str(tiny_model), None, None, None, "cpu",
        "float32", None, "bicubic", "0" * 64,
    )  # fmt: skip
    with pytest.raises(ClusterError, match=r"on this worker has SHA-256 [0-9a-f]{12}, expected 000000000000"):
        list(run_on_cluster(tiles_of(5), job, run_job, client))


def test_the_local_executor_gives_each_box_once(write_raster: WriteRaster) -> None:
    from rosgeo.raster.bands import StretchRule
    from rosgeo.raster.crops import open_reader
    from rosgeo.raster.source import open_source

    array = np.full((1, 1000, 1000), 100, dtype=np.uint8)
    array[:, :, 500:] = 0
    with open_source(write_raster(array=array, nodata=0)) as source:
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
        runner = TileRunner(reader, EllipseSegmenter(), OutlineOptions())  # type: ignore[arg-type]
        found = list(run_local(tiles_of(150), runner))
        serial = [result for _, tile in tiles_of(150) for result in run_tile(runner, tile)]
    assert sorted(result.id for _, result in found) == list(range(150))
    assert {r.id: r.status for _, r in found} == {r.id: r.status for r in serial}
    assert {r.status for r in serial} == {"ok", "nodata"}
