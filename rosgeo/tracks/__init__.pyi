from .read import read_tracks as read_tracks
from .values import BOX_COLUMNS as BOX_COLUMNS
from .values import ClipOutlines as ClipOutlines
from .values import Tracks as Tracks
from .write import check_target as check_target
from .write import write_tracks as write_tracks

__all__ = ["BOX_COLUMNS", "ClipOutlines", "Tracks", "check_target", "read_tracks", "write_tracks"]
