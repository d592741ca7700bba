"""Names of files: where they lead, what stands hidden beside them, and which every system takes."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rosgeo.addresses.secrets import without_secrets

__all__ = ["hidden_beside", "is_there", "legal_name", "real_path", "stem_of"]

_MOST_NAME_BYTES = 255
"""Of a file's name, on every usual file system."""

_MOST_STEM = 100

_SYSTEM_MARKS = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
"""What no file's name may hold on Windows."""


def real_path(path: str | Path) -> Path:
    """Where a file is or is to be, through all symbolic links: what is written there leaves the links as they are."""
    return Path(os.path.realpath(path))


def is_there(name: str | Path) -> bool:
    """Whether there is a file or folder of a name. False where the system takes no such name, as for a text that is none."""
    # Path.exists raises for names that are too long, or hold a zero byte.
    return os.path.exists(name)


def hidden_beside(path: Path, ending: str) -> Path:
    """A hidden file beside another, by whose name it is known; names that would get too long are cut, and told apart by a hash."""
    name = f".{path.name}.{ending}"
    if len(os.fsencode(name)) > _MOST_NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        name = f".{os.fsencode(path.name)[:100].decode(errors='ignore')}-{digest}.{ending}"
    return path.with_name(name)


def legal_name(text: str) -> str:
    """A text as part of a file's name that every system takes; ``_`` where there are characters that one of them does not."""
    return _SYSTEM_MARKS.sub("_", text).strip(" ._")[:_MOST_STEM] or "_"


def stem_of(name: str) -> str:
    """What an output is called by default, after its input.

    Parameters
    ----------
    name : str
        A path, an address or the name of a sub-dataset as GDAL has it (``NETCDF:"scene.nc":Band1``).

    Returns
    -------
    str
        The stem of the file, of an address without what it is asked with; of a sub-dataset then the other parts of its name, joined by
        ``_``. Every system takes it as a file's name.
    """
    if is_there(name):
        return legal_name(Path(name).stem)
    path, *further = (without_secrets(part) for part in _parts(name))
    words = (legal_name(word) for word in (_stem(path), *further) if word.strip(" ._/"))
    return "_".join(words)[:_MOST_STEM].rstrip(" ._") or "_"


def _parts(name: str) -> list[str]:
    """The file that a name of GDAL's is of, and then what of it is meant."""
    match = _SUBDATASET.fullmatch(name)
    if match is None:
        return [name]
    parts = [quoted or plain for quoted, plain in _PART.findall(match["rest"])]
    # GTIFF_DIR:2:scene.tif has the file last, most others first.
    at = next((i for i, part in enumerate(parts) if re.search(r"\.\w+$", _unsigned(part))), 0)
    return [*parts[at : at + 1], *(part.strip("/") for i, part in enumerate(parts) if i != at)] or [name]


def _stem(path: str) -> str:
    # zip:// stands before the name of a file in an archive.
    return Path(_unsigned(path).rpartition("!")[2].replace("\\", "/")).stem


def _unsigned(path: str) -> str:
    """A path, of an address that part of it, so without the keys that it may hold."""
    # /vsicurl/ stands before an address.
    address = path[path.index("http") :] if path.startswith("/vsi") and "http" in path else path
    split = urlsplit(address)
    return unquote(split.path or split.netloc) if "://" in address else path


# The driver's name is longer than that of a Windows disk.
_SUBDATASET = re.compile(r"[A-Za-z0-9_]{2,}:(?!//)(?P<rest>.+)")
_PART = re.compile(r'"([^"]*)"|((?:[A-Za-z]:(?=[/\\])|[^":]|:(?=//[^:"]*\.))+)')
"""Between quotes, or to the next colon that is not a disk's nor an address's."""
