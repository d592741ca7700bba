from .registry import FORMATS as FORMATS
from .registry import TARGETS as TARGETS
from .registry import format_named as format_named
from .registry import recognise as recognise

__all__ = ["FORMATS", "TARGETS", "format_named", "recognise"]
