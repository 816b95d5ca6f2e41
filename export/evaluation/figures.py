"""How well patches and their images were judged: the paper's figures, of one network or of several methods.

Needs no torch. What judged them, a checkpoint, an engine or a baseline, is not known here: it leaves a
`Judged`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from colvi_edge import __version__
from colvi_edge.outputs.sidecar import Software
from colvi_edge.printable import printable_name
from colvi_edge.tasks.classify import VOTES, DiagnosisName, diagnose

from . import intervals, metrics
from .chance import against_chance
from .intervals import Answers
from .record import (
    METRICS,
    Bin,
    ComparisonRecord,
    Curve,
    Dataset,
    Division,
    Evaluation,
    EvaluationRecord,
    Figures,
    ImageJudged,
    Intervals,
    Level,
    Method,
    Model,
    Pooled,
    Roc,
)

CONTROL, PATIENT, TIE = range(len(VOTES))


@dataclass(frozen=True)
class Judged:
    """What was said of N patches, and what is true.

    Attributes:
        p_control, p_patient: (N,) float32, 0..1; they need not sum to 1.
        label: (N,) int64, the truth: 0 control, 1 patient.
        image: (N,) int64, which image the patch is from.
        margin: (N,) float64, finite, of a method without probabilities (`by_margin`); None for all others.
    """

    p_control: NDArray[np.float32]
    p_patient: NDArray[np.float32]
    label: NDArray[np.int64]
    image: NDArray[np.int64]
    margin: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be counted.

        Raises:
            ValueError: lengths differ, there is no patch, an image has two truths, or a margin is not finite.
        """
        lengths = [len(given) for given in (self.p_control, self.p_patient, self.label, self.image)]
        if len(set(lengths)) > 1 or not lengths[0]:
            raise ValueError(
                f"expected as many probabilities, labels and images, at least one; got {lengths}"
            )
        truths = np.unique(np.stack([self.image, self.label]), axis=1)
        if len(truths[0]) > len(np.unique(self.image)) or not np.isin(self.label, (CONTROL, PATIENT)).all():
            raise ValueError("expected one label, 0 or 1, for all patches of an image; got several")
        if self.margin is not None and not np.isfinite(self.margin).all():
            raise ValueError("expected finite margins")

    @classmethod
    def by_image(cls, probabilities: Sequence[NDArray[np.float32]], label: Sequence[int]) -> "Judged":
        """Return what an engine says of images.

        Args:
            probabilities: (rows, cols, 2) of each image, as of `Engine.field`.
            label: of each image, 0 control, 1 patient.
        """
        flat = [one.reshape(-1, 2) for one in probabilities]
        p_control, p_patient = np.concatenate(flat).T
        patches = [len(one) for one in flat]
        return cls(p_control, p_patient, np.repeat(label, patches), np.repeat(np.arange(len(flat)), patches))

    @classmethod
    def by_margin(
        cls, margin: NDArray[np.float64], label: NDArray[np.int64], image: NDArray[np.int64]
    ) -> "Judged":
        """Return what a method says that only has a decision function, such as a support vector machine.

        Args:
            margin: (N,) above 0 votes patient, below 0 control, 0 for nobody; larger is more like a patient.
            label: as of `Judged`.
            image: as of `Judged`.
        """
        votes = ((margin < 0).astype(np.float32), (margin > 0).astype(np.float32))
        return cls(*votes, label, image, np.asarray(margin, np.float64))

    @property
    def likeness(self) -> NDArray[np.float64]:
        """(N,) the larger the more like a patient: the margin, or p_patient - p_control."""
        if self.margin is not None:
            return self.margin
        return self.p_patient.astype(np.float64) - self.p_control


def evaluate(judged: Judged, names: Sequence[str], groups: Sequence[str] | None = None) -> Evaluation:
    """Compare votes and diagnoses with the truth.

    Args:
        judged: all patches of each of its images.
        names: of images; `judged.image` is the place in it.
        groups: whose images they are, in the order of the names: those of one are alike; without it each
            image stands for itself.

    Raises:
        ValueError: a probability is no float32 from 0 to 1.
    """
    return _evaluated(judged, names, groups)[0]


class _Evaluated(NamedTuple):
    """An evaluation with the answers that it counted."""

    evaluation: Evaluation
    patches: Answers
    images: Answers


def _evaluated(judged: Judged, names: Sequence[str], groups: Sequence[str] | None) -> _Evaluated:
    probabilities = np.stack([judged.p_control, judged.p_patient], axis=-1)[np.newaxis]
    vote = diagnose(probabilities).vote[0]
    right = vote == judged.label
    bins = None
    if judged.margin is None:
        bins = metrics.reliability(probabilities[0].max(axis=-1), right)

    numbers, first, member = np.unique(judged.image, return_index=True, return_inverse=True)
    truth = judged.label[first]
    found = [diagnose(probabilities[:, member == place]) for place in range(len(numbers))]
    scores = np.array([100 - diagnosis.score for diagnosis in found])
    said = np.array([get_args(DiagnosisName).index(diagnosis.name) for diagnosis in found])
    group = numbers
    if groups is not None:
        group = np.unique([groups[number] for number in numbers], return_inverse=True)[1].reshape(-1)
    patches = _answers(judged.label, vote, judged.likeness, group[member.reshape(-1)])
    images = _answers(truth, said, scores, group)
    evaluation = Evaluation(
        patch=_level(patches, vote, intervals.of_patches(patches)),
        image=_level(images, said, intervals.of_images(images, _auc(images))),
        calibration_error=None if bins is None else metrics.calibration_error(bins),
        reliability=None if bins is None else tuple(Bin(**one._asdict()) for one in bins),
        roc=Roc(patch=_curve(judged.label, judged.likeness), image=_curve(truth, scores)),
        images=tuple(
            ImageJudged(
                name=printable_name(names[number]),
                truth="patient" if label == PATIENT else "control",
                score=diagnosis.score,
                diagnosis=diagnosis.name,  # type: ignore[arg-type] # a word, which pydantic checks
            )
            for number, label, diagnosis in zip(numbers, truth, found, strict=True)
        ),
    )
    return _Evaluated(evaluation, patches, images)


