"""Crop batches to masks: device, precision, batching. Knows nothing of maps or files."""
