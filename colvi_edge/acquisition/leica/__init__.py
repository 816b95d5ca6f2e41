"""Leica containers: walked, described, read image by image."""
