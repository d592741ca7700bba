"""Opening and reading pixels: bands, stretch to 8-bit RGB, nodata, windows."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
