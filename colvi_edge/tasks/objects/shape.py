"""Area, axes, perimeter, hull of every object at once, from its runs."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects.runs import Runs, touching

Floats = NDArray[np.float64]

DIRECTIONS = np.deg2rad(np.arange(0, 180, 5))
"""Of the lines between which an object is taken for its hull."""

MARGIN_PX = 0.3
"""From the centres of the outermost pixels to the hull."""


class Boxes(NamedTuple):
    """Where objects lie: first and last row and column, (n,) int64 each."""

    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]


class Shapes(NamedTuple):
    """What was measured of n objects, each (n,).

    Attributes:
        area: px, int64.
        x, y: centroid.
        major: axis of the ellipse with the same second moments, px.
        perimeter: px.
    """

    area: NDArray[np.int64]
    x: Floats
    y: Floats
    major: Floats
    perimeter: Floats


def boxes_of(runs: Runs, member: NDArray[np.int64], count: int) -> Boxes:
    """Return where each object lies.

    Args:
        runs: of all objects.
        member: (n,) which object a run belongs to, 0..count - 1; each has at least one.
        count: how many objects there are.
    """
    order = np.argsort(member, kind="stable")
    first = np.searchsorted(member[order], np.arange(count))
    rows, starts, stops = runs.rows[order], runs.starts[order], runs.stops[order]
    return Boxes(
        np.minimum.reduceat(rows, first),
        np.maximum.reduceat(rows, first),
        np.minimum.reduceat(starts, first),
        np.maximum.reduceat(stops, first) - 1,
    )


def shapes_of(runs: Runs, member: NDArray[np.int64], count: int) -> Shapes:
    """Return the shape of each object.

    Args:
        runs: of all objects; those of objects that touch differ in their values.
        member: as of `boxes_of`.
        count: likewise.
    """

    def total(values: NDArray[Any]) -> Any:
        return np.bincount(member, values, minlength=count)

    # From the middle of the box: far from the origin the squares would lose their last digits.
    box = boxes_of(runs, member, count)
    middle_y, middle_x = (box.top + box.bottom) // 2, (box.left + box.right) // 2
    y, start, stop = (
        runs.rows - middle_y[member],
        runs.starts - middle_x[member],
        runs.stops - middle_x[member],
    )
    length = stop - start
    area = total(length)
    along = length * (start + stop - 1) / 2  # sum of x over the run
    mean_x, mean_y = total(along) / area, total(length * y) / area
    # A pixel is a square: its own spread, 1/12, is added to that of the centres.
    spread_x = total(_squares(stop) - _squares(start)) / area - mean_x**2 + 1 / 12
    spread_y = total(length * y * y) / area - mean_y**2 + 1 / 12
    joint = total(along * y) / area - mean_x * mean_y
    largest = (spread_x + spread_y + np.hypot(spread_x - spread_y, 2 * joint)) / 2
    return Shapes(
        area.astype(np.int64),
        mean_x + middle_x,
        mean_y + middle_y,
        4 * np.sqrt(largest),
        _perimeters(runs, member, area),
    )


def _squares(stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a function whose difference at the ends of a run is the sum of x^2 over it."""
    return (stop - 1) * stop * (2 * stop - 1) // 6


def _perimeters(runs: Runs, member: NDArray[np.int64], area: Floats) -> Floats:
    """Return Crofton's perimeter, px: how often lines of four directions enter, times their distance.

    Level, upright and both diagonals. A line enters at every pixel whose neighbour in its direction is not
    of the object: so many pixels less so many pairs.
    """
    upper, lower = touching(runs)
    start, stop = runs.starts[upper], runs.stops[upper]
    below_start, below_stop = runs.starts[lower], runs.stops[lower]

    def entered(shift: int) -> Floats:
        shared = np.minimum(stop + shift, below_stop) - np.maximum(start + shift, below_start)
        return area - np.bincount(member[upper], np.maximum(shared, 0), minlength=len(area))

    level = np.bincount(member, minlength=len(area))
    return np.pi / 4 * (level + entered(0) + (entered(1) + entered(-1)) / np.sqrt(2))


def fullness_of(runs: Runs, member: NDArray[np.int64], count: int) -> Floats:
    """Return how much of its convex hull each object fills, (n,) about 0..1; arguments as of `boxes_of`.

    The hull is what lies between pairs of lines of 36 directions, so it is a little too large: of a disc by
    0.06 %, of a thin rod by some per cent.
    """
    order = np.argsort(member, kind="stable")
    first = np.searchsorted(member[order], np.arange(count))
    rows, starts, lasts = runs.rows[order], runs.starts[order], runs.stops[order] - 1
    reach = np.empty((2 * len(DIRECTIONS), count))
    for number, angle in enumerate(DIRECTIONS):
        across, down = np.cos(angle), np.sin(angle)
        one, other = starts * across + rows * down, lasts * across + rows * down
        reach[number] = np.maximum.reduceat(np.maximum(one, other), first)
        reach[number + len(DIRECTIONS)] = -np.minimum.reduceat(np.minimum(one, other), first)
    reach += MARGIN_PX
    step = DIRECTIONS[1] - DIRECTIONS[0]
    sides = (np.roll(reach, 1, axis=0) + np.roll(reach, -1, axis=0) - 2 * np.cos(step) * reach) / np.sin(step)
    area = np.bincount(member, runs.lengths, minlength=count)
    return area / ((reach * sides).sum(axis=0) / 2)
