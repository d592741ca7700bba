"""Changes of datum that are coarser than they need to be."""

from __future__ import annotations

import warnings

import pytest
from affine import Affine
from pyproj import CRS
from rosgeo.errors import PlacementWarning
from rosgeo.geometry.accuracy import operation_of, pixel_size_m, warn_of_coarse_operation
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import RasterGrid


def grid(x: float, y: float, pixel: float, crs: int) -> RasterGrid:
    return RasterGrid(300, 400, AffineMapping(Affine(pixel, 0, x, 0, -pixel, y)), CRS.from_epsg(crs))


def test_a_missing_grid_is_told_of_once_with_both_accuracies_and_what_to_do() -> None:
    with pytest.warns(PlacementWarning) as said:
        warn_of_coarse_operation(CRS.from_epsg(26714), grid(600_000, 4_300_000, 0.5, 26914), "boxes.gpkg", "scene.tif")
    assert len(said) == 1
    text = str(said[0].message)
    assert "boxes.gpkg is in NAD27 / UTM zone 14N and scene.tif in NAD83 / UTM zone 14N" in text
    assert "accurate to 11 m (22 px)" in text
    assert "pyproj sync --file us_noaa_nadcon5_nad27_nad83_1986_conus.tif" in text
    assert "PROJ_NETWORK=ON" in text


@pytest.mark.parametrize(
    ("boxes", "place", "told"),
    [
        (4326, (300_000, 300_000, 0.1, 27700), True),
        (4326, (300_000, 300_000, 10, 27700), False),  # the difference is a tenth of a pixel
        (21781, (2_600_000, 1_200_000, 0.1, 2056), True),
        (27200, (1_750_000, 5_430_000, 0.1, 2193), True),
        (4326, (500_000, 6_000_000, 0.1, 32633), False),
        (4258, (500_000, 6_000_000, 0.1, 32633), False),
        (32633, (500_000, 6_000_000, 0.1, 32633), False),
        (3857, (10, 40, 1e-6, 4326), False),
    ],
)
def test_only_what_is_worth_a_pixel_is_told_of(boxes: int, place: tuple[float, float, float, int], told: bool) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_coarse_operation(CRS.from_epsg(boxes), grid(*place), "boxes", "scene")
    assert bool(said) == told


def test_nothing_is_said_without_two_crs() -> None:
    there = grid(500_000, 6_000_000, 0.1, 32633)
    warn_of_coarse_operation(None, there, "boxes", "scene")
    warn_of_coarse_operation(CRS.from_epsg(26714), RasterGrid(9, 9, there.mapping), "boxes", "scene")
    assert operation_of(CRS.from_epsg(32633), CRS.from_epsg(32633), there) is None


@pytest.mark.parametrize(
    ("place", "metres"),
    [((5e5, 4e6, 0.25, 32633), 0.25), ((980_000, 200_000, 1.0, 2263), 0.3048), ((15, 60, 1e-5, 4326), 1e-5 * 111_320 * 0.5**0.5)],
)
def test_pixels_in_metres(place: tuple[float, float, float, int], metres: float) -> None:
    assert pixel_size_m(grid(*place)) == pytest.approx(metres, rel=0.005)
