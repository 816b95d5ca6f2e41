"""From what was said of patches to figures, records and a table for the terminal."""

import json
import statistics
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn import metrics

from colvi_edge import RESEARCH_USE_ONLY, __version__
from colvi_edge.cli.show.evaluation import as_table
from colvi_edge.export.evaluation.figures import Judged, comparison_record, evaluate, evaluation_record
from colvi_edge.export.evaluation.record import (
    METRICS,
    ComparisonRecord,
    Dataset,
    EvaluationRecord,
    Model,
    to_json,
)
from colvi_edge.tasks.classify import diagnose

KEYS = {"tp", "tn", "fp", "fn", "accuracy", "precision", "sensitivity", "specificity", "f1", "auc"}
NAMES = [f"{number}.tif" for number in range(100)]
MODEL = Model(name="a model", sha256="5" * 64, runtime="openvino 2026.4.1 on a CPU", precision="int8-cpu")
DATASET = Dataset(name="cultures", is_simulated=True)


def judged(p_control: list[float], p_patient: list[float], label: list[int], image: list[int]) -> Judged:
    """Return plain lists as what was judged."""
    return Judged(
        np.array(p_control, np.float32), np.array(p_patient, np.float32), np.array(label), np.array(image)
    )


def random(seed: int, images: int = 8, patches: int = 5) -> Judged:
    """Return patches of two sigmoids, some of them equal, in the order of their images."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), patches)
    p = (rng.integers(0, 9, (images * patches, 2)) / 8).astype(np.float32)
    return Judged(p[:, 0], p[:, 1], image % 2, image)


def shuffled(given: Judged, order: list[int]) -> Judged:
    """Return the same patches in another order."""
    return Judged(given.p_control[order], given.p_patient[order], given.label[order], given.image[order])


def test_figures_are_what_a_hand_gets() -> None:
    """Three images with a tie, a wrong vote and an undecided diagnosis, counted by hand."""
    found = evaluate(
        judged(
            p_control=[0.9, 0.8, 0.25, 0.1, 0.5, 0.7, 0.6, 0.25],
            p_patient=[0.2, 0.1, 0.75, 0.9, 0.5, 0.2, 0.3, 0.75],
            label=[0, 0, 0, 1, 1, 1, 1, 1],
            image=[4, 4, 4, 7, 7, 7, 9, 9],
        ),
        NAMES,
    )

    # Votes C C P | P tie C | C P; the tie counts against the patient, as does the undecided image.
    assert (found.patch.tp, found.patch.tn, found.patch.fp, found.patch.fn) == (2, 2, 1, 3)
    assert found.patch.undecided == 1
    assert found.patch.accuracy == 4 / 8
    # p_patient - p_control: controls -0.7 -0.7 0.5; patients 0.8 0 -0.5 -0.3 0.5: pairs won, one by half.
    assert found.patch.auc == pytest.approx((3 + 2 + 2 + 2 + 2.5) / 15)
    rows = [(one.name, one.truth, round(one.score, 3), one.diagnosis) for one in found.images]
    assert rows == [
        ("4.tif", "control", 66.667, "control"),
        ("7.tif", "patient", 33.333, "unsure"),
        ("9.tif", "patient", 50, "unsure"),
    ]
    assert (found.image.tp, found.image.tn, found.image.fp, found.image.fn) == (0, 1, 0, 2)
    assert found.image.undecided == 2
    assert found.image.precision is None
    assert found.image.auc == 1
    # Confidences 0.9 right, 0.8 right, 0.75 wrong | 0.9 right, 0.5 wrong, 0.7 wrong | 0.6 wrong, 0.75 right:
    # gaps of the bins 0.5: 0.5; 0.6: 0.6; 0.7: 2.2 - 1; 0.8: 0.2; 0.9: 0.2.
    assert found.calibration_error == pytest.approx((0.5 + 0.6 + 1.2 + 0.2 + 0.2) / 8)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.permutations(range(40)))
def test_figures_are_those_of_scikit_learn(seed: int, order: list[int]) -> None:
    """Both levels, whatever the order of the patches; nobody's vote is a wrong one."""
    given_ = random(seed)
    found = evaluate(shuffled(given_, order), NAMES)

    vote = np.sign(given_.p_patient - given_.p_control)
    balance = np.array([vote[given_.image == image].sum() for image in range(8)])
    truth = np.arange(8) % 2
    score = [100 * np.mean(vote[given_.image == image] == -1) for image in range(8)]
    for level, label, said, likeness in (
        (found.patch, given_.label, vote, given_.p_patient - given_.p_control),
        (found.image, truth, balance, -np.array(score)),
    ):
        taken = np.where(label == 1, said > 0, said >= 0)
        tn, fp, fn, tp = metrics.confusion_matrix(label, taken).ravel()
        assert (level.tp, level.tn, level.fp, level.fn) == (tp, tn, fp, fn)
        assert level.undecided == np.sum(said == 0)
        assert level.sensitivity == metrics.recall_score(label, taken)
        assert level.specificity == metrics.recall_score(1 - label, ~taken)
        assert level.auc == pytest.approx(metrics.roc_auc_score(label, likeness))
    assert [image.score for image in found.images] == pytest.approx(score)
    words = {-1: "control", 0: "unsure", 1: "patient"}
    assert [image.diagnosis for image in found.images] == [words[int(np.sign(one))] for one in balance]


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_method_without_probabilities_has_all_but_a_calibration(seed: int) -> None:
    """The sign of its margin is the vote, its size ranks the patches, and no confidence is made up."""
    given_ = random(seed)
    margin = given_.p_patient.astype(np.float64) - given_.p_control
    of_margins = evaluate(Judged.by_margin(3 * margin, given_.label, given_.image), NAMES)
    of_probabilities = evaluate(given_, NAMES)

    without = {"calibration_error": None, "reliability": None}
    assert of_margins == of_probabilities.model_copy(update=without)


