"""The pictures that label files name, wherever tools put them and whatever machine the names are of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from rosgeo.errors import InputFileNotFoundError, OptionError, TrainingDataError
from rosgeo.labelled.candidates import LabelledPicture
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.pictures import PictureHeader, has_rasterio
from rosgeo.labelled.pixels import RasterPixels

__all__ = ["BY_BASE_NAME", "PictureFinder", "base_name", "fit_picture", "picture_pixels"]

BY_BASE_NAME = "of pictures that were found by their base name"
_NOT_PICTURES = {".json", ".txt", ".yaml", ".yml", ".npy", ".xml", ".csv", ".cache"}
_LONG_NAME = 300
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


def base_name(name: str) -> str:
    """The name of a file in whatever names its place: a path of any system, a URL, Label Studio's ``?d=``; unquoted."""
    parts = urlsplit(name)
    query = parse_qs(parts.query) if "?" in name and ("://" in name or name.startswith("/data/")) else {}
    path = query["d"][0] if "d" in query else (parts.path if "://" in name else name)
    return unquote(re.split(r"[/\\]", path.rstrip("/\\"))[-1])


class PictureFinder:
    """Finds pictures by the names that a file gives.

    Parameters
    ----------
    root : Path
        Folder of the data set, in all of which a picture is looked for by its base name.
    places : sequence of Path
        Folders that names are relative to, the likeliest first.
    key : str
        What names a picture in the file, for messages.
    """

    def __init__(self, root: Path, places: Sequence[Path], key: str = "file_name") -> None:
        self._root, self._places, self._key = root, list(dict.fromkeys(places)), key
        self._index: dict[str, list[Path]] | None = None

    def find(self, name: str) -> tuple[Path | None, bool]:
        """The file of a name, and whether it was found by its base name only; None where it is not there or not the only one."""
        if not name.strip():
            return None, False
        if "://" not in name:
            for place in self._places:
                path = place / name
                if _is_file(path):
                    return path, False
        return self._by_base_name(name), True

    def _by_base_name(self, name: str) -> Path | None:
        if self._index is None:
            self._index = {}
            for path in sorted({p for folder in (*self._places, self._root) for p in _files(folder)}):
                self._index.setdefault(path.name.casefold(), []).append(path)
        base = base_name(name).casefold()
        found = self._index.get(base) or self._index.get(_UPLOADED.sub("", base), [])
        if len(found) > 1:
            tail = [part.casefold() for part in re.split(r"[/\\]", unquote(name))]
            shared = [_common_tail([part.casefold() for part in p.parts], tail) for p in found]
            found = [p for p, n in zip(found, shared, strict=True) if n == max(shared)]
        return found[0] if len(found) == 1 else None

    def require(self, missing: Sequence[str], source: Path) -> None:
        """Raise InputFileNotFoundError that names pictures which are missing, where there are any."""
        if not missing:
            return
        where = self._places[0]
        several = [p for p in (self._index or {}).get(base_name(missing[0]).casefold(), []) if p.is_file()]
        why = f"{len(several)} files have that name" if len(several) > 1 else "no such file"
        first = missing[0] if "://" in missing[0] else str(where / missing[0].replace("\\", "/"))
        stem = Path(base_name(missing[0])).stem.casefold()
        if others := [
            paths[0].name for name, paths in (self._index or {}).items() if stem and Path(name).stem == stem and not several
        ]:
            why = f"no such file, though there is {others[0]}"
        raise InputFileNotFoundError(
            f"{first if len(first) < _LONG_NAME else first[:_LONG_NAME] + '...'}: {why}, named under {self._key!r} in "
            f"{source} ({len(missing)} pictures are missing); looked for in {where} and, by its base name, in all of {self._root}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return ()
    return (p for p in folder.rglob("*") if p.suffix.lower() not in _NOT_PICTURES and not p.name.startswith(".") and p.is_file())


def _common_tail(a: Sequence[str], b: Sequence[str]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[-1 - n] == b[-1 - n]:
        n += 1
    return n


def fit_picture(
    header: PictureHeader, claimed: tuple[int, int] | None, source: Path, pixels: RasterPixels | None = None
) -> tuple[LabelledPicture, tuple[float, float], str]:
    """The picture that labels of a claimed size lie on.

    Parameters
    ----------
    header : PictureHeader
        Of the file.
    claimed : (int, int) or None
        Height and width that the labels were drawn on, where their file tells.
    source : Path
        The labels' file, for messages.
    pixels : RasterPixels, optional
        Bands, stretch and nodata that the user chose.

    Returns
    -------
    picture : LabelledPicture
        Turned as its EXIF says, unless the claimed size is that of the stored one only.
    scale : (float, float)
        What x and y of the labels must be multiplied by.
    note : str
        What to say of it; empty for nothing.

    Raises
    ------
    TrainingDataError
        The sizes are of different shape.
    """
    shape, orientation, note, scale = header.shown, header.orientation, "", (1.0, 1.0)
    if header.orientation != 1:
        note = "on pictures that are turned as their EXIF says"
    if claimed is not None and claimed != header.shown:
        if claimed == header.stored:
            shape, orientation, note = header.stored, 1, "on pictures whose EXIF turn is left out, as their labels' size says"
        else:
            scale = _scale(header, claimed, source)
            note = "scaled to the size of their picture"
    chosen = None if pixels is None else replace(pixels, path=str(header.path), upright=False)
    if orientation != header.orientation:
        chosen = replace(chosen or RasterPixels(str(header.path), upright=False), orientation=orientation)
    # What is no measurement in a picture by the user's word is in no header.
    plain = header.plain and (chosen is None or chosen.nodata is None)
    return LabelledPicture(header.path, *shape, raster=chosen, plain=plain), scale, note


def _scale(header: PictureHeader, claimed: tuple[int, int], source: Path) -> tuple[float, float]:
    height, width = header.shown
    # Each side may have been rounded when the picture was resized.
    same = abs(claimed[0] * width - claimed[1] * height) <= max(claimed[0], claimed[1], height, width)
    factor = max(height / claimed[0], claimed[0] / height)
    if not same or factor < 1.01:
        raise TrainingDataError(
            f"{header.path} is {width} x {height} px, but {source} says {claimed[1]} x {claimed[0]} (width x height); expected the size "
            "of the picture that was labelled. Name that picture, or mend the size in the file."
        )
    return width / claimed[1], height / claimed[0]


def picture_pixels(source: DataSource) -> RasterPixels | None:
    """How the pictures of a folder are read, where the user chose bands, a stretch or nodata."""
    if source.bands is None and source.stretch == "auto" and source.nodata is None:
        return None
    if not has_rasterio():
        raise OptionError(f"{source.name}: bands, stretch and nodata need the package rasterio, which is not here")
    from rosgeo.raster.bands import parse_bands, parse_stretch
    from rosgeo.raster.reading import parse_nodata

    parse_stretch(source.stretch)
    parse_nodata(source.nodata, "nodata")
    return RasterPixels("", parse_bands(source.bands), source.stretch, upright=False, nodata=source.nodata)
