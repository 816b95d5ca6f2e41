"""The figures against scikit-learn, against sums by hand, and against the paper's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import calibration, metrics

from colvi_edge.export.evaluation.metrics import (
    Confusion,
    auc,
    calibration_error,
    mean_roc,
    reliability,
    roc,
    thinned,
)

FIGURES = ("accuracy", "precision", "sensitivity", "specificity", "f1")
judgements = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
scored = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=60).filter(
    lambda pairs: len({truth for truth, _ in pairs}) == 2
)


def columns(pairs: list[tuple[bool, int]]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return truths and scores, many of them equal."""
    truth, score = zip(*pairs, strict=True)
    return np.array(truth), np.array(score) / 4


def test_the_papers_own_confusion_matrix() -> None:
    """What equations 6 to 10 give for the paper's matrix, and where its Table 2 agrees.

    The matrix has controls in the first row (7585 judged right, 530 not) and patients in the second (102
    not, 6119 right): of the 24 ways to read the four numbers no other gives Table 2's 0.92, 0.98 and 0.93
    for precision, sensitivity and specificity. Those and F1 agree when rounded to two digits. The accuracy
    is 0.9559; the table's 0.95 is that cut off, rounded it would be 0.96.
    """
    paper = Confusion(tp=6119, tn=7585, fp=530, fn=102)
    found = [getattr(paper, name) for name in FIGURES]

    assert found == pytest.approx([0.955915, 0.920289, 0.983604, 0.934689, 0.950894], abs=5e-7)
    table_2 = [0.95, 0.92, 0.98, 0.93, 0.95]
    agrees = [round(figure, 2) == printed for figure, printed in zip(found, table_2, strict=True)]
    assert agrees == [False, True, True, True, True]
    assert int(100 * found[0]) / 100 == table_2[0]


@settings(deadline=None)
@given(judgements)
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    """Every count and every figure, and None where scikit-learn has a division of zero by zero."""
    truth, said = (np.array(column) for column in zip(*pairs, strict=True))
    found = Confusion.count(truth, truth == said)

    tn, fp, fn, tp = metrics.confusion_matrix(truth, said, labels=[False, True]).ravel()
    assert found == Confusion(tp=tp, tn=tn, fp=fp, fn=fn)
    expected = [
        metrics.accuracy_score(truth, said),
        metrics.precision_score(truth, said, zero_division=np.nan),
        metrics.recall_score(truth, said, zero_division=np.nan),
        metrics.recall_score(~truth, ~said, zero_division=np.nan),
        metrics.f1_score(truth, said, zero_division=np.nan),
    ]
    numbers = [getattr(found, name) for name in FIGURES]
    assert [np.nan if one is None else one for one in numbers] == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(scored)
def test_the_area_and_the_curve_are_those_of_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    """Equal scores count half; every point of scikit-learn's curve lies on ours, which has corners only."""
    truth, score = columns(pairs)
    area, curve = auc(truth, score), roc(truth, score)

    assert curve is not None
    assert area == pytest.approx(metrics.roc_auc_score(truth, score))
    assert metrics.auc(curve[:, 0], curve[:, 1]) == pytest.approx(area)
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    rates = np.stack(metrics.roc_curve(truth, score, drop_intermediate=False)[:2], axis=1)
    for axis in (0, 1):
        on_ours = np.interp(rates.sum(axis=1), curve.sum(axis=1), curve[:, axis])
        assert on_ours == pytest.approx(rates[:, axis])
    steps = np.diff(curve, axis=0)
    turned = steps[1:, 0] * steps[:-1, 1] - steps[1:, 1] * steps[:-1, 0]
    assert (abs(turned) > 1e-9).all()


@pytest.mark.parametrize("truth", [True, False])
def test_one_class_has_no_curve(truth: bool) -> None:
    """Without a patient, or without a control, there is no area and no curve, and no crash."""
    only = np.full(3, truth)

    assert auc(only, np.arange(3.0)) is None
    assert roc(only, np.arange(3.0)) is None


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 60))
def test_a_thinned_curve_stays_near(seed: int, at_most: int) -> None:
    """No more points than asked for, both ends, and none of the curve far from one that is kept."""
    rng = np.random.default_rng(seed)
    truth = np.arange(300) % 3 == 0
    curve = roc(truth, rng.normal(size=300) + truth)
    assert curve is not None
    kept = thinned(curve, at_most)

    assert len(kept) <= at_most or len(kept) == len(curve) <= at_most
    assert {(0.0, 0.0), (1.0, 1.0)} <= {tuple(point) for point in kept.tolist()}
    assert {tuple(point) for point in kept.tolist()} <= {tuple(point) for point in curve.tolist()}
    away = abs(curve.sum(axis=1)[:, np.newaxis] - kept.sum(axis=1)).min(axis=1)
    assert away.max() <= 2 / (at_most - 1) + 1e-9


def test_the_mean_curve_by_hand() -> None:
    """A curve that rises to 0.5 for nothing, and a diagonal: mean sensitivity at each false positive rate."""
    step = np.array([[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]])
    diagonal = np.array([[0.0, 0], [1, 1]])
    mean = mean_roc([step, diagonal], steps=4)

    expected = [[0, 0], [0, 0.25], [0.25, 0.375], [0.5, 0.75], [0.75, 0.875], [1, 1]]
    assert mean == pytest.approx(np.array(expected))


def test_a_confidence_on_an_edge_belongs_to_the_bin_above() -> None:
    """In float32, as the network gives it: 0.9 = 0.899999976... is in the bin from 0.9; 1.0 in the last."""
    edges = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], np.float32)
    found = reliability(np.concatenate([edges, np.array([0, 1], np.float32)]), np.ones(11, bool))

    assert [one.low for one in found] == pytest.approx(np.arange(10) / 10)
    assert [one.high for one in found] == pytest.approx(np.arange(1, 11) / 10)
    assert [one.n for one in found] == [1] * 9 + [2]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=80))
def test_the_calibration_error_is_the_sum_over_bins(pairs: list[tuple[float, bool]]) -> None:
    """Summed patch by patch, in a loop; the bins hold all patches and the same means as scikit-learn's."""
    confidence, right = (np.array(column) for column in zip(*pairs, strict=True))
    found = reliability(confidence.astype(np.float32), right)

    gaps = dict.fromkeys(range(10), 0.0)
    for sure, came_true in pairs:
        number = max(k for k in range(10) if np.float32(sure) >= np.float32(k / 10))
        gaps[number] += sure - came_true
    assert calibration_error(found) == pytest.approx(sum(map(abs, gaps.values())) / len(pairs), abs=1e-6)
    assert sum(one.n for one in found) == len(pairs)
    off_edge = abs(confidence * 10 - np.round(confidence * 10)) > 1e-5
    if off_edge.all() and len(set(right.tolist())) == 2:
        accuracy, mean = calibration.calibration_curve(right, confidence, n_bins=10)
        assert [one.accuracy for one in found] == pytest.approx(accuracy)
        assert [one.confidence for one in found] == pytest.approx(mean)
