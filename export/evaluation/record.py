"""What `evaluate --json` writes: one model on one dataset, or several methods on the folds of one.

What is undefined is null: a ratio of nothing to nothing, the calibration of a method without probabilities.
"""

from datetime import datetime
from typing import Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.outputs.sidecar import Software
from colvi_edge.tasks.classify import DiagnosisName

METRICS = ("accuracy", "precision", "sensitivity", "specificity", "f1", "auc")
HEADINGS = ("accuracy", "precision", "sensitivity", "specificity", "F1", "AUC")
"""METRICS, as people write them."""

Curve = tuple[tuple[float, float], ...]
Interval = tuple[float, float]


class Reading(NamedTuple):
    """A figure; where it is the mean of several folds, with its standard deviation; its 95 % interval."""

    value: float | None
    sd: float | None
    interval: Interval | None


class Part(BaseModel):
    """A part of a record: closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Figures(Part):
    """The paper's figures, each 0..1, patient being the positive class."""

    accuracy: float | None
    precision: float | None
    sensitivity: float | None
    specificity: float | None
    f1: float | None
    auc: float | None = Field(description="Area below the ROC curve; null with one class only.")


class Counts(Part):
    """The confusion matrix."""

    tp: int = Field(description="Patients judged patient.")
    tn: int = Field(description="Controls judged control.")
    fp: int = Field(description="Controls not judged control.")
    fn: int = Field(description="Patients not judged patient.")
    undecided: int = Field(description="Of fp and fn: judged neither, because of a tie.")

    @property
    def n(self) -> int:
        """All that was judged."""
        return self.tp + self.tn + self.fp + self.fn

    @property
    def right(self) -> int:
        """What was judged right."""
        return self.tp + self.tn


class Intervals(Part):
    """95 % intervals of the figures, each from, to; null where a figure has none. See `intervals`."""

    accuracy: Interval | None = None
    precision: Interval | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    f1: Interval | None = None
    auc: Interval | None = None


class Level(Figures, Counts):
    """How patches, or images, were judged."""

    interval: Intervals | None = Field(
        default=None, description="Null for patches of too few images, and in records of 0.1.0."
    )

    def read(self, metric: str) -> Reading:
        """Return a figure by its name in METRICS."""
        return Reading(getattr(self, metric), None, getattr(self.interval, metric, None))


class Pooled(Counts):
    """How patches, or images, were judged in all folds: counts added up, figures of each fold averaged."""

    mean: Figures = Field(description="Null where a fold has none.")
    sd: Figures = Field(description="Standard deviation (n - 1) over the folds; null for one fold.")
    interval: Intervals | None = Field(default=None, description="Of all folds together; null as of a level.")

    def read(self, metric: str) -> Reading:
        """Return a figure by its name in METRICS."""
        interval = getattr(self.interval, metric, None)
        return Reading(getattr(self.mean, metric), getattr(self.sd, metric), interval)


class Bin(Part):
    """Patches judged with about the same confidence, and what came true of it."""

    low: float
    high: float
    n: int
    confidence: float = Field(description="Mean of the larger probability.")
    accuracy: float = Field(description="Share with the right vote.")


class Roc(Part):
    """Corners (1 - specificity, sensitivity) of the curves, thinned; null with one class only."""

    patch: Curve | None
    image: Curve | None


class ImageJudged(Part):
    """One image."""

    name: str
    truth: Literal["control", "patient"]
    score: float = Field(description="100 x control votes / patches.")
    diagnosis: DiagnosisName

    @property
    def right(self) -> bool:
        """Whether the diagnosis is the truth."""
        return self.diagnosis == self.truth


class Evaluation(Part):
    """How one set of patches and their images were judged."""

    patch: Level
    image: Level
    calibration_error: float | None = Field(
        description="Expected, of the patches, in ten bins; null for a method without probabilities."
    )
    reliability: tuple[Bin, ...] | None = Field(description="Bins that hold patches; null as above.")
    roc: Roc
    images: tuple[ImageJudged, ...]


class Method(Part):
    """One way to judge, in every fold."""

    name: str
    patch: Pooled
    image: Pooled
    calibration_error_mean: float | None
    calibration_error_sd: float | None
    roc: Roc = Field(description="Mean of the folds' sensitivities at each false positive rate.")
    folds: tuple[Evaluation, ...]


class Model(Part):
    """What judged."""

    name: str
    sha256: str = Field(description="Of a checkpoint's file, or of a bundle's SHA256SUMS.")
    runtime: str = Field(description="What ran it, with version and device.")
    precision: str


class Dataset(Part):
    """What was judged."""

    name: str
    is_simulated: bool
    subjects: int | None = Field(default=None, description="Null where nobody said whose cells they are.")


class Division(Part):
    """Which images were for what, in one fold, by name."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


class Header(Part):
    """What both records begin with."""

    schema_: str = Field(alias="schema")
    created: datetime = Field(description="UTC.")
    software: Software
    intended_use: str = RESEARCH_USE_ONLY
    dataset: Dataset
    notes: tuple[str, ...] = Field(default=(), description="What a reader must know, a sentence each.")
    chance: tuple[str, ...] = Field(
        default=(), description="A sentence on each method that is not shown to be better than chance."
    )


class EvaluationRecord(Evaluation, Header):
    """One model on one dataset."""

    schema_: Literal["colvi-edge.evaluation/1"] = Field(default="colvi-edge.evaluation/1", alias="schema")
    model: Model


class ComparisonRecord(Header):
    """Several methods on the folds of one dataset."""

    schema_: Literal["colvi-edge.comparison/1"] = Field(default="colvi-edge.comparison/1", alias="schema")
    methods: tuple[Method, ...] = Field(min_length=1)
    divisions: tuple[Division, ...] = Field(
        default=(), description="Of each fold; empty in records of 0.1.0."
    )


def figure(value: float | None) -> str:
    """Return a figure as people read it: three decimals, or a dash for what is undefined."""
    return "-" if value is None else f"{value:.3f}"


def between(interval: Interval | None) -> str:
    """Return an interval as people read it."""
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def to_json(record: Header) -> bytes:
    """Return the record as UTF-8 JSON; the schema's name stands first."""
    return orjson.dumps(record.model_dump(mode="json", by_alias=True), option=orjson.OPT_APPEND_NEWLINE)
