"""Tracked boxes and outlines, frame by frame: the values, and the formats that tracking and segmentation sets use."""
