"""How objects that were found match those that are there, of one image.

Two match if their intersection over union is at least 0.5, the best pair first; then each has one partner
at most. AJI is the aggregated Jaccard index of Kumar et al. 2017 ("A Dataset and a Technique for Generalized
Nuclear Segmentation for Computational Pathology"): each object that is there takes the found one that fits
best, whatever the fit, and sum |G and S| / (sum |G or S| + sum |S taken by none|), where a G that nothing was
found of counts in the union. NumPy alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .overlap import mean_of

LEAST_IOU = 0.5
"""Of two objects that are one."""

Labels = NDArray[np.integer]
Pixels = NDArray[np.int64]


@dataclass(frozen=True)
class Matching:
    """Objects of one image, or of several together.

    Attributes:
        there: objects of the truth.
        found: objects that were found.
        matched: pairs.
        common_px, union_px: numerator and denominator of the AJI.
        diameters_px: (true, found) of each pair of which neither touches the border.
    """

    there: int
    found: int
    matched: int
    common_px: int
    union_px: int
    diameters_px: tuple[tuple[float, float], ...]

    def __add__(self, other: "Matching") -> "Matching":
        """Return the objects of both together."""
        return Matching(
            self.there + other.there,
            self.found + other.found,
            self.matched + other.matched,
            self.common_px + other.common_px,
            self.union_px + other.union_px,
            self.diameters_px + other.diameters_px,
        )

    @property
    def f1(self) -> float | None:
        """Twice the pairs, of all objects of both; None where there is none."""
        objects = self.there + self.found
        return 2 * self.matched / objects if objects else None

    @property
    def precision(self) -> float | None:
        """Share of the found objects that have a partner."""
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the objects that are there that have a partner."""
        return self.matched / self.there if self.there else None

    @property
    def aji(self) -> float | None:
        """Aggregated Jaccard index."""
        return self.common_px / self.union_px if self.union_px else None

    @property
    def count_error(self) -> float | None:
        """By which share of them too many (above 0) or too few were found; None where there is none."""
        return (self.found - self.there) / self.there if self.there else None

    @property
    def diameter_error(self) -> float | None:
        """Mean of 1 - min / max of the diameters of a pair; 0 is best (delta_d of Gomez-de-Mariscal 2019)."""
        return mean_of([1 - min(pair) / max(pair) for pair in self.diameters_px])


def match(truth: Labels, found: Labels) -> Matching:
    """Match the objects of an image.

    Args:
        truth: (H, W), number of each pixel's object, 0 for none.
        found: (H, W), likewise.
    """
    true_numbers, true_of = np.unique(truth, return_inverse=True)
    found_numbers, found_of = np.unique(found, return_inverse=True)
    pairs = np.bincount(
        true_of.ravel() * len(found_numbers) + found_of.ravel(),
        minlength=len(true_numbers) * len(found_numbers),
    ).reshape(len(true_numbers), len(found_numbers))
    is_true, is_found = true_numbers > 0, found_numbers > 0
    true_px, found_px = pairs.sum(axis=1)[is_true], pairs.sum(axis=0)[is_found]
    common = pairs[is_true][:, is_found]
    union = true_px[:, np.newaxis] + found_px - common
    iou = common / union
    partners = _partners(iou)
    kept = [
        (2 * (area / np.pi) ** 0.5, 2 * (other / np.pi) ** 0.5)
        for (area, at_border), (other, other_at_border) in (
            (
                (true_px[one], _touches(truth, true_numbers[is_true][one])),
                (found_px[two], _touches(found, found_numbers[is_found][two])),
            )
            for one, two in partners
        )
        if not (at_border or other_at_border)
    ]
    aji = _aggregated(common, union, true_px, found_px)
    return Matching(len(true_px), len(found_px), len(partners), *aji, tuple(kept))


def _partners(iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    one, two = np.nonzero(iou >= LEAST_IOU)
    pairs: list[tuple[int, int]] = []
    for k in np.argsort(-iou[one, two], kind="stable"):
        if not any(one[k] == taken or two[k] == other for taken, other in pairs):
            pairs.append((int(one[k]), int(two[k])))
    return pairs


def _aggregated(
    common: NDArray[np.int64],
    union: NDArray[np.int64],
    true_px: NDArray[np.int64],
    found_px: NDArray[np.int64],
) -> tuple[int, int]:
    """Return numerator and denominator of the AJI."""
    taken = np.zeros(len(found_px), bool)
    shared = joined = 0
    for row, area in enumerate(true_px):
        if not common[row].any():
            joined += int(area)
            continue
        best = int(np.argmax(common[row] / union[row]))
        shared += int(common[row, best])
        joined += int(union[row, best])
        taken[best] = True
    return shared, joined + int(found_px[~taken].sum())


def _touches(labels: Labels, number: int) -> bool:
    return any((edge == number).any() for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]))
