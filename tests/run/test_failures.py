"""What goes wrong half-way: one clear line, the old output as it was, nothing left but a journal that the line names."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rosgeo.run.pipeline
from rosgeo.errors import OutputError
from rosgeo.run.journal import Journal, journal_path
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.types import ObjectMask

from tests.cli_site import Site
from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes, small_files
from tests.run.test_resume import assert_same

COUNT, SIDE = 300, 1600


class Meddling(EllipseSegmenter):
    """Does something once half of the objects are done."""

    def __init__(self, meddle: Callable[[], object] = lambda: None) -> None:
        self.meddle, self.seen = meddle, 0

    def segment(self, crops: Any) -> Iterator[ObjectMask]:
        for mask in super().segment(crops):
            self.seen += 1
            if self.seen == COUNT // 2:
                self.meddle()
            yield mask


class Large:
    """A folder with a raster of many blocks, boxes all over it, and an old output."""

    def __init__(self, site: Site, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self.monkeypatch = site, monkeypatch
        array = np.random.default_rng(0).integers(1, 255, (1, SIDE, SIDE), dtype=np.uint8)
        write_raster("large.tif", array, tiled=True, blockxsize=64, blockysize=64)
        corners = np.random.default_rng(1).uniform(0, SIDE - 30, (COUNT, 2))
        self.frame = px_boxes(
            [(x, y, x + 20, y + 12) for x, y in corners], NORTH_UP, "EPSG:32633", name=[str(i) for i in range(COUNT)]
        )
        site.write(self.frame, "many.gpkg")

    def run(self, meddle: Callable[[], object] = lambda: None, *more: str, scene: str = "large.tif") -> tuple[Any, Meddling]:
        segmenter = Meddling(meddle)
        self.monkeypatch.setattr(rosgeo.run.pipeline, "open_segmenter", lambda _: segmenter)
        result = self.site.run(scene, "many.gpkg", "-o", "out.gpkg", "--overwrite", *more)
        # Nobody reads any more from a raster that has been closed.
        assert not [thread for thread in threading.enumerate() if thread.name == "rosgeo-reader"]
        return result, segmenter

    def fails(self, meddle: Callable[[], object] = lambda: None, *words: str, scene: str = "large.tif") -> None:
        """A run that has to fail half-way, and to be as good as one without failure once it is resumed."""
        out, journal = Path("out.gpkg"), journal_path("out.gpkg")
        before = out.read_bytes()
        there = set(self.site.files())
        result, _ = self.run(meddle, scene=scene)
        assert result.exit_code == 2, result.output + repr(result.exception)
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        for word in (*words, f"{journal}; run the same command with --resume to go on"):
            assert word in line
        assert out.read_bytes() == before
        assert set(self.site.files()) - there == {str(journal)}

    def resumes(self, scene: str = "large.tif") -> None:
        result, segmenter = self.run(lambda: None, "--resume", scene=scene)
        assert result.exit_code == 0, result.output
        assert segmenter.seen < COUNT
        assert not journal_path("out.gpkg").exists()
        whole = segment_run(scene, "many.gpkg", SegmentOptions(), output="whole.gpkg", segmenter=EllipseSegmenter()).result  # type: ignore[arg-type]
        assert_same(gpd.read_file("out.gpkg", layer="masks"), gpd.read_file("whole.gpkg", layer="masks"))
        assert len(whole) == COUNT


@pytest.fixture
def large(site: Site, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> Large:
    return Large(site, write_raster, monkeypatch)


def test_the_disk_is_full_when_the_output_is_written(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    write = rosgeo.run.pipeline.write_results

    def on_a_full_disk(*arguments: Any, **more: Any) -> None:
        with small_files(60_000):
            write(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(rosgeo.run.pipeline, "write_results", on_a_full_disk)
        large.fails(lambda: None, "out.gpkg cannot be written: ")
    large.resumes()


def test_the_disk_is_full_when_the_journal_is_written(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Journal.add
    with ExitStack() as stack, monkeypatch.context() as patch:

        def on_a_disk_that_fills(self: Journal, number: int, results: Any) -> None:
            if self.holds_tiles:
                stack.enter_context(small_files(self.path.stat().st_size + 50))
            add(self, number, results)

        patch.setattr(Journal, "add", on_a_disk_that_fills)
        large.fails(lambda: None, "the journal .out.gpkg.rosgeo-journal cannot be written: File too large")
    large.resumes()


def test_a_journal_without_one_whole_tile_does_not_stay(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Journal.add
    with ExitStack() as stack, monkeypatch.context() as patch:

        def on_a_full_disk(self: Journal, number: int, results: Any) -> None:
            stack.enter_context(small_files(100))
            add(self, number, results)

        patch.setattr(Journal, "add", on_a_full_disk)
        before = large.site.files()
        result, _ = large.run()
    assert result.exit_code == 2
    assert "cannot be written: File too large" in result.stderr
    assert "--resume" not in result.stderr
    assert large.site.files() == before


def test_the_folder_can_no_longer_be_written_to(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        # Only now, since a folder that takes no files at the start ends the run at once.
        large.fails(lambda: patch.setattr(tempfile, "mkdtemp", refused), "out.gpkg cannot be written: Permission denied")
    large.resumes()


def test_the_raster_is_cut_short_half_way(large: Large) -> None:
    scene = Path("large.tif")
    shutil.copy2(scene, "safe.tif")
    large.fails(lambda: os.truncate(scene, SIDE * SIDE * 2 // 3), "large.tif cannot be read", "truncated or damaged")
    shutil.copy2("safe.tif", scene)
    large.resumes()


def test_a_part_of_the_raster_vanishes_half_way(large: Large) -> None:
    """A mosaic opens its files when they are first read; a file that is open already is read to its end."""
    seam, sources = 1280, ""
    for top, height, name in ((0, seam, "upper.tif"), (seam, SIDE - seam, "lower.tif")):
        shutil.copy("large.tif", name)
        rect = f'xOff="0" yOff="{top}" xSize="{SIDE}" ySize="{height}"'
        sources += (
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>1</SourceBand>'
            f"<SrcRect {rect}/><DstRect {rect}/></SimpleSource>"
        )
    with rasterio.open("large.tif") as dataset:
        crs, transform = dataset.crs.to_wkt(), ", ".join(map(str, dataset.transform.to_gdal()))
    Path("mosaic.vrt").write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>{escape(crs)}</SRS><GeoTransform>{transform}</GeoTransform>'
        f'<VRTRasterBand dataType="Byte" band="1">{sources}</VRTRasterBand></VRTDataset>'
    )
    large.fails(lambda: Path("lower.tif").unlink(), "mosaic.vrt cannot be read", "lower.tif", scene="mosaic.vrt")
    shutil.copy("large.tif", "lower.tif")
    large.resumes(scene="mosaic.vrt")


def test_an_error_that_is_not_ours_names_the_journal_too(large: Large) -> None:
    def fail() -> None:
        raise RuntimeError("the dog ate it")

    result, _ = large.run(fail)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: RuntimeError: the dog ate it (rosgeo ")
    assert line.endswith(". What is finished is in .out.gpkg.rosgeo-journal; run the same command with --resume to go on")


def test_python_sees_the_journal_in_a_note(large: Large) -> None:
    def fail() -> None:
        raise OutputError("full")

    with pytest.raises(OutputError) as caught:
        segment_run("large.tif", large.frame, SegmentOptions(), output="new.gpkg", segmenter=Meddling(fail))  # type: ignore[arg-type]
    assert str(caught.value) == "full"
    assert caught.value.__notes__ == [
        "What is finished is in .new.gpkg.rosgeo-journal; run the same command with --resume to go on"
    ]
