from .neighbours import simplify_neighbours as simplify_neighbours
from .polygonize import OutlineOptions as OutlineOptions
from .polygonize import geodesic_area_m2 as geodesic_area_m2
from .polygonize import mask_to_polygon as mask_to_polygon
from .polygonize import polygon_to_map as polygon_to_map
from .result import RESULT_COLUMNS as RESULT_COLUMNS
from .result import ObjectResult as ObjectResult
from .result import assemble_result as assemble_result

__all__ = [
    "RESULT_COLUMNS",
    "ObjectResult",
    "OutlineOptions",
    "assemble_result",
    "geodesic_area_m2",
    "mask_to_polygon",
    "polygon_to_map",
    "simplify_neighbours",
]
