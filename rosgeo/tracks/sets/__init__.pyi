from .check import SetFormat as SetFormat
from .check import check_set as check_set
from .json_sets import write_coco as write_coco
from .json_sets import write_ytvis as write_ytvis
from .png_sets import write_davis as write_davis
from .png_sets import write_mots as write_mots
from .reference import ClipPictures as ClipPictures
from .reference import write_reference as write_reference
from .written import Written as Written

__all__ = [
    "ClipPictures",
    "SetFormat",
    "Written",
    "check_set",
    "write_coco",
    "write_davis",
    "write_mots",
    "write_reference",
    "write_ytvis",
]
