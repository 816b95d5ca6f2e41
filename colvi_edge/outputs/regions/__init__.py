"""Regions and objects as other programs take them: outlines along the edges of pixels, and the label map itself."""
