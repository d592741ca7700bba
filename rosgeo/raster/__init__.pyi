from .bands import Stretch as Stretch
from .bands import StretchRule as StretchRule
from .bands import parse_bands as parse_bands
from .bands import parse_stretch as parse_stretch
from .crops import CropReader as CropReader
from .crops import open_reader as open_reader
from .source import RasterSource as RasterSource
from .source import open_source as open_source
from .upright import UprightSource as UprightSource
from .upright import upright_source as upright_source

__all__ = [
    "CropReader",
    "RasterSource",
    "Stretch",
    "StretchRule",
    "UprightSource",
    "open_reader",
    "open_source",
    "parse_bands",
    "parse_stretch",
    "upright_source",
]
