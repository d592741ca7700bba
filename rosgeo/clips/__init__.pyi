from .frames import FrameSequence as FrameSequence
from .frames import open_frames as open_frames
from .georef import Georeference as Georeference
from .georef import read_georef as read_georef
from .values import Clip as Clip
from .values import ClipFrame as ClipFrame

__all__ = ["Clip", "ClipFrame", "FrameSequence", "Georeference", "open_frames", "read_georef"]
