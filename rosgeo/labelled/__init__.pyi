from .config import DataConfig as DataConfig
from .config import DataSource as DataSource
from .config import SplitConfig as SplitConfig
from .data import LabelledObject as LabelledObject
from .data import RasterPixels as RasterPixels
from .sources import TrainingData as TrainingData
from .sources import read_data as read_data
from .sources import read_source as read_source

__all__ = ["DataConfig", "DataSource", "LabelledObject", "RasterPixels", "SplitConfig", "TrainingData", "read_data", "read_source"]
