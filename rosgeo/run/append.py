"""Boxes added to a result that is there: which of them it holds already, and the two results as one."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from rosgeo.addresses.secrets import without_secrets
from rosgeo.errors import ColumnsWarning, FormatLossWarning, OptionError, OutputError
from rosgeo.geometry.crs import crs_label
from rosgeo.types import BoolArray, Boxes, FloatArray, IntArray, RasterGrid
from rosgeo.vector.layers.columns import unique_names, with_index
from rosgeo.vector.layers.database import held_alone, tables_of
from rosgeo.vector.layers.gpkg import PROMPTS_LAYER
from rosgeo.vector.layers.join import column_texts, joined_columns
from rosgeo.vector.layers.place import Stamp, stamp_of
from rosgeo.vector.layers.write import LAYER, read_record, read_written
from rosgeo.vector.result import RESULT_COLUMNS, SCENE_COLUMN

__all__ = ["ExistingResult", "add_to", "new_boxes", "read_existing_result", "row_labels"]

_SAME_BOX_PX = 1 / 16
"""Boxes whose sides all lie closer are one: more than another CRS or format changes, less than anybody means."""

REMOVED = "removed"
"""The `prompt_status` of a box whose row a person removed from the result."""

_NO_LABEL = "\0"
"""Like no row's."""

_OWN_VALUES: dict[str, Any] = {
    name: "" if name in ("rosgeo_status", "rosgeo_model") else 0 if name == "rosgeo_id" else 0.5 for name in RESULT_COLUMNS
}
"""Values of the kinds that `assemble_result` gives its columns."""

_OWN_TABLES = (LAYER, PROMPTS_LAYER, "layer_styles")

_WAYS_ON = "Name another output, or make this one anew with --overwrite instead of --append"

_FREE_OPTIONS = frozenset({"batch_size", "device", "layer", "where", "boxes_crs", "y_axis", "box_format"})
"""Options that may differ between the runs that made one result."""


