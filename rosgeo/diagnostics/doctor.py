"""The state of an installation: versions, devices, cache, memory, and a self test of every part that a run needs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from rosgeo.model.registry import MODELS, cache_dir
from rosgeo.run.record import package_versions

__all__ = ["CHECKS", "Check", "diagnose"]

_PACKAGES = (
    "rosgeo", "torch", "numpy", "affine", "rasterio", "rioxarray", "xarray", "dask", "distributed", "geopandas", "pandas", "pyogrio",
    "pyarrow", "shapely", "pyproj", "contourpy", "antimeridian", "segment-anything", "peft", "accelerate", "safetensors", "pooch",
    "pillow", "click", "opencv-python-headless",
)  # fmt: skip
_VARIABLES = ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB", "GDAL_CACHEMAX", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "ROSGEO_CACHE",
              "ROSGEO_MODELS_URL", "ROSGEO_OFFLINE")  # fmt: skip
_DEMO_ROW = 2
_LEAST_IOU = 0.5
_LEAST_TEMP_BYTES = 50e6


@dataclass(frozen=True)
class Check:
    """One part of the self test.

    Attributes
    ----------
    name : str
    ok : bool
    found : str
        What was found, in one line.
    remedy : str
        What to do, in one line; empty where it is well.
    seconds : float
    """

    name: str
    ok: bool
    found: str
    remedy: str
    seconds: float


def diagnose(checks: dict[str, tuple[Callable[[], str], str]] | None = None) -> dict[str, Any]:
    """All that is told of an installation.

    Parameters
    ----------
    checks : dict, optional
        See `CHECKS`.

    Returns
    -------
    dict
        Plain values for JSON: ``versions``, ``system``, ``devices``, ``threads``, ``cache``, ``memory``, ``environment``, ``checks`` (a
        list of `Check` as dictionaries), ``ok``. What cannot be found out is told in its place, and raises nothing.
    """
    results = [_run(name, work, remedy) for name, (work, remedy) in (CHECKS if checks is None else checks).items()]
    return {
        "versions": {**package_versions(_PACKAGES), **_libraries()},
        "system": {"platform": platform.platform(), "machine": platform.machine(), "python": sys.executable},
        "devices": _told(_devices),
        "threads": _told(_threads),
        "cache": _told(_cache),
        "memory": _told(_memory),
        "environment": {name: _without_secret(os.environ[name]) for name in _VARIABLES if name in os.environ},
        "checks": [asdict(check) for check in results],
        "ok": all(check.ok for check in results),
    }


def _run(name: str, work: Callable[[], str], remedy: str) -> Check:
    started = time.perf_counter()
    try:
        found, ok = work(), True
    except Exception as error:  # whatever a broken installation raises
        found, ok = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", False
    return Check(name, ok, found, "" if ok else remedy, round(time.perf_counter() - started, 2))


def _told(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except Exception as error:  # whatever a broken installation raises
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def _without_secret(value: str) -> str:
    """A value without the user and password that an address may hold: this is pasted into reports."""
    return re.sub(r"//[^/@\s]*@", "//***@", value)


def _libraries() -> dict[str, str]:
    """Versions of the C libraries, as each package that brings its own copy tells them."""

    def rasterio_gdal() -> str:
        import rasterio

        return str(rasterio.__gdal_version__)

    def rasterio_proj() -> str:
        import rasterio

        return str(rasterio.__proj_version__)

    def pyogrio_gdal() -> str:
        import pyogrio

        return str(pyogrio.__gdal_version_string__)

    def pyproj_proj() -> str:
        import pyproj

        return str(pyproj.proj_version_str)

    def shapely_geos() -> str:
        import shapely

        return str(shapely.geos_version_string)

    asked = {
        "GDAL (rasterio)": rasterio_gdal,
        "PROJ (rasterio)": rasterio_proj,
        "GDAL (pyogrio)": pyogrio_gdal,
        "PROJ (pyproj)": pyproj_proj,
        "GEOS (shapely)": shapely_geos,
    }
    return {name: str(_told(lambda ask=ask: {"version": ask()}).get("version", "not found")) for name, ask in asked.items()}  # type: ignore[misc]


def _devices() -> dict[str, Any]:
    import torch

    from rosgeo.inference.device import choose_device, choose_precision, cpu_has_bf16

    chosen = choose_device("auto")
    devices: dict[str, Any] = {
        "auto": f"{chosen} in {str(choose_precision('auto', chosen)).removeprefix('torch.')}",
        "cpu": f"{platform.processor() or platform.machine()}, bfloat16 in hardware: {'yes' if cpu_has_bf16() else 'no'}",
        "mps": "available" if torch.backends.mps.is_available() else "not available",
    }
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        devices["cuda"] = "not available: " + (
            "PyTorch was built without it" if torch.version.cuda is None else "no device is seen"
        )
    for i in range(count):
        facts = torch.cuda.get_device_properties(i)
        bf16 = "yes" if facts.major >= 8 else "no"
        devices[f"cuda:{i}"] = f"{facts.name}, {facts.total_memory / 1e9:.1f} GB, bfloat16 in hardware: {bf16}"
    return devices


def _threads() -> dict[str, Any]:
    import torch

    return {
        "cores": os.cpu_count(),
        "usable cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "torch": torch.get_num_threads(),
    }


def _cache() -> dict[str, Any]:
    folder = cache_dir()
    known = {entry.file: entry.name for entry in MODELS.values()}
    there = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    return {
        "folder": str(folder),
        "files": {p.name: f"{p.stat().st_size / 1e6:.1f} MB, {known.get(p.name, 'of no model with a name')}" for p in there},
    }


def _memory() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    figures = {"memory": memory.total, "memory available": memory.available}
    places = {"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir()), "cache": _existing(cache_dir())}
    figures |= {f"disk free ({name})": shutil.disk_usage(place).free for name, place in places.items()}
    return {name: f"{value / 1e9:.1f} GB" for name, value in figures.items()}


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _check_imports() -> str:
    import contourpy  # noqa: F401
    import pyarrow  # noqa: F401
    import rioxarray  # noqa: F401

    import rosgeo.run.pipeline  # noqa: F401

    # Needed by some runs only, and slow to import: here it is enough that they are there.
    for name in ("accelerate", "distributed", "peft", "segment_anything"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
    return "every package that a run needs is there"


def _check_proj() -> str:
    """Both copies of PROJ know UTM, and bring a point of known coordinates to its place."""
    import rasterio.warp
    from pyproj import Transformer

    # Three degrees from the central meridian, on the equator of the southern half of a zone: a figure of the textbooks.
    lon, lat, east, north = 18.0, 0.0, 833_978.557, 10_000_000.0
    for name, point in (
        ("pyproj", Transformer.from_crs(4326, 32733, always_xy=True).transform(lon, lat)),
        ("rasterio", tuple(v[0] for v in rasterio.warp.transform("EPSG:4326", "EPSG:32733", [lon], [lat]))),
    ):
        if abs(point[0] - east) > 0.01 or abs(point[1] - north) > 0.01:
            raise ValueError(f"{name} brings {lon}, {lat} to {point[0]:.1f}, {point[1]:.1f}; expected {east:.1f}, {north:.1f}")
    return "EPSG:4326 to EPSG:32733 by pyproj and by rasterio"


def _check_write() -> str:
    """A GeoPackage is written to the folder of temporary files and read back."""
    import geopandas as gpd
    from shapely import box

    from rosgeo.vector.layers.write import read_record, write_result

    free = shutil.disk_usage(tempfile.gettempdir()).free
    with tempfile.TemporaryDirectory(prefix="rosgeo-doctor-") as folder:
        path = Path(folder) / "test.gpkg"
        frame = gpd.GeoDataFrame({"rosgeo_score": [0.5]}, geometry=[box(0, 0, 1, 1)], crs=32723)
        write_result(frame, path, {"test": True})
        back = gpd.read_file(path, layer="masks")
        if read_record(path) != {"test": True} or not back.geometry.iloc[0].equals(box(0, 0, 1, 1)):
            raise ValueError("what was written is not what is read")
    if free < _LEAST_TEMP_BYTES:
        raise OSError(f"{free / 1e6:.0f} MB are free in {tempfile.gettempdir()}")
    return f"a GeoPackage in {tempfile.gettempdir()}"


def _check_model() -> str:
    """One object of the scene that comes with the package, with the embedded model, against its hand-drawn outline."""
    import geopandas as gpd

    from rosgeo.run.pipeline import SegmentOptions, segment_run

    folder = files("rosgeo.demo")
    with (
        as_file(folder / "rio.tif") as scene,
        as_file(folder / "rio_boxes.gpkg") as boxes,
        as_file(folder / "rio_labels.gpkg") as labels,
    ):
        box, expected = (gpd.read_file(path).iloc[[_DEMO_ROW]] for path in (boxes, labels))
        run = segment_run(scene, box, SegmentOptions())
    found, truth = run.result.geometry.iloc[0], expected.geometry.iloc[0]
    iou = 0.0 if found is None else found.intersection(truth).area / found.union(truth).area
    if iou < _LEAST_IOU:
        raise ValueError(
            f"the outline of the test object has an IoU of {iou:.2f} with the expected one; expected {_LEAST_IOU} or more"
        )
    return f"{run.record['model']['name']} on {run.record['device']} in {run.record['precision']}, IoU {iou:.2f}"


CHECKS: dict[str, tuple[Callable[[], str], str]] = {
    "packages": (_check_imports, "install the package that is named, or all anew: pip install --force-reinstall rosgeo"),
    "PROJ database": (
        _check_proj,
        "unset PROJ_DATA and PROJ_LIB if they are set; they point at another PROJ's database. Else: pip install --force-reinstall "
        "pyproj rasterio",
    ),
    "writing": (_check_write, "free some space there, or set TMPDIR to a folder that can be written to"),
    "model": (_check_model, "run it again with --debug before doctor, and report what it says; rosgeo models verify rosgeo-small tells "
              "whether the weights are whole"),
}  # fmt: skip
"""The self test: what is tried by name, and what to do where it fails."""
