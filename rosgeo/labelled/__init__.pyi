from .config import DataConfig as DataConfig
from .config import DataSource as DataSource
from .config import SplitConfig as SplitConfig
from .data import LabelledObject as LabelledObject
from .data import RasterPixels as RasterPixels
from .gate import Labels as Labels
from .report import Finding as Finding
from .report import Report as Report
from .sources import TrainingData as TrainingData
from .sources import read_data as read_data
from .sources import read_labelled as read_labelled
from .sources import read_source as read_source

__all__ = [
    "DataConfig",
    "DataSource",
    "Finding",
    "LabelledObject",
    "Labels",
    "RasterPixels",
    "Report",
    "SplitConfig",
    "TrainingData",
    "read_data",
    "read_labelled",
    "read_source",
]
