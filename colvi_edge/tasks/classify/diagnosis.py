"""From the probabilities of the cells of a field to the diagnosis of the image.

A cell is a patch, a whole image, or a slice of a stack. Each votes, and the votes, counted by the bundle's
rule, are the diagnosis:

- *majority*: the largest output of a cell is its vote, and most votes win: the rule of Bazaga et al. 2019,
  section 3 ("the paper"), which tells control from patient;
- *threshold*: a cell votes for one class as soon as that class's output reaches a threshold, as whole images
  are judged; most votes win;
- *share*: most votes win nothing: one class has the diagnosis if its share of all votes is above a limit, and
  else another one, as stacks are judged of which few slices look healthy even in health.

Everything that is shown later takes vote, score and band from here; nothing decides a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bands import band_of
from colvi_edge.bundle.task import AtLeast, Majority, Share

ClassName = Literal["control", "patient"]
Vote = Literal["control", "patient", "tie"]
DiagnosisName = Literal["control", "patient", "unsure"]

CLASSES: tuple[ClassName, ClassName] = ("control", "patient")
"""What the paper's network tells apart, in the order of its outputs."""

TIE, UNSURE = "tie", "unsure"
"""The vote of a cell, and the diagnosis of an image, that are nobody's; no class is called so."""

VOTES: tuple[Vote, ...] = (*CLASSES, "tie")


class Rule(NamedTuple):
    """How the votes are given and counted.

    Attributes:
        name: majority, threshold or share.
        of: the class that has the threshold or the limit of its share; "" of a majority.
        at: a threshold, which counts as reached, or a limit, which has to be passed, 0..1.
    """

    name: Literal["majority", "threshold", "share"] = "majority"
    of: str = ""
    at: float = 0.0


MAJORITY = Rule()


def rule_of(decision: Majority | AtLeast | Share) -> Rule:
    """Return the rule that a bundle names."""
    if isinstance(decision, AtLeast):
        return Rule("threshold", decision.of, decision.at_least)
    if isinstance(decision, Share):
        return Rule("share", decision.of, decision.above)
    return MAJORITY


@dataclass(frozen=True)
class Diagnosis:
    """What the cells of one image say together.

    Attributes:
        classes: two or more, in the order of the network's outputs.
        probabilities: (rows, cols, K) float32, 0..1, one for each class; they need not sum to 1.
        vote: (rows, cols) uint8, index into `votes`.
        counts: cells per vote, in the order of `votes`.
        score: 0..100, see `score_of`.
        name: of a class, or UNSURE.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    vote: NDArray[np.uint8]
    counts: tuple[int, ...]
    score: float
    name: str

    @property
    def votes(self) -> tuple[str, ...]:
        """What a cell may vote: a class, or TIE."""
        return (*self.classes, TIE)

    @property
    def p_control(self) -> NDArray[np.float32]:
        """(rows, cols) of a bundle that tells control from patient."""
        return self.probabilities[..., self.classes.index("control")]

    @property
    def p_patient(self) -> NDArray[np.float32]:
        """(rows, cols), likewise."""
        return self.probabilities[..., self.classes.index("patient")]

    @property
    def band(self) -> NDArray[np.uint8]:
        """(rows, cols), index into BANDS, likewise."""
        return band_of(self.p_control)


def diagnose(
    probabilities: NDArray[np.float32], classes: Sequence[str] = CLASSES, rule: Rule = MAJORITY
) -> Diagnosis:
    """Return the diagnosis for the probabilities of every cell.

    Args:
        probabilities: (rows, cols, K) float32, finite, 0..1; last axis in the order of the classes.
        classes: K of them.
        rule: of the bundle.

    Raises:
        ValueError: another shape or dtype, or a value that is no probability.
    """
    if probabilities.ndim != 3 or probabilities.shape[2] != len(classes) or probabilities.size == 0:
        raise ValueError(f"expected (rows, cols, {len(classes)}) probabilities, got {probabilities.shape}")
    if probabilities.dtype != np.float32:
        raise ValueError(f"expected float32 probabilities, got {probabilities.dtype}")
    if not (np.isfinite(probabilities).all() and 0 <= probabilities.min() <= probabilities.max() <= 1):
        raise ValueError("expected probabilities from 0 to 1, got a value outside or not finite")

    vote = _votes(probabilities, classes, rule)
    counts = tuple(int(n) for n in np.bincount(vote.ravel(), minlength=len(classes) + 1))
    return Diagnosis(
        classes=tuple(classes),
        probabilities=probabilities,
        vote=vote,
        counts=counts,
        score=_score(probabilities, counts, classes, rule),
        name=_winner(counts, classes, rule),
    )


def score_of(classes: Sequence[str], rule: Rule = MAJORITY) -> str:
    """Return what a score of 100 means, in words: `100 = control`, `100 = all agree`.

    - threshold: the mean probability of the class that has it; of a whole image, its probability;
    - share, and a majority of two classes: the share of the votes for that class, or for the first of two;
    - a majority of more: the share of the votes for the class that has most.
    """
    return f"100 = {scored_class(classes, rule) or 'all agree'}"


def scored_class(classes: Sequence[str], rule: Rule = MAJORITY) -> str:
    """Return the class whose share or probability the score is; "" if it is that of whichever won."""
    return rule.of or (classes[0] if len(classes) == 2 else "")


def _votes(probabilities: NDArray[np.float32], classes: Sequence[str], rule: Rule) -> NDArray[np.uint8]:
    """Return each cell's vote, compared in float32, as 0.9 in the bundle is the network's own 0.9."""
    if rule.name == "threshold":
        of = classes.index(rule.of)
        others = probabilities.copy()
        others[..., of] = -1
        reached = probabilities[..., of] >= np.float32(rule.at)
        return np.where(reached, of, _largest(others)).astype(np.uint8)
    return _largest(probabilities).astype(np.uint8)


def _largest(probabilities: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the index of the largest output; K, which is TIE's, where several are equal."""
    most = probabilities.max(axis=-1, keepdims=True)
    equal = np.count_nonzero(probabilities == most, axis=-1)
    return np.where(equal > 1, probabilities.shape[-1], probabilities.argmax(axis=-1))


def _winner(counts: Sequence[int], classes: Sequence[str], rule: Rule) -> str:
    votes = dict(zip(classes, counts, strict=False))
    # Of equal fractions both sides are the float next to them, so that equality is seen as such.
    if rule.name == "share" and votes.pop(rule.of) / sum(counts) > rule.at:
        return rule.of
    most = max(votes.values())
    winners = [name for name, count in votes.items() if count == most]
    return winners[0] if len(winners) == 1 else UNSURE


def _score(
    probabilities: NDArray[np.float32], counts: Sequence[int], classes: Sequence[str], rule: Rule
) -> float:
    of = scored_class(classes, rule)
    if rule.name == "threshold":
        return 100 * float(np.mean(probabilities[..., classes.index(of)], dtype=np.float64))
    return 100 * (counts[classes.index(of)] if of else max(counts[:-1])) / sum(counts)
