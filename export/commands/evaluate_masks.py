"""Evaluate a model that segments, on images with masks that it has not learnt from."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import UsageError
from colvi_edge.export.data.dataset import Image
from colvi_edge.export.data.masks import Masked, classes_in, read_masked, read_masks
from colvi_edge.export.evaluation.mask_figures import Outlined, masks_record, outlined
from colvi_edge.export.evaluation.outlining import Outliner, open_outliner

from .evaluate import Evaluated, Progress, facts, unseen
from .notes import Notes


def evaluate_on_masks(
    model: str,
    dataset: Path,
    *,
    engine: EngineName,
    precision: PrecisionChoice,
    channels: Sequence[str] | None,
    tell: Callable[[str], None],
    progress: Progress,
    **facts_of_file: object,
) -> Evaluated:
    """Evaluate a model; see `colvi-edge evaluate --help` for the arguments.

    `tell` is called with each sentence that a reader of the figures must know.

    Raises:
        ColviEdgeError: the model or the dataset cannot be used; or facts of a file are given, which a bundle
            and a checkpoint tell themselves.
    """
    if any(facts_of_file.values()):
        raise UsageError(
            f"{model} is judged by masks, and a bundle or a checkpoint of train, which say themselves what "
            "their network is; leave --network, --classes, --outputs and --normalisation out"
        )
    notes = Notes(tell)
    with open_outliner(model, engine, precision) as outliner, notes.left_out_at_the_end():
        entries = read_masked(dataset)
        with progress("Judging", len(entries)) as advance:
            masked = read_masks(
                entries, outliner.layout, channels, notes.left_out, advance, outliner.wanted, outliner.size_of
            )
            found = held_against(outliner, masked, outliner.seen, notes)
    images = [image for image, _ in found]
    record = masks_record(
        [one for _, one in found],
        outliner.task.classes,
        model=outliner.model,
        dataset=facts(dataset, entries, images),
        notes=notes.sentences,
    )
    return Evaluated(record, notes.all_read)


def held_against(
    outliner: Outliner, masked: Iterable[Masked], seen: Collection[str], notes: Notes
) -> list[tuple[Image, Outlined]]:
    """Return images with what an outliner finds in them, held against their masks.

    Args:
        outliner: what outlines.
        masked: the images.
        seen: digests of those that are left out.
        notes: told which.

    Raises:
        UsageError: no image is left, or the masks tell more classes than the network.
    """
    classes = outliner.task.classes

    def hold(one: Masked) -> Outlined:
        if (told := classes_in([one])) > len(classes):
            raise UsageError(
                f"the mask of {one.image.name} tells {told} classes and the network {len(classes)} "
                f"({', '.join(classes)}); give masks of these"
            )
        found = outliner.outline(one.planes, one.image.size)
        labels = found.labels[0]
        if one.objects is not None:  # which class they are of, masks of objects do not tell
            labels = (labels > 0).astype(np.uint8)
        return outlined(
            one.image.name,
            one.target,
            labels,
            classes,
            one.objects,
            found.objects.labels[0] if found.objects else None,
        )

    return unseen(((one.image, one) for one in masked), seen, hold, notes)
