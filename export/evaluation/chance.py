"""Tests that do not show their method to be better than guessing, in sentences."""

from collections.abc import Iterator, Mapping
from math import comb

from .record import Figures, Interval, Intervals, Level, Pooled, between, figure

CHANCE = 0.5
"""Of the area below the ROC curve, and of the mean of sensitivity and specificity."""

_BY_LUCK = 1 / 40
"""As often as a figure lies above its 95 % interval."""


def against_chance(methods: Mapping[str, tuple[Level | Pooled, Figures]]) -> Iterator[str]:
    """Yield a sentence for each method that its images do not show to be better than chance.

    Args:
        methods: by name, counts and intervals of images, and the figures that these are of.
    """
    for name, (images, figures) in methods.items():
        patients, controls = images.tp + images.fn, images.tn + images.fp
        if images.interval and patients and controls:
            yield from _sentence(name, patients, controls, figures, images.interval)


def _sentence(
    name: str, patients: int, controls: int, figures: Figures, interval: Intervals
) -> Iterator[str]:
    measured = {
        "AUC": _known(figures.auc, interval.auc),
        "the mean of sensitivity and specificity": _balanced(figures, interval),
    }
    known = {of: pair for of, pair in measured.items() if pair}
    worse = {of: pair for of, pair in known.items() if pair[1][1] < CHANCE}
    unclear = worse or {of: pair for of, pair in known.items() if pair[1][0] <= CHANCE}
    told = " and ".join(f"{of} {figure(value)} ({between(at)})" for of, (value, at) in unclear.items())
    images = f"{controls} control and {patients} patient image{'' if patients == 1 else 's'}"
    ways = comb(patients + controls, patients)
    have = "have 95 % intervals that include" if len(unclear) > 1 else "has a 95 % interval that includes"
    if worse:
        yield (
            f"{name} is worse than chance on these images: {told}, with its 95 % interval, lies below "
            "0.5; look whether the labels are exchanged."
        )
    elif unclear and figures.accuracy == 1:
        yield (
            f"{images} are too few to tell {name} from chance, though all are judged right: {told} {have} "
            "0.5, which is chance."
        )
    elif unclear:
        yield f"{name} is no better than chance on these images: {told} {have} 0.5, which is chance."
    elif ways * _BY_LUCK < 1:
        yield (
            f"{images} are too few to tell {name} from chance: one guess in {ways} puts them in the right "
            "order."
        )


def _balanced(figures: Figures, interval: Intervals) -> tuple[float, Interval] | None:
    """Return the mean of sensitivity and specificity with its interval (MOVER, Zou and Donner 2008)."""
    found = _known(figures.sensitivity, interval.sensitivity)
    passed = _known(figures.specificity, interval.specificity)
    if not found or not passed:
        return None
    middle = (found[0] + passed[0]) / 2
    down, up = (sum((value - at[end]) ** 2 for value, at in (found, passed)) ** 0.5 / 2 for end in (0, 1))
    return middle, (max(0.0, middle - down), min(1.0, middle + up))


def _known(value: float | None, interval: Interval | None) -> tuple[float, Interval] | None:
    return None if value is None or interval is None else (value, interval)
