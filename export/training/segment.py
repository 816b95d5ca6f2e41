"""Train a U-Net on images with masks (Ronneberger et al. 2015, "U-Net"; here convolutions pad).

    images with masks ──▶ epochs of Adam on turned windows ──▶ best epoch's weights ──▶ Checkpoint

The loss is the cross entropy of the pixels plus 1 - D, the soft Dice of each class but the background
(Milletari et al. 2016, "V-Net"), D = 2 sum(p g) / (sum(p^2) + sum(g^2)) over the pixels of a batch. Cross
entropy alone is content with background where an object is small; Dice alone says little of each pixel's
probability. What nobody annotated counts in neither.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.bundle.task import Largest, Objects, Segment
from colvi_edge.bundle.window import Windows
from colvi_edge.export.data.masks import NOT_ANNOTATED, Masked
from colvi_edge.export.data.windows import WindowSource, target_of
from colvi_edge.export.networks.known import Parameters, build_known
from colvi_edge.export.networks.unet import step_of
from colvi_edge.export.networks.whole import whole
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.patches import Normalisation, normalise_image

from .run import Epoch, Resumed, Run, Settings, Step, keep_freed_blocks

WINDOW_PX = 256
"""Edge of the windows that are learnt from."""

JUDGED_PX = 408
"""Edge of the windows that are judged: with a halo of 48 px nine make 1024 x 1024, for 1.4 times the work.

Larger ones are less work (560 px: four, 1.2 times), but what tries an engine when a bundle is opened reaches
over the edge of one, and is most of the bundle's size.
"""

SMALLEST = 0.02
"""Of the area of the object in the middle: what is smaller is no object, but for its rest at the border."""

NORMALISATION = Normalisation("image")


def train_segmentation(
    training: Sequence[Masked],
    validation: Sequence[Masked],
    classes: Sequence[str],
    channels: Sequence[str],
    parameters: Mapping[str, int | str],
    settings: Settings,
    progress: Callable[[Resumed | Step | Epoch], None] = lambda told: None,
    unfinished: Path | None = None,
) -> Checkpoint:
    """Train a U-Net; keep the weights of its best epoch.

    The same data, settings, machine and number of threads give the same weights, in one go or in many. What
    is told of as accuracy is the Dice of the classes but the background, the mean over these classes.

    Args:
        training: images to learn from.
        validation: other images, which end the training; each is judged whole.
        classes: names, the background first.
        channels: roles of the images' channels.
        parameters: of the U-Net, but for its outputs.
        settings: how.
        progress: told each step and each epoch, those of earlier runs first.
        unfinished: written after each epoch; if it is there, training goes on.

    Raises:
        UsageError: the unfinished training is another one's.
        OutputError: it cannot be written.
    """
    complete: Parameters = {"outputs": len(classes), **parameters}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_known("unet", len(channels), complete)
        run = Run(settings, network, identity(training, validation, classes, channels, parameters, settings))
        keep_freed_blocks()
        step_px = step_of(int(parameters["depth"]))
        source = WindowSource(training, NORMALISATION, WINDOW_PX)

        def one_epoch() -> Epoch:
            loss, dice = _one_epoch(run, source, progress)
            return Epoch(len(run.history) + 1, loss, dice, *_validated(network, validation, step_px))

        run.finish(one_epoch, progress, unfinished)
    return Checkpoint(
        network=network,
        name="unet",
        channels=tuple(channels),
        activation="softmax",
        temperature=1.0,
        normalisation=NORMALISATION,
        training=run.told(len(training)),
        parameters=complete,
        task=task_for(training, classes),
        windows=Windows(px=JUDGED_PX),
    )


def task_for(training: Sequence[Masked], classes: Sequence[str]) -> Segment:
    """Return what the network is asked: regions, and where the masks number objects these, too."""
    numbered = [one.objects for one in training if one.objects is not None]
    if not numbered:
        return Segment(kind="segment", classes=tuple(classes), decision=Largest(rule="largest"))
    areas = [np.unique(objects[objects > 0], return_counts=True)[1] for objects in numbered]
    known = np.concatenate(areas)
    smallest = int(SMALLEST * np.median(known)) if known.size else 0
    return Segment(
        kind="segment",
        classes=tuple(classes),
        decision=Largest(rule="largest", smallest_px=smallest),
        objects=Objects(split="watershed"),
    )


def identity(
    training: Sequence[Masked],
    validation: Sequence[Masked],
    classes: Sequence[str],
    channels: Sequence[str],
    parameters: Mapping[str, int | str],
    settings: Settings,
) -> str:
    """Return a hash of all that a training depends on, but for the machine and the versions of libraries."""
    how = (settings, NORMALISATION, WINDOW_PX, *classes, *channels, sorted(parameters.items()))
    digest = hashlib.sha256(repr(how).encode())
    for part in (training, validation):
        for one in part:
            for array in (one.counts, target_of(one)):
                digest.update(f"{array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss, and the Dice of the decided classes but the background, (K - 1,), nan for one absent.

    Args:
        logits: (N, K, h, w) float32.
        target: (N, h, w) int64, classes, NOT_ANNOTATED where nobody said.
    """
    annotated = target != NOT_ANNOTATED
    entropy = functional.cross_entropy(logits, target, ignore_index=NOT_ANNOTATED, reduction="sum")
    probability = torch.softmax(logits, dim=1) * annotated[:, None]
    decided = logits.detach().argmax(1).masked_fill(~annotated, NOT_ANNOTATED)
    lost, dice = entropy / annotated.sum().clamp(min=1), []
    for index in range(1, logits.shape[1]):
        p, g, d = probability[:, index], (target == index).float(), (decided == index).float()
        # One pixel more that is right: a class that is nowhere, and nowhere said, costs nothing.
        soft = (2 * (p * g).sum() + 1) / ((p * p).sum() + g.sum() + 1)
        lost = lost + (1 - soft) / (logits.shape[1] - 1)
        dice.append(2 * (d * g).sum() / (d.sum() + g.sum()))
    return lost, torch.stack(dice)


def _one_epoch(run: Run, source: WindowSource, progress: Callable[[Step], None]) -> tuple[float, float]:
    """Pass over the images once; return mean loss and mean Dice."""
    settings = run.settings
    run.network.train()
    losses: list[float] = []
    dices: list[Tensor] = []
    for batch in source.batches(settings.batch, run.rng):
        inputs = torch.from_numpy(batch.inputs).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            logits = run.network(inputs)
        loss, dice = loss_of(logits.float(), torch.from_numpy(batch.target))
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        losses.append(loss.item())
        dices.append(dice)
        progress(Step(len(run.history) + 1, batch.share, float(np.mean(losses)), _mean(dices)))
    return float(np.mean(losses)), _mean(dices)


def _validated(network: nn.Module, validation: Sequence[Masked], step_px: int) -> tuple[float, float]:
    """Return the mean loss and the mean Dice of whole images."""
    network.eval()
    found = []
    for one in validation:
        logits = whole(network, normalise_image(one.counts, NORMALISATION), step_px)
        found.append(loss_of(logits[None], torch.from_numpy(one.target).long()[None]))
    return float(np.mean([loss.item() for loss, _ in found])), _mean([dice for _, dice in found])


def _mean(dices: Sequence[Tensor]) -> float:
    """Return the mean over all that have a value; 0 where none has."""
    return torch.stack(tuple(dices)).nanmean().nan_to_num().item()
