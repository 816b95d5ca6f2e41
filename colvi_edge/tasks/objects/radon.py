"""Parting what touches along minima of its Radon transform.

Gómez-de-Mariscal et al., "Deep-learning-based segmentation of small extracellular vesicles in transmission
electron microscopy images", Scientific Reports 2019, part clumps of vesicles so. The Radon transform of a
mask, at an angle, is how many of its pixels lie on each line across: two discs that touch have two heights,
and the neck between them. The mask is cut along the line whose neck is deepest of all angles.
"""

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects.runs import components, paint, runs_of

LEAST_PX = 30
"""Pixels on either side of a cut: a disc of 6 px across."""

BINS = 5
"""Lines that are taken together. A pixel between two counts for both: counted for the nearer, as many more
would lie on one line than on the next that single discs had necks of 0.12; they have of 0.01."""

MOST_POINTS = 1 << 16
"""Pixels of a component that are asked; of larger ones every second, third, ... row and column."""

Coordinates = NDArray[np.int64]

ANGLES = np.deg2rad(np.arange(0, 180, 5))
ACROSS, DOWN = np.cos(ANGLES)[:, np.newaxis], np.sin(ANGLES)[:, np.newaxis]


def parted_by_necks(mask: NDArray[np.bool_], depth: float) -> NDArray[np.int32]:
    """Return the parts of a component, (h, w) int32, 1.. where the mask is.

    Args:
        mask: (h, w) bool, one component.
        depth: 0..1 of a neck, of the lower of the heights at its sides, from which on it is cut.
    """
    parts = np.zeros(mask.shape, np.int32)
    waiting, count = [np.nonzero(mask)], 0
    while waiting:
        y, x = waiting.pop()
        pieces = _cut(y, x, depth)
        if len(pieces) > 1:
            waiting += pieces
        else:
            count += 1
            parts[y, x] = count
    return parts


def _cut(y: Coordinates, x: Coordinates, depth: float) -> list[tuple[Coordinates, Coordinates]]:
    """Return the pieces on both sides of the deepest neck; one if no neck is deep enough."""
    if y.size < 2 * LEAST_PX:
        return [(y, x)]
    top, left = y.min(), x.min()
    y, x = y - top, x - left
    found, angle, position = deepest_neck(y, x)
    if found < depth:
        return [(y, x)]
    sides = np.zeros((int(y.max()) + 1, int(x.max()) + 1), np.uint8)
    sides[y, x] = np.where(x * np.cos(angle) + y * np.sin(angle) > position, 2, 1)
    # A line through a bent mask may cut crumbs off elsewhere: they stay with what they hang on.
    runs = runs_of(sides)
    member = components(runs)
    crumbs = np.bincount(member, runs.lengths) < LEAST_PX
    paint(runs, np.where(crumbs[member], 3 - runs.values, runs.values), sides)
    runs = runs_of(sides)
    member = components(runs)
    numbers = np.empty(sides.shape, np.int32)
    paint(runs, member, numbers)  # the first piece's is 0
    piece = numbers[y, x]
    return [(y[one] + top, x[one] + left) for one in (piece == number for number in range(member.max() + 1))]


def deepest_neck(y: Coordinates, x: Coordinates) -> tuple[float, float, float]:
    """Return the depth of the deepest neck, 0..1, and its line: x cos(angle) + y sin(angle) = position.

    Args:
        y: (n,) int64, rows of the pixels, the least 0, so that the neck moves with the mask.
        x: (n,) int64, columns, the least 0.

    Returns:
        Depth: 1 - the number of pixels on the line / that at the lower of the heights beside it. The angle
        in radians, 0..pi; the position in px. Depth 0 where no line leaves LEAST_PX on both sides.
    """
    step = ceil(sqrt(y.size / MOST_POINTS))
    if step > 1:
        asked = (y % step == 0) & (x % step == 0)
        y, x = y[asked] // step, x[asked] // step
    position = x * ACROSS + y * DOWN
    line = np.floor(position).astype(np.int64)
    behind = position - line
    origin = line.min(axis=1, keepdims=True)
    line -= origin
    width = int(line.max()) + 2
    line += width * np.arange(len(ANGLES))[:, np.newaxis]
    on_line = np.bincount(line.ravel(), 1 - behind.ravel(), width * len(ANGLES))
    on_line[1:] += np.bincount(line.ravel(), behind.ravel(), width * len(ANGLES))[:-1]
    on_line = on_line.reshape(len(ANGLES), width)
    passed = np.cumsum(on_line, axis=1)
    summed = np.pad(passed, ((0, 0), (BINS // 2 + 1, BINS // 2)), mode="edge")
    summed[:, : BINS // 2 + 1] = 0
    height = summed[:, BINS:] - summed[:, :-BINS]
    before = np.maximum.accumulate(height, axis=1)
    after = np.maximum.accumulate(height[:, ::-1], axis=1)[:, ::-1]
    least = LEAST_PX / step**2
    inner = (passed >= least) & (y.size - passed >= least)
    if not inner.any():
        return 0.0, 0.0, 0.0
    depths = np.where(inner, 1 - height / np.maximum(np.minimum(before, after), 1), 0)
    number, _ = np.unravel_index(np.argmax(depths), depths.shape)
    deepest = np.flatnonzero(depths[number] == depths[number].max())
    cut = float(deepest[len(deepest) // 2] + origin[number, 0]) * step
    return float(depths[number].max()), float(ANGLES[number]), cut
