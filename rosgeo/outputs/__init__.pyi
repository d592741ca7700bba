from .mask_raster import check_mask_raster as check_mask_raster
from .mask_raster import write_mask_raster as write_mask_raster
from .stac import check_stac as check_stac
from .stac import stac_item as stac_item
from .stac import write_stac as write_stac

__all__ = ["check_mask_raster", "check_stac", "stac_item", "write_mask_raster", "write_stac"]
