"""Labelled objects, wherever they come from."""
