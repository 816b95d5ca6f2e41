"""How sure the figures of a test are: 95 % intervals that know which judgements belong together.

Images of one subject are alike, and so are patches of one image; what stands for itself is a *group*: a
subject, or an image where nobody said whose it is.

- Of images, shares get Wilson's interval, and the area below the ROC curve gets Newcombe's (2006, method 5),
  for as many images as there would be if those of one subject were wholly alike (Kish's effective number,
  which is their number where each stands for itself). Both hold for a few images, and where all are right.
- Of patches, each group in turn is left out with all its patches (a jackknife of log odds, with Student's t).
  Where a class has fewer than FEWEST_GROUPS there is none: in simulated tests (64 patches an image, 400
  tests of each of four kinds of networks) 92 to 97 % of the intervals of accuracy held the truth with 6 to
  40 images of each class. The percentiles of a cluster bootstrap did in 82 to 88 %, with 6 to 20.

NumPy alone: a bundle is evaluated where there is no torch, and no SciPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .metrics import Flags, Numbers
from .record import Interval, Intervals

LEVEL = 0.95
FEWEST_GROUPS = 6
"""Of each class, for intervals of patches."""
NO_INTERVAL = (
    "Patches have no intervals here: those of one image are alike, and fewer than "
    f"{FEWEST_GROUPS} subjects, or images, of a class do not show how much."
)

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_HALVINGS = 50


@dataclass(frozen=True)
class Answers:
    """What was said of N patches, or of N images, and what is true.

    Attributes:
        patient: (N,) the truth.
        right: (N,) whether it was said; who says neither class is wrong.
        likeness: (N,) float64, the larger the more like a patient.
        group: (N,) int64, what belongs together; of one class and one fold.
        fold: (N,) int64; only within one are likenesses compared, as each has a network of its own.
    """

    patient: Flags
    right: Flags
    likeness: Numbers
    group: NDArray[np.int64]
    fold: NDArray[np.int64]

    @classmethod
    def together(cls, folds: Sequence["Answers"]) -> "Answers":
        """Return the answers of several folds, each of which has groups of its own, as those of one test."""
        number = np.repeat(np.arange(len(folds)), [len(fold.group) for fold in folds])
        pairs = np.stack([number, np.concatenate([fold.group for fold in folds])])
        group = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
        patient, right, likeness = (
            np.concatenate([getattr(fold, name) for fold in folds])
            for name in ("patient", "right", "likeness")
        )
        return cls(patient, right, likeness, group, number)

    @property
    def called_patient(self) -> Flags:
        """(N,) patients judged right, and controls that were not."""
        return self.patient == self.right


def of_images(images: Answers, auc: float | None) -> Intervals:
    """Return the intervals of the figures of images; `auc` is the area below their curve."""
    patient, called = images.patient, images.called_patient
    either = _share(images, patient | called)
    counted = [effective(images.group[of]) for of in (patient, ~patient)]
    return Intervals(
        accuracy=_share(images, np.ones_like(patient)),
        precision=_share(images, called),
        sensitivity=_share(images, patient),
        specificity=_share(images, ~patient),
        # F1 = 2 J / (1 + J), J being the share judged right of all who are, or are called, patients.
        f1=either and (2 * either[0] / (1 + either[0]), 2 * either[1] / (1 + either[1])),
        auc=None if auc is None else area(auc, *counted),
    )


def of_patches(patches: Answers) -> Intervals | None:
    """Return the intervals of the figures of patches, all of each group; None with too few groups."""
    groups, first, member = np.unique(patches.group, return_index=True, return_inverse=True)
    sick = patches.patient[first]
    fewest = int(min(np.sum(sick), np.sum(~sick)))
    if fewest < FEWEST_GROUPS:
        return None
    kept = np.concatenate([np.ones((1, len(groups))), 1 - np.eye(len(groups))])
    right, wrong = (
        kept * np.bincount(member.reshape(-1), flags) for flags in (patches.right, ~patches.right)
    )
    tp, fn, tn, fp = (part[:, of].sum(axis=1) for of in (sick, ~sick) for part in (right, wrong))
    won, lost = _pairs(patches, member.reshape(-1), sick)
    ahead, behind = (((kept[:, sick] @ part) * kept[:, ~sick]).sum(axis=1) for part in (won, lost))
    odds = {
        "accuracy": (tp + tn, fp + fn),
        "precision": (tp, fp),
        "sensitivity": (tp, fn),
        "specificity": (tn, fp),
        "f1": (2 * tp, fp + fn),
        "auc": (ahead, behind),
    }
    quantile = student(fewest - 1)
    return Intervals(**{name: _jackknife(*part, sick, quantile) for name, part in odds.items()})


def wilson(share: float, n: float) -> Interval:
    """Return Wilson's interval of a share of n; n need not be a whole number."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5 / (1 + Z**2 / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def area(auc: float, patients: float, controls: float) -> Interval:
    """Return Newcombe's interval of the area below an ROC curve: the areas that would not be surprised by it.

    Args:
        auc: 0..1.
        patients: how many, 1 or more; need not be a whole number.
        controls: likewise.
    """
    both = (patients + controls) / 2 - 1

    def fits(true: float) -> bool:
        spread = 1 + both * (1 - true) / (2 - true) + both * true / (1 + true)
        return (auc - true) ** 2 <= Z**2 * true * (1 - true) * spread / (patients * controls)

    def edge(inside: float, outside: float) -> float:
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fits(middle) else (inside, middle)
        return inside

    return edge(auc, 0.0), edge(auc, 1.0)


