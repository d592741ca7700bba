from .interactive.session import Session as Session
from .pictures.plotting import plot as plot
from .pictures.webmap import view as view
from .run.options import SegmentOptions as SegmentOptions
from .run.pipeline import SegmentRun as SegmentRun, segment as segment, segment_run as segment_run

__all__ = ["SegmentOptions", "SegmentRun", "Session", "__version__", "plot", "segment", "segment_run", "view"]

__version__: str
