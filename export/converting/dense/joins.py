"""Are windows seen in the answer? Against the whole image, or, where they are blended, across their joins."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.window import Windows
from colvi_edge.patches import SMALLEST_PATCH_PX
from colvi_edge.windows import MOST_WHOLE_PX, Axis, Plan, rounded_up


def whole_at_most(height_px: int, width_px: int, step_px: int) -> tuple[int, int]:
    """Return height and width of as much of an image as may be one window, px."""
    short, long = sorted((height_px, width_px))
    if rounded_up(short, step_px) * rounded_up(long, step_px) > MOST_WHOLE_PX:
        short = min(short, isqrt(MOST_WHOLE_PX) // step_px * step_px)
        long = min(long, MOST_WHOLE_PX // rounded_up(short, step_px) // step_px * step_px)
    return (short, long) if height_px <= width_px else (long, short)


def two_each_way(windows: Windows, height_px: int, width_px: int) -> Windows | None:
    """Return windows of which an image holds two each way, at least: those given, or smaller ones.

    A halo and a raster are enough for windows of any size, or for none. Blended ones are what they are:
    their size is half of how they join.

    Args:
        windows: of a bundle, not of the whole image.
        height_px: of the image.
        width_px: of the image.

    Returns:
        None where the image is too small.
    """
    assert windows.px != "whole"  # noqa: S101 - has no joins
    px = min(windows.px, rounded_up(min(height_px, width_px), windows.step_px) - windows.step_px)
    if px <= 2 * windows.halo_px or px < SMALLEST_PATCH_PX or (windows.stride_px and px < windows.px):
        return None
    return windows.model_copy(update={"px": px})


def largest_difference(in_windows: NDArray[np.float32], at_once: NDArray[np.float32]) -> float:
    """Return the largest difference of two fields (H, W, K)."""
    return max(
        float(np.abs(a - b).max()) for a, b in zip(in_windows, at_once, strict=True)
    )  # row by row: no third field


def step_across(field: NDArray[np.float32], plan: Plan) -> float | None:
    """Return the mean step from pixel to pixel across joins, as a multiple of the mean step elsewhere.

    Args:
        field: (H, W, K) of blended windows.
        plan: of them.

    Returns:
        None where there is no join, or no step at all.
    """
    across: list[float] = []
    elsewhere: list[float] = []
    for axis, along in ((plan.rows, 0), (plan.cols, 1)):
        steps = np.abs(np.diff(field, axis=along)).mean(axis=(1 - along, 2), dtype=np.float64)
        joins = np.zeros(len(steps), bool)
        joins[[place - 1 for place in _joins(axis) if 0 < place <= len(steps)]] = True
        across += steps[joins].tolist()
        elsewhere += steps[~joins].tolist()
    if not across or not elsewhere or not np.mean(elsewhere):
        return None
    return float(np.mean(across) / np.mean(elsewhere))


def _joins(axis: Axis) -> set[int]:
    """Return where cores begin and end within the image."""
    return {place for span in axis.spans for place in (span.first, span.stop)} - {0, axis.padded}
