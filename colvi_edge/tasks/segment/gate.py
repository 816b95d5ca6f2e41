"""Whether two networks draw the same regions and find the same objects, and how far they may be apart.

What a second exposure of the same scene changes, a precision may change a part of. Regions are compared by
what they share (Dice, "Measures of the Amount of Ecologic Association Between Species", 1945), by how much of
the image they cover, and by how far their boundaries move; objects by their partners.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.parity import SegmentComparison
from colvi_edge.tasks.objects import Objects
from colvi_edge.tasks.segment.segmentation import Segmentation

COVERS = 0.001
"""Share of an image below which a class is some pixels, and one more or less of them is no Dice."""

FURTHEST_PX = 5
"""A boundary that moved further is said to have moved so far."""

MISCOUNTED = 0.01
"""Share of an image's objects that may lack a partner, where that is more than one."""

_OFFSETS = sorted(
    (float(np.hypot(down, right)), down, right)
    for down in range(-FURTHEST_PX, FURTHEST_PX + 1)
    for right in range(-FURTHEST_PX, FURTHEST_PX + 1)
    if np.hypot(down, right) <= FURTHEST_PX
)


@dataclass(frozen=True)
class SegmentTolerance:
    """How far a precision may be off.

    Attributes:
        median_dice, worst_dice: least of the classes that cover something.
        share_points: largest change of what a class covers, points of the image.
        boundary_px: by which 95 % of a boundary may move.
        object_f1: least of the objects of all images.
        diameter: largest change of the median diameter, as a share of it.
        joins_dp: largest difference of windows and whole image in FP32, where the reach has an end.
        joins_step: largest step across the joins of blended windows, as a multiple of others.
    """

    median_dice: float = 0.995
    worst_dice: float = 0.98
    share_points: float = 0.5
    boundary_px: float = 1.0
    object_f1: float = 0.99
    diameter: float = 0.01
    joins_dp: float = 1e-6
    joins_step: float = 1.05

    def faults(self, compared: SegmentComparison) -> list[str]:
        """Return what is beyond tolerance, in words; an empty list is a pass."""
        return [*self._of_regions(compared), *self._of_objects(compared), *self._of_joins(compared)]

    def _of_regions(self, compared: SegmentComparison) -> Iterator[str]:
        if compared.broken:
            yield f"{compared.broken} images get no probabilities, none may"
        for which, found, least in (
            ("median", compared.median_dice, self.median_dice),
            ("worst", compared.worst_dice, self.worst_dice),
        ):
            if found is not None and found < least:
                yield f"the {which} Dice of a class is {found:.4f}, at least {least:g} must be"
        if compared.largest_dshare > self.share_points:
            yield (
                f"what a class covers changes by {compared.largest_dshare:.2f} points, at most "
                f"{self.share_points:g} may"
            )
        if compared.boundary_px > self.boundary_px:
            yield f"a boundary moves by {compared.boundary_px:.1f} px, at most {self.boundary_px:g} may"

    def _of_objects(self, compared: SegmentComparison) -> Iterator[str]:
        if compared.object_f1 is not None and compared.object_f1 < self.object_f1:
            yield f"the F1 of objects is {compared.object_f1:.4f}, at least {self.object_f1:g} must be"
        if compared.miscounted:
            yield f"{compared.miscounted} images have other objects, none may have more than 1 % of them"
        if compared.diameter_shift is not None and compared.diameter_shift > self.diameter:
            yield (
                f"the median diameter changes by {compared.diameter_shift:.1%}, at most "
                f"{self.diameter:.0%} may"
            )

    def _of_joins(self, compared: SegmentComparison) -> Iterator[str]:
        if compared.joins_dp is not None and compared.joins_dp > self.joins_dp:
            yield (
                f"windows differ from the whole image by {compared.joins_dp:.2g}, at most "
                f"{self.joins_dp:g} may"
            )
        if compared.joins_flips:
            yield f"{compared.joins_flips} pixels have another class in windows than in the whole, none may"
        if compared.joins_step is not None and compared.joins_step > self.joins_step:
            yield (
                f"steps across joins are {compared.joins_step:.2f} of those elsewhere, at most "
                f"{self.joins_step:g} may be"
            )


