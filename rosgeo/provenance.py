"""The record of a run: what was computed from what, and how."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["package_versions", "run_record"]

_PACKAGES = ("rosgeo", "torch", "segment-anything", "rasterio", "geopandas", "shapely", "pyproj", "numpy")


def package_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of packages; ``not installed`` for those that are not there."""

    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return {"python": platform.python_version(), **{p: of(p) for p in packages}}


def run_record(*, seconds: float, **facts: Any) -> dict[str, Any]:
    """The record: versions, `facts`, how long it took and when it ended (UTC). Plain values for JSON."""
    return {
        "versions": package_versions(),
        **facts,
        "seconds": round(seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
