from .checkpoint import LoadedModel as LoadedModel
from .checkpoint import load_model as load_model
from .checkpoint import save_model as save_model
from .network import ModelConfig as ModelConfig
from .network import RosSam as RosSam
from .registry import DEFAULT_MODEL as DEFAULT_MODEL
from .registry import open_model as open_model

__all__ = ["DEFAULT_MODEL", "LoadedModel", "ModelConfig", "RosSam", "load_model", "open_model", "save_model"]
