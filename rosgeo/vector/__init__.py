"""Reading boxes, masks to polygons, and writing layers with style and record."""
