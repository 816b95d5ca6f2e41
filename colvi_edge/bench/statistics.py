"""What is said of measured times: percentiles that were measured, and ratios with their uncertainty.

A percentile is the smallest sample that at least this share of the samples does not exceed ("nearest
rank"; `method="inverted_cdf"` in NumPy): always a time that occurred, never one between two. So p99 of
fewer than 100 samples is the largest one.

The interval of a ratio is the bootstrap's: both series are thought of as drawn again, from themselves, with
replacement. How often each sample would then be the median is known exactly, so that nothing is drawn:

    P(median <= i-th smallest of n) = P(at least k of n draws are among the i smallest), k = ceil(n / 2)

It tells what the scatter within the two runs allows, not how the machine differs from one day to the next.
"""

from collections.abc import Sequence
from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
CONFIDENCE = 0.95

_NEVER = 1e-12
"""A sample that is the median less often than this is left out: 10,000 of them leave some 700."""


class Ratio(NamedTuple):
    """How many times as long one thing takes as another, by their medians.

    Attributes:
        value: the ratio.
        low, high: ends of the interval that holds it with `CONFIDENCE`.
    """

    value: float
    low: float
    high: float

    @property
    def is_difference(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1 <= self.high


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` (above 0, up to 1) of the samples does not exceed."""
    return sorted(samples)[_rank(len(samples), share) - 1]


def median(samples: Sequence[float]) -> float:
    """Return the 50th percentile: of an even number, the lower of the two in the middle."""
    return percentile(samples, 0.5)


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p95, p99 and min."""
    return {name: percentile(samples, share) for name, share in PERCENTILES.items()} | {"min": min(samples)}


def ratio_of_medians(new: Sequence[float], old: Sequence[float]) -> Ratio:
    """Return how many times as long `new` takes as `old`; all samples are above 0."""
    above, above_chance = _medians(new)
    below, below_chance = _medians(old)
    ratios = np.divide.outer(above, below).ravel()
    order = np.argsort(ratios)
    reached = np.cumsum(np.multiply.outer(above_chance, below_chance).ravel()[order])
    tail = (1 - CONFIDENCE) / 2
    ends = np.searchsorted(reached, [tail * reached[-1], (1 - tail) * reached[-1]])
    low, high = ratios[order][ends]
    return Ratio(median(new) / median(old), float(low), float(high))


def _rank(count: int, share: float) -> int:
    # 0.07 * 100 is 7.000000000000001, whose ceiling would be one too many.
    return max(1, ceil(round(share * count, 9)))


def _medians(samples: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the samples that may be the median of a resample, ascending, and how probable each is."""
    count = len(samples)
    log_factorials = np.concatenate([[0], np.cumsum(np.log(np.arange(1, count + 1)))])
    hits = np.arange(_rank(count, 0.5), count + 1)
    misses = count - hits
    log_ways = log_factorials[count] - log_factorials[hits] - log_factorials[misses]
    reached = [0.0]
    for smallest in range(1, count):
        share = smallest / count
        reached.append(float(np.exp(log_ways + hits * log(share) + misses * log(1 - share)).sum()))
    chance = np.diff([*reached, 1.0])
    likely = chance > _NEVER
    return np.sort(np.asarray(samples, np.float64))[likely], chance[likely]
