"""Tracked boxes from any of the formats in `rosgeo.tracks.formats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rosgeo.errors import InputFileNotFoundError, TracksError
from rosgeo.tracks.formats.registry import FORMATS, format_named, recognise
from rosgeo.tracks.options import ReadOptions, TrackFormat
from rosgeo.tracks.origin import told_origin, with_origin
from rosgeo.tracks.values import Tracks
from rosgeo.types import RasterGrid, YAxis

__all__ = ["read_tracks"]

_LOOKED_INTO = 6


def read_tracks(
    path: str | Path,
    *,
    format: str | None = None,
    sequence: str | None = None,
    layer: str | None = None,
    frame_column: str | None = None,
    track_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    first_pixel: int | None = None,
    first_frame: int | None = None,
    boxes_crs: str | None = None,
    y_axis: YAxis = "auto",
    grid: RasterGrid | Mapping[int, RasterGrid | None] | None = None,
    size: tuple[int, int] | None = None,
) -> Tracks:
    """Read the tracked boxes of one clip.

    Every row of the source is a row of the result, in order: rows without a box have NaN, boxes of no size stay as they are, and a track
    may have two rows in a frame.

    Parameters
    ----------
    path : path
        A file, or the folder of a sequence.
    format : str, optional
        One of `rosgeo.tracks.formats.FORMATS`. Default: recognised by the content.
    sequence : str, optional
        Which video or sequence, where the source holds several: its name or id.
    layer : str, optional
        Of a file with several layers.
    frame_column, track_column : str, optional
        Names of these columns in a table or layer, where they are not the usual ones.
    columns : mapping of role to name, optional
        The same for ``category``, ``score``, ``x_min``, ``y_min``, ``x_max``, ``y_max``, ``width`` and ``height``.
    first_pixel : int, optional
        What the source calls the first column and row, 0 or 1. Default: the format's.
    first_frame : int, optional
        What the source calls the first frame of the clip. Default: the format's. Where frames are told by their line, they are numbered
        from this.
    boxes_crs : str, optional
        Of a layer: ``"pixel"``, or the CRS that it lacks.
    y_axis : {"auto", "down", "up"}
        Of a layer in pixels; see `rosgeo.tracks.formats.layer`.
    grid : RasterGrid or mapping of frame number to RasterGrid, optional
        Where the frames lie on the map; a layer in a map's CRS is brought to pixels by it. A number whose grid is None gives NaN boxes.
    size : (int, int), optional
        Height and width of a frame, for formats whose boxes are parts of it.

    Returns
    -------
    Tracks
        Zero rows where the source is a sequence without objects.

    Raises
    ------
    InputFileNotFoundError
        No such path.
    TracksError
        The format is not recognised or not clear, or a line is not as it should be.

    Warns
    -----
    TracksWarning
        Rows whose box is no usable one, which are kept without it.
    OptionError, CRSMismatchError
        See `rosgeo.tracks.formats.csv_table` and `rosgeo.tracks.formats.layer`.
    """
    source = Path(path)
    if not str(path).strip() or not source.exists():
        raise InputFileNotFoundError(f"{path}: no such file or folder; expected tracked boxes")
    given = {role: name for role, name in (("frame", frame_column), ("track_id", track_column)) if name is not None}
    options = ReadOptions(
        sequence=sequence,
        layer=layer,
        columns={**(columns or {}), **given},
        first_pixel=first_pixel,
        first_frame=first_frame,
        boxes_crs=boxes_crs,
        y_axis=y_axis,
        grid=grid,
        size=size,
    )
    if format is not None:
        return _read_as_told(source, format_named(format), options)
    candidate = source / sequence if sequence is not None and source.is_dir() and (source / sequence).is_dir() else source
    found = recognise(candidate)
    if found is None:
        raise TracksError(f"{path}: its format is not recognised; name it: {', '.join(FORMATS)}. {_hint(source)}".rstrip())
    try:
        return _read(candidate, found, options)
    except TracksError as error:
        told = f"{found.name} ({found.label})"
        raise TracksError(
            f"{error}. Recognised as {told}; if it is another format, name that: --from (of rosgeo video: --format)"
        ) from error


def _read_as_told(path: Path, format: TrackFormat, options: ReadOptions) -> Tracks:
    """Read in a format that the user named; where that fails the error names the one that is recognised."""
    try:
        return _read(path, format, options)
    except TracksError as error:
        try:
            found = recognise(path)
        except TracksError:
            found = None
        if found is None or found is format:
            raise
        raise TracksError(f"{error}. It looks like {found.name} ({found.label})") from error


def _read(path: Path, format: TrackFormat, options: ReadOptions) -> Tracks:
    tracks = format.read(path, with_origin(options, format))
    return replace(tracks, label=format.label, origin=told_origin(options, format, tracks))


def _hint(path: Path) -> str:
    """What is in a folder, or in a file's first line, to help with the choice."""
    from rosgeo.tracks.text import first_lines

    if path.is_dir():
        names = sorted(p.name for p in path.iterdir())
        holds = f"It holds: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else "It is an empty folder"
        return holds + _inside(path, names)
    lines = first_lines(path, 1)
    if not lines:
        return "It holds no text in UTF-8" if path.stat().st_size else "It is empty"
    return f"Its first line is {lines[0].strip()[:60]!r}"


def _inside(path: Path, names: list[str]) -> str:
    """What of a folder could be read instead."""
    for name in names[:_LOOKED_INTO]:
        try:
            found = recognise(path / name)
        except TracksError:
            continue
        # Rows that are told by nothing else can be anything.
        if found is not None and found.name != "mot":
            return f"; {path / name} is recognised as {found.name} ({found.label}): name that"
    return ""
