"""What goes in comes out: values, types, names and ids of rows, through every format; and what a format lacks is said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosgeo.errors import BoxesError, ColumnsWarning, FormatLossWarning, OptionError, OutputError
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.labels import read_labels
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.vector.layers.coco import coco_dataset
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.write import LAYER, check_columns

from tests.attributes import FORMATS, PAGE, PICTURE, plain, read_back, table_of, with_table, written
from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

UTM = "EPSG:32633"


def test_the_table_of_the_guide_is_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_table(text), "draw it anew: python -m tests.attributes"


_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8) | st.sampled_from(
    ["007", "", "1e5", "NULL", "true"]
)
_moments = st.datetimes(datetime(1700, 1, 1), datetime(2400, 1, 1)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
_zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-3))])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _words,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(_words, v, max_size=3),
    max_leaves=6,
)
_VALUES: dict[str, Any] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "small": st.integers(-100, 100),
    "huge": st.integers(-(2**70), 2**70),
    "bool": st.booleans(),
    "float": st.floats(allow_nan=False),
    "text": _words,
    "date": st.dates(date(1, 1, 1)),
    "naive": _moments,
    "aware": st.builds(lambda t, z: t.replace(tzinfo=z), _moments, _zones),
    "bytes": st.binary(max_size=8),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15),
    "nested": st.lists(_json, max_size=3) | st.dictionaries(_words, _json, max_size=3),
    "mixed": st.integers() | _words | st.booleans(),
}
_NAMES = (
    "name",
    "Name",
    "fid",
    "FID",
    "geom",
    "OGC_FID",
    "ogc_fid",
    "id",
    "bbox",
    "geometry_",
    "a b ",
    "größe",
    "5",
    'q"',
    "boxes_fid",
)


@st.composite
def tables(draw: st.DrawFn) -> gpd.GeoDataFrame:
    """Three rows, columns of any kinds with missing values, under names that formats have trouble with."""
    kinds = draw(st.lists(st.sampled_from(list(_VALUES)), min_size=1, max_size=6))
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=len(kinds), max_size=len(kinds), unique=True))
    columns = {
        n: pd.Series(draw(st.lists(st.none() | _VALUES[k], min_size=3, max_size=3)), dtype=object)
        for n, k in zip(names, kinds, strict=True)
    }
    return table_of(**columns)


def _told(lost: list[str]) -> tuple[dict[str, str], set[str]]:
    """Of a warning: new names by old ones, and the columns, by their new or old names, that are not as they were."""
    renamed = next((c.removeprefix("renamed ") for c in lost if c.startswith("renamed ")), "")
    names = dict(pair.split(" to ") for pair in renamed.split(", ") if pair)
    others = {name.partition(" (")[0] for c in lost if not c.startswith("renamed ") for name in c.partition(": ")[2].split(", ")}
    return names, others


def _require_same(before: pd.DataFrame, after: pd.DataFrame, lost: list[str]) -> None:
    names, changed = _told(lost)
    for column in before.columns:
        if column == "geometry" or str(column).startswith("rosgeo_"):
            continue
        new = names.get(column, column)
        assert new in after.columns, (column, list(after.columns), lost)
        if {column, new} & changed:
            assert after[new].isna().tolist() == before[column].isna().tolist() or {
                "empty text as null",
                "infinite numbers as null",
            } & {c.partition(":")[0] for c in lost}
            continue
        old_values, new_values = plain(before[column]), plain(after[new])
        if any(v is not None for v in old_values):
            assert old_values == new_values, (column, lost)
            assert [type(v) for v in old_values] == [type(v) for v in new_values], (column, lost)
        else:
            assert all(v is None for v in new_values)


@pytest.mark.parametrize("source", [s for s in FORMATS if s != ".json"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_round_trips_over_all_pairs_of_formats(tmp_path: Path, source: str, table: gpd.GeoDataFrame) -> None:
    first = tmp_path / f"first{source}"
    lost = written(table, first)
    _require_same(table, read_back(first), lost)
    boxes = read_boxes(first, layer=LAYER if source == ".gpkg" else None)
    boxes = boxes.rename(columns={"ros_status": "rosgeo_status", "ros_score": "rosgeo_score"})
    for target in FORMATS:
        second = tmp_path / f"second{target}"
        check_columns(boxes, second)
        lost = written(boxes, second)
        _require_same(boxes, read_back(second), lost)


# -- ids of rows


def boxes_of(count: int = 6, **columns: Any) -> gpd.GeoDataFrame:
    return px_boxes([(5 + 20 * i, 5, 20 + 20 * i, 20) for i in range(count)], NORTH_UP, UTM, **columns)


def delete(path: Path, *fids: int, count: int | None = None) -> None:
    """Delete rows of a GeoPackage as programs do that know nothing of GDAL's own count."""
    with closing(sqlite3.connect(path)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.executemany(f"DELETE FROM {path.stem} WHERE fid = ?", [(f,) for f in fids])
        if count is not None:
            database.execute("UPDATE gpkg_ogr_contents SET feature_count = ?", (count,))
        database.commit()


@pytest.mark.parametrize("count", [None, 0, 3, 100])
def test_the_fid_comes_along_and_each_row_once(tmp_path: Path, count: int | None) -> None:
    path = tmp_path / "six.gpkg"
    boxes_of(name=list("abcdef")).to_file(path)
    delete(path, 2, 3, count=count)
    read = read_boxes(path)
    assert read["boxes_fid"].tolist() == [1, 4, 5, 6]
    assert read["name"].tolist() == list("adef")
    assert read.index.tolist() == [0, 1, 2, 3]
    some = read_boxes(path, where="name > 'd'")
    assert (some["boxes_fid"].tolist(), some.index.tolist()) == ([5, 6], [2, 3])


def test_ids_of_other_files(tmp_path: Path) -> None:
    boxes = boxes_of(3)
    boxes.to_file(tmp_path / "plain.shp")
    boxes.to_file(tmp_path / "plain.geojson")
    assert "boxes_fid" not in read_boxes(tmp_path / "plain.shp")
    assert "boxes_fid" not in read_boxes(tmp_path / "plain.geojson")
    collection = json.loads(boxes.to_json(drop_id=True))
    for ids in ([7, 9, 8], ["x", "y", "z"], [1, None, 3]):
        for feature, number in zip(collection["features"], ids, strict=True):
            feature["id"] = number
        (tmp_path / "ids.geojson").write_text(json.dumps(collection))
        assert plain(read_boxes(tmp_path / "ids.geojson")["boxes_fid"]) == ids
    boxes.set_index(pd.Index(["a", "b", "c"], name="key")).to_parquet(tmp_path / "key.parquet")
    assert read_boxes(tmp_path / "key.parquet")["key"].tolist() == ["a", "b", "c"]
    boxes.set_index(pd.Index([5, 7, 9])).to_parquet(tmp_path / "gaps.parquet")
    assert read_boxes(tmp_path / "gaps.parquet")["boxes_fid"].tolist() == [5, 7, 9]
    boxes.assign(boxes_fid=[4, 4, 5]).to_file(tmp_path / "taken.gpkg")
    taken = read_boxes(tmp_path / "taken.gpkg")
    assert (taken["boxes_fid"].tolist(), taken["boxes_fid_2"].tolist()) == ([4, 4, 5], [1, 2, 3])


# -- runs


class Untouched(EllipseSegmenter):
    """A model that must not be asked."""

    def segment(self, crops: Any) -> Any:
        raise AssertionError("the model was asked")


def run(scene: Path, frame: Any, output: Any = None, segmenter: Any = None, **more: Any) -> gpd.GeoDataFrame:
    return segment_run(scene, frame, SegmentOptions(), output=output, segmenter=segmenter or EllipseSegmenter(), **more).result


def test_a_frame_comes_back_with_its_types_and_index(write_raster: WriteRaster, tmp_path: Path) -> None:
    frame = boxes_of(
        3,
        n=pd.array([2**60 + 1, None, 3], dtype="Int64"),
        flag=pd.array([True, None, False], dtype="boolean"),
        kind=pd.Categorical(["a", "b", "a"], ordered=True),
        small=np.array([1, 2, 3], dtype=np.int8),
        when=pd.to_datetime(["2024-01-02"] * 3).tz_localize("Europe/Berlin"),
        any=pd.Series([1, "x", [2]], dtype=object),
    ).set_index(pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["sheet", "number"]))
    with pytest.warns(FormatLossWarning):
        result = run(write_raster(), frame, tmp_path / "r.gpkg")
    assert result.index.equals(frame.index)
    assert result.dtypes[frame.columns.drop("geometry")].tolist() == frame.dtypes.drop("geometry").tolist()
    pd.testing.assert_frame_equal(result[["n", "flag", "kind", "any"]], frame[["n", "flag", "kind", "any"]])
    back = read_boxes(tmp_path / "r.gpkg")
    assert back["sheet"].tolist() == ["a", "a", "b"]
    assert back["number"].tolist() == [1, 2, 1]


