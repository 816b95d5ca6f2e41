"""Regions and objects for other programs: outlines along the edges of pixels, and the label map itself."""
