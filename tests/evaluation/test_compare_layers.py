"""Layers of outlines compared: what counts as an outline, where, and what is written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from rosgeo.errors import BoxesError, ComparisonWarning, CRSMismatchError, OptionError, OutputError, PixelFrameWarning
from rosgeo.evaluation import OutlineLayer, compare_layers
from rosgeo.evaluation.tally import Tally
from shapely import MultiPolygon, Polygon, affinity, box

UTM = "EPSG:32633"
EAST, NORTH = 500_000.0, 4_000_000.0


def layer(*shapes: Any, crs: str | None = UTM, **columns: Any) -> gpd.GeoDataFrame:
    """Shapes in metres from a corner in UTM; None stays."""
    moved = [None if shape is None else affinity.translate(shape, EAST, NORTH) if crs else shape for shape in shapes]
    return (
        gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(moved, crs=UTM if crs else None)).to_crs(crs)
        if crs
        else gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(moved))
    )


def square(x: float, y: float = 0.0, side: float = 10.0) -> Polygon:
    return box(x, y, x + side, y + side)


def counts(tally: Tally) -> tuple[int, int, int]:
    return tally.right, tally.missed, tally.made_up


BOW_TIE = Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def test_right_missed_made_up_and_what_is_no_outline() -> None:
    result = layer(
        square(0), square(20.0), square(60), None, Polygon(), square(80), square(100),
        rosgeo_status=["ok", "corrected", None, "empty", "ok", "rejected", "ok"], rosgeo_score=[0.9, np.nan, 0.3, np.nan, 0.1, 0.9, 0.5],
    )  # fmt: skip
    truth = layer(square(1), square(20), square(40), square(80), None)
    found = compare_layers(result, truth)
    assert counts(found.comparison.tallies[0]) == (2, 2, 2)
    assert found.result.left_out == {"with another rosgeo_status than ok or corrected": 2, "without a geometry": 1}
    assert found.truth.left_out == {"without a geometry": 1}
    assert found.comparison.result.rows.tolist() == [0, 1, 2, 6]
    assert found.comparison.iou[:2] == pytest.approx([90 / 110, 1])
    figures = found.figures()
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.5, 0.5, 0.5)
    assert figures["matched_by"] == "score"
    assert figures["average_precision"] is None  # one outline has no score
    assert [row["right"] for row in figures["sweep"]] == [2] * 7 + [1] * 3


def test_parts_are_one_outline_and_crossing_rings_are_made_valid() -> None:
    two = MultiPolygon([square(0), square(20)])
    found = compare_layers(
        layer(two, affinity.translate(BOW_TIE, 40, 0)), layer(square(0), square(20), affinity.translate(BOW_TIE, 40, 0))
    )
    assert counts(found.comparison.tallies[0]) == (2, 1, 0)  # half of it at an IoU of 0.5 each: one of them only
    assert (found.result.repaired, found.truth.repaired) == (1, 1)
    assert compare_layers(layer(two), layer(two)).comparison.iou.tolist() == [1.0]
    flat = Polygon([(0, 0), (1, 1), (2, 2)])
    assert compare_layers(layer(flat, square(0)), layer(square(0))).result.left_out == {"without an area": 1}


def test_one_true_outline_is_matched_once() -> None:
    found = compare_layers(layer(square(0), square(0.5), score=[0.2, 0.9]), layer(square(0)), score_column="score")
    assert found.comparison.truth_of.tolist() == [-1, 0]
    assert counts(found.comparison.tallies[0]) == (1, 0, 1)
    assert found.comparison.result_best.iou.tolist()[0] == 1.0


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32634"])
def test_crs_differ_freely(crs: str) -> None:
    shapes = [square(0), square(30.0, 5.0), square(60, side=4)]
    moved = [affinity.translate(s, 0.5, 0) for s in shapes]
    plain = compare_layers(layer(*moved), layer(*shapes), boundary_width=1).comparison
    for one, other in ((crs, UTM), (UTM, crs), (crs, crs)):
        found = compare_layers(layer(*moved, crs=one), layer(*shapes, crs=other), boundary_width=1)
        assert found.crs == (other if other == UTM or crs != "EPSG:4326" or one == crs else UTM)
        assert found.comparison.iou == pytest.approx(plain.iou, abs=1e-3)
        # In metres on the ground, whatever a unit of the CRS is.
        assert found.comparison.boundary_iou == pytest.approx(plain.boundary_iou, abs=3e-3)
    default = compare_layers(layer(*moved, crs=crs), layer(*shapes, crs=crs)).comparison.width
    assert default == pytest.approx(1.0, rel=0.02)


def test_a_layer_without_crs() -> None:
    bare, placed = layer(square(0)).set_crs(None, allow_override=True), layer(square(0))
    with pytest.raises(CRSMismatchError, match="pass --result-crs"):
        compare_layers(bare, placed)
    assert compare_layers(OutlineLayer(bare, crs=UTM), placed).comparison.iou.tolist() == [1.0]
    with pytest.raises(OptionError, match="--truth-crs says EPSG:3857"):
        compare_layers(placed, OutlineLayer(placed, crs="EPSG:3857"))
    with pytest.raises(CRSMismatchError, match="have none"):
        compare_layers(bare, bare, area=placed)


def test_pixels_either_way_up() -> None:
    down, up = layer(square(5, 5), crs=None), layer(affinity.scale(square(5, 5), 1, -1, origin=(0, 0)), crs=None)
    assert compare_layers(down, down).comparison.iou.tolist() == [1.0]
    for one, other in ((up, down), (down, up)):
        with pytest.warns(PixelFrameWarning, match="turned over"):
            assert compare_layers(one, other).comparison.iou.tolist() == [1.0]


def test_classes() -> None:
    result = layer(square(0), square(20), square(40), square(60), kind=["car", "ship ", None, "3"])
    truth = layer(square(0), square(20), square(40), square(60), name=["car", "car", None, "3"])
    found = compare_layers(OutlineLayer(result, class_column="kind"), OutlineLayer(truth, class_column="name"))
    by_class = {t.name: counts(t) for t in found.comparison.tallies}
    assert by_class == {"all": (3, 1, 1), "(none)": (1, 0, 0), "3": (1, 0, 0), "car": (1, 1, 0), "ship": (0, 0, 1)}
    assert found.figures()["missed_that_have_another_class"] == 1
    numbers = layer(square(0), square(20), kind=[3, np.nan])
    named = layer(square(0), square(20), kind=["3", None])
    assert counts(compare_layers(numbers, named, class_column="kind").comparison.tallies[0]) == (2, 0, 0)
    with pytest.warns(ComparisonWarning, match=r"no class in common \(3; car\)"):
        compare_layers(numbers.iloc[:1], result.iloc[:1], class_column="kind")
    with pytest.raises(OptionError, match=r"--class-column 'kind': .*has: name"):
        compare_layers(result, truth, class_column="kind")
    with pytest.raises(OptionError, match="holds no numbers"):
        compare_layers(result, truth, score_column="kind")


def test_layers_that_do_not_meet_and_empty_ones() -> None:
    with pytest.warns(ComparisonWarning, match="do not meet"):
        assert counts(compare_layers(layer(square(0)), layer(square(500))).comparison.tallies[0]) == (0, 1, 1)
    nothing = layer(square(0)).iloc[:0]
    found = compare_layers(nothing, layer(square(0), square(20)))
    assert counts(found.comparison.tallies[0]) == (0, 2, 0)
    assert (found.figures()["precision"], found.figures()["recall"], found.figures()["f1"]) == (None, 0.0, 0.0)
    other = compare_layers(layer(square(0), rosgeo_score=[0.5]), nothing)
    assert counts(other.comparison.tallies[0]) == (0, 0, 1)
    assert (other.figures()["recall"], other.figures()["boundary_width"]) == (None, None)
    assert compare_layers(nothing, nothing).figures()["f1"] is None


def test_frames_of_a_clip_are_compared_each_with_its_own() -> None:
    result = layer(square(0), square(0), square(30), frame=[1, 2, 2], rosgeo_temporal_iou=[np.nan] * 3)
    truth = layer(square(0), square(0), square(30), frame=[1.0, 3.0, 1.0])
    found = compare_layers(result, truth)
    assert (found.by, counts(found.comparison.tallies[0])) == ("frame", (1, 2, 2))
    assert np.isnan(found.comparison.iou[1])
    assert found.comparison.result_best.place.tolist() == [-1, -1, -1]
    with pytest.warns(ComparisonWarning, match="has no column 'frame'"):
        assert compare_layers(result, truth.drop(columns="frame")).by is None
    assert counts(compare_layers(layer(square(0), seq=["a"]), layer(square(0), seq=["b"]), by="seq").comparison.tallies[0]) == (
        0,
        1,
        1,
    )


def test_an_area_bounds_the_comparison() -> None:
    area = layer(box(-5, -5, 35, 35), crs="EPSG:4326")
    result = layer(square(0), square(31), square(33), square(100), square(20, 20))
    truth = layer(square(0), square(26), square(34), square(200))
    found = compare_layers(result, truth, area=area)
    # At the edge: 4 and 2 of 10 m are inside, of the truth 9 and 1. The pair with the first is counted by the truth.
    assert counts(found.comparison.tallies[0]) == (1, 1, 1)
    ours, theirs = found.comparison.kinds()
    assert ours.tolist() == ["right", "not counted", "not counted", "made up"]
    assert theirs.tolist() == ["right", "missed", "not counted"]
    assert found.result.left_out == {"outside of the area": 1}
    assert (found.result.outlines, found.truth.outlines) == (4, 3)
    # What lies beyond the area does not count, and its edge is no boundary.
    cut = compare_layers(layer(box(0, 0, 60, 10)), layer(box(0, 0, 40, 10)), area=layer(box(-5, -5, 25, 35)), boundary_width=1)
    assert (cut.comparison.iou.tolist(), cut.comparison.kinds()[0].tolist()) == ([1.0], ["right"])
    assert cut.comparison.boundary_iou == pytest.approx([1.0])
    with pytest.raises(OptionError, match="holds no polygon"):
        compare_layers(result, truth, area=area.iloc[:0])


def test_what_is_written(tmp_path: Path) -> None:
    result = layer(square(0), square(20), square(60), kind=["a", "a", "b"], rosgeo_score=[0.9, 0.8, 0.7])
    truth = layer(square(1), MultiPolygon([square(20), square(40, side=1)]), square(60.5), square(90), kind=["a", "a", "a", "b"])
    path = tmp_path / "pairs.gpkg"
    found = compare_layers(result, truth, class_column="kind", output=path)
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["pairs", "truth", "figures", "layer_styles"]
    pairs = gpd.read_file(path, layer="pairs")
    assert pairs["kind"].tolist() == ["right", "right", "made up", "missed", "missed"]
    rows = pairs[["result_row", "truth_row"]].fillna(-1).astype(int)
    assert rows.to_numpy().tolist() == [[0, 0], [1, 1], [2, -1], [-1, 2], [-1, 3]]
    # The right outline under the wrong class is named on both sides.
    assert pairs["best_class"].fillna("").tolist() == ["", "", "a", "b", ""]
    assert pairs["best_row"].isna().tolist() == [True, True, False, False, True]
    assert pairs["best_iou"].round(3).tolist()[2:] == [round(95 / 105, 3), round(95 / 105, 3), 0.0]
    assert pairs.geometry.iloc[0].equals(MultiPolygon([affinity.translate(square(0), EAST, NORTH)]))
    assert pairs.geometry.iloc[4].equals(MultiPolygon([affinity.translate(square(90), EAST, NORTH)]))
    second = gpd.read_file(path, layer="truth")
    assert second["truth_row"].tolist() == [0, 1]
    assert second.crs == UTM
    figures = pyogrio.read_dataframe(path, layer="figures", read_geometry=False)
    assert figures["of"].tolist() == ["all", "class a", "class b"] + ["all"] * 10
    assert figures["right"].tolist()[:3] == [2, 2, 0]
    kept = json.loads(pyogrio.read_info(path, layer="pairs")["layer_metadata"]["rosgeo_compare"])
    assert kept == json.loads(json.dumps(found.figures()))


def test_outputs_are_checked_first_and_nothing_is_half_written(tmp_path: Path) -> None:
    path, truth = tmp_path / "pairs.gpkg", tmp_path / "truth.gpkg"
    layer(square(0)).to_file(truth)
    before = truth.read_bytes()
    with pytest.raises(OutputError, match="is an input"):
        compare_layers(layer(square(0)), truth, output=truth, overwrite=True)
    with pytest.raises(OutputError, match=r"ends in \.gpkg"):
        compare_layers(layer(square(0)), truth, output=tmp_path / "pairs.shp")
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        compare_layers(layer(square(0)), truth, output=path)
    with pytest.raises(OptionError, match="expected a number above 0 and up to 1"):
        compare_layers(layer(square(0)), truth, output=path, overwrite=True, iou=0)
    with pytest.raises(OptionError, match="boundary width -1"):
        compare_layers(layer(square(0)), truth, output=path, overwrite=True, boundary_width=-1)
    with pytest.raises(BoxesError, match="holds Point geometries"):
        compare_layers(layer(shapely.Point(0, 0)), truth, output=path, overwrite=True)
    assert path.read_bytes() == b"old"
    compare_layers(truth, layer(square(0)), output=path, overwrite=True)
    assert path.read_bytes()[:6] == b"SQLite"
    assert truth.read_bytes() == before
    # No pair at all is a file as well.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_layers(layer(square(0)).iloc[:0], layer(square(0)).iloc[:0], output=path, overwrite=True)
    assert len(gpd.read_file(path, layer="pairs")) == 0


def test_a_result_of_rosgeo_is_read_without_naming_its_layer(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    layer(square(0)).to_file(path, layer="a")
    layer(square(0)).to_file(path, layer="b")
    with pytest.raises(OptionError, match="choose one with --truth-layer"):
        compare_layers(layer(square(0)), path)
    with pytest.raises(OptionError, match="--result-where 'x = 1' is not understood"):
        compare_layers(OutlineLayer(path, "a", where="x = 1"), path)
    assert compare_layers(OutlineLayer(path, "a"), OutlineLayer(path, "b")).truth.name.endswith('(layer "b")')
