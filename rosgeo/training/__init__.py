"""Data, augmentation, losses, loop and evaluation. The line from scene to polygons never imports this room."""
