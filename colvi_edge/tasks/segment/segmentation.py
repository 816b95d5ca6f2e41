"""From the network's numbers of each pixel to regions: its class, and how much of the image each covers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.task import Segment, Threshold
from colvi_edge.tasks.objects import Objects, find_objects
from colvi_edge.tasks.segment.masks import opened, smoothed_at_least, without_small

SLACK = 1e-3
"""By which a number may lie outside of 0..1 and still be a probability: blended windows are weighted sums."""


class NoProbabilitiesError(ValueError):
    """The network's numbers are none from 0 to 1."""


@dataclass(frozen=True)
class Region:
    """All that is of one class.

    Attributes:
        name: the class.
        pixels: of all planes.
        share: of all pixels of all planes, 0..1.
        area_um2: None where the size of a pixel is not known.
        parts: pieces that do not hang together, across corners neither, plane by plane.
    """

    name: str
    pixels: int
    share: float
    area_um2: float | None
    parts: int


@dataclass(frozen=True)
class Segmentation:
    """What each pixel of one image is.

    Attributes:
        classes: names; the first is the background.
        labels: (Z, H, W) uint8, index into the classes; Z is 1 where the planes were summed.
        probability: (Z, H, W) uint8, round(255 p): of the class that the network gave the pixel, or, with a
            threshold, of the class that it is asked of, everywhere. Smoothed if the decision smooths.
        regions: of every class but the background, in the order of the classes.
        objects: None where the task asks for none.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8]
    regions: tuple[Region, ...]
    objects: Objects | None


def keeping(task: Segment) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Return what leaves of each pixel's K numbers the two that its class and its colour are made of.

    Returns:
        Of (h, w, K) float32, 0..1, in the order of the classes: (h, w, 2) uint8. First the class: that of the
        largest, the first of equals; or, with a threshold, the one that is asked of where reached, else 0.
        Then round(255 p) of that class. It raises NoProbabilitiesError where a number is none.
    """
    decision = task.decision
    asked = task.classes.index(decision.of) if isinstance(decision, Threshold) else None

    def keep(field: NDArray[np.float32]) -> NDArray[np.uint8]:
        if field.ndim != 3 or field.shape[2] != len(task.classes):
            raise ValueError(f"expected (h, w, {len(task.classes)}) probabilities, got {field.shape}")
        if field.size and not (field.min() >= -SLACK and field.max() <= 1 + SLACK):  # NaN: neither
            raise NoProbabilitiesError(
                "expected probabilities from 0 to 1, got a value outside or not finite"
            )
        kept = np.zeros((*field.shape[:2], 2), np.uint8)
        if isinstance(decision, Threshold):
            p = field[..., asked]
            kept[..., 0][p >= np.float32(decision.at_least)] = asked
        else:
            p = field[..., 0].copy()
            for class_index in range(1, field.shape[2]):
                larger = field[..., class_index] > p
                kept[..., 0][larger] = class_index
                np.copyto(p, field[..., class_index], where=larger)
        kept[..., 1] = np.clip(np.rint(p * np.float32(255)), 0, 255)
        return kept

    return keep


def segmentation(task: Segment, kept: NDArray[np.uint8], pixel_size_um: float | None) -> Segmentation:
    """Return the regions and objects of what was kept.

    Args:
        task: classes, decision, and whether objects are asked for.
        kept: (Z, H, W, 2) uint8, of `keeping`; Z planes are taken one by one.
        pixel_size_um: side of a pixel; None if it is not known.
    """
    decision = task.decision
    labels, probability = (np.ascontiguousarray(kept[..., part]) for part in range(2))
    counted = np.zeros((2, 256), np.int64)
    for plane, shown in zip(labels, probability, strict=True):
        if isinstance(decision, Threshold) and decision.smooth_px:
            of = task.classes.index(decision.of)
            plane[:], shown[:] = smoothed_at_least(shown, decision.smooth_px, decision.at_least, of)
        if decision.open_px:
            plane[:] = opened(plane, decision.open_px)
        counted += without_small(plane, decision.smallest_px)
    pixels, parts = counted.tolist()
    regions = tuple(
        Region(
            name=name,
            pixels=pixels[number],
            share=pixels[number] / labels.size,
            area_um2=None if pixel_size_um is None else pixels[number] * pixel_size_um**2,
            parts=parts[number],
        )
        for number, name in enumerate(task.classes)
        if number
    )
    asked = task.objects
    objects = None
    if asked is not None:
        objects = find_objects(labels, probability, asked.split, asked.depth, pixel_size_um)
    return Segmentation(task.classes, labels, probability, regions, objects)
