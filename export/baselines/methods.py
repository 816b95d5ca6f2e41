"""The paper's four baselines: what a network must beat.

A random forest (RF) and a support vector machine (SVM) on each of two sets of texture features. The settings
are those of the paper's section 4: forests of 350 and 400 trees that try 7 and 8 features at each split (the
first of each pair is taken to be LBP's), SVMs with radial basis functions, C = 0.1 and gamma = 0.01. Both
classes weigh alike; everything else is scikit-learn's default. An SVM's features are standardised by what it
learns from, as it measures distances across all of them (whether the paper did so is not known here).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from colvi_edge.export.evaluation.figures import CONTROL, PATIENT, Judged

from .texture import Features, Textures


@dataclass
class Baseline(ABC):
    """A classifier on one set of features.

    Attributes:
        name: such as "RF on LBP".
        features: the attribute of `Textures` that it sees.
    """

    name: str
    features: Literal["lbp", "fos_glcm"]

    @abstractmethod
    def fit(self, training: Textures) -> None:
        """Learn from patches of both classes, and forget what was learnt before."""

    @abstractmethod
    def judge(self, patches: Textures) -> Judged:
        """Return what it says of patches, after `fit`."""

    def _seen(self, patches: Textures) -> Features:
        return getattr(patches, self.features)


@dataclass
class RandomForest(Baseline):
    """Says probabilities: the mean share of the classes in the leaves that a patch falls into.

    Attributes:
        trees: the paper's n_t.
        split_features: the paper's n_f, features tried at each split.
        seed: of everything random.
    """

    trees: int
    split_features: int
    seed: int

    def fit(self, training: Textures) -> None:
        """Grow the trees."""
        self._forest = RandomForestClassifier(
            self.trees,
            max_features=self.split_features,
            class_weight="balanced",
            random_state=self.seed,
            n_jobs=-1,
        ).fit(self._seen(training), training.label)

    def judge(self, patches: Textures) -> Judged:
        """Return probabilities, which sum to 1."""
        p: NDArray[np.float32] = self._forest.predict_proba(self._seen(patches)).astype(np.float32)
        return Judged(p[:, CONTROL], p[:, PATIENT], patches.label, patches.image)


@dataclass
class SupportVectorMachine(Baseline):
    """Says on which side of its boundary a patch lies, and how far; no probabilities.

    Those of scikit-learn are deprecated, and may contradict the votes. The time of `fit` grows with the
    square of the patches: 90 s for 40,960 whose labels were shuffled, the most that was seen.
    """

    def fit(self, training: Textures) -> None:
        """Find the boundary."""
        self._machine: Any = make_pipeline(
            StandardScaler(), SVC(C=0.1, kernel="rbf", gamma=0.01, class_weight="balanced", cache_size=500)
        ).fit(self._seen(training), training.label)

    def judge(self, patches: Textures) -> Judged:
        """Return margins; larger is more like a patient."""
        margin = self._machine.decision_function(self._seen(patches))
        return Judged.by_margin(margin, patches.label, patches.image)


def baselines(seed: int) -> list[Baseline]:
    """Return the four, LBP first."""
    return [
        RandomForest("RF on LBP", "lbp", trees=350, split_features=7, seed=seed),
        SupportVectorMachine("SVM on LBP", "lbp"),
        RandomForest("RF on FOS + GLCM", "fos_glcm", trees=400, split_features=8, seed=seed),
        SupportVectorMachine("SVM on FOS + GLCM", "fos_glcm"),
    ]


def judge_baselines(training: Textures, test: Textures, seed: int) -> Iterator[tuple[str, Judged]]:
    """Train each of the four in turn, and yield its name and what it says of the test."""
    for baseline in baselines(seed):
        baseline.fit(training)
        yield baseline.name, baseline.judge(test)
