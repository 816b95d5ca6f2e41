"""Baselines: four classifiers on texture, their settings, and what they say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.export.baselines.methods import Baseline, SupportVectorMachine, baselines, judge_baselines
from colvi_edge.export.baselines.texture import Textures, textures
from colvi_edge.export.data.patch_set import collect_patches
from colvi_edge.export.evaluation.figures import Judged

NAMES = ["RF on LBP", "SVM on LBP", "RF on FOS + GLCM", "SVM on FOS + GLCM"]


def striped(images: int, seed: int, period: tuple[float, float] = (2.0, 0.4)) -> Textures:
    """Return the features of 4 patches an image: stripes of the first period are controls."""
    rng = np.random.default_rng(seed)

    def planes(image: int) -> NDArray[Any]:
        stripes = np.sin(np.arange(128) * period[image % 2] + rng.uniform(0, 6))
        return rng.poisson(300 + 250 * stripes, (1, 2, 128, 128)).astype(np.uint16)

    return textures(collect_patches((planes(k), ("control", "patient")[k % 2]) for k in range(images)))


def clouds(controls: int, patients: int, apart: float, seed: int = 0) -> Textures:
    """Return two Gaussian clouds of features, one image each."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], [controls, patients])
    features = rng.standard_normal((len(label), 4)) + apart * label[:, np.newaxis]
    return Textures(features.astype(np.float32), features.astype(np.float32), label, label)


def accuracy(judged: Judged) -> float:
    """Return the share of patches that are voted right."""
    votes = np.where(judged.p_patient > judged.p_control, 1, 0)
    return float((votes == judged.label).mean())


def judged_by(baseline: Baseline, training: Textures, test: Textures) -> NDArray[np.float64]:
    """Return how like patients a baseline finds the test's patches."""
    baseline.fit(training)
    return baseline.judge(test).likeness


def test_all_four_learn_what_is_easy() -> None:
    """Each tells fine stripes from coarse ones in images that it has not seen."""
    found = dict(judge_baselines(striped(24, 1), striped(8, 2), seed=0))

    assert list(found) == NAMES
    assert [accuracy(judged) for judged in found.values()] == [1.0] * 4


def test_where_there_is_nothing_to_learn_all_four_guess() -> None:
    """Labels that say nothing of the texture teach nothing that holds for other images."""
    training, test = striped(40, 1, (1.0, 1.0)), striped(40, 2, (1.0, 1.0))

    for name, judged in judge_baselines(training, test, seed=0):
        assert 0.35 < accuracy(judged) < 0.65, name


def test_forests_say_probabilities_and_machines_margins() -> None:
    """Probabilities sum to 1; a margin above 0 is a vote for patient; labels and images are the test's."""
    test = clouds(30, 30, 1.0, seed=1)
    for name, judged in judge_baselines(clouds(60, 60, 1.0), test, seed=0):
        assert np.array_equal(judged.label, test.label)
        assert np.array_equal(judged.image, test.image)
        assert np.corrcoef(judged.likeness, test.label)[0, 1] > 0.5
        if name.startswith("RF"):
            assert judged.margin is None
            assert judged.p_control + judged.p_patient == pytest.approx(np.ones(60), abs=1e-6)
            assert len(np.unique(judged.p_patient)) > 10
        else:
            assert judged.margin is not None
            assert np.array_equal(judged.p_patient == 1, judged.margin > 0)


def test_settings_are_those_of_the_paper() -> None:
    """n_t is 350 and 400, n_f 7 and 8; C is 0.1 and gamma 0.01."""
    four = baselines(0)
    training = striped(8, 1)
    for baseline in four:
        baseline.fit(training)
    rf_lbp, svm_lbp, rf_glcm, svm_glcm = (vars(baseline) for baseline in four)

    for forest, trees, tried, features in ((rf_lbp, 350, 7, 10), (rf_glcm, 400, 8, 12)):
        grown = forest["_forest"].estimators_
        assert len(grown) == trees
        assert {tree.max_features_ for tree in grown} == {tried}
        assert {tree.n_features_in_ for tree in grown} == {features}
    for machine, features in ((svm_lbp, 10), (svm_glcm, 12)):
        found = machine["_machine"].named_steps["svc"].get_params()
        assert machine["_machine"].n_features_in_ == features
        assert (found["kernel"], found["C"], found["gamma"]) == ("rbf", 0.1, 0.01)


def test_the_seed_decides() -> None:
    """The same seed says the same to the bit, also when learnt anew; another grows other trees."""
    training, test = clouds(80, 80, 0.7), clouds(40, 40, 0.7, seed=1)
    four = baselines(5)
    first, again, same = (
        [judged_by(baseline, training, test) for baseline in some] for some in (four, four, baselines(5))
    )
    other = judged_by(baselines(6)[0], training, test)

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other)


def test_machines_take_no_notice_of_units() -> None:
    """A feature in other units, in training and test alike, is no other feature."""
    training, test = clouds(80, 80, 0.7), clouds(40, 40, 0.7, seed=1)
    unit = np.array([1, 1024, 2**-10, 1], np.float32)
    machine = SupportVectorMachine("", "lbp")
    rescaled = judged_by(
        machine, replace(training, lbp=training.lbp * unit), replace(test, lbp=test.lbp * unit)
    )

    assert rescaled == pytest.approx(judged_by(machine, training, test), abs=1e-6)


def test_the_test_does_not_move_the_scale() -> None:
    """What is said of a patch does not depend on which others are judged with it."""
    training, test = clouds(80, 80, 0.7), clouds(40, 40, 0.7, seed=1)
    strange = replace(test, lbp=np.concatenate([test.lbp[:40], test.lbp[40:] + 100]))
    machine = SupportVectorMachine("", "lbp")

    assert np.array_equal(judged_by(machine, training, strange)[:40], judged_by(machine, training, test)[:40])


def test_the_rarer_class_counts_as_much() -> None:
    """Of one patient in ten, machines miss no more than of as many as controls."""
    test = clouds(500, 500, 1.0, seed=1)
    machine = SupportVectorMachine("", "lbp")
    votes = judged_by(machine, clouds(900, 100, 1.0), test) > 0

    assert votes[500:].mean() > 0.75
    assert votes[:500].mean() < 0.25
