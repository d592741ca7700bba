"""Layers of boxes: read from every format, refused with one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import CRS
from rosgeo.errors import BoxesError, GeometryWarning, InputFileNotFoundError, OptionError
from rosgeo.vector.layers.read import read_boxes
from shapely import Point

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

UTM33, WGS84 = CRS.from_epsg(32633), CRS.from_epsg(4326)


def layer_of(count: int = 5, crs: CRS | None = UTM33, **columns: Any) -> gpd.GeoDataFrame:
    geometry = [shapely.box(i, 10 * i, i + 4, 10 * i + 5) for i in range(count)]
    return gpd.GeoDataFrame({"kind": [f"k{i}" for i in range(count)], "n": np.arange(count), **columns}, geometry=geometry, crs=crs)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb", "parquet"])
def test_read_boxes(tmp_path: Path, suffix: str) -> None:
    frame, path = layer_of(), tmp_path / f"boxes.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        pyogrio.write_dataframe(frame, path, **({"SPATIAL_INDEX": "NO"} if suffix == "fgb" else {}))
    read = read_boxes(path)
    assert read["kind"].tolist() == frame["kind"].tolist()
    assert read["n"].tolist() == [0, 1, 2, 3, 4]
    assert read.index.tolist() == [0, 1, 2, 3, 4]
    assert shapely.equals(read.geometry.to_numpy(), frame.geometry.to_numpy()).all()
    assert read.crs == UTM33
    assert read_boxes(str(path)).equals(read)
    if suffix != "parquet":
        some = read_boxes(path, where="n >= 3")
        assert some["n"].tolist() == [3, 4]
        assert some.index.tolist() == [3, 4]  # rows of the layer


def test_read_boxes_of_a_frame_copies_it() -> None:
    frame = layer_of().set_index(pd.Index(list("abcde")))
    read = read_boxes(frame)
    assert read.equals(frame)
    read["n"] = -1
    assert frame["n"].tolist() == [0, 1, 2, 3, 4]
    for selection in ({"layer": "x"}, {"where": "n = 1"}):
        with pytest.raises(OptionError, match="select from a file"):
            read_boxes(frame, **selection)


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    for name, count in (("ships", 3), ("planes", 2)):
        pyogrio.write_dataframe(layer_of(count), path, layer=name)
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), path, layer="notes")
    assert len(read_boxes(path, layer="ships")) == 3
    assert len(read_boxes(path, layer="planes", where="n = 1")) == 1
    with pytest.raises(OptionError, match=r"2 layers \(ships, planes\).*--layer"):
        read_boxes(path)
    with pytest.raises(OptionError, match="no layer 'cars'; it has: ships, planes, notes"):
        read_boxes(path, layer="cars")
    with pytest.raises(BoxesError, match="without geometries"):
        read_boxes(path, layer="notes")
    with pytest.raises(BoxesError, match="holds no boxes where n > 99"):
        read_boxes(path, layer="ships", where="n > 99")


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
@pytest.mark.parametrize("where", ["nonsense ((", "no_such_column = 1"])
def test_a_condition_that_is_not_understood(tmp_path: Path, suffix: str, where: str) -> None:
    pyogrio.write_dataframe(layer_of(), tmp_path / f"boxes.{suffix}")
    with pytest.raises(OptionError, match=r"--where .* is not understood"):
        read_boxes(tmp_path / f"boxes.{suffix}", where=where)


def test_files_that_are_no_boxes(tmp_path: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match="no such file"):
        read_boxes(tmp_path / "none.gpkg")
    for suffix in ("gpkg", "geojson", "parquet", "txt"):
        path = tmp_path / f"text.{suffix}"
        path.write_text("This is no layer.")
        with pytest.raises(BoxesError, match=re.escape(path.name)):
            read_boxes(path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BoxesError, match="no layer with geometries"):
        read_boxes(tmp_path / "table.csv")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(BoxesError, match="not a GeoParquet"):
        read_boxes(tmp_path / "table.parquet")
    layer_of().to_parquet(tmp_path / "good.parquet")
    for selection in ({"layer": "x"}, {"where": "n = 1"}):
        with pytest.raises(OptionError, match="GeoParquet"):
            read_boxes(tmp_path / "good.parquet", **selection)
    pyogrio.write_dataframe(layer_of(0), tmp_path / "empty.gpkg", geometry_type="Polygon")
    with pytest.raises(BoxesError, match="holds no boxes"):
        read_boxes(tmp_path / "empty.gpkg")


@pytest.mark.parametrize("wrong", [Point(1, 2), shapely.LineString([(0, 0), (1, 1)]), shapely.GeometryCollection([Point(1, 2)])])
def test_points_and_lines_are_no_boxes(wrong: shapely.Geometry) -> None:
    with pytest.raises(BoxesError, match=rf"{wrong.geom_type} geometries \(2 of 3 rows, first in row 1\)"):
        read_boxes(gpd.GeoDataFrame(geometry=[None, wrong, wrong]))
    frame = gpd.GeoDataFrame({"n": [0, 1, 2]}, geometry=[None, shapely.box(0, 0, 1, 1), wrong])
    with pytest.warns(GeometryWarning, match=rf"1 of 3 rows are no polygons \(1 {wrong.geom_type}; first in row 2\)"):
        read = read_boxes(frame)
    assert read["n"].tolist() == [0, 1, 2]
    assert read.geometry.isna().tolist() == [True, False, True]


def test_polygons_are_taken_out_of_collections() -> None:
    box, line = shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (9, 9)])
    nested = shapely.GeometryCollection([shapely.GeometryCollection([box]), shapely.MultiPolygon([shapely.box(2, 2, 3, 3)]), line])
    read = read_boxes(gpd.GeoDataFrame(geometry=[shapely.GeometryCollection([box, line]), nested], crs=UTM33))
    assert read.geometry[0].equals(box)
    assert read.geometry[1].bounds == (0, 0, 3, 3)
    assert read.crs == UTM33


def test_a_frame_without_geometries() -> None:
    with pytest.raises(BoxesError, match="geometr"):
        read_boxes(gpd.GeoDataFrame({"a": [1]}))
