"""Patches for other programs, and whole images and slices, which are told as patches are: one vote each."""
