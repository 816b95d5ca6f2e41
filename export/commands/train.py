"""Train the paper's network on labelled images, and test it on unseen ones."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from colvi_edge.errors import UsageError
from colvi_edge.export.baselines.methods import judge_baselines
from colvi_edge.export.baselines.texture import textures
from colvi_edge.export.converting.familiarity import fit
from colvi_edge.export.data.dataset import Entry, Image, read_dataset, read_images
from colvi_edge.export.data.division import FOLDS, Division, divide, given_division
from colvi_edge.export.data.patch_set import LAYOUT, PatchSet
from colvi_edge.export.evaluation.chance import against_chance
from colvi_edge.export.evaluation.figures import Judged, comparison_record, evaluate
from colvi_edge.export.evaluation.record import ComparisonRecord, Dataset, Evaluation
from colvi_edge.export.evaluation.record import Division as Named
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.checkpoint import Checkpoint, save_checkpoint
from colvi_edge.export.training.folds import (
    Finished,
    Projections,
    checkpoint_of,
    existing,
    gather,
    trained,
)
from colvi_edge.export.training.prediction import predict_logits
from colvi_edge.export.training.run import Epoch, Resumed, Settings, Step, computes_bfloat16
from colvi_edge.printable import printable_name
from colvi_edge.quality.recording import PIXEL_SIZE_FACTOR
from colvi_edge.system.writing import check_writable
from colvi_edge.tasks.classify import CLASSES

from .evaluate import facts
from .notes import Notes

CNN = "CNN"


Told = Finished | Resumed | Step | Epoch
"""What is told of the training of a network."""


class Observer(Protocol):
    """Whoever follows a training, from the first file to the last fold."""

    def note(self, sentence: str) -> None:
        """Called with what a reader of the figures must know."""

    def reading(self, files: int) -> AbstractContextManager[Callable[[], None]]:
        """Called before so many files are read; gives what is called after each."""

    def divided(self, images: Sequence[Image], division: Division, fold: int) -> None:
        """Called with the division of a fold, counted from 1."""

    def stage(self, words: str, fold: int | None = None) -> AbstractContextManager[None]:
        """Called with what is done meanwhile, once, or in each fold."""

    def training(self, fold: int, path: Path) -> AbstractContextManager[Callable[[Told], None]]:
        """Called before the network of a fold is trained, for a checkpoint; gives what is told of it."""


class Trained(NamedTuple):
    """The networks of all folds, tested.

    Attributes:
        record: how they and the baselines did.
        all_read: whether every file could be read.
        is_doubtful: whether the test does not show the networks to be better than chance.
    """

    record: ComparisonRecord
    all_read: bool
    is_doubtful: bool


def train_model(
    dataset: Path,
    output: Path,
    *,
    folds: int | None,
    baselines: bool,
    seed: int,
    epochs: int,
    learning_rate: float,
    channels: Sequence[str] | None,
    observer: Observer,
) -> Trained:
    """Train and test; see `colvi-edge train --help` for the arguments.

    Raises:
        ColviEdgeError: the dataset cannot be used, or the checkpoint cannot be written.
    """
    settings = Settings(learning_rate=learning_rate, epochs=epochs, seed=seed, bfloat16=computes_bfloat16())
    notes = Notes(observer.note)
    entries = read_dataset(dataset)
    check_targets(output, folds)
    # What is too few by the list of files is so before hours of reading, which can only take some away.
    divisions_of(entries, folds, seed)
    with notes.left_out_at_the_end(), observer.reading(len(entries)) as advance:
        data = gather(read_images(entries, LAYOUT, PATCH_PX, channels, notes.left_out, advance))
    if off := pixel_sizes_off(data.images):
        notes.add(off)
    described = facts(dataset, entries, data.images)
    kind = kind_of(described)
    names, groups = ([getattr(image, what) for image in data.images] for what in ("name", "group"))
    divisions = divisions_of(data.images, folds, seed)
    methods: dict[str, list[Judged]] = {}
    measured = None
    if baselines:
        with observer.stage(f"measuring the textures of {len(data.patches.label):,} patches"):
            measured = textures(data.patches)
    for fold, division in enumerate(divisions, 1):
        path = checkpoint_of(output, fold)
        observer.divided(data.images, division, fold)
        if measured:
            learnt = measured.of([*division.training, *division.validation])
            with observer.stage("judging textures by four methods", fold):
                for name, judged in judge_baselines(learnt, measured.of(division.test), seed):
                    methods.setdefault(name, []).append(judged)
        with observer.training(fold, path) as watch:
            checkpoint = trained(path, data, division, settings, _learnt_from(data, division, kind), watch)
        judged = judge(checkpoint, data.patches.of(division.test))
        methods.setdefault(CNN, []).append(judged)
        tested = checkpoint.training | {"test": _tested(evaluate(judged, names, groups), kind)}
        if tested != checkpoint.training:
            save_checkpoint(path, replace(checkpoint, training=tested))

    record = comparison_record(
        methods, names, described, notes.sentences, groups=groups, divisions=named(divisions, names)
    )
    cnn = record.methods[-1]
    return Trained(record, notes.all_read, any(against_chance({CNN: (cnn.image, cnn.image.mean)})))


def kind_of(dataset: Dataset) -> str:
    """Return what a checkpoint tells of the kind of its images."""
    return "synthetic images (colvi-edge simulate)" if dataset.is_simulated else "a laboratory's own images"


def judge(checkpoint: Checkpoint, patches: PatchSet) -> Judged:
    """Return what a network of ours says of patches, in float32."""
    logits = predict_logits(checkpoint.network, patches, checkpoint.normalisation)
    p = torch.softmax(logits / checkpoint.temperature, dim=1).numpy()
    return Judged(p[:, 0], p[:, 1], patches.label, patches.image)


def divisions_of(
    images: Sequence[Image | Entry], folds: int | None, seed: int, classes: Sequence[str] = CLASSES
) -> list[Division]:
    """Return the division of each fold: the one that the dataset gives, or as many as are asked for.

    Raises:
        UsageError: both are there, or a class is too small.
    """
    label = [classes.index(one.label) if isinstance(one, Entry) else one.label for one in images]
    group, split = ([getattr(image, what) for image in images] for what in ("group", "split"))
    if any(split):
        if folds:
            raise UsageError("the dataset gives the split, and --folds asks for others; take one away")
        return given_division(label, group, split, seed, classes)
    return divide(label, group, seed, folds or FOLDS, classes)[: folds or 1]


def named(divisions: Sequence[Division], names: Sequence[str]) -> list[Named]:
    """Return the names of the images of each part of each fold, for the record."""
    return [
        Named(
            **{
                part: tuple(printable_name(names[k]) for k in numbers)
                for part, numbers in one._asdict().items()
            }
        )
        for one in divisions
    ]


def check_targets(output: Path, folds: int | None) -> None:
    """Refuse before hours of work what could not be written after them.

    Raises:
        UsageError: a file of another kind is at the place of a checkpoint.
        OutputError: it cannot be written.
    """
    check_writable(output)
    for fold in range(1, (folds or 1) + 1):
        if checkpoint_of(output, fold).exists():
            existing(checkpoint_of(output, fold))


def pixel_sizes_off(images: Sequence[Image]) -> str | None:
    """Return what is wrong if the images were not all taken at one magnification."""
    sizes = [image.pixel_size_um for image in images if image.pixel_size_um]
    if not sizes or max(sizes) <= PIXEL_SIZE_FACTOR * min(sizes):
        return None
    return (
        f"Pixel sizes run from {min(sizes):g} to {max(sizes):g} um: a network judges one magnification; take "
        "images of one"
    )


def learnt_from(images: Sequence[Image], division: Division, kind: str) -> dict[str, Any]:
    """Return what a checkpoint tells of its data: pictures by their hash, nothing by name."""
    seen = [*division.training, *division.validation]
    sizes = sorted(round(size, 4) for k in seen if (size := images[k].pixel_size_um))
    return {
        "data": kind,
        "split": {part: len(numbers) for part, numbers in division._asdict().items()},
        "seen": sorted(images[k].digest for k in seen),
        "pixel_size_um": sizes[len(sizes) // 2] if sizes else None,
    }


def _learnt_from(data: Projections, division: Division, kind: str) -> dict[str, Any]:
    """Return the same of images of the assay, with what they measure."""
    seen = [*division.training, *division.validation]
    fitted = fit([measured for k in seen if (measured := data.samples[k])])
    return {**learnt_from(data.images, division, kind), "familiarity": fitted and fitted.as_plain()}


def _tested(evaluation: Evaluation, data: str) -> dict[str, Any]:
    """Return what a checkpoint, and its bundle, tell of its test."""
    patch = evaluation.patch
    return {
        "dataset": data,
        "images": len(evaluation.images),
        "image_accuracy": evaluation.image.accuracy,
        "patch_accuracy": patch.accuracy,
        "confusion": [[patch.tn, patch.fp], [patch.fn, patch.tp]],
        "expected_calibration_error": evaluation.calibration_error,
    }
