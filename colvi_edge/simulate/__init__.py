"""Synthetic confocal images of fibroblast cultures."""

from colvi_edge.simulate.images import (
    image_seed,
    simulate_folder,
    simulate_planes,
    simulate_projection,
    write_imagej,
)

__all__ = ["image_seed", "simulate_folder", "simulate_planes", "simulate_projection", "write_imagej"]
