"""Divisions: whole, disjoint, by group, balanced, reproducible."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.errors import UsageError
from colvi_edge.export.data.division import Division, divide, given_division


@settings(max_examples=60, deadline=None)
@given(data=st.data(), folds=st.integers(3, 6), seed=st.integers(0, 99))
def test_no_subject_is_in_two_parts(data: st.DataObject, folds: int, seed: int) -> None:
    """Whatever the subjects' sizes: parts are whole, each image is tested once, no group is cut."""
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=2 * folds, max_size=30))
    label = [k % 2 for k, size in enumerate(sizes) for _ in range(size)]
    group = [f"subject {k}" for k, size in enumerate(sizes) for _ in range(size)]
    divisions = divide(label, group, seed, folds)
    tested = np.concatenate([division.test for division in divisions])

    assert len(divisions) == folds
    assert sorted(tested) == list(range(len(label)))
    for division in divisions:
        assert sorted(np.concatenate(division)) == list(range(len(label)))
        parts = [{group[k] for k in part} for part in division]
        assert sum(map(len, parts)) == len(sizes)
        assert all({label[k] for k in part} == {0, 1} for part in division)
    for index in (0, 1):
        counts = [sum(label[k] == index for k in division.test) for division in divisions]
        assert max(counts) - min(counts) <= 4  # the largest subject


def test_the_paper_divides_80_to_20() -> None:
    """200 images without subjects: 144 to learn from, 16 to validate, 40 to test, half of each class."""
    label = [0] * 100 + [1] * 100
    group = [f"file {k}" for k in range(200)]
    divisions = divide(label, group, 0)

    assert len(divisions) == 5
    for division in divisions:
        counts = [Counter(label[k] for k in part) for part in division]
        assert [(count[0], count[1]) for count in counts] == [(72, 72), (8, 8), (20, 20)]


def test_a_seed_is_a_division() -> None:
    """The same seed divides alike, another otherwise."""
    label, group = [0, 1] * 20, [f"file {k}" for k in range(40)]

    assert _plain(divide(label, group, 3)) == _plain(divide(label, group, 3))
    assert _plain(divide(label, group, 3)) != _plain(divide(label, group, 4))


def test_too_few_subjects_are_told() -> None:
    """Many images of few patients are few patients; how many are needed is said, and what else helps."""
    of_subjects = [f"subject c{k}" for k in range(20)] + ["subject p1", "subject p2"] * 10
    with pytest.raises(UsageError, match="found 20 control and 2 patient subjects, too few for 72 %") as few:
        divide([0] * 20 + [1] * 20, of_subjects, 0)
    with pytest.raises(UsageError, match="found 4 control and 3 patient files, too few for 72 %") as more:
        divide([0] * 4 + [1] * 3, [f"file {k}" for k in range(7)], 0)

    assert "expected 5 of each class: add 3 patient, or divide them yourself" in str(few.value)
    assert "add 1 control and 2 patient, or cross-validate with --folds 3" in str(more.value)
    assert len(divide([0] * 4 + [1] * 3, [f"file {k}" for k in range(7)], 0, folds=3)) == 3


def test_a_training_of_one_subject_a_class_lacks_a_validation() -> None:
    """Where the split is given without a validation, the training must hold one of each class for it."""
    group = [f"file {k}" for k in range(4)]
    with pytest.raises(UsageError, match="found 1 control file in the split 'training'; expected 2"):
        given_division([0, 1, 0, 1], group, ["training"] * 2 + ["test"] * 2, 0)


def test_a_given_division_is_taken() -> None:
    """What the table says is done; without a validation set a tenth of the training becomes one."""
    label, group = [0, 1] * 20, [f"file {k}" for k in range(40)]
    split = ["training"] * 24 + ["validation"] * 6 + ["test"] * 10
    [whole] = given_division(label, group, split, 0)
    [without] = given_division(label, group, ["training"] * 30 + ["test"] * 10, 0)

    assert [part.tolist() for part in whole] == [list(range(24)), list(range(24, 30)), list(range(30, 40))]
    assert without.test.tolist() == list(range(30, 40))
    assert sorted(label[k] for k in without.validation) in ([0, 0, 1], [0, 1, 1])
    assert sorted([*without.training, *without.validation]) == list(range(30))
    with pytest.raises(UsageError, match="'test' lacks a class"):
        given_division(label, group, ["training"] * 39 + ["test"], 0)


def _plain(divisions: list[Division]) -> list[list[list[int]]]:
    return [[part.tolist() for part in division] for division in divisions]
