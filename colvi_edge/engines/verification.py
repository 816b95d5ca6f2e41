"""The test that an engine, on this very runtime and device, decides as the trained network does.

A bundle carries raw patches with the probabilities that the FP32 network in torch gave them. They
are run through the engine as an image would be, and compared by what matters: the votes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.bundle.parity import Comparison
from colvi_edge.bundle.task import Classify
from colvi_edge.engines.base import Engine, blank_planes
from colvi_edge.errors import ParityError
from colvi_edge.patches import paste
from colvi_edge.tasks.classify import CLASSES, Diagnosis, diagnose, rule_of


@dataclass(frozen=True)
class Tolerance:
    """How far a precision may be off; fresh photon noise on the same scene changes 4 % of the votes.

    Attributes:
        agreement: smallest share of patches with the same vote.
        score_points: largest change of an image's score.
        undecided_points: images whose reference score is nearer to 50 than this may flip.
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


Judge = Callable[[NDArray[np.float32]], Diagnosis]
"""What probabilities (rows, cols, K) of an image come to."""


def judge_of(task: Classify) -> Judge:
    """Return how a bundle judges."""
    return partial(diagnose, classes=task.classes, rule=rule_of(task.decision))


def compare(
    reference: list[NDArray[np.float32]],
    found: list[NDArray[np.float32]],
    tolerance: Tolerance,
    judge: Judge = diagnose,
) -> Comparison:
    """Compare probabilities image by image.

    Args:
        reference: (rows, cols, K) of each image, from the FP32 network.
        found: the same of the network in question; what is no probability there counts as a tie.
        tolerance: tells which images count as undecided.
        judge: of the bundle.
    """
    broken = [~((b >= 0) & (b <= 1)).all(axis=-1, keepdims=True) for b in found]
    found = [np.where(wrong, np.float32(0.5), b) for wrong, b in zip(broken, found, strict=True)]
    judged = [(judge(a), judge(b)) for a, b in zip(reference, found, strict=True)]
    dp = np.concatenate([np.abs(a - b).ravel() for a, b in zip(reference, found, strict=True)])
    same_vote = np.concatenate([(a.vote == b.vote).ravel() for a, b in judged])
    banded = [(a.band == b.band).ravel() for a, b in judged if a.classes == CLASSES]
    return Comparison(
        patches=len(same_vote),
        broken=sum(int(wrong.sum()) for wrong in broken),
        agreement=float(same_vote.mean()),
        band_flips=float(1 - np.concatenate(banded).mean()) if banded else 0.0,
        diagnosis_flips=sum(
            a.name != b.name and abs(a.score - 50) > tolerance.undecided_points for a, b in judged
        ),
        largest_dp=float(dp.max()),
        p99_dp=float(np.quantile(dp, 0.99)),
        largest_dscore=max(abs(a.score - b.score) for a, b in judged),
    )


def compare_with_training(
    bundle: Bundle, judge: Callable[[NDArray[Any]], NDArray[np.float32]], tolerance: Tolerance
) -> Comparison | None:
    """Compare with the trained network on the bundle's verification patches; None where it has none.

    Args:
        bundle: whose patches and probabilities of the FP32 network in torch these are.
        judge: returns the (N, 2) probabilities of raw patches (N, C, P, P), such as `as_one_image`.
        tolerance: tells which images count as undecided; all patches are one.
    """
    known = bundle.verification_set()
    if known is None:
        return None
    return compare([known.probabilities[np.newaxis]], [judge(known.patches)[np.newaxis]], tolerance)


def as_one_image(engine: Engine) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return what gives the probabilities (N, 2) of raw patches (N, C, P, P), side by side in one image."""
    return lambda patches: engine.field(paste(patches, 1, len(patches))[np.newaxis])[0]


def verify(engine: Engine, bundle: Bundle) -> None:
    """Run the bundle's verification patches through an engine, as one image; a blank one where it has none.

    Raises:
        ParityError: more votes differ from the trained network's than the gate allows. The
            patches were chosen for clear votes, so that rounding alone changes none.
    """
    tolerance = Tolerance()
    compared = compare_with_training(bundle, as_one_image(engine), tolerance)
    if compared is None:
        engine.field(blank_planes(bundle.config, patches=1))
    elif faults := tolerance.faults(compared):
        raise ParityError(
            f"{engine.info.precision} on {engine.info.label} does not decide as the "
            f"trained network does: {'; '.join(faults)}; use --precision fp32, or export for this machine"
        )
