"""The intervals against SciPy, against other ways to compute them, and against tests drawn many times."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from colvi_edge.export.evaluation.chance import against_chance
from colvi_edge.export.evaluation.figures import Judged, comparison_record, evaluate, evaluation_record
from colvi_edge.export.evaluation.intervals import (
    FEWEST_GROUPS,
    Answers,
    area,
    effective,
    of_images,
    of_patches,
    student,
    wilson,
)
from colvi_edge.export.evaluation.metrics import Confusion, auc
from colvi_edge.export.evaluation.record import METRICS, Dataset, Figures, Intervals, Level, Model

NAMES = [f"{number}.tif" for number in range(200)]
DATASET = Dataset(name="cultures", is_simulated=True)


def drawn(seed: int, images: int, patches: int, apart: float = 1.0, alike: float = 0.8) -> Answers:
    """Return patches of images, half of them patients; those of an image share a part of their likeness."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(images), patches)
    patient = group % 2 == 1
    likeness = np.where(patient, apart, -apart) + rng.normal(0, alike, images)[group]
    likeness += rng.normal(0, 1, len(group))
    return Answers(patient, (likeness > 0) == patient, likeness, group, np.zeros(len(group), np.int64))


def chosen(answers: Answers, groups: NDArray[np.int64]) -> Answers:
    """Return the answers of some groups, as often as they are named."""
    rows = [np.flatnonzero(answers.group == group) for group in groups]
    number = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    at = np.concatenate(rows)
    return Answers(answers.patient[at], answers.right[at], answers.likeness[at], number, answers.fold[at])


def figures(answers: Answers) -> list[float]:
    """Return the figures in the order of METRICS, by scikit-learn."""
    called = answers.patient == answers.right
    return [
        metrics.accuracy_score(answers.patient, called),
        metrics.precision_score(answers.patient, called),
        metrics.recall_score(answers.patient, called),
        metrics.recall_score(~answers.patient, ~called),
        metrics.f1_score(answers.patient, called),
        metrics.roc_auc_score(answers.patient, answers.likeness),
    ]


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_has_wilson_s_interval(counts: tuple[int, int]) -> None:
    """SciPy's, for every count."""
    right, n = counts
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")

    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_figures_of_images_have_the_intervals_of_their_counts(pairs: list[tuple[bool, bool]]) -> None:
    """Each figure's is SciPy's of its own counts, and that of F1 is of the odds on which it depends."""
    patient, right = (np.array(column) for column in zip(*pairs, strict=True))
    n = np.arange(len(pairs))
    found = of_images(Answers(patient, right, n * 1.0, n, 0 * n), None)

    c = Confusion.count(patient, right)
    expected = {
        "accuracy": (c.tp + c.tn, len(pairs)),
        "precision": (c.tp, c.tp + c.fp),
        "sensitivity": (c.tp, c.tp + c.fn),
        "specificity": (c.tn, c.tn + c.fp),
    }
    for name, (part, whole) in expected.items():
        interval = getattr(found, name)
        assert (interval is None) == (whole == 0)
        if whole:
            wanted = stats.binomtest(part, whole).proportion_ci(method="wilson")
            assert interval == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    if c.tp + c.fp + c.fn:
        wanted = stats.binomtest(c.tp, c.tp + c.fp + c.fn).proportion_ci(method="wilson")
        f1 = [2 / (1 + 1 / share) if share > 1e-12 else 0 for share in (wanted.low, wanted.high)]
        assert found.f1 == pytest.approx(f1, abs=1e-9)
    assert found.auc is None


def test_images_of_one_subject_are_one_subject() -> None:
    """Two images of each of ten subjects tell as much as ten, where both of a subject are judged alike."""
    group = np.repeat(np.arange(10), 2)
    patient, right = group % 2 == 1, group < 9
    found = of_images(Answers(patient, right, group * 1.0, group, 0 * group), 0.9)

    expected = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert found.accuracy == pytest.approx((expected.low, expected.high))
    assert found.auc == area(0.9, 5, 5)
    assert effective(np.array([0, 0, 0, 1])) == pytest.approx(16 / 10)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 200), st.integers(1, 200))
def test_the_area_has_newcombe_s_interval(value: float, m: int, n: int) -> None:
    """Method 5 as a polynomial of fourth degree, whose roots are where the area is just not surprising."""
    z2, both = NormalDist().inv_cdf(0.975) ** 2, (m + n) / 2 - 1
    x = np.polynomial.Polynomial([0, 1])
    spread = (2 - x) * (1 + x) + both * (1 - x) * (1 + x) + both * x * (2 - x)
    surprise = m * n * (value - x) ** 2 * (2 - x) * (1 + x) - z2 * x * (1 - x) * spread
    low, high = area(value, m, n)

    assert 0 <= low <= value <= high <= 1
    for edge, end in ((low, 0.0), (high, 1.0)):
        assert abs(edge - end) < 1e-9 or min(abs(surprise.roots() - edge)) < 1e-6


