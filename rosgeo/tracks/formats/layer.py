"""A vector layer (GeoPackage, GeoJSON, FlatGeobuf, GeoParquet, Shapefile) with a frame and a track column.

Where the layer lies in the clip's pixels, which way y points is told by its sign, or by ``y_axis``; see
`rosgeo.geometry.boxes.points_up`. A layer in a map's CRS is brought to pixels by the clip's grid, which the caller
gives (``grid``: one for the clip, or one for each frame): as in `rosgeo.geometry.boxes.boxes_to_px`, the outline is transformed, and its
envelope taken last. Frames count from 0 unless ``first_frame`` or a column ``rosgeo_first_frame`` says
otherwise; a time column is kept as any other.

As a target: the layer ``tracks`` in pixels with y = -row, in the undefined Cartesian CRS of GeoPackage; oriented boxes as they are.
Frames and their names as in a table (`rosgeo.tracks.formats.csv_table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from rosgeo.errors import BoxesError, CRSMismatchError, TracksError
from rosgeo.geometry.boxes import boxes_to_px, flip_y, geometries_on, points_up, usable_geometries
from rosgeo.geometry.place import RASTER_CRS
from rosgeo.tracks.build import make_tracks, track_ids
from rosgeo.tracks.named_columns import choose_columns, first_frame_of, names_of_frames
from rosgeo.tracks.options import Origin, ReadOptions, TrackFormat, WriteOptions
from rosgeo.tracks.targets import FIRST_FRAME, has_box, with_frames
from rosgeo.tracks.values import Tracks
from rosgeo.types import FloatArray, IntArray, RasterGrid

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = ["FORMAT", "LAYER", "tracks_from_layer"]

LAYER = "tracks"
_SUFFIXES = (".gpkg", ".geojson", ".fgb", ".parquet", ".geoparquet", ".shp", ".gml", ".kml", ".sqlite")
_MAGIC = (b"SQLite format 3\0", b"fgb", b"PAR1", b"\0\0\x27\x0a")
"""First bytes of GeoPackage, FlatGeobuf, GeoParquet and Shapefile."""

_HEAD_BYTES = 4096


def _recognise(path: Path) -> bool:
    """By the magic numbers of binary formats and GeoJSON's own word; by the extension for what is not seen in the first bytes."""
    if not path.is_file():
        return path.suffix.lower() == ".gdb"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(_MAGIC) or b'"FeatureCollection"' in head or path.suffix.lower() in _SUFFIXES


def _read(path: Path, options: ReadOptions) -> Tracks:
    from rosgeo.vector.layers.read import read_boxes

    try:
        frame = read_boxes(path, layer=options.layer, boxes_crs=options.boxes_crs)
    except BoxesError as error:
        raise TracksError(str(error)) from error
    name = f'{path} (layer "{options.layer}")' if options.layer else str(path)
    return tracks_from_layer(frame, name, options)


