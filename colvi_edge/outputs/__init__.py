"""One writer for each file that is left beside a raw file.

The sidecar is the record; CSV, GeoJSON, ROIs and overlay are views of it. Nothing here
knows engines, and nothing here decides: votes and bands come stored in the sidecar.
"""
