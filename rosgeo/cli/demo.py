"""``rosgeo demo``: the main job on a real scene that comes with the package."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rosgeo.cli.help import command
from rosgeo.cli.options import FILE, device_option, quiet_option
from rosgeo.cli.progress import ProgressBar, teller

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["demo_command"]

_FILES = {
    "rio.tif": "rio.tif",
    "rio_boxes.gpkg": "rio_boxes.gpkg",
    "rio_labels.gpkg": "rio_labels.gpkg",
    "README.md": "rio_README.md",
}


@command("demo", short_help="Try it on a real scene that comes with the package.")
@click.argument("folder", default="rosgeo-demo", type=FILE)
@device_option
@quiet_option()
def demo_command(folder: str, device: str, quiet: bool) -> None:
    """Segment 19 buildings of a satellite scene in Rio de Janeiro, and compare with hand-drawn labels.

    Copies the scene, its boxes and labels to FOLDER and writes outlines and a picture beside them.

    \b
    rosgeo demo
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    import geopandas as gpd

    from rosgeo.errors import OutputError
    from rosgeo.pictures.preview import draw_preview
    from rosgeo.raster.bands import StretchRule
    from rosgeo.run.pipeline import SegmentOptions, segment_run

    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, copy in _FILES.items():
            with as_file(files("rosgeo.demo") / name) as source:
                shutil.copyfile(source, target / copy)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be filled: {error.strerror or error}") from error
    scene, boxes = target / "rio.tif", target / "rio_boxes.gpkg"
    output, preview = target / "rio_masks.gpkg", target / "rio_preview.png"
    tell = teller(quiet)
    tell(f"rosgeo segment {scene} {boxes} -o {output} --preview {preview}")
    with ProgressBar(shown=not quiet) as progress:
        run = segment_run(scene, boxes, SegmentOptions(device=device), output=output, overwrite=True, progress=progress)
    draw_preview(scene, run, preview, bands=None, stretch=StretchRule())
    ious = _ious(run.result, gpd.read_file(target / "rio_labels.gpkg"))
    box_ious = _ious(gpd.read_file(boxes), gpd.read_file(target / "rio_labels.gpkg"))
    found = run.record["counts"].get("ok", 0)
    tell(f"{found} of {len(run.result)} buildings outlined in {run.record['seconds']:.1f} s on {run.record['device']}.")
    tell(f"Mean IoU with the labels: {sum(ious) / len(ious):.3f} (the boxes themselves: {sum(box_ious) / len(box_ious):.3f}).")
    tell("(The ground of this scene is among the training pictures; the README tells how the model does elsewhere.)")
    tell(f"Outlines for QGIS: {output.resolve()}")
    tell(f"Picture:           {preview.resolve()}")


def _ious(frame: gpd.GeoDataFrame, labels: gpd.GeoDataFrame) -> list[float]:
    """IoU of each row's geometry with the label of the same row; 0 where there is none."""
    pairs = zip(frame.geometry, labels.geometry, strict=True)
    return [0.0 if g is None else g.intersection(t).area / g.union(t).area for g, t in pairs]
