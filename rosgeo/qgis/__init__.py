"""rosgeo in QGIS: a Processing script that runs the command line, and where it is put."""
