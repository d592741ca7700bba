"""`segment_anything.modeling` without the rest of segment-anything.

The package's ``__init__`` imports torchvision (for the predictor and the automatic masks, which rosgeo does not use), and torchvision
has no wheels that match a CPU build of torch. Only ``modeling`` is needed and it imports torch alone, so an empty stand-in
for the parent package, with the real ``__path__``, is put in `sys.modules` while ``modeling`` is imported, and is taken out again
so that a user's own ``import segment_anything`` still runs the real ``__init__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from rosgeo.errors import ModelError

__all__ = ["modeling"]

_PACKAGE = "segment_anything"


def _import_modeling() -> ModuleType:
    if _PACKAGE in sys.modules:
        return importlib.import_module(f"{_PACKAGE}.modeling")
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ModelError("the package segment-anything is not installed. Install it with: pip install segment-anything")
    stand_in = ModuleType(_PACKAGE)
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = stand_in
    try:
        return importlib.import_module(f"{_PACKAGE}.modeling")
    finally:
        del sys.modules[_PACKAGE]


modeling = _import_modeling()
