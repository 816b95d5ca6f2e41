"""TIFF files: walked, gated, described, read."""
