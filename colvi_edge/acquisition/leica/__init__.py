"""Leica containers (.lif): walked, described, read image by image."""
