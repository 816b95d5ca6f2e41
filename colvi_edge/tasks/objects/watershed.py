"""Parting what touches at the saddles between the hills of its distance map.

A pixel is as high as it is far from the background. From each the way up leads to a summit: all that leads to
one is a hill (a watershed of steepest ascent, as of Cousty et al., "Watershed cuts: minimum spanning forests
and the drop of water principle", 2009). A hill that stands little above its saddle to another, by its own
height, is part of that one. A hill's height is the radius of the largest disc that fits into the object.
"""

import numpy as np
from numpy.typing import NDArray

FARTHEST_PX = 255
"""What is farther from the background is taken as flat: nothing is parted in there."""

LEAST_PX = 30
"""Pixels of a part: as for the other way of parting."""

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def distances(mask: NDArray[np.bool_], farthest_px: int = FARTHEST_PX) -> NDArray[np.int32]:
    """Return the square of the Euclidean distance to the nearest pixel that is not of the mask.

    First along the columns; then along the rows, where the least of squares at whole distances is found in
    steps of 1, 3, 5, ...: Lotufo & Zampirolli, "Fast multidimensional parallel Euclidean distance transform
    based on mathematical morphology", 2001.

    Args:
        mask: (h, w) bool; what lies beyond is not of it.
        farthest_px: what is farther is taken as so far.

    Returns:
        (h, w) int32, px^2, at most farthest_px^2.
    """
    height, width = mask.shape
    along = np.zeros((height + 2, width + 2), np.int32)
    for row in range(height):
        along[row + 1, 1:-1] = np.where(mask[row], along[row, 1:-1] + 1, 0)
    for row in range(height, 0, -1):
        np.minimum(along[row], along[row + 1] + 1, out=along[row])
    squares = np.minimum(along[1:-1], farthest_px) ** 2
    for step in range(1, 2 * farthest_px, 2):
        nearer = squares.copy()
        np.minimum(nearer[:, 1:], squares[:, :-1] + step, out=nearer[:, 1:])
        np.minimum(nearer[:, :-1], squares[:, 1:] + step, out=nearer[:, :-1])
        if np.array_equal(nearer, squares):
            break
        squares = nearer
    return squares[:, 1:-1]


def parted_by_saddles(mask: NDArray[np.bool_], depth: float) -> NDArray[np.int32]:
    """Return the parts of a component, (h, w) int32, 1.. where the mask is.

    Args:
        mask: (h, w) bool, one component.
        depth: 0..1 of a saddle below the lower of its two summits, of that summit's height, from which on
            they are two parts.
    """
    height = np.pad(np.sqrt(distances(mask).astype(np.float32)), 1)
    summit, hills = _hills(height)
    joined = _joined(height, hills, summit, depth)
    _, numbers = np.unique(joined, return_inverse=True)
    parts = np.zeros(height.shape, np.int32)
    inside = height > 0
    parts[inside] = numbers[hills[inside]] + 1
    return parts[1:-1, 1:-1]


def _hills(height: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the height of each hill's summit, and which hill a pixel (h, w) is of; -1 where none is."""
    best = height.copy()
    up = np.arange(height.size).reshape(height.shape)
    inner = np.s_[1:-1, 1:-1]
    own = up.copy()
    for down, across in AROUND:
        moved = np.s_[1 + down : height.shape[0] - 1 + down, 1 + across : height.shape[1] - 1 + across]
        higher = height[moved] > best[inner]
        np.copyto(best[inner], height[moved], where=higher)
        np.copyto(up[inner], own[moved], where=higher)
    way = up.ravel()
    while not np.array_equal(further := way[way], way):
        way = further
    inside = height.ravel() > 0
    summits, hills = np.unique(way[inside], return_inverse=True)
    found = np.full(height.size, -1)
    found[inside] = hills
    return height.ravel()[summits], found.reshape(height.shape)


def _joined(
    height: NDArray[np.float32], hills: NDArray[np.int64], summit: NDArray[np.float32], depth: float
) -> list[int]:
    """Return for each hill the one that it is part of."""
    upper, lower, saddle = _saddles(height, hills, len(summit))
    area = np.bincount(hills[hills >= 0], minlength=len(summit)).tolist()
    top = summit.tolist()
    chief = list(range(len(top)))

    def chief_of(hill: int) -> int:
        while chief[hill] != hill:
            chief[hill] = chief[chief[hill]]
            hill = chief[hill]
        return hill

    for one, other, pass_height in zip(upper, lower, saddle, strict=True):
        low, high = sorted((chief_of(one), chief_of(other)), key=lambda hill: (top[hill], -hill))
        shallow = top[low] - pass_height < depth * top[low]
        if low != high and (shallow or min(area[low], area[high]) < LEAST_PX):
            chief[low] = high
            area[high] += area[low]
    return [chief_of(hill) for hill in range(len(top))]


def _saddles(
    height: NDArray[np.float32], hills: NDArray[np.int64], count: int
) -> tuple[list[int], list[int], list[float]]:
    """Return pairs of neighbouring hills, the highest saddle between them first: one, other, its height."""
    keys, heights = [], []
    for down, across in AROUND[4:]:  # each pair of pixels once
        here = np.s_[: height.shape[0] - down, max(0, -across) : height.shape[1] - max(0, across)]
        there = np.s_[down:, max(0, across) : height.shape[1] + min(0, across)]
        border = (hills[here] != hills[there]) & (hills[here] >= 0) & (hills[there] >= 0)
        one, other = hills[here][border], hills[there][border]
        keys.append(np.minimum(one, other) * count + np.maximum(one, other))
        heights.append(np.minimum(height[here][border], height[there][border]))
    key, saddle = np.concatenate(keys), np.concatenate(heights)
    order = np.lexsort((key, -saddle))
    key, saddle = key[order], saddle[order]
    _, first = np.unique(key, return_index=True)
    first.sort()
    one, other = np.divmod(key[first], count)
    return one.tolist(), other.tolist(), saddle[first].tolist()
