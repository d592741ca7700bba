"""Opening and reading pixels: bands, stretch to 8-bit RGB, nodata, windows."""
