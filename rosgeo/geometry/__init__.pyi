from .boxes import boxes_to_px as boxes_to_px
from .boxes import transform_points as transform_points
from .crs import crs_label as crs_label
from .crs import parse_crs as parse_crs
from .mapping import AffineMapping as AffineMapping
from .mapping import HomographyMapping as HomographyMapping
from .mapping import QuadraticMapping as QuadraticMapping
from .mapping import mapping_from_gcps as mapping_from_gcps
from .place import Placed as Placed
from .place import place_geometries as place_geometries
from .plan import Plan as Plan
from .plan import make_plan as make_plan
from .windows import CropPolicy as CropPolicy

__all__ = [
    "AffineMapping",
    "CropPolicy",
    "HomographyMapping",
    "Placed",
    "Plan",
    "QuadraticMapping",
    "boxes_to_px",
    "crs_label",
    "make_plan",
    "mapping_from_gcps",
    "parse_crs",
    "place_geometries",
    "transform_points",
]
