"""A clip as a sequence of rasters: files, or a video file that is decoded frame by frame."""
