"""The networks: encoders, HQ decoder, weights files, the registry of names. No geospatial import."""
