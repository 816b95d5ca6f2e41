"""Percentiles and ratios against their definitions, worked out another way."""

from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colvi_edge.bench.statistics import PERCENTILES, median, percentile, ratio_of_medians, summary

times = st.floats(1e-3, 1e5)
several = st.lists(times, min_size=1, max_size=200)


@settings(deadline=None)
@given(several, st.sampled_from(sorted(PERCENTILES.values())))
def test_a_percentile_is_numpys_inverted_cdf(samples: list[float], share: float) -> None:
    """The nearest rank, as NumPy's documentation defines it."""
    assert percentile(samples, share) == np.quantile(samples, share, method="inverted_cdf")


@settings(deadline=None)
@given(several, st.integers(1, 100))
@example([*range(1, 101)], 7)  # 0.07 * 100 is 7.000000000000001
def test_a_percentile_is_the_smallest_sample_that_enough_do_not_exceed(
    samples: list[float], percent: int
) -> None:
    """In whole numbers, so that no rounding decides: 95 % of 20 samples are 19, not 20."""
    found = percentile(samples, percent / 100)

    def reaches(sample: float) -> bool:
        return 100 * sum(other <= sample for other in samples) >= percent * len(samples)

    assert found == min(filter(reaches, samples))


def test_the_tail_of_few_samples_is_the_slowest() -> None:
    """p99 of 99 samples is the largest of them, of 100 the second largest; the table says so."""
    assert summary([*range(1, 100)])["p99"] == 99
    assert summary([*range(1, 101)])["p99"] == 99
    assert summary([3.0]) == {"p50": 3, "p90": 3, "p95": 3, "p99": 3, "min": 3}


def enumerated(new: list[int], old: list[int]) -> list[tuple[Fraction, Fraction]]:
    """Every ratio that a pair of resamples can have, ascending, and the share of the pairs up to it."""

    def medians(samples: list[int]) -> Counter[int]:
        middle = (len(samples) + 1) // 2 - 1
        return Counter(sorted(drawn)[middle] for drawn in product(samples, repeat=len(samples)))

    above, below = medians(new), medians(old)
    pairs = Counter[Fraction]()
    for (over, times_over), (under, times_under) in product(above.items(), below.items()):
        pairs[Fraction(over, under)] += times_over * times_under
    return [
        (ratio, Fraction(sum(pairs[other] for other in pairs if other <= ratio), pairs.total()))
        for ratio in sorted(pairs)
    ]


small = st.lists(st.integers(1, 50), min_size=1, max_size=4)


@settings(deadline=None)
@given(small, small)
def test_the_interval_is_that_of_all_resamples(new: list[int], old: list[int]) -> None:
    """The bootstrap without drawing: the same ends as from all n^n resamples of both."""
    reached = enumerated(new, old)
    found = ratio_of_medians([float(x) for x in new], [float(x) for x in old])

    # Where a share is reached exactly, rounding may choose this ratio or the next one.
    for end, share in ((found.low, 0.025), (found.high, 0.975)):
        either = {next(ratio for ratio, upto in reached if upto >= share + slack) for slack in (-1e-9, 1e-9)}
        assert min(abs(end - float(ratio)) for ratio in either) < 1e-9


@settings(deadline=None)
@given(several)
def test_a_series_does_not_differ_from_itself(samples: list[float]) -> None:
    """Whatever it is, a ratio of 1 lies in its interval."""
    ratio = ratio_of_medians(samples, samples)

    assert ratio.value == 1
    assert not ratio.is_difference


@settings(deadline=None)
@given(several, several, st.sampled_from([0.25, 0.5, 2, 8]))
def test_a_ratio_scales_and_turns_round(new: list[float], old: list[float], factor: float) -> None:
    """Twice the times are twice the ratio; old over new is its inverse, interval and all."""
    ratio = ratio_of_medians(new, old)
    scaled = ratio_of_medians([factor * sample for sample in new], old)
    turned = ratio_of_medians(old, new)

    assert ratio.low <= ratio.value <= ratio.high
    assert scaled == pytest.approx([factor * part for part in ratio])
    assert turned.value == pytest.approx(1 / ratio.value)
    assert turned.is_difference == ratio.is_difference or 1 in (ratio.low, ratio.high)


def test_a_difference_is_seen_and_chance_is_not() -> None:
    """Of 200 pairs of equal series hardly one in twenty differs; of those 5 % apart nearly all do."""
    draw = np.random.default_rng(0)

    def differs(factor: float) -> bool:
        new, old = draw.lognormal(4, 0.05, (2, 40)).tolist()
        return ratio_of_medians([factor * sample for sample in new], old).is_difference

    assert sum(differs(1.0) for _ in range(200)) <= 20
    assert sum(differs(1.05) for _ in range(200)) >= 180


def test_thousands_of_samples_are_no_trouble() -> None:
    """Of long series only what may be the median is looked at, and the ends stay where drawing puts them."""
    draw = np.random.default_rng(1)
    new, old = draw.lognormal(4, 0.1, (2, 5000))
    drawn = [
        np.median(draw.choice(new, new.size)) / np.median(draw.choice(old, old.size)) for _ in range(1000)
    ]

    ratio = ratio_of_medians(new.tolist(), old.tolist())

    assert [ratio.low, ratio.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-3)
    assert median(new.tolist()) == pytest.approx(np.median(new), rel=1e-3)
