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
    true_numbers, true_of, true_px = np.unique(truth, return_inverse=True, return_counts=True)
    found_numbers, found_of, found_px = np.unique(found, return_inverse=True, return_counts=True)
    is_true, is_found = true_numbers > 0, found_numbers > 0
    # Only pairs that share a pixel: a table of all would grow with the square of the objects.
    keys, common = np.unique(true_of.ravel() * len(found_numbers) + found_of.ravel(), return_counts=True)
    one, two = np.divmod(keys, len(found_numbers))
    shared = is_true[one] & is_found[two]
    one, two, common = one[shared], two[shared], common[shared]
    union = true_px[one] + found_px[two] - common
    iou = common / union
    partners = _partners(one, two, iou)
    kept = [
        (2 * (true_px[a] / np.pi) ** 0.5, 2 * (found_px[b] / np.pi) ** 0.5)
        for a, b in partners
        if not (_touches(truth, true_numbers[a]) or _touches(found, found_numbers[b]))
    ]
    best = _best(one, iou)
    alone_px = true_px[is_true].sum() - true_px[one[best]].sum()
    spare_px = found_px[is_found].sum() - found_px[np.unique(two[best])].sum()
    return Matching(
        there=int(is_true.sum()),
        found=int(is_found.sum()),
        matched=len(partners),
        common_px=int(common[best].sum()),
        union_px=int(union[best].sum() + alone_px + spare_px),
        diameters_px=tuple(kept),
    )


def _partners(one: Pixels, two: Pixels, iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return unique pairs of those that share pixels, the best first."""
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    others: set[int] = set()
    for k in np.argsort(-iou, kind="stable"):
        a, b = int(one[k]), int(two[k])
        if iou[k] >= LEAST_IOU and a not in taken and b not in others:
            pairs.append((a, b))
            taken.add(a)
            others.add(b)
    return pairs


def _best(one: Pixels, iou: NDArray[np.float64]) -> Pixels:
    """Return for each object that is there which of its pairs fits best, the first of equals."""
    best_first = np.lexsort((-iou, one))
    best: Pixels = best_first[np.unique(one[best_first], return_index=True)[1]]
    return best


def _touches(labels: Labels, number: int) -> bool:
    return any((edge == number).any() for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]))
