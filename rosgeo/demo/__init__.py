"""A real scene with boxes and labels, to try rosgeo on. See README.md beside this file for its source and licence."""
