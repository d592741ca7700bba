"""``array.rosgeo``: the accessor of xarray's DataArrays.

xarray registers accessors on its classes, so it has to be imported for that; importing rosgeo imports no xarray. So the accessor is
registered at once where xarray is there already, and else when somebody imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["RosgeoAccessor", "register_when_imported"]


class RosgeoAccessor:
    """What rosgeo does with a DataArray.

    Parameters
    ----------
    array : xarray.DataArray
        Dimensions (band, y, x) or (y, x), with rioxarray's CRS and transform; in memory or lazy.

    Examples
    --------
    >>> import rioxarray, rosgeo  # doctest: +SKIP
    >>> scene = rioxarray.open_rasterio("scene.tif", chunks=True)  # doctest: +SKIP
    >>> outlines = scene.rosgeo.segment("boxes.gpkg")  # doctest: +SKIP
    >>> scene.rosgeo.plot(outlines)  # doctest: +SKIP
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def segment(self, boxes: Any, **options: Any) -> gpd.GeoDataFrame:
        """`rosgeo.segment` with the array as the scene; see there."""
        from rosgeo.run.pipeline import segment

        return segment(self._array, boxes, **options)

    def plot(self, result: gpd.GeoDataFrame, **options: Any) -> Figure:
        """`rosgeo.plot` with the array as the scene; see there."""
        from rosgeo.pictures.plotting import plot

        return plot(result, self._array, **options)


def register_when_imported() -> None:
    """Register the accessor: now where xarray is imported, else as soon as it is."""
    if "xarray" in sys.modules:
        _register(sys.modules["xarray"])
    elif not any(isinstance(finder, _XarrayFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _XarrayFinder())


def _register(xarray: ModuleType) -> None:
    # Not twice: xarray warns of an accessor that replaces another.
    if hasattr(xarray, "register_dataarray_accessor") and not hasattr(xarray.DataArray, "rosgeo"):
        xarray.register_dataarray_accessor("rosgeo")(RosgeoAccessor)


class _XarrayFinder(MetaPathFinder):
    """Finds xarray as the other finders do, and has the accessor registered once it has been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "xarray":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((s for f in others if (s := f.find_spec(name, path, target)) is not None), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
