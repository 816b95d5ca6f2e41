"""Train a network that segments on images with masks, and test it on unseen ones."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from colvi_edge.acquisition.wanted import Wanted
from colvi_edge.errors import UsageError
from colvi_edge.export.data.masks import (
    UNLABELLED,
    Masked,
    classes_in,
    read_masked,
    read_masks,
)
from colvi_edge.export.data.patch_set import LAYOUT
from colvi_edge.export.evaluation.mask_figures import Outlined, masks_record
from colvi_edge.export.evaluation.mask_record import MasksRecord
from colvi_edge.export.evaluation.outlining import outliner_of
from colvi_edge.export.evaluation.record import Model
from colvi_edge.export.training.folds import checkpoint_of, once
from colvi_edge.export.training.run import Settings, computes_bfloat16
from colvi_edge.export.training.segment import identity, train_segmentation
from colvi_edge.printable import counted

from .evaluate import facts
from .evaluate_masks import held_against
from .notes import Notes
from .train import (
    Observer,
    check_targets,
    divisions_of,
    kind_of,
    learnt_from,
    named,
    pixel_sizes_off,
)

PARAMETERS: Mapping[str, int | str] = {"depth": 3, "base": 8, "norm": "batch", "up": "nearest"}
"""Of the U-Net: 113,330 weights with one channel and two classes, which see 46 px to each side."""

EPOCHS = 20
LEARNING_RATE = 2e-3
BATCH = 8
PATIENCE = 4


class TrainedOnMasks(NamedTuple):
    """The networks of all folds, tested.

    Attributes:
        record: how they did, the images of all tests together.
        all_read: whether every file could be read.
    """

    record: MasksRecord
    all_read: bool


def train_on_masks(
    dataset: Path,
    output: Path,
    *,
    folds: int | None,
    seed: int,
    epochs: int,
    learning_rate: float,
    channels: Sequence[str] | None,
    roles: Sequence[str] | None,
    classes: Sequence[str] | None,
    observer: Observer,
) -> TrainedOnMasks:
    """Train and test; see `colvi-edge train --help` for the arguments.

    Args:
        dataset: of images with masks.
        output: of the checkpoint.
        folds: the same.
        seed: the same.
        epochs: the same.
        learning_rate: the same.
        channels: the same.
        roles: of the channels that the network sees; None: collagen and nuclei.
        classes: names, the background first; None: names are made.
        observer: follows.

    Raises:
        ColviEdgeError: the dataset cannot be used, or the checkpoint cannot be written.
    """
    settings = Settings(learning_rate, BATCH, epochs, PATIENCE, seed, computes_bfloat16())
    layout = tuple(roles or LAYOUT)
    wanted = tuple(Wanted(role) for role in layout if role != "empty")
    notes = Notes(observer.note)
    entries = read_masked(dataset)
    check_targets(output, folds)
    # What is too few by the list of files is so before they are read, which can only take some away.
    divisions_of(entries, folds, seed, UNLABELLED)
    with notes.left_out_at_the_end(), observer.reading(len(entries)) as advance:
        masked = list(read_masks(entries, layout, channels, notes.left_out, advance, wanted))
    if not masked:
        raise UsageError("no image can be read with its mask; give images of the assay")
    names = _class_names(masked, classes)
    images = [one.image for one in masked]
    if off := pixel_sizes_off(images):
        notes.add(off)
    described = facts(dataset, entries, images)
    divisions = divisions_of(images, folds, seed, UNLABELLED)
    models: list[Model] = []
    tested: list[Outlined] = []
    for fold, division in enumerate(divisions, 1):
        path = checkpoint_of(output, fold)
        observer.divided(images, division, fold)
        training, validation = (
            [masked[k] for k in part] for part in (division.training, division.validation)
        )
        how = training, validation, names, layout, PARAMETERS, settings
        with observer.training(fold, path) as watch:
            checkpoint = once(
                path,
                identity(*how),
                partial(train_segmentation, *how),
                settings,
                learnt_from(images, division, kind_of(described)),
                watch,
            )
        outliner = outliner_of(checkpoint, path)
        models.append(outliner.model)
        with observer.stage("testing", fold):
            found = held_against(outliner, (masked[k] for k in division.test), (), notes)
        tested += [one for _, one in found]
    record = masks_record(
        tested,
        names,
        model=models[0],
        dataset=described,
        notes=notes.sentences,
        divisions=named(divisions, [image.name for image in images]),
    )
    return TrainedOnMasks(record, notes.all_read)


def _class_names(masked: Sequence[Masked], given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes: those that are given, or made ones."""
    told = classes_in(masked)
    if given is None:
        one = "object" if masked[0].objects is not None else "foreground"
        return ("background", one) if told == 2 else ("background", *(f"class {k}" for k in range(1, told)))
    if len(given) != told:
        raise UsageError(
            f"--classes {','.join(given)}: found {counted(told, 'class', 'classes')} in the masks, the "
            "background counted; name as many, the background first"
        )
    return tuple(given)
