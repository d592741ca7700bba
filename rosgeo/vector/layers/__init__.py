"""Layers in files: boxes read, results written, in the format of each."""
