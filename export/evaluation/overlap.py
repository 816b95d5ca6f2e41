"""How far what was found covers what is there, in pixels: Dice, IoU, precision, recall.

    Dice = 2 TP / (2 TP + FP + FN)     precision = TP / (TP + FP)
    IoU  =   TP / (TP + FP + FN)       recall    = TP / (TP + FN)

Dice 1945 ("Measures of the Amount of Ecologic Association Between Species"), which is the F1 of the pixels;
Jaccard 1901. NumPy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Pixels of one class; a ratio of nothing to nothing is None.

    Attributes:
        tp: found and there.
        fp: found and not there.
        fn: there and not found.
    """

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Overlap") -> "Overlap":
        """Return the pixels of both together."""
        return Overlap(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def dice(self) -> float | None:
        """Twice the common pixels, of all pixels of both."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float | None:
        """Intersection over union."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of what was found that is there."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of what is there that was found."""
        return _ratio(self.tp, self.tp + self.fn)


def overlaps(truth: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> list[Overlap]:
    """Return the overlap of each class of 0 .. classes - 1.

    Args:
        truth: (H, W) uint8; what is no class is not counted anywhere.
        found: (H, W) uint8, each pixel's class.
        classes: how many there are.
    """
    counted = truth < classes
    pairs = np.bincount(truth[counted].astype(np.int64) * classes + found[counted], minlength=classes**2)
    confusion = pairs.reshape(classes, classes)
    right, there, called = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        Overlap(int(tp), int(all_found - tp), int(all_there - tp))
        for tp, all_there, all_found in zip(right, there, called, strict=True)
    ]


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of all that are defined; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