def tracks_from_layer(frame: gpd.GeoDataFrame, name: str, options: ReadOptions) -> Tracks:
    """Tracks from a layer that is in memory.

    Parameters
    ----------
    frame : GeoDataFrame (N rows)
        Polygons, or null where a row has no box; a frame and a track column.
    name : str
        For messages and the record.
    options : ReadOptions
        ``columns`` for the roles ``frame``, ``track_id``, ``category``, ``score``; ``boxes_crs`` ``"pixel"`` where the layer's CRS is
        wrong and it is in pixels, ``"raster"`` for coordinates of the frames' own map, or a CRS where it has none; ``y_axis``; ``grid``.

    Returns
    -------
    Tracks
        Boxes in the pixel frame; ``corners`` where the polygons are quadrilaterals that are not upright. Null and unusable geometries
        give NaN.

    Raises
    ------
    TracksError, OptionError
        No frame or track column, or one that holds no ids; which way y points is not clear.
    CRSMismatchError
        The layer is in a map's CRS, and there is no grid, or one without CRS.
    """
    import pandas as pd

    names = [str(c) for c in frame.columns if c != frame.geometry.name]
    roles = choose_columns(names, options.columns, name)
    numbers = _frames(frame[roles["frame"]], name)
    geometries: npt.NDArray[Any] = np.asarray(frame.geometry.to_numpy(), dtype=object)
    of_grid = (options.boxes_crs or "").lower() == RASTER_CRS
    crs = None if of_grid else _map_crs(frame.crs, options.boxes_crs)
    if crs is not None or of_grid or (options.grid is not None and options.boxes_crs != "pixel" and frame.crs is None):
        xyxy, corners = _from_map(geometries, crs, numbers, options.grid, name)
    else:
        px = shapely.transform(geometries, flip_y) if _points_up(geometries, options, name) else geometries
        px = shapely.transform(px, lambda points: points - options.pixel) if options.pixel else px
        xyxy, corners = _envelopes(px), _quads(px)
    named = names_of_frames(numbers, _texts(frame[roles["frame_name"]])) if "frame_name" in roles else {}
    taken = {FIRST_FRAME, roles["frame"], roles["track_id"], frame.geometry.name, *([roles["frame_name"]] if named else [])}
    renamed = {roles[r]: r for r in ("category", "score") if r in roles}
    columns: dict[str, Any] = {renamed.get(c, c): frame[c].to_numpy() for c in names if c not in taken}
    if "category" in columns:
        columns["category"] = _texts(columns["category"])
    if "score" in roles and pd.api.types.is_numeric_dtype(frame[roles["score"]]):
        columns["score"] = frame[roles["score"]].to_numpy(dtype=np.float64, na_value=np.nan)

    def error(row: int, what: str) -> TracksError:
        return TracksError(f"{name}, row {row}: {what}")

    first = frame[FIRST_FRAME] if FIRST_FRAME in names else pd.Series(dtype=np.float64)
    return make_tracks(
        source=name,
        format="layer",
        frame=numbers,
        track_id=track_ids(_ids(frame[roles["track_id"]], name)),
        xyxy=xyxy,
        lines=np.arange(1, len(frame) + 1),
        first_frame=first_frame_of(_numbers(first), options, error),
        columns=columns,
        corners=corners,
        frame_names=named,
        error=error,
    )


