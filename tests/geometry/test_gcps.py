"""Ground control points: which mapping they give, how well it meets them, and that it has an inverse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.transform import GCPTransformer
from rosgeo.errors import RasterError
from rosgeo.geometry.gcps import fit_points
from rosgeo.geometry.lattice import LatticeMapping, lattice_mapping
from rosgeo.geometry.mapping import AffineMapping, QuadraticMapping
from rosgeo.types import FloatArray

SHAPE = (300, 400)
UTM33 = CRS.from_epsg(32633)


def ridges(px: FloatArray, height: float) -> FloatArray:
    """Map points of pixels that ridges shift along the rows, as terrain does in a radar picture."""
    x, y = px.T
    return np.stack([500_000 + 0.5 * (x + height * np.sin(x / 40) * np.cos(y / 50)), 4_000_000 - 0.5 * y + 0.1 * x], axis=1)


def points(side: int = 13) -> FloatArray:
    x, y = np.meshgrid(np.linspace(0, SHAPE[1], side), np.linspace(0, SHAPE[0], side))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def test_points_that_no_polynomial_meets_are_followed() -> None:
    px = points()
    mapping, fit = fit_points(px, ridges(px, 8), SHAPE, UTM33)
    assert isinstance(mapping, LatticeMapping)
    assert fit.kind == "thin plate spline"
    assert fit.points == 169
    assert fit.max_px < 0.05
    assert fit.max_m < 0.03
    assert fit.polynomial_max_px > 5
    assert not mapping.is_affine
    assert "thin plate spline, missed by 0.0 px (" in fit.text()
    np.testing.assert_allclose(mapping.to_px(ridges(px, 8)), px, rtol=0, atol=0.05)


def test_gdalwarp_takes_nearly_the_same_spline() -> None:
    px = points()
    target = ridges(px, 8)
    mapping, _ = fit_points(px, target, SHAPE)
    gcps = [GroundControlPoint(row=r, col=c, x=x, y=y) for (c, r), (x, y) in zip(px.tolist(), target.tolist(), strict=True)]
    inside = np.random.default_rng(0).uniform((0, 0), SHAPE[::-1], (500, 2))
    with GCPTransformer(gcps, tps=True) as theirs:
        x, y = theirs.xy(inside[:, 1], inside[:, 0], offset="ul")
    # Metres, of half a metre a pixel; the points themselves are met by both.
    off = np.abs(mapping.to_map(inside) - np.stack([x, y], axis=1))
    assert off.max() < 0.1
    assert off.mean() < 0.01


@settings(max_examples=25)
@given(st.floats(2, 12), st.integers(0, 2**32 - 1))
def test_a_spline_has_an_inverse(height: float, seed: int) -> None:
    px = points()
    rng = np.random.default_rng(seed)
    mapping, _ = fit_points(px, ridges(px, height) + rng.normal(0, 0.2, px.shape), SHAPE)
    anywhere = rng.uniform((-100, -100), (500, 400), (200, 2))
    np.testing.assert_allclose(mapping.to_px(mapping.to_map(anywhere)), anywhere, rtol=0, atol=1e-6)
    far = rng.uniform(-1e5, 1e5, (50, 2))
    np.testing.assert_allclose(mapping.to_px(mapping.to_map(far)), far, rtol=0, atol=1e-4)
    again = pickle.loads(pickle.dumps(mapping))
    np.testing.assert_array_equal(again.to_px(ridges(anywhere, height)), mapping.to_px(ridges(anywhere, height)))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1), st.integers(1, 900), st.integers(1, 900))
def test_any_smooth_shift_has_an_inverse(seed: int, strength: float, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    longer = max(height, width, 8)
    waves, phases = rng.uniform(-6, 6, (2, 2, 2)), rng.uniform(0, 6, (2, 2))

    def shift(px: FloatArray) -> FloatArray:
        # Its slope stays below a half.
        return (
            strength
            * longer
            / 50
            * np.stack([np.sin(px / longer @ w + p).sum(axis=1) for w, p in zip(waves, phases, strict=True)], 1)
        )

    affine = AffineMapping(Affine(0.3, 0.1, 5e5, 0.05, -0.4, 4e6))
    mapping = lattice_mapping(shift, affine, (height, width))
    inside = rng.uniform((0, 0), (width, height), (100, 2))
    np.testing.assert_allclose(mapping.to_map(inside), affine.to_map(inside + shift(inside)), rtol=0, atol=0.03)
    np.testing.assert_allclose(mapping.to_px(mapping.to_map(inside)), inside, rtol=0, atol=1e-6)
    assert not mapping.folds((height, width))


def test_nothing_in_gives_nothing() -> None:
    mapping, _ = fit_points(points(), ridges(points(), 8), SHAPE)
    assert mapping.to_px(np.empty((0, 2))).shape == mapping.to_map(np.empty((0, 2))).shape == (0, 2)
    assert np.isnan(mapping.to_px(np.array([[np.nan, 4e6]]))).all()


def test_ground_that_folds_keeps_its_polynomial_and_says_so() -> None:
    px = points()
    target = ridges(px, 8)
    swapped = target.copy()
    swapped[[40, 45]] = target[[45, 40]]
    mapping, fit = fit_points(px, swapped, SHAPE, UTM33)
    assert isinstance(mapping, QuadraticMapping)
    said = fit.warning("swath.tif")
    assert said is not None
    assert "swath.tif: the polynomial mapping misses its 169 ground control points by" in said
    assert "gdalwarp -tps" in said


def test_two_points_in_one_pixel_keep_the_polynomial() -> None:
    px = np.concatenate([points(), points()[:1]])
    target = ridges(px, 8)
    target[-1] += 50
    mapping, fit = fit_points(px, target, SHAPE)
    assert isinstance(mapping, QuadraticMapping)
    assert fit.warning("a.tif") is not None


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_points_that_are_met_say_nothing(count: int) -> None:
    px = np.array([[0.0, 0], [400, 0], [0, 300], [400, 300], [200, 100], [7, 90], [90, 7], [300, 250], [150, 60]])[:count]
    mapping, fit = fit_points(px, ridges(px, 0), SHAPE, UTM33)
    assert isinstance(mapping, AffineMapping)
    assert (fit.kind, fit.points) == ("affine", count)
    assert fit.max_px < 1e-6
    assert fit.warning("a.tif") is None


def test_four_corners_that_are_no_parallelogram_are_met() -> None:
    px = np.array([[0.0, 0], [400, 0], [0, 300], [400, 300]])
    target = ridges(px, 0)
    target[3] += 20
    mapping, fit = fit_points(px, target, SHAPE, UTM33)
    np.testing.assert_allclose(mapping.to_map(px), target, rtol=0, atol=0.02)
    assert fit.polynomial_max_px > 5
    assert fit.max_px < 0.05


def test_points_set_by_hand_are_told_of() -> None:
    px = points(4)
    target = ridges(px, 0) + np.random.default_rng(3).normal(0, 4, px.shape)
    _, fit = fit_points(px, target, SHAPE, UTM33)
    said = fit.warning("map.tif")
    assert said is not None
    assert "followed exactly, by a thin plate spline. A point that is left out is missed by" in said


def test_misses_in_metres() -> None:
    # Three points would be met; the fourth is a pixel and a half off, which an affine transform halves three times.
    px = np.array([[0.0, 0], [400, 0], [0, 300], [400, 300]])
    target = ridges(px, 0)
    target[3, 0] += 1.0
    _, fit = fit_points(px, target, SHAPE, UTM33)
    assert fit.kind == "affine"
    assert fit.mean_px == pytest.approx(0.5, abs=0.01)
    assert fit.mean_m == pytest.approx(0.25, abs=0.01)
    _, in_feet = fit_points(px, target, SHAPE, CRS.from_epsg(2263))
    assert in_feet.mean_m == pytest.approx(0.25 * 0.3048, rel=0.02)
    degrees = np.stack([15 + px[:, 0] * 1e-5, 60 - px[:, 1] * 1e-5], axis=1)
    degrees[3, 0] += 2e-5
    _, on_globe = fit_points(px, degrees, SHAPE, CRS.from_epsg(4326))
    assert on_globe.mean_m == pytest.approx(0.5e-5 * 111_320 * 0.5, rel=0.02)
    assert on_globe.record()["kind"] == "affine"
    _, nowhere = fit_points(px, target, SHAPE)
    assert "mean_m" not in nowhere.record()


def test_points_that_are_no_numbers() -> None:
    px = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    target = np.array([[0, 0], [np.nan, 0], [0, 10], [10, 10]])
    with pytest.raises(RasterError, match=r"1 of the raster's 4 ground control points hold no numbers \(the first: 2\)"):
        fit_points(px, target, (10, 10))
