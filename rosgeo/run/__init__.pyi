from .estimate import estimate_run as estimate_run
from .options import SegmentOptions as SegmentOptions
from .options import make_options as make_options
from .pipeline import SegmentRun as SegmentRun
from .pipeline import open_segmenter as open_segmenter
from .pipeline import segment as segment
from .pipeline import segment_run as segment_run

__all__ = ["SegmentOptions", "SegmentRun", "estimate_run", "make_options", "open_segmenter", "segment", "segment_run"]
