"""What a run's record says of model, options and picture, and what of it decides the results."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import geopandas as gpd

    from rosgeo.inference.predict import Segmenter
    from rosgeo.options import SegmentOptions
    from rosgeo.raster.bands import Stretch
    from rosgeo.raster.source import RasterSource
    from rosgeo.types import Boxes

__all__ = ["deciding_facts", "deciding_options", "run_facts"]


def deciding_facts(
    facts: dict[str, Any], source: RasterSource, scene: Any, boxes_px: Boxes, frame: gpd.GeoDataFrame
) -> dict[str, str]:
    """Everything that decides a run's results, as text by name; what only decides how fast they come is left out."""
    path = Path(scene) if isinstance(scene, str | Path) and Path(scene).is_file() else None
    boxes = sha256(boxes_px.xyxy.tobytes() + "".join(map(str, frame.columns)).encode()).hexdigest()[:16]
    place = {"scene": source.name, "scene size": source.grid.shape, "boxes": f"{len(frame)} rows, {boxes}"}
    file = {} if path is None else {"scene file": f"{path.stat().st_size} bytes of {path.stat().st_mtime_ns}"}
    return deciding_options({**place, **file}, facts)


def deciding_options(place: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    """`place` and those of `run_facts` that decide a run's results, as text by name."""
    fixed = {key: value for key, value in facts.items() if key not in ("options", "device")}
    options = {f"option {key}": value for key, value in facts["options"].items() if key not in ("batch_size", "device")}
    return {key: json.dumps(value, default=str) for key, value in {**place, **fixed, **options}.items()}


def run_facts(
    options: SegmentOptions, segmenter: Segmenter, bands: tuple[int, int, int], stretch: Stretch, axes: str
) -> dict[str, Any]:
    """What a run's record says of model, options and picture."""
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
        "options": asdict(options),
        "bands": list(bands),
        "stretch": stretch.record(),
        "axes": axes,
    }
