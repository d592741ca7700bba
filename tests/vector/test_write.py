"""Results: assembled without losing a row, and written to every format."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyogrio.errors import DataSourceError
from pyproj import CRS
from rosgeo.errors import BoxesError, FormatLossWarning, OutputError
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import LAYER, check_output, output_driver, read_record, write_result
from rosgeo.vector.result import RESULT_COLUMNS, ObjectResult, assemble_result, refuse_clashing_columns
from shapely import MultiPolygon, Polygon

from tests.conftest import small_files

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

UTM33, WGS84 = CRS.from_epsg(32633), CRS.from_epsg(4326)


RECORD: dict[str, Any] = {"rosgeo": "0.1", "options": {"outline": "smooth", "näme": [1, 2.5, None]}}
FORMATS = ["gpkg", "parquet", "geojson", "fgb"]


def square(i: float) -> Polygon:
    return shapely.box(500_000 + 10 * i, 4_000_000, 500_005 + 10 * i, 4_000_005)


def squares(count: int = 6, crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"n": np.arange(count), **columns}, geometry=[square(i) for i in range(count)], crs=crs)


def result_of(crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    """Six rows: polygons, a multipolygon and two without geometry."""
    polygons = [square(0), None, square(2), MultiPolygon([square(3), square(3.7)]), None, square(5)]
    objects = [ObjectResult(i, "ok" if p is not None else "empty", p, 0.5 + i / 10, 0.9) for i, p in enumerate(polygons)]
    return assemble_result(squares(crs=crs, **columns), objects[::-1], crs, "model-x")


def read_back(path: Path) -> gpd.GeoDataFrame:
    return (
        gpd.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path, layer=pyogrio.list_layers(path)[0][0])
    )


def sql(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


@given(st.permutations(range(6)), st.sampled_from([list(range(6)), [3, 3, 3, 1, 1, 9], list("abcabc")]))
def test_assemble_keeps_rows_order_and_index(order: list[int], index: list[Any]) -> None:
    frame = squares().set_index(pd.Index(index, name="key")).rename_geometry("shape")
    objects = [ObjectResult(i, "ok", square(i + 100), i / 10, i / 20) if i % 2 else ObjectResult(i, "outside") for i in range(6)]
    result = assemble_result(frame, [objects[i] for i in order], UTM33, "model-x")
    assert result.index.equals(frame.index)
    assert list(result.columns) == [*frame.columns, *RESULT_COLUMNS]
    assert result.geometry.name == "shape"
    assert result.crs == UTM33
    assert result["n"].tolist() == result["rosgeo_id"].tolist() == list(range(6))
    assert result["rosgeo_status"].tolist() == ["outside", "ok"] * 3
    assert [g is None or g.equals(square(i + 100)) for i, g in enumerate(result.geometry)] == [True] * 6
    assert result.geometry.isna().tolist() == result["rosgeo_area_m2"].isna().tolist() == [True, False] * 3
    np.testing.assert_array_equal(result["rosgeo_score"], [np.nan, 0.1, np.nan, 0.3, np.nan, 0.5])
    np.testing.assert_array_equal(result["rosgeo_stability"], [np.nan, 0.05, np.nan, 0.15, np.nan, 0.25])
    np.testing.assert_allclose(result["rosgeo_area_m2"][1::2], 25, rtol=0.002)
    assert result["rosgeo_model"].tolist() == ["model-x"] * 6
    assert frame.geometry.iloc[1].equals(square(1))


@pytest.mark.parametrize("ids", [[0, 1], [0, 1, 1], [0, 1, 2, 3], [1, 2, 3], []])
def test_a_lost_or_doubled_row_is_noticed(ids: list[int]) -> None:
    with pytest.raises(AssertionError, match="3 input rows"):
        assemble_result(squares(3), [ObjectResult(i, "empty") for i in ids], UTM33, "m")


def test_assemble_in_another_crs() -> None:
    objects = [ObjectResult(0, "ok", square(0)), ObjectResult(1, "invalid"), ObjectResult(2, "ok", square(2))]
    frame = squares(3).to_crs(3857)
    there = assemble_result(frame, objects, UTM33, "m", out_crs=WGS84)
    here = assemble_result(frame, objects, UTM33, "m")
    assert (here.crs, there.crs) == (UTM33, WGS84)
    assert there.geometry.isna().tolist() == [False, True, False]
    assert there.to_crs(UTM33).geometry.iloc[2].hausdorff_distance(square(2)) < 1e-3
    pd.testing.assert_series_equal(here["rosgeo_area_m2"], there["rosgeo_area_m2"])


def test_pixel_results_do_not_keep_the_boxes_crs() -> None:
    """GeoJSON is always in some CRS, also where its numbers are pixels (--boxes-crs pixel) of a raster without one."""
    result = assemble_result(squares(2, crs=WGS84), [ObjectResult(i, "ok", square(i)) for i in (0, 1)], None, "m")
    assert result.crs is None


@pytest.mark.parametrize("column", ["rosgeo_id", "ROSGEO_Score", "rosgeo_model"])
def test_clashing_columns(column: str) -> None:
    refuse_clashing_columns(squares(rosgeo_other=1, id=2), "boxes.gpkg")
    with pytest.raises(BoxesError, match=f"boxes.gpkg has the column {column}"):
        refuse_clashing_columns(squares(**{column: 1}), "boxes.gpkg")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("crs", [UTM33, WGS84], ids=["utm", "degrees"])
def test_written_results_read_back(tmp_path: Path, suffix: str, crs: CRS) -> None:
    result = result_of(
        UTM33,
        größe=np.linspace(0, 1, 6),
        名前=["ä", "β", "字", None, "", "x"],
        flag=[True, False] * 3,
        big=np.arange(6) + 2**40,
        when=pd.to_datetime(["2024-01-02 03:04:05"] * 6),
        fid=[7, 7, 1, 1, 1, 0],
        geom=["not", "a", "geometry", "at", "all", "!"],
    ).to_crs(crs)
    path = tmp_path / f"masks.{suffix}"
    write_result(result, path, RECORD)
    back = read_back(path)
    assert back.crs == (WGS84 if suffix == "geojson" else crs)  # RFC 7946
    assert set(back.columns) == set(result.columns)
    assert back["rosgeo_id"].tolist() == list(range(6))
    assert back.geometry.isna().tolist() == [False, True, False, False, True, False]
    there = back.geometry.notna().to_numpy()
    for found, written in zip(back.geometry[there], result.to_crs(back.crs).geometry[there], strict=True):
        assert len(shapely.get_parts(found)) == len(shapely.get_parts(written))
        assert shapely.hausdorff_distance(found, written) < (1.5e-8 if suffix == "geojson" else 1e-9)
    for column in ("n", "fid", "geom", "flag", "big", "rosgeo_status", "rosgeo_model"):
        assert back[column].tolist() == result[column].tolist(), column
        assert back[column].dtype.kind == result[column].dtype.kind, column
    for column in ("größe", "rosgeo_score", "rosgeo_stability", "rosgeo_area_m2"):
        assert back[column].dtype == np.float64
        # GeoJSON is text of 15 digits and more.
        np.testing.assert_allclose(back[column], result[column], rtol=1e-14 if suffix == "geojson" else 0)
    assert back["名前"].fillna("?").tolist() == ["ä", "β", "字", "?", "", "x"]
    assert pd.to_datetime(back["when"]).dt.second.tolist() == [5] * 6
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_geometry_at_all(tmp_path: Path, suffix: str) -> None:
    result = assemble_result(squares(3), [ObjectResult(i, "outside") for i in range(3)], UTM33, "m")
    write_result(result, tmp_path / f"masks.{suffix}", RECORD)
    back = read_back(tmp_path / f"masks.{suffix}")
    assert back["rosgeo_status"].tolist() == ["outside"] * 3
    assert back.geometry.isna().all()


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
@pytest.mark.parametrize("suffix", FORMATS)
def test_lists_and_further_geometries(tmp_path: Path, suffix: str) -> None:
    result = result_of(tags=[[1, 2], [], ["a", "ü"], [3], [4], [5]], seen=pd.Categorical(list("abcabc")))
    result["centre"] = gpd.GeoSeries(shapely.points(np.arange(6), 1), index=result.index, crs=UTM33)
    if suffix == "parquet":
        result["tags"] = [[str(t) for t in tags] for tags in result["tags"]]
    before = result.copy()
    write_result(result, tmp_path / f"masks.{suffix}", RECORD)
    assert list(result.columns) == list(before.columns)
    assert result["tags"].tolist() == before["tags"].tolist()
    back = read_back(tmp_path / f"masks.{suffix}")
    assert back["seen"].tolist() == list("abcabc")
    if suffix == "parquet":
        assert [list(t) for t in back["tags"]] == result["tags"].tolist()
        assert back["centre"].geom_equals(result["centre"]).all()
    else:
        assert back["centre"].iloc[3] == "POINT (3 1)"
    if suffix == "geojson":  # the file holds lists; what a reader makes of lists of many types is its own affair
        features = json.loads((tmp_path / "masks.geojson").read_text(encoding="utf-8"))["features"]
        assert [f["properties"]["tags"] for f in features] == result["tags"].tolist()
    elif suffix == "gpkg":
        assert back["tags"].tolist() == result["tags"].tolist()
    elif suffix == "fgb":
        assert [json.loads(t) for t in back["tags"]] == result["tags"].tolist()


def test_style_and_record_in_the_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    write_result(result_of(geom="taken"), path, RECORD)
    assert read_record(path) == RECORD
    ((column, srs),) = sql(path, f"SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = '{LAYER}'")
    assert srs == 32633
    ((table, style_column, default, qml),) = sql(
        path, "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
    )
    assert (table, style_column, default) == (LAYER, column, 1)
    assert "rosgeo_score" in qml
    assert sql(path, "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'") == [("attributes",)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    assert pyogrio.list_layers(path)[:, 0].tolist() == [LAYER, "layer_styles"]
    pyogrio.write_dataframe(squares(), tmp_path / "other.gpkg", layer=LAYER)
    with pytest.raises(OutputError, match="no record"):
        read_record(tmp_path / "other.gpkg")


def test_a_result_can_be_the_next_input(tmp_path: Path) -> None:
    write_result(result_of(), tmp_path / "masks.gpkg", RECORD)
    again = read_boxes(tmp_path / "masks.gpkg")
    assert again["rosgeo_id"].tolist() == list(range(6))


def test_no_crs_in_a_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    write_result(result_of(None), path, RECORD)
    assert sql(path, f"SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = '{LAYER}'") == [(-1,)]
    assert sql(path, f"SELECT srs_id FROM gpkg_contents WHERE table_name = '{LAYER}'") == [(-1,)]
    assert len(read_back(path)) == 6


@pytest.mark.parametrize("suffix", ["parquet", "fgb"])
def test_no_crs_elsewhere(tmp_path: Path, suffix: str) -> None:
    write_result(result_of(None), tmp_path / f"masks.{suffix}", RECORD)
    assert read_back(tmp_path / f"masks.{suffix}").crs is None


def test_columns_that_differ_by_case(tmp_path: Path) -> None:
    result = result_of(name=1, Name=2)
    for suffix in ("gpkg", "fgb"):
        with pytest.warns(FormatLossWarning, match="cannot hold all as it is: renamed Name to Name_2$"):
            write_result(result, tmp_path / f"masks.{suffix}", RECORD)
        assert read_back(tmp_path / f"masks.{suffix}")["Name_2"].tolist() == [2] * 6
    for suffix in ("parquet", "geojson"):
        write_result(result, tmp_path / f"masks.{suffix}", RECORD)
        assert read_back(tmp_path / f"masks.{suffix}")["Name"].tolist() == [2] * 6


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("error", [DataSourceError("disk full"), OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, error: BaseException
) -> None:
    path = tmp_path / f"masks.{suffix}"
    write_result(result_of(), path, RECORD)
    before = path.read_bytes()

    def fail(*arguments: Any, **_options: Any) -> None:
        partial = next(a for a in arguments if isinstance(a, Path))
        partial.write_bytes(b"half a file")
        partial.with_name(partial.name + "-journal").write_bytes(b"")
        raise error

    monkeypatch.setattr(pyogrio, "write_arrow", fail)
    monkeypatch.setattr("rosgeo.vector.layers.write.write_geojson", fail)
    monkeypatch.setattr(gpd.GeoDataFrame, "to_parquet", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        write_result(result_of(), path, RECORD)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("crs", [UTM33, None], ids=["utm", "none"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, suffix: str, crs: CRS | None) -> None:
    """GDAL's FlatGeobuf and the end of its GeoJSON do not notice by themselves."""
    path = tmp_path / f"masks.{suffix}"
    write_result(result_of(crs), path, RECORD)
    before, size = path.read_bytes(), path.stat().st_size
    for limit in (1, size // 4, size // 2, size - 2):
        with small_files(limit), pytest.raises(OutputError, match=f"masks.{suffix} cannot be written: ") as caught:
            write_result(result_of(crs), path, RECORD)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_error_on_a_disk_with_little_room_says_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=250_000))
    monkeypatch.setattr(pyogrio, "write_arrow", lambda *_, **__: (_ for _ in ()).throw(DataSourceError("Failed to commit")))
    with pytest.raises(OutputError, match=r"cannot be written: Failed to commit \(0.2 MB are free on the disk of "):
        write_result(result_of(), tmp_path / "masks.gpkg", RECORD)


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "masks.gpkg"
    path.write_text("old")
    write_result(result_of(), path, RECORD)
    write_result(result_of().iloc[:2], path, RECORD)
    assert len(read_back(path)) == 2


@pytest.mark.parametrize("name", ["masks", "masks.kml", "masks.tiff", "masks.gpkg.zip"])
def test_unknown_extension(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected one of \.gpkg"):
        output_driver(tmp_path / name)
    assert output_driver("MASKS.GPKG") == "GPKG"


def test_check_output(tmp_path: Path) -> None:
    there, new = tmp_path / "boxes.gpkg", tmp_path / "masks.gpkg"
    there.write_text("boxes")
    assert check_output(new, overwrite=False, inputs=(str(there), "/no/such/file")) == new
    assert check_output(there, overwrite=True) == there
    for path, overwrite, inputs, message in (
        (there, False, (), "--overwrite"),
        (there, True, (str(there),), "is an input"),
        (tmp_path / "none" / "masks.gpkg", True, (), "does not exist"),
        (tmp_path, True, (), "is a folder"),
    ):
        with pytest.raises(OutputError, match=message):
            check_output(path, overwrite=overwrite, inputs=inputs)