def evaluation_record(
    evaluation: Evaluation, model: Model, dataset: Dataset, notes: Sequence[str] = ()
) -> EvaluationRecord:
    """Return an evaluation with what judged what; `notes` are sentences that a reader must know."""
    return EvaluationRecord(
        **dict(evaluation),
        model=model,
        dataset=dataset,
        notes=tuple(notes),
        chance=tuple(against_chance({model.name: (evaluation.image, evaluation.image)})),
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def comparison_record(
    methods: Mapping[str, Sequence[Judged]],
    names: Sequence[str],
    dataset: Dataset,
    notes: Sequence[str] = (),
    *,
    groups: Sequence[str] | None = None,
    divisions: Sequence[Division] = (),
) -> ComparisonRecord:
    """Return several methods side by side, in the order given.

    Args:
        methods: by name, what was judged in each fold; of the same folds in the same order.
        names: as of `evaluate`.
        dataset: what was judged.
        notes: sentences that a reader must know.
        groups: as of `evaluate`.
        divisions: who was for what in each fold.

    Raises:
        ValueError: methods were not tested on the same images, fold by fold.
    """
    tested = {tuple(tuple(np.unique(fold.image)) for fold in folds) for folds in methods.values()}
    if len(tested) != 1:
        raise ValueError(
            f"expected every method on the same images of the same folds; got {len(tested)} sets"
        )
    found = [
        _method(name, [_evaluated(fold, names, groups) for fold in folds]) for name, folds in methods.items()
    ]
    return ComparisonRecord(
        methods=tuple(found),
        divisions=tuple(divisions),
        dataset=dataset,
        notes=tuple(notes),
        chance=tuple(against_chance({one.name: (one.image, one.image.mean) for one in found})),
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def _answers(
    label: NDArray[np.int64],
    said: NDArray[np.integer],
    likeness: NDArray[np.float64],
    group: NDArray[np.int64],
) -> Answers:
    """Return votes, or diagnoses, CONTROL, PATIENT or TIE, as the answers of one fold."""
    return Answers(label == PATIENT, said == label, likeness, group, np.zeros(len(label), np.int64))


def _auc(answers: Answers) -> float | None:
    return metrics.auc(answers.patient, answers.likeness)


def _level(answers: Answers, said: NDArray[np.integer], interval: Intervals | None) -> Level:
    """Return the figures of answers, `said` being CONTROL, PATIENT or TIE."""
    counts = metrics.Confusion.count(answers.patient, answers.right)
    return Level(
        tp=counts.tp,
        tn=counts.tn,
        fp=counts.fp,
        fn=counts.fn,
        undecided=int(np.sum(said == TIE)),
        accuracy=counts.accuracy,
        precision=counts.precision,
        sensitivity=counts.sensitivity,
        specificity=counts.specificity,
        f1=counts.f1,
        auc=_auc(answers),
        interval=interval,
    )


def _curve(label: NDArray[np.int64], likeness: NDArray[np.float64]) -> Curve | None:
    points = metrics.roc(label == PATIENT, likeness)
    return None if points is None else _plain(metrics.thinned(points))


def _plain(points: NDArray[np.float64]) -> Curve:
    return tuple((float(x), float(y)) for x, y in points.round(5))


def _method(name: str, evaluated: Sequence[_Evaluated]) -> Method:
    folds = [one.evaluation for one in evaluated]
    patches = Answers.together([one.patches for one in evaluated])
    images = Answers.together([one.images for one in evaluated])
    auc = _spread([fold.image.auc for fold in folds])[0]
    mean, sd = _spread([fold.calibration_error for fold in folds])
    return Method(
        name=name,
        patch=_pooled([fold.patch for fold in folds], intervals.of_patches(patches)),
        image=_pooled([fold.image for fold in folds], intervals.of_images(images, auc)),
        calibration_error_mean=mean,
        calibration_error_sd=sd,
        roc=Roc(
            patch=_mean_curve([fold.roc.patch for fold in folds]),
            image=_mean_curve([fold.roc.image for fold in folds]),
        ),
        folds=tuple(folds),
    )


def _pooled(levels: Sequence[Level], interval: Intervals | None) -> Pooled:
    spread = {name: _spread([getattr(level, name) for level in levels]) for name in METRICS}
    return Pooled(
        tp=sum(level.tp for level in levels),
        tn=sum(level.tn for level in levels),
        fp=sum(level.fp for level in levels),
        fn=sum(level.fn for level in levels),
        undecided=sum(level.undecided for level in levels),
        mean=Figures(**{name: mean for name, (mean, _) in spread.items()}),
        sd=Figures(**{name: sd for name, (_, sd) in spread.items()}),
        interval=interval,
    )


def _spread(figures: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation; none where a fold has none: the others' would flatter."""
    known = [figure for figure in figures if figure is not None]
    if len(known) < len(figures):
        return None, None
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None


def _mean_curve(curves: Sequence[Curve | None]) -> Curve | None:
    known = [np.array(curve) for curve in curves if curve is not None]
    return _plain(metrics.mean_roc(known)) if len(known) == len(curves) else None
