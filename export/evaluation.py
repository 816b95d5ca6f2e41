"""How well a checkpoint does on patches of images that it has not seen."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .patch_set import PatchSet
from .prediction import predict_logits


@dataclass(frozen=True)
class Evaluation:
    """How well a network does on patches that it has not seen.

    Attributes:
        accuracy: share of patches with the right vote, 0..1.
        confusion: confusion[truth][vote], patches, both in the order of CLASSES.
        image_accuracy: share of images whose majority is right, 0..1.
        calibration_error: expected calibration error in ten bins, 0..1.
        scores: 100 x control votes / patches, for each image in turn.
    """

    accuracy: float
    confusion: list[list[int]]
    image_accuracy: float
    calibration_error: float
    scores: list[float] = field(repr=False)


def evaluate(checkpoint: Checkpoint, patches: PatchSet) -> Evaluation:
    """Judge patches and compare the votes with the truth; computed in float32."""
    logits = predict_logits(checkpoint.network, patches, checkpoint.normalisation)
    p_control = torch.softmax(logits.double() / checkpoint.temperature, dim=1)[:, 0].numpy()
    return summarise(p_control, patches.label, patches.image)


def summarise(
    p_control: NDArray[np.float64], label: NDArray[np.int64], image: NDArray[np.int64]
) -> Evaluation:
    """Compare (N,) probabilities of control with the truth; a patch at 0.5 counts as patient."""
    vote = np.where(p_control > 0.5, 0, 1)
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (label, vote), 1)
    images = np.unique(image)
    scores = [100 * float(np.mean(vote[image == k] == 0)) for k in images]
    truths = [int(label[image == k][0]) for k in images]
    confidence = np.maximum(p_control, 1 - p_control)
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs(np.sum(confidence[bins == b] - (vote == label)[bins == b])) for b in np.unique(bins)]
    return Evaluation(
        accuracy=float(np.mean(vote == label)),
        confusion=confusion.tolist(),
        image_accuracy=float(
            np.mean([(score > 50) == (truth == 0) for score, truth in zip(scores, truths, strict=True)])
        ),
        calibration_error=float(np.sum(gaps) / len(label)),
        scores=scores,
    )
