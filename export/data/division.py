"""Which images a network learns from, which end its training, and which test it.

The paper's 80/20, a tenth of the training for validation (section 4), is the first fold of five. Groups of
images, those of a subject, stay together; each class is dealt out on its own, so that every part has both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.tasks.classify import CLASSES

from .dataset import SPLITS, SUBJECT

FOLDS = 5
FEWEST_FOLDS = 3
"""With fewer, what is left of a class may have no group for validation."""
VALIDATION = 10
"""One image in so many that a network may learn from is kept to end its training."""

Numbers = NDArray[np.int64]


def evenly_spread(count: int, at_most: int) -> Numbers:
    """Return at most so many of the numbers from 0 to count - 1, in order, both ends among them."""
    return np.unique(np.linspace(0, count - 1, at_most).round().astype(np.int64))


class Division(NamedTuple):
    """Numbers of the images of each part; no group is in two of them."""

    training: Numbers
    validation: Numbers
    test: Numbers


def divide(
    label: Sequence[int],
    group: Sequence[str],
    seed: int,
    folds: int = FOLDS,
    classes: Sequence[str] = CLASSES,
) -> list[Division]:
    """Return a division for each fold; each image is in the test of exactly one.

    Args:
        label: index into the classes of each image.
        group: of each image; images of one group stay together and have one label.
        seed: of the order in which groups are dealt out.
        folds: 3 or more, so that what is left of each class has two groups at least.
        classes: names; one without a name where images have no label.

    Raises:
        UsageError: a class has too few groups for so many folds.
    """
    _refuse_too_few(label, group, folds, classes)
    rng = np.random.default_rng(seed)
    parts = _dealt(np.arange(len(label)), label, group, folds, rng, classes)
    divisions = []
    for number, test in enumerate(parts):
        rest = np.concatenate([part for k, part in enumerate(parts) if k != number])
        divisions.append(Division(*_without_validation(rest, label, group, rng, classes), test))
    return divisions


def given_division(
    label: Sequence[int],
    group: Sequence[str],
    split: Sequence[str],
    seed: int,
    classes: Sequence[str] = CLASSES,
) -> list[Division]:
    """Return the one division that the dataset gives; where it names no validation, a tenth of training is.

    Raises:
        UsageError: a part lacks a class.
    """
    training, validation, test = (np.flatnonzero(np.asarray(split) == name) for name in SPLITS)
    if not len(validation):
        training, validation = _without_validation(
            training, label, group, np.random.default_rng(seed), classes
        )
    for name, part in zip(SPLITS, (training, validation, test), strict=True):
        if len({label[int(k)] for k in part}) < len(classes):
            if not any(classes):
                raise UsageError(f"the split '{name}' holds no image; expected some in each")
            raise UsageError(f"the split '{name}' lacks a class; expected controls and patients in it")
    return [Division(training, validation, test)]


def _refuse_too_few(label: Sequence[int], group: Sequence[str], folds: int, classes: Sequence[str]) -> None:
    """Refuse what cannot be dealt out to so many tests, each with both classes."""
    pairs = set(zip(label, group, strict=True))
    found = [sum(of == index for of, _ in pairs) for index in range(len(classes))]
    if min(found) >= folds:
        return
    several = any(classes)  # else images have no label
    named = [(n, f" {name}".rstrip()) for n, name in zip(found, classes, strict=True)]
    missing = " and ".join(f"{folds - n}{name}" for n, name in named if n < folds)
    parts = f"{folds} folds"
    if folds == FOLDS:
        parts = "72 % to learn from, 8 % to choose the epoch and 20 % to test on, at least one "
        parts += "of each class" if several else "each"
    remedy = "or divide them yourself, into folders training, validation and test"
    if min(found) >= FEWEST_FOLDS:
        remedy = f"or cross-validate with --folds {min(min(found), FOLDS)}"
    there = " and ".join(f"{n}{name}" for n, name in named)
    raise UsageError(
        f"found {there} {_units(group, found[-1])}, too few for {parts}; expected {folds}"
        f"{' of each class' if several else ''}: add {missing}, {remedy}"
    )


def _units(group: Sequence[str], number: int) -> str:
    """Return what so many groups are."""
    known, s = [one.startswith(SUBJECT) for one in group], "" if number == 1 else "s"
    return (
        f"subject{s}" if all(known) else f"subject{s}, or file{s} without one," if any(known) else f"file{s}"
    )


def _without_validation(
    images: Numbers,
    label: Sequence[int],
    group: Sequence[str],
    rng: np.random.Generator,
    classes: Sequence[str],
) -> tuple[Numbers, Numbers]:
    fewest = min(len({group[k] for k in images if label[k] == index}) for index in range(len(classes)))
    validation, *rest = _dealt(images, label, group, min(VALIDATION, max(fewest, 2)), rng, classes)
    return np.sort(np.concatenate(rest)), validation


def _dealt(
    images: Numbers,
    label: Sequence[int],
    group: Sequence[str],
    parts: int,
    rng: np.random.Generator,
    classes: Sequence[str],
) -> list[Numbers]:
    """Deal the groups of each class out, in random order but the largest first, to the smallest part."""
    dealt: list[list[int]] = [[] for _ in range(parts)]
    for index, name in enumerate(classes):
        members: dict[str, list[int]] = {}
        for k in images:
            if label[k] == index:
                members.setdefault(group[k], []).append(int(k))
        if len(members) < parts:  # of a given split alone: `divide` has looked
            found = f"{len(members)} {name} {_units(group, len(members))}".replace("  ", " ")
            raise UsageError(
                f"found {found} in the split 'training'; expected {parts}, one to learn from and one to "
                "choose the epoch: add some, or give a split 'validation'"
            )
        order = sorted(rng.permutation(sorted(members)), key=lambda who: -len(members[who]))
        sizes = [0] * parts
        for who in order:
            smallest = min(range(parts), key=lambda part: (sizes[part], len(dealt[part])))
            dealt[smallest] += members[who]
            sizes[smallest] += len(members[who])
    return [np.sort(np.array(part)) for part in dealt]
