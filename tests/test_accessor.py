"""``array.rosgeo``: there whoever is imported first, and importing rosgeo stays cheap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest
import rioxarray
import rosgeo
import xarray as xr
from rosgeo.accessor import register_when_imported

from tests.conftest import NORTH_UP, WriteRaster, px_boxes


def python(program: str) -> str:
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_rosgeo_imports_nothing_heavy() -> None:
    heavy = "torch xarray numpy rasterio geopandas shapely pyproj matplotlib folium anywidget"
    program = "import sys, time; before = set(sys.modules); t = time.process_time(); import rosgeo; t = time.process_time() - t"
    seconds, *loaded = python(f"{program}\nprint(t, *sorted((set(sys.modules) - before) & set({heavy.split()})))").split()
    assert loaded == []
    # Nothing is computed at import; generous, since the machine may be busy and the byte code not yet there.
    assert float(seconds) < 1.0


@pytest.mark.parametrize("order", ["rosgeo, xarray", "xarray, rosgeo", "rosgeo, rioxarray"])
def test_the_accessor_is_there_whoever_comes_first(order: str) -> None:
    told = "print(type(xarray.DataArray([0]).rosgeo).__name__, 'torch' in sys.modules)"
    program = f"import {order}; import xarray, sys; {told}"
    assert python(program) == "RosgeoAccessor False"


def test_the_import_of_xarray_is_as_it_would_be_without() -> None:
    program = """
import rosgeo, sys, importlib, importlib.util
spec = importlib.util.find_spec("xarray")
assert spec.origin.endswith("__init__.py") and "xarray" not in sys.modules
import xarray
assert type(xarray.__spec__.loader).__name__ == "SourceFileLoader"
assert not [f for f in sys.meta_path if type(f).__module__.startswith("rosgeo")]
print(xarray.DataArray.rosgeo.__name__)"""
    assert python(program) == "RosgeoAccessor"


def test_without_xarray_its_import_fails_as_ever() -> None:
    program = """
import rosgeo, sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
sys.path_importer_cache.clear()
try:
    import xarray
except ModuleNotFoundError as error:
    print(error)"""
    assert python(program) == "No module named 'xarray'"


def test_registering_twice_is_quiet() -> None:
    register_when_imported()
    register_when_imported()
    assert sum(type(f).__module__ == "rosgeo.accessor" for f in sys.meta_path) == 0
    assert hasattr(xr.DataArray, "rosgeo")


@pytest.mark.parametrize("chunks", [None, {"x": 64, "y": 64}])
def test_the_accessor_segments_as_segment_does(chunks: dict[str, int] | None, write_raster: WriteRaster, tiny_model: Path) -> None:
    scene = write_raster()
    boxes = px_boxes([(80, 30, 120, 70), (5, 60, 55, 90)], NORTH_UP, "EPSG:32633")
    with rioxarray.open_rasterio(scene, chunks=chunks) as array:
        result = array.rosgeo.segment(boxes, model=tiny_model)
        figure = array.rosgeo.plot(result, boxes=boxes)
    assert isinstance(result, gpd.GeoDataFrame)
    assert result.geometry.geom_equals(rosgeo.segment(scene, boxes, model=tiny_model).geometry).all()
    assert len(figure.axes) == 3
