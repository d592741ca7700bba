"""A run over several scenes: one layer of boxes in, one result out."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS

from rosgeo.errors import NoOverlapWarning, OutputError, RunInterruptedError
from rosgeo.geometry.boxes import transform_geometries
from rosgeo.geometry.crs import parse_crs
from rosgeo.inference.predict import Segmenter
from rosgeo.raster.bands import Stretch
from rosgeo.raster.mosaic import SceneHeader, join_scenes, read_headers
from rosgeo.run.append import ExistingResult, add_to
from rosgeo.run.executors import Progress, ProgressCounter, cluster_work, collect, run_local
from rosgeo.run.journal import Journal, resume_hint
from rosgeo.run.options import SegmentOptions
from rosgeo.run.record import describe_run, fingerprint, run_record
from rosgeo.run.scenes import ScenesRunner, SceneTile, SceneView, choose, open_scenes, require_one_map, view_of
from rosgeo.run.start import RunTarget, SegmentRun, interrupted_text, open_segmenter
from rosgeo.types import Boxes, FloatArray, IntArray, RasterGrid
from rosgeo.vector.detections.values import PictureRef
from rosgeo.vector.layers.boxes import BoxLayer, read_box_layer
from rosgeo.vector.layers.gpkg import prompts_frame
from rosgeo.vector.layers.write import output_driver, write_results
from rosgeo.vector.neighbours import simplify_together
from rosgeo.vector.polygonize import OutlineOptions
from rosgeo.vector.result import SCENE_COLUMN, ObjectResult, assemble_result

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["PreparedScenes", "prepare_scenes", "segment_scenes"]


@dataclass(frozen=True)
class PreparedScenes:
    """A run over several scenes that is ready for the model.

    Attributes
    ----------
    layer : BoxLayer
        N boxes.
    views : tuple of SceneView
        The mosaics that have boxes.
    view : int64 array (N,)
        Which of them each box is on; -1 for none.
    boxes_px : Boxes
        In the pixel frame of that view; NaN where there is none.
    prompts_map : object array (N,)
        The same on the map of the first scene.
    tiles : tuple of SceneTile
    skipped : tuple of ObjectResult
        What becomes of boxes that are not planned.
    scene_names : list of N str or None
        For the column ``rosgeo_scene``.
    base : RasterGrid
        Of the first scene, whose CRS the result has.
    out_crs : CRS or None
        Of the result where it is another.
    """

    layer: BoxLayer
    views: tuple[SceneView, ...]
    view: IntArray
    boxes_px: Boxes
    prompts_map: npt.NDArray[Any]
    tiles: tuple[SceneTile, ...]
    skipped: tuple[ObjectResult, ...]
    scene_names: list[str | None]
    base: RasterGrid
    out_crs: CRS | None


def prepare_scenes(
    headers: Sequence[SceneHeader],
    boxes: Any,
    options: SegmentOptions,
    outputs: Sequence[str | Path] = (),
    existing: ExistingResult | None = None,
    class_column: str | None = None,
) -> PreparedScenes:
    """Read and check the input of a run over several scenes, and plan it; see `prepare`.

    Warns
    -----
    NoOverlapWarning
        Not one usable box touches a scene.
    """
    out_crs = parse_crs(options.crs, "--crs") if options.crs is not None else None
    require_one_map(headers)
    layer = read_box_layer(
        boxes,
        layer=options.layer,
        where=options.where,
        boxes_crs=options.boxes_crs,
        box_format=options.box_format,
        pictures=[PictureRef(h.name, h.grid.width, h.grid.height) for h in headers],
        outputs=outputs,
        class_column=class_column,
    )
    ready = _planned(headers, layer, options, out_crs)
    if existing is None:
        return ready
    existing.in_crs(out_crs or ready.base.crs)
    existing.require_columns(layer.columns)
    # The boxes alone tell which are held: those of the rest are planned without them.
    boxes_px = Boxes(_in_frame(ready.prompts_map, ready.base), np.arange(len(layer)), "pixel")
    new = existing.lacks(layer.columns, boxes_px, ready.base)
    return ready if new.all() else _planned(headers, layer.of(new), options, out_crs)


def _planned(headers: Sequence[SceneHeader], layer: BoxLayer, options: SegmentOptions, out_crs: CRS | None) -> PreparedScenes:
    mosaics, base = join_scenes(headers), headers[0].grid
    chosen = choose(layer, mosaics, options)
    count = len(layer)
    xyxy, view = np.full((count, 4), np.nan), np.full(count, -1, dtype=np.int64)
    prompts: npt.NDArray[Any] = np.full(count, None, dtype=object)
    views: list[SceneView] = []
    tiles: list[SceneTile] = []
    status = np.where(chosen.usable, "outside", "invalid").astype(object)
    for number in sorted(set(chosen.mosaic.tolist()) - {-1}):
        one, boxes_px, own_tiles, unplanned = view_of(chosen, number, mosaics[number], layer, options)
        view[boxes_px.ids], xyxy[boxes_px.ids] = len(views), boxes_px.xyxy
        tiles += [SceneTile(tile.boxes, tile.windows, len(views)) for tile in own_tiles]
        views.append(one)
        status[boxes_px.ids] = "planned"
        status[unplanned] = "invalid"
        frame = prompts_frame(boxes_px, one.grid, boxes_px.ids.tolist(), [""] * len(boxes_px))
        prompts[boxes_px.ids] = transform_geometries(frame.geometry.to_numpy(), one.grid.crs, base.crs)
    if chosen.usable.any() and not views:
        warnings.warn(
            f"not one box of {layer.name} touches one of the {len(headers)} scenes ({headers[0].name}, ...). Check the CRS of both.",
            NoOverlapWarning,
            stacklevel=4,
        )
    skipped = tuple(ObjectResult(i, s) for i, s in enumerate(status.tolist()) if s != "planned")
    names = short_names([h.name for h in headers])
    scene_names = [" + ".join(names[m] for m in members) or None for members in chosen.members]
    boxes = Boxes(xyxy, np.arange(count), "pixel")
    return PreparedScenes(layer, tuple(views), view, boxes, prompts, tuple(tiles), skipped, scene_names, base, out_crs)


def short_names(names: Sequence[str]) -> list[str]:
    """Names of files without their folder, where that tells them apart; without what an address has after its ``?``.

    Scenes of one name, as arrays that have none, are numbered from 1 in their order among all.
    """
    plain = [name.partition("?")[0] if "://" in name else name for name in names]
    short = [name.replace("\\", "/").rsplit("/", 1)[-1] for name in plain]
    chosen = short if len(set(short)) == len(set(plain)) else plain
    return [f"{name} ({i})" if chosen.count(name) > 1 else name for i, name in enumerate(chosen, 1)]


def segment_scenes(
    target: RunTarget,
    scenes: Sequence[Any],
    boxes: Any,
    options: SegmentOptions,
    *,
    client: Client | None = None,
    progress: Progress | None = None,
    segmenter: Segmenter | None = None,
) -> SegmentRun:
    """`segment_run` of several scenes; see `rosgeo.run.scenes` for which box is segmented on which.

    Parameters
    ----------
    target : RunTarget
        Where the result goes. Scenes may be added between the runs of one output with `append`.
    scenes : sequence of path, data set or DataArray
        Two or more, of any CRS. Each is opened for its header, and again when it has boxes.
    boxes, options, client, progress, segmenter
        See `segment_run`.

    Returns
    -------
    SegmentRun
        The result is in the CRS of the first scene, or `options.crs`. Its column ``rosgeo_scene`` names the scene, or the tiles of a mosaic
        parted by `` + ``; null where there is none.
    """
    started = time.monotonic()
    outputs, existing = target.outputs, target.existing
    _require_no_coco(outputs)
    headers = read_headers(scenes, options.reading)
    ready = prepare_scenes(headers, boxes, options, outputs, existing, target.class_column)
    segmenter = segmenter or open_segmenter(options)
    facts = _facts(ready, options, segmenter)
    described = f"{len(headers)} scenes"
    if existing is not None:
        existing.require_same(facts, _described(existing, described))
    journal = None
    if outputs:
        # Where nothing is left to do, what an older run left to go on from is of no use.
        journal = Journal(outputs[0], _deciding(facts, headers, ready), resume=target.resume and bool(ready.tiles))
        journal.keep_only({number: tile.boxes.ids.tolist() for number, tile in enumerate(ready.tiles)})
    objects = _run(ready, options, segmenter, journal, client, progress)
    result = _assembled(ready, objects, segmenter, options.outline)
    prompts = _prompts_layer(ready.prompts_map, result, ready.base)
    with resume_hint(journal):
        if existing is not None:
            existing = existing.as_saved()
            result, prompts = add_to(existing, result), existing.prompts_with(prompts)
        record = run_record(
            **facts,
            inputs={"scene": described, "scenes": [h.name for h in headers], "boxes": ready.layer.name},
            objects=len(result),
            counts=dict(Counter(result["rosgeo_status"])),
            **({} if existing is None else {"added": len(ready.layer), "added_to": existing.runs}),
            seconds=time.monotonic() - started,
        )
        if outputs:
            write_results(result, outputs, record, prompts, read=None if existing is None else existing.stamp)
    if journal is not None:
        journal.remove()
    upright = any(view.upright for view in ready.views)
    return SegmentRun(result, record, ready.boxes_px, "map" if upright else "raster")


def _require_no_coco(outputs: Sequence[Path]) -> None:
    coco = next((o for o in outputs if output_driver(o) == "COCO"), None)
    if coco is not None:
        raise OutputError(
            f"{coco}: .json is COCO with one picture, and several scenes were given; write .gpkg, .parquet or .geojson"
        )


def _described(existing: ExistingResult, described: str) -> str:
    """What the record of a result must say of its scenes: anything, where these were several."""
    inputs = existing.record["inputs"]
    return str(inputs["scene"]) if "scenes" in inputs else described


def _facts(ready: PreparedScenes, options: SegmentOptions, segmenter: Segmenter) -> dict[str, Any]:
    """As `describe_run`, with the rules where a run of one scene has what they gave; that is listed by scene."""
    facts = describe_run(options, segmenter, (0, 0, 0), Stretch())
    views = [
        {
            "scenes": [t.name for t in v.mosaic.tiles],
            "bands": list(v.bands),
            "stretch": v.stretch.record(),
            "axes": "map" if v.upright else "raster",
            **v.told,
        }
        for v in ready.views
    ]
    rules = {"bands": None if options.bands is None else list(options.bands), "stretch": options.stretch, "axes": options.axes}
    return {**facts, **rules, "views": views}


def _deciding(facts: dict[str, Any], headers: Sequence[SceneHeader], ready: PreparedScenes) -> dict[str, str]:
    columns = "".join(map(str, ready.layer.frame.columns))
    boxes = sha256(ready.boxes_px.xyxy.tobytes() + ready.view.tobytes() + columns.encode()).hexdigest()[:16]
    files = [Path(h.scene) if isinstance(h.scene, str | Path) and Path(h.scene).is_file() else None for h in headers]
    sizes = [None if f is None else [f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    place = {
        "scenes": [[h.name, *h.grid.shape] for h in headers],
        "scene files": sizes,
        "boxes": f"{len(ready.layer)} rows, {boxes}",
    }
    return fingerprint(place, facts)


def _run(
    ready: PreparedScenes,
    options: SegmentOptions,
    segmenter: Segmenter,
    journal: Journal | None,
    client: Client | None,
    progress: Progress | None,
) -> list[ObjectResult]:
    """All results, in the map frame of the view of each."""
    finished = {} if journal is None else journal.finished
    objects = [*ready.skipped, *(result for results in finished.values() for result in results)]
    tiles = [(number, tile) for number, tile in enumerate(ready.tiles) if number not in finished]
    counter = ProgressCounter(len(ready.layer), objects, progress)
    runner = ScenesRunner(ready.views, segmenter, options.outline)
    try:
        with resume_hint(journal), closing(_work(tiles, ready, runner, options, client)) as work:
            objects += collect(work, dict(tiles), journal, counter)
    except KeyboardInterrupt:
        raise RunInterruptedError(interrupted_text(counter, journal)) from None
    finally:
        runner.close()
        if journal is not None:
            journal.close()
    return objects


def _work(
    tiles: list[tuple[int, SceneTile]], ready: PreparedScenes, runner: ScenesRunner, options: SegmentOptions, client: Client | None
) -> Generator[tuple[int, ObjectResult]]:
    if client is None or not ready.views:
        return run_local(tiles, runner)
    first = ready.views[0]
    return cluster_work(tiles, ready.views, first.bands, first.stretch, runner.segmenter, options, client, open_runner=open_scenes)


def _assembled(
    ready: PreparedScenes, objects: Sequence[ObjectResult], segmenter: Segmenter, outline: OutlineOptions
) -> gpd.GeoDataFrame:
    """The result on the map of the first scene, or in the CRS that was asked for."""
    by_view: dict[int, list[ObjectResult]] = {}
    for result in objects:
        by_view.setdefault(int(ready.view[result.id]), []).append(result)
    moved: list[ObjectResult] = []
    for number, results in by_view.items():
        if number < 0:
            moved += results
            continue
        grid = ready.views[number].grid
        simple = simplify_together(results, grid, outline)
        shapes = np.array([*(r.polygon_map for r in simple), None], dtype=object)[:-1]
        if grid.crs != ready.base.crs:
            shapes = shapely.make_valid(transform_geometries(shapes, grid.crs, ready.base.crs))
        moved += [replace(r, polygon_map=shape) for r, shape in zip(simple, shapes, strict=True)]
    result = assemble_result(
        ready.layer.frame, moved, ready.base.crs, segmenter.model.name, out_crs=ready.out_crs, rows=ready.layer.rows
    )
    result[SCENE_COLUMN] = pd.Series(ready.scene_names, index=result.index, dtype=object)
    return result


def _in_frame(prompts_map: npt.NDArray[Any], grid: RasterGrid) -> FloatArray:
    bounds: FloatArray = shapely.bounds(shapely.transform(prompts_map, grid.mapping.to_px))
    return bounds


def _prompts_layer(prompts_map: npt.NDArray[Any], result: gpd.GeoDataFrame, base: RasterGrid) -> gpd.GeoDataFrame:
    """As `prompts_frame`, from polygons on the map."""
    columns = {"prompt_row": result["rosgeo_id"].to_numpy(dtype=np.int64), "prompt_status": result["rosgeo_status"].tolist()}
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(prompts_map, crs=base.crs))