@pytest.mark.parametrize(("size", "apart"), [(4, 0.0), (4, 1.6), (15, 0.8)])
def test_the_area_s_interval_holds_the_truth(size: int, apart: float) -> None:
    """In about 95 % of 1,500 tests of two normal distributions, of few images and of more."""
    rng = np.random.default_rng(1)
    truth, held = NormalDist().cdf(apart / math.sqrt(2)), 0
    patient = np.arange(2 * size) < size
    for _ in range(1500):
        value = auc(patient, rng.normal(np.where(patient, apart, 0)))
        assert value is not None
        low, high = area(value, size, size)
        held += low <= truth <= high

    assert 0.92 <= held / 1500 <= 0.98


def test_student_s_quantiles_are_those_of_scipy() -> None:
    """From the fewest degrees that are asked for on."""
    for freedom in range(FEWEST_GROUPS - 1, 60):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.003)


def test_patches_leave_one_image_out_at_a_time() -> None:
    """The jackknife of log odds with each image left out in turn, by scikit-learn's figures."""
    answers = drawn(3, images=16, patches=9)
    found = of_patches(answers)
    assert found is not None

    def log_odds(of: Answers) -> NDArray[np.float64]:
        share = np.array(figures(of))
        return np.log(share / (1 - share))

    whole = log_odds(answers)
    variance = np.zeros(6)
    for start in (0, 1):
        groups = range(start, 16, 2)
        left = np.array([log_odds(chosen(answers, np.delete(np.arange(16), group))) for group in groups])
        variance += (len(left) - 1) / len(left) * ((left - left.mean(axis=0)) ** 2).sum(axis=0)
    reach = stats.t.ppf(0.975, 7) * np.sqrt(variance)
    for k, name in enumerate(METRICS):
        expected = 1 / (1 + np.exp(-(whole[k] + np.array([-reach[k], reach[k]]))))
        assert getattr(found, name) == pytest.approx(tuple(expected), abs=2e-3)


def test_intervals_of_patches_are_as_wide_as_those_of_images_drawn_again() -> None:
    """Within 30 % of a brute-force cluster bootstrap; patches by themselves do not make half of it."""
    answers = drawn(5, images=60, patches=25, alike=1.2)
    found = of_patches(answers)
    assert found is not None
    rng = np.random.default_rng(0)
    again = []
    for _ in range(200):
        groups = np.concatenate([rng.choice(np.arange(start, 60, 2), 30) for start in (0, 1)])
        again.append(figures(chosen(answers, groups)))
    low, high = np.quantile(again, [0.025, 0.975], axis=0)

    for k, name in enumerate(METRICS):
        interval = getattr(found, name)
        assert interval[1] - interval[0] == pytest.approx(high[k] - low[k], rel=0.3)
    naive = stats.binomtest(int(answers.right.sum()), len(answers.right)).proportion_ci(method="wilson")
    assert found.accuracy is not None
    assert naive.high - naive.low < 0.5 * (found.accuracy[1] - found.accuracy[0])


def test_intervals_of_patches_hold_the_truth_with_few_images() -> None:
    """In about 95 % of 300 tests with the fewest images for which there is one."""
    held, truth = 0, NormalDist().cdf(1 / math.sqrt(1 + 0.8**2))
    for seed in range(300):
        found = of_patches(drawn(seed, images=2 * FEWEST_GROUPS, patches=40))
        assert found is not None
        assert found.accuracy is not None
        held += found.accuracy[0] <= truth <= found.accuracy[1]

    assert 0.9 <= held / 300 <= 0.99


def test_patches_of_few_images_have_no_interval() -> None:
    """However many patches there are; and where all are right, nothing says how much they vary."""
    few = drawn(0, images=2 * FEWEST_GROUPS - 2, patches=100)
    perfect = of_patches(drawn(0, images=2 * FEWEST_GROUPS, patches=2, apart=50))

    assert of_patches(few) is None
    assert perfect == Intervals()


def test_folds_are_not_compared_with_each_other() -> None:
    """A fold whose likenesses are all larger changes no area, nor its interval."""
    one, two = drawn(1, images=14, patches=5), drawn(2, images=14, patches=5)
    shifted = Answers(two.patient, two.right, two.likeness + 100, two.group, two.fold)

    together = of_patches(Answers.together([one, two]))
    assert together == of_patches(Answers.together([one, shifted]))
    assert together is not None
    assert together.auc != (of_patches(one) or Intervals()).auc


