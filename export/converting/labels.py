"""Asks a network for the diagnoses of labelled images: most of them wrong, its classes are likely swapped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.export.networks.patch_cnn import Turned
from colvi_edge.export.reading.checkpoint import CONTROL_OR_PATIENT, Checkpoint
from colvi_edge.printable import counted
from colvi_edge.tasks.classify import CLASSES, diagnose

from .calibration import Calibration
from .patches import reference

AT_LEAST = 3
"""Labelled images of each class; fewer may all be odd ones, and say nothing of the classes."""


@dataclass(frozen=True)
class LabelsRead:
    """What labels say of a network.

    Attributes:
        accuracy: share of the labelled images whose diagnosis is right; None where it was not asked.
        told: a sentence on that; empty without labels.
    """

    accuracy: float | None = None
    told: str = ""


def read_labels(
    checkpoint: Checkpoint, calibration: Calibration, expected: list[NDArray[np.float32]]
) -> LabelsRead:
    """Return how many labelled images are judged right: of those held out, or of all where these are few.

    Args:
        checkpoint: of the network.
        calibration: its images.
        expected: (rows, cols, 2) probabilities of each image held out.

    Raises:
        UsageError: less than one half is right, as where the classes are swapped.
    """
    if checkpoint.task != CONTROL_OR_PATIENT:
        return LabelsRead()
    held_out, calibrating = calibration.held_out.labels, calibration.calibrating.labels
    counts = {one: [*held_out, *calibrating].count(one) for one in CLASSES}
    if not any(counts.values()):
        return LabelsRead()
    if min(counts.values()) < AT_LEAST:
        few = " and ".join(f"{number} {one}" for one, number in counts.items())
        return LabelsRead(
            told=f"Whether the classes are in the right order was not checked: {few} are labelled, expected "
            f"{AT_LEAST} images of each or more."
        )
    found, labels = [*expected], [*held_out]
    if min(map(held_out.count, CLASSES)) < AT_LEAST:
        more = [k for k, label in enumerate(calibrating) if label]
        found += reference(checkpoint, [calibration.calibrating.planes[k] for k in more])
        labels += [calibrating[k] for k in more]
    right = [diagnose(one).name == label for one, label in zip(found, labels, strict=True) if label]
    if sum(right) < len(right) / 2:
        other = ",".join(CLASSES if isinstance(checkpoint.network, Turned) else CLASSES[::-1])
        raise UsageError(
            f"{sum(right)} of {len(right)} labelled calibration images are judged right, expected at least "
            f"half; are the classes swapped? Try --classes {other}, check the folders' names, or give a "
            f"folder without {CLASSES[0]}/ and {CLASSES[1]}/, whose images then only set the ranges"
        )
    accuracy = sum(right) / len(right)
    return LabelsRead(accuracy, f"Right on {accuracy:.0%} of {counted(len(right), 'labelled image')}.")
