"""Votes, score and diagnosis of any number of classes under each rule, against plain counting."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.bundle.task import AtLeast, Majority, Share
from colvi_edge.tasks.classify import CLASSES, TIE, UNSURE, Rule, diagnose, rule_of, score_of, scored_class

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota")
FEW = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # so that outputs are often equal
HEALTH = ("healthy", "ill")


@st.composite
def fields(draw: Any) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return probabilities (rows, cols, K) and K names."""
    number = draw(st.integers(2, len(NAMES)))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), number)
    return draw(hnp.arrays(np.float32, shape, elements=FEW)), NAMES[:number]


def plain_vote(outputs: list[float], names: tuple[str, ...], but: str = "") -> str:
    """Return the name of the largest output of a cell."""
    rivals = [(output, name) for output, name in zip(outputs, names, strict=True) if name != but]
    ahead = [name for output, name in rivals if output == max(rivals)[0]]
    return ahead[0] if len(ahead) == 1 else TIE


def plain_most(votes: list[str], names: tuple[str, ...]) -> str:
    """Return the name that most votes are for."""
    ranked = sorted(names, key=votes.count, reverse=True)
    return ranked[0] if len(ranked) == 1 or votes.count(ranked[0]) > votes.count(ranked[1]) else UNSURE


@given(fields())
def test_most_votes_win(field: tuple[NDArray[np.float32], tuple[str, ...]]) -> None:
    """Equal outputs vote for nobody, and as many votes for two classes are no diagnosis."""
    probabilities, names = field
    cells = probabilities.reshape(-1, len(names)).tolist()
    votes = [plain_vote(outputs, names) for outputs in cells]
    won = max(votes.count(name) for name in names) if len(names) > 2 else votes.count(names[0])

    found = diagnose(probabilities, names)

    assert [found.votes[vote] for vote in found.vote.ravel()] == votes
    assert found.counts == tuple(votes.count(name) for name in (*names, TIE))
    assert found.name == plain_most(votes, names)
    assert found.score == pytest.approx(100 * won / len(cells))


@given(fields(), st.data())
def test_a_threshold_is_reached_before_any_comparison(
    field: tuple[NDArray[np.float32], tuple[str, ...]], data: st.DataObject
) -> None:
    """The class that has one needs not be the largest; below it the largest of the others has the vote."""
    probabilities, names = field
    of, least = data.draw(st.sampled_from(names)), data.draw(FEW)
    cells = probabilities.reshape(-1, len(names)).tolist()
    outputs_of = [outputs[names.index(of)] for outputs in cells]
    votes = [
        of if p >= least else plain_vote(outputs, names, of)
        for p, outputs in zip(outputs_of, cells, strict=True)
    ]

    found = diagnose(probabilities, names, Rule("threshold", of, least))

    assert [found.votes[vote] for vote in found.vote.ravel()] == votes
    assert found.name == plain_most(votes, names)
    assert found.score == pytest.approx(100 * sum(outputs_of) / len(cells))


@given(fields(), st.data())
def test_a_share_needs_no_majority(
    field: tuple[NDArray[np.float32], tuple[str, ...]], data: st.DataObject
) -> None:
    """Above its limit a class has the diagnosis; else most of the other votes do."""
    probabilities, names = field
    of = data.draw(st.sampled_from(names))
    limit = Fraction(data.draw(st.integers(0, 20)), 20)
    votes = [plain_vote(outputs, names) for outputs in probabilities.reshape(-1, len(names)).tolist()]
    share = Fraction(votes.count(of), len(votes))
    rest = tuple(name for name in names if name != of)

    found = diagnose(probabilities, names, Rule("share", of, float(limit)))

    assert found.counts == tuple(votes.count(name) for name in (*names, TIE))
    assert found.name == (of if share > limit else plain_most(votes, rest))
    assert found.score == pytest.approx(float(100 * share))


def stack(healthy: int, ill: int) -> NDArray[np.float32]:
    """Return the slices of a stack, one a row, of which so many look healthy and so many ill."""
    rows = [[0.9, 0.1]] * healthy + [[0.2, 0.8]] * ill
    return np.array(rows, np.float32)[:, np.newaxis]


@pytest.mark.parametrize("slices", [10, 20, 30, 60, 70, 130, 230])
def test_a_stack_of_just_a_tenth_of_healthy_slices_is_ill(slices: int) -> None:
    """Thigh-muscle MRI: healthy if 100 H / N > 10. Equality is ill, in every length of stack."""
    tenth = slices // 10
    rule = Rule("share", "healthy", 0.10)

    assert diagnose(stack(tenth, slices - tenth), HEALTH, rule).name == "ill"
    assert diagnose(stack(tenth + 1, slices - tenth - 1), HEALTH, rule).name == "healthy"
    assert diagnose(stack(tenth, slices - tenth), HEALTH, rule).score == pytest.approx(10)


def test_slices_that_vote_for_nobody_make_no_stack_healthy() -> None:
    """They are slices of the stack all the same, and one class alone needs no more votes than another."""
    undecided = np.full((9, 1, 2), 0.5, np.float32)
    found = diagnose(np.concatenate([stack(1, 0), undecided]), HEALTH, Rule("share", "healthy", 0.10))

    assert (found.name, found.counts) == ("ill", (1, 0, 9))


@pytest.mark.parametrize("at", [0.1, 0.3, 0.4, 0.7, 0.9])
def test_a_probability_of_just_the_threshold_reaches_it(at: float) -> None:
    """Compared in float32: some of these float32 are smaller than the number that the bundle names."""
    p = np.float32(at)
    rule = Rule("threshold", "ill", at)

    assert diagnose(np.array([[[1 - p, p]]], np.float32), HEALTH, rule).name == "ill"
    below = np.nextafter(p, np.float32(0))
    assert diagnose(np.array([[[1 - p, below]]], np.float32), HEALTH, rule).name == "healthy"


def test_what_a_score_is_of() -> None:
    """The class that the rule names, the first of two, and of more whichever won."""
    assert score_of(CLASSES) == "100 = control"
    assert score_of(HEALTH, Rule("threshold", "ill", 0.5)) == "100 = ill"
    assert score_of(NAMES[:3], Rule("share", "gamma", 0.1)) == "100 = gamma"
    assert score_of(NAMES) == "100 = all agree"
    assert scored_class(NAMES) == ""


def test_as_many_outputs_as_classes() -> None:
    """Three outputs of a bundle of two classes are no diagnosis."""
    with pytest.raises(ValueError, match=r"expected \(rows, cols, 2\) probabilities, got \(1, 1, 3\)"):
        diagnose(np.full((1, 1, 3), 0.3, np.float32), HEALTH)


def test_the_rule_of_a_bundle() -> None:
    """Its threshold is reached at the number that it names, its limit passed above that."""
    assert rule_of(Majority(rule="majority")) == Rule()
    assert rule_of(AtLeast(rule="threshold", of="ill", at_least=0.5)) == Rule("threshold", "ill", 0.5)
    assert rule_of(Share(rule="share", of="healthy", above=0.1)) == Rule("share", "healthy", 0.1)
