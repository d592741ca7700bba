"""Whether a PNG file is whole: GDAL gives whatever was in memory for the rest of one that breaks off, and says nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from rosgeo.errors import RasterError

__all__ = ["require_whole_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def require_whole_png(path: str | Path) -> None:
    """Raise RasterError where a file breaks off before its last chunk, or a chunk does not match its checksum.

    Notes
    -----
    A PNG file is a signature and chunks of length, type, data and CRC-32, the last of which is ``IEND`` (ISO/IEC 15948, 5.3).
    """
    with Path(path).open("rb") as file:
        good = file.read(len(_SIGNATURE)) == _SIGNATURE
        while good:
            head = file.read(8)
            if len(head) < 8:
                break
            length, kind = struct.unpack(">I4s", head)
            data, tail = file.read(length), file.read(4)
            good = len(data) == length and len(tail) == 4 and zlib.crc32(data, zlib.crc32(kind)) == int.from_bytes(tail)
            if good and kind == b"IEND":
                return
    raise RasterError(f"{path} is damaged or breaks off: it is no whole PNG file. Copy it again from its source.")
