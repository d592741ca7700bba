"""--append: only boxes that the output does not hold, and nothing that it holds is touched."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rosgeo.errors import ColumnsWarning, FormatLossWarning, OptionError, OutputError, RunInterruptedError
from rosgeo.outputs.mask_raster import write_mask_raster
from rosgeo.run.append import new_boxes
from rosgeo.run.estimate import estimate_run
from rosgeo.run.journal import journal_path
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import LAYER, read_record
from rosgeo.vector.polygonize import OutlineOptions

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes
from tests.gpkg_site import connect, rows


class Counting(EllipseSegmenter):
    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[int] = []
        self._stop_after = stop_after

    def segment(self, crops: Any) -> Any:
        for mask in super().segment(crops):
            if self._stop_after == len(self.seen):
                raise KeyboardInterrupt
            self.seen.append(mask.id)
            yield mask


def boxes(numbers: list[int], **columns: Any) -> gpd.GeoDataFrame:
    corners = [(5 + 7 * (n % 18), 4 + 9 * (n // 18), 11 + 7 * (n % 18), 11 + 9 * (n // 18)) for n in numbers]
    frame = px_boxes(corners, NORTH_UP, "EPSG:32633", name=[f"box {n}" for n in numbers])
    return frame.assign(**columns)


def run(scene: Path, frame: gpd.GeoDataFrame, output: Path, segmenter: Any = None, **more: Any) -> Any:
    options = more.pop("options", SegmentOptions())
    return segment_run(scene, frame, options, output=output, segmenter=segmenter or EllipseSegmenter(), **more)


def test_new_boxes_alone_are_segmented_and_the_rows_are_those_of_one_run(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1, 2]), output)
    segmenter = Counting()
    added = run(scene, boxes([0, 1, 2, 3, 4]), output, segmenter, append=True)
    assert len(segmenter.seen) == 2
    assert added.record["added"] == 2
    assert added.record["objects"] == 5
    assert [r["rows"] for r in read_record(output)["added_to"]] == [3]
    whole = run(scene, boxes([0, 1, 2, 3, 4]), tmp_path / "whole.gpkg").result
    written = gpd.read_file(output, layer=LAYER)
    for frame in (added.result, written):
        assert frame["name"].tolist() == [f"box {n}" for n in range(5)]
        assert frame["rosgeo_id"].tolist() == [0, 1, 2, 3, 4]
        assert [g.wkb for g in frame.geometry] == [g.wkb for g in whole.geometry]
    assert added.result.crs == whole.crs
    assert len(added.boxes_px.xyxy) == 5


def test_a_third_run_adds_to_the_second(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    for numbers in ([0], [0, 1], [2], [0, 1, 2]):
        run(scene, boxes(numbers), output, append=True)
    assert gpd.read_file(output, layer=LAYER)["name"].tolist() == ["box 0", "box 1", "box 2"]
    assert [r["rows"] for r in read_record(output)["added_to"]] == [1, 1, 1]
    assert read_record(output)["added"] == 0


def test_boxes_in_another_crs_are_the_same_boxes(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    # Envelopes of boxes in degrees are larger by the convergence of the meridians: the boxes' own corners, dense, are not.
    segmenter = Counting()
    run(scene, boxes([0, 1, 2]).to_crs("EPSG:32632").to_crs("EPSG:32633"), output, segmenter, append=True)
    assert len(segmenter.seen) == 1


def test_of_two_equal_boxes_one_is_new_where_one_is_held(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([3]), output)
    run(scene, boxes([3, 3]), output, append=True)
    assert len(gpd.read_file(output, layer=LAYER)) == 2


def test_rows_without_outline_are_held_too(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    frame = boxes([0, 1, 2])
    frame.loc[1, "geometry"] = shapely.Polygon()
    frame.loc[2, "geometry"] = shapely.transform(frame.geometry[2], lambda c: c + 1e5)
    first = run(scene, frame, output).result
    assert first["rosgeo_status"].tolist() == ["ok", "invalid", "outside"]
    assert run(scene, frame, output, append=True).record["added"] == 0
    assert gpd.read_file(output, layer=LAYER)["rosgeo_status"].tolist() == ["ok", "invalid", "outside"]


def test_another_row_without_a_box_is_new(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    without = [boxes([n]).set_geometry([shapely.Polygon()], crs="EPSG:32633") for n in (0, 1)]
    run(scene, without[0].assign(count=1), output)
    assert run(scene, pd.concat(without).assign(count=1), output, append=True).record["added"] == 1
    assert gpd.read_file(output, layer=LAYER)["name"].tolist() == ["box 0", "box 1"]


def test_other_files_are_replaced_only_where_that_was_asked_for(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output, other = write_raster(), tmp_path / "out.gpkg", tmp_path / "other.geojson"
    other.write_text("precious", encoding="utf-8")
    run(scene, boxes([0]), output)
    for outputs in ([output, other], [tmp_path / "new.gpkg", other]):
        with pytest.raises(OutputError, match=r"other\.geojson exists"):
            run(scene, boxes([0, 1]), outputs, append=True)  # type: ignore[arg-type]
    assert other.read_text(encoding="utf-8") == "precious"
    run(scene, boxes([0, 1]), [output, other], append=True, overwrite=True)  # type: ignore[arg-type]
    assert len(gpd.read_file(other)) == len(gpd.read_file(output, layer=LAYER)) == 2


def test_the_scene_by_another_name(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    monkeypatch.chdir(scene.parent)
    assert run(Path(scene.name), boxes([0, 1]), output, append=True).record["added"] == 1


def test_rows_of_several_files_cannot_be_told_apart_in_a_mask_raster(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    result = run(scene, boxes([1]), output, append=True).result
    assert result["rosgeo_id"].tolist() == [0, 0]
    with pytest.raises(OptionError, match="cannot tell rows apart"):
        write_mask_raster(scene, result, tmp_path / "rows.tif", values="row")


def test_a_dry_run_counts_the_new_boxes(write_raster: WriteRaster, tmp_path: Path, tiny_model: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    figures = estimate_run(scene, boxes([0, 1, 2]), SegmentOptions(model=str(tiny_model)), add_to=output)
    assert figures["boxes"] == 1


def test_without_an_output_it_is_a_plain_run(write_raster: WriteRaster, tmp_path: Path) -> None:
    run(write_raster(), boxes([0, 1]), tmp_path / "out.gpkg", append=True)
    assert len(gpd.read_file(tmp_path / "out.gpkg", layer=LAYER)) == 2


def test_interrupted_and_resumed(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    held = output.read_bytes()
    every = boxes(list(range(100)))
    with pytest.raises(RunInterruptedError):
        run(scene, every, output, Counting(stop_after=80), append=True)
    assert output.read_bytes() == held
    segmenter = Counting()
    run(scene, every, output, segmenter, append=True, resume=True)
    assert 0 < len(segmenter.seen) < 98
    assert gpd.read_file(output, layer=LAYER)["name"].tolist() == every["name"].tolist()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"options": SegmentOptions(outline=OutlineOptions(outline="pixel"))}, "outline"),
        ({"options": SegmentOptions(stretch="percentile:1,99")}, "stretch"),
        ({"scene": True}, "scene"),
    ],
)
def test_another_run_is_refused(write_raster: WriteRaster, tmp_path: Path, change: dict[str, Any], found: str) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    held = output.read_bytes()
    other = tmp_path / "other.tif"
    other.write_bytes(scene.read_bytes())
    place = other if change.pop("scene", False) else scene
    with pytest.raises(OptionError, match=found):
        run(place, boxes([0, 1]), output, append=True, **change)
    assert output.read_bytes() == held


def test_other_columns_are_refused_by_name(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0], colour="red"), output)
    with pytest.raises(OptionError, match="lack colour; also have height"):
        run(scene, boxes([1], height=3), output, append=True)


def test_what_cannot_be_added_to(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster()
    run(scene, boxes([0]), tmp_path / "out.parquet")
    with pytest.raises(OutputError, match=r"\.gpkg only"):
        run(scene, boxes([0]), tmp_path / "out.parquet", append=True)
    boxes([0]).to_file(tmp_path / "foreign.gpkg", layer="anything")
    with pytest.raises(OutputError, match="no GeoPackage that rosgeo wrote"):
        run(scene, boxes([0]), tmp_path / "foreign.gpkg", append=True)
    with pytest.raises(OptionError, match="none was given"):
        segment_run(scene, boxes([0]), SegmentOptions(), segmenter=EllipseSegmenter(), append=True)  # type: ignore[arg-type]


def edit(path: Path, *statements: str) -> None:
    with closing(connect(path)) as database:
        for statement in statements:
            database.execute(statement)


DRAWN = "INSERT INTO masks (geom, name, rosgeo_status) SELECT geom, 'drawn', 'corrected' FROM masks WHERE name = 'box 1'"


def test_rows_that_a_person_removed_or_drew_stay_so(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1, 2]), output)
    edit(output, "DELETE FROM masks WHERE name = 'box 0'", DRAWN)
    for count in (4, 5, 5):
        done = run(scene, boxes(list(range(count))), output, append=True)
        written = gpd.read_file(output, layer=LAYER)
        wanted = ["box 1", "box 2", "drawn", *(f"box {n}" for n in range(3, count))]
        assert written["name"].tolist() == done.result["name"].tolist() == wanted
        assert np.isnan(done.boxes_px.xyxy[2]).all()
        assert np.isfinite(np.delete(done.boxes_px.xyxy, 2, axis=0)).all()
        # Whole numbers, though a row that was drawn has none.
        assert [None if pd.isna(v) else v for v in rows(output, LAYER, "rosgeo_id")[2]] == [None]
        assert rows(output, LAYER, "typeof(rosgeo_id)")[0] == ("integer",)
        prompts = gpd.read_file(output, layer="prompts")
        assert prompts["prompt_status"].tolist() == ["ok", "ok", "corrected", *["ok"] * (count - 3), "removed"]
        assert prompts.geometry.isna().tolist() == [False, False, True, *[False] * (count - 2)]
    # A run on the prompts takes the box of the row that was removed, too: it is a box.
    assert (read_boxes(output, layer="prompts").geometry.notna()).sum() == 5


def test_a_result_that_lost_prompts_says_what_to_do(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    edit(output, "DELETE FROM prompts WHERE fid = 1")
    with pytest.raises(OutputError, match=r"1 of 2 outlines have lost .*make this one anew with --overwrite"):
        run(scene, boxes([0, 1]), output, append=True)
    run(scene, boxes([0, 1]), output, overwrite=True)
    assert run(scene, boxes([0, 1, 2]), output, append=True).record["added"] == 1


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(["DROP TABLE prompts", "DELETE FROM gpkg_contents WHERE table_name = 'prompts'"], id="no prompts"),
        pytest.param(["ALTER TABLE prompts DROP COLUMN prompt_status"], id="no column"),
        pytest.param(["DELETE FROM gpkg_metadata"], id="no record"),
        pytest.param(["UPDATE gpkg_metadata SET metadata = '<GDALMultiDomainMetadata>'"], id="no sound record"),
    ],
)
def test_whatever_keeps_boxes_from_being_added_has_a_way_on(
    write_raster: WriteRaster, tmp_path: Path, statements: list[str]
) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    edit(output, *statements)
    with pytest.raises(OutputError, match="Name another output, or make this one anew with --overwrite") as caught:
        run(scene, boxes([0, 1, 2]), output, append=True)
    assert "\n" not in str(caught.value)
    run(scene, boxes([0, 1, 2]), output, overwrite=True)
    assert run(scene, boxes([0, 1, 2, 3]), output, append=True).record["added"] == 1


def test_a_column_that_was_added_in_qgis_is_empty_in_new_rows(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    frame = boxes([0, 1, 2])
    frame.loc[2, "geometry"] = shapely.Polygon()
    run(scene, frame, output)
    edit(output, "ALTER TABLE masks ADD COLUMN checked INTEGER", "UPDATE masks SET checked = 9007199254740993")
    every = pd.concat([frame, boxes([3])], ignore_index=True)
    with pytest.warns(ColumnsWarning, match="the new boxes have no column checked, which .* has; it is empty in their rows"):
        run(scene, every, output, append=True)
    assert rows(output, LAYER, "name, checked") == [*((f"box {n}", 9007199254740993) for n in range(3)), ("box 3", None)]
    # Nothing is new, nothing is said.
    assert run(scene, every, output, append=True).record["added"] == 0


def test_what_does_not_fit_is_found_before_the_model(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    with pytest.raises(OptionError, match=r"also have height.*or name another output"):
        run(scene, boxes([1], height=3), output, segmenter=object(), append=True)
    with pytest.raises(OptionError, match="see --crs"):
        run(scene, boxes([1]), output, segmenter=object(), append=True, options=SegmentOptions(crs="EPSG:4326"))


def test_an_append_that_was_killed_when_all_was_written_goes_on(write_raster: WriteRaster, tmp_path: Path) -> None:
    """The journal is still there, and nothing is left to do."""
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0, 1]), output)
    every = boxes(list(range(100)))
    with pytest.raises(RunInterruptedError):
        run(scene, every, output, Counting(stop_after=80), append=True)
    journal = journal_path(output).read_bytes()
    run(scene, every, output, append=True, resume=True)
    journal_path(output).write_bytes(journal)
    run(scene, every, output, Counting(stop_after=0), append=True, resume=True)
    assert len(gpd.read_file(output, layer=LAYER)) == 100
    assert not journal_path(output).exists()


def test_a_result_that_vanishes_while_boxes_are_added(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)

    class Removing(EllipseSegmenter):
        def segment(self, crops: Any) -> Any:
            yield from super().segment(crops)
            output.unlink()

    with pytest.raises(OutputError, match="is gone; run without --append and --resume to make it anew"):
        run(scene, boxes([0, 1]), output, Removing(), append=True)
    assert len(run(scene, boxes([0, 1]), output).result) == 2


finite = st.floats(0, 1e5, width=32)
box_arrays = st.lists(st.tuples(finite, finite, finite, finite), max_size=12).map(lambda rows: np.array(rows).reshape(-1, 4))


@given(box_arrays, st.data())
def test_unheld_is_the_difference_of_bags(every: np.ndarray, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, max(len(every) - 1, 0)), max_size=len(every), unique=True))
    held = every[rows] if len(every) else every
    new = new_boxes(every, held + 0.01)
    assert new.sum() == len(every) - len(held)
    # What is new and what is held make up everything, whichever of equal boxes was taken.
    together = pd.DataFrame(np.concatenate([every[new], held])).sort_values(list(range(4)), ignore_index=True)
    np.testing.assert_allclose(together, pd.DataFrame(every).sort_values(list(range(4)), ignore_index=True), atol=0.2)
    assert new_boxes(every[:0], held).shape == (0,)


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["ALTER TABLE masks DROP COLUMN rosgeo_id"], r"has lost rosgeo_id, which rosgeo wrote\. Name another"),
        (["ALTER TABLE masks DROP COLUMN rosgeo_score", "ALTER TABLE masks DROP COLUMN rosgeo_model"], "rosgeo_score, rosgeo_model"),
        (
            [f"ALTER TABLE masks {c}" for c in ("DROP COLUMN rosgeo_area_m2", "ADD COLUMN rosgeo_area_m2 TEXT DEFAULT 'x'")],
            r"rosgeo_area_m2 holds text in .* and numbers",
        ),
    ],
)  # fmt: skip
def test_columns_of_rosgeo_that_a_person_removed_or_made_anew_are_found_before_any_work(
    write_raster: WriteRaster, tmp_path: Path, statements: list[str], named: str
) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    with closing(connect(output)) as database:
        for statement in statements:
            database.execute(statement)
    segmenter = Counting()
    with pytest.raises((OptionError, OutputError), match=named):
        run(scene, boxes([0, 1]), output, segmenter, append=True)
    assert segmenter.seen == []


def test_times_without_parts_of_a_second_are_added_to_finer_ones(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    seen = pd.Series(np.array(["2024-05-01T01:02:03.123456", "2024-05-01T01:02:04"], dtype="datetime64[us]"))
    with pytest.warns(FormatLossWarning, match="times as text: seen"):
        run(scene, boxes([0]).assign(seen=seen[:1]), output)
    with pytest.warns(FormatLossWarning, match=r"out\.gpkg.*times as text: seen"):
        run(scene, boxes([1]).assign(seen=seen[1:].to_numpy()), output, append=True)
    assert gpd.read_file(output, layer=LAYER)["seen"].tolist() == ["2024-05-01T01:02:03.123456", "2024-05-01T01:02:04"]
    assert run(scene, boxes([0, 1]).assign(seen=seen), output, append=True).record["added"] == 0


@pytest.mark.parametrize("statement", [None, "CREATE TABLE qgis_projects (name TEXT PRIMARY KEY, content BLOB)"])
def test_layers_that_a_person_put_into_the_file_are_not_lost(
    write_raster: WriteRaster, tmp_path: Path, statement: str | None
) -> None:
    scene, output = write_raster(), tmp_path / "out.gpkg"
    run(scene, boxes([0]), output)
    if statement is None:
        boxes([5]).to_file(output, layer="checked")
    else:
        with closing(connect(output)) as database:
            database.execute(statement)
    before, segmenter = output.read_bytes(), Counting()
    with pytest.raises(OutputError, match=r"also holds (checked|qgis_projects), which rosgeo did not write"):
        run(scene, boxes([0, 1]), output, segmenter, append=True)
    assert segmenter.seen == []
    assert output.read_bytes() == before
