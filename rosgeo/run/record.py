"""The record of a run: what was computed from what, and how; and what of it decides the results."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosgeo.addresses.secrets import plain_record

if TYPE_CHECKING:
    import geopandas as gpd

    from rosgeo.inference.predict import Segmenter
    from rosgeo.raster.bands import Stretch
    from rosgeo.raster.crops import CropReader
    from rosgeo.raster.source import RasterSource
    from rosgeo.run.options import SegmentOptions
    from rosgeo.types import Boxes

__all__ = ["describe_run", "fingerprint", "of_scene", "package_versions", "run_fingerprint", "run_record"]

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
    """The record: versions, `facts`, how long it took and when it ended (UTC). Plain values for JSON, without secrets."""
    return {
        "versions": package_versions(),
        **plain_record(facts),
        "seconds": round(seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def run_fingerprint(
    facts: dict[str, Any], source: RasterSource, scene: Any, boxes_px: Boxes, frame: gpd.GeoDataFrame
) -> dict[str, str]:
    """Everything that decides a run's results, as text by name; what only decides how fast they come is left out."""
    path = Path(scene) if isinstance(scene, str | Path) and Path(scene).is_file() else None
    boxes = sha256(boxes_px.xyxy.tobytes() + "".join(map(str, frame.columns)).encode()).hexdigest()[:16]
    place = {"scene": source.name, "scene size": source.grid.shape, "boxes": f"{len(frame)} rows, {boxes}"}
    file = {} if path is None else {"scene file": f"{path.stat().st_size} bytes of {path.stat().st_mtime_ns}"}
    return fingerprint({**place, **file}, facts)


def fingerprint(place: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    """`place` and those of `describe_run` that decide a run's results, as text by name."""
    fixed = {key: value for key, value in facts.items() if key not in ("options", "device")}
    options = {f"option {key}": value for key, value in facts["options"].items() if key not in ("batch_size", "device")}
    return {key: json.dumps(plain_record(value), default=str) for key, value in {**place, **fixed, **options}.items()}


def describe_run(
    options: SegmentOptions, segmenter: Segmenter, bands: tuple[int, int, int], stretch: Stretch, axes: str | None = None
) -> dict[str, Any]:
    """What a run's record says of model, options and picture; nothing of `axes` where they are None."""
    model = segmenter.model
    return {
        "model": {
            "name": model.name,
            "kind": model.kind,
            "file": model.path.name,
            "sha256": model.sha256,
            "adapter": model.adapter,
            "input_size": segmenter.input_size,
        },
        "device": str(segmenter.device),
        "precision": str(segmenter.dtype).removeprefix("torch."),
        "options": _told(options),
        "bands": list(bands),
        "stretch": stretch.record(),
        **({} if axes is None else {"axes": axes}),
    }


def _told(options: SegmentOptions) -> dict[str, Any]:
    """Options as plain values; nothing of the reading where the scene was read as it is, as in results of earlier versions."""
    told = asdict(options)
    reading = {key: value for key, value in told.pop("reading").items() if value is not None}
    return {**told, "reading": reading} if reading else told


def of_scene(reader: CropReader) -> dict[str, Any]:
    """What a run's record says of the scene: how well it is placed, and values that were found to be no measurements."""
    source = reader.source
    placed = {} if source.placement is None else {"placement": source.placement.record()}
    fills = [{"value": f.value, "share": round(f.share, 4), "nodata": f.certain} for f in reader.fills]
    return {**placed, **({"fill": fills} if fills else {})}
