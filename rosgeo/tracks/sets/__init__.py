"""Segmentation sets of a clip: outlines frame by frame, in the layouts that others train and score on."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