def test_an_engine_s_images_are_evaluated_as_it_diagnoses_them() -> None:
    """Images of different sizes, one after the other: score and diagnosis of each are the pipeline's."""
    rng = np.random.default_rng(5)
    images = [(rng.integers(0, 5, (rows, 3, 2)) / 4).astype(np.float32) for rows in (1, 4, 2, 3)]
    found = evaluate(Judged.by_image(images, [0, 1, 1, 0]), NAMES)

    expected = [diagnose(image) for image in images]
    assert [one.score for one in found.images] == [one.score for one in expected]
    assert [one.diagnosis for one in found.images] == [one.name for one in expected]
    assert [one.truth for one in found.images] == ["control", "patient", "patient", "control"]
    assert (found.patch.tp + found.patch.fn, found.patch.n) == (18, 30)


def test_a_saturated_or_silent_network_can_be_evaluated() -> None:
    """Zeros and ones everywhere, one class only: figures that do not exist are None, the others are there."""
    found = evaluate(judged([1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]), NAMES)

    assert found.patch.specificity == pytest.approx(2 / 3)
    assert found.patch.sensitivity is None
    assert found.patch.auc is None
    assert found.roc.patch is None
    assert found.roc.image is None
    assert found.calibration_error == pytest.approx(0)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (([0.5], [0.5], [0, 1], [0]), "as many"),
        (([], [], [], []), "at least one"),
        (([0.5, 0.5], [0.5, 0.5], [0, 1], [3, 3]), "one label"),
        (([0.5], [0.5], [2], [0]), "0 or 1"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    given_: tuple[list[float], list[float], list[int], list[int]], words: str
) -> None:
    """Lengths that differ, nothing at all, an image with two truths, a third class."""
    with pytest.raises(ValueError, match=words):
        judged(*given_)


def test_what_is_no_number_is_refused() -> None:
    """A margin or a probability that is not finite has no place on a curve."""
    one = np.zeros(1, np.int64)

    with pytest.raises(ValueError, match="finite"):
        Judged.by_margin(np.array([np.nan]), one, one)
    with pytest.raises(ValueError, match="probabilities"):
        evaluate(judged([float("nan")], [0.5], [0], [0]), NAMES)


