"""Names of scenes, as GDAL has them."""

from __future__ import annotations

import pytest
from rosgeo.raster.names import is_gdal_name


@pytest.mark.parametrize(
    ("name", "its"),
    [("a.tif", False), (r"C:\a.tif", False), ("netcdf:a.nc:v", True), ("https://h/a.tif", True), ("/vsis3/a", True)],
)
def test_names_of_gdal(name: str, its: bool) -> None:
    assert is_gdal_name(name) == its
