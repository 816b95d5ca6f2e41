"""Which components are asked whether they are several objects, and what becomes of those that are."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects.radon import parted_by_necks
from colvi_edge.tasks.objects.runs import Runs
from colvi_edge.tasks.objects.shape import boxes_of, fullness_of
from colvi_edge.tasks.objects.watershed import LEAST_PX, parted_by_saddles

Split = Literal["none", "radon", "watershed"]

FULL = 0.98
"""Share of its hull from which on a component is one object, and is not asked: single discs of 10 to 160 px
fill 0.989 and more, two equal ones whose centres are 0.6 of their diameter apart 0.956 to 0.98."""

MOST_PIXELS = 1 << 20
"""Of the box around a component. A larger one is tissue, and is left as it is."""

Box = tuple[slice, slice]


def parted(
    numbers: NDArray[np.int32], runs: Runs, member: NDArray[np.int64], split: Split, depth: float
) -> bool:
    """Give the parts of components that are several objects numbers of their own; return if there are any.

    Args:
        numbers: (H, W) int32, 1 + the component of each pixel, 0 where none is; written to.
        runs: of the map.
        member: (n,) the component of each run, 0..
        split: "radon" or "watershed".
        depth: 0..1, of a neck or a saddle that is cut.
    """
    part = parted_by_necks if split == "radon" else parted_by_saddles
    before = used = int(member.max(initial=-1)) + 1
    for number, box in _hollow(runs, member):
        parts = part(numbers[box] == number + 1, depth)
        if (count := int(parts.max())) > 1:
            inside = parts > 0
            numbers[box][inside] = parts[inside] + used
            used += count
    return used > before


def parts_in(
    numbers: NDArray[np.int32], runs: Runs, member: NDArray[np.int64], depth: float
) -> dict[int, int]:
    """Return of objects that look like several how many they look like by their distance map: 2..

    Args:
        numbers: (H, W) int32, 1 + the object of each pixel, 0 where none is.
        runs: of the map.
        member: (n,) the object of each run, 0..
        depth: 0..1, of a saddle between two.
    """
    found = {
        number: int(parted_by_saddles(numbers[box] == number + 1, depth).max())
        for number, box in _hollow(runs, member)
    }
    return {number: count for number, count in found.items() if count > 1}


def _hollow(runs: Runs, member: NDArray[np.int64]) -> Iterator[tuple[int, Box]]:
    """Yield what does not fill its hull and is as large as two parts, and the box around it.

    A map may hold thousands of specks, each of which would have a hull, only to learn that it is one.
    """
    count = int(member.max(initial=-1)) + 1
    if not count:
        return
    boxes = boxes_of(runs, member, count)
    pixels = (boxes.bottom - boxes.top + 1) * (boxes.right - boxes.left + 1)
    can_be_two = np.bincount(member, runs.lengths, count) >= 2 * LEAST_PX
    asked = can_be_two & (pixels <= MOST_PIXELS)
    wanted, numbers = asked[member], np.flatnonzero(asked)
    fullness = fullness_of(runs.some(wanted), np.searchsorted(numbers, member[wanted]), len(numbers))
    for number in numbers[fullness < FULL].tolist():
        top, bottom, left, right = (int(side[number]) for side in boxes)
        yield number, (slice(top, bottom + 1), slice(left, right + 1))
