from .check import SetFormat as SetFormat
from .check import check_set as check_set
from .json_sets import write_coco as write_coco
from .json_sets import write_ytvis as write_ytvis
from .outline_sets import write_cvat as write_cvat
from .outline_sets import write_label_studio as write_label_studio
from .outline_sets import write_yolo as write_yolo
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
    "write_cvat",
    "write_davis",
    "write_label_studio",
    "write_mots",
    "write_reference",
    "write_yolo",
    "write_ytvis",
]
