"""Map <-> pixel, box reprojection, crop windows and the plan: arithmetic without files and without torch."""
