"""Do two networks see the same regions and objects? What a gate asks, and what an evaluation counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.compared import JoinsCompared, ObjectsCompared, RegionsCompared, SegmentComparison
from colvi_edge.tasks.objects import Objects, spread_of
from colvi_edge.tasks.objects.watershed import distances
from colvi_edge.tasks.segment.segmentation import Segmentation

COVERED = 0.001
"""Share of an image from which on Dice is asked of a class: of a few pixels each counts for too much."""

FARTHEST_PX = 16
"""Boundaries farther apart are as far: nobody asks how far an object is from one that is not there."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentTolerance:
    """How far a precision may be off; fresh photon noise on the same scene takes 0.006 of the Dice.

    Attributes:
        median_dice, worst_dice: smallest of a class, at the median and of the worst image.
        share_points: largest change of a class's share of an image.
        boundary_px: farthest that the 95th percentile of the boundary moves.
        f1: smallest of the objects.
        flips: objects without a partner: so many an image on average, or a hundredth of the reference's.
        diameter: largest change of the median diameter, of it.
        joins_dp: largest difference of windows to the whole image in FP32; no pixel may have another class.
        joins_step: largest step across the joins of blended windows, as a multiple of those elsewhere.
    """

    median_dice: float = 0.9975
    worst_dice: float = 0.995
    share_points: float = 0.1
    boundary_px: float = 1.0
    f1: float = 0.99
    flips: float = 1.0
    diameter: float = 0.005
    joins_dp: float = 1e-6
    joins_step: float = 1.05

    def faults(self, compared: SegmentComparison) -> list[str]:
        """Return what is beyond tolerance, in words; an empty list is a pass."""
        faults = []
        if compared.broken:
            faults.append(f"{compared.broken} images get no probabilities, none may")
        judged = compared.images > compared.broken
        if judged and compared.regions and not any(region.images for region in compared.regions):
            faults.append(
                f"no class but the background covers {100 * COVERED:g} % of any image, so that nothing was "
                "compared; take images in which there is something"
            )
        for region in compared.regions:
            faults += [f"{region.name}: {fault}" for fault in self._region_faults(region)]
        if compared.objects is not None:
            faults += self._object_faults(compared.objects, compared.images - compared.broken)
        if compared.joins is not None:
            faults += self._join_faults(compared.joins)
        return faults

    def _region_faults(self, region: RegionsCompared) -> list[str]:
        faults = []
        if region.median_dice < self.median_dice:
            faults.append(
                f"Dice {region.median_dice:.4f} at the median, at least {self.median_dice:g} it must be"
            )
        if region.worst_dice < self.worst_dice:
            faults.append(
                f"Dice {region.worst_dice:.4f} in the worst image, at least {self.worst_dice:g} it must be"
            )
        if region.largest_dshare > self.share_points:
            faults.append(
                f"its share of an image moves by {region.largest_dshare:.2f} points, "
                f"at most {self.share_points:g} may"
            )
        if region.boundary_p95_px > self.boundary_px:
            faults.append(
                f"its boundary moves by {region.boundary_p95_px:.1f} px (95th percentile), "
                f"at most {self.boundary_px:g} may"
            )
        return faults

    def _object_faults(self, objects: ObjectsCompared, images: int) -> list[str]:
        faults = []
        if objects.f1 < self.f1:
            faults.append(f"F1 of the objects is {objects.f1:.4f}, at least {self.f1:g} it must be")
        allowed = max(self.flips * images, objects.reference / 100)
        if objects.flips > allowed:
            faults.append(f"{objects.flips} objects have no partner, at most {allowed:.0f} may")
        if objects.median_diameter_moves > self.diameter:
            faults.append(
                f"the median diameter moves by {objects.median_diameter_moves:.2%}, "
                f"at most {self.diameter:.2%} may"
            )
        return faults

    def _join_faults(self, joins: JoinsCompared) -> list[str]:
        faults = []
        if joins.largest_dp is joins.flips is joins.step is None:
            faults.append(
                "nothing was measured where windows join; add images that are larger than a window, and in "
                "which there is something"
            )
        if joins.largest_dp is not None and joins.largest_dp > self.joins_dp:
            faults.append(
                f"windows differ from the whole image by {joins.largest_dp:.2g}, at most "
                f"{self.joins_dp:g} may"
            )
        if joins.flips:
            faults.append(f"{joins.flips} pixels have another class in windows than in the whole, none may")
        if joins.step is not None and joins.step > self.joins_step:
            faults.append(
                f"steps across joins are {joins.step:.2f} times those elsewhere, at most "
                f"{self.joins_step:g} may be"
            )
        return faults


