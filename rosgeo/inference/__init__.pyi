from .device import choose_device as choose_device
from .device import choose_precision as choose_precision
from .predict import Segmenter as Segmenter

__all__ = ["Segmenter", "choose_device", "choose_precision"]
