"""What time tells of tracked boxes and outlines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rosgeo.errors import OptionError
from rosgeo.video.temporal import flag_outliers, interpolate_boxes, temporal_iou
from shapely.affinity import scale, translate

BOX = ["x_min", "y_min", "x_max", "y_max"]


def table(rows: list[tuple[int, object, tuple[float, ...]]], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"frame": [r[0] for r in rows], "track_id": [r[1] for r in rows], **columns})
    frame[BOX] = np.array([r[2] for r in rows], dtype=float)
    return frame


HIDDEN = (np.nan,) * 4


def test_a_row_without_box_is_filled_between_two_labelled_ones() -> None:
    rows = [(1, "a", (0, 0, 10, 10)), (2, "a", HIDDEN), (3, "a", (4, 2, 18, 12)), (4, "a", HIDDEN)]
    result = interpolate_boxes(table(rows), 5)
    assert result.rosgeo_interpolated.tolist() == [False, True, False, False]
    assert result[BOX].iloc[1].tolist() == [2, 1, 14, 11]
    assert result[BOX].iloc[3].isna().all()  # nothing after it to go by


def test_rows_are_added_for_frames_that_there_are() -> None:
    rows = [(1, 7, (0, 0, 10, 10)), (5, 7, (8, 0, 18, 10)), (1, 9, (0, 0, 1, 1))]
    given = table(rows, category=["car", "car", "ship"], score=[0.5, 0.7, 0.1], visible=[1, 0, 1], kind=[3, 3, 4])
    result = interpolate_boxes(given, 3, frames=[1, 2, 3, 5])
    assert result.frame.tolist() == [1, 5, 1, 2, 3]
    assert result.track_id.tolist() == [7, 7, 9, 7, 7]
    assert result.iloc[3][BOX].tolist() == [2, 0, 12, 10]
    assert result.iloc[4][BOX].tolist() == [4, 0, 14, 10]
    assert result.rosgeo_interpolated.tolist() == [False, False, False, True, True]
    assert result.category.tolist() == ["car", "car", "ship", "car", "car"]
    # What its track does not agree on, an added row does not know.
    assert result.score.isna().tolist() == [False, False, False, True, True]
    assert result.visible.isna().tolist() == [False, False, False, True, True]
    assert result.kind.tolist() == [3, 3, 4, 3, 3]
    pd.testing.assert_frame_equal(result.iloc[:3][["frame", "track_id", *BOX]], given[["frame", "track_id", *BOX]])


def test_long_gaps_are_left() -> None:
    rows = [(1, 1, (0, 0, 10, 10)), (5, 1, (8, 0, 18, 10)), (6, 1, (0, 0, 1, 1))]
    assert len(interpolate_boxes(table(rows), 2)) == 3
    assert len(interpolate_boxes(table(rows), 3)) == 6
    with pytest.raises(OptionError, match="at least 1"):
        interpolate_boxes(table(rows), 0)


def test_no_rows() -> None:
    empty = table([(1, 1, HIDDEN)]).iloc[:0]
    result = interpolate_boxes(empty, 3)
    assert len(result) == 0
    assert "rosgeo_interpolated" in result.columns


coordinate = st.floats(-1000, 1000, allow_nan=False)
size = st.floats(1, 200)


@settings(max_examples=40)
@given(
    ends=st.tuples(coordinate, coordinate, size, size, coordinate, coordinate, size, size),
    steps=st.integers(2, 20),
    missing=st.booleans(),
)
def test_what_moves_evenly_is_met(ends: tuple[float, ...], steps: int, missing: bool) -> None:
    """An object whose centre and size change by the same amount each frame is found where it is, whether its rows are there or not."""
    x0, y0, w0, h0, x1, y1, w1, h1 = ends
    share = np.linspace(0, 1, steps + 1)[:, None]
    centre_size = (1 - share) * [x0, y0, w0, h0] + share * [x1, y1, w1, h1]
    true = np.concatenate([centre_size[:, :2] - centre_size[:, 2:] / 2, centre_size[:, :2] + centre_size[:, 2:] / 2], axis=1)
    numbers = [0, *range(1, steps), steps]
    rows = [(n, 1, tuple(true[n]) if n in (0, steps) else HIDDEN) for n in numbers if not missing or n in (0, steps)]
    result = interpolate_boxes(table(rows), steps).sort_values("frame")
    assert result.frame.tolist() == numbers
    np.testing.assert_allclose(result[BOX], true, atol=1e-6)


# ---------------------------------------------------------------- IoU with neighbours

PLANE = shapely.Polygon([(0, 4), (4, 4), (5, 0), (6, 4), (10, 4), (10, 6), (6, 6), (5, 10), (4, 6), (0, 6)])


def moving(count: int, factor: float = 1.0) -> tuple[list[shapely.Geometry], np.ndarray]:
    shapes = [translate(scale(PLANE, f, f, origin=(0, 0)), 3.5 * i, -2 * i) for i in range(count) for f in [factor**i]]
    return shapes, np.array([s.bounds for s in shapes])


@settings(max_examples=20)
@given(count=st.integers(2, 12), factor=st.floats(0.8, 1.25))
def test_the_same_shape_fits_itself_wherever_it_goes(count: int, factor: float) -> None:
    shapes, boxes = moving(count, factor)
    np.testing.assert_allclose(temporal_iou(shapes, boxes, [1] * count, range(count)), 1, atol=1e-6)


def test_an_outlier_is_flagged_and_its_neighbours_are_not() -> None:
    shapes, boxes = moving(10)
    outlines: list[object] = list(shapes)
    outlines[4] = shapely.box(*boxes[4])  # the whole box for the plane in it
    iou = temporal_iou(outlines, boxes, ["a"] * 10, range(10))
    assert iou[4] == pytest.approx(PLANE.area / 100)
    np.testing.assert_allclose(np.delete(iou, 4), 1)
    assert flag_outliers(iou, ["a"] * 10).tolist() == [i == 4 for i in range(10)]


def test_order_of_rows_tracks_and_rows_without_outline() -> None:
    shapes, boxes = moving(6)
    squares = [shapely.box(*box) for box in boxes]
    outlines = np.array([*shapes, *squares, None, PLANE], dtype=object)
    every = np.concatenate([boxes, boxes, boxes[:1], boxes[:1]])
    tracks, frames = [1] * 6 + [2] * 6 + [1, 3], [*range(6), *range(6), 3, 0]
    order = np.random.default_rng(0).permutation(len(outlines))
    iou = temporal_iou(outlines[order], every[order], [tracks[i] for i in order], [frames[i] for i in order])
    back = iou[np.argsort(order)]
    np.testing.assert_allclose(back[:12], 1)
    # No outline, and a track of one.
    assert np.isnan(back[12:]).all()
    assert not flag_outliers(iou, [tracks[i] for i in order]).any()


def test_a_shaky_track_is_measured_by_itself() -> None:
    rng = np.random.default_rng(0)
    steady, shaky = 0.97 + 0.01 * rng.standard_normal(30), 0.75 + 0.05 * rng.standard_normal(30)
    steady[7] = shaky[7] = 0.7
    flagged = flag_outliers(np.concatenate([steady, shaky]), [1] * 30 + [2] * 30)
    assert np.flatnonzero(flagged).tolist() == [7]


def test_short_tracks_have_the_fixed_limit_alone() -> None:
    assert flag_outliers(np.array([0.9, 0.9, 0.55]), [1, 1, 1]).tolist() == [False, False, False]
    assert flag_outliers(np.array([0.9, 0.9, 0.45]), [1, 1, 1]).tolist() == [False, False, True]
    assert flag_outliers(np.zeros(0), []).tolist() == []


def test_nothing_to_compare() -> None:
    assert temporal_iou([], np.zeros((0, 4)), [], []).shape == (0,)
