"""Synthetic confocal images of fibroblast cultures."""

from colvi_edge.simulate.folder import simulate_folder
from colvi_edge.simulate.images import image_seed, simulate_planes, simulate_projection, write_imagej
from colvi_edge.simulate.masks import simulate_mask

__all__ = [
    "image_seed",
    "simulate_folder",
    "simulate_mask",
    "simulate_planes",
    "simulate_projection",
    "write_imagej",
]
