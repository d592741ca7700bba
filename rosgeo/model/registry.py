"""Models by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from rosgeo.errors import InputFileNotFoundError, ModelError

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "resolve_model"]

DEFAULT_MODEL = "rosgeo-small"

EMBEDDED = {DEFAULT_MODEL: Path(__file__).parent / "weights" / "rosgeo-small.safetensors"}
"""Models that come with the package."""


def resolve_model(model: str | Path) -> Path:
    """The weights file of a model's name, or the path itself.

    Parameters
    ----------
    model : str or Path
        A name in `EMBEDDED`, or the path of a weights file.

    Raises
    ------
    ModelError
        Neither a known name nor a path of an existing file.
    InputFileNotFoundError
        It looks like a path, and there is no such file.
    """
    if str(model) in EMBEDDED:
        return EMBEDDED[str(model)]
    path = Path(model)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise InputFileNotFoundError(f"model {str(model)!r}: no such weights file; known names: {', '.join(EMBEDDED)}")
    close = difflib.get_close_matches(str(model), EMBEDDED, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ModelError(f"unknown model {str(model)!r}: expected {', '.join(EMBEDDED)} or the path of a weights file.{hint}")
