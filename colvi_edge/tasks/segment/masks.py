"""What is done to a map of classes before anything is measured: smoothing, opening, removing what is small.

Planes are taken in blocks of rows, so that no map of floats as large as the image is ever made.
"""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects.runs import components, paint, row_blocks, runs_of

REACH = 4.0
"""Standard deviations after which a Gaussian is cut off, as scipy's."""


def smoothed_at_least(
    probability: NDArray[np.uint8], sigma_px: float, at_least: float, class_index: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return where the smoothed probability of a class reaches a threshold, and the smoothed probability.

    Args:
        probability: (H, W) uint8, round(255 p).
        sigma_px: standard deviation of the Gaussian, px, above 0; beyond its border the image is mirrored.
        at_least: 0..1; equality is the class.
        class_index: written where it is reached; 0 elsewhere.
    """
    labels, shown = np.empty_like(probability), np.empty_like(probability)
    for rows in row_blocks(probability.shape):
        smooth = _blurred(_with_margin(probability, rows, sigma_px).astype(np.float32), sigma_px)
        labels[rows] = np.where(smooth >= np.float32(255 * at_least), class_index, 0)
        shown[rows] = np.rint(smooth)
    return labels, shown


def opened(labels: NDArray[np.uint8], open_px: int) -> NDArray[np.uint8]:
    """Return the map (H, W) uint8 without what a disc of radius open_px does not fit into.

    Each class by itself; what goes becomes 0. The disc is of all pixels within open_px + 1/2; of radius 1 it
    is a square of 3 x 3, and the opening ImageJ's "Open". What lies beyond the border takes nothing away, or
    regions there would lose their corners.
    """
    found = np.zeros_like(labels)
    for rows in row_blocks(labels.shape):
        top, bottom = max(0, rows.start - 2 * open_px), min(len(labels), rows.stop + 2 * open_px)
        near = labels[top:bottom]
        core = slice(rows.start - top, rows.stop - top)
        for class_index in np.unique(near[near != 0]):
            fits = ~_grown(near != class_index, open_px)
            found[rows][_grown(fits, open_px)[core]] = class_index
    return found


def without_small(labels: NDArray[np.uint8], smallest_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take components of fewer pixels out of a map (H, W), which is written to; count what stays.

    Returns:
        Pixels and components, (256,) int64 each, by class index; of the background 0.
    """
    runs = runs_of(labels)
    component = components(runs)
    stays = np.bincount(component, weights=runs.lengths) >= smallest_px
    if not stays.all():
        runs = runs.some(stays[component])
        paint(runs, runs.values, labels)
        component = component[stays[component]]
    _, first = np.unique(component, return_index=True)
    pixels = np.bincount(runs.values, runs.lengths, minlength=256).astype(np.int64)
    return pixels, np.bincount(runs.values[first], minlength=256)


def _grown(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Return all that a disc covers if its middle moves over the mask, (H, W) bool."""
    grown = np.zeros_like(mask)
    wide, half = mask.copy(), 0
    for away in range(radius_px, -1, -1):  # rows of the disc from its ends, which are short, to its middle
        further = isqrt(radius_px * (radius_px + 1) - away * away)  # as (radius + 1/2)^2 in whole numbers
        source = wide.copy()
        for distance in range(1, further - half + 1):
            wide[:, distance:] |= source[:, :-distance]
            wide[:, :-distance] |= source[:, distance:]
        half = further
        grown[away:] |= wide[: len(mask) - away]
        grown[: len(mask) - away] |= wide[away:]
    return grown


def _with_margin(plane: NDArray[np.uint8], rows: slice, sigma_px: float) -> NDArray[np.uint8]:
    """Return rows of a plane and as many beyond as a Gaussian reaches, mirrored at the image's border."""
    reach = _reach(sigma_px)
    height, width = plane.shape
    return plane[
        np.ix_(
            _mirrored(rows.start - reach, rows.stop + reach, height), _mirrored(-reach, width + reach, width)
        )
    ]


def _mirrored(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Return indices from start to stop as they are mirrored at both ends: ... 1 0 | 0 1 ... n | n ..."""
    index = np.arange(start, stop) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def _reach(sigma_px: float) -> int:
    """Return how many pixels a Gaussian reaches to each side."""
    return int(REACH * sigma_px + 0.5)


def _blurred(near: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Return what is inside the margin, (h + 2 reach, w + 2 reach) -> (h, w) float32, blurred."""
    reach = _reach(sigma_px)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    height, width = near.shape[0] - 2 * reach, near.shape[1] - 2 * reach
    down = np.zeros((height, near.shape[1]), np.float32)
    for shift, weight in enumerate(weights):
        down += weight * near[shift : shift + height]
    across = np.zeros((height, width), np.float32)
    for shift, weight in enumerate(weights):
        across += weight * down[:, shift : shift + width]
    return across