def _missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or NA; a list is none of these."""
    import pandas as pd

    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _texts(values: Any) -> list[str]:
    return ["" if _missing(v) else str(v) for v in values]


def _numbers(values: pd.Series) -> FloatArray:
    import pandas as pd

    numbers: FloatArray = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _frames(values: Any, name: str) -> IntArray:
    numbers = _numbers(values)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~((numbers == np.round(numbers)) & (np.abs(numbers) < 2**53)))
    if len(wrong):
        raise TracksError(f"{name}, row {wrong[0]}: {values.iloc[wrong[0]]!r} is no frame number; expected a whole number")
    result: IntArray = numbers.astype(np.int64)
    return result


def _ids(values: Any, name: str) -> list[str]:
    texts = []
    for row, value in enumerate(values):
        if _missing(value):
            raise TracksError(f"{name}, row {row}: the track's id is null; expected one in every row")
        texts.append(f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value))
    return texts


def _map_crs(own: Any, boxes_crs: str | None) -> CRS | None:
    """The layer's CRS where that is one of a map; None for pixels, whose CRS is none or one of GeoPackage's undefined ones."""
    from rosgeo.geometry.crs import known_crs, parse_crs
    from rosgeo.geometry.place import PIXEL_CRS

    if boxes_crs is not None:
        return None if boxes_crs.lower() == PIXEL_CRS else parse_crs(boxes_crs, "--boxes-crs")
    crs = known_crs(own)
    return crs if crs is not None and (crs.is_projected or crs.is_geographic) else None


def _from_map(
    geometries: npt.NDArray[Any],
    crs: CRS | None,
    frames: IntArray,
    grid: RasterGrid | Mapping[int, RasterGrid | None] | None,
    name: str,
) -> tuple[FloatArray, FloatArray | None]:
    if grid is None:
        raise CRSMismatchError(
            f"{name} is in {crs.name if crs is not None else 'map coordinates'}, and the clip's place on the map is not known. Give it "
            "(the frames' georeferencing), or pass --boxes-crs pixel if the layer is in pixels."
        )
    xyxy = np.full((len(geometries), 4), np.nan)
    corners = np.full((len(geometries), 4, 2), np.nan)
    any_quads = False
    for number in np.unique(frames):
        rows = np.flatnonzero(frames == number)
        place = grid if isinstance(grid, RasterGrid) else grid.get(int(number))
        if place is None:
            if not isinstance(grid, RasterGrid) and int(number) in grid:
                # Known to lie nowhere: whoever gave the grids says what becomes of these rows.
                continue
            raise TracksError(f"{name}, row {rows[0]}: frame {number} is none of the clip's georeferenced frames")
        if crs is not None and place.crs is None:
            raise CRSMismatchError(
                f"{name} is in {crs.name}, but frame {number} has no CRS. Pass --boxes-crs pixel if it is in pixels."
            )
        xyxy[rows] = boxes_to_px(geometries[rows], crs, place).xyxy
        quads = _quads(shapely.transform(geometries_on(geometries[rows], crs, place), place.mapping.to_px))
        if quads is not None:
            any_quads = True
            corners[rows] = quads
    return xyxy, corners if any_quads else None


def _points_up(geometries: npt.NDArray[Any], options: ReadOptions, name: str) -> bool:
    try:
        return points_up(geometries, options.y_axis, name)
    except BoxesError as error:
        raise TracksError(str(error)) from error


def _envelopes(geometries: npt.NDArray[Any]) -> FloatArray:
    xyxy: FloatArray = np.full((len(geometries), 4), np.nan)
    # A box of no size has no area and is no prompt, but it is a box: whoever prompts with it says so.
    there = usable_geometries(geometries) | (~shapely.is_missing(geometries) & ~shapely.is_empty(geometries))
    xyxy[there] = shapely.bounds(geometries[there])
    return xyxy


def _quads(geometries: npt.NDArray[Any]) -> FloatArray | None:
    """Corners (N, 4, 2) where all geometries that are there are quadrilaterals, and one of them is not upright."""
    there = np.flatnonzero(~shapely.is_missing(geometries) & ~shapely.is_empty(geometries))
    simple = shapely.get_type_id(geometries[there]) == 3
    if not len(there) or not simple.all() or (shapely.get_num_coordinates(geometries[there]) != 5).any():
        return None
    corners: FloatArray = np.full((len(geometries), 4, 2), np.nan)
    corners[there] = shapely.get_coordinates(geometries[there]).reshape(-1, 5, 2)[:, :4]
    found = corners[there]
    edges = np.abs(np.roll(found, -1, axis=1) - found)
    return corners if (edges.min(axis=2) > 1e-9 * (1 + np.abs(found).max())).any() else None


def _write(tracks: Tracks, path: Path, options: WriteOptions) -> list[str]:
    import geopandas as gpd
    import pyogrio

    from rosgeo.vector.layers.write import UNDEFINED_CARTESIAN

    geometry = np.full(len(tracks), None, dtype=object)
    rows = np.flatnonzero(has_box(tracks))
    x_min, y_min, x_max, y_max = tracks.xyxy[rows].T
    corners = tracks.corners[rows] if tracks.corners is not None else np.stack(
        [np.stack(c, axis=1) for c in ((x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max))], axis=1
    )  # fmt: skip
    geometry[rows] = shapely.polygons(flip_y(corners))
    table = tracks.table.rename(columns={c: f"source_{c}" for c in tracks.table.columns if str(c).lower() in ("fid", "geom")})
    table = with_frames(tracks, table)
    layer = gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(geometry, index=table.index), crs=UNDEFINED_CARTESIAN)
    pyogrio.write_dataframe(layer, path, driver="GPKG", layer=LAYER, GEOMETRY_NAME="geom", geometry_type="Polygon", VERSION="1.2")
    return []


FORMAT = TrackFormat(
    "layer",
    "a vector layer with frame and track columns",
    "a vector layer",
    Origin(0, 0, "no standard: --first-frame or the column rosgeo_first_frame says otherwise; the map has no first pixel"),
    _recognise,
    _read,
    _write,
    (".gpkg",),
)