def test_anyone_can_recount_the_json() -> None:
    """Every metric under its name at both levels, and the images from which theirs come."""
    record = evaluation_record(evaluate(random(3), NAMES), MODEL, DATASET, ["Three files were left out."])
    data = to_json(record)
    read = json.loads(data)

    assert data.startswith(b'{"schema":"colvi-edge.evaluation/1"')
    assert read["software"] == {"name": "colvi-edge", "version": __version__}
    assert read["intended_use"] == RESEARCH_USE_ONLY
    assert read["notes"] == ["Three files were left out."]
    assert read["model"]["precision"] == "int8-cpu"
    assert set(read["patch"]) == set(read["image"]) == KEYS | {"undecided", "interval"}
    images = read["images"]
    assert read["image"]["tp"] == sum(one["truth"] == one["diagnosis"] == "patient" for one in images)
    assert read["image"]["tn"] == sum(one["truth"] == one["diagnosis"] == "control" for one in images)
    assert sum(read["patch"][key] for key in ("tp", "tn", "fp", "fn")) == 40
    assert sum(one["n"] for one in read["reliability"]) == 40
    points = read["roc"]["patch"]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    assert area == pytest.approx(read["patch"]["auc"], abs=1e-4)
    assert EvaluationRecord.model_validate_json(data) == record


def test_a_long_curve_stays_small_in_the_json() -> None:
    """Of 20,000 patches the curve keeps 200 points, and the area that it is the curve of."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(100), 200)
    p = (rng.random(20_000) / 2 + 0.2 * (image % 2)).astype(np.float32)
    found = evaluate(Judged(1 - p, p, image % 2, image), NAMES)

    assert found.roc.patch is not None
    assert len(found.roc.patch) <= 200
    across, up = np.array(found.roc.patch).T
    assert metrics.auc(across, up) == pytest.approx(found.patch.auc, abs=1e-3)


def test_names_from_elsewhere_survive_json() -> None:
    """A name that is no Unicode, or would forge a line, is escaped; the others are as they are."""
    found = evaluate(judged([1, 1], [0, 0], [0, 0], [0, 1]), ["a\udcff\n.tif", "Zürich 3 µm.tif"])
    data = to_json(evaluation_record(found, MODEL, DATASET))

    names = [image["name"] for image in json.loads(data)["images"]]
    assert names == ["a\\udcff\\n.tif", "Zürich 3 µm.tif"]


def folds(seed: int) -> list[Judged]:
    """Return what was judged in three folds."""
    return [random(seed + fold) for fold in range(3)]


def test_a_comparison_is_the_mean_and_spread_of_its_folds() -> None:
    """Of every figure at both levels by the statistics module; counts are added up; the order is kept."""
    methods = {"forest": folds(0), "CNN": folds(50)}
    record = comparison_record(methods, NAMES, DATASET)

    assert [method.name for method in record.methods] == ["forest", "CNN"]
    for method in record.methods:
        evaluated = [evaluate(fold, NAMES) for fold in methods[method.name]]
        for level in ("patch", "image"):
            parts = [getattr(fold, level) for fold in evaluated]
            pooled = getattr(method, level)
            assert pooled.tp == sum(part.tp for part in parts)
            assert pooled.fn == sum(part.fn for part in parts)
            assert pooled.n == {"patch": 120, "image": 24}[level]
            for metric in METRICS:
                figures = [getattr(part, metric) for part in parts]
                assert getattr(pooled.mean, metric) == pytest.approx(statistics.mean(figures))
                assert getattr(pooled.sd, metric) == pytest.approx(statistics.stdev(figures))
        errors = [fold.calibration_error or 0.0 for fold in evaluated]
        assert method.calibration_error_mean == pytest.approx(statistics.mean(errors))
        assert method.calibration_error_sd == pytest.approx(statistics.stdev(errors))
    data = to_json(record)
    assert data.startswith(b'{"schema":"colvi-edge.comparison/1"')
    assert ComparisonRecord.model_validate_json(data) == record


def test_the_mean_curve_has_the_mean_area() -> None:
    """Averaged at each false positive rate: the area below it is the mean of the folds' areas."""
    method = comparison_record({"CNN": folds(9)}, NAMES, DATASET).methods[0]

    assert method.roc.patch is not None
    across, up = np.array(method.roc.patch).T
    assert metrics.auc(across, up) == pytest.approx(method.patch.mean.auc, abs=0.01)


