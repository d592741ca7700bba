"""Boxes as detectors write them: files with a format of their own (COCO, YOLO) and tables of numbers, brought to polygons."""