def compare(reference: Sequence[Segmentation], found: Sequence[Segmentation | None]) -> SegmentComparison:
    """Compare results image by image.

    Args:
        reference: of the FP32 network, or of who annotated; the same classes in each.
        found: of the network in question, of the same images; None where its outputs are no probabilities.
    """
    pairs = [(a, b) for a, b in zip(reference, found, strict=True) if b is not None]
    return SegmentComparison(
        images=len(reference),
        broken=len(reference) - len(pairs),
        regions=tuple(
            _regions(name, [(a.labels == index, b.labels == index) for a, b in pairs])
            for index, name in enumerate(reference[0].classes)
            if index
        ),
        objects=_objects([(a.objects, b.objects) for a, b in pairs if a.objects and b.objects]),
    )


def dice(one: Mask, other: Mask) -> float:
    """Return twice the shared pixels over both masks' own, 0..1; 1 of two empty ones."""
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / both if both else 1.0


def boundary_distances(one: Mask, other: Mask) -> NDArray[np.float32]:
    """Return how far each boundary pixel of one mask (H, W) is from the other's boundary, and the other way.

    Returns:
        (n,) float32, px, at most FARTHEST_PX. A boundary pixel has a neighbour across an edge that is not of
        the mask; the border of the image is no boundary.
    """
    boundaries = [_boundary(mask) for mask in (one, other)]
    return np.concatenate([_far_from(*pair) for pair in (boundaries, boundaries[::-1])])


def _regions(name: str, masks: list[tuple[Mask, Mask]]) -> RegionsCompared:
    """Compare the masks (Z, H, W) of one class."""
    asked = [dice(a, b) for a, b in masks if np.count_nonzero(a) >= COVERED * a.size]
    moved = [boundary_distances(*planes) for a, b in masks for planes in zip(a, b, strict=True)]
    far = np.concatenate([np.zeros(0, np.float32), *moved])
    return RegionsCompared(
        name=name,
        images=len(asked),
        median_dice=float(np.median(asked)) if asked else 1.0,
        worst_dice=min(asked, default=1.0),
        largest_dshare=max((100 * abs(float(a.mean() - b.mean())) for a, b in masks), default=0.0),
        boundary_p95_px=float(np.quantile(far, 0.95)) if far.size else 0.0,
    )


def _boundary(mask: Mask) -> Mask:
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return mask & ~inner


def _far_from(pixels: Mask, target: Mask) -> NDArray[np.float32]:
    """Return the distances of some pixels to the nearest of a target, at most FARTHEST_PX."""
    # Padded, for what lies beyond the map is none of the target's pixels.
    away = distances(np.pad(~target, FARTHEST_PX, constant_values=True), FARTHEST_PX)
    inside = away[FARTHEST_PX:-FARTHEST_PX, FARTHEST_PX:-FARTHEST_PX]
    return np.sqrt(inside[pixels].astype(np.float32))


def _objects(pairs: list[tuple[Objects, Objects]]) -> ObjectsCompared | None:
    """Compare the objects of each image."""
    if not pairs:
        return None
    classes = {row.class_index for pair in pairs for objects in pair for row in objects.rows}
    return ObjectsCompared(
        reference=sum(len(a.rows) for a, _ in pairs),
        found=sum(len(b.rows) for _, b in pairs),
        matched=sum(len(matches(a, b)) for a, b in pairs),
        median_diameter_moves=max((_diameter_moves(pairs, index) for index in classes), default=0.0),
    )


def matches(one: Objects, other: Objects) -> list[tuple[int, int]]:
    """Return the labels of objects of one class that share more than half of their union, in unique pairs."""
    shared = (one.labels > 0) & (other.labels > 0)
    across = len(other.rows) + 1
    keys, pixels = np.unique(
        one.labels[shared].astype(np.int64) * across + other.labels[shared], return_counts=True
    )
    found = []
    for key, common in zip(keys.tolist(), pixels.tolist(), strict=True):
        first, second = divmod(key, across)
        a, b = one.rows[first - 1], other.rows[second - 1]
        if a.class_index == b.class_index and 2 * common > a.area_px + b.area_px - common:
            found.append((first, second))
    return found


def _diameter_moves(pairs: list[tuple[Objects, Objects]], class_index: int) -> float:
    """Return by what part of the reference's the median diameter of a class moves; 1 if either has none."""
    before, after = (
        spread_of(
            row.diameter_px
            for pair in pairs
            for row in pair[side].rows
            if row.class_index == class_index and not row.touches_border
        )
        for side in range(2)
    )
    if before is None or after is None:
        return float(before is not after)
    return abs(after.median / before.median - 1)
