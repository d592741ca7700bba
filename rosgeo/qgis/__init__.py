"""rosgeo in QGIS: a Processing script that runs the command line, and where it is put."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
