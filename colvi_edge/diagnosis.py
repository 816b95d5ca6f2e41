"""From the probabilities of the patches to the diagnosis of the image.

The rules of Bazaga et al. 2019, section 3 ("the paper"): the larger output is a patch's vote,
the majority of votes is the diagnosis, the share of control votes is the score, and
p_control falls into one of five colour bands. Everything that is shown later takes the
vote and the band from here; nothing decides a second time.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ClassName = Literal["control", "patient"]
Vote = Literal["control", "patient", "tie"]
DiagnosisName = Literal["control", "patient", "unsure"]

CLASSES: tuple[ClassName, ClassName] = ("control", "patient")
"""What the network tells apart, in the order of its outputs."""

VOTES: tuple[Vote, ...] = (*CLASSES, "tie")


class Band(NamedTuple):
    """One of the five colours of p_control.

    Attributes:
        name: of the colour.
        at_least: where the band begins, this value included.
        ceiling: where it ends, this value left out, except at 1.
        rgb: the colour, 0..255.
    """

    name: str
    at_least: float
    ceiling: float
    rgb: tuple[int, int, int]


BANDS = (
    Band("cyan", 0.9, 1.0, (0, 255, 255)),
    Band("steelblue", 0.7, 0.9, (70, 130, 180)),
    Band("yellow", 0.5, 0.7, (255, 255, 0)),
    Band("orange", 0.3, 0.5, (255, 165, 0)),
    Band("red", 0.0, 0.3, (255, 0, 0)),
)
"""The paper's colours, healthiest first."""


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


def band_of(p_control: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return each p_control's index into BANDS, compared in float32.

    In float64 a patch of exactly float32(0.9) = 0.899999976... would miss its own band.
    """
    floors = np.array([band.at_least for band in BANDS[:-1]], np.float32)
    below = p_control[..., np.newaxis].astype(np.float32) < floors
    return below.sum(axis=-1).astype(np.uint8)
