from .clip_layer import read_outlines as read_outlines
from .pipeline import VideoRun as VideoRun
from .pipeline import segment_video as segment_video
from .pipeline import segment_video_run as segment_video_run
from .prepare import PreparedVideo as PreparedVideo
from .prepare import VideoOptions as VideoOptions
from .prepare import prepare_video as prepare_video

__all__ = ["PreparedVideo", "VideoOptions", "VideoRun", "prepare_video", "read_outlines", "segment_video", "segment_video_run"]