def student(freedom: int) -> float:
    """Return the quantile of Student's t that `Z` is of the normal distribution; within 0.003 from 5 on."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def effective(group: NDArray[np.int64]) -> float:
    """Return how many members count if those of one group are wholly alike; (N,) -> 0..N."""
    size = np.unique(group, return_counts=True)[1]
    return float(size.sum() ** 2 / (size**2).sum()) if len(size) else 0.0


def _share(answers: Answers, among: Flags) -> Interval | None:
    if not among.any():
        return None
    return wilson(float(np.mean(answers.right[among])), effective(answers.group[among]))


def _pairs(patches: Answers, member: NDArray[np.int64], sick: Flags) -> tuple[Numbers, Numbers]:
    """Return (sick groups, well groups): pairs of their patches ranked right, and wrong; ties count half."""
    place = np.where(sick, np.cumsum(sick), np.cumsum(~sick)) - 1
    won, lost = (np.zeros((int(sick.sum()), int((~sick).sum()))) for _ in range(2))
    for group in np.flatnonzero(~sick):
        own = member == group
        against = patches.patient & (patches.fold == patches.fold[own][0])
        likeness, theirs = np.sort(patches.likeness[own]), place[member[against]]
        sides = [np.searchsorted(likeness, patches.likeness[against], side) for side in ("left", "right")]
        below = np.mean(sides, axis=0)
        won[:, place[group]] = np.bincount(theirs, below, len(won))
        lost[:, place[group]] = np.bincount(theirs, len(likeness) - below, len(won))
    return won, lost


def _jackknife(part: Numbers, rest: Numbers, sick: Flags, quantile: float) -> Interval | None:
    """Return the interval of a share, part / (part + rest); None where nothing varies.

    Args:
        part: (1 + groups,) of all groups, and of all but each.
        rest: likewise.
        sick: (groups,) their classes: as many of each would be drawn again.
        quantile: of Student's t.
    """
    if not (part.all() and rest.all()):
        return None
    whole, *others = np.log(part / rest)
    classes = (np.array(others)[of] for of in (sick, ~sick))
    variance = float(sum((len(one) - 1) * np.var(one) for one in classes))
    reach = quantile * variance**0.5
    low, high = (float(1 / (1 + np.exp(-edge))) for edge in (whole - reach, whole + reach))
    return (low, high) if low < high else None
