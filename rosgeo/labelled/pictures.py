"""Picture files of labelled folders: what their headers say, how they are turned to be shown, and whether they are whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rosgeo.errors import TrainingDataError, UserInputError
from rosgeo.types import BoolArray, UInt8Array

__all__ = [
    "PICTURES",
    "UNREADABLE",
    "PictureHeader",
    "decode_plain",
    "has_rasterio",
    "picture_shape",
    "read_header",
    "read_headers",
    "require_one_of_each_name",
]

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no picture, or a torn one, or one that is larger than it likes."""

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".gif"}
"""Endings of picture files in folders that name them by nothing else."""

_ORIENTATION = 274
"""The tag of EXIF and TIFF."""

_LARGE = {5, 6, 7, 8}
"""Orientations that swap height and width."""

_ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
_TAIL_BYTES = 1 << 16
_NAMED = 5


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says of itself.

    Attributes
    ----------
    path : Path
    height, width : int
        As it is stored.
    orientation : int
        EXIF's number, 1 to 8: how it is turned to be shown; 1 for not at all.
    plain : bool
        8 bits a band and no transparency, in a format that Pillow and GDAL read alike, so that every pixel is valid.
    """

    path: Path
    height: int
    width: int
    orientation: int = 1
    plain: bool = True

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width as stored."""
        return self.height, self.width

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width as a viewer shows it."""
        return (self.width, self.height) if self.orientation in _LARGE else (self.height, self.width)


@lru_cache(maxsize=1)
def has_rasterio() -> bool:
    """Whether rasters can be read here: a bare GPU machine has no geospatial packages."""
    try:
        import rosgeo.raster.source  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def read_headers(paths: Iterable[Path]) -> dict[Path, PictureHeader]:
    """The headers of pictures, each file once.

    Raises
    ------
    TrainingDataError
        Some cannot be opened or break off; the message names them together.
    """
    headers: dict[Path, PictureHeader] = {}
    failures: list[str] = []
    names: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            headers[path] = read_header(path)
        except UserInputError as error:
            failures.append(str(error))
            names.append(path.name)
    if failures:
        others = ", ".join(names[1 : 1 + _NAMED]) + (", ..." if len(names) > 1 + _NAMED else "")
        raise TrainingDataError(failures[0] + (f" ({len(names)} pictures cannot be read, also {others})" if others else ""))
    return headers


def read_header(path: Path) -> PictureHeader:
    """The header of one picture.

    Raises
    ------
    TrainingDataError
        It is no picture, breaks off, or needs rasterio, which is not here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                kind, mode = str(image.format), image.mode
                orientation = _orientation(image)
                transparent = "transparency" in image.info or mode in ("RGBA", "LA", "PA", "La", "RGBa")
    except UNREADABLE as error:
        return _header_by_gdal(path, 1, error)
    if kind not in _ENDS:
        # Pillow turns a TIFF by itself when it is loaded.
        return _header_by_gdal(path, orientation, None) if has_rasterio() else _bare_header(path, width, height, mode, transparent)
    _require_whole(path, kind)
    if mode[0] in "IF" and not has_rasterio():
        raise _too_deep(path, mode)
    return PictureHeader(path, height, width, orientation, mode[0] not in "IF" and not transparent)


def _orientation(image: Image.Image) -> int:
    exif = Image.Exif()
    if image.format == "PNG":
        # Pillow's own getexif reads all of a PNG to find what stands before the pixels.
        exif.load(image.info.get("exif") or b"")
    else:
        exif = image.getexif()
    found = exif.get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _bare_header(path: Path, width: int, height: int, mode: str, transparent: bool) -> PictureHeader:
    if mode[0] in "IF":
        raise _too_deep(path, mode)
    return PictureHeader(path, height, width, 1, not transparent)


def _too_deep(path: Path, mode: str) -> TrainingDataError:
    return TrainingDataError(
        f"{path} holds numbers of more than 8 bits (Pillow's mode {mode}), which need the package rasterio, which is not here; "
        "expected a picture of 8 bits"
    )


def _header_by_gdal(path: Path, orientation: int, seen: Exception | None) -> PictureHeader:
    """Of a picture that only GDAL knows; `seen` is what Pillow said of it."""
    if seen is not None and (not has_rasterio() or path.suffix.lower() not in PICTURES | {".vrt", ".img", ".nc"}):
        raise TrainingDataError(f"{path} cannot be read as a picture: {_short(seen)}") from seen
    from rosgeo.raster.source import open_source

    try:
        with open_source(path) as source:
            height, width = source.grid.shape
    except UserInputError as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {_short(seen or error)}") from error
    return PictureHeader(path, height, width, orientation, False)


def _require_whole(path: Path, kind: str) -> None:
    """Raise where a file breaks off: by its end, and where that tells nothing by its pixels."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - _TAIL_BYTES, 0))
        if _ENDS[kind] in file.read():
            return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
    except UNREADABLE as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {_short(error)}") from error


def require_one_of_each_name(pictures: Iterable[Path], what: str) -> None:
    """Raise TrainingDataError where two pictures differ in their ending only, so that both would have the same `what`."""
    seen: dict[Path, Path] = {}
    for path in pictures:
        other = seen.setdefault(path.with_suffix(""), path)
        if other != path:
            raise TrainingDataError(
                f"{path.parent} holds {other.name} and {path.name}, which would have the same {what}; leave one out"
            )


def picture_shape(path: Path) -> tuple[int, int]:
    """Height and width of a picture as it is shown, from its header; see `read_header`."""
    return read_header(path).shown


def decode_plain(path: Path, orientation: int | None) -> tuple[UInt8Array, BoolArray]:
    """Pixels of an 8-bit picture by Pillow, for machines without rasterio.

    Parameters
    ----------
    path : Path
    orientation : int or None
        EXIF's number by which it is turned; None: as the file says.

    Returns
    -------
    image : uint8 array (3, H, W)
    valid : bool array (H, W)
        False where it is transparent.
    """
    try:
        with Image.open(path) as image:
            if orientation is not None and image.format in _ENDS:
                image.getexif()[_ORIENTATION] = orientation
            turned = ImageOps.exif_transpose(image)
            valid = np.asarray(turned.convert("RGBA"))[..., 3] > 0
            pixels = np.asarray(turned.convert("RGB")).transpose(2, 0, 1)
    except UNREADABLE as error:
        raise TrainingDataError(f"{path} cannot be read as a picture: {_short(error)}") from error
    return pixels, valid


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
