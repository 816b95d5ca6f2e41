"""How long to wait before what failed is tried again, and how long a process may take that was too slow."""

import random

MOST_PATIENCE = 4
"""Failures that prolong a limit; later ones do not."""


def backoff_s(failures: int, longest_s: float) -> float:
    """Return how long to wait after so many failures in a row: 1, 2, 4 s ..., a fifth more or less.

    Args:
        failures: at least one.
        longest_s: to which the wait grows.
    """
    wait_s = min(2.0 ** min(failures - 1, 6), longest_s)
    return wait_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, keeps no secret


def patience_s(limit_s: float, failures: int) -> float:
    """Return how long a process may take that was too slow so many times: doubled each time, to the 16-fold.

    On a slow machine a fixed limit would end each next one, too.
    """
    return limit_s * 2.0 ** min(failures, MOST_PATIENCE)
