"""How regions and objects were outlined, figure by figure. Needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from colvi_edge import __version__
from colvi_edge.outputs.sidecar import Software
from colvi_edge.printable import printable_name

from .mask_record import ImageOutlined, MasksRecord, ObjectFigures, ObjectsOf, RegionFigures, RegionOf
from .matching import Matching, match
from .overlap import Overlap, mean_of, overlaps
from .record import Dataset, Division, Model

FIGURES = ("dice", "iou", "precision", "recall")


@dataclass(frozen=True)
class Outlined:
    """What was found in one image, held against its mask.

    Attributes:
        name: of the image.
        regions: of each class but the background.
        objects: None where nobody numbered them, or the network does not.
    """

    name: str
    regions: tuple[Overlap, ...]
    objects: Matching | None


def outlined(
    name: str,
    truth: NDArray[np.uint8],
    found: NDArray[np.uint8],
    classes: Sequence[str],
    true_objects: NDArray[np.int32] | None = None,
    found_objects: NDArray[np.int32] | None = None,
) -> Outlined:
    """Hold one image against its mask.

    Args:
        name: of the image.
        truth: (H, W) uint8, class of each pixel, 255 where nobody said.
        found: (H, W) uint8, what the network says.
        classes: names, the background first.
        true_objects: (H, W), number of each pixel's object, 0 for none; None if nobody numbered them.
        found_objects: (H, W), likewise of the network.
    """
    of_classes = overlaps(truth, found, len(classes))
    objects = None
    if true_objects is not None and found_objects is not None:
        objects = match(true_objects, found_objects)
    return Outlined(name, tuple(of_classes[1:]), objects)


def masks_record(
    images: Sequence[Outlined],
    classes: Sequence[str],
    *,
    model: Model,
    dataset: Dataset,
    notes: Sequence[str],
    divisions: Sequence[Division] = (),
) -> MasksRecord:
    """Return the record of images that were held against their masks, at least one.

    Args:
        images: all of them.
        classes: names, the background first.
        model: what judged.
        dataset: what was judged.
        notes: sentences that a reader must know.
        divisions: of a training.
    """
    with_objects = [image.objects for image in images if image.objects is not None]
    return MasksRecord(
        created=datetime.now(timezone.utc),
        software=Software(version=__version__),
        dataset=dataset,
        notes=tuple(notes),
        model=model,
        regions=tuple(
            _region(name, [image.regions[k] for image in images]) for k, name in enumerate(classes[1:])
        ),
        objects=_objects(with_objects) if with_objects else None,
        images=tuple(
            ImageOutlined(
                name=printable_name(image.name),
                dice=tuple(overlap.dice for overlap in image.regions),
                objects=None if image.objects is None else _objects_of(image.objects),
            )
            for image in images
        ),
        divisions=tuple(divisions),
    )


def _region(name: str, found: Sequence[Overlap]) -> RegionOf:
    pooled = reduce(add, found)
    return RegionOf(
        name=name,
        pooled=RegionFigures(**{figure: getattr(pooled, figure) for figure in FIGURES}),
        mean=RegionFigures(
            **{figure: mean_of([getattr(one, figure) for one in found]) for figure in FIGURES}
        ),
        images=sum(one.dice is not None for one in found),
    )


def _objects(found: Sequence[Matching]) -> ObjectFigures:
    errors = [one.count_error for one in found]
    return ObjectFigures(
        pooled=_objects_of(reduce(add, found)),
        mean_f1=mean_of([one.f1 for one in found]),
        mean_aji=mean_of([one.aji for one in found]),
        mean_count_error=mean_of([None if error is None else abs(error) for error in errors]),
    )


def _objects_of(found: Matching) -> ObjectsOf:
    return ObjectsOf(**{name: getattr(found, name) for name in ObjectsOf.model_fields})
