"""The figures of a two-class test, patient being the positive class.

Equations 6 to 10 of Bazaga et al. 2019 ("the paper"), the ROC curve and the calibration error. NumPy alone: a
bundle is evaluated where there is no torch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10

Flags = NDArray[np.bool_]
Numbers = NDArray[np.floating]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """How often each class was judged right; a ratio of nothing to nothing is None.

    Attributes:
        tp, fn: patients judged right, and all other patients.
        tn, fp: controls judged right, and all other controls.
    """

    tp: int
    tn: int
    fp: int
    fn: int

    @classmethod
    def count(cls, patient: Flags, right: Flags) -> "Confusion":
        """Count (N,) judgements; whoever is judged neither way is judged wrong."""
        return cls(
            tp=int(np.sum(patient & right)),
            tn=int(np.sum(~patient & right)),
            fp=int(np.sum(~patient & ~right)),
            fn=int(np.sum(patient & ~right)),
        )

    @property
    def accuracy(self) -> float | None:
        """Share of all that is judged right."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of patients among all called patients; an undecided control counts as called one."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def sensitivity(self) -> float | None:
        """Share of the patients that is judged right."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Share of the controls that is judged right."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and sensitivity."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


class Bin(NamedTuple):
    """What came true of judgements made with about the same confidence.

    Attributes:
        low, high: confidence from `low` to below `high`; the last bin has 1.0 too.
        n: judgements, 1 or more.
        confidence: their mean confidence, 0..1.
        accuracy: share of them that is right, 0..1.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def auc(patient: Flags, score: Numbers) -> float | None:
    """Return the chance that a patient has a larger score than a control, ties counted half.

    Args:
        patient: (N,) the truth.
        score: (N,) finite, the larger the more like a patient.

    Returns:
        0..1; None if all are of one class.
    """
    sick, well = int(np.sum(patient)), int(np.sum(~patient))
    if not sick or not well:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return float((rank[place][patient].sum() - sick * (sick + 1) / 2) / (sick * well))


def roc(patient: Flags, score: Numbers) -> Points | None:
    """Return the corners of the ROC curve, from (0, 0) to (1, 1).

    Args:
        patient: as of `auc`, which is the area below the curve.
        score: as of `auc`.

    Returns:
        (M, 2) float64: 1 - specificity and sensitivity when all from a falling threshold on are called
        patients; None if all are of one class.
    """
    sick, well = int(np.sum(patient)), int(np.sum(~patient))
    if not sick or not well:
        return None
    order = np.argsort(-score, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    called_sick = np.cumsum(patient[order])[last_of_equals]
    called_well = 1 + last_of_equals - called_sick
    steps = np.concatenate([[[0, 0]], np.stack([called_well, called_sick], axis=1)])
    ahead, behind = np.diff(steps[1:], axis=0), np.diff(steps[:-1], axis=0)
    turns = ahead[:, 0] * behind[:, 1] != ahead[:, 1] * behind[:, 0]
    return steps[np.concatenate([[True], turns, [True]])] / np.array([well, sick])


def thinned(curve: Points, at_most: int = 200) -> Points:
    """Return some of the points of an ROC curve, its ends among them, evenly spread along it.

    The sum of both rates runs from 0 to 2; there, no point is further than 2 / (at_most - 1) from one kept.
    """
    if len(curve) <= at_most:
        return curve
    along = curve.sum(axis=1)
    wanted = np.linspace(0, 2, at_most)
    after = np.searchsorted(along, wanted).clip(1, len(along) - 1)
    nearest = after - (wanted - along[after - 1] < along[after] - wanted)
    return curve[np.unique(nearest)]


def mean_roc(curves: list[Points], steps: int = 100) -> Points:
    """Return the mean sensitivity of ROC curves at each of evenly spaced false positive rates.

    Returns:
        (steps + 2, 2) float64, from (0, 0); the second point is the mean of what is reached for nothing.
    """
    rate = np.linspace(0, 1, steps + 1)
    height = np.mean([np.interp(rate, curve[:, 0], curve[:, 1]) for curve in curves], axis=0)
    return np.concatenate([[[0.0, 0.0]], np.stack([rate, height], axis=1)])


def reliability(confidence: NDArray[np.float32], right: Flags) -> list[Bin]:
    """Return those of ten equal parts of 0..1 that judgements fall into.

    Args:
        confidence: (N,) float32, 0..1, the larger probability; float32(0.9) is in the bin from 0.9.
        right: (N,) whether it came true.
    """
    edges = np.arange(BINS + 1) / BINS
    which = np.searchsorted(edges[1:-1].astype(np.float32), confidence, side="right")
    bins = []
    for number in np.unique(which):
        here = which == number
        bins.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                n=int(np.sum(here)),
                confidence=float(np.mean(confidence[here], dtype=np.float64)),
                accuracy=float(np.mean(right[here])),
            )
        )
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error, 0..1: the mean distance of confidence and accuracy."""
    gaps = [b.n * abs(b.confidence - b.accuracy) for b in bins]
    return sum(gaps) / sum(b.n for b in bins)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
