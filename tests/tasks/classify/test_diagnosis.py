"""Votes, score, diagnosis and bands against the rules of the paper, counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.bands import BANDS, band_of
from colvi_edge.tasks.classify import VOTES, diagnose

PROBABILITIES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(2)),
    elements=st.floats(0, 1, width=32),
)


def grid(*pairs: tuple[float, float]) -> NDArray[np.float32]:
    """One row of patches."""
    return np.array([pairs], np.float32)


@settings(deadline=None)
@given(PROBABILITIES)
def test_votes_are_counted_one_by_one(probabilities: NDArray[np.float32]) -> None:
    """The larger output votes, equal outputs for nobody, the majority is the diagnosis."""
    control = patient = tie = 0
    for p_control, p_patient in probabilities.reshape(-1, 2).tolist():
        control += p_control > p_patient
        patient += p_control < p_patient
        tie += p_control == p_patient

    found = diagnose(probabilities)

    assert found.counts == (control, patient, tie)
    assert found.score == pytest.approx(100 * control / (control + patient + tie))
    assert found.name == ("unsure" if control == patient else "control" if control > patient else "patient")


def test_two_sigmoids_need_not_sum_to_one() -> None:
    """The published network ends in two sigmoids: 0.4 against 0.2 is a control vote below one half."""
    found = diagnose(grid((0.4, 0.2)))

    assert VOTES[found.vote[0, 0]] == "control"
    assert BANDS[found.band[0, 0]].name == "orange"


def test_ties_count_in_the_score_but_for_nobody() -> None:
    """One control vote among two patches is a score of 50 even if the other patch is tied."""
    found = diagnose(grid((0.9, 0.1), (0.5, 0.5)))

    assert (found.name, found.score, found.counts) == ("control", 50.0, (1, 0, 1))


def test_as_many_for_each_is_unsure() -> None:
    """A tie of the votes is no diagnosis."""
    assert diagnose(grid((0.9, 0.1), (0.1, 0.9))).name == "unsure"


@pytest.mark.parametrize(
    ("p_control", "band"),
    [
        (1.0, "cyan"),
        (0.9, "cyan"),
        (0.89999, "steelblue"),
        (0.7, "steelblue"),
        (0.69999, "yellow"),
        (0.5, "yellow"),
        (0.49999, "orange"),
        (0.3, "orange"),
        (0.29999, "red"),
        (0.0, "red"),
    ],
)
def test_bands_begin_at_the_papers_thresholds(p_control: float, band: str) -> None:
    """A float32 of exactly the threshold lies in the band above it, though its float64 value is smaller."""
    assert BANDS[band_of(np.array([p_control], np.float32))[0]].name == band


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((0, 2, 2), np.float32),
        np.zeros((2, 2, 2)),
        np.full((1, 1, 2), np.nan, np.float32),
        np.full((1, 1, 2), 1.5, np.float32),
        np.full((1, 1, 2), -0.1, np.float32),
    ],
)
def test_what_is_no_probability_is_refused(wrong: NDArray[np.float32]) -> None:
    """Logits, NaN or another shape never become a diagnosis."""
    with pytest.raises(ValueError, match="expected"):
        diagnose(wrong)