@dataclass(frozen=True)
class ExistingResult:
    """A result that boxes are to be added to.

    Attributes
    ----------
    path : Path
    result : GeoDataFrame (N rows)
        As it was written, and since then corrected.
    record : dict
        Of the last run that wrote it.
    prompts : GeoDataFrame (M rows)
        The boxes that were given to the model, see `prompts_frame`, in the map frame of the scene. A row that a person removed has left its
        box here, which so stays held.
    prompt_of_row : int64 array (N,)
        Which of them each row of `result` came from; -1 for rows that a person drew.
    stamp : Stamp
        Of the file as it was read.
    """

    path: Path
    result: gpd.GeoDataFrame
    record: dict[str, Any]
    prompts: gpd.GeoDataFrame
    prompt_of_row: IntArray
    stamp: Stamp

    def boxes_px(self, grid: RasterGrid) -> FloatArray:
        """The prompts (M, 4) in the pixel frame of a raster; NaN for what was no box."""
        bounds: FloatArray = shapely.bounds(shapely.transform(self.prompts.geometry.to_numpy(), grid.mapping.to_px))
        return bounds

    def lacks(self, frame: gpd.GeoDataFrame, boxes_px: Boxes, grid: RasterGrid) -> BoolArray:
        """Which rows of a layer, with their boxes in the pixel frame of a raster, this result does not hold; see `new_boxes`."""
        mine, theirs = row_labels(frame, self.result)
        labels = np.full(len(self.prompts), _NO_LABEL, dtype=object)
        paired = self.prompt_of_row >= 0
        labels[self.prompt_of_row[paired]] = np.array([*theirs, ""], dtype=object)[:-1][paired]
        return new_boxes(boxes_px.xyxy, self.boxes_px(grid), mine, labels.tolist())

    def in_crs(self, crs: CRS | None) -> gpd.GeoDataFrame:
        """The rows that are held; raises OptionError where they are in another CRS than new ones will be."""
        if crs is None:
            # The name that a GeoPackage has for coordinates in pixels.
            return self.result.set_crs(None, allow_override=True)
        if self.result.crs != crs:
            raise OptionError(
                f"--append: {self.path} is in {crs_label(self.result.crs)}, the new rows in {crs_label(crs)}; see --crs"
            )
        return self.result

    def require_columns(self, frame: gpd.GeoDataFrame) -> None:
        """Raise OptionError where the result lacks columns of new rows, rosgeo's own among them, or has them of another kind."""
        own = {**_OWN_VALUES, **({SCENE_COLUMN: ""} if "scenes" in self.record.get("inputs", {}) else {})}
        joined_columns(self.result, frame.assign(**own), str(self.path))

    def require_same(self, facts: dict[str, Any], scene: str) -> None:
        """Raise OptionError, with what changed, where a run would not give the rows that this result holds."""
        scenes = (without_secrets(str(self.record.get("inputs", {}).get("scene"))), without_secrets(scene))
        # The same file by another name is the same scene.
        same = all(Path(s).exists() for s in scenes) and Path(scenes[0]).samefile(scenes[1])
        old, new = ({"scene": scenes[0] if same else s, **_deciding(f)} for s, f in zip(scenes, (self.record, facts), strict=True))
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if changed:
            what = "; ".join(f"{key} was {old.get(key)}, is {new.get(key)}" for key in changed[:3])
            raise OptionError(f"--append: {self.path} was made in another way ({what}). Run as then, or name another output")

    def joined(self, boxes: Boxes, grid: RasterGrid) -> Boxes:
        """The prompts of the rows, NaN for those that a person drew, and then new ones, numbered anew."""
        of_rows = np.concatenate([self.boxes_px(grid), np.full((1, 4), np.nan)])[self.prompt_of_row]
        xyxy = np.concatenate([of_rows, boxes.xyxy])
        return replace(boxes, xyxy=xyxy, ids=np.arange(len(xyxy)))

    def prompts_with(self, new: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """The layer of prompts for this result with new rows behind its own: a prompt for each row in order, then those without a row."""
        row, status = "prompt_row", "prompt_status"
        geometry = gpd.GeoSeries(self.prompts.geometry.to_numpy(), crs=new.crs)
        held = gpd.GeoDataFrame(self.prompts[[row, status]], geometry=geometry)
        of_rows = held.reindex(np.where(self.prompt_of_row >= 0, self.prompt_of_row, -1)).reset_index(drop=True)
        of_rows[status] = self.result["rosgeo_status"].to_numpy()
        without = held.drop(index=self.prompt_of_row[self.prompt_of_row >= 0]).assign(**{status: REMOVED})
        joined = pd.concat([of_rows, new, without], ignore_index=True)
        joined[row] = joined[row].astype("Int64" if joined[row].isna().any() else np.int64)
        return gpd.GeoDataFrame(joined, geometry="geometry", crs=new.crs)

    def as_saved(self) -> ExistingResult:
        """What the file holds now: a person may have saved corrections while new boxes were segmented.

        Raises
        ------
        OutputError
            It is open in another program.
        """
        try:
            with held_alone(self.path):
                same = stamp_of(self.path) == self.stamp
        except FileNotFoundError:
            raise OutputError(f"--append: {self.path} is gone; run without --append and --resume to make it anew") from None
        return self if same else read_existing_result(self.path)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that made this result: when each ended, on which boxes, and how many rows it added."""
        record = self.record
        rows = record.get("added", record.get("objects"))
        own = {"finished": record.get("finished"), "boxes": record.get("inputs", {}).get("boxes"), "rows": rows}
        return [*record.get("added_to", []), own]


def _deciding(facts: dict[str, Any]) -> dict[str, str]:
    """What decides an outline, as text by name."""
    parts = {key: facts.get(key) for key in ("model", "precision", "bands", "stretch", "axes")}
    options = {f"option {key}": value for key, value in facts.get("options", {}).items() if key not in _FREE_OPTIONS}
    return {key: str(_listed(value)) for key, value in {**parts, **options}.items()}


def _listed(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, dict):
        return {key: _listed(v) for key, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, tuple | list) else value


def read_existing_result(path: str | Path) -> ExistingResult:
    """The result of an earlier run with its prompts.

    Raises
    ------
    OutputError
        The file is no GeoPackage that ``rosgeo segment`` wrote: other formats hold no record of their run; or it has lost columns of
        rosgeo's, or prompts, without which nobody knows what boxes its outlines are of; or a person put other layers into it.

    Notes
    -----
    An outline and its prompt have one number (fid), as they were written. Rows that a person drew since then have higher ones.
    """
    target = Path(path)
    if target.suffix.lower() != ".gpkg":
        raise OutputError(f"--append: {target} holds no record of its run; boxes can be added to a .gpkg only")
    try:
        stamp = stamp_of(target)
        record, result, prompts = read_record(target), read_written(target), read_written(target, PROMPTS_LAYER)
        tables = tables_of(target)
    except (OutputError, OSError, ValueError) as error:
        raise OutputError(f"--append: {error}. {_WAYS_ON}") from error
    more = [name for name in tables if name not in _OWN_TABLES]
    if more:
        raise OutputError(
            f"--append: {target} also holds {', '.join(more)}, which rosgeo did not write and would not keep. Move what it is to "
            "another file first, or name another output"
        )
    lost = [name for name in RESULT_COLUMNS if name not in result.columns]
    if lost:
        raise OutputError(f"--append: {target} has lost {', '.join(lost)}, which rosgeo wrote. {_WAYS_ON}")
    if result["rosgeo_id"].dtype.kind == "f":  # rows that a person drew have none
        result["rosgeo_id"] = result["rosgeo_id"].astype("Int64")
    prompt_of_row = _prompts_of(result.index.to_numpy(), prompts, int(record.get("objects", len(prompts))), target)
    return ExistingResult(target, result.reset_index(drop=True), record, prompts.reset_index(drop=True), prompt_of_row, stamp)


def _prompts_of(rows: IntArray, prompts: gpd.GeoDataFrame, written: int, path: Path) -> IntArray:
    """The place among the prompts of each outline by its fid; -1 for those that were drawn by hand."""
    lost = {"prompt_row", "prompt_status"} - set(prompts.columns)
    of_rows = prompts.index[prompts["prompt_status"] != REMOVED] if not lost else prompts.index[:0]
    found = np.where(np.isin(rows, of_rows), prompts.index.get_indexer(rows), -1)
    orphans = int(((found < 0) & (rows <= written)).sum())
    if lost or orphans:
        what = f"{orphans} of {len(rows)} outlines have" if orphans else "its layer prompts has"
        raise OutputError(
            f"--append: {path}: {what} lost what tells of their boxes; rows or columns of the layer {PROMPTS_LAYER} were removed since "
            f"rosgeo wrote it. {_WAYS_ON}"
        )
    return found.astype(np.int64)


def new_boxes(
    boxes_px: FloatArray, existing_px: FloatArray, labels: Sequence[str] = (), held_labels: Sequence[str] = ()
) -> BoolArray:
    """Which boxes are not among those of a result.

    Parameters
    ----------
    boxes_px, existing_px : float64 arrays (N, 4), (M, 4)
        Pixel frame; NaN for what is no box.
    labels, held_labels : sequences of N and M str
        What rows without a box are told by; see `row_labels`.

    Returns
    -------
    bool array (N,)
        A held box stands for one box: of two equal ones, one is new where one is held.
    """
    new = np.ones(len(boxes_px), dtype=bool)
    without, held_without = (np.flatnonzero(~np.isfinite(b).all(axis=1)) for b in (boxes_px, existing_px))
    left = Counter(held_labels[int(i)] for i in held_without)
    for row in without:
        if left[labels[int(row)]] > 0:
            left[labels[int(row)]] -= 1
            new[row] = False
    rows, held_rows = (np.flatnonzero(np.isfinite(b).all(axis=1)) for b in (boxes_px, existing_px))
    corners, held_corners = (shapely.points(b[r, :2]) for b, r in ((boxes_px, rows), (existing_px, held_rows)))
    pairs = shapely.STRtree(held_corners).query(corners, predicate="dwithin", distance=2 * _SAME_BOX_PX)
    taken: set[int] = set()
    apart = np.abs(boxes_px[rows[pairs[0]]] - existing_px[held_rows[pairs[1]]]).max(axis=1, initial=0.0)
    pairs, apart = pairs[:, apart <= _SAME_BOX_PX], apart[apart <= _SAME_BOX_PX]
    # Of boxes in one place, those come first that are also told alike (by their ids, where they have any), and then the nearest.
    unlike = [not labels or labels[int(rows[m])] != held_labels[int(held_rows[t])] for m, t in pairs.T.tolist()]
    for mine, theirs in pairs.T[np.lexsort((apart, unlike))].tolist():
        row = rows[mine]
        if new[row] and theirs not in taken:
            taken.add(theirs)
            new[row] = False
    return new


def row_labels(frame: gpd.GeoDataFrame, held: gpd.GeoDataFrame) -> tuple[list[str], list[str]]:
    """A text for each row of new boxes, and of those that are held: of the columns that both have, but rosgeo's and the geometry."""
    mine, theirs = (column_texts(f, (*RESULT_COLUMNS, SCENE_COLUMN)) for f in (frame, held))
    common = [name for name in mine if name in theirs]
    if not common:
        return [""] * len(frame), [""] * len(held)
    first, second = ([repr(row) for row in zip(*(texts[n] for n in common), strict=True)] for texts in (mine, theirs))
    return first, second


def add_to(existing: ExistingResult, result: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The rows that are held and those of a new result, in this order, as a GeoPackage holds them.

    Columns that the result was given since it was written are empty in new rows.

    Raises
    ------
    OptionError
        See `ExistingResult.require_columns`, which finds it before.

    Warns
    -----
    ColumnsWarning
        The new rows lack columns.
    FormatLossWarning
        What it cannot hold as it is.
    """
    old = existing.in_crs(result.crs)
    if not len(result):
        return old
    columns, lost, missing = joined_columns(old, with_index(result), str(existing.path))
    if missing:
        text = f"the new boxes have no column {', '.join(missing)}, which {existing.path} has; it is empty in their rows"
        warnings.warn(text, ColumnsWarning, stacklevel=2)
    if lost:
        what = f"{existing.path}: a GeoPackage cannot hold all of the new rows as it is: {'; '.join(lost)}"
        warnings.warn(what, FormatLossWarning, stacklevel=2)
    shapes = np.concatenate([old.geometry.to_numpy(), result.geometry.to_numpy()])
    name = unique_names([*columns.columns, result.geometry.name])[-1]
    joined = gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(shapes, index=columns.index, crs=old.crs, name=name))
    joined.attrs = columns.attrs
    return joined
