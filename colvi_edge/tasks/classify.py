"""From the probabilities of the patches to the diagnosis of the image.

The rules of Bazaga et al. 2019, section 3 ("the paper"): the larger output is a patch's vote,
the majority of votes is the diagnosis, the share of control votes is the score, and
p_control falls into one of five colour bands. Everything that is shown later takes the
vote and the band from here; nothing decides a second time.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bands import band_of

ClassName = Literal["control", "patient"]
Vote = Literal["control", "patient", "tie"]
DiagnosisName = Literal["control", "patient", "unsure"]

CLASSES: tuple[ClassName, ClassName] = ("control", "patient")
"""What the network tells apart, in the order of its outputs."""

VOTES: tuple[Vote, ...] = (*CLASSES, "tie")


@dataclass(frozen=True)
class Diagnosis:
    """What the patches of one image say together.

    Attributes:
        p_control, p_patient: (rows, cols) float32, 0..1; they need not sum to 1.
        vote: (rows, cols) uint8, index into VOTES.
        band: (rows, cols) uint8, index into BANDS.
        counts: patches per vote, in the order of VOTES.
        score: 100 x control votes / patches, 0..100.
        name: the majority of votes; "unsure" on a tie.
    """

    p_control: NDArray[np.float32]
    p_patient: NDArray[np.float32]
    vote: NDArray[np.uint8]
    band: NDArray[np.uint8]
    counts: tuple[int, int, int]
    score: float
    name: DiagnosisName


def diagnose(probabilities: NDArray[np.float32]) -> Diagnosis:
    """Return the diagnosis for the probabilities of every patch.

    Args:
        probabilities: (rows, cols, 2) float32, finite, 0..1; last axis (control, patient).

    Raises:
        ValueError: another shape or dtype, or a value that is no probability.
    """
    if probabilities.ndim != 3 or probabilities.shape[2] != 2 or probabilities.size == 0:
        raise ValueError(f"expected (rows, cols, 2) probabilities, got {probabilities.shape}")
    if probabilities.dtype != np.float32:
        raise ValueError(f"expected float32 probabilities, got {probabilities.dtype}")
    if not (np.isfinite(probabilities).all() and 0 <= probabilities.min() <= probabilities.max() <= 1):
        raise ValueError("expected probabilities from 0 to 1, got a value outside or not finite")

    p_control, p_patient = probabilities[..., 0], probabilities[..., 1]
    vote = np.where(p_control == p_patient, 2, np.where(p_control > p_patient, 0, 1)).astype(np.uint8)
    control, patient, tie = (int(n) for n in np.bincount(vote.ravel(), minlength=3))
    name: DiagnosisName = "unsure" if control == patient else "control" if control > patient else "patient"
    return Diagnosis(
        p_control=p_control,
        p_patient=p_patient,
        vote=vote,
        band=band_of(p_control),
        counts=(control, patient, tie),
        score=100 * control / vote.size,
        name=name,
    )
