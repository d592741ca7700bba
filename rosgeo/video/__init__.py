"""The line over the frames of a clip: frames and tracked boxes in, outlines in space and time out."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
