"""Do two networks decide alike? Asked of votes, scores and diagnoses, which are what people see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.parity import Comparison
from colvi_edge.tasks.classify.diagnosis import CLASSES, MAJORITY, Diagnosis, Rule, diagnose


@dataclass(frozen=True)
class Tolerance:
    """How far a precision may be off; fresh photon noise on the same scene changes 4 % of the votes.

    Attributes:
        agreement: smallest share of patches with the same vote.
        score_points: largest change of an image's score.
        undecided_points: images whose reference score is nearer than this to where another diagnosis begins,
            which is 50 for control and patient, may flip.
    """

    agreement: float = 0.985
    score_points: float = 2.0
    undecided_points: float = 2.0

    def faults(self, compared: Comparison) -> list[str]:
        """Return what is beyond tolerance, in words; an empty list is a pass."""
        faults = []
        if compared.broken:
            faults.append(f"{compared.broken} patches get no probabilities, none may")
        if compared.agreement < self.agreement:
            faults.append(f"{compared.agreement:.2%} of votes agree, at least {self.agreement:.2%} must")
        if compared.largest_dscore > self.score_points:
            faults.append(
                f"a score moves by {compared.largest_dscore:.1f} points, at most {self.score_points:g} may"
            )
        if compared.diagnosis_flips:
            faults.append(f"{compared.diagnosis_flips} diagnoses flip, none may")
        return faults


def compare(
    reference: Sequence[NDArray[np.float32]],
    found: Sequence[NDArray[np.float32]],
    tolerance: Tolerance,
    classes: Sequence[str] = CLASSES,
    rule: Rule = MAJORITY,
) -> Comparison:
    """Compare probabilities image by image.

    Args:
        reference: (rows, cols, K) of each image, from the FP32 network.
        found: the same of the network in question; what is no probability there counts as a tie.
        tolerance: tells which images count as undecided.
        classes: K of them.
        rule: of the bundle.
    """
    broken = [~((b >= 0) & (b <= 1)).all(axis=-1, keepdims=True) for b in found]
    found = [np.where(wrong, np.float32(0.5), b) for wrong, b in zip(broken, found, strict=True)]
    judged = [
        (diagnose(a, classes, rule), diagnose(b, classes, rule))
        for a, b in zip(reference, found, strict=True)
    ]
    dp = np.concatenate([np.abs(a - b).ravel() for a, b in zip(reference, found, strict=True)])
    same_vote = np.concatenate([(a.vote == b.vote).ravel() for a, b in judged])
    return Comparison(
        patches=len(same_vote),
        broken=sum(int(wrong.sum()) for wrong in broken),
        agreement=float(same_vote.mean()),
        band_flips=_band_flips(judged) if tuple(classes) == CLASSES else 0.0,
        diagnosis_flips=sum(
            a.name != b.name and margin(a, rule) > tolerance.undecided_points for a, b in judged
        ),
        largest_dp=float(dp.max()),
        p99_dp=float(np.quantile(dp, 0.99)),
        largest_dscore=max(abs(a.score - b.score) for a, b in judged),
    )


def margin(diagnosis: Diagnosis, rule: Rule = MAJORITY) -> float:
    """Return how far the score is from where another diagnosis begins, points.

    Of more than two classes: half of what separates the two that have most votes.
    """
    if rule.name != "majority":
        return abs(diagnosis.score - 100 * rule.at)
    if len(diagnosis.classes) == 2:
        return abs(diagnosis.score - 50)
    first, second = sorted(diagnosis.counts[:-1])[:-3:-1]
    return 50 * (first - second) / diagnosis.vote.size


def _band_flips(judged: Sequence[tuple[Diagnosis, Diagnosis]]) -> float:
    same = np.concatenate([(a.band == b.band).ravel() for a, b in judged])
    return float(1 - same.mean())
