"""The networks of a cross-validation, one a fold, each trained once: finished ones are kept."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.export.converting.familiarity import Sample, sample
from colvi_edge.export.data.dataset import Image
from colvi_edge.export.data.division import Division
from colvi_edge.export.data.patch_set import PatchSet, collect_patches
from colvi_edge.export.reading.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from colvi_edge.patches import Normalisation
from colvi_edge.tasks.classify import CLASSES

from .loop import identity, train
from .run import UNFINISHED, Epoch, Resumed, Settings, Step


class Projections(NamedTuple):
    """A dataset in memory: raw patches, the images that `patches.image` counts, and what these measure."""

    patches: PatchSet
    images: list[Image]
    samples: list[Sample | None]


class Finished(NamedTuple):
    """What `trained` tells of a network that was trained before."""

    checkpoint: Checkpoint


def gather(images: Iterable[tuple[Image, NDArray[Any]]]) -> Projections:
    """Cut all images of `dataset.read_images`, laid out as LAYOUT, into patches, and measure them.

    Raises:
        UsageError: there is none.
    """
    known: list[Image] = []
    samples: list[Sample | None] = []

    def labelled() -> Iterable[tuple[NDArray[Any], str]]:
        for image, planes in images:
            known.append(image)
            collagen, nuclei = np.moveaxis(planes, 1, 0)  # LAYOUT
            samples.append(sample(collagen, nuclei))
            yield planes, CLASSES[image.label]

    return Projections(collect_patches(labelled()), known, samples)


def checkpoint_of(path: Path, fold: int) -> Path:
    """Return where the checkpoint of a fold, counted from 1, lies; the first one is the model itself."""
    return path if fold == 1 else path.with_name(f"{path.stem}.fold-{fold}{path.suffix}")


def existing(path: Path) -> Checkpoint:
    """Return the checkpoint that is at a path already.

    Raises:
        UsageError: the file is something else.
    """
    try:
        return load_checkpoint(path)
    except UsageError as error:
        raise UsageError(f"{path} is no checkpoint and would be lost; name another file") from error


def trained(
    path: Path,
    data: Projections,
    division: Division,
    settings: Settings,
    facts: dict[str, Any],
    progress: Callable[[Finished | Resumed | Step | Epoch], None] = lambda told: None,
) -> Checkpoint:
    """Return the network of a division: the one at `path`, or one that is trained and saved there.

    Args:
        path: of the checkpoint.
        data: all images.
        division: which of them are for what.
        settings: of the training.
        facts: what the checkpoint tells besides of its training.
        progress: as of `train`; told of a network that is finished already, and nothing more.

    Raises:
        UsageError: the checkpoint at `path`, or the unfinished one beside it, is of another training.
        OutputError: it cannot be written.
    """
    training, validation = data.patches.of(division.training), data.patches.of(division.validation)
    normalisation = Normalisation()
    return once(
        path,
        identity(training, validation, settings, normalisation),
        lambda watch, unfinished: train(training, validation, settings, normalisation, watch, unfinished),
        settings,
        facts,
        progress,
    )


def once(
    path: Path,
    known_as: str,
    learn: Callable[[Callable[[Resumed | Step | Epoch], None], Path], Checkpoint],
    settings: Settings,
    facts: dict[str, Any],
    progress: Callable[[Finished | Resumed | Step | Epoch], None],
) -> Checkpoint:
    """Return the network at `path`, or the one that is learnt and saved there.

    Args:
        path: of the checkpoint.
        known_as: hash of all that the training depends on.
        learn: trains; gets what is told of it, and the file that it goes on from.
        settings: of the training.
        facts: what the checkpoint tells besides of its training.
        progress: as of `trained`.

    Raises:
        UsageError: the checkpoint at `path`, or the unfinished one beside it, is of another training.
        OutputError: it cannot be written.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    if path.exists():
        checkpoint = existing(path)
        if checkpoint.training.get("identity") != known_as:
            raise UsageError(
                f"{path} is a model that was trained otherwise and would be lost: "
                f"{_difference(checkpoint.training, settings, facts)}; name another file or move it away"
            )
        progress(Finished(checkpoint))
    else:
        checkpoint = learn(progress, unfinished)
        if path.exists():
            raise UsageError(f"{path} was written meanwhile, by another training; name another file")
        # What was learnt from must be known from the first moment on: no evaluation may count it.
        checkpoint = replace(checkpoint, training=checkpoint.training | facts)
        save_checkpoint(path, checkpoint)
    unfinished.unlink(missing_ok=True)
    return checkpoint


def _difference(before: dict[str, Any], settings: Settings, facts: dict[str, Any]) -> str:
    """Return in what a training was another one, as far as its checkpoint tells."""
    then = before.get("settings") or {}
    found = [
        f"{name.replace('_', ' ')} {then[name]} then, {now} now"
        for name, now in asdict(settings).items()
        if name in then and then[name] != now
    ]
    if before.get("seen") != facts.get("seen"):
        found.append("it has learnt from other images")
    return ", ".join(found) or "its images were labelled or divided otherwise"
