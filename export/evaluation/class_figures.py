"""How well images were judged by a network of any classes: confusion, and each class against the rest.

Images have intervals, of Wilson, for as many as there would be if those of one subject were wholly alike;
what votes in them, patches or slices, has none.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from colvi_edge import __version__
from colvi_edge.outputs.sidecar import Software
from colvi_edge.printable import printable_name
from colvi_edge.tasks.classify import Diagnosis, Rule, score_of

from . import metrics
from .class_record import CellWord, ClassesRecord, ClassFigures, ClassLevel, ImageOfClass
from .intervals import effective, wilson
from .record import Bin, Dataset, Interval, Model, between, figure


def classes_record(
    diagnoses: Sequence[Diagnosis],
    truths: Sequence[int],
    names: Sequence[str],
    groups: Sequence[str],
    *,
    rule: Rule,
    of: CellWord,
    model: Model,
    dataset: Dataset,
    notes: Sequence[str] = (),
) -> ClassesRecord:
    """Return how a model did.

    Args:
        diagnoses: one an image, of the same classes.
        truths: index of the class that each image is of.
        names: of the images.
        groups: whose images they are: those of one group are alike.
        rule: by which they were judged.
        of: what votes.
        model: what judged.
        dataset: what was judged.
        notes: sentences that a reader must know.

    Raises:
        ValueError: there is no image, or one without a truth of its classes.
    """
    classes = diagnoses[0].classes if diagnoses else ()
    truth = np.array(truths, np.int64)
    if not (len(diagnoses) == len(truth) == len(names) == len(groups) > 0):
        raise ValueError("expected a truth, a name and a group for each of one image or more")
    if truth.min() < 0 or truth.max() >= len(classes) or any(one.classes != classes for one in diagnoses):
        raise ValueError(f"expected images of the classes {', '.join(classes)}")
    said = np.array([[*classes, one.name].index(one.name) for one in diagnoses])
    group = np.unique(groups, return_inverse=True)[1].reshape(-1)
    likeness = np.stack([_likeness(one, rule) for one in diagnoses])
    image = _level(classes, truth, said, likeness, group)

    flat = np.concatenate([one.probabilities.reshape(-1, len(classes)) for one in diagnoses])
    vote = np.concatenate([one.vote.ravel() for one in diagnoses]).astype(np.int64)
    true_vote = np.repeat(truth, [one.vote.size for one in diagnoses])
    bins = metrics.reliability(flat.max(axis=-1), vote == true_vote)
    return ClassesRecord(
        model=model,
        classes=classes,
        rule=rule.name,
        score_of=score_of(classes, rule),
        of=of,
        cells=None if of == "image" else _level(classes, true_vote, vote, flat.astype(np.float64)),
        image=image,
        calibration_error=metrics.calibration_error(bins),
        reliability=tuple(Bin(**one._asdict()) for one in bins),
        images=tuple(
            ImageOfClass(name=printable_name(name), truth=classes[label], diagnosis=one.name, score=one.score)
            for name, label, one in zip(names, truth, diagnoses, strict=True)
        ),
        dataset=dataset,
        notes=tuple(notes),
        chance=tuple(_chance(model.name, image)),
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def _likeness(diagnosis: Diagnosis, rule: Rule) -> NDArray[np.float64]:
    """Return (K,) how much an image is like each class: what its score is made of."""
    if rule.name == "threshold":
        return np.asarray(diagnosis.probabilities.mean(axis=(0, 1), dtype=np.float64))
    return np.array(diagnosis.counts[:-1], np.float64) / sum(diagnosis.counts)


def _level(
    classes: Sequence[str],
    truth: NDArray[np.int64],
    said: NDArray[np.int64],
    likeness: NDArray[np.float64],
    group: NDArray[np.int64] | None = None,
) -> ClassLevel:
    """Return the figures of N answers.

    Args:
        classes: K of them.
        truth: (N,) index of the class.
        said: (N,) likewise; K of what was judged none.
        likeness: (N, K), the larger the more like a class.
        group: (N,) what belongs together; None where the answers have no intervals.
    """
    number = len(classes)
    confusion = np.zeros((number, number + 1), np.int64)
    np.add.at(confusion, (truth, said), 1)
    right = truth == said
    of_class = []
    for place, name in enumerate(classes):
        mine = truth == place
        counts = metrics.Confusion.count(mine, mine == (said == place))
        of_class.append(
            ClassFigures(
                name=name,
                n=int(mine.sum()),
                precision=counts.precision,
                recall=counts.sensitivity,
                f1=counts.f1,
                auc=metrics.auc(mine, likeness[:, place]),
                recall_interval=_interval(right[mine], None if group is None else group[mine]),
            )
        )
    there = [one for one in of_class if one.n]
    return ClassLevel(
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        accuracy=float(right.mean()),
        accuracy_interval=_interval(right, group),
        balanced_accuracy=float(np.mean([one.recall for one in there])),
        f1=float(np.mean([one.f1 for one in there])),
        classes=tuple(of_class),
    )


def _interval(right: NDArray[np.bool_], group: NDArray[np.int64] | None) -> Interval | None:
    if group is None or not len(right):
        return None
    return wilson(float(right.mean()), effective(group))


def _chance(name: str, images: ClassLevel) -> Iterator[str]:
    """Yield a sentence if who always names the most frequent class would perhaps do as well."""
    most = max(images.classes, key=lambda one: one.n)
    share, interval = most.n / images.n, images.accuracy_interval
    if interval and interval[0] <= share:
        yield (
            f"{name} is not shown to be better than chance on these images: its accuracy "
            f"{figure(images.accuracy)} ({between(interval)}) has a 95 % interval that includes "
            f"{figure(share)}, the share of {most.name}, which who always says so judges right."
        )
