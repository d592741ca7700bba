from .doctor import Check as Check
from .doctor import diagnose as diagnose
from .info import describe as describe

__all__ = ["Check", "describe", "diagnose"]