def judged(seed: int, images: int, patches: int = 6) -> Judged:
    """Return what two sigmoids said of images, in their order."""
    answers = drawn(seed, images, patches, apart=0.3)
    p = (1 / (1 + np.exp(-answers.likeness))).astype(np.float32)
    return Judged(1 - p, p, answers.patient.astype(np.int64), answers.group)


def test_a_record_has_the_intervals_of_its_subjects() -> None:
    """Both levels, one test and all folds of a cross-validation; subjects widen them."""
    alone = evaluate(judged(0, 40), NAMES)
    subjects = [f"subject {k // 4 * 2 + k % 2}" for k in range(200)]
    alike = evaluate(judged(0, 40), NAMES, subjects)
    method = comparison_record({"CNN": [judged(k, 40) for k in range(3)]}, NAMES, DATASET).methods[0]

    for level, wider in ((alone.image, alike.image), (alone.patch, alike.patch)):
        assert level.interval is not None
        assert wider.interval is not None
        for name in METRICS:
            low, high = getattr(level.interval, name)
            assert low < getattr(level, name) < high
    for name in METRICS:
        ends = [getattr(one.image.interval, name) for one in (alike, alone)]
        assert ends[0][0] < ends[1][0] <= ends[1][1] < ends[0][1]
    expected = stats.binomtest(method.image.right, 120).proportion_ci(method="wilson")
    assert method.image.interval is not None
    assert method.image.interval.accuracy == pytest.approx((expected.low, expected.high))
    assert method.image.mean.auc is not None
    assert method.image.interval.auc == area(method.image.mean.auc, 60, 60)
    assert method.patch.interval is not None


def told(tp: int, fn: int, tn: int, fp: int, value: float) -> list[str]:
    """Return what is said of a method with these counts of images, and this area."""
    counts = Confusion(tp=tp, tn=tn, fp=fp, fn=fn)
    shares = Figures(**{name: getattr(counts, name) for name in METRICS[:-1]}, auc=value)
    label = np.repeat([True, True, False, False], [tp, fn, tn, fp])
    right = np.repeat([True, False, True, False], [tp, fn, tn, fp])
    n = np.arange(len(label))
    interval = of_images(Answers(label, right, n * 1.0, n, 0 * n), value)
    level = Level(**dict(shares), tp=tp, fn=fn, tn=tn, fp=fp, undecided=0, interval=interval)
    return list(against_chance({"CNN": (level, level)}))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((4, 0, 0, 4, 0.4), "no better than chance on these images: AUC 0.400"),
        ((9, 0, 0, 9, 1.0), "images: the mean of sensitivity and specificity 0.500"),
        ((1, 9, 1, 9, 0.05), "worse than chance on these images: AUC 0.050"),
        ((1, 0, 1, 0, 1.0), "1 control and 1 patient image are too few to tell CNN from chance, though all"),
        (
            (3, 0, 3, 0, 1.0),
            "3 control and 3 patient images are too few to tell CNN from chance: one guess in 20",
        ),
        # Always calling patient is right for 95 %, and is guessing all the same.
        ((95, 0, 0, 5, 0.5), "no better than chance"),
    ],
)
def test_what_is_not_better_than_chance_is_said(counts: tuple[int, int, int, int, float], words: str) -> None:
    """One sentence, whichever of ranking and deciding is in doubt."""
    [sentence] = told(*counts)

    assert words in sentence


@pytest.mark.parametrize("counts", [(4, 0, 4, 0, 1.0), (18, 2, 17, 3, 0.9)])
def test_what_is_better_than_chance_is_not_spoken_of(counts: tuple[int, int, int, int, float]) -> None:
    """Four images of each class in the right order are one guess in 70."""
    assert told(*counts) == []


def test_a_record_says_that_it_is_chance() -> None:
    """In the JSON, of each method alone."""
    guess = np.full(12, 0.5, np.float32)
    image, label = np.repeat(np.arange(6), 2), np.repeat([0, 1] * 3, 2)
    silent = Judged(guess, guess, label, image)
    model = Model(name="a model", sha256="5" * 64, runtime="x", precision="fp32")
    one = evaluation_record(evaluate(silent, NAMES), model, DATASET)
    both = comparison_record({"RF": [silent], "CNN": [silent]}, NAMES, DATASET)

    assert [sentence.split(" is ")[0] for sentence in (*one.chance, *both.chance)] == ["a model", "RF", "CNN"]