def compare(reference: Sequence[Segmentation], found: Sequence[Segmentation | None]) -> SegmentComparison:
    """Compare results image by image.

    Args:
        reference: of each image, from the FP32 network.
        found: the same of the network in question; None where its numbers are no probabilities.
    """
    pairs = [(a, b) for a, b in zip(reference, found, strict=True) if b is not None]
    dices = [dice for a, b in pairs for dice in _dices(a, b)]
    shifts = [abs(x.share - y.share) for a, b in pairs for x, y in zip(a.regions, b.regions, strict=True)]
    boundaries = [
        boundary_shift(a.labels == number, b.labels == number)
        for a, b in pairs
        for number in range(1, len(a.classes))
    ]
    return SegmentComparison(
        pixels=sum(a.labels.size for a in reference),
        broken=len(reference) - len(pairs),
        median_dice=float(np.median(dices)) if dices else None,
        worst_dice=min(dices, default=None),
        largest_dshare=100 * max(shifts, default=0.0),
        boundary_px=max(boundaries, default=0.0),
        **_objects([(a.objects, b.objects) for a, b in pairs if a.objects and b.objects]),
    )


def _dices(a: Segmentation, b: Segmentation) -> Iterator[float]:
    for number, region in enumerate(a.regions, 1):
        if region.share >= COVERS:
            one, other = a.labels == number, b.labels == number
            both = np.count_nonzero(one) + np.count_nonzero(other)
            yield 2 * float(np.count_nonzero(one & other)) / both


def boundary_shift(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return how far 95 % of the boundaries of two masks are from each other's, px.

    Args:
        one: (Z, H, W).
        other: of the same shape.

    Returns:
        The 95th percentile of the distances from a pixel of one's boundary to the next of the other's, both
        ways, at most FURTHEST_PX; 0 where both masks are empty.
    """
    edges = _boundary(one), _boundary(other)
    distances = np.concatenate([_distances(edges[0], edges[1]), _distances(edges[1], edges[0])])
    return float(np.quantile(distances, 0.95)) if len(distances) else 0.0


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that a pixel above, below or beside them is not of."""
    inside = mask.copy()
    inside[:, 1:] &= mask[:, :-1]
    inside[:, :-1] &= mask[:, 1:]
    inside[:, :, 1:] &= mask[:, :, :-1]
    inside[:, :, :-1] &= mask[:, :, 1:]
    return mask & ~inside


def _distances(edge: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how far each pixel of an edge is from the next of another, at most FURTHEST_PX."""
    planes, rows, cols = np.nonzero(edge)
    found = np.full(len(planes), float(FURTHEST_PX))
    wide = np.pad(other, ((0, 0), (FURTHEST_PX, FURTHEST_PX), (FURTHEST_PX, FURTHEST_PX)))
    left = np.arange(len(planes))
    for distance, down, right in _OFFSETS:
        hit = wide[planes[left], rows[left] + down + FURTHEST_PX, cols[left] + right + FURTHEST_PX]
        found[left[hit]] = distance
        left = left[~hit]
        if not len(left):
            break
    return found


class _Matched(NamedTuple):
    """How many objects each of two results has, and how many are the same."""

    one: int
    other: int
    same: int


def _objects(pairs: Sequence[tuple[Objects, Objects]]) -> dict[str, float | int | None]:
    if not pairs:
        return {}
    matched = [_match(a, b) for a, b in pairs]
    unmatched = [pair.one + pair.other - 2 * pair.same for pair in matched]
    total = sum(pair.one + pair.other for pair in matched)
    diameters = [
        [row.diameter_px for one in side for row in one.rows if not row.touches_border]
        for side in zip(*pairs, strict=True)
    ]
    shift = None
    if all(map(len, diameters)):
        medians = [float(np.median(side)) for side in diameters]
        shift = abs(medians[1] / medians[0] - 1)
    return {
        "object_f1": 2 * sum(pair.same for pair in matched) / total if total else None,
        "unmatched": sum(unmatched),
        "miscounted": sum(
            lacking > max(1, MISCOUNTED * pair.one) for lacking, pair in zip(unmatched, matched, strict=True)
        ),
        "diameter_shift": shift,
    }


def _match(a: Objects, b: Objects) -> _Matched:
    """Return how many objects overlap by more than half of what both cover: none has two partners so."""
    one, other = (np.bincount(side.labels.ravel(), minlength=1) for side in (a, b))
    both = (a.labels > 0) & (b.labels > 0)
    pairs, shared = np.unique(
        a.labels[both].astype(np.int64) * len(other) + b.labels[both], return_counts=True
    )
    left, right = np.divmod(pairs, len(other))
    same = np.count_nonzero(3 * shared > one[left] + other[right])  # IoU > 1/2
    return _Matched(len(a.rows), len(b.rows), int(same))
