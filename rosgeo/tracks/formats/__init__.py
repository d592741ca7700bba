"""A module for each format of tracks that is read or written, naming where its layout is described."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
