"""Layers in files (`layers`), and the geometry of outlines: masks to polygons, right angles, shared edges."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