def test_a_figure_that_a_fold_lacks_has_no_mean() -> None:
    """The mean of the other folds would flatter; and one fold has no spread."""
    never = judged([1, 1], [0, 0], [0, 1], [0, 1])
    method = comparison_record({"CNN": [*folds(2), never]}, NAMES, DATASET).methods[0]
    single = comparison_record({"CNN": folds(2)[:1]}, NAMES, DATASET).methods[0]

    assert evaluate(never, NAMES).patch.precision is None
    assert method.patch.mean.precision is method.patch.sd.precision is None
    assert method.patch.mean.accuracy is not None
    assert single.patch.mean.accuracy == single.folds[0].patch.accuracy
    assert single.patch.sd.accuracy is single.calibration_error_sd is None


def test_methods_are_compared_on_the_same_images_alone() -> None:
    """Another fold, or another order of folds, would be another test."""
    with pytest.raises(ValueError, match="same images of the same folds"):
        comparison_record({"forest": folds(0), "CNN": folds(0)[:2]}, NAMES, DATASET)
    with pytest.raises(ValueError, match="same images of the same folds"):
        comparison_record({"forest": folds(0), "CNN": [random(1, images=6)] * 3}, NAMES, DATASET)


def shown(record: EvaluationRecord | ComparisonRecord) -> str:
    """Return the table as it is printed."""
    console = Console(width=160, highlight=False)
    with console.capture() as captured:
        console.print(as_table(record))
    return captured.get()


def test_the_terminal_shows_both_levels() -> None:
    """A line for each count and each figure, with its interval; too few images are none for patches."""
    record = evaluation_record(evaluate(random(3), NAMES), MODEL, DATASET)
    head, *lines = [line.split() for line in shown(record).splitlines()]

    assert " ".join(head) == "patches 95 % interval images 95 % interval"
    assert lines[0] == ["judged", "40", "8"]
    for line, count in zip(lines[1:5], ("tp", "fn", "tn", "fp"), strict=True):
        assert line[0] == count
        assert line[-2:] == [str(getattr(level, count)) for level in (record.patch, record.image)]
    for line, metric in zip(lines[5:], METRICS, strict=True):
        assert record.image.interval is not None
        low, high = getattr(record.image.interval, metric)
        figures = [f"{getattr(level, metric):.3f}" for level in (record.patch, record.image)]
        assert line[1:] == [figures[0], "-", figures[1], f"{low:.3f}", "to", f"{high:.3f}"]


@pytest.mark.parametrize("methods", [1, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_no_figure_is_cut_at_80_columns(methods: int, count: int) -> None:
    """With one method or several, one fold or several, every row is one line, and no figure is cropped."""
    named = {name: folds(0)[:count] for name in ("SVM on FOS + GLCM", "CNN")[:methods]}
    record = comparison_record(named, NAMES, DATASET)
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(as_table(record, with_spread=methods == 1))
    lines = captured.get().splitlines()

    assert len(lines) == (12 if methods == 1 else 13)
    assert "…" not in captured.get()


def test_the_terminal_shows_each_method_with_its_spread() -> None:
    """Mean and standard deviation of each figure; brackets in a name are no markup."""
    record = comparison_record({"forest [red]": folds(0), "CNN": folds(3)}, NAMES, DATASET)
    text = shown(record)

    patch = record.methods[0].patch
    assert "forest [red]" in text
    assert f"{patch.mean.accuracy:.3f} ± {patch.sd.accuracy:.3f}" in text


def test_evaluation_needs_no_torch() -> None:
    """A bundle is evaluated where nothing of training is installed."""
    code = (
        "import sys\n"
        "from colvi_edge.cli.show import evaluation\n"
        "from colvi_edge.export.evaluation import figures\n"
        "from colvi_edge.export.pages import comparison, evaluation\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"torch", "sklearn", "scipy", "matplotlib"}.isdisjoint(done.stdout.split())
