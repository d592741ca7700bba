"""Values of a column or key as the name of a class or side."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["NO_CLASS", "class_name"]

NO_CLASS = "without a class"
"""The class of what has none."""


def class_name(value: Any, missing: str = NO_CLASS) -> str:
    """A value as text: whole numbers without a fraction, no spaces around, `missing` for nothing (None, NaN, NA, NaT, empty)."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return missing
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return missing
        if value.is_integer():
            value = int(value)
    return " ".join(str(value).split()) or missing
