"""Names of scenes: what GDAL calls them, and what a file that is made from one may be called."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

__all__ = ["is_gdal_name", "plain_name"]

_LONGEST = 100
_ILLEGAL = r'[<>:"/\\|?*\x00-\x1f]+'
"""What the name of a file cannot have, on Windows too."""


def is_gdal_name(name: str) -> bool:
    """Whether a name is one of GDAL's and no path: an address, ``/vsi...``, or a sub-dataset, as in ``netcdf:scene.nc:Band1``."""
    # A colon behind a single letter is a drive's.
    return "://" in name or name.startswith("/vsi") or ":" in name[2:]


def plain_name(scene: str) -> str:
    """A scene's name as the first part of a file's name, without folder and extension, and of a sub-dataset with its variable.

    ``NETCDF:"data/scene.nc":Band2`` is ``scene_Band2``, ``https://host/scene.tif?key=secret`` is ``scene``.
    """
    path, variable = _parts(scene)
    stem = (PureWindowsPath if re.match(r"[A-Za-z]:\\", path) else PurePosixPath)(path).stem
    if not is_gdal_name(scene):
        return stem or "scene"
    words = [re.sub(_ILLEGAL, "_", word).strip("_. ") for word in (stem, variable)]
    return "_".join(word for word in words if word)[:_LONGEST] or "scene"


def _parts(scene: str) -> tuple[str, str]:
    """Path of the file, and what of it is meant."""
    quoted = re.fullmatch(r'\w{2,}:(?:([^"]*):)?"([^"]+)"(?::(.*))?', scene)
    if quoted:
        return _unsigned(quoted[2]), "_".join(part for part in (quoted[1], quoted[3]) if part)
    driver = re.fullmatch(r"(\w{2,}):(?!//)(.+)", scene)
    if driver is None:
        return _unsigned(scene), ""
    parts = re.split(r":(?![/\\]{2})(?<!^[A-Za-z]:)", driver[2])
    # GTIFF_DIR:2:scene.tif has the file last, all others first.
    at = next((i for i, part in enumerate(parts) if re.search(r"\.\w+$", part)), 0)
    return _unsigned(parts[at]), "_".join(part for i, part in enumerate(parts) if i != at)


def _unsigned(path: str) -> str:
    """A path without the keys that an address may hold."""
    return unquote(urlsplit(path).path) if "://" in path else path.split("?")[0] if path.startswith("/vsicurl") else path
