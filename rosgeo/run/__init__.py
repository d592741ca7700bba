"""One run of the line: scene and boxes in, polygons out."""
