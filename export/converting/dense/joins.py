"""Are windows seen in the answer? Against the whole image, or, where they are blended, across their joins."""

import numpy as np
from numpy.typing import NDArray

from colvi_edge.windows import Axis, Plan


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
