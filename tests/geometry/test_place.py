"""What the coordinates of a layer are on a raster."""

from __future__ import annotations

from typing import Any

import pytest
from pyproj import CRS
from rosgeo.errors import CRSMismatchError, OptionError
from rosgeo.geometry.place import check_frames

WGS84, UTM33 = CRS.from_epsg(4326), CRS.from_epsg(32633)


@pytest.mark.parametrize(
    ("own", "said", "raster", "expected"),
    [
        (UTM33, None, WGS84, (UTM33, False)),
        (UTM33, "EPSG:32633", WGS84, (UTM33, False)),
        (None, "EPSG:32633", WGS84, (UTM33, False)),
        (None, UTM33, UTM33, (UTM33, False)),
        (None, None, None, (None, True)),
        (None, "pixel", UTM33, (None, True)),
        (UTM33, "Pixel", None, (None, True)),
    ],
)
def test_check_frames(own: CRS | None, said: str | CRS | None, raster: CRS | None, expected: tuple[CRS | None, bool]) -> None:
    assert check_frames(own, said, raster, "scene.tif", "boxes.gpkg") == expected


@pytest.mark.parametrize(
    ("own", "said", "raster", "error", "message"),
    [
        (None, None, UTM33, CRSMismatchError, "boxes.gpkg has no CRS.*--boxes-crs EPSG:32633"),
        (UTM33, None, None, CRSMismatchError, "scene.tif has no CRS.*--boxes-crs pixel"),
        (None, "EPSG:4326", None, CRSMismatchError, "scene.tif has no CRS"),
        (UTM33, "EPSG:4326", UTM33, CRSMismatchError, "EPSG:32633, but --boxes-crs says EPSG:4326"),
        (None, "EPSG:nonsense", UTM33, OptionError, "--boxes-crs 'EPSG:nonsense'"),
    ],
)
def test_check_frames_refuses(own: Any, said: Any, raster: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_frames(own, said, raster, "scene.tif", "boxes.gpkg")
