"""Evaluate a model on labelled images that it has not learnt from."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import AcquisitionError, UsageError
from colvi_edge.export.data.dataset import SUBJECT, Entry, Image, read_dataset, read_images
from colvi_edge.export.evaluation.class_figures import classes_record
from colvi_edge.export.evaluation.class_record import ClassesRecord
from colvi_edge.export.evaluation.figures import Judged, evaluate, evaluation_record
from colvi_edge.export.evaluation.judging import Judge, open_judge
from colvi_edge.export.evaluation.mask_record import MasksRecord
from colvi_edge.export.evaluation.record import Dataset, EvaluationRecord
from colvi_edge.export.reading.questions import parse_normalisation
from colvi_edge.pipeline.sizing import brought_to
from colvi_edge.printable import counted
from colvi_edge.simulate.images import is_simulated
from colvi_edge.tasks.classify import diagnose

from .notes import Notes

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Told what is done and in how many steps; gives what takes one step, as `terminal.progress.progress`."""

Read = TypeVar("Read")
Said = TypeVar("Said")


class Evaluated(NamedTuple):
    """An evaluation.

    Attributes:
        record: its figures.
        all_read: whether every file could be read.
    """

    record: EvaluationRecord | ClassesRecord | MasksRecord
    all_read: bool


def evaluate_model(
    model: str,
    dataset: Path,
    *,
    engine: EngineName,
    precision: PrecisionChoice,
    channels: Sequence[str] | None,
    network: str | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: str | None = None,
    tell: Callable[[str], None],
    progress: Progress,
) -> Evaluated:
    """Evaluate a model; see `colvi-edge evaluate --help` for the arguments.

    `tell` is called with each sentence that a reader of the figures must know.

    Raises:
        ColviEdgeError: the model or the dataset cannot be used.
    """
    notes = Notes(tell)
    facts_of_file: dict[str, Any] = {
        "network": network,
        "classes": classes,
        "activation": activation,
        "normalisation": parse_normalisation(normalisation),
    }
    with open_judge(model, engine, precision, **facts_of_file) as judge, notes.left_out_at_the_end():
        entries = read_dataset(dataset, judge.classes)
        found = _judge(judge, entries, channels, notes, progress)
    images = [image for image, _ in found]
    names, groups = [image.name for image in images], [image.group for image in images]
    told = facts(dataset, entries, images)
    record: EvaluationRecord | ClassesRecord
    if judge.is_paper:
        judged = Judged.by_image([p for _, p in found], [image.label for image in images])
        record = evaluation_record(evaluate(judged, names, groups), judge.model, told, notes.sentences)
    else:
        record = classes_record(
            [diagnose(probabilities, judge.classes, judge.rule) for _, probabilities in found],
            [image.label for image in images],
            names,
            groups,
            rule=judge.rule,
            of=judge.of,
            model=judge.model,
            dataset=told,
            notes=notes.sentences,
        )
    return Evaluated(record, notes.all_read)


def facts(dataset: Path, entries: Sequence[Entry], images: Sequence[Image]) -> Dataset:
    """Return what the record of a dataset tells of it.

    Args:
        dataset: where it lies.
        entries: its files.
        images: those that figures are of.
    """
    groups = {image.group for image in images}
    return Dataset(
        name=dataset.resolve().name,
        is_simulated=all(is_simulated(entry.path) for entry in entries),
        subjects=len(groups) if all(group.startswith(SUBJECT) for group in groups) else None,
    )


def _judge(
    judge: Judge,
    entries: Sequence[Entry],
    channels: Sequence[str] | None,
    notes: Notes,
    progress: Progress,
) -> list[tuple[Image, NDArray[np.float32]]]:
    """Return what was said of the images that the model has not learnt from, and those images."""
    with progress("Judging", len(entries)) as advance:
        images = read_images(
            entries,
            judge.layout,
            judge.patch_px,
            channels,
            notes.left_out,
            advance,
            judge.classes,
            judge.wanted,
            judge.size_of,
        )
        sized = (
            (image, planes if image.size is None else brought_to(planes, image.size))
            for image, planes in images
        )
        return unseen(sized, judge.seen, judge.probabilities, notes)


def unseen(
    images: Iterable[tuple[Image, Read]], seen: Collection[str], judge: Callable[[Read], Said], notes: Notes
) -> list[tuple[Image, Said]]:
    """Return what is said of the images that a model has not learnt from, nor from others of their group.

    Args:
        images: with what was read of each.
        seen: digests of those that it learnt from.
        judge: says it; an AcquisitionError where it cannot.
        notes: told what was left out.

    Raises:
        UsageError: none is left.
    """
    of_training = frozenset(seen)
    found: list[tuple[Image, Said]] = []
    known: set[str] = set()
    total = 0
    for image, read in images:
        total += 1
        if image.digest in of_training:
            known.add(image.group)
        elif image.group not in known:
            try:
                found.append((image, judge(read)))
            except AcquisitionError as error:
                notes.left_out(image.name, str(error).removeprefix(f"{image.name}: "))
                total -= 1
    found = [(image, said) for image, said in found if image.group not in known]
    if len(found) < total:
        left, are, them, their = total - len(found), "are", "them", "their subjects"
        if left == 1:
            are, them, their = "is", "it", "its subject"
        notes.add(
            f"{left} of {counted(total, 'image')} {are} not judged: the model has learnt from {them} or "
            f"chosen its epoch by {them}, or by others of {their}."
        )
    if not found:
        raise UsageError("no image is left to be judged; give images that the model has not seen")
    return found
