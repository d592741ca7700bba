"""Results that are open in a real QGIS while rosgeo wants to write to them: nothing that a person saved is lost, and no file is harmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from rosgeo.errors import OutputError
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.vector.layers.read import read_boxes

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes
from tests.gpkg_site import rows, sides
from tests.qgis_site import held_in_qgis, in_qgis, needs_qgis


def run(folder: Path, count: int, **more: Any) -> Any:
    frame = px_boxes([(5 + 20 * n, 10, 20 + 20 * n, 40) for n in range(count)], NORTH_UP, "EPSG:32633", name=["x"] * count)
    output, segmenter = folder / "out.gpkg", EllipseSegmenter()
    return segment_run(folder / "scene.tif", frame, SegmentOptions(), output=output, segmenter=segmenter, **more)  # type: ignore[arg-type]


def statuses(path: Path) -> list[str]:
    return [status for (status,) in rows(path, "masks", "rosgeo_status")]


@pytest.fixture
def out(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """A result of three boxes."""
    needs_qgis()
    write_raster()
    run(tmp_path, 3)
    return tmp_path / "out.gpkg"


@pytest.mark.parametrize("how", ["editing", "saved"])
def test_an_edit_session_is_named_and_nothing_is_touched(out: Path, tmp_path: Path, how: str) -> None:
    with held_in_qgis(tmp_path, out, how) as qgis:
        for way in ("overwrite", "append"):
            with pytest.raises(OutputError, match=rf"out\.gpkg is open in .* \(process {qgis.pid}\).*end the layer's edit session"):
                run(tmp_path, 6, **{way: True})
        expected = ["corrected" if how == "saved" else "ok"] * 3
        assert read_boxes(out)["rosgeo_status"].tolist() == expected
    assert statuses(out) == expected
    # QGIS is closed, the session is over.
    run(tmp_path, 6, append=True)
    assert (statuses(out), sides(out)) == ([*expected, "ok", "ok", "ok"], [])


@pytest.mark.parametrize("how", ["shown", "done"])
def test_a_layer_that_is_only_shown_is_no_hindrance(out: Path, tmp_path: Path, how: str) -> None:
    expected = ["corrected" if how == "done" else "ok"] * 3
    with held_in_qgis(tmp_path, out, how):
        run(tmp_path, 6, append=True)
        assert statuses(out) == [*expected, "ok", "ok", "ok"]
        run(tmp_path, 4, overwrite=True)
        assert statuses(out) == ["ok"] * 4
    # Whatever QGIS did when it closed.
    assert (statuses(out), sides(out)) == (["ok"] * 4, [])
    assert in_qgis(tmp_path, "look", path=str(out), layers=["masks"])["masks"]["rows"] == 4


@pytest.mark.parametrize("way", ["overwrite", "append"])
def test_what_a_killed_qgis_had_saved_is_brought_in(out: Path, tmp_path: Path, way: str) -> None:
    with held_in_qgis(tmp_path, out, "killed") as qgis:
        qgis.wait()
    assert "out.gpkg-wal" in sides(out)
    assert out.with_name("out.gpkg-wal").stat().st_size
    assert read_boxes(out)["rosgeo_status"].tolist() == ["corrected"] * 3
    run(tmp_path, 6, **{way: True})
    assert (statuses(out), sides(out)) == ((["corrected"] * 3 if way == "append" else ["ok"] * 3) + ["ok"] * 3, [])


def test_rows_that_were_drawn_and_removed_in_qgis(out: Path, tmp_path: Path) -> None:
    """--append keeps what a person drew, and does not bring back what a person took away."""
    moved, drawn = px_boxes([(30, 12, 48, 38), (60, 60, 80, 90)], NORTH_UP, "EPSG:32633").geometry
    in_qgis(tmp_path, "edit", path=str(out), row=0, wkt=moved.wkt, new_wkt=drawn.wkt)
    in_qgis(tmp_path, "remove", path=str(out), row=2)
    for count in (4, 5):
        run(tmp_path, count, append=True)
        frame = gpd.read_file(out, layer="masks")
        assert frame["rosgeo_status"].tolist() == ["corrected", "rejected", "corrected", *["ok"] * (count - 3)]
        assert frame.geometry.iloc[0].equals(moved)
        assert frame.geometry.iloc[2].equals(drawn)
        assert frame["rosgeo_id"].iloc[3:].tolist() == list(range(3, count))
