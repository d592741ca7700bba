"""A homography as a change of frame, and the files that tell one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rosgeo.clips.georef import read_georef
from rosgeo.errors import CRSMismatchError, InputFileNotFoundError, RasterError
from rosgeo.geometry.mapping import AffineMapping, HomographyMapping, homography_from_points
from rosgeo.types import PixelMapping

from tests.conftest import NORTH_UP, WriteRaster

SHAPE = (480, 640)
unit = st.floats(-1, 1, allow_nan=False)


def camera(tilt: float, turn: float, perspective: tuple[float, float], metres: float = 0.5) -> np.ndarray:
    """A view of flat ground in UTM coordinates: turned, sheared, and with a vanishing line outside of the frame."""
    a = metres * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn) + 0.3 * tilt, np.cos(turn)]]) @ np.diag([1, -1])
    matrix = np.eye(3)
    matrix[:2, :2] = a
    matrix[:2, 2] = (12.5, -30.25)
    matrix[2, :2] = np.array(perspective) * 0.9 / np.array([2 * SHAPE[1], 2 * SHAPE[0]])
    shift = np.eye(3)
    shift[:2, 2] = (431_250.5, 5_411_871.25)
    return shift @ matrix


def points_of(seed: int, count: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).uniform((0, 0), SHAPE[::-1], (count, 2))


@given(tilt=unit, turn=st.floats(-3.1, 3.1), p=st.tuples(unit, unit), scale=st.floats(-5, 5), seed=st.integers(0, 99))
def test_there_and_back(tilt: float, turn: float, p: tuple[float, float], scale: float, seed: int) -> None:
    matrix = camera(tilt, turn, p)
    assume(abs(np.linalg.det(matrix[:2, :2])) > 0.02 and abs(scale) > 0.01)
    mapping = HomographyMapping(matrix * scale)
    points = points_of(seed)
    assert mapping.sees_ground(SHAPE)
    there = mapping.to_map(points)
    np.testing.assert_allclose(mapping.to_px(there), points, atol=1e-5)
    # By the definition, in homogeneous coordinates.
    homogeneous = np.c_[points, np.ones(len(points))] @ matrix.T
    np.testing.assert_allclose(there, homogeneous[:, :2] / homogeneous[:, 2:], atol=1e-5)


@given(tilt=unit, turn=st.floats(-3.1, 3.1), p=st.tuples(unit, unit), seed=st.integers(0, 99))
def test_points_tell_it(tilt: float, turn: float, p: tuple[float, float], seed: int) -> None:
    matrix = camera(tilt, turn, p)
    assume(abs(np.linalg.det(matrix[:2, :2])) > 0.02)
    true = HomographyMapping(matrix)
    corners = np.array([[0, 0], [640, 0], [640, 480], [0, 480]], dtype=float)
    found = homography_from_points(corners, true.to_map(corners))
    points = points_of(seed)
    np.testing.assert_allclose(found.to_map(points), true.to_map(points), atol=1e-4)


@given(tilt=unit, turn=st.floats(-3.1, 3.1), p=st.tuples(unit, unit), a=st.tuples(unit, unit), b=st.tuples(unit, unit))
def test_straight_lines_stay_straight(
    tilt: float, turn: float, p: tuple[float, float], a: tuple[float, float], b: tuple[float, float]
) -> None:
    mapping = HomographyMapping(camera(tilt, turn, p))
    assume(abs(np.linalg.det(mapping.matrix[:2, :2])) > 0.02)
    ends = (np.array([a, b]) + 1) / 2 * SHAPE[::-1]
    first, middle, last = mapping.to_map(np.array([ends[0], ends.mean(axis=0), ends[1]]))
    (ux, uy), (vx, vy) = middle - first, last - first
    assert ux * vy - uy * vx == pytest.approx(0, abs=1e-3)
    assert mapping.is_affine


@given(seed=st.integers(0, 99))
def test_an_affine_homography_is_the_affine_mapping(seed: int) -> None:
    mapping: PixelMapping = HomographyMapping(np.array(NORTH_UP).reshape(3, 3))
    points = points_of(seed)
    np.testing.assert_allclose(mapping.to_map(points), AffineMapping(NORTH_UP).to_map(points), rtol=1e-15)


def test_no_points() -> None:
    mapping = HomographyMapping(camera(0.1, 0.2, (0.3, 0.4)))
    assert mapping.to_map(np.zeros((0, 2))).shape == mapping.to_px(np.zeros((0, 2))).shape == (0, 2)


def test_above_the_horizon_there_is_no_ground() -> None:
    matrix = np.array([[1, 0, 0], [0, -1, 0], [0, -1 / 100, 1]], dtype=float)
    mapping = HomographyMapping(matrix)
    on_map = mapping.to_map(np.array([[5, 99.0], [5, 100.0], [5, 101.0]]))
    assert np.isfinite(on_map).all(axis=1).tolist() == [True, False, False]
    assert mapping.sees_ground((99, 10))
    assert not mapping.sees_ground((101, 10))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((3, 3)), "infinity"),
        (np.eye(2), "3 x 3"),
        (np.full((3, 3), np.nan), "finite"),
        (np.ones((3, 3)), "no inverse"),
        (np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0.0]]), "infinity"),
    ],
)
def test_what_is_no_homography(matrix: np.ndarray, words: str) -> None:
    with pytest.raises(RasterError, match=words):
        HomographyMapping(matrix)


def test_points_that_fix_none() -> None:
    line = np.array([[0, 0], [1, 1], [2, 2], [3, 0]], dtype=float)
    with pytest.raises(RasterError, match="no three lie on one line"):
        homography_from_points(line, line)
    with pytest.raises(RasterError, match="at least 4"):
        homography_from_points(line[:3], line[:3])


# ---------------------------------------------------------------- files


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_json_file(tmp_path: Path) -> None:
    matrix = camera(0.1, 0.5, (0.2, 0.7))
    path = write(tmp_path / "h.json", json.dumps({"homography": matrix.tolist(), "crs": "EPSG:32633"}))
    georef = read_georef(path)
    assert georef.crs.to_epsg() == 32633
    np.testing.assert_allclose(georef.mapping.to_map(points_of(1)), HomographyMapping(matrix).to_map(points_of(1)), rtol=1e-14)


HEADER = "mapX,mapY,sourceX,sourceY,enable,dX,dY,residual\n"


def gcps_text(mapping: PixelMapping, points: np.ndarray, crs: str = "#CRS: EPSG:32633\n", header: str = HEADER) -> str:
    rows = np.c_[mapping.to_map(points), points * (1, -1)]
    lines = [",".join(repr(float(v)) for v in row) + ",1,0,0,0" for row in rows]
    # A point that is switched off in QGIS does not count.
    return crs + header + "\n".join([*lines, "0,0,10,-10,0,0,0,0"]) + "\n"


@pytest.mark.parametrize("old", [False, True])
def test_gcps_of_qgis(tmp_path: Path, old: bool) -> None:
    """In pixels with y upwards, as QGIS writes them for a picture without georeferencing; older versions name the columns pixelX."""
    mapping = HomographyMapping(camera(0.1, 0.5, (0.2, 0.7)))
    corners = np.array([[0, 0], [640, 0], [640, 480], [0, 480], [300, 200]], dtype=float)
    header = HEADER.replace("source", "pixel") if old else HEADER
    georef = read_georef(write(tmp_path / "frame.points", gcps_text(mapping, corners, header=header)))
    assert georef.crs.to_epsg() == 32633
    np.testing.assert_allclose(georef.mapping.to_map(points_of(1)), mapping.to_map(points_of(1)), atol=1e-3)


def test_three_gcps_are_an_affine_transform(tmp_path: Path) -> None:
    points = np.array([[0, 0], [640, 0], [640, 480]], dtype=float)
    georef = read_georef(write(tmp_path / "frame.points", gcps_text(AffineMapping(NORTH_UP), points)))
    assert isinstance(georef.mapping, AffineMapping)
    np.testing.assert_allclose(georef.mapping.transform, NORTH_UP, atol=1e-6)


def test_a_raster(write_raster: WriteRaster) -> None:
    georef = read_georef(write_raster())
    assert (georef.shape, georef.crs.to_epsg()) == ((120, 160), 32633)
    np.testing.assert_allclose(georef.mapping.to_map(np.array([[2, 2]])), [[500_001, 3_999_999]])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("h.json", "{", "not JSON"),
        ("h.json", "[]", "homography"),
        ("h.json", '{"homography": [[1, 2], [3, 4]], "crs": "EPSG:32633"}', "3 x 3"),
        ("h.json", '{"homography": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}', '"crs"'),
        ("h.json", '{"homography": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "crs": "EPSG:1"}', "EPSG:1"),
        ("h.json", '{"homographie": 1, "crs": "EPSG:32633"}', '"homographie"'),
        ("g.points", "#CRS: EPSG:32633\na,b\n1,2\n", "mapX"),
        ("g.points", "#CRS: EPSG:32633\n" + HEADER + "1,2,x,4,1,0,0,0\n", "line 3"),
        ("g.points", "#CRS: EPSG:32633\n" + HEADER + "1,2,3,4,1,0,0,0\n", "at least 3"),
        ("g.points", HEADER + "1,2,3,4,1,0,0,0\n", "#CRS"),
    ],
)
def test_files_that_tell_none(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises((RasterError, CRSMismatchError)) as caught:
        read_georef(write(tmp_path / name, text))
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputFileNotFoundError, match=r"h\.json"):
        read_georef(tmp_path / "h.json")


def test_a_raster_without_georeferencing(write_raster: WriteRaster) -> None:
    with pytest.raises(CRSMismatchError, match="bare has no CRS"):
        read_georef(write_raster("bare", crs=None, transform=None))
