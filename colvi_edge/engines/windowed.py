"""The field of a network that sees an image in windows, or as a whole, on any runtime.

Each window is normalised from the raw planes where it is filled in, and of each answer only what is kept
of its core stays: beyond the planes and what is kept, memory depends on the window and on the width of the
image, not on its height.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Config
from colvi_edge.engines.base import Keep
from colvi_edge.engines.joining import Blended, Cropped, Joint, Kept
from colvi_edge.engines.lanes import Lanes, answered
from colvi_edge.engines.scene import Scene
from colvi_edge.windows import Plan, plan

_BATCH_PX, _MOST_AT_ONCE = 2**16, 16
"""Pixels and windows of one batch, where several are so small: from 128 x 128 pixels on, batches of 1 to 16
took equally long."""

Shape = tuple[int, int, int, int]
"""(N, C, h, w) of a batch."""


def plan_of(config: Config, height_px: int, width_px: int) -> Plan:
    """Return the windows of an image; see `windows.plan`."""
    seen = config.windows
    return plan(height_px, width_px, seen.px, seen.halo_px, seen.step_px, seen.stride_px)


def batch_shape(config: Config, windows: Plan) -> Shape:
    """Return the shape of the batches in which windows are given to the network."""
    size = windows.window
    return min(len(windows), batch_size(*size)), len(config.channels), *size


def batch_size(height_px: int, width_px: int) -> int:
    """Return how many windows of a size are given to the network at once, at most."""
    return min(_MOST_AT_ONCE, max(1, _BATCH_PX // (height_px * width_px)))


def at_once(config: Config) -> int:
    """Return how many of a bundle's largest windows are given to the network at once."""
    px = config.windows.px
    return 1 if px == "whole" else batch_size(px, px)


def how(config: Config) -> str:
    """Return in words what of an image the network sees at once."""
    seen = config.windows
    if seen.px == "whole":
        return "the image as a whole"
    words = f"windows of {seen.px} pixels"
    if seen.halo_px:
        words += f", {seen.halo_px} of them thrown away at inner edges"
    if seen.stride_px is None and (seen.reach_px or 0) > seen.halo_px:
        words += f", although answers depend on what lies up to {seen.reach_px} pixels away"
    return words if seen.stride_px is None else f"{words}, blended every {seen.stride_px} pixels"


def windowed_field(
    planes: NDArray[Any], config: Config, open_lanes: Callable[[Shape, int], Lanes], keep: Keep
) -> NDArray[Any]:
    """Return what is kept of the field of an image: see `Engine.field`.

    Args:
        planes: (Z, C, H, W), checked.
        config: of a bundle whose network sees no patches.
        open_lanes: returns lanes for batches of a shape, told how many of them there will be.
        keep: pixelwise.
    """
    height, width = planes.shape[2:]
    windows = plan_of(config, height, width)
    scene = Scene(planes, config.normalisation)
    shape = batch_shape(config, windows)
    lanes = open_lanes(shape, -(-len(windows) // shape[0]))

    def fill(window: NDArray[np.float32], number: int) -> None:
        row, col = windows[number]
        scene.put(window, row.start, col.start)

    kept = Kept(height, width, keep) if config.is_dense else Kept(1, 1, keep)
    blended = config.windows.stride_px is not None
    joint: Joint = Blended(windows, kept) if blended else Cropped(kept)
    with closing(answered(lanes, len(windows), fill)) as answers:  # now, not when the error is forgotten
        for (row, col), answer in zip(windows, answers, strict=True):
            if config.is_dense:
                joint.put(row, col, answer)
            else:
                kept.put(0, 0, answer[np.newaxis, np.newaxis])
    return kept.field


def network_windows(planes: NDArray[Any], config: Config) -> NDArray[np.float32]:
    """Return all that the network is given of an image, (N, C, h, w), normalised, in the order of the plan.

    Args:
        planes: (Z, C, H, W), of a bundle whose network sees no patches.
        config: of the bundle.
    """
    places = plan_of(config, *planes.shape[2:])
    scene = Scene(planes, config.normalisation)
    found = np.empty((len(places), len(config.channels), *places.window), np.float32)
    for window, (row, col) in zip(found, places, strict=True):
        scene.put(window, row.start, col.start)
    return found


def network_on(lanes: Lanes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the network's answers to normalised windows (N, C, h, w): see `Engine.network`."""

    def fill(window: NDArray[np.float32], number: int) -> None:
        window[...] = windows[number]

    return np.stack([answer.copy() for answer in answered(lanes, len(windows), fill)])
