"""Several scenes by one name: a folder, a pattern, the items of a STAC collection."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from rosgeo.errors import InputFileNotFoundError, RasterError

__all__ = ["expand_scenes"]

_RASTERS = (".tif", ".tiff", ".gtiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".webp", ".bil", ".ntf", ".ecw", ".sid")
_PREFERRED = ("visual", "image", "data", "rgb", "analytic", "cog_default")
"""Names of STAC assets that show the scene, the likeliest first."""


def expand_scenes(scene: Any) -> list[Any]:
    """The scenes that are meant.

    Parameters
    ----------
    scene : path, data set, DataArray, or a sequence of these
        A folder stands for the rasters in it, in the order of their names; a pattern with ``*`` for the files that it meets; a STAC item or
        collection of items (.json) for the asset of each that is a raster.

    Returns
    -------
    list
        Each is for `open_source`, which says what is wrong with it.

    Raises
    ------
    RasterError, InputFileNotFoundError
        A sequence, folder or collection without a scene; an item of which several assets may be meant.
    """
    if isinstance(scene, list | tuple):
        found = [one for part in scene for one in expand_scenes(part)]
        if not found:
            raise RasterError("the list of scenes is empty; expected at least one raster")
        return list(dict.fromkeys(found)) if all(isinstance(s, str) for s in found) else found
    if not isinstance(scene, str | Path):
        return [scene]
    name = str(scene)
    if os.path.isdir(name):
        return _of_folder(name)
    if "*" in name and "://" not in name and not os.path.exists(name):
        names = sorted(glob.glob(name, recursive=True))
        if not names:
            raise InputFileNotFoundError(f"{name}: no file meets this pattern; expected rasters")
        return names
    return (
        _of_stac(name)
        if name.lower().endswith((".json", ".geojson")) and os.path.isfile(name)
        else [scene if isinstance(scene, str) else name]
    )


def _of_folder(name: str) -> list[str]:
    rasters = sorted(str(p) for p in Path(name).iterdir() if p.suffix.lower() in _RASTERS and not p.name.startswith("."))
    # A folder without such files may be a raster itself (Zarr, SAFE), as GDAL can tell.
    return rasters or [name]


def _of_stac(name: str) -> list[str]:
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return [name]
    if not isinstance(content, dict):
        return [name]
    items = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    items = [i for i in items or [] if isinstance(i, dict) and "stac_version" in i and isinstance(i.get("assets"), dict)]
    return [_asset(item, name) for item in items] or [name]


def _asset(item: dict[str, Any], name: str) -> str:
    """The address of the raster of a STAC item."""
    assets: dict[str, dict[str, Any]] = {k: a for k, a in item["assets"].items() if isinstance(a, dict) and _is_raster(a)}
    chosen = _one_of(assets)
    if chosen is None:
        keys = ", ".join(assets) or ", ".join(item["assets"]) or "none"
        raise RasterError(
            f"{name}: item {item.get('id')} has {len(assets)} assets that are rasters ({keys}), and none is called "
            f"{' or '.join(_PREFERRED[:3])}; give the address of the one that is meant"
        )
    href = str(assets[chosen]["href"])
    if "://" in href or href.startswith("/"):
        return href
    base = next(
        (str(link["href"]) for link in item.get("links", []) if link.get("rel") == "self" and "://" in str(link.get("href"))), None
    )
    local = os.path.normpath(os.path.join(os.path.dirname(name), href))
    return local if base is None or os.path.exists(local) else urljoin(base, href)


def _one_of(assets: dict[str, dict[str, Any]]) -> str | None:
    named = next((key for key in _PREFERRED if key in assets), None)
    if named is not None:
        return named
    data: Sequence[str] = [k for k, a in assets.items() if "data" in (a.get("roles") or ())]
    return next((keys[0] for keys in (data, list(assets)) if len(keys) == 1), None)


def _is_raster(asset: dict[str, Any]) -> bool:
    href, kind = str(asset.get("href", "")), str(asset.get("type", ""))
    if set(asset.get("roles") or ()) & {"thumbnail", "overview", "metadata"}:
        return False
    return kind.startswith(("image/tiff", "image/jp2", "image/vnd")) or href.partition("?")[0].lower().endswith(_RASTERS)
