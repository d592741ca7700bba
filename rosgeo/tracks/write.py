"""Tracked boxes to the formats that can hold them."""

from __future__ import annotations

from pathlib import Path

from rosgeo.errors import OptionError
from rosgeo.tracks.formats.registry import TARGETS, format_named
from rosgeo.tracks.options import WriteOptions
from rosgeo.tracks.origin import refuse_early_frames
from rosgeo.tracks.values import Tracks

__all__ = ["check_target", "write_tracks"]


def check_target(path: str | Path, format: str, *, overwrite: bool = False, inputs: tuple[str, ...] = ()) -> Path:
    """Find out before any work whether tracks can be written to a path in a format.

    Raises
    ------
    OptionError
        The format is no target, or the extension is none of its own.
    OutputError
        See `rosgeo.vector.layers.write.check_output`.
    """
    from rosgeo.vector.layers.write import check_output

    target = format_named(format)
    if target.write is None:
        raise OptionError(f"tracks cannot be written as {format}; expected one of {', '.join(TARGETS)}")
    if Path(path).suffix.lower() not in target.suffixes:
        raise OptionError(f"{path}: files of {format} end in {' or '.join(target.suffixes)}; name the output so")
    return check_output(path, overwrite=overwrite, inputs=inputs)


def write_tracks(
    tracks: Tracks,
    path: str | Path,
    format: str,
    *,
    overwrite: bool = False,
    size: tuple[int, int] | None = None,
    track: str | None = None,
    name: str | None = None,
) -> list[str]:
    """Write tracks in a format, beside its place first, and put there by one rename.

    Frames keep their place in the clip: a clip that begins with frame 1 in MOTChallenge begins with 0 in COCO. A table and a layer keep the
    numbers too.

    Parameters
    ----------
    tracks : Tracks
    path : path
    format : str
        One of `rosgeo.tracks.formats.TARGETS`.
    overwrite : bool
        An existing file may be replaced. The source of the tracks never is.
    size : (int, int), optional
        Height and width of a frame in pixels, which JSON formats tell.
    track : str, optional
        The one to write, where the target holds one.
    name : str, optional
        Of the clip, which JSON formats tell. Default: the source's.

    Returns
    -------
    list of str
        What the format cannot hold, in words.

    Raises
    ------
    OptionError, OutputError
        See `check_target`; the format cannot hold the tracks at all.
    TracksError
        A row lies before the first frame of the clip.
    """
    from rosgeo.vector.layers.write import writing

    source = tracks.source.partition(' (layer "')[0]
    target = check_target(path, format, overwrite=overwrite, inputs=(source,))
    refuse_early_frames(tracks)
    write = format_named(format).write
    assert write is not None
    with writing(target) as partial:
        return write(tracks, partial, WriteOptions(size=size, track=track, name=name, target=str(path)))
