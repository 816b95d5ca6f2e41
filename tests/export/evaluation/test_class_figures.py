"""Figures of networks of any classes, against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from colvi_edge.export.evaluation.class_figures import classes_record
from colvi_edge.export.evaluation.class_record import CellWord, ClassesRecord
from colvi_edge.export.evaluation.record import Dataset, Model, to_json
from colvi_edge.tasks.classify import MAJORITY, UNSURE, Rule, diagnose

CLASSES = ("alpha", "beta", "gamma")
MODEL = Model(name="three", sha256="5" * 64, runtime="onnxruntime 1.32 on a CPU", precision="fp32")
DATASET = Dataset(name="cultures", is_simulated=False)


def record_of(
    probabilities: list[np.ndarray],
    truths: list[int],
    classes: tuple[str, ...] = CLASSES,
    rule: Rule = MAJORITY,
    of: CellWord = "patch",
    groups: list[str] | None = None,
) -> ClassesRecord:
    """Return the record of images with these probabilities, (rows, cols, K) each."""
    names = [f"{number}.tif" for number in range(len(truths))]
    return classes_record(
        [diagnose(one.astype(np.float32), classes, rule) for one in probabilities],
        truths,
        names,
        groups or names,
        rule=rule,
        of=of,
        model=MODEL,
        dataset=DATASET,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_figures_are_those_of_scikit_learn(seed: int, number: int) -> None:
    """Of patches with ties among them, which are wrong for whatever class they are of."""
    rng = np.random.default_rng(seed)
    classes = tuple(f"c{place}" for place in range(number))
    truths = [*range(number), *rng.integers(0, number, 6).tolist()]
    fields = [rng.integers(0, 5, (2, 3, number)) / 4 for _ in truths]

    found = record_of(fields, truths, classes)

    flat = np.concatenate([field.reshape(-1, number) for field in fields])
    truth = np.repeat(truths, 6)
    best = flat.max(axis=1, keepdims=True)
    said = np.where((flat == best).sum(axis=1) == 1, flat.argmax(axis=1), number)
    level = found.cells
    assert level is not None
    labels = list(range(number))
    assert np.array_equal(
        np.array(level.confusion),
        oracle.confusion_matrix(truth, said, labels=[*labels, number])[:number],
    )
    precision, recall, f1, n = oracle.precision_recall_fscore_support(
        truth, said, labels=labels, zero_division=np.nan
    )
    for place, one in enumerate(level.classes):
        assert (one.name, one.n) == (classes[place], n[place])
        assert one.recall == pytest.approx(recall[place])
        assert one.f1 == pytest.approx(f1[place], nan_ok=True)
        assert (
            one.precision is None
            if np.isnan(precision[place])
            else one.precision == pytest.approx(precision[place])
        )
        assert one.auc == pytest.approx(oracle.roc_auc_score(truth == place, flat[:, place]))
    assert level.accuracy == pytest.approx(oracle.accuracy_score(truth, said))
    assert level.balanced_accuracy == pytest.approx(np.mean(recall))
    assert level.f1 == pytest.approx(np.mean(f1))


def test_images_by_hand() -> None:
    """Three images of three classes: right, wrong and undecided."""
    field = np.array([[[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]]])
    undecided = np.array([[[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]])

    found = record_of([field, field, undecided], [0, 1, 2])

    assert found.image.confusion == ((1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1))
    assert (found.image.right, found.image.n, found.image.undecided) == (1, 3, 1)
    assert [one.recall for one in found.image.classes] == [1.0, 0.0, 0.0]
    assert [one.precision for one in found.image.classes] == [0.5, None, None]
    assert [(one.diagnosis, one.score) for one in found.images] == [
        ("alpha", 75),
        ("alpha", 75),
        (UNSURE, 50),
    ]
    assert found.cells is not None
    assert found.cells.n == 10


def test_whole_images_are_their_own_votes() -> None:
    """There is one level, and the area is that of the probability."""
    ps = [0.2, 0.6, 0.4, 0.9]
    fields = [np.array([[[1 - p, p]]]) for p in ps]

    found = record_of(fields, [0, 0, 1, 1], ("normal", "ill"), Rule("threshold", "ill", 0.5), "image")

    assert found.cells is None
    assert found.image.confusion == ((1, 1, 0), (1, 1, 0))
    assert found.image.classes[1].auc == pytest.approx(0.75)
    assert [one.score for one in found.images] == pytest.approx([20, 60, 40, 90])
    assert found.score_of == "100 = ill"


def test_images_of_one_subject_are_one_subject() -> None:
    """The interval of eight right images of two people is that of two, and wider than that of eight."""
    field = np.array([[[0.8, 0.1, 0.1]]])
    alone = record_of([field] * 8, [0] * 8)
    shared = record_of([field] * 8, [0] * 8, groups=["a"] * 4 + ["b"] * 4)

    assert alone.image.accuracy_interval is not None
    assert shared.image.accuracy_interval is not None
    assert shared.image.accuracy_interval[0] < alone.image.accuracy_interval[0]
    assert alone.image.classes[1].recall_interval is None


def test_what_is_not_better_than_the_most_frequent_class_is_said() -> None:
    """Right on eleven of twelve, of which ten are of one class; and of which four are."""
    a, b = np.array([[[0.8, 0.1, 0.1]]]), np.array([[[0.1, 0.8, 0.1]]])
    poor = record_of([a] * 10 + [b] * 2, [0] * 10 + [1, 2])
    good = record_of([a] * 6 + [b] * 6, [0] * 6 + [1] * 5 + [2])

    assert len(poor.chance) == 1
    assert "the share of alpha" in poor.chance[0]
    assert good.chance == ()


def test_anyone_can_read_the_json() -> None:
    """It is strict JSON, and says what it is."""
    plain = json.loads(to_json(record_of([np.array([[[0.8, 0.1, 0.1]]])], [0])))

    assert plain["schema"] == "colvi-edge.evaluation-of-classes/1"
    assert plain["image"]["confusion"][0] == [1, 0, 0, 0]
    assert plain["image"]["classes"][1]["recall"] is None


@pytest.mark.parametrize("truths", [[], [3], [-1]])
def test_what_cannot_be_counted_is_refused(truths: list[int]) -> None:
    """No image, or one of a class that there is not."""
    with pytest.raises(ValueError, match="expected"):
        record_of([np.array([[[0.8, 0.1, 0.1]]])] * len(truths), truths)
