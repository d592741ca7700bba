from .config import TrainConfig as TrainConfig
from .loop import TrainResult as TrainResult
from .loop import train as train
from .parse import build_config as build_config
from .parse import read_config as read_config

__all__ = ["TrainConfig", "TrainResult", "build_config", "read_config", "train"]
