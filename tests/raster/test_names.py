"""Names of scenes as names of files."""

from __future__ import annotations

import pytest
from rosgeo.raster.names import is_gdal_name, plain_name


@pytest.mark.parametrize(
    ("scene", "name"),
    [
        ("scene.tif", "scene"),
        ("/data/b.c/scene.x.tif", "scene.x"),
        (r"C:\data\scene.tif", "scene"),
        ("netcdf:scene.nc:Band1", "scene_Band1"),
        ('NETCDF:"data/my scene.nc":Band2', "my scene_Band2"),
        (r"netcdf:C:\data\scene.nc:v", "scene_v"),
        ('HDF5:"x.h5"://group/var', "x_group_var"),
        ('HDF4_EOS:EOS_GRID:"m.hdf":g:ndvi', "m_EOS_GRID_g_ndvi"),
        ("GTIFF_DIR:2:/d/file.tif", "file_2"),
        ("SENTINEL2_L1C:/path/MTD.xml:10m:EPSG_32632", "MTD_10m_EPSG_32632"),
        ("GPKG:file.gpkg:table", "file_table"),
        ("https://host/p/scene.tif?X-Amz-Signature=abc&k=d.e", "scene"),
        ("/vsicurl/https://host/scene.tif?sig=1", "scene"),
        ("/vsizip/a.zip/b.tif", "b"),
        ("s3://bucket/key/scene.tif", "scene"),
        ("scene", "scene"),
        ("/vsizip/a.zip/***.tif", "scene"),
        ("Снимок № 1.tif", "Снимок № 1"),
        ("https://h/" + "a" * 300 + ".tif", "a" * 100),
    ],
)
def test_plain_names(scene: str, name: str) -> None:
    assert plain_name(scene) == name


@pytest.mark.parametrize(
    ("name", "its"),
    [("a.tif", False), (r"C:\a.tif", False), ("netcdf:a.nc:v", True), ("https://h/a.tif", True), ("/vsis3/a", True)],
)
def test_names_of_gdal(name: str, its: bool) -> None:
    assert is_gdal_name(name) == its