def test_two_columns_of_one_name_and_names_that_are_no_text(write_raster: WriteRaster, tmp_path: Path) -> None:
    frame = boxes_of(2, kind=["a", "b"])
    frame = pd.concat([frame, frame[["kind"]].rename(columns={"kind": 5}), frame[["kind"]]], axis=1)
    for suffix in (".gpkg", ".parquet", ".geojson", ".fgb", ".json"):
        with pytest.warns(FormatLossWarning, match="renamed kind to kind_2"):
            run(write_raster(), frame, tmp_path / f"r{suffix}")
        back = read_back(tmp_path / f"r{suffix}")
        assert [back[n].tolist() for n in ("kind", "5", "kind_2")] == [["a", "b"]] * 3
    doubled = boxes_of(2, kind=["a", "b"])
    doubled.columns = ["geometry", "geometry"]
    with pytest.raises(BoxesError, match="more than one column called geometry"):
        run(write_raster(), doubled)


@pytest.mark.parametrize(
    ("values", "suffix", "words"),
    [
        ([1, 2, 3, 4, 5, object()], ".gpkg", r"column 'k', row 5: a Python object of type object"),
        (["a", "b", "c", "d", "\ud800", "e"], ".parquet", r"column 'k', row 4: text that is no Unicode"),
        (["a", "b", "c", "d", "\ud800", "e"], ".geojson", "no Unicode"),
        ([{1}] * 6, ".json", "type set"),
    ],
)
def test_what_cannot_be_written_is_found_in_any_row_before_any_work(
    write_raster: WriteRaster, tmp_path: Path, values: list[Any], suffix: str, words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        run(write_raster(), boxes_of(k=pd.Series(values, dtype=object)), tmp_path / f"r{suffix}", Untouched())
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.parametrize(("suffix", "count"), [(".gpkg", 2000), (".shp", 300)])
def test_too_many_columns_are_found_before_any_work(write_raster: WriteRaster, tmp_path: Path, suffix: str, count: int) -> None:
    more = pd.DataFrame({f"c{i}": ["x" * 250] * 2 for i in range(count)})
    with pytest.raises(OutputError, match="cannot hold the input's columns"):
        run(write_raster(), gpd.GeoDataFrame(pd.concat([more, boxes_of(2)], axis=1), crs=UTM), tmp_path / f"r{suffix}", Untouched())


@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_classes_beside_a_null_are_whole_numbers(tmp_path: Path, write_raster: WriteRaster) -> None:
    for classes in ([1, None, 2], pd.array([1, None, 2], dtype="Int64"), pd.Categorical([1, None, 2])):
        frame = table_of(k=pd.Series(classes))
        names = [c["name"] for c in coco_dataset(frame, type(PICTURE)("s", PICTURE.grid, "k"), {})["categories"]]
        assert names == ["1", "object", "2"]
    boxes_of(3, k=pd.array([1, None, 2], dtype="Int64")).to_file(tmp_path / "l.gpkg")
    objects, _ = read_labels(
        DataSource(kind="raster", raster=str(write_raster()), labels=str(tmp_path / "l.gpkg"), class_column="k"), "boxes_fid"
    )
    assert [(o.category, o.group) for o in objects] == [("1", "1"), ("without a class", "2"), ("2", "3")]


# -- --append


def test_append_keeps_types_and_ids(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "r.gpkg"
    columns = {
        "n": pd.array([2**60 + 1, None, 3], dtype="Int64"),
        "price": [Decimal("1.10")] * 3,
        "Day": [date(2024, 5, 1)] * 3,
        "day": ["x"] * 3,
    }
    frame = boxes_of(3, **columns)
    with pytest.warns(FormatLossWarning, match="renamed day to day_2; decimal numbers as text: price"):
        run(scene, frame.iloc[:2], output)
    with pytest.warns(
        FormatLossWarning, match="cannot hold all of the new rows as it is: renamed day to day_2; decimal numbers as text: price"
    ):
        run(scene, frame, output, append=True)
    back = read_boxes(output)
    assert plain(back["n"]) == [2**60 + 1, None, 3]
    assert plain(back["Day"]) == [date(2024, 5, 1)] * 3
    assert (back["price"].tolist(), back["day_2"].tolist()) == (["1.10"] * 3, ["x"] * 3)
    more = boxes_of(4, **{k: [*v, v[0]] for k, v in columns.items()}).set_index(pd.Index([10, 11, 12, 13]))
    with pytest.warns(FormatLossWarning):
        result = run(scene, more, output, append=True)
    assert plain(result["boxes_fid"]) == [None, None, None, 13]


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
@pytest.mark.parametrize(
    ("old", "new"),
    [([1, 2], ["x", "y"]), ([2**60 + 1, 1], [0.5, 1.5]), ([date(2024, 1, 1)] * 2, ["2024-01-01"] * 2), ([[1]] * 2, ["x"] * 2)],
)
def test_append_of_another_type_is_refused_before_any_work(
    write_raster: WriteRaster, tmp_path: Path, old: list[Any], new: list[Any]
) -> None:
    scene, output = write_raster(), tmp_path / "r.gpkg"
    run(scene, boxes_of(2, k=pd.Series(old, dtype=object)), output)
    held = output.read_bytes()
    with pytest.raises(OptionError, match=r"--append: k holds .* give it the same type"):
        run(scene, boxes_of(3, k=pd.Series([*new, None], dtype=object)), output, Untouched(), append=True)
    with pytest.raises(OptionError, match="see --crs"):
        segment_run(
            scene,
            boxes_of(3, k=pd.Series([*old, None], dtype=object)),
            SegmentOptions(crs="EPSG:4326"),
            output=output,
            segmenter=Untouched(),
            append=True,
        )  # type: ignore[arg-type]
    assert output.read_bytes() == held
    assert len(run(scene, boxes_of(3, k=pd.Series([None] * 3, dtype=object)), output, append=True)) == 3
    with pytest.warns(ColumnsWarning, match="no column k"):
        assert run(scene, boxes_of(4), output, append=True)["k"].isna().tolist() == [False, False, True, True]


def test_of_equal_boxes_the_held_one_is_told_by_its_id(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene, output = write_raster(), tmp_path / "r.gpkg"
    same = px_boxes([(5, 5, 20, 20)] * 2, NORTH_UP, UTM)
    same.to_file(tmp_path / "b.gpkg")
    segment_run(scene, tmp_path / "b.gpkg", SegmentOptions(where="fid = 2"), output=output, segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    assert run(scene, tmp_path / "b.gpkg", output, append=True)["boxes_fid"].tolist() == [2, 1]


def test_what_a_layer_says_of_a_column_stays(tmp_path: Path, write_raster: WriteRaster) -> None:
    path = tmp_path / "b.gpkg"
    boxes_of(2, name=["a", "b"]).to_file(path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """CREATE TABLE gpkg_data_columns (table_name TEXT, column_name TEXT, name TEXT, title TEXT, description TEXT, mime_type TEXT,
            constraint_name TEXT); INSERT INTO gpkg_data_columns VALUES ('b', 'name', 'The name', NULL, 'As painted', NULL,
            'names'); CREATE TABLE gpkg_data_column_constraints (constraint_name TEXT, constraint_type TEXT, value TEXT, min NUMERIC,
            min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT);
            INSERT INTO gpkg_data_column_constraints VALUES ('names', 'enum', 'a', NULL, NULL, NULL, NULL, 'an a');
            INSERT INTO gpkg_extensions VALUES ('gpkg_data_columns', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec121/#extension_schema',
            'read-write');"""
        )
    run(write_raster(), path, tmp_path / "r.gpkg")
    with closing(sqlite3.connect(tmp_path / "r.gpkg")) as database:
        told = database.execute(
            "SELECT table_name, column_name, name, description FROM gpkg_data_columns WHERE column_name = 'name'"
        ).fetchall()
        domain = database.execute(
            "SELECT value, c.description FROM gpkg_data_columns JOIN gpkg_data_column_constraints AS c USING (constraint_name)"
        ).fetchall()
    assert told == [("masks", "name", "The name", "As painted")]
    assert domain == [("a", "an a")]
    assert (
        pyogrio.read_arrow(tmp_path / "r.gpkg", layer="masks")[1].schema.field("name").metadata[b"GDAL:OGR:domain_name"] == b"names"
    )


def test_a_shapefile_that_does_not_tell_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "l.shp"
    pyogrio.write_dataframe(boxes_of(2, name=["é", "a"]), path, encoding="ISO-8859-1")
    path.with_suffix(".cpg").unlink()
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0
    path.with_suffix(".dbf").write_bytes(table)
    assert read_boxes(path)["name"].tolist() == ["é", "a"]


def test_geojson_is_read_as_it_stands(tmp_path: Path) -> None:
    values: dict[str, list[Any]] = {
        "id": [2**53 + 1, 0.5, None], "mixed": [1, "1", True], "day": ["2024-05-01", None, "2024-05-02"],
        "like_a_day": ["2024/05/01", None, "2024/05/02"], "time": ["2024-05-01T01:02:03.5Z", None, "x"], "huge": [2**70, 1, None],
    }  # fmt: skip
    features = [
        {
            "type": "Feature",
            "properties": {k: v[i] for k, v in values.items()},
            "geometry": shapely.geometry.mapping(shapely.box(i, 0, i + 1, 1)),
        }
        for i in range(3)
    ]
    (tmp_path / "g.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    read = read_boxes(tmp_path / "g.geojson")
    days = values.pop("day")
    assert plain(read["day"]) == [None if d is None else date.fromisoformat(d) for d in days]
    assert {k: plain(read[k]) for k in values} == values
    assert read.columns[-1] == "geometry"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pd.Series([2**63, None, 7], dtype="UInt64"), [str(2**63), None, "7"]),
        (pd.Series([1, {"a": [1, 10**19 - 1]}, "x"], dtype=object), [1, {"a": [1, str(10**19 - 1)]}, "x"]),
    ],
)
def test_numbers_that_gdal_does_not_read_from_json_are_text_there(tmp_path: Path, values: pd.Series, found: list[Any]) -> None:
    frame, path = table_of(k=values), tmp_path / "t.geojson"
    check_columns(frame, path)
    assert "numbers that are too large as text: k" in written(frame, path)
    assert len(gpd.read_file(path)) == 3
    assert [f["properties"]["k"] for f in json.loads(path.read_text(encoding="utf-8"))["features"]] == found


@pytest.mark.parametrize("suffix", FORMATS)
def test_decimals_that_are_no_numbers(tmp_path: Path, suffix: str) -> None:
    frame, path = table_of(k=pd.Series([Decimal("Infinity"), None, Decimal("1.5")], dtype=object)), tmp_path / f"t{suffix}"
    check_columns(frame, path)
    assert any(clause.endswith(": k") for clause in written(frame, path))
    assert read_back(path)["k"].tolist()[::2] == ["Infinity", "1.5"]
